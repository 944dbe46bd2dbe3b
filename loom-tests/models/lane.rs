//! Lanes: one task at a time and in order, the driver's coming and going, and its end. The driver is a task of a scheduler that is one queue.

use super::harness::model;
use super::support::{Counts, Output, Yard, counted, outcome};
use crate::scheduler::lane::{Driver, Line};
use crate::shim::UnsafeCell;
use crate::task::join::JoinHandle;
use crate::task::raw::Plain;
use loom::sync::{Arc as Shared, Mutex};
use loom::thread;
use std::panic::Location;
// What is handed from thread to thread here goes through loom's mutex.
use std::sync::Arc;
use std::task::Waker;

/// A lane over a yard.
#[derive(Clone)]
struct House {
    line: Arc<Line>,
    yard: Yard,
    /// The driver that was started last.
    driver: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl House {
    fn new() -> Self {
        Self {
            line: Line::new(None, Arc::default()),
            yard: Yard::new(),
            driver: Arc::new(Mutex::new(None)),
        }
    }

    /// As a program's spawn.
    fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        let (handle, driver) = self.line.spawn_driven(Plain::new(future, Location::caller()));
        if let Some(driver) = driver {
            self.start(driver);
        }
        handle
    }

    fn start(&self, driver: Driver) {
        let driver = self.yard.spawn(driver);
        *self.driver.lock().expect("loom's mutex") = Some(driver);
    }

    /// A task that waits for its waker, which is left here, and is then done.
    fn waits(&self, counts: &Arc<Counts>) -> (JoinHandle<Output>, Waker) {
        let place = std::rc::Rc::new(std::cell::RefCell::new(None));
        let left = place.clone();
        let task = self.spawn(counted(counts, move |cx| {
            left.borrow_mut().replace(cx.waker().clone()).is_some()
        }));
        self.yard.drain();
        let waker = place.borrow().clone().expect("the first poll leaves its waker");
        (task, waker)
    }

    /// The end of the runtime, as its driver sees it.
    fn end(&self) {
        if let Some(driver) = self.driver.lock().expect("loom's mutex").take() {
            driver.abort();
        }
        self.yard.drain();
    }
}

/// The driver is on its way to sleep when the wake comes.
#[test]
fn a_wake_is_not_slept_over() {
    model("a_wake_is_not_slept_over", None, || {
        let (house, counts) = (House::new(), Counts::new());
        let (first, wake_first) = house.waits(&counts);
        let (second, wake_second) = house.waits(&counts);
        wake_first.wake();
        let other = thread::spawn(move || wake_second.wake());
        house.yard.drain();
        other.join().expect("joined");
        house.yard.drain();
        assert!(outcome(first).is_ok() && outcome(second).is_ok());
        assert_eq!(counts.polls(), 4);
        assert_eq!(house.line.len(), 0);
    });
}

/// Two threads spawn, wake and drive. A cell that all tasks write to, without a lock, stands for what they share.
#[test]
fn one_task_at_a_time() {
    model("one_task_at_a_time", Some(2), || {
        let (house, counts) = (House::new(), Counts::new());
        let shared = Shared::new(UnsafeCell::new(0));
        let spawn = |house: &House, counts: &Arc<Counts>, shared: &Shared<UnsafeCell<u32>>| {
            let shared = shared.clone();
            let mut polls = 0;
            house.spawn(counted(counts, move |cx| {
                // SAFETY: loom reports it if somebody else writes at the same time.
                shared.with_mut(|shared| unsafe { *shared += 1 });
                polls += 1;
                cx.waker().wake_by_ref();
                polls == 2
            }))
        };
        let other = thread::spawn({
            let (house, counts, shared) = (house.clone(), counts.clone(), shared.clone());
            move || {
                let task = spawn(&house, &counts, &shared);
                house.yard.drain();
                task
            }
        });
        let task = spawn(&house, &counts, &shared);
        house.yard.drain();
        let tasks = [task, other.join().expect("joined")];
        house.yard.drain();
        assert!(tasks.into_iter().all(|task| outcome(task).is_ok()));
        // SAFETY: all threads are joined.
        assert_eq!(shared.with(|shared| unsafe { *shared }), 4);
    });
}

/// One thread spawns two tasks while another drives.
#[test]
fn tasks_start_in_order() {
    model("tasks_start_in_order", Some(3), || {
        let (house, counts) = (House::new(), Counts::new());
        let order = Arc::new(std::sync::Mutex::new(Vec::new()));
        let other = thread::spawn({
            let house = house.clone();
            move || house.yard.drain()
        });
        let tasks = [1, 2].map(|number| {
            let order = order.clone();
            house.spawn(counted(&counts, move |_| {
                order.lock().expect("no panic").push(number);
                true
            }))
        });
        house.yard.drain();
        other.join().expect("joined");
        house.yard.drain();
        assert!(tasks.into_iter().all(|task| outcome(task).is_ok()));
        assert_eq!(*order.lock().expect("no panic"), [1, 2]);
    });
}

/// The last task is gone and the driver leaves, while the next task comes.
#[test]
fn a_spawn_beside_the_drivers_end_is_driven() {
    model("a_spawn_beside_the_drivers_end_is_driven", Some(3), || {
        let (house, counts) = (House::new(), Counts::new());
        let first = house.spawn(counted(&counts, |_| true));
        let other = thread::spawn({
            let (house, counts) = (house.clone(), counts.clone());
            move || house.spawn(counted(&counts, |_| true))
        });
        house.yard.drain();
        let second = other.join().expect("joined");
        house.yard.drain();
        assert!(outcome(first).is_ok() && outcome(second).is_ok());
        assert_eq!((counts.polls(), house.line.len()), (2, 0));
    });
}

/// The driver is dropped while a task of its lane is in the hands of the thread that woke it.
#[test]
fn a_wake_beside_the_end_is_waited_for() {
    model("a_wake_beside_the_end_is_waited_for", None, || {
        let (house, counts) = (House::new(), Counts::new());
        let (task, waker) = house.waits(&counts);
        let other = thread::spawn(move || waker.wake());
        house.end();
        other.join().expect("joined");
        // The driver itself may have been in that thread's hands.
        house.yard.drain();
        assert_eq!(house.line.len(), 0);
        assert!(outcome(task).is_err());
        assert_eq!((counts.future_drops(), counts.output_drops()), (1, 0));
    });
}

/// The driver is dropped while a task comes, and another is aborted.
#[test]
fn a_spawn_and_an_abort_beside_the_end() {
    model("a_spawn_and_an_abort_beside_the_end", Some(3), || {
        let (house, counts) = (House::new(), Counts::new());
        let (task, waker) = house.waits(&counts);
        let other = thread::spawn({
            let (house, counts) = (house.clone(), counts.clone());
            let abort = task.abort_handle();
            move || {
                abort.abort();
                house.spawn(counted(&counts, |_| false))
            }
        });
        house.end();
        let late = other.join().expect("joined");
        house.end();
        assert!(outcome(task).is_err() && outcome(late).is_err());
        assert_eq!((counts.future_drops(), house.line.len()), (2, 0));
        drop(waker);
    });
}
