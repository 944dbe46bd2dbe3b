//! What all workers of a runtime, and everybody outside, share.

use crate::driver::Driver;
use crate::scheduler::gate::{ALL, Gate};
use crate::scheduler::idle::Idle;
use crate::scheduler::inbox::Inbox;
use crate::scheduler::owned::{Leftovers, Owned};
use crate::scheduler::watch::{Duty, Pulse, Watch};
use crate::scope::reason::Reason;
use crate::shim::deque::{Local, Stealer};
use crate::shim::{AtomicBool, AtomicUsize, Bug, LIST_PARTS, Mutex, Ordering, fence, seeded, thread_number};
use crate::task::id::Id;
use crate::task::join;
use crate::task::raw::{AbortRef, Runnable, Slot};
use crossbeam_utils::CachePadded;
use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

/// The scheduler's part of a runtime.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The workers, and behind them the spares: those who take over when all workers are stuck.
    pub(crate) workers: Box<[CachePadded<Remote>]>,
    /// How many of them are no spares.
    size: usize,
    /// Some spare was called at some time: only then anybody looks at them.
    has_spares: AtomicBool,
    /// How often one was called. Only the watcher.
    pub(crate) spare_calls: Counter,
    pub(crate) inbox: Inbox,
    pub(crate) idle: Idle,
    pub(crate) watch: Watch,
    pub(crate) gate: Gate,
    pub(crate) leftovers: Arc<Leftovers>,
    /// Whoever waits for the last task to end.
    last: Mutex<Option<Waker>>,
    /// The runtime is shutting down: workers leave when no task is left.
    closing: AtomicBool,
    /// Among so many of the workers' lists the threads outside deal their tasks.
    homes: usize,
}

/// The part of a worker that others reach.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) stealer: Stealer<Runnable>,
    /// The task that the running one just woke: it runs next, on this worker.
    pub(crate) slot: Slot,
    pub(crate) driver: Driver,
    /// The tasks that were spawned here.
    pub(crate) owned: Owned<Shared>,
    /// A hint for thieves: there are more in the queue than its owner should keep, two at least.
    pub(crate) surplus: AtomicBool,
    /// What the watcher looks at and raises.
    pub(crate) pulse: Pulse,
    pub(crate) counters: Counters,
}

/// Counters that only their worker writes, so that counting costs no exchange.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) parks: Counter,
    pub(crate) steals: Counter,
    pub(crate) rescues: Counter,
    pub(crate) slot_polls: Counter,
    pub(crate) turns: Counter,
}

#[derive(Debug)]
pub(crate) struct Counter(AtomicUsize);

