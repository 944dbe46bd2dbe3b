//! What a runtime counts.

use crate::inner::Inner;
use crate::scheduler::shared::Remote;
use std::fmt;
use std::sync::Arc;

/// A view of a runtime's counters. From [`Handle::metrics`](crate::runtime::Handle::metrics).
///
/// Each number is read for itself and true for the moment; counters of workers only grow (and wrap around). Counting
/// costs a worker one plain store.
#[derive(Clone)]
pub struct RuntimeMetrics {
    inner: Arc<Inner>,
}

impl RuntimeMetrics {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// The number of workers. A current_thread runtime has one.
    pub fn num_workers(&self) -> usize {
        self.inner.shared.regular().len()
    }

    /// Tasks that were spawned and have not ended. Takes each worker's list lock once.
    pub fn num_alive_tasks(&self) -> usize {
        self.inner.shared.workers.iter().map(|worker| worker.owned.len()).sum()
    }

    /// How often a spare thread took over because all workers were stuck in long polls. Such a runtime needs more workers, or
    /// its long computations belong into [`spawn_blocking`](crate::task::spawn_blocking).
    pub fn spare_takeover_count(&self) -> usize {
        self.inner.shared.spare_calls.get()
    }

    /// Tasks that wait in the inbox for a worker. Takes each shard's lock once.
    pub fn global_queue_depth(&self) -> usize {
        self.inner.shared.inbox.len()
    }

    /// Threads of the blocking pool.
    pub fn num_blocking_threads(&self) -> usize {
        self.inner.blocking.counts().0
    }

    /// Threads of the blocking pool that wait for a job.
    pub fn num_idle_blocking_threads(&self) -> usize {
        self.inner.blocking.counts().1
    }

    /// Blocking jobs that wait for a thread.
    pub fn blocking_queue_depth(&self) -> usize {
        self.inner.blocking.counts().2
    }

    /// Tasks in a worker's queue.
    ///
    /// # Panics
    ///
    /// As all functions of this type that take a worker's number: if there is no such worker.
    #[track_caller]
    pub fn worker_local_queue_depth(&self, worker: usize) -> usize {
        self.worker(worker).stealer.len()
    }

    /// Polls of tasks.
    ///
    /// # Panics
    ///
    /// If there is no such worker.
    #[track_caller]
    pub fn worker_poll_count(&self, worker: usize) -> usize {
        self.worker(worker).pulse.polls()
    }

    /// Polls of tasks that ran out of the slot, right after the task that woke them.
    ///
    /// # Panics
    ///
    /// If there is no such worker.
    #[track_caller]
    pub fn worker_slot_poll_count(&self, worker: usize) -> usize {
        self.worker(worker).counters.slot_polls.get()
    }

    /// Times that the worker went to sleep.
    ///
    /// # Panics
    ///
    /// If there is no such worker.
    #[track_caller]
    pub fn worker_park_count(&self, worker: usize) -> usize {
        self.worker(worker).counters.parks.get()
    }

    /// Times that the worker took a batch of tasks out of another's queue.
    ///
    /// # Panics
    ///
    /// If there is no such worker.
    #[track_caller]
    pub fn worker_steal_count(&self, worker: usize) -> usize {
        self.worker(worker).counters.steals.get()
    }

    /// Times that the worker served another that was stuck in a long poll.
    ///
    /// # Panics
    ///
    /// If there is no such worker.
    #[track_caller]
    pub fn worker_rescue_count(&self, worker: usize) -> usize {
        self.worker(worker).counters.rescues.get()
    }

    /// Turns of the worker's reactor and timers, those by rescuers not counted.
    ///
    /// # Panics
    ///
    /// If there is no such worker.
    #[track_caller]
    pub fn worker_driver_turn_count(&self, worker: usize) -> usize {
        self.worker(worker).counters.turns.get()
    }

    /// Sockets and other sources that are registered with the worker's reactor.
    ///
    /// # Panics
    ///
    /// If there is no such worker.
    #[track_caller]
    pub fn worker_io_sources(&self, worker: usize) -> usize {
        self.worker(worker).driver.reactor().load()
    }

    /// Timers that wait in the worker's wheel. Takes its lock once.
    ///
    /// # Panics
    ///
    /// If there is no such worker.
    #[track_caller]
    pub fn worker_timers(&self, worker: usize) -> usize {
        self.worker(worker).driver.timers().stats().pending
    }

    #[track_caller]
    fn worker(&self, worker: usize) -> &Remote {
        match self.inner.shared.regular().get(worker) {
            Some(remote) => remote,
            None => panic!("there is no worker {worker}: the runtime has {}", self.num_workers()),
        }
    }
}

impl fmt::Debug for RuntimeMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuntimeMetrics")
            .field("num_workers", &self.num_workers())
            .field("num_alive_tasks", &self.num_alive_tasks())
            .finish_non_exhaustive()
    }
}
