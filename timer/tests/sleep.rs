//! Sleeping: never early, little late, cheap to give up.

mod driver;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use driver::{Count, Driver, all, now, panics, paused, poll, real};
use filch_timer::{Clock, Handle, Hooks, Instant, Sleep, Stats, interval, sleep, sleep_until, timeout};

const MILLISECOND: Duration = Duration::from_millis(1);

fn assert_send_sync<T: Send + Sync>(_: &T) {}

#[test]
fn never_early_and_little_late() {
    let driver = real();
    driver.block_on(async {
        let mut lateness = Vec::new();
        for microseconds in [1, 50, 65, 66, 100, 500, 999, 1_000, 1_001, 3_000, 10_000, 30_000] {
            let duration = Duration::from_micros(microseconds);
            let begin = std::time::Instant::now();
            sleep(duration).await;
            let elapsed = begin.elapsed();
            assert!(elapsed >= duration, "{duration:?} took {elapsed:?}");
            lateness.push(elapsed - duration);
        }
        // The machine may be busy at one moment, not at all of them.
        lateness.sort();
        assert!(lateness[lateness.len() / 2] < 2 * MILLISECOND, "late by {lateness:?}");
    });
    // Exact answers: a lone sleep is one turn before and one after, not one per level of the wheel.
    assert!(
        driver.turns.load(Ordering::Relaxed) <= 12 * 4,
        "{} turns",
        driver.turns.load(Ordering::Relaxed)
    );
}

#[test]
fn many_sleeps_fire_in_the_order_of_their_deadlines() {
    let driver = paused();
    let order = std::cell::RefCell::new(Vec::new());
    driver.block_on(all((0..500_u64).map(|index| {
        let order = &order;
        async move {
            let millis = index * 7919 % 10_007;
            let begin = Instant::now();
            sleep(Duration::from_millis(millis)).await;
            assert_eq!(
                begin.elapsed(),
                Duration::from_millis(millis),
                "a standing clock is exact"
            );
            order.borrow_mut().push(millis);
        }
    })));
    assert!(order.borrow().is_sorted());
    assert_eq!(driver.timers.stats().pending, 0);
}

#[test]
fn what_is_due_at_the_first_poll_is_ready_and_never_armed() {
    let driver = real();
    let _inside = driver.handle.enter();
    assert!(now(pin!(sleep(Duration::ZERO))).is_ready());
    assert!(now(pin!(sleep_until(Instant::now() - MILLISECOND))).is_ready());
    let mut late = pin!(sleep(MILLISECOND));
    std::thread::sleep(2 * MILLISECOND);
    assert!(!late.is_elapsed(), "nobody has polled it");
    assert!(now(late.as_mut()).is_ready());
    assert!(late.is_elapsed());
    assert!(now(late).is_ready(), "and stays so");
    assert_eq!(driver.timers.stats(), Stats::default());
}

#[test]
fn a_long_sleep_that_is_polled_too_late_fires_in_the_next_turn() {
    let driver = real();
    let _inside = driver.handle.enter();
    let mut long = pin!(sleep(Duration::from_millis(100)));
    std::thread::sleep(Duration::from_millis(101));
    let (count, waker) = Count::new();
    // The first poll of a long sleep does not look at the clock.
    assert!(poll(long.as_mut(), &waker).is_pending());
    assert!(!long.is_elapsed());
    driver.turn();
    assert_eq!(count.get(), 1);
    assert!(poll(long, &waker).is_ready());
}

#[test]
fn the_longest_duration_is_only_very_long() {
    let driver = paused();
    let _inside = driver.handle.enter();
    for duration in [
        Duration::MAX,
        Duration::from_secs(u64::MAX),
        Duration::from_secs(1 << 40),
    ] {
        let mut long = pin!(sleep(duration));
        assert!(long.deadline() > Instant::now() + Duration::from_secs(29 * 365 * 24 * 3600));
        assert!(now(long.as_mut()).is_pending());
        driver.turn();
        driver.handle.clock().advance(Duration::from_secs(24 * 3600));
        driver.turn();
        assert!(now(long).is_pending());
    }
    let nearer = sleep(Duration::from_secs(10));
    driver.block_on(nearer);
}

#[test]
fn ten_seconds_are_ten_seconds_whatever_else_is_armed() {
    // A wheel that confuses rotations of its top level sleeps for years here.
    let driver = paused();
    driver.block_on(async {
        for bits in 0..62 {
            let mut far = pin!(sleep(Duration::from_nanos(1 << bits)));
            let _ = now(far.as_mut());
            let begin = Instant::now();
            sleep(Duration::from_secs(10)).await;
            assert_eq!(
                begin.elapsed(),
                Duration::from_secs(10),
                "beside a timer of 2^{bits} ns"
            );
        }
    });
}

