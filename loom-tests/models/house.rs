//! Workers that take work, search, and go to sleep as the scheduler's do, and those who push: for the models of idleness, and for shuttle's program.
//!
//! Work is a relaxed counter here, so nothing but the protocol's fences makes it visible.

use crate::park::Parker;
use crate::scheduler::idle::Idle;
use crate::shim::{Bug, seeded};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
// Beside loom's.
use std::sync::Arc as StdArc;

/// Workers, without their tasks.
pub(super) struct House {
    pub(super) idle: Idle,
    work: AtomicUsize,
    pub(super) done: AtomicUsize,
    pub(super) parkers: Vec<StdArc<Parker>>,
}

impl House {
    pub(super) fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self {
            idle: Idle::new(workers),
            work: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            parkers: (0..workers).map(|_| Parker::new()).collect(),
        })
    }

    pub(super) fn push(&self) {
        self.work.fetch_add(1, Ordering::Relaxed);
        self.wake(self.idle.notify());
    }

    fn wake(&self, chosen: Option<usize>) {
        if let Some(worker) = chosen {
            self.parkers[worker].unpark();
        }
    }

    /// Takes one piece of work.
    pub(super) fn take(&self) -> bool {
        let mut seen = self.work.load(Ordering::Relaxed);
        while seen > 0 {
            match self
                .work
                .compare_exchange(seen, seen - 1, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// A searcher found work.
    pub(super) fn settle(&self) {
        self.idle.release();
        if self.work.load(Ordering::Relaxed) > 0 {
            self.wake(self.idle.notify());
        }
    }

    /// One piece of work is done.
    fn finish(&self, total: usize) {
        if self.done.fetch_add(1, Ordering::AcqRel) + 1 == total {
            // The end is announced to all, as a shutdown is.
            self.parkers.iter().for_each(|parker| parker.unpark());
        }
    }

    /// A worker, as the scheduler's: take, else search, else announce, look again, park. Ends when all `total` pieces are done.
    pub(super) fn worker(&self, own: usize, total: usize) {
        let mut searching = false;
        loop {
            if self.take() {
                if std::mem::take(&mut searching) {
                    self.settle();
                }
                self.finish(total);
                continue;
            }
            if !searching && self.idle.try_search() {
                searching = true;
                continue;
            }
            self.idle.announce(own, std::mem::take(&mut searching));
            let again = self.work.load(Ordering::Relaxed) > 0 && !seeded(Bug::IdleNoRecheck);
            let over = self.done.load(Ordering::Acquire) >= total;
            if !again && !over {
                self.parkers[own].park();
            }
            searching = self.idle.retract(own);
            if self.done.load(Ordering::Acquire) >= total {
                return;
            }
        }
    }
}
