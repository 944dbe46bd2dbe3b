//! The paused clock, of several workers and of one: it does not jump while a wake is under way, and it does when everybody sleeps.

use super::harness::model;
use crate::driver::{Driver, Pace};
use crate::park::Parker;
use filch_timer::{Clock, Handle, Hooks, sleep};
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

#[test]
fn time_stands_while_a_wake_is_under_way() {
    model("time_stands_while_a_wake_is_under_way", Some(2), || {
        let clock = Clock::pausable();
        clock.pause();
        let begin = clock.now();
        let (drivers, stillness) = Driver::in_step(&clock, 2).expect("fake kernels");
        let drivers = Arc::new(drivers);
        // Somebody is in `block_on`, and sleeps all the time.
        let guest = stillness.guest(Parker::new());
        stillness.fall_asleep();

        let work = loom::sync::Arc::new(AtomicBool::new(false));
        let waker = {
            let (drivers, clock, work) = (drivers.clone(), clock.clone(), work.clone());
            thread::spawn(move || {
                // It has a timer, gives the other one something to do, and sleeps.
                let timers = vec![drivers[0].timers().clone()];
                let entered = Handle::new(clock.clone(), timers, Hooks::default()).enter();
                let mut timer = pin!(sleep(Duration::from_secs(1)));
                assert!(
                    timer
                        .as_mut()
                        .poll(&mut Context::from_waker(Waker::noop()))
                        .is_pending()
                );
                work.store(true, Ordering::Relaxed);
                drivers[1].unpark();
                let mut ready = Vec::new();
                while ready.is_empty() {
                    drivers[0].park(Pace::default(), &mut ready);
                }
                assert_eq!(clock.now() - begin, Duration::from_secs(1));
                drop(entered);
                drivers[1].unpark();
            })
        };
        let mut ready = Vec::new();
        while !work.load(Ordering::Relaxed) {
            drivers[1].park(Pace::default(), &mut ready);
        }
        // This thread is awake and has not done its work: it is still now.
        assert_eq!(clock.now(), begin);
        while clock.now() == begin {
            drivers[1].park(Pace::default(), &mut ready);
        }
        waker.join().expect("joined");
        stillness.wake_up();
        drop(guest);
    });
}

/// A job wakes the one worker and lets the clock go. Another thread wakes it too, perhaps just before, and then the job leaves the edge to that thread and the
/// kernel knows of neither: the mark of the job's wake must be seen by whoever sees that the clock is free.
#[test]
fn time_stands_while_another_threads_wake_is_under_way() {
    model("time_stands_while_another_threads_wake_is_under_way", Some(2), || {
        let clock = Clock::pausable();
        clock.pause();
        let begin = clock.now();
        let driver = Arc::new(Driver::new(&clock).expect("a fake kernel"));
        let entered = Handle::new(clock.clone(), vec![driver.timers().clone()], Hooks::default()).enter();
        let mut timer = pin!(sleep(Duration::from_secs(1)));
        assert!(
            timer
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
        drop(entered);
        let done = loom::sync::Arc::new(AtomicBool::new(false));
        let hold = clock.hold();
        let job = thread::spawn({
            let (driver, done) = (driver.clone(), done.clone());
            move || {
                done.store(true, Ordering::Relaxed);
                driver.unpark();
                drop(hold);
            }
        });
        let other = thread::spawn({
            let driver = driver.clone();
            move || driver.unpark()
        });
        while !done.load(Ordering::Relaxed) {
            driver.park(Pace::default(), &mut Vec::new());
            assert_eq!(clock.now(), begin, "time jumped over a job");
        }
        job.join().expect("joined");
        other.join().expect("joined");
    });
}
