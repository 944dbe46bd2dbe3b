//! Wake, poll, abort, complete: the state word and what hangs on it.

use super::harness::model;
use super::support::{Counts, Yard, counted, outcome, waker_of};
use crate::task::join::JoinHandle;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use std::task::Waker;

/// A task that waits for `flags`, polled once, and its waker. The flags are relaxed: only the wake carries them.
fn waiter(
    yard: &Yard,
    counts: &std::sync::Arc<Counts>,
    flags: Vec<Arc<AtomicBool>>,
) -> (JoinHandle<super::support::Output>, Waker) {
    waker_of(yard, |place| {
        counted(counts, move |cx| {
            if place.borrow().is_none() {
                *place.borrow_mut() = Some(cx.waker().clone());
            }
            flags.iter().all(|flag| flag.load(Ordering::Relaxed))
        })
    })
}

fn flag() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(false))
}

#[test]
fn wake_during_poll_is_not_lost() {
    model("wake_during_poll_is_not_lost", None, || {
        let (yard, counts, flag) = (Yard::new(), Counts::new(), flag());
        let (handle, waker) = waiter(&yard, &counts, vec![flag.clone()]);
        waker.wake_by_ref();
        let other = thread::spawn(move || {
            flag.store(true, Ordering::Relaxed);
            waker.wake();
        });
        yard.drain();
        other.join().expect("joined");
        yard.drain();
        assert!(handle.is_finished(), "lost wake");
        assert_eq!(outcome(handle).expect("a value").read(), 7);
        assert_eq!(counts.future_drops(), 1);
        assert_eq!(counts.output_drops(), 1);
        assert!(counts.polls() <= 3, "a wake made more than one poll");
    });
}

/// A task that wakes itself in its second poll and waits for `flag` in all of them: after the second it is queued again without an exchange.
fn restless(
    yard: &Yard,
    counts: &std::sync::Arc<Counts>,
    mut ready: impl FnMut() -> bool + 'static,
) -> (JoinHandle<super::support::Output>, Waker) {
    let polls = counts.clone();
    waker_of(yard, |place| {
        counted(counts, move |cx| {
            match polls.polls() {
                1 => *place.borrow_mut() = Some(cx.waker().clone()),
                2 => cx.waker().wake_by_ref(),
                _ => {}
            }
            ready()
        })
    })
}

/// Its own wake and another's come together: none is lost, and no two threads have the task.
#[test]
fn a_task_that_wakes_itself_hears_of_others() {
    model("a_task_that_wakes_itself_hears_of_others", None, || {
        let (yard, counts, flag) = (Yard::new(), Counts::new(), flag());
        let (handle, waker) = restless(&yard, &counts, {
            let flag = flag.clone();
            move || flag.load(Ordering::Relaxed)
        });
        waker.wake_by_ref();
        let other = thread::spawn({
            let yard = yard.clone();
            move || {
                flag.store(true, Ordering::Relaxed);
                waker.wake();
                yard.drain();
            }
        });
        yard.drain();
        other.join().expect("joined");
        yard.drain();
        assert!(handle.is_finished(), "lost wake");
        assert_eq!(outcome(handle).expect("a value").read(), 7);
        assert_eq!(counts.future_drops(), 1);
        assert!(counts.polls() <= 4, "a wake made more than one poll");
    });
}

/// Nobody else has to hear of a wake that the task itself makes in its poll.
#[test]
fn a_task_that_wakes_itself_is_polled_again() {
    model("a_task_that_wakes_itself_is_polled_again", None, || {
        let (yard, counts) = (Yard::new(), Counts::new());
        let polls = counts.clone();
        let (handle, waker) = restless(&yard, &counts, move || polls.polls() == 3);
        waker.wake();
        let other = thread::spawn({
            let yard = yard.clone();
            move || yard.drain()
        });
        yard.drain();
        other.join().expect("joined");
        assert!(handle.is_finished(), "lost wake");
        assert_eq!(counts.polls(), 3);
        assert_eq!(counts.future_drops(), 1);
    });
}

/// An abort meets a task in a poll in which it wakes itself, or the runnable that it leaves.
#[test]
fn a_task_that_wakes_itself_is_aborted() {
    model("a_task_that_wakes_itself_is_aborted", None, || {
        let (yard, counts, flag) = (Yard::new(), Counts::new(), flag());
        let reader = Reader(flag.clone());
        let (handle, waker) = restless(&yard, &counts, move || {
            let _ = &reader;
            false
        });
        let abort = handle.abort_handle();
        waker.wake();
        let other = thread::spawn(move || {
            flag.store(true, Ordering::Relaxed);
            abort.abort();
        });
        yard.drain();
        other.join().expect("joined");
        yard.drain();
        assert!(handle.is_finished(), "abort lost");
        assert!(outcome(handle).is_err_and(|error| error.is_cancelled()));
        assert_eq!(counts.future_drops(), 1);
        assert!(counts.polls() <= 3);
    });
}

#[test]
fn two_wakers_one_poller() {
    model("two_wakers_one_poller", Some(3), || {
        let (yard, counts) = (Yard::new(), Counts::new());
        let flags = [flag(), flag()];
        let (handle, waker) = waiter(&yard, &counts, flags.to_vec());
        let others = flags.map(|flag| {
            let waker = waker.clone();
            thread::spawn(move || {
                flag.store(true, Ordering::Relaxed);
                waker.wake_by_ref();
            })
        });
        drop(waker);
        yard.drain();
        for other in others {
            other.join().expect("joined");
        }
        yard.drain();
        assert!(handle.is_finished(), "lost wake");
        assert!(counts.polls() <= 3, "two wakes made more than two polls");
    });
}

