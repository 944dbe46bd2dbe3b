//! The clock that stands still, and the moments it gives.

mod driver;

use std::cell::Cell;
use std::collections::HashSet;
use std::pin::pin;
use std::thread;
use std::time::{self, Duration};

use driver::{Count, Driver, all, now, panics, paused, poll, real};
use filch_timer::{Clock, Hooks, Instant, advance, pause, resume, sleep};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

#[test]
fn an_hour_takes_no_time() {
    let begin = time::Instant::now();
    let driver = paused();
    driver.block_on(async {
        let begin = Instant::now();
        for _ in 0..60 {
            sleep(60 * SECOND).await;
        }
        assert_eq!(begin.elapsed(), 3_600 * SECOND);
    });
    assert!(begin.elapsed() < 20 * SECOND);
}

#[test]
fn stands_and_moves_and_runs() {
    let clock = Clock::pausable();
    assert!(clock.is_pausable() && !clock.is_paused());
    let running = clock.now();
    thread::sleep(MILLISECOND);
    assert!(clock.now() > running);

    clock.pause();
    assert!(clock.is_paused());
    let standing = clock.now();
    thread::sleep(2 * MILLISECOND);
    assert_eq!(clock.now(), standing);
    clock.advance(3 * SECOND);
    assert_eq!(clock.now(), standing + 3 * SECOND);
    clock.advance_to(standing + 5 * SECOND);
    clock.advance_to(standing + 4 * SECOND);
    assert_eq!(clock.now(), standing + 5 * SECOND, "it never goes back");

    clock.resume();
    assert!(!clock.is_paused());
    thread::sleep(2 * MILLISECOND);
    let running = clock.now() - standing;
    assert!(
        running >= 5 * SECOND + 2 * MILLISECOND && running < 15 * SECOND,
        "{running:?}"
    );
    clock.clone().pause();
    assert!(clock.is_paused(), "a clone is the same clock");
    assert!(clock.now() >= standing + running, "pausing again does not go back");
}

#[test]
fn what_is_not_allowed_panics_at_the_callers_line() {
    let (machine, running, standing) = (Clock::new(), Clock::pausable(), Clock::pausable());
    standing.pause();
    let checks: [(&dyn Fn(), u32, &str); 6] = [
        (&|| machine.pause(), line!(), "cannot be paused"),
        (&|| standing.pause(), line!(), "already paused"),
        (&|| running.resume(), line!(), "not paused"),
        (&|| running.advance(SECOND), line!(), "not paused"),
        (&|| running.advance_to(time::Instant::now()), line!(), "not paused"),
        (&pause, line!(), "no filch runtime"),
    ];
    for (check, expected, text) in checks {
        let (message, line) = panics(check);
        assert!(message.contains(text), "{message}");
        if text != "no filch runtime" {
            assert_eq!(line, expected, "{text}");
        }
    }
    let (message, _) = panics(|| standing.advance(Duration::MAX));
    assert!(message.contains("that far"), "{message}");
    assert!(standing.is_paused(), "and leaves the clock as it was");

    let driver = real();
    let (message, line) = panics(|| driver.block_on(async { pause() }));
    assert!(message.contains("cannot be paused"), "{message}");
    assert_eq!(line, line!() - 2);
}

#[test]
fn the_runtimes_clock_is_stopped_moved_and_set_going() {
    let driver = Driver::new(Clock::pausable(), Hooks::default());
    driver.block_on(async {
        pause();
        let begin = Instant::now();
        let fired = Cell::new(0);
        let background = async {
            for seconds in 1..=3 {
                sleep(SECOND).await;
                fired.set(seconds);
            }
        };
        let mut background = pin!(background);
        assert!(now(background.as_mut()).is_pending());
        advance(SECOND / 2).await;
        assert!(now(background.as_mut()).is_pending());
        assert_eq!((begin.elapsed(), fired.get()), (SECOND / 2, 0));
        advance(SECOND / 2).await;
        assert!(now(background.as_mut()).is_pending());
        assert_eq!((begin.elapsed(), fired.get()), (SECOND, 1));
        background.await;
        assert_eq!((begin.elapsed(), fired.get()), (3 * SECOND, 3));
        resume();
        sleep(MILLISECOND).await;
        assert!(begin.elapsed() >= 3 * SECOND + MILLISECOND);
        assert!(begin.elapsed() < 13 * SECOND);
        pause();
    });
}

#[test]
fn advance_returns_after_the_timers_have_fired() {
    let driver = paused();
    driver.block_on(async {
        let mut timers: Vec<_> = (1..100).map(|ms| Box::pin(sleep(ms * MILLISECOND))).collect();
        for timer in &mut timers {
            assert!(now(timer.as_mut()).is_pending());
        }
        advance(50 * MILLISECOND).await;
        assert_eq!(driver.timers.stats().fired, 50);
        assert_eq!(timers.iter().filter(|timer| timer.is_elapsed()).count(), 50);
    });
}