#[test]
fn a_dropped_sleep_leaves_nothing() {
    let driver = real();
    let _inside = driver.handle.enter();
    let (count, waker) = Count::new();
    let mut sleeps: Vec<Pin<Box<Sleep>>> = (1..100).map(|ms| Box::pin(sleep(ms * MILLISECOND))).collect();
    for sleep in &mut sleeps {
        assert!(poll(sleep.as_mut(), &waker).is_pending());
    }
    sleeps.truncate(50);
    driver.turn();
    sleeps.clear();
    assert_eq!(
        driver.timers.stats(),
        Stats {
            armed: 99,
            fired: 0,
            pending: 0
        }
    );
    assert_eq!(
        Arc::strong_count(&count),
        2,
        "the wakers are gone: ours, and the one in `waker`"
    );
    std::thread::sleep(2 * MILLISECOND);
    driver.turn();
    assert_eq!(count.get(), 0);
    assert_eq!(driver.timers.next_due(), None);
}

#[test]
fn reset_earlier_later_and_after_firing() {
    let driver = paused();
    driver.block_on(async {
        let begin = Instant::now();
        let mut timer = pin!(sleep(Duration::from_secs(100)));
        assert!(now(timer.as_mut()).is_pending());

        timer.as_mut().reset(begin + Duration::from_secs(3));
        assert_eq!(timer.deadline(), begin + Duration::from_secs(3));
        timer.as_mut().await;
        assert_eq!(begin.elapsed(), Duration::from_secs(3));
        assert!(timer.is_elapsed());

        timer.as_mut().reset(begin + Duration::from_secs(7));
        assert!(!timer.is_elapsed());
        timer.as_mut().await;
        assert_eq!(begin.elapsed(), Duration::from_secs(7));

        timer.as_mut().reset(begin + Duration::from_secs(9));
        assert!(now(timer.as_mut()).is_pending());
        timer.as_mut().reset(begin + Duration::from_secs(20));
        timer.as_mut().await;
        assert_eq!(begin.elapsed(), Duration::from_secs(20));

        timer.as_mut().reset(begin);
        assert!(now(timer).is_ready());
    });
    assert_eq!(driver.timers.stats().pending, 0);
}

#[test]
fn an_armed_sleep_that_is_reset_wakes_its_task_without_another_poll() {
    let driver = paused();
    let _inside = driver.handle.enter();
    let (count, waker) = Count::new();
    let mut timer = pin!(sleep(Duration::from_secs(100)));
    assert!(poll(timer.as_mut(), &waker).is_pending());
    timer.as_mut().reset(Instant::now() + Duration::from_secs(1));
    driver.handle.clock().advance(Duration::from_secs(1));
    assert_eq!(driver.timers.stats().armed, 1, "the same timer, moved");
    driver.turn();
    assert_eq!(count.get(), 1);
    assert!(timer.is_elapsed());
}

#[test]
fn reset_moves_to_the_present_worker_of_the_same_runtime() {
    let workers = Driver::workers(2, Clock::new(), Hooks::default());
    let pending = || [0, 1].map(|index: usize| workers[index].timers.stats().pending);
    let later = || Instant::now() + Duration::from_secs(60);
    let (count, waker) = Count::new();

    let first = workers[0].handle.enter();
    let mut timer = Box::pin(sleep(Duration::from_secs(100)));
    assert!(poll(timer.as_mut(), &waker).is_pending());
    assert_eq!(pending(), [1, 0]);
    drop(first);

    let second = workers[1].handle.enter();
    timer.as_mut().reset(later());
    assert_eq!(pending(), [0, 1], "armed as it was, but here");
    drop(second);

    let stranger = real();
    let other = stranger.handle.enter();
    timer.as_mut().reset(later());
    assert_eq!(
        (pending(), stranger.timers.stats().pending),
        ([0, 1], 0),
        "never onto another runtime"
    );
    drop(other);

    timer.as_mut().reset(Instant::now());
    assert_eq!(pending(), [0, 1], "outside of any runtime it stays where it is");
    std::thread::sleep(MILLISECOND);
    workers[1].turn();
    assert_eq!(count.get(), 1);
    assert!(now(timer.as_mut()).is_ready());
}

