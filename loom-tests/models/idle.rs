//! Nobody sleeps on announced work: pushers from outside against workers that go to sleep.
//!
//! Work is a relaxed counter here, so nothing but the protocol's fences makes it visible.

use super::harness::model;
use crate::park::Parker;
use crate::scheduler::idle::Idle;
use crate::shim::{Bug, seeded};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

struct House {
    idle: Idle,
    work: AtomicUsize,
    done: AtomicUsize,
    parkers: Vec<std::sync::Arc<Parker>>,
}

impl House {
    fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self {
            idle: Idle::new(workers),
            work: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            parkers: (0..workers).map(|_| Parker::new()).collect(),
        })
    }

    fn push(&self) {
        self.work.fetch_add(1, Ordering::Relaxed);
        self.wake(self.idle.notify());
    }

    fn wake(&self, chosen: Option<usize>) {
        if let Some(worker) = chosen {
            self.parkers[worker].unpark();
        }
    }

    /// Takes one piece of work.
    fn take(&self) -> bool {
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
    fn settle(&self) {
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
    fn worker(&self, own: usize, total: usize) {
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

#[test]
fn a_push_is_not_slept_over() {
    model("a_push_is_not_slept_over", Some(3), || {
        let house = House::new(1);
        let pusher = thread::spawn({
            let house = house.clone();
            move || house.push()
        });
        house.worker(0, 1);
        pusher.join().expect("joined");
    });
}

#[test]
fn two_pushes_are_not_slept_over() {
    model("two_pushes_are_not_slept_over", Some(2), || {
        let house = House::new(1);
        let pushers: Vec<_> = (0..2)
            .map(|_| {
                let house = house.clone();
                thread::spawn(move || house.push())
            })
            .collect();
        house.worker(0, 2);
        for pusher in pushers {
            pusher.join().expect("joined");
        }
    });
}

#[test]
fn two_workers_and_a_pusher() {
    model("two_workers_and_a_pusher", Some(1), || {
        let house = House::new(2);
        let other = thread::spawn({
            let house = house.clone();
            move || house.worker(1, 2)
        });
        let pusher = thread::spawn({
            let house = house.clone();
            move || {
                house.push();
                house.push();
            }
        });
        house.worker(0, 2);
        pusher.join().expect("joined");
        other.join().expect("joined");
    });
}

/// What a searcher found keeps it busy until somebody else has done the other piece.
#[test]
fn a_searcher_that_stays_busy_leaves_nothing_to_sleepers() {
    model("a_searcher_that_stays_busy_leaves_nothing_to_sleepers", Some(2), || {
        let house = House::new(2);
        house.push();
        assert!(house.take() && house.idle.try_search());
        let other = thread::spawn({
            let house = house.clone();
            move || house.worker(1, 1)
        });
        let pusher = thread::spawn({
            let house = house.clone();
            move || house.push()
        });
        house.settle();
        while house.done.load(Ordering::Acquire) == 0 {
            house.parkers[0].park();
        }
        pusher.join().expect("joined");
        other.join().expect("joined");
    });
}

#[test]
fn one_of_two_sleepers_is_woken() {
    model("one_of_two_sleepers_is_woken", Some(2), || {
        let house = House::new(2);
        let other = thread::spawn({
            let house = house.clone();
            move || house.worker(1, 1)
        });
        let pusher = thread::spawn({
            let house = house.clone();
            move || house.push()
        });
        house.worker(0, 1);
        pusher.join().expect("joined");
        other.join().expect("joined");
    });
}
