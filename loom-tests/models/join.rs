//! The handle against completion.

use super::harness::model;
use super::support::{Bell, Counts, Yard, counted, outcome, poll_join};
use loom::thread;
use std::task::Poll;

#[test]
fn a_joiner_is_woken_or_sees_the_outcome() {
    model("a_joiner_is_woken_or_sees_the_outcome", None, || {
        let (yard, counts) = (Yard::new(), Counts::new());
        let mut handle = yard.spawn(counted(&counts, |_| true));
        let other = thread::spawn(move || yard.drain());
        let (bell, waker) = Bell::new();
        let first = poll_join(&mut handle, &waker);
        other.join().expect("joined");
        match first {
            Poll::Ready(result) => {
                assert_eq!(bell.rings(), 0, "woken for nothing");
                assert_eq!(result.expect("a value").read(), 7);
            }
            Poll::Pending => {
                assert_eq!(bell.rings(), 1, "a joiner slept over the end");
                assert_eq!(outcome(handle).expect("a value").read(), 7);
            }
        }
        assert_eq!(counts.output_drops(), 1);
        assert_eq!(std::sync::Arc::strong_count(&bell), 2, "a waker was kept");
    });
}

#[test]
fn changing_the_join_waker_loses_no_wake() {
    model("changing_the_join_waker_loses_no_wake", None, || {
        let (yard, counts) = (Yard::new(), Counts::new());
        let mut handle = yard.spawn(counted(&counts, |_| true));
        let other = thread::spawn(move || yard.drain());
        let (first, waker) = Bell::new();
        let (second, other_waker) = Bell::new();
        let answer = match poll_join(&mut handle, &waker) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => poll_join(&mut handle, &other_waker),
        };
        other.join().expect("joined");
        match answer {
            Poll::Ready(result) => assert_eq!(result.expect("a value").read(), 7),
            Poll::Pending => {
                assert_eq!((first.rings(), second.rings()), (0, 1), "the wrong waker was woken");
                assert_eq!(outcome(handle).expect("a value").read(), 7);
            }
        }
        assert_eq!(counts.output_drops(), 1);
        assert_eq!(std::sync::Arc::strong_count(&first), 2, "a waker was kept");
        assert_eq!(std::sync::Arc::strong_count(&second), 2, "a waker was kept");
    });
}

#[test]
fn dropping_the_handle_against_completion() {
    model("dropping_the_handle_against_completion", None, || {
        let (yard, counts) = (Yard::new(), Counts::new());
        let mut handle = yard.spawn(counted(&counts, |_| true));
        let (bell, waker) = Bell::new();
        // With a waker in the slot, so that the slow way is taken.
        assert!(poll_join(&mut handle, &waker).is_pending());
        let other = thread::spawn(move || yard.drain());
        drop(handle);
        other.join().expect("joined");
        assert_eq!(counts.future_drops(), 1);
        assert_eq!(counts.output_drops(), 1, "the output was lost or dropped twice");
        assert_eq!(std::sync::Arc::strong_count(&bell), 2, "a waker was kept");
    });
}

#[test]
fn block_on_a_handle() {
    model("block_on_a_handle", Some(3), || {
        let (yard, counts) = (Yard::new(), Counts::new());
        let handle = yard.spawn(counted(&counts, |_| true));
        let other = thread::spawn(move || yard.drain());
        assert_eq!(loom::future::block_on(handle).expect("a value").read(), 7);
        other.join().expect("joined");
    });
}

#[test]
fn abort_and_join() {
    model("abort_and_join", Some(3), || {
        let (yard, counts) = (Yard::new(), Counts::new());
        let mut handle = yard.spawn(counted(&counts, |_| false));
        yard.drain();
        let (bell, waker) = Bell::new();
        assert!(poll_join(&mut handle, &waker).is_pending());
        let abort = handle.abort_handle();
        let aborting = thread::spawn(move || abort.abort());
        yard.drain();
        aborting.join().expect("joined");
        yard.drain();
        assert_eq!(bell.rings(), 1, "a joiner slept over the end");
        assert!(outcome(handle).is_err_and(|error| error.is_cancelled()));
        assert_eq!(
            counts.future_drops(),
            1,
            "the handle resolved before the future was dropped"
        );
    });
}
