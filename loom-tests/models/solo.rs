//! A current_thread runtime: the main future's wake against the park, and two threads that want the one core.

use super::harness::model;
use super::support::{Counts, counted};
use crate::driver::Driver;
use crate::scheduler::gate::ALL;
use crate::scheduler::shared::Shared;
use crate::scheduler::solo::Solo;
use crate::scheduler::worker::{self, Core};
use crate::task::raw::Plain;
use filch_timer::Clock;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Waker};

fn house() -> (Arc<Shared>, Solo) {
    let clock = Clock::new();
    let mut queues = Vec::new();
    let shared = Arc::new_cyclic(|pool| {
        let (shared, locals) = Shared::new(vec![Driver::new(&clock).expect("a fake kernel")], 0, pool, ALL);
        queues = locals;
        shared
    });
    let solo = Solo::new(Core::new(0, queues.pop().expect("a queue")));
    (shared, solo)
}

#[test]
fn a_wake_of_the_main_future_is_not_slept_over() {
    model("a_wake_of_the_main_future_is_not_slept_over", Some(2), || {
        let (shared, solo) = house();
        let flag = loom::sync::Arc::new(AtomicBool::new(false));
        let mut other = None;
        solo.block_on(
            &shared,
            pin!(std::future::poll_fn(|cx| {
                if other.is_none() {
                    let (waker, flag): (Waker, _) = (cx.waker().clone(), flag.clone());
                    other = Some(thread::spawn(move || {
                        waker.wake_by_ref();
                        flag.store(true, Ordering::Relaxed);
                        waker.wake();
                    }));
                }
                if flag.load(Ordering::Relaxed) {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })),
        );
        other.expect("started").join().expect("joined");
        shared.close();
        solo.shutdown(&shared, None);
    });
}

#[test]
fn two_threads_share_the_core() {
    model("two_threads_share_the_core", Some(2), || {
        let (shared, solo) = house();
        let solo = Arc::new(solo);
        let counts = Counts::new();
        let run = |shared: Arc<Shared>, solo: Arc<Solo>, counts: Arc<Counts>| {
            let task = worker::spawn(&shared, Plain::new(counted(&counts, |_| true), Location::caller()));
            let value = solo.block_on(&shared, pin!(task)).expect("a value").read();
            assert_eq!(value, 7);
        };
        let other = thread::spawn({
            let (shared, solo, counts) = (shared.clone(), solo.clone(), counts.clone());
            move || run(shared, solo, counts)
        });
        run(shared.clone(), solo.clone(), counts);
        other.join().expect("joined");
        shared.close();
        solo.shutdown(&shared, None);
    });
}
