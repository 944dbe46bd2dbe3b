//! The watcher's sleep against a worker's start, with the watcher's wake-up as a step of a model's thread.

use super::harness::model;
use crate::scheduler::idle::Idle;
use crate::scheduler::watch::Watch;
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
