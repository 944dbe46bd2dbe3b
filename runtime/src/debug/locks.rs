//! Who took which lock, and who waits for it.
//!
//! The guards of `filch::sync` are crate tokio's, so nobody hears of a lock's release. But the locks are fair: while somebody waits, whoever took the lock last has it. (Of several readers it may be an
//! earlier one.) So this keeps, for each lock, who took it last, and who waits; debug mode's thread looks for locks that were taken long ago and are waited for since long.

use crate::debug::report::{About, Report, ReportKind};
use crate::task::join::TaskRef;
use crate::task::raw;
use std::collections::HashMap;
use std::panic::Location;
// No protocol rests on it: it is std's in every build.
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Locks that are remembered, about. A lock that is gone is forgotten only by this.
const MOST: usize = 4096;

/// Somebody who took a lock, or waits for one.
#[derive(Clone)]
struct Holder {
    about: About,
    place: &'static Location<'static>,
    since: Instant,
}

impl Holder {
    fn new(place: &'static Location<'static>) -> Self {
        let task = raw::current().map(TaskRef::new);
        let about = task.map(|task| About {
            task: Some(task.id()),
            name: task.name(),
            place: Some(task.location()),
        });
        Self {
            about: about.unwrap_or_default(),
            place,
            since: Instant::now(),
        }
    }

    fn who(&self) -> String {
        match self.about.task {
            Some(_) => self.about.to_string(),
            None => "code outside of tasks".to_owned(),
        }
    }
}

struct Taken {
    by: Holder,
    told: bool,
}

struct Wait {
    number: u64,
    lock: usize,
    owner: usize,
    by: Holder,
}

#[derive(Default)]
struct Locks {
    /// By the place of the lock in memory.
    taken: HashMap<usize, Taken>,
    waits: Vec<Wait>,
    next: u64,
}

static LOCKS: Mutex<Option<Locks>> = Mutex::new(None);

/// Calls `f` under the lock; what it gives may be dropped outside.
fn with<R>(f: impl FnOnce(&mut Locks) -> R) -> R {
    let mut locks: MutexGuard<'_, Option<Locks>> = LOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    f(locks.get_or_insert_default())
}

/// This thread, and the task that it polls, took a lock.
pub(crate) fn took(lock: usize, place: &'static Location<'static>) {
    let by = Holder::new(place);
    with(|locks| {
        if locks.taken.len() >= MOST {
            let now = Instant::now();
            let mut ages: Vec<_> = locks.taken.values().map(|taken| now - taken.by.since).collect();
            ages.sort_unstable();
            let middle = ages[ages.len() / 2];
            locks.taken.retain(|_, taken| now - taken.by.since < middle);
        }
        locks.taken.insert(lock, Taken { by, told: false });
    });
}

/// Somebody in a runtime in debug mode waits for a lock, until this is dropped.
pub(crate) struct Waiting(u64);

impl Waiting {
    pub(crate) fn new(owner: usize, lock: usize, place: &'static Location<'static>) -> Self {
        let by = Holder::new(place);
        with(|locks| {
            let number = locks.next;
            locks.next += 1;
            locks.waits.push(Wait {
                number,
                lock,
                owner,
                by,
            });
            Self(number)
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let gone = with(|locks| {
            let place = locks.waits.iter().position(|wait| wait.number == self.0)?;
            Some(locks.waits.swap_remove(place))
        });
        drop(gone);
    }
}

/// The locks for which somebody of `owner` has waited for `limit`, and which nobody took meanwhile. Each time that a lock is taken is told of once.
pub(crate) fn held_long(owner: usize, limit: Duration) -> Vec<Report> {
    let found = with(|locks| {
        let Locks { taken, waits, .. } = locks;
        let mut found = Vec::new();
        for wait in waits.iter().filter(|wait| wait.owner == owner) {
            let Some(taken) = taken.get_mut(&wait.lock).filter(|taken| !taken.told) else {
                continue;
            };
            if wait.by.since.elapsed() >= limit && taken.by.since.elapsed() >= limit {
                taken.told = true;
                found.push((taken.by.clone(), wait.by.clone()));
            }
        }
        found
    });
    let report = |(holder, waiter): (Holder, Holder)| {
        let elapsed = holder.since.elapsed();
        let message = format!(
            "the lock that {} took at {} has been held for {elapsed:.1?}; {} waits for it at {}",
            holder.who(),
            holder.place,
            waiter.who(),
            waiter.place,
        );
        let about = About {
            place: Some(holder.place),
            ..holder.about
        };
        Report::new(ReportKind::LongLock, about, message).with_elapsed(elapsed)
    };
    found.into_iter().map(report).collect()
}
