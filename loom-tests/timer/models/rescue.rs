//! Another worker turns the timers of a stuck owner.

use loom::thread;

use super::harness::model;
use super::world::{Count, World};

#[test]
fn owner_against_rescuer_against_cancel() {
    model("owner_against_rescuer_against_cancel", Some(3), || {
        let world = World::new();
        let (kept, waker) = Count::new();
        world.timers.arm(world.at(1), waker).unwrap();
        let (count, waker) = Count::new();
        let key = world.timers.arm(world.at(1), waker).unwrap();
        let rescuer = thread::spawn({
            let world = world.clone();
            move || world.try_turn(2)
        });
        let cancelling = thread::spawn({
            let world = world.clone();
            move || world.timers.cancel(key).is_some()
        });
        world.turn(2);
        rescuer.join().unwrap();
        let cancelled = cancelling.join().unwrap();
        assert_eq!(kept.get(), 1);
        assert_eq!(count.get(), usize::from(!cancelled));
        world.turn(3);
        assert_eq!((kept.get(), count.get()), (1, usize::from(!cancelled)));
        assert_eq!(world.timers.stats().pending, 0);
    });
}

#[test]
fn a_rescuer_fires_what_a_third_thread_armed() {
    model("a_rescuer_fires_what_a_third_thread_armed", None, || {
        let world = World::new();
        let (count, waker) = Count::new();
        let arming = thread::spawn({
            let world = world.clone();
            move || {
                world.timers.arm(world.at(1), waker).unwrap();
            }
        });
        let turned = world.try_turn(2);
        arming.join().unwrap();
        if count.get() == 0 {
            // The rescuer found the lock taken, or came too early: it comes again.
            assert!(world.try_turn(2));
        }
        assert_eq!(count.get(), 1);
        assert!(turned || count.get() == 1);
    });
}