#[test]
fn abort_during_poll_ends_the_task() {
    model("abort_during_poll_ends_the_task", None, || {
        let (yard, counts) = (Yard::new(), Counts::new());
        let handle = yard.spawn(counted(&counts, |_| false));
        let abort = handle.abort_handle();
        let other = thread::spawn(move || abort.abort());
        yard.drain();
        other.join().expect("joined");
        yard.drain();
        assert!(handle.is_finished(), "abort lost");
        assert!(outcome(handle).is_err_and(|error| error.is_cancelled()));
        assert_eq!(counts.future_drops(), 1);
        assert!(counts.polls() <= 1, "polled after the abort");
    });
}

/// Is dropped after an abort only, and sees what came before that.
struct Reader(Arc<AtomicBool>);

impl Drop for Reader {
    fn drop(&mut self) {
        // Relaxed: only the abort carries it.
        assert!(self.0.load(Ordering::Relaxed), "dropped before the abort");
    }
}

/// What was written before an abort is seen by the future's destructor, whether the abort meets a runnable, a poll, or a task that waits.
#[test]
fn what_an_aborter_did_is_seen_by_the_destructor() {
    model("what_an_aborter_did_is_seen_by_the_destructor", None, || {
        let (yard, counts, flag) = (Yard::new(), Counts::new(), flag());
        let reader = Reader(flag.clone());
        let handle = yard.spawn(counted(&counts, move |_| {
            let _ = &reader;
            false
        }));
        let abort = handle.abort_handle();
        let other = thread::spawn(move || {
            flag.store(true, Ordering::Relaxed);
            abort.abort();
        });
        yard.drain();
        other.join().expect("joined");
        yard.drain();
        assert_eq!(counts.future_drops(), 1);
        assert!(outcome(handle).is_err_and(|error| error.is_cancelled()));
    });
}

#[test]
fn abort_against_completion_has_one_outcome() {
    model("abort_against_completion_has_one_outcome", None, || {
        let (yard, counts) = (Yard::new(), Counts::new());
        let handle = yard.spawn(counted(&counts, |_| true));
        let abort = handle.abort_handle();
        let other = thread::spawn(move || {
            abort.abort();
            abort.is_finished()
        });
        yard.drain();
        other.join().expect("joined");
        yard.drain();
        let polled = counts.polls() == 1;
        match outcome(handle) {
            Ok(output) => assert!(polled && output.read() == 7),
            Err(error) => assert!(!polled && error.is_cancelled()),
        }
        assert_eq!(counts.future_drops(), 1);
        assert_eq!(counts.output_drops(), usize::from(polled));
    });
}

#[test]
fn abort_wake_and_poll() {
    model("abort_wake_and_poll", Some(3), || {
        let (yard, counts, flag) = (Yard::new(), Counts::new(), flag());
        let (handle, waker) = waiter(&yard, &counts, vec![flag.clone()]);
        let abort = handle.abort_handle();
        let waking = thread::spawn(move || {
            flag.store(true, Ordering::Relaxed);
            waker.wake();
        });
        let aborting = thread::spawn(move || abort.abort());
        yard.drain();
        waking.join().expect("joined");
        aborting.join().expect("joined");
        yard.drain();
        assert!(handle.is_finished(), "wake and abort lost");
        assert_eq!(counts.future_drops(), 1);
        drop(outcome(handle));
    });
}

#[test]
fn two_threads_run_what_is_queued() {
    model("two_threads_run_what_is_queued", Some(3), || {
        let (yard, counts, flag) = (Yard::new(), Counts::new(), flag());
        let (handle, waker) = waiter(&yard, &counts, vec![flag.clone()]);
        let other = thread::spawn({
            let yard = yard.clone();
            move || {
                flag.store(true, Ordering::Relaxed);
                waker.wake_by_ref();
                yard.drain();
                waker.wake();
            }
        });
        yard.drain();
        other.join().expect("joined");
        yard.drain();
        assert!(handle.is_finished(), "lost wake");
        assert_eq!(counts.future_drops(), 1);
    });
}

#[test]
fn wakers_outlive_the_task() {
    model("wakers_outlive_the_task", None, || {
        let (yard, counts, flag) = (Yard::new(), Counts::new(), flag());
        let (handle, waker) = waiter(&yard, &counts, vec![flag.clone()]);
        drop(handle);
        flag.store(true, Ordering::Relaxed);
        waker.wake_by_ref();
        let other = thread::spawn(move || {
            waker.wake_by_ref();
            waker.wake();
        });
        yard.drain();
        other.join().expect("joined");
        yard.drain();
        assert_eq!(counts.future_drops(), 1);
        assert_eq!(counts.output_drops(), 1);
    });
}

#[test]
fn the_last_reference_frees() {
    model("the_last_reference_frees", None, || {
        let (yard, counts) = (Yard::new(), Counts::new());
        let handle = yard.spawn(counted(&counts, |_| true));
        let other = thread::spawn(move || yard.drain());
        drop(handle);
        other.join().expect("joined");
        assert_eq!(counts.future_drops(), 1);
        assert_eq!(counts.output_drops(), 1);
    });
}
