//! A timer that is cancelled, given another deadline or polled while it fires.

use loom::thread;

use super::harness::model;
use super::world::{Count, World};

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
