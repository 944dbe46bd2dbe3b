//! What each thread polls, for debug mode's own thread to see.
//!
//! Only tasks of a runtime in debug mode are entered here, so that nobody else pays. Whoever looks holds the lock of the thread's probe meanwhile: the poll that it sees cannot end
//! before the lock is free, so the thread is alive, and what is learnt of its stack belongs to that poll.

use crate::debug::report::About;
use crate::debug::sampler::{self, ThreadId};
use crate::task::join::TaskRef;
use crate::task::raw;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What is polled, and whose it is.
pub(crate) trait Subject: Send + Sync {
    /// The runtime's debug mode, which tells it from others.
    fn owner(&self) -> usize;

    /// Called with the probe's lock held.
    fn about(&self) -> About;
}

/// A poll that has not ended.
struct Polling {
    number: u64,
    subject: Arc<dyn Subject>,
    since: Instant,
    told: bool,
}

/// The polls that a thread is in, each inside of the one before: a lane's tasks are polled in a poll of its driver.
struct Probe {
    thread: ThreadId,
    polls: Mutex<Vec<Polling>>,
}

impl Probe {
    fn polls(&self) -> MutexGuard<'_, Vec<Polling>> {
        self.polls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// The threads of the process that have polled something in debug mode. Locks, times and atomics of this file are std's in every build: no protocol rests on them.
static PROBES: Mutex<Vec<Arc<Probe>>> = Mutex::new(Vec::new());

/// By which polls are told apart.
static LAST: AtomicU64 = AtomicU64::new(0);

fn probes() -> MutexGuard<'static, Vec<Arc<Probe>>> {
    PROBES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A thread's entry in the list.
struct Entry(Arc<Probe>);

impl Entry {
    fn new() -> Self {
        let probe = Arc::new(Probe {
            thread: ThreadId::current(),
            polls: Mutex::default(),
        });
        probes().push(probe.clone());
        Self(probe)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        probes().retain(|probe| !Arc::ptr_eq(probe, &self.0));
    }
}

std::thread_local! {
    static PROBE: Entry = Entry::new();
}

/// A poll that this thread is in.
#[must_use]
pub(crate) struct Ended {
    pub(crate) elapsed: Duration,
    /// It was found overdue while it ran.
    pub(crate) told: bool,
}

/// A poll begins on this thread. Each is followed by one [`ends`].
pub(crate) fn begins(subject: Arc<dyn Subject>) {
    // A thread whose locals are gone already is not watched.
    let _ = PROBE.try_with(|entry| {
        let polling = Polling {
            // Relaxed: numbers that differ.
            number: LAST.fetch_add(1, Ordering::Relaxed),
            subject,
            since: Instant::now(),
            told: false,
        };
        entry.0.polls().push(polling);
    });
}

/// The latest poll on this thread ends.
pub(crate) fn ends() -> Option<Ended> {
    let now = Instant::now();
    let ended = PROBE.try_with(|entry| {
        let mut polls = entry.0.polls();
        let polling = polls.pop()?;
        let elapsed = now.saturating_duration_since(polling.since);
        // The time of an inner poll is not the outer one's.
        if let Some(outer) = polls.last_mut() {
            outer.since += elapsed;
        }
        drop(polls);
        let told = polling.told;
        // Dropped behind the lock: it may be the last of its kind.
        drop(polling.subject);
        Some(Ended { elapsed, told })
    });
    ended.ok().flatten()
}

/// The poll that this thread is in.
pub(crate) struct Now {
    number: u64,
    subject: Arc<dyn Subject>,
}

impl Now {
    /// Not given to another poll.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn owner(&self) -> usize {
        self.subject.owner()
    }
}

/// The latest poll on this thread, if it is in one.
pub(crate) fn now() -> Option<Now> {
    let now = PROBE.try_with(|entry| {
        let polls = entry.0.polls();
        let polling = polls.last()?;
        Some(Now {
            number: polling.number,
            subject: polling.subject.clone(),
        })
    });
    now.ok().flatten()
}

/// The task that this thread polls, or, in debug mode, the future of a `block_on`.
pub(crate) fn here() -> Option<About> {
    let task = raw::current().map(TaskRef::new).map(|task| About {
        task: Some(task.id()),
        name: task.name(),
        place: Some(task.location()),
    });
    task.or_else(|| now().map(|now| now.subject.about()))
}

/// The numbers of all polls that have not ended.
pub(crate) fn running() -> HashSet<u64> {
    let threads = probes().clone();
    let numbers = |probe: &Arc<Probe>| probe.polls().iter().map(|polling| polling.number).collect::<Vec<_>>();
    threads.iter().flat_map(numbers).collect()
}

/// A poll that has taken too long and has not ended.
pub(crate) struct Overdue {
    pub(crate) about: About,
    pub(crate) elapsed: Duration,
    pub(crate) stack: sampler::Sample,
}

/// The polls of `owner` that have taken `limit` or longer and were not found before, each with the stack of its thread.
pub(crate) fn overdue(owner: usize, limit: Duration) -> Vec<Overdue> {
    let threads = probes().clone();
    let look = |probe: &Arc<Probe>| {
        let mut polls = probe.polls();
        let polling = polls.last_mut()?;
        let elapsed = polling.since.elapsed();
        if polling.told || elapsed < limit || polling.subject.owner() != owner {
            return None;
        }
        polling.told = true;
        Some(Overdue {
            about: polling.subject.about(),
            elapsed,
            stack: probe.thread.sample(),
        })
    };
    threads.iter().filter_map(look).collect()
}
