//! The live tasks of one worker, and what lets a task find its scheduler without counting references to it.
//!
//! A task holds a plain pointer to the [`Owned`] that it was spawned into. It is good for as long as the task stands in that
//! list, for an `Owned` that is dropped with a task in it ends the process. Whoever uses the pointer
//! holds the task's runnable, so the task is not complete, so it stands in the list.
//! After a thread has handed the runnable over it must not use the pointer again: the task may run, end, and let the scheduler go meanwhile.
//! That is why a thread that is no worker holds an `Arc` of the pool before it gives the runnable away.
//!
//! A worker's list has several *parts*, each with its own lock, which tasks enter in turns of [`TURN`]: who spawns many and who ends
//! those before them seldom meet at one lock, and do not write the same neighbours' links.

use crate::scope::{self, ambient};
use crate::shim::{Bug, Mutex, RawGuard, seeded};
use crate::task::id::Id;
use crate::task::join::JoinHandle;
use crate::task::list::TaskList;
use crate::task::raw::{AbortRef, Ended, Header, Make, Runnable, Schedule};
use crossbeam_utils::CachePadded;
use std::panic::Location;
use std::ptr::NonNull;
// Counts that no protocol rests on: they are std's in every build.
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

/// The scheduler, as its tasks see it.
pub(crate) trait Pool: Send + Sync + Sized + 'static {
    /// Gives a task that was woken or aborted to this thread's core, if the thread is a worker of `pool`; else gives it back. The
    /// pointer is only compared.
    fn keep(pool: *const Self, task: Runnable) -> Option<Runnable>;

    /// As [`keep`](Self::keep), for the task that this thread just polled and that was woken meanwhile: it goes behind the others.
    fn keep_last(pool: *const Self, task: Runnable) -> Option<Runnable>;

    /// Takes a task from any thread.
    fn inject(&self, task: Runnable);

    /// The last task of a closed or watched list is gone.
    fn drained(&self);
}

/// The tasks that a runtime's shutdown found alive, counted as they end.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    cancelled: AtomicUsize,
    panicked: AtomicUsize,
}

impl Leftovers {
    /// A task of a closed list has ended.
    fn count(&self, ended: Ended) {
        let count = match ended {
            Ended::Finished => return,
            Ended::Cancelled => &self.cancelled,
            Ended::Panicked => &self.panicked,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// One of those that were cancelled is, or will be, no task of the program's.
    pub(crate) fn discount(&self) {
        // It may come before what it takes back: all of them wrap around.
        self.cancelled.fetch_sub(1, Ordering::Relaxed);
    }

    /// Those that were cancelled, and those whose destructor panicked. Exact when all are gone.
    pub(crate) fn get(&self) -> (usize, usize) {
        (
            self.cancelled.load(Ordering::Relaxed),
            self.panicked.load(Ordering::Relaxed),
        )
    }
}

/// So many tasks in a row of one spawning thread enter the same part of a list.
const TURN: u64 = 64;

/// One list of live tasks, its parts at fixed places in memory.
#[derive(Debug)]
pub(crate) struct Owned<P: Pool>(Box<[CachePadded<Home<P>>]>);

#[derive(Debug)]
struct Home<P> {
    pool: Weak<P>,
    tasks: Mutex<Tasks>,
    leftovers: Arc<Leftovers>,
}

#[derive(Debug, Default)]
struct Tasks {
    list: TaskList,
    /// No task may enter any more.
    closed: bool,
    /// Somebody waits for the list to be empty.
    watched: bool,
}

impl<P: Pool> Owned<P> {
    /// A list of so many parts, a power of two.
    pub(crate) fn new(parts: usize, pool: &Weak<P>, leftovers: &Arc<Leftovers>) -> Self {
        assert!(parts.is_power_of_two(), "{parts} parts");
        let home = |_| {
            CachePadded::new(Home {
                pool: pool.clone(),
                tasks: Mutex::new(Tasks::default()),
                leftovers: leftovers.clone(),
            })
        };
        Self((0..parts).map(home).collect())
    }

    /// The part that the next task of this thread enters.
    #[inline]
    fn part(&self) -> &Home<P> {
        // The low bits are all that counts, and there is a power of two of parts.
        let turn = (Id::upcoming() / TURN) as usize;
        &self.0[turn & (self.0.len() - 1)]
    }

    fn parts(&self) -> impl Iterator<Item = RawGuard<'_, Tasks>> {
        self.0.iter().map(|home| home.tasks.lock())
    }

    /// Makes a task and enters it. There is no runnable if the list is closed: then the future is dropped here, and the handle says so.
    pub(crate) fn spawn<M: Make>(&self, task: M) -> (Option<Runnable>, JoinHandle<M::Value>) {
        let home = self.part();
        let (runnable, join) = task.make(HomeRef(NonNull::from(home)));
        let entered = {
            let mut tasks = home.tasks.lock();
            if !tasks.closed {
                tasks.list.insert(&runnable);
            }
            !tasks.closed
        };
        let handle = JoinHandle::new(join);
        if entered {
            return (Some(runnable), handle);
        }
        // The run of an aborted task drops its future. `release` finds that it stands in no list. So the task must end here and now, for its
        // pointer to this home is good for no later wake: what it has to clean up is left to the scope around the spawn.
        ambient::with_heir(scope::current, || runnable.abort_and_run());
        (None, handle)
    }

    /// Lets no further task in and aborts those that are there.
    pub(crate) fn close(&self, runnables: &mut Vec<Runnable>) {
        for mut tasks in self.parts() {
            tasks.closed = true;
            tasks.list.abort_all(runnables);
        }
    }

    /// Lets no further task in. What is to become of those that are there is the caller's to say.
    pub(crate) fn lock_up(&self) -> Vec<AbortRef> {
        let mut found = Vec::new();
        for mut tasks in self.parts() {
            tasks.closed = true;
            found.extend(tasks.list.refer());
        }
        found
    }

    /// Wakes the task at place `index` of the list, for nothing.
    pub(crate) fn wake(&self, mut index: usize) -> Option<Runnable> {
        for tasks in self.parts() {
            match index.checked_sub(tasks.list.len()) {
                Some(left) => index = left,
                None => return tasks.list.wake(index),
            }
        }
        None
    }

    /// The live tasks, and where they were spawned.
    pub(crate) fn describe(&self) -> Vec<(Id, &'static Location<'static>)> {
        let mut found = Vec::new();
        for tasks in self.parts() {
            found.extend(tasks.list.describe());
        }
        found
    }

    /// References to the live tasks, of each part the oldest first.
    pub(crate) fn refer(&self) -> Vec<AbortRef> {
        let mut found = Vec::new();
        for tasks in self.parts() {
            let begin = found.len();
            found.extend(tasks.list.refer());
            found[begin..].reverse();
        }
        found
    }

    /// Whether the list is closed and empty.
    pub(crate) fn is_drained(&self) -> bool {
        self.parts().all(|tasks| tasks.closed && tasks.list.len() == 0)
    }

    pub(crate) fn len(&self) -> usize {
        self.parts().map(|tasks| tasks.list.len()).sum()
    }

    /// Says, or says no more, that the pool is to be told when the list is empty.
    pub(crate) fn watch(&self, watched: bool) {
        for mut tasks in self.parts() {
            tasks.watched = watched;
        }
    }

    /// Whether all of these lists are empty at the same time.
    pub(crate) fn are_empty<'a>(lists: impl Iterator<Item = &'a Self>) -> bool {
        // All locks together, in order: a task that spawns into one list and leaves another is seen in one of them.
        let lists: Vec<_> = lists.flat_map(Self::parts).collect();
        lists.iter().all(|tasks| tasks.list.len() == 0)
    }
}

