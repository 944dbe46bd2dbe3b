//! The inbox: where runnables from outside the runtime's workers wait, and those that a worker cannot keep.
//!
//! A few shards, each a locked queue of chains of up to [`BATCH`] tasks, which are linked through the tasks themselves. A thread always pushes to the same shard, so
//! its tasks start in order and threads rarely meet. A worker takes a whole chain under one lock, without a look at the tasks, which are in the cache of who pushed
//! them; what it takes of few it counts off there. One word says which shards have something: a bit changes only under its shard's lock, so it is exact whenever the lock is free.
//!
//! Pushing wakes nobody. The caller pushes, then runs [`Idle::notify`](super::idle::Idle::notify), whose fence makes sure that either
//! the push is seen by a worker that is about to sleep, or the sleeper by the pusher.

use crate::shim::{AtomicUsize, Bug, Mutex, Ordering, seeded, thread_number};
use crate::task::list::RunQueue;
use crate::task::raw::Runnable;
use crossbeam_utils::CachePadded;
use std::collections::VecDeque;

/// More shards than this were not seen to help; Tokio's trials gave 5.2 times the throughput of one lock at 8 shards, 5.5 times at 64.
const MAX_SHARDS: usize = 8;

/// Taken by a worker at a time at most.
const BATCH: usize = 64;

/// So few are divided among the workers.
const FEW: usize = 16;

/// Room for so many chains is kept when a shard is empty.
const ROOM: usize = 64;

#[derive(Debug)]
pub(crate) struct Inbox {
    /// Bit `i`: shard `i` has something.
    filled: CachePadded<AtomicUsize>,
    shards: Box<[CachePadded<Mutex<Shard>>]>,
}

#[derive(Debug, Default)]
struct Shard {
    /// The oldest first. None is empty, and all but the last have been full.
    chains: VecDeque<RunQueue>,
    len: usize,
}

impl Shard {
    fn push(&mut self, task: Runnable) {
        self.len += 1;
        match self.chains.back_mut() {
            Some(chain) if chain.len() < BATCH => chain.push(task),
            _ => {
                let mut chain = RunQueue::default();
                chain.push(task);
                self.chains.push_back(chain);
            }
        }
    }

    /// A fair part for one of so many, or the oldest chain if there are many. Empty if there is nothing.
    fn take(&mut self, sharers: usize) -> RunQueue {
        let part = self.len.div_ceil(sharers).min(BATCH);
        let Some(first) = self.chains.front_mut() else {
            return RunQueue::default();
        };
        let taken = if part >= first.len() || part > 1 && self.len >= FEW {
            self.chains.pop_front().unwrap_or_default()
        } else {
            let mut taken = RunQueue::default();
            std::iter::from_fn(|| first.pop())
                .take(part)
                .for_each(|task| taken.push(task));
            taken
        };
        self.len -= taken.len();
        if self.len == 0 && self.chains.capacity() > ROOM {
            self.chains.shrink_to(ROOM);
        }
        taken
    }
}

impl Inbox {
    pub(crate) fn new(workers: usize) -> Self {
        let shards = workers.next_power_of_two().min(MAX_SHARDS);
        Self {
            filled: CachePadded::new(AtomicUsize::new(0)),
            shards: (0..shards)
                .map(|_| CachePadded::new(Mutex::new(Shard::default())))
                .collect(),
        }
    }

    pub(crate) fn push(&self, task: Runnable) {
        self.push_to(thread_number() % self.shards.len(), task);
    }

    pub(crate) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// As [`push`](Self::push), into one of the shards.
    pub(crate) fn push_to(&self, shard: usize, task: Runnable) {
        let mut queue = self.shards[shard].lock();
        queue.push(task);
        if queue.len == 1 {
            // Relaxed: the shard's lock orders it for those who take the lock; `notify`'s fence for those who only look.
            self.filled.fetch_or(1 << shard, Ordering::Relaxed);
        }
    }

    /// Whether nothing waits. Exact only behind a fence that is paired with the pusher's.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.filled.load(Ordering::Relaxed) == 0
    }

    /// Takes a part of one shard and gives it to `each`, the oldest first. False if there is nothing.
    ///
    /// `turn` says which shard is asked first, another one each time so that none is forgotten; `sharers` among how many workers the
    /// shard is to be divided.
    pub(crate) fn take(&self, turn: usize, sharers: usize, each: impl FnMut(Runnable)) -> bool {
        let filled = self.filled.load(Ordering::Relaxed);
        if filled == 0 {
            return false;
        }
        let count = self.shards.len();
        let shards = (0..count).map(|step| turn.wrapping_add(step) % count);
        for shard in shards.filter(|shard| filled & (1 << shard) != 0) {
            let mut queue = self.shards[shard].lock();
            let mut taken = queue.take(sharers);
            if taken.len() == 0 {
                continue;
            }
            let clears = queue.len == 0 || seeded(Bug::InboxForgetsRest);
            let queue = Some(queue).filter(|_| !seeded(Bug::InboxLateClear));
            if clears {
                // Relaxed: as in `push`.
                self.filled.fetch_and(!(1 << shard), Ordering::Relaxed);
            }
            drop(queue);
            std::iter::from_fn(|| taken.pop()).for_each(each);
            return true;
        }
        false
    }

    /// The number of runnables that wait.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len).sum()
    }
}
