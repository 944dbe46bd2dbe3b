//! The inbox: every runnable comes out once, and the word of filled shards tells the truth.

use super::harness::model;
use super::support::{Counts, Yard, counted};
use crate::scheduler::inbox::Inbox;
use crate::task::join::JoinHandle;
use crate::task::raw::{self, Ended, Header, Runnable, Schedule};
use loom::sync::Arc;
use loom::thread;
use std::panic::Location;
use std::ptr::NonNull;
use std::task::Waker;

#[test]
fn every_push_is_popped_once() {
    model("every_push_is_popped_once", Some(3), || {
        let (yard, counts) = (Yard::new(), Counts::new());
        let handles: Vec<_> = (0..3).map(|_| yard.spawn(counted(&counts, |_| true))).collect();
        let inbox = Arc::new(Inbox::new(1));
        inbox.push(yard.take().expect("a task"));
        let pushers: Vec<_> = std::iter::from_fn(|| yard.take())
            .map(|task| {
                let inbox = inbox.clone();
                thread::spawn(move || inbox.push(task))
            })
            .collect();
        // Two workers share, so that a pop leaves something behind.
        while inbox.take(0, 2, Runnable::run) {}
        for pusher in pushers {
            pusher.join().expect("joined");
        }
        while inbox.take(0, 2, Runnable::run) {}
        assert_eq!(counts.polls(), 3, "a task was lost or run twice");
        assert!(handles.iter().all(JoinHandle::is_finished));
        assert!(inbox.is_empty(), "an empty inbox says that it is filled");
    });
}

/// A scheduler that is one inbox.
#[derive(Clone)]
struct Mail(Arc<Inbox>);

impl Schedule for Mail {
    fn schedule(self, task: Runnable) {
        self.0.push(task);
    }

    fn reschedule(self, task: Runnable) {
        self.schedule(task);
    }

    fn release(self, _: NonNull<Header>, _: Ended) {}
}

/// A task came out of one thread's shard and waits; another thread makes it runnable and pushes it to its own. No lock is common to both, so it is the task's state
/// word that hands the link over.
fn changes_shards(name: &str, make_runnable: fn(Waker, &JoinHandle<super::support::Output>)) {
    model(name, None, move || {
        let counts = Counts::new();
        let inbox = Arc::new(Inbox::new(2));
        let place = std::rc::Rc::new(std::cell::RefCell::new(None));
        let future = counted(&counts, {
            let (place, mut first) = (place.clone(), true);
            move |cx| {
                if std::mem::take(&mut first) {
                    *place.borrow_mut() = Some(cx.waker().clone());
                }
                false
            }
        });
        let (task, join) = raw::new(future, Mail(inbox.clone()), Location::caller());
        let handle = JoinHandle::new(join);
        // Runs what is there, behind the lock: a task that is woken during its poll comes back.
        let run = || {
            let mut tasks = Vec::new();
            while inbox.take(0, 1, |task| tasks.push(task)) {
                tasks.drain(..).for_each(Runnable::run);
            }
        };
        inbox.push(task);
        run();
        let waker = place.borrow_mut().take().expect("the first poll leaves its waker");
        waker.wake_by_ref();
        let other = thread::spawn(move || {
            make_runnable(waker, &handle);
            handle
        });
        // The second poll, or both in one.
        run();
        let handle = other.join().expect("joined");
        run();
        assert!((1..=3).contains(&counts.polls()));
        assert!(inbox.is_empty(), "an empty inbox says that it is filled");
        handle.abort();
        run();
        assert!(handle.is_finished());
    });
}

#[test]
fn a_task_woken_by_value_changes_shards() {
    changes_shards("a_task_woken_by_value_changes_shards", |waker, _| waker.wake());
}

#[test]
fn a_task_woken_by_reference_changes_shards() {
    changes_shards("a_task_woken_by_reference_changes_shards", |waker, _| {
        waker.wake_by_ref()
    });
}

#[test]
fn an_aborted_task_changes_shards() {
    changes_shards("an_aborted_task_changes_shards", |_, handle| handle.abort());
}