impl<P: Pool> Drop for Owned<P> {
    fn drop(&mut self) {
        if self.len() != 0 {
            eprintln!("filch: a scheduler was dropped before its tasks; this is a bug in filch");
            std::process::abort();
        }
    }
}

/// A task's pointer to its home.
struct HomeRef<P: Pool>(NonNull<Home<P>>);

impl<P: Pool> HomeRef<P> {
    fn home(&self) -> &Home<P> {
        // SAFETY: see the head of this file: the caller holds the runnable, or runs the task, and has not given it away yet.
        unsafe { self.0.as_ref() }
    }
}

impl<P: Pool> Clone for HomeRef<P> {
    fn clone(&self) -> Self {
        Self(self.0)
    }
}

impl<P: Pool> Schedule for HomeRef<P> {
    fn schedule(self, task: Runnable) {
        let left = P::keep(self.home().pool.as_ptr(), task);
        self.give(left);
    }

    fn reschedule(self, task: Runnable) {
        let left = P::keep_last(self.home().pool.as_ptr(), task);
        self.give(left);
    }

    fn release(self, task: NonNull<Header>, ended: Ended) {
        let home = self.home();
        let is_told = {
            let mut tasks = home.tasks.lock();
            if !tasks.list.remove(task) {
                return;
            }
            if tasks.closed {
                home.leftovers.count(ended);
            }
            tasks.list.len() == 0 && (tasks.closed || tasks.watched && !seeded(Bug::IdleInSilence))
        };
        if is_told {
            // The thread that runs a task holds the pool, so the home is good for this.
            self.pool().drained();
        }
    }
}

impl<P: Pool> HomeRef<P> {
    #[inline]
    fn give(self, task: Option<Runnable>) {
        if let Some(task) = task {
            self.inject(task);
        }
    }

    #[cold]
    #[inline(never)]
    fn inject(self, task: Runnable) {
        // Held before the task is given away, which may be the last that keeps the pool.
        let pool = self.pool();
        pool.inject(task);
    }

    fn pool(&self) -> Arc<P> {
        self.home().pool.upgrade().expect("a pool outlives its listed tasks")
    }
}
