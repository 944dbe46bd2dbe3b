//! The watcher's sleep against a worker's start, with the watcher's wake-up as a step of a model's thread; and its call for help.

use super::harness::model;
use super::support::{Counts, Yard, counted};
use crate::scheduler::idle::Idle;
use crate::scheduler::watch::{Pulse, Watch};
use crate::task::raw::Slot;
use loom::sync::Arc;
use loom::thread;

#[test]
fn a_running_worker_is_watched() {
    model("a_running_worker_is_watched", None, || {
        let house = Arc::new((Idle::new(1), Watch::new()));
        // The worker sleeps, and the alarm that was set while it ran is about to go off.
        house.0.announce(0, false);
        let _ = house.1.arm();
        let worker = thread::spawn({
            let house = house.clone();
            move || {
                let _ = house.0.retract(0);
                house.1.started();
            }
        });
        // The look: somebody runs -> the alarm is set again; nobody -> the watcher rests, unless somebody has just started.
        let runs = || !house.0.is_parked(0);
        let armed = runs() || !house.1.rest(runs);
        worker.join().expect("joined");
        // Either the watcher set the alarm again, or the worker found it unset and set it.
        assert!(armed || !house.1.arm(), "a worker runs and nobody will look at it");
    });
}

/// A worker that is busy meets the flag behind no fence: what made the watcher raise it is there for whoever takes it.
#[test]
fn who_is_called_for_help_finds_what_waits() {
    model("who_is_called_for_help_finds_what_waits", None, || {
        let (yard, counts) = (Yard::new(), Counts::new());
        let handle = yard.spawn(counted(&counts, |_| true));
        let stuck = Arc::new((Pulse::new(), Slot::new()));
        let watcher = thread::spawn({
            let stuck = stuck.clone();
            move || {
                if !stuck.1.is_empty() {
                    stuck.0.call_help();
                }
            }
        });
        let helper = thread::spawn({
            let stuck = stuck.clone();
            move || {
                if stuck.0.take_stuck() {
                    stuck.1.take().expect("help came and found nothing").run();
                }
            }
        });
        assert!(stuck.1.replace(yard.take().expect("a task")).is_none());
        watcher.join().expect("joined");
        helper.join().expect("joined");
        if let Some(task) = stuck.1.take() {
            task.run();
        }
        assert_eq!(counts.polls(), 1, "a task was lost or run twice");
        assert!(handle.is_finished());
    });
}