#[test]
fn what_the_clock_jumped_over_is_ready_at_its_first_poll() {
    let driver = paused();
    let _inside = driver.handle.enter();
    let (short, long) = (sleep(MILLISECOND), sleep(SECOND));
    driver.handle.clock().advance(2 * SECOND);
    assert!(now(pin!(short)).is_ready());
    assert!(now(pin!(long)).is_ready());
}

#[test]
fn advance_waits_for_the_turn_but_not_for_ever() {
    let driver = paused();
    let _inside = driver.handle.enter();
    let mut timer = pin!(sleep(SECOND));
    assert!(now(timer.as_mut()).is_pending());
    let mut advancing = pin!(advance(SECOND));
    for _ in 0..10 {
        let (count, waker) = Count::new();
        assert!(
            poll(advancing.as_mut(), &waker).is_pending(),
            "what is due has not fired yet"
        );
        assert_eq!(count.get(), 1, "it waits by yielding");
    }
    driver.turn();
    assert!(now(advancing.as_mut()).is_pending(), "a last time, for what has fired");
    assert!(now(advancing).is_ready());

    let mut timer = pin!(sleep(SECOND));
    assert!(now(timer.as_mut()).is_pending());
    let mut advancing = pin!(advance(SECOND));
    let polls = (0..1_000).take_while(|_| now(advancing.as_mut()).is_pending()).count();
    assert!((61..999).contains(&polls), "{polls} polls");
}

#[test]
fn a_held_clock_does_not_jump() {
    let driver = paused();
    let clock = driver.handle.clock().clone();
    let hold = clock.hold();
    let second = clock.hold();
    drop(second);
    assert!(clock.is_held());
    let began = clock.now();
    let waker = driver.waker();
    let job = thread::spawn({
        let clock = clock.clone();
        move || {
            thread::sleep(20 * MILLISECOND);
            let now = clock.now();
            drop(hold);
            waker.wake();
            now
        }
    });
    driver.block_on(async { sleep(SECOND).await });
    assert_eq!(job.join().unwrap(), began, "no jump while the job ran");
    assert!(!clock.is_held());
    assert_eq!(clock.now(), began + SECOND);
}

#[test]
fn moving_the_clock_wakes_who_sleeps_by_it() {
    let driver = paused();
    let _inside = driver.handle.enter();
    assert_eq!(driver.timers.park(), None);
    driver.timers.clock_moved();
    assert_eq!(driver.wakes(), 0, "it waits for no deadline");
    let mut timer = pin!(sleep(SECOND));
    assert!(now(timer.as_mut()).is_pending());
    driver.timers.park();
    let before = driver.wakes();
    resume();
    assert_eq!(driver.wakes(), before + 1);
}

#[test]
fn an_instant_is_stds_with_the_runtimes_now() {
    let driver = paused();
    let outside = Instant::now();
    thread::sleep(MILLISECOND);
    assert!(outside.elapsed() >= MILLISECOND, "outside of a runtime time passes");
    let _inside = driver.handle.enter();
    let begin = Instant::now();
    thread::sleep(MILLISECOND);
    assert_eq!(begin.elapsed(), Duration::ZERO);
    driver.handle.clock().advance(SECOND);
    assert_eq!((begin.elapsed(), Instant::now() - begin), (SECOND, SECOND));

    let later = begin + SECOND;
    assert_eq!(later.duration_since(begin), SECOND);
    assert_eq!(begin.duration_since(later), Duration::ZERO);
    assert_eq!(begin - later, Duration::ZERO);
    assert_eq!(
        (later.checked_duration_since(begin), begin.checked_duration_since(later)),
        (Some(SECOND), None)
    );
    assert_eq!(begin.saturating_duration_since(later), Duration::ZERO);
    assert_eq!(
        (begin.checked_add(SECOND), later.checked_sub(SECOND)),
        (Some(later), Some(begin))
    );
    assert_eq!(begin.checked_add(Duration::MAX), None);
    let mut moved = begin;
    moved += 2 * SECOND;
    moved -= SECOND;
    assert_eq!(moved, later);
    assert!(begin < later);
    assert_eq!(HashSet::from([begin, begin, later]).len(), 2);
    let std: time::Instant = later.into();
    assert_eq!(
        (Instant::from(std), Instant::from_std(std), later.into_std()),
        (later, later, std)
    );
    assert!(!format!("{begin:?}").is_empty());
}

#[test]
fn sleeps_of_one_task_overlap() {
    let driver = paused();
    let elapsed = driver.block_on(all((1..=10).map(|seconds| async move {
        let begin = Instant::now();
        sleep(seconds * SECOND).await;
        begin.elapsed()
    })));
    assert_eq!(elapsed, (1..=10).map(|seconds| seconds * SECOND).collect::<Vec<_>>());
}
