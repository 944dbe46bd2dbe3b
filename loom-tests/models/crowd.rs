//! Tasks that end side by side, and whoever takes their handles in that order.

use super::harness::model;
use super::support::{Bell, Counts, Yard, counted, outcome};
use crate::combine::{AsCompleted, as_completed};
use crate::task::JoinHandle;
use loom::thread;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

fn poll<T>(tasks: &mut AsCompleted<T>, waker: &Waker) -> Poll<Option<JoinHandle<T>>> {
    pin!(tasks.next()).poll(&mut Context::from_waker(waker))
}

/// Two tasks end on two threads, while their handles come together and are given back.
#[test]
fn each_is_handed_out_once() {
    model("each_is_handed_out_once", Some(2), || {
        let (here, there, counts) = (Yard::new(), Yard::new(), Counts::new());
        let handles = [&here, &there].map(|yard| yard.spawn(counted(&counts, |_| true)));
        let ids = handles.each_ref().map(JoinHandle::id);
        let threads = [here, there].map(|yard| thread::spawn(move || yard.drain()));
        let (bell, waker) = Bell::new();
        let (mut tasks, mut seen) = (as_completed(handles), Vec::new());
        let mut take = |seen: &mut Vec<_>| {
            while let Poll::Ready(Some(handle)) = poll(&mut tasks, &waker) {
                seen.push(handle.id());
                assert_eq!(outcome(handle).expect("a value").read(), 7);
            }
            tasks.len()
        };
        let slept = take(&mut seen) > 0;
        for thread in threads {
            thread.join().expect("joined");
        }
        assert!(!slept || bell.rings() > 0, "whoever waits slept over the end of a task");
        assert_eq!(take(&mut seen), 0, "a task was lost");
        assert!(
            seen.len() == 2 && ids.iter().all(|id| seen.contains(id)),
            "a task was handed out twice"
        );
        assert_eq!(counts.output_drops(), 2);
    });
}
