//! A barrier that is reset or left, against who comes.

use super::harness::model;
use super::support::Guest;
use crate::sync::{Arrival, BreakableBarrier, Broken};
use loom::thread;
use std::sync::Arc;

fn wait(barrier: &Arc<BreakableBarrier>) -> impl Future<Output = Result<Arrival, Broken>> + 'static {
    let barrier = barrier.clone();
    async move { barrier.wait().await }
}

#[test]
fn a_reset_sends_away_who_waits() {
    model("a_reset_sends_away_who_waits", None, || {
        let barrier = Arc::new(BreakableBarrier::new(3));
        let early = Guest::waiting(wait(&barrier));
        let mut second = Guest::new(wait(&barrier));
        let other = thread::spawn({
            let barrier = barrier.clone();
            move || barrier.reset()
        });
        let at_once = second.poll();
        other.join().expect("joined");
        assert!(early.woken().is_err(), "two of three have passed");
        assert!(!barrier.is_broken());
        // The second came before the reset, or waits for two others.
        let broken = at_once.or_else(|| second.poll()).map(|told| told.is_err());
        assert!(broken == Some(true) && barrier.waiting() == 0 || broken.is_none() && barrier.waiting() == 1);
    });
}

#[test]
fn a_reset_comes_before_the_last_or_after() {
    model("a_reset_comes_before_the_last_or_after", None, || {
        let barrier = Arc::new(BreakableBarrier::new(2));
        let early = Guest::waiting(wait(&barrier));
        let other = thread::spawn({
            let barrier = barrier.clone();
            move || barrier.reset()
        });
        let mut last = Guest::new(wait(&barrier));
        let passed = last.poll();
        other.join().expect("joined");
        match (early.woken(), passed) {
            (Ok(first), Some(Ok(second))) => assert_eq!((first.index(), second.index()), (0, 1)),
            (Err(_), None) => {
                // The reset was first, so it waits for another, or first that it came and then that it was sent away.
                let told = last.poll();
                assert!(told.is_none(), "it was told twice: {told:?}");
            }
            (early, passed) => panic!("{early:?} and {passed:?}"),
        }
    });
}

#[test]
fn who_leaves_is_not_counted() {
    model("who_leaves_is_not_counted", None, || {
        let barrier = Arc::new(BreakableBarrier::new(2));
        let leaves = Guest::waiting(wait(&barrier));
        let other = thread::spawn(move || drop(leaves));
        let mut comes = Guest::new(wait(&barrier));
        let passed = comes.poll();
        other.join().expect("joined");
        match passed {
            Some(told) => assert_eq!(told.map(|arrival| arrival.index()), Ok(1)),
            None => {
                assert_eq!(barrier.waiting(), 1);
                let last = Guest::new(wait(&barrier)).poll().expect("both are there");
                assert_eq!(last.map(|arrival| arrival.index()), Ok(1));
                assert_eq!(comes.woken().map(|arrival| arrival.index()), Ok(0));
            }
        }
        assert_eq!(barrier.waiting(), 0);
    });
}

#[test]
fn an_abort_is_heard_by_all() {
    model("an_abort_is_heard_by_all", None, || {
        let barrier = Arc::new(BreakableBarrier::new(3));
        let early = Guest::waiting(wait(&barrier));
        let other = thread::spawn({
            let barrier = barrier.clone();
            move || barrier.abort()
        });
        let mut second = Guest::new(wait(&barrier));
        let at_once = second.poll();
        other.join().expect("joined");
        assert!(early.woken().is_err());
        assert!(at_once.unwrap_or_else(|| second.woken()).is_err());
        assert!(barrier.is_broken());
    });
}