impl Counter {
    pub(crate) fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// Adds one. Only the one worker that owns the counter.
    #[inline]
    pub(crate) fn bump(&self) {
        // Relaxed, and no exchange: there is one writer, and readers want no more than a number.
        self.0
            .store(self.0.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// The shared part of one worker for each driver and of so many spares, and the queues that their cores own.
    pub(crate) fn new(
        mut drivers: Vec<Driver>,
        spares: usize,
        pool: &Weak<Self>,
        open_to: usize,
    ) -> (Self, Vec<Local<Runnable>>) {
        let size = drivers.len();
        // Threads differ from run to run: where nothing may, they all go the same way.
        let homes = match drivers.iter().any(Driver::is_simulated) {
            true => 1,
            false => drivers.len(),
        };
        // A spare has no driver of its own: what is made on it belongs to a worker's.
        for spare in 0..spares {
            drivers.push(drivers[spare % size].clone());
        }
        let leftovers = Arc::<Leftovers>::default();
        let queues: Vec<Local<Runnable>> = drivers.iter().map(|_| Local::new()).collect();
        let workers: Box<[_]> = drivers
            .into_iter()
            .zip(&queues)
            .map(|(driver, queue)| CachePadded::new(Remote::new(driver, queue, pool, &leftovers)))
            .collect();
        let shared = Self {
            inbox: Inbox::new(homes),
            idle: Idle::new(size),
            gate: Gate::new(size, open_to),
            leftovers,
            last: Mutex::new(None),
            workers,
            size,
            has_spares: AtomicBool::new(false),
            spare_calls: Counter::new(),
            watch: Watch::new(),
            closing: AtomicBool::new(false),
            homes,
        };
        (shared, queues)
    }

    /// The workers that are no spares.
    pub(crate) fn regular(&self) -> &[CachePadded<Remote>] {
        &self.workers[..self.size]
    }

    /// Those who may have something: the workers, and the spares as soon as one of them was ever called.
    pub(crate) fn in_use(&self) -> &[CachePadded<Remote>] {
        // Relaxed: a look in passing. What is left with a spare is the watcher's business as well.
        match self.has_spares.load(Ordering::Relaxed) {
            true => &self.workers,
            false => self.regular(),
        }
    }

    /// Puts a spare on duty.
    pub(crate) fn call_spare(&self, index: usize) {
        self.has_spares.store(true, Ordering::Relaxed);
        self.workers[index].pulse.set_duty(Duty::Called);
    }

    /// The worker in whose list the tasks of this thread stand, if the thread is no worker of this runtime.
    pub(crate) fn home_outside(&self) -> usize {
        thread_number() % self.homes
    }

    /// Takes a runnable from a thread that is no worker of this runtime.
    pub(crate) fn push_outside(&self, task: Runnable) {
        self.inbox.push(task);
        self.wake_one(self.idle.notify());
    }

    /// Unparks the worker that was chosen.
    pub(crate) fn wake_one(&self, chosen: Option<usize>) {
        if let Some(worker) = chosen {
            self.workers[worker].driver.unpark();
        }
    }

    /// Lets no further task in, aborts those that are there, and sends the workers home when all are gone.
    pub(crate) fn close(&self) {
        let mut runnables = Vec::new();
        for remote in &self.workers {
            remote.owned.close(&mut runnables);
        }
        for task in runnables {
            self.inbox.push(task);
        }
        // Relaxed: the lists are behind their locks, and the fence that follows orders mark and lists for whoever is about to park.
        self.closing.store(true, Ordering::Relaxed);
        // Whoever stands before the gate has tasks to drop.
        self.gate.open(ALL);
        self.unpark_sleepers();
    }

    /// Lets no further task in, and gives those that are there to be [ended](Self::end).
    pub(crate) fn lock_up(&self) -> Vec<AbortRef> {
        self.workers.iter().flat_map(|remote| remote.owned.lock_up()).collect()
    }

    /// As [`close`](Self::close), behind [`lock_up`](Self::lock_up), but tasks that can hear of a cancel do, and come to their end by themselves; those that are
    /// `spared` are left alone.
    pub(crate) fn end(&self, tasks: &[AbortRef], reason: &Reason, spared: &HashSet<Id>) {
        // Relaxed: as in `close`.
        self.closing.store(true, Ordering::Relaxed);
        self.gate.open(ALL);
        for task in tasks.iter().filter(|task| !spared.contains(&task.id())) {
            join::end(task, reason);
        }
        self.unpark_sleepers();
    }

    /// Closes the gate, and returns when no worker is in a poll.
    pub(crate) fn close_gate(&self) {
        self.gate.close(|| {
            for remote in &self.workers {
                remote.pulse.call_driver();
            }
            self.unpark_sleepers();
        });
    }

    /// Waits until no task is alive.
    pub(crate) fn poll_idle(&self, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let before = self.last.lock().replace(waker);
        drop(before);
        for remote in &self.workers {
            remote.owned.watch(true);
        }
        match Owned::are_empty(self.workers.iter().map(|remote| &remote.owned)) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    /// Nobody waits for that any more.
    pub(crate) fn stop_watching(&self) {
        for remote in &self.workers {
            remote.owned.watch(false);
        }
        let before = self.last.lock().take();
        drop(before);
    }

    /// The last task of a closed or watched list is gone.
    pub(crate) fn last_is_gone(&self) {
        if self.is_closing() {
            self.unpark_sleepers();
        }
        let waiter = self.last.lock().take();
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }

    /// Makes every worker that sleeps look again at what it looks at before it parks.
    pub(crate) fn unpark_sleepers(&self) {
        if !seeded(Bug::SleepersNoFence) {
            // Between what the caller changed and the look at the bits; matches the one in `Idle::announce`.
            fence(Ordering::SeqCst);
        }
        for (worker, remote) in self.regular().iter().enumerate() {
            if self.idle.is_parked(worker) {
                remote.driver.unpark();
            }
        }
    }

    /// Whether the runtime shuts down and its last task is gone.
    pub(crate) fn is_over(&self) -> bool {
        self.is_closing() && self.workers.iter().all(|remote| remote.owned.is_drained())
    }

    pub(crate) fn is_closing(&self) -> bool {
        // Relaxed: as in `close`. Seen early, it leads to a look at the lists, whose locks say what is true.
        self.closing.load(Ordering::Relaxed)
    }

    /// Work that a worker must not sleep over. Behind a fence, see [`Idle`].
    pub(crate) fn has_announced_work(&self) -> bool {
        !self.inbox.is_empty() || self.has_stuck_worker()
    }

    /// Whether the watcher asks for help for a worker. One load, as long as it does not.
    #[inline]
    pub(crate) fn has_stuck_worker(&self) -> bool {
        self.watch.has_trouble() && self.in_use().iter().any(|remote| remote.pulse.is_stuck())
    }

    /// Whether a worker other than `thief` has more in its queue than it can run next. Looks at the queues themselves.
    pub(crate) fn has_surplus(&self, thief: usize) -> bool {
        self.in_use()
            .iter()
            .enumerate()
            .any(|(index, remote)| index != thief && remote.stealer.len() >= remote.pulse.surplus())
    }

    /// Whether something waits for a worker that is busy: in its slot, its queue, its reactor or its timers.
    pub(crate) fn waits_for(&self, worker: usize) -> bool {
        let remote = &self.workers[worker];
        // A spare's driver is some worker's, who is looked at for himself.
        !remote.slot.is_empty() || !remote.stealer.is_empty() || worker < self.size && remote.driver.is_due()
    }

    /// Whether some worker is not parked, or a spare on duty.
    pub(crate) fn has_running_worker(&self) -> bool {
        (0..self.size).any(|worker| !self.idle.is_parked(worker) && self.gate.admits(worker))
            || self.in_use()[self.size..]
                .iter()
                .any(|spare| spare.pulse.duty() != Duty::Rests)
    }
}

impl Remote {
    fn new(driver: Driver, queue: &Local<Runnable>, pool: &Weak<Shared>, leftovers: &Arc<Leftovers>) -> Self {
        // Ids differ from run to run: where nothing may, all tasks stand in one part.
        let parts = if driver.is_simulated() { 1 } else { LIST_PARTS };
        Self {
            stealer: queue.stealer(),
            slot: Slot::new(),
            driver,
            owned: Owned::new(parts, pool, leftovers),
            surplus: AtomicBool::new(false),
            pulse: Pulse::new(),
            counters: Counters {
                parks: Counter::new(),
                steals: Counter::new(),
                rescues: Counter::new(),
                slot_polls: Counter::new(),
                turns: Counter::new(),
            },
        }
    }
}
