//! The LIFO slot: its owner fills and empties it while a rescuer takes from it.

use super::harness::model;
use super::support::{Counts, Yard, counted};
use crate::task::raw::{Runnable, Slot};
use loom::sync::Arc;
use loom::thread;

#[test]
fn owner_and_rescuer_share_the_slot() {
    model("owner_and_rescuer_share_the_slot", None, || {
        let (yard, counts) = (Yard::new(), Counts::new());
        let slot = Arc::new(Slot::new());
        let rescuer = thread::spawn({
            let slot = slot.clone();
            move || {
                if let Some(task) = slot.take() {
                    task.run();
                }
            }
        });
        // Made only now: the slot alone hands their memory to the rescuer.
        let handles: Vec<_> = (0..2).map(|_| yard.spawn(counted(&counts, |_| true))).collect();
        let tasks: Vec<Runnable> = std::iter::from_fn(|| yard.take()).collect();
        for task in tasks {
            if let Some(displaced) = slot.replace(task) {
                displaced.run();
            }
        }
        if let Some(task) = slot.take() {
            task.run();
        }
        rescuer.join().expect("joined");
        if let Some(task) = slot.take() {
            task.run();
        }
        assert_eq!(counts.polls(), 2, "a task was lost or run twice");
        assert!(handles.iter().all(crate::task::JoinHandle::is_finished));
    });
}
