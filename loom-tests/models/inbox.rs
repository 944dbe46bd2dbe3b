//! The inbox: every runnable comes out once, and the word of filled shards tells the truth.

use super::harness::model;
use super::support::{Counts, Yard, counted};
use crate::scheduler::inbox::Inbox;
use loom::sync::Arc;
use loom::thread;

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
        while inbox.take(0, 2, crate::task::raw::Runnable::run) {}
        for pusher in pushers {
            pusher.join().expect("joined");
        }
        while inbox.take(0, 2, crate::task::raw::Runnable::run) {}
        assert_eq!(counts.polls(), 3, "a task was lost or run twice");
        assert!(handles.iter().all(crate::task::JoinHandle::is_finished));
        assert!(inbox.is_empty(), "an empty inbox says that it is filled");
    });
}
