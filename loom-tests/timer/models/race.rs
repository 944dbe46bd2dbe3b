//! A timer that is cancelled, given another deadline or polled while it fires.

use std::sync::Arc;
use std::task::Context;

use loom::thread;

use super::harness::model;
use super::world::{Count, World};
use crate::alarm::Alarm;
use crate::current::Handle;
use crate::instant::Instant;
use crate::timers::Hooks;

#[test]
fn cancel_against_fire() {
    model("cancel_against_fire", None, || {
        let world = World::new();
        let (count, waker) = Count::new();
        let key = world.timers.arm(world.at(1), waker).unwrap();
        let driver = thread::spawn({
            let world = world.clone();
            move || world.turn(2)
        });
        let cancelled = world.timers.cancel(key).is_some();
        driver.join().unwrap();
        // Exactly one of the two got the waker.
        assert_eq!(count.get(), usize::from(!cancelled));
        world.turn(3);
        assert_eq!(count.get(), usize::from(!cancelled));
        assert_eq!(world.timers.stats().pending, 0);
        assert!(world.timers.cancel(key).is_none());
    });
}

#[test]
fn reset_against_fire() {
    model("reset_against_fire", None, || {
        let world = World::new();
        let (count, waker) = Count::new();
        let key = world.timers.arm(world.at(1), waker).unwrap();
        let driver = thread::spawn({
            let world = world.clone();
            move || world.turn(2)
        });
        let still_armed = world.timers.rearm(key, world.at(5));
        driver.join().unwrap();
        // Either it fired by its old deadline and the reset was told so, or it waits for the new one.
        assert_eq!(count.get(), usize::from(!still_armed));
        assert_eq!(world.timers.is_armed(key), still_armed);
        world.turn(4);
        assert_eq!(count.get(), usize::from(!still_armed));
        world.turn(6);
        assert_eq!(count.get(), 1);
        assert_eq!(world.timers.stats().pending, 0);
    });
}

#[test]
fn poll_against_fire() {
    model("poll_against_fire", None, || {
        let world = World::new();
        let (old, waker) = Count::new();
        let key = world.timers.arm(world.at(1), waker).unwrap();
        let driver = thread::spawn({
            let world = world.clone();
            move || world.turn(2)
        });
        let (new, waker) = Count::new();
        let fired = world.timers.poll(key, &waker).unwrap();
        driver.join().unwrap();
        assert!(world.timers.poll(key, &waker).unwrap());
        // A poll that says "not yet" has left its waker in time to be the one that is woken.
        assert_eq!((old.get(), new.get()), if fired { (1, 0) } else { (0, 1) });
    });
}

#[test]
fn an_old_key_against_the_next_user_of_its_entry() {
    model("an_old_key_against_the_next_user_of_its_entry", None, || {
        let world = World::new();
        let (first, waker) = Count::new();
        let old = world.timers.arm(world.at(1), waker).unwrap();
        let driver = thread::spawn({
            let world = world.clone();
            move || world.turn(2)
        });
        // Takes the entry that the first timer leaves, if it has left it.
        let (second, waker) = Count::new();
        let new = world.timers.arm(world.at(9), waker).unwrap();
        let cancelled = world.timers.cancel(old).is_some();
        driver.join().unwrap();
        assert_eq!(first.get(), usize::from(!cancelled));
        assert!(world.timers.is_armed(new));
        world.turn(10);
        assert_eq!(second.get(), 1);
    });
}

#[test]
fn arm_against_turn() {
    model("arm_against_turn", None, || {
        let world = World::new();
        let (count, waker) = Count::new();
        let arming = thread::spawn({
            let world = world.clone();
            move || world.timers.arm(world.at(1), waker).unwrap()
        });
        world.turn(2);
        arming.join().unwrap();
        // Whatever the first turn saw, the next one fires it, and the look without the lock tells the watcher so.
        if count.get() == 0 {
            assert!(world.timers.next_due().is_some_and(|due| due <= world.at(2)));
            world.turn(2);
        }
        assert_eq!(count.get(), 1);
    });
}

/// A future that is reset on another worker moves there, while the worker it comes from fires it.
#[test]
fn a_reset_that_moves_against_fire() {
    // Far away, since an alarm itself looks at the clock when it is first polled.
    const HOUR: u64 = 3_600_000;
    model("a_reset_that_moves_against_fire", None, || {
        let worlds = World::workers();
        let all = worlds.iter().map(|world| Arc::clone(&world.timers)).collect();
        let handle = Handle::new(worlds[0].timers.clock().clone(), all, Hooks::default());
        let (count, waker) = Count::new();
        let mut cx = Context::from_waker(&waker);

        let mut alarm = {
            let _first = handle.at(0).enter();
            Alarm::until(Instant::from_std(worlds[0].at(HOUR)))
        };
        assert!(alarm.poll_elapsed(&mut cx).is_pending());
        let driver = thread::spawn({
            let world = worlds[0].clone();
            move || world.turn(2 * HOUR)
        });
        {
            let _second = handle.at(1).enter();
            alarm.reset(Instant::from_std(worlds[0].at(3 * HOUR)));
        }
        driver.join().unwrap();
        assert_eq!(worlds[0].timers.stats().pending, 0, "nothing is left where it was");
        let moved = worlds[1].timers.stats().pending;
        assert_eq!(count.get(), 1 - moved, "it fired there, or is armed here");
        assert!(!alarm.is_elapsed());
        if moved == 0 {
            assert!(alarm.poll_elapsed(&mut cx).is_pending());
        }
        worlds[1].turn(4 * HOUR);
        assert_eq!(count.get(), 2 - moved);
        assert!(alarm.poll_elapsed(&mut cx).is_ready());
    });
}

/// A future is dropped by one thread while its worker fires it: the task's waker goes exactly one way.
#[test]
fn drop_against_fire() {
    model("drop_against_fire", None, || {
        let world = World::new();
        let handle = Handle::new(
            world.timers.clock().clone(),
            vec![Arc::clone(&world.timers)],
            Hooks::default(),
        );
        let (count, waker) = Count::new();
        let _inside = handle.enter();
        let mut alarm = Alarm::until(Instant::from_std(world.at(3_600_000)));
        assert!(alarm.poll_elapsed(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        let dropping = thread::spawn(move || drop(alarm));
        world.turn(7_200_000);
        dropping.join().unwrap();
        assert!(count.get() <= 1);
        assert_eq!(Arc::strong_count(&count), 1, "no waker is left");
        assert_eq!(world.timers.stats().pending, 0);
    });
}
