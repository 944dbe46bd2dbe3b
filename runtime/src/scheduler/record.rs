//! What a simulation is told and what it tells: its slack, the hash of its steps, its tasks.

use crate::scheduler::slack::Slack;
use crate::shim::Mutex;
use crate::task::id::Id;
use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
// A mark between the simulation's thread and foreign ones, and no protocol of its own: it is std's in every build.
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ThreadId;
use std::time::Instant;

/// What others see and set while the simulation runs.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) seed: u64,
    pub(crate) begin: Instant,
    slack: Mutex<Slack>,
    log: Mutex<Log>,
    /// A thread that is not the simulation's woke something: the seed does not decide everything any more.
    foreign: AtomicBool,
    /// The simulation's thread, while it runs.
    thread: Mutex<Option<ThreadId>>,
}

#[derive(Debug)]
struct Log {
    /// FNV-1a over all steps.
    hash: u64,
    steps: u64,
    /// Numbers for the tasks in the order of their first polls: ids differ from run to run.
    names: HashMap<Id, u64>,
}

/// What happened, for the hash.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Main = 1,
    Task,
    Job,
    Time,
    Line,
}

impl Record {
    pub(crate) fn new(seed: u64, slack: Slack, begin: Instant) -> Arc<Self> {
        Arc::new(Self {
            seed,
            begin,
            slack: Mutex::new(slack),
            log: Mutex::new(Log {
                hash: 0xCBF2_9CE4_8422_2325,
                steps: 0,
                names: HashMap::new(),
            }),
            foreign: AtomicBool::new(false),
            thread: Mutex::new(None),
        })
    }

    pub(crate) fn slack(&self) -> Slack {
        self.slack.lock().clone()
    }

    pub(crate) fn set_slack(&self, slack: Slack) {
        *self.slack.lock() = slack;
    }

    pub(crate) fn trace(&self) -> u64 {
        self.log.lock().hash
    }

    pub(crate) fn steps(&self) -> u64 {
        self.log.lock().steps
    }

    pub(crate) fn is_foreign(&self) -> bool {
        // Relaxed: it says what has happened to this run, and orders nothing.
        self.foreign.load(Ordering::Relaxed)
    }

    pub(crate) fn mark_foreign(&self) {
        self.foreign.store(true, Ordering::Relaxed);
    }

    /// The simulation runs on `thread` now, or on none.
    pub(super) fn set_thread(&self, thread: Option<ThreadId>) {
        *self.thread.lock() = thread;
    }

    /// Another thread takes part if the simulation runs and this is not its thread.
    pub(crate) fn notice(&self) {
        let thread = *self.thread.lock();
        if thread.is_some_and(|thread| thread != std::thread::current().id()) {
            self.mark_foreign();
        }
    }

    /// The number of a task that has been polled.
    pub(crate) fn name(&self, id: Id) -> Option<u64> {
        self.log.lock().names.get(&id).copied()
    }

    pub(super) fn note(&self, step: Step, details: [u64; 2]) {
        self.log.lock().note(step, details);
    }

    pub(super) fn note_poll(&self, id: Id, worker: usize) {
        self.log.lock().note_named(Step::Task, id, worker);
    }

    /// A task of a lane is polled, within the poll of its driver.
    pub(super) fn note_line(&self, id: Id) {
        self.log.lock().note_named(Step::Line, id, 0);
    }
}

impl Log {
    fn note_named(&mut self, step: Step, id: Id, detail: usize) {
        let next = self.names.len() as u64;
        let name = *self.names.entry(id).or_insert(next);
        self.note(step, [name, detail as u64]);
    }

    fn note(&mut self, step: Step, details: [u64; 2]) {
        self.steps += 1;
        for word in [step as u64, details[0], details[1]] {
            for byte in word.to_le_bytes() {
                self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
            }
        }
    }
}

/// A live task of a deterministic runtime, by the place where it was spawned.
#[derive(Debug, Clone)]
pub struct Waiting {
    pub(super) name: Option<u64>,
    pub(super) location: &'static Location<'static>,
}

impl Waiting {
    /// Where it was spawned.
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.location
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            Some(name) => write!(f, "task {name}, spawned at {}", self.location),
            None => write!(f, "a task that was never polled, spawned at {}", self.location),
        }
    }
}
