//! Ticks, and ticks that were missed.

mod driver;

use std::pin::pin;
use std::time::Duration;

use driver::{Count, now, panics, paused, poll};
use filch_timer::MissedTickBehavior::{Burst, Delay, Skip};
use filch_timer::{Instant, MissedTickBehavior, advance, interval, interval_at, timeout};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// When the ticks are taken, and for when they were planned, if the second is taken late.
fn ticks(behavior: MissedTickBehavior, late: u64) -> (Vec<u128>, Vec<u128>) {
    let driver = paused();
    driver.block_on(async {
        let begin = Instant::now();
        let mut ticks = interval(ms(50));
        ticks.set_missed_tick_behavior(behavior);
        assert_eq!(ticks.missed_tick_behavior(), behavior);
        let (mut taken, mut planned) = (Vec::new(), Vec::new());
        for tick in 0..6 {
            if tick == 1 {
                driver.handle.clock().advance(ms(late));
            }
            let plan = ticks.tick().await;
            taken.push(begin.elapsed().as_millis());
            planned.push(plan.duration_since(begin).as_millis());
        }
        (taken, planned)
    })
}

#[test]
fn every_behavior_has_its_plan() {
    assert_eq!(ticks(Burst, 175).0, [0, 175, 175, 175, 200, 250]);
    assert_eq!(ticks(Delay, 175).0, [0, 175, 225, 275, 325, 375]);
    assert_eq!(ticks(Skip, 175).0, [0, 175, 200, 250, 300, 350]);
    assert_eq!(
        ticks(Burst, 175).1,
        [0, 50, 100, 150, 200, 250],
        "the planned moment is returned"
    );
    assert_eq!(ticks(Delay, 175).1, [0, 50, 225, 275, 325, 375]);
    assert_eq!(ticks(Skip, 175).1, [0, 50, 200, 250, 300, 350]);
    // Up to 5 ms late is not missed.
    for behavior in [Burst, Delay, Skip] {
        assert_eq!(ticks(behavior, 55).0, [0, 55, 100, 150, 200, 250], "{behavior:?}");
    }
    assert_eq!(ticks(Delay, 56).0, [0, 56, 106, 156, 206, 256]);
    // Exactly on a later tick of the plan: that one is taken, the next comes a whole period later.
    assert_eq!(ticks(Skip, 150).0, [0, 150, 200, 250, 300, 350]);
    assert_eq!(MissedTickBehavior::default(), Burst);
}

#[test]
fn begins_when_told_to() {
    let driver = paused();
    driver.block_on(async {
        let begin = Instant::now();
        let mut ticks = interval_at(begin + ms(30), ms(7));
        assert_eq!(ticks.period(), ms(7));
        assert_eq!(ticks.tick().await, begin + ms(30));
        assert_eq!(ticks.tick().await, begin + ms(37));
        assert_eq!(begin.elapsed(), ms(37));
    });
}

#[test]
fn resets() {
    let driver = paused();
    driver.block_on(async {
        let begin = Instant::now();
        let mut ticks = interval(ms(100));
        ticks.tick().await;
        advance(ms(60)).await;
        ticks.reset();
        assert_eq!(ticks.tick().await, begin + ms(160));
        ticks.reset_immediately();
        assert_eq!(ticks.tick().await, begin + ms(160));
        ticks.reset_after(ms(10));
        assert_eq!(ticks.tick().await, begin + ms(170));
        ticks.reset_at(begin + ms(1_000));
        assert_eq!(ticks.tick().await, begin + ms(1_000));
        assert_eq!(ticks.tick().await, begin + ms(1_100));
    });
}

#[test]
fn a_dropped_tick_is_not_lost() {
    let driver = paused();
    driver.block_on(async {
        let begin = Instant::now();
        let mut ticks = interval(ms(100));
        ticks.tick().await;
        assert!(timeout(ms(30), ticks.tick()).await.is_err());
        assert!(timeout(ms(30), ticks.tick()).await.is_err());
        assert_eq!(ticks.tick().await, begin + ms(100));
        assert_eq!(begin.elapsed(), ms(100));
    });
    assert_eq!(driver.timers.stats().pending, 0);
}

#[test]
fn poll_tick_wakes_the_latest_waker() {
    let driver = paused();
    let _inside = driver.handle.enter();
    let (old, old_waker) = Count::new();
    let (new, new_waker) = Count::new();
    let mut ticks = interval(ms(1));
    assert!(now(pin!(ticks.tick())).is_ready());
    for waker in [&old_waker, &new_waker] {
        assert!(poll(pin!(ticks.tick()), waker).is_pending());
    }
    driver.handle.clock().advance(ms(1));
    driver.turn();
    assert_eq!((old.get(), new.get()), (0, 1));
    assert!(now(pin!(ticks.tick())).is_ready());
}

#[test]
fn the_longest_period_and_none() {
    let driver = paused();
    let _inside = driver.handle.enter();
    let mut ticks = interval(Duration::MAX);
    assert!(now(pin!(ticks.tick())).is_ready());
    for behavior in [Burst, Delay, Skip] {
        ticks.set_missed_tick_behavior(behavior);
        ticks.reset_immediately();
        driver.handle.clock().advance(ms(10));
        driver.turn();
        assert!(now(pin!(ticks.tick())).is_ready());
        assert!(now(pin!(ticks.tick())).is_pending());
    }
    let checks: [(fn(), u32); 2] = [
        (|| drop(interval(Duration::ZERO)), line!()),
        (|| drop(interval_at(Instant::now(), ms(0))), line!()),
    ];
    for (check, expected) in checks {
        let (message, line) = panics(check);
        assert!(message.contains("must not be zero"), "{message}");
        assert_eq!(line, expected);
    }
}
