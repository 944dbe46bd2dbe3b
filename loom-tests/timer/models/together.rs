//! Fire, cancel, reset and move of timers at once, with three threads.

use std::sync::Arc;
use std::task::Context;

use loom::thread;

use super::harness::model;
use super::world::{Count, World};
use crate::alarm::Alarm;
use crate::current::Handle;
use crate::instant::Instant;
use crate::timers::Hooks;

/// Far away, since an alarm itself looks at the clock when it is first polled.
const HOUR: u64 = 3_600_000;

/// Its worker fires it, a task on another worker resets it and so takes it along, and that worker turns too.
#[test]
fn a_moving_timer_between_two_turns() {
    model("a_moving_timer_between_two_turns", Some(3), || {
        let worlds = World::workers();
        let all = worlds.iter().map(|world| Arc::clone(&world.timers)).collect();
        let handle = Handle::new(worlds[0].timers.clock().clone(), all, Hooks::default());
        let (count, waker) = Count::new();
        let mut alarm = {
            let _first = handle.at(0).enter();
            Alarm::until(Instant::from_std(worlds[0].at(HOUR)))
        };
        assert!(alarm.poll_elapsed(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        let drivers = worlds.each_ref().map(|world| {
            let world = world.clone();
            thread::spawn(move || {
                world.turn(2 * HOUR);
            })
        });
        {
            let _second = handle.at(1).enter();
            // Due for the second worker at once.
            alarm.reset(Instant::from_std(worlds[1].at(HOUR + 1)));
        }
        for driver in drivers {
            driver.join().unwrap();
        }
        assert_eq!(worlds[0].timers.stats().pending, 0, "nothing is left where it was");
        let before = count.get();
        let pending = worlds[1].timers.stats().pending;
        worlds[1].turn(2 * HOUR);
        // The waker went with the timer, and whoever took the timer out woke it: once for the one arming or the other.
        assert_eq!(count.get(), before + pending);
        assert_eq!(count.get(), 1);
        assert_eq!(Arc::strong_count(&count), 1, "no waker is left");
        drop(alarm);
    });
}

/// A task resets its timer while its worker fires it and a rescuer does too; then it is dropped.
#[test]
fn a_reset_between_owner_and_rescuer() {
    model("a_reset_between_owner_and_rescuer", Some(3), || {
        let world = World::new();
        let (count, waker) = Count::new();
        let key = world.timers.arm(world.at(1), waker).unwrap();
        let owner = thread::spawn({
            let world = world.clone();
            move || world.turn(2)
        });
        let rescuer = thread::spawn({
            let world = world.clone();
            move || world.try_turn(2)
        });
        let still_armed = world.timers.rearm(key, world.at(5));
        let cancelled = world.timers.cancel(key).is_some();
        owner.join().unwrap();
        rescuer.join().unwrap();
        assert_eq!(
            still_armed, cancelled,
            "what was set to later fires by its old deadline"
        );
        assert_eq!(count.get(), usize::from(!cancelled));
        assert_eq!(Arc::strong_count(&count), 1, "no waker is left");
        assert_eq!(world.timers.stats().pending, 0);
    });
}

/// Another thread polls with a new waker, and a third cancels, while the timer fires.
#[test]
fn a_poll_and_a_cancel_against_fire() {
    model("a_poll_and_a_cancel_against_fire", Some(3), || {
        let world = World::new();
        let (old, waker) = Count::new();
        let key = world.timers.arm(world.at(1), waker).unwrap();
        let driver = thread::spawn({
            let world = world.clone();
            move || {
                world.turn(2);
            }
        });
        let (new, waker) = Count::new();
        let polling = thread::spawn({
            let world = world.clone();
            move || world.timers.poll(key, &waker).unwrap()
        });
        let cancelled = world.timers.cancel(key).is_some();
        driver.join().unwrap();
        // To a poll a timer that is gone is one that has fired.
        let gone = polling.join().unwrap();
        assert_eq!(old.get() + new.get(), usize::from(!cancelled));
        assert!(!gone || new.get() == 0, "a waker that was not stored is woken");
        assert_eq!(
            (Arc::strong_count(&old), Arc::strong_count(&new)),
            (1, 1),
            "no waker is left"
        );
        assert_eq!(world.timers.stats().pending, 0);
    });
}