#[test]
fn outside_of_a_runtime_it_panics_at_the_callers_line() {
    let checks: [(fn(), u32); 5] = [
        (|| drop(sleep(MILLISECOND)), line!()),
        (|| drop(sleep_until(Instant::now())), line!()),
        (|| drop(timeout(MILLISECOND, std::future::ready(()))), line!()),
        (|| drop(interval(MILLISECOND)), line!()),
        (|| drop(Handle::current()), line!()),
    ];
    for (check, expected) in checks {
        let (message, line) = panics(check);
        assert!(
            message.starts_with("there is no filch runtime on this thread"),
            "{message}"
        );
        assert_eq!(line, expected);
    }
    assert!(Handle::try_current().is_none());
}

#[test]
fn entering_nests() {
    let (outer, inner) = (real(), real());
    let of = |driver: &Driver| Arc::as_ptr(&driver.timers);
    let current = || Handle::current().timers().first().map(Arc::as_ptr);
    let first = outer.handle.enter();
    {
        let _second = inner.handle.enter();
        assert_eq!(current(), Some(of(&inner)));
    }
    assert_eq!(current(), Some(of(&outer)));
    drop(first);
    assert!(Handle::try_current().is_none());
}

#[test]
fn without_a_home_timers_are_dealt_to_all_workers() {
    let clock = Clock::new();
    let timers: Vec<_> = (0..3)
        .map(|_| Arc::new(filch_timer::Timers::new(clock.clone(), Waker::noop().clone())))
        .collect();
    let handle = Handle::new(clock, timers.clone(), Hooks::default());
    let _inside = handle.enter();
    let mut sleeps: Vec<_> = (0..6).map(|_| Box::pin(sleep(Duration::from_secs(9)))).collect();
    for sleep in &mut sleeps {
        assert!(now(sleep.as_mut()).is_pending());
    }
    for timers in &timers {
        assert_eq!(timers.stats().pending, 2);
    }
}

#[test]
fn after_the_shutdown_polling_panics_and_everybody_was_woken() {
    let driver = real();
    let _inside = driver.handle.enter();
    let (count, waker) = Count::new();
    let mut armed = pin!(sleep(Duration::from_secs(9)));
    let mut fresh = pin!(sleep(Duration::from_secs(9)));
    let mut done = pin!(sleep(Duration::ZERO));
    assert!(now(done.as_mut()).is_ready());
    assert!(poll(armed.as_mut(), &waker).is_pending());

    let mut woken = Vec::new();
    driver.timers.shutdown(&mut woken);
    assert_eq!((woken.len(), count.get()), (1, 0), "given back, not woken");
    woken.into_iter().for_each(Waker::wake);
    assert_eq!(count.get(), 1);

    for sleep in [armed.as_mut(), fresh.as_mut(), pin!(sleep(Duration::ZERO))] {
        let (message, _) = panics(|| assert!(now(sleep).is_pending()));
        assert!(message.contains("has been shut down"), "{message}");
    }
    assert!(now(done).is_ready(), "what has fired has fired");
    assert!(now(pin!(timeout(MILLISECOND, std::future::ready(7)))).is_ready());
    assert_eq!(driver.timers.park(), None);
    driver.timers.shutdown(&mut Vec::new());
}

#[test]
fn only_a_sleeping_owner_is_woken_and_only_for_an_earlier_deadline() {
    let driver = real();
    let _inside = driver.handle.enter();
    let arm = |seconds| {
        let mut timer = Box::pin(sleep(Duration::from_secs(seconds)));
        assert!(now(timer.as_mut()).is_pending());
        timer
    };
    let _awake: Vec<_> = (100..200).rev().map(arm).collect();
    assert_eq!(driver.wakes(), 0, "the owner is awake");

    let until = driver.timers.park().expect("there are timers");
    assert!(until > std::time::Instant::now() + Duration::from_secs(60));
    let _later = arm(150);
    assert_eq!(driver.wakes(), 0, "it sleeps until an earlier one");
    let _earlier: Vec<_> = (10..50).rev().map(arm).collect();
    assert_eq!(driver.wakes(), 1, "once is enough");

    driver.timers.park();
    driver.timers.unpark();
    let _awake = arm(5);
    assert_eq!(driver.wakes(), 1, "it is awake again");
}

#[test]
fn the_waker_of_the_latest_poll_is_woken() {
    let driver = paused();
    let _inside = driver.handle.enter();
    let (old, old_waker) = Count::new();
    let (new, new_waker) = Count::new();
    let mut timer = pin!(sleep(MILLISECOND));
    assert!(poll(timer.as_mut(), &old_waker).is_pending());
    assert!(poll(timer.as_mut(), &new_waker).is_pending());
    assert_eq!(Arc::strong_count(&old), 2, "the replaced waker is gone");
    driver.handle.clock().advance(MILLISECOND);
    driver.turn();
    assert_eq!((old.get(), new.get()), (0, 1));
}

