//! A timer that is armed while the owner goes to sleep.

use loom::thread;

use super::harness::model;
use super::world::{Count, World};

#[test]
fn arm_against_park() {
    model("arm_against_park", None, || {
        let world = World::new();
        let (_late, waker) = Count::new();
        world.timers.arm(world.at(100), waker).unwrap();
        let (count, waker) = Count::new();
        let arming = thread::spawn({
            let world = world.clone();
            move || {
                world.timers.arm(world.at(5), waker).unwrap();
            }
        });
        world.turn(1);
        let until = world.timers.park();
        let knows = until.is_some_and(|until| until < world.at(50));
        if !knows {
            // It would sleep past the new deadline: somebody has to wake it.
            world.owner.sleep();
        }
        world.timers.unpark();
        arming.join().unwrap();
        assert_eq!(world.owner.woken(), usize::from(!knows));
        world.turn(6);
        assert_eq!(count.get(), 1);
    });
}

#[test]
fn two_arm_against_park() {
    model("two_arm_against_park", Some(3), || {
        let world = World::new();
        let arming = [20, 10].map(|due| {
            let world = world.clone();
            thread::spawn(move || {
                let (_count, waker) = Count::new();
                world.timers.arm(world.at(due), waker).unwrap();
            })
        });
        let until = world.timers.park();
        let knows = until.is_some_and(|until| until < world.at(15));
        if !knows {
            world.owner.sleep();
        }
        for arming in arming {
            arming.join().unwrap();
        }
        // One wake is enough, however many are armed: the owner turns before it sleeps again.
        assert!(world.owner.woken() <= 1);
        world.timers.unpark();
        assert!(world.timers.park().is_some_and(|until| until < world.at(15)));
    });
}

#[test]
fn nobody_wakes_an_owner_that_is_awake() {
    model("nobody_wakes_an_owner_that_is_awake", None, || {
        let world = World::new();
        let arming = thread::spawn({
            let world = world.clone();
            move || {
                let (_count, waker) = Count::new();
                world.timers.arm(world.at(5), waker).unwrap();
            }
        });
        world.turn(1);
        arming.join().unwrap();
        assert_eq!(world.owner.woken(), 0);
        assert!(world.timers.park().is_some());
    });
}

#[test]
fn a_later_timer_lets_the_owner_sleep() {
    model("a_later_timer_lets_the_owner_sleep", None, || {
        let world = World::new();
        let (_soon, waker) = Count::new();
        world.timers.arm(world.at(5), waker).unwrap();
        let arming = thread::spawn({
            let world = world.clone();
            move || {
                let (_count, waker) = Count::new();
                let key = world.timers.arm(world.at(10), waker).unwrap();
                world.timers.cancel(key);
            }
        });
        assert!(world.timers.park().is_some());
        arming.join().unwrap();
        assert_eq!(world.owner.woken(), 0);
    });
}

#[test]
fn reset_to_an_earlier_deadline_wakes_the_owner() {
    model("reset_to_an_earlier_deadline_wakes_the_owner", None, || {
        let world = World::new();
        let (count, waker) = Count::new();
        let key = world.timers.arm(world.at(100), waker).unwrap();
        let resetting = thread::spawn({
            let world = world.clone();
            move || assert!(world.timers.rearm(key, world.at(5)))
        });
        let until = world.timers.park();
        if until.is_none_or(|until| until > world.at(50)) {
            world.owner.sleep();
        }
        world.timers.unpark();
        resetting.join().unwrap();
        world.turn(6);
        assert_eq!(count.get(), 1);
    });
}
