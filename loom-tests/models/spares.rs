//! Spares, from the watcher's call to the rest of their cores, in whole runtimes. A thread of the model plays the watcher.

use super::harness::model;
use super::runtime::{runtime, spawn_by};
use super::support::{Counts, Output, counted, outcome};
use crate::park::Parker;
use crate::rt::Runtime;
use crate::scheduler::shared::Shared;
use crate::scheduler::watch::Duty;
use crate::scheduler::watcher::Watcher;
use crate::task::JoinHandle;
use loom::thread;
use std::sync::Arc;

/// The spare that the watcher calls first.
const SPARE: usize = 1;

/// A runtime whose only worker is in a poll that lasts until somebody ends it, with a task that is queued behind it.
struct House {
    runtime: Runtime,
    shared: Arc<Shared>,
    watcher: Watcher,
    long: JoinHandle<Output>,
    ends: Arc<Parker>,
    /// The task that is queued was polled.
    polled: Arc<Parker>,
    queued: JoinHandle<Output>,
    counts: Arc<Counts>,
}

impl House {
    /// `ended`: by the task that is queued. How it comes to that is explored elsewhere.
    fn new(ended: bool) -> Self {
        loom::stop_exploring();
        let runtime = runtime(1);
        let shared = runtime.handle().inner().shared.clone();
        let (begun, ends, polled, counts) = (Parker::new(), Parker::new(), Parker::new(), Counts::new());
        let (begins, waits) = (begun.clone(), ends.clone());
        let long = counted(&Counts::new(), move |_| {
            begins.unpark();
            waits.park();
            true
        });
        let long = spawn_by(runtime.handle(), long);
        begun.park();
        let (end, told) = (ended.then(|| ends.clone()), polled.clone());
        let queued = counted(&counts, move |_| {
            end.iter().for_each(|end| end.unpark());
            told.unpark();
            true
        });
        let queued = spawn_by(runtime.handle(), queued);
        let mut watcher = Watcher::new(&shared);
        assert_eq!(watcher.look(&shared).call, None);
        assert_eq!(watcher.look(&shared).call, Some(SPARE));
        loom::explore();
        Self {
            runtime,
            shared,
            watcher,
            long,
            ends,
            polled,
            queued,
            counts,
        }
    }

    /// Ends the runtime, in one way.
    fn end(self) {
        loom::stop_exploring();
        drop(self.runtime);
        loom::explore();
        assert_eq!(outcome(self.long).expect("a value").read(), 7);
        assert_eq!(outcome(self.queued).expect("a value").read(), 7);
        assert_eq!((self.counts.polls(), self.counts.future_drops()), (1, 1));
        all_rest(&self.shared);
    }

    fn call(&self) -> impl Fn(usize) + Send + use<> {
        self.runtime.call_spares().expect("a runtime with threads")
    }
}

/// Behind the end of the runtime.
fn all_rest(shared: &Shared) {
    for spare in &shared.workers[SPARE..] {
        assert_eq!(spare.pulse.duty(), Duty::Rests, "a spare is lost");
    }
}

/// What the worker waits for is polled by a spare: if it is not, a park does not end.
#[test]
fn a_spare_polls_what_a_stuck_worker_waits_for() {
    model("a_spare_polls_what_a_stuck_worker_waits_for", Some(1), || {
        let mut house = House::new(true);
        house.call()(SPARE);
        house.polled.park();
        house.watcher.look(&house.shared);
        house.end();
    });
}

/// The worker comes back while the spare's thread begins; the spare is sent home, and called again while it goes.
#[test]
fn a_spare_that_leaves_is_called_again() {
    model("a_spare_that_leaves_is_called_again", Some(1), || {
        let mut house = House::new(false);
        let call = house.call();
        call(SPARE);
        house.ends.unpark();
        house.watcher.look(&house.shared);
        if house.shared.workers[SPARE].pulse.duty() == Duty::Rests {
            call(SPARE);
        }
        house.polled.park();
        house.end();
    });
}

/// A spare is called beside the end of the runtime: it is refused, or waited for.
#[test]
fn a_spare_is_called_beside_the_end() {
    model("a_spare_is_called_beside_the_end", Some(1), || {
        let house = House::new(false);
        let call = house.call();
        let watcher = thread::spawn(move || call(SPARE));
        house.ends.unpark();
        drop(house.runtime);
        watcher.join().expect("joined");
        assert!(house.long.is_finished() && house.queued.is_finished());
        assert_eq!(outcome(house.queued).is_ok(), house.counts.polls() == 1);
        assert_eq!(house.counts.future_drops(), 1);
        all_rest(&house.shared);
    });
}
