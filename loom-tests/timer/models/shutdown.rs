//! A timer that is armed or cancelled while the runtime shuts down.

use std::task::Waker;

use loom::thread;

use super::harness::model;
use super::world::{Count, World};

#[test]
fn arm_against_shutdown() {
    model("arm_against_shutdown", None, || {
        let world = World::new();
        let (count, waker) = Count::new();
        let arming = thread::spawn({
            let world = world.clone();
            move || world.timers.arm(world.at(5), waker).is_ok()
        });
        let mut woken = Vec::new();
        world.timers.shutdown(&mut woken);
        woken.into_iter().for_each(Waker::wake);
        // Refused, or taken out by the shutdown: never left behind.
        let armed = arming.join().unwrap();
        assert_eq!(count.get(), usize::from(armed));
        assert_eq!(world.timers.stats().pending, 0);
        assert!(world.timers.is_shut_down());
    });
}

#[test]
fn cancel_against_shutdown() {
    model("cancel_against_shutdown", None, || {
        let world = World::new();
        let (count, waker) = Count::new();
        let key = world.timers.arm(world.at(5), waker.clone()).unwrap();
        let cancelling = thread::spawn({
            let world = world.clone();
            move || world.timers.cancel(key).is_some()
        });
        let mut woken = Vec::new();
        world.timers.shutdown(&mut woken);
        woken.into_iter().for_each(Waker::wake);
        let cancelled = cancelling.join().unwrap();
        assert_eq!(count.get(), usize::from(!cancelled));
        assert!(world.timers.poll(key, &waker).is_err());
    });
}
