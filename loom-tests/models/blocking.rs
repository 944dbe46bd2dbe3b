//! The blocking pool: every job runs or is cancelled exactly once, at the cap, when threads leave, when none can be started, and at shutdown.
//!
//! The pool's threads are the model's. Time passes when a thread of the model says so: a keep-alive of zero is over as soon as
//! somebody wakes the thread that waits.

use super::harness::model;
use crate::blocking::{BlockingPool, ThreadConfig};
use crate::handle::park_on;
use crate::shim::TaskPanic;
use crate::task::JoinHandle;
use loom::sync::Arc as Leaky;
use loom::sync::atomic::AtomicUsize as LoomUsize;
use loom::thread;
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
// Read when all threads are gone: no part of what is explored.
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What happened to the jobs and the threads of one pool.
#[derive(Default)]
struct Tally {
    ran: AtomicUsize,
    dropped: AtomicUsize,
    asked: AtomicUsize,
    begun: AtomicUsize,
    /// Threads whose last hook is over. Looked at while a thread might be in it, so loom has to see it.
    ended: LoomUsize,
}

impl Tally {
    fn count(number: &AtomicUsize) {
        number.fetch_add(1, Ordering::Relaxed);
    }

    fn ran(&self) -> usize {
        self.ran.load(Ordering::Relaxed)
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }
}

struct House {
    pool: Arc<BlockingPool>,
    tally: Arc<Tally>,
}

/// A job counts where it is dropped, and a leaked one is a leak that loom reports.
struct Job {
    tally: Arc<Tally>,
    _leak: Leaky<()>,
}

impl Drop for Job {
    fn drop(&mut self) {
        Tally::count(&self.tally.dropped);
    }
}

impl House {
    /// A pool of which only the first `startable` threads can be started.
    fn new(limit: usize, keep_alive: Duration, startable: usize) -> Self {
        let tally = Arc::<Tally>::default();
        let (name, begin, end) = (tally.clone(), tally.clone(), tally.clone());
        let threads = ThreadConfig {
            name: Arc::new(move || {
                if name.asked.fetch_add(1, Ordering::Relaxed) >= startable {
                    std::panic::resume_unwind(Box::new(TaskPanic));
                }
                String::new()
            }),
            stack_size: None,
            on_start: Some(Arc::new(move || Tally::count(&begin.begun))),
            on_stop: Some(Arc::new(move || {
                end.ended.fetch_add(1, Ordering::Relaxed);
            })),
        };
        let pool = BlockingPool::new(threads, limit, keep_alive);
        Self { pool, tally }
    }

    fn other(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            tally: self.tally.clone(),
        }
    }

    fn spawn(&self) -> JoinHandle<()> {
        let job = Job {
            tally: self.tally.clone(),
            _leak: Leaky::new(()),
        };
        let job = move || {
            let job = job;
            Tally::count(&job.tally.ran);
        };
        self.pool.spawn(job, None, Location::caller())
    }

    /// The keep-alive of the threads that wait is over.
    fn time_passes(&self) {
        self.pool.work.notify_all();
    }

    /// Shuts down, and looks whether everything is gone.
    fn close(&self, jobs: usize) {
        assert!(self.pool.shutdown(None), "a thread is left");
        assert_eq!(self.pool.counts(), (0, 0, 0));
        let ended = self.tally.ended.load(Ordering::Relaxed);
        assert_eq!(self.tally.begun(), ended, "a thread is still in its last hook");
        assert_eq!(
            self.tally.dropped.load(Ordering::Relaxed),
            jobs,
            "a job was lost or dropped twice"
        );
    }
}

/// Whether the job ran; waits until that is certain.
fn ran(handle: JoinHandle<()>) -> usize {
    match park_on(pin!(handle), None) {
        Ok(()) => 1,
        Err(error) => {
            assert!(error.is_cancelled());
            0
        }
    }
}

#[test]
fn a_job_runs_or_is_cancelled_by_the_shutdown() {
    model("a_job_runs_or_is_cancelled_by_the_shutdown", Some(3), || {
        let house = House::new(1, Duration::MAX, usize::MAX);
        let first = house.spawn();
        let spawner = thread::spawn({
            let house = house.other();
            move || house.spawn()
        });
        assert!(house.pool.shutdown(None), "a thread is left");
        let second = spawner.join().expect("joined");
        assert!(
            first.is_finished() && second.is_finished(),
            "a job that nobody runs or cancels"
        );
        assert_eq!(ran(first) + ran(second), house.tally.ran());
        house.close(2);
    });
}

#[test]
fn jobs_beyond_the_cap_wait_for_a_thread() {
    model("jobs_beyond_the_cap_wait_for_a_thread", Some(2), || {
        let house = House::new(1, Duration::MAX, usize::MAX);
        let spawner = thread::spawn({
            let house = house.other();
            move || house.spawn()
        });
        let first = house.spawn();
        assert_eq!(ran(spawner.join().expect("joined")), 1);
        assert_eq!(ran(first), 1);
        assert_eq!(house.tally.begun(), 1, "more threads than the cap allows");
        house.close(2);
    });
}

#[test]
fn a_thread_that_leaves_is_promised_no_job() {
    model("a_thread_that_leaves_is_promised_no_job", Some(2), || {
        let house = House::new(1, Duration::ZERO, usize::MAX);
        loom::stop_exploring();
        assert_eq!(ran(house.spawn()), 1);
        loom::explore();
        let clock = thread::spawn({
            let house = house.other();
            move || house.time_passes()
        });
        assert_eq!(ran(house.spawn()), 1);
        clock.join().expect("joined");
        house.close(2);
    });
}

#[test]
fn two_idle_threads_leave_or_take_the_job() {
    model("two_idle_threads_leave_or_take_the_job", Some(1), || {
        let house = House::new(2, Duration::ZERO, usize::MAX);
        // How they came to be idle is not explored.
        loom::stop_exploring();
        let (first, second) = (house.spawn(), house.spawn());
        assert_eq!(ran(first) + ran(second), 2);
        loom::explore();
        let clock = thread::spawn({
            let house = house.other();
            move || house.time_passes()
        });
        assert_eq!(ran(house.spawn()), 1);
        clock.join().expect("joined");
        house.close(3);
    });
}

/// The second thread cannot be started: its job is left to the first thread, or, if that has gone meanwhile, cancelled.
#[test]
fn a_job_without_a_thread_of_its_own_is_not_lost() {
    model("a_job_without_a_thread_of_its_own_is_not_lost", Some(2), || {
        let house = House::new(2, Duration::ZERO, 1);
        let first = house.spawn();
        let clock = thread::spawn({
            let house = house.other();
            move || house.time_passes()
        });
        let second = ran(house.spawn());
        assert_eq!(ran(first), 1);
        clock.join().expect("joined");
        assert_eq!(house.tally.ran(), 1 + second);
        assert_eq!(house.tally.begun(), 1);
        house.close(2);
    });
}

/// A thread on its way out is waited for, with its last hook.
#[test]
fn a_shutdown_waits_for_a_thread_that_leaves() {
    model("a_shutdown_waits_for_a_thread_that_leaves", Some(3), || {
        let house = House::new(1, Duration::ZERO, usize::MAX);
        let job = house.spawn();
        let clock = thread::spawn({
            let house = house.other();
            move || house.time_passes()
        });
        house.close(1);
        assert!(job.is_finished());
        clock.join().expect("joined");
    });
}
