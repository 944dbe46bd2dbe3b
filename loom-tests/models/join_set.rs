//! A set of tasks against their completion.

use super::harness::model;
use super::support::{Bell, Counts, Yard, counted};
use crate::join_set::JoinSet;
use loom::thread;
use std::task::{Context, Poll};

#[test]
fn every_member_is_joined() {
    model("every_member_is_joined", Some(2), || {
        let (yard, counts) = (Yard::new(), Counts::new());
        let mut set = JoinSet::new();
        for _ in 0..2 {
            set.insert(yard.spawn(counted(&counts, |_| true)));
        }
        let other = thread::spawn(move || yard.drain());
        let (bell, waker) = Bell::new();
        let mut joined = 0;
        while let Poll::Ready(next) = set.poll_join_next(&mut Context::from_waker(&waker)) {
            match next {
                Some(result) => assert_eq!(result.expect("a value").read(), 7),
                None => break,
            }
            joined += 1;
        }
        let slept = joined < 2;
        other.join().expect("joined");
        assert!(
            !slept || bell.rings() > 0,
            "whoever waits for the set slept over the end of a task"
        );
        while let Some(result) = set.try_join_next() {
            assert_eq!(result.expect("a value").read(), 7);
            joined += 1;
        }
        assert_eq!(joined, 2, "a task of the set was lost");
        assert!(set.is_empty());
        assert_eq!(counts.output_drops(), 2);
    });
}