/// A budget of one charge per round.
mod budget {
    use super::*;

    static CHARGES: AtomicUsize = AtomicUsize::new(0);
    static REFUSALS: AtomicUsize = AtomicUsize::new(0);

    fn charge(cx: &mut Context<'_>) -> Poll<()> {
        CHARGES.fetch_add(1, Ordering::Relaxed);
        if REFUSALS.load(Ordering::Relaxed) == 0 {
            return Poll::Ready(());
        }
        REFUSALS.fetch_sub(1, Ordering::Relaxed);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    #[test]
    fn is_charged_only_when_the_timer_has_fired() {
        let clock = Clock::pausable();
        clock.pause();
        let driver = Driver::new(
            clock,
            Hooks {
                charge,
                ..Hooks::default()
            },
        );
        let _inside = driver.handle.enter();

        let mut timer = pin!(sleep(MILLISECOND));
        assert!(now(timer.as_mut()).is_pending());
        assert!(now(timer.as_mut()).is_pending());
        assert_eq!(CHARGES.load(Ordering::Relaxed), 0);
        driver.handle.clock().advance(MILLISECOND);
        driver.turn();
        REFUSALS.store(1, Ordering::Relaxed);
        let (count, waker) = Count::new();
        assert!(poll(timer.as_mut(), &waker).is_pending());
        assert_eq!(count.get(), 1, "the budget has arranged the wake");
        assert!(now(timer).is_ready());
        assert_eq!(CHARGES.load(Ordering::Relaxed), 2);

        // A future that uses the budget up each time it is polled cannot hold its own limit off for ever.
        REFUSALS.store(usize::MAX, Ordering::Relaxed);
        let mut limit = pin!(timeout(MILLISECOND, std::future::pending::<()>()));
        assert!(now(limit.as_mut()).is_pending());
        driver.handle.clock().advance(MILLISECOND);
        driver.turn();
        assert!(now(limit.as_mut()).is_pending());
        assert!(now(limit).is_ready());

        let mut ticks = interval(MILLISECOND);
        assert!(now(pin!(ticks.tick())).is_pending());
        REFUSALS.store(0, Ordering::Relaxed);
        assert!(now(pin!(ticks.tick())).is_ready());
    }
}

/// A waker that uses the timers while it is woken, cloned or dropped: it must never be inside their lock.
#[test]
fn no_waker_is_touched_inside_the_lock() {
    struct Meddler(Handle);
    impl Meddler {
        fn meddle(&self) {
            for timers in self.0.timers() {
                let _ = timers.stats();
            }
        }
    }
    impl Wake for Meddler {
        fn wake(self: Arc<Self>) {
            self.meddle();
        }
    }
    impl Drop for Meddler {
        fn drop(&mut self) {
            self.meddle();
        }
    }
    let driver = paused();
    let _inside = driver.handle.enter();
    let waker = || Waker::from(Arc::new(Meddler(driver.handle.clone())));
    let mut timer = pin!(sleep(MILLISECOND));
    assert!(poll(timer.as_mut(), &waker()).is_pending());
    assert!(poll(timer.as_mut(), &waker()).is_pending());
    timer.as_mut().reset(Instant::now() + 2 * MILLISECOND);
    driver.handle.clock().advance(2 * MILLISECOND);
    driver.turn();
    assert!(now(timer.as_mut()).is_ready());
    let mut dropped = Box::pin(sleep(MILLISECOND));
    assert!(poll(dropped.as_mut(), &waker()).is_pending());
    drop(dropped);
    let mut left = Box::pin(sleep(MILLISECOND));
    assert!(poll(left.as_mut(), &waker()).is_pending());
    driver.timers.shutdown(&mut Vec::new());
}

#[test]
fn a_sleep_is_small_and_travels() {
    assert!(size_of::<Sleep>() <= 32, "{}", size_of::<Sleep>());
    let driver = real();
    let _inside = driver.handle.enter();
    assert_send_sync(&sleep(MILLISECOND));
    assert_send_sync(&timeout(MILLISECOND, std::future::ready(())));
    assert_send_sync(&interval(MILLISECOND));
    assert_send_sync(&driver.handle);
    fn is_future<F: Future<Output = ()> + Send + 'static>(_: F) {}
    is_future(async {
        sleep(MILLISECOND).await;
        filch_timer::advance(MILLISECOND).await;
    });
}
