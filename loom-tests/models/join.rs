//! The handle against completion.

use super::harness::model;
use super::support::{Bell, Counts, Yard, counted, outcome, poll_join};
use crate::shim::TaskPanic;
use loom::sync::Arc;
use loom::thread;
use std::panic::resume_unwind;
use std::task::{Poll, Wake, Waker};

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

/// A destructor that panics, with what the models plan: their own panic.
struct Bomb<T>(T);

impl<T> Drop for Bomb<T> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            resume_unwind(Box::new(TaskPanic));
        }
    }
}

/// The future's destructor panics at the end of the task: the joiner is woken all the same, and told.
#[test]
fn a_future_that_panics_when_it_is_dropped() {
    model("a_future_that_panics_when_it_is_dropped", None, || {
        let (yard, counts) = (Yard::new(), Counts::new());
        let bomb = Bomb(());
        let mut handle = yard.spawn(counted(&counts, move |_| {
            let _ = &bomb;
            true
        }));
        let other = thread::spawn(move || yard.drain());
        let (bell, waker) = Bell::new();
        let first = poll_join(&mut handle, &waker);
        other.join().expect("joined");
        let result = match first {
            Poll::Ready(result) => result,
            Poll::Pending => {
                assert_eq!(bell.rings(), 1, "a joiner slept over the end");
                outcome(handle)
            }
        };
        assert!(result.is_err_and(|error| error.is_panic()));
        assert_eq!((counts.future_drops(), counts.output_drops()), (1, 1));
    });
}

/// The output's destructor panics, on whichever side drops it.
#[test]
fn an_output_that_panics_when_it_is_dropped() {
    model("an_output_that_panics_when_it_is_dropped", None, || {
        let yard = Yard::new();
        let drops = Arc::new(());
        let kept = drops.clone();
        let mut handle = yard.spawn(async move { Bomb(kept) });
        let (bell, waker) = Bell::new();
        assert!(poll_join(&mut handle, &waker).is_pending());
        let other = thread::spawn(move || yard.drain());
        // Goes no further than the handle's own drop.
        drop(handle);
        other.join().expect("joined");
        assert_eq!(std::sync::Arc::strong_count(&bell), 2, "a waker was kept");
        assert_eq!(Arc::strong_count(&drops), 1, "the output was lost");
    });
}

/// A joiner's waker that panics takes neither the task with it nor who ran it.
#[test]
fn a_join_waker_that_panics() {
    struct Grenade;
    impl Wake for Grenade {
        fn wake(self: std::sync::Arc<Self>) {
            resume_unwind(Box::new(TaskPanic));
        }
    }
    model("a_join_waker_that_panics", None, || {
        let (yard, counts) = (Yard::new(), Counts::new());
        let mut handle = yard.spawn(counted(&counts, |_| true));
        let other = thread::spawn(move || yard.drain());
        let grenade = std::sync::Arc::new(Grenade);
        let waker = Waker::from(grenade.clone());
        let first = poll_join(&mut handle, &waker);
        other.join().expect("the worker goes on");
        drop(waker);
        let result = match first {
            Poll::Ready(result) => result,
            Poll::Pending => outcome(handle),
        };
        assert_eq!(result.expect("a value").read(), 7);
        assert_eq!((counts.future_drops(), counts.output_drops()), (1, 1));
        assert_eq!(std::sync::Arc::strong_count(&grenade), 1, "a waker was kept");
    });
}
