//! Cancel scopes: a cancel beside polls, shields, clean-ups, children and their ends.

use super::harness::model;
use super::support::{Counts, Yard, counted, outcome};
use crate::scope::node::{Kind, Node};
use crate::scope::reason::Reason;
use crate::scope::{self, Scope, reason::ReasonKind};
use crate::shim::Mutex;
use crate::task::cold::{Cold, Family};
use crate::task::join::JoinHandle;
use crate::task::raw::{Child, Make, Schedule};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;
use std::panic::Location;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

fn flag() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(false))
}

fn reason() -> Reason {
    Reason::new(ReasonKind::Requested, None, None, Location::caller())
}

/// Waits until the flag is up. Relaxed: what raises it wakes the waker in the place afterwards.
fn raised(flag: Arc<AtomicBool>, place: Arc<Mutex<Option<Waker>>>) -> impl Future<Output = ()> {
    std::future::poll_fn(move |cx| {
        *place.lock() = Some(cx.waker().clone());
        match flag.load(Ordering::Relaxed) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
}

fn raise(flag: &AtomicBool, place: &Mutex<Option<Waker>>) {
    flag.store(true, Ordering::Relaxed);
    let waker = place.lock().take();
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// What came before a cancel is seen by whoever sees the cancel.
#[test]
fn what_came_before_a_cancel_is_seen() {
    model("what_came_before_a_cancel_is_seen", None, || {
        let data = flag();
        let node = Node::new(None, Kind::Root, None);
        let inner = Node::new(Some(node.clone()), Kind::Scope, None);
        let other = thread::spawn({
            let (data, node) = (data.clone(), node.clone());
            move || {
                data.store(true, Ordering::Relaxed);
                node.cancel(reason(), None);
            }
        });
        let reader = thread::spawn(move || {
            if inner.is_cancelled() {
                assert!(
                    data.load(Ordering::Relaxed),
                    "the cancel came without what was before it"
                );
            }
        });
        other.join().expect("joined");
        reader.join().expect("joined");
        assert!(node.is_cancelled());
    });
}

/// A task that listens below a scope that is cancelled on another thread hears of it.
#[test]
fn a_cancel_is_heard() {
    model("a_cancel_is_heard", Some(3), || {
        let yard = Yard::new();
        let cancels: Arc<Mutex<Option<Scope>>> = Arc::new(Mutex::new(None));
        let place = cancels.clone();
        let handle = yard.spawn(async move {
            scope::scope(async |outer| {
                *place.lock() = Some(outer.clone());
                scope::scope(async |_| scope::cancelled().await.kind()).await
            })
            .await
        });
        let first = yard.take().expect("its first runnable");
        // The body runs up to its wait, or has the cancel in the middle of that.
        let other = thread::spawn({
            let cancels = cancels.clone();
            move || {
                let scope = cancels.lock().take();
                scope.map(|scope| scope.cancel())
            }
        });
        first.run();
        yard.drain();
        let cancelled = other.join().expect("joined").is_some();
        yard.drain();
        if let Some(scope) = cancels.lock().take() {
            assert!(!cancelled);
            scope.cancel();
        }
        yard.drain();
        assert!(handle.is_finished(), "the cancel was slept over");
        assert_eq!(outcome(handle).expect("a value"), Some(Some(ReasonKind::Requested)));
    });
}

/// A cancel of a task beside its first polls: it ends, once, whatever it met.
#[test]
fn a_cancel_beside_a_poll_ends_the_task() {
    model("a_cancel_beside_a_poll_ends_the_task", Some(3), || {
        let (yard, counts) = (Yard::new(), Counts::new());
        let handle = yard.spawn(counted(&counts, |_| false));
        let task = handle.task();
        let other = thread::spawn(move || task.cancel());
        yard.drain();
        assert!(other.join().expect("joined"));
        yard.drain();
        assert!(handle.is_finished(), "the cancel is lost");
        assert!(outcome(handle).is_err_and(|error| error.is_cancelled() && error.reason().is_some()));
        assert_eq!(counts.future_drops(), 1);
        assert!(counts.polls() <= 2);
    });
}

/// A cancel and the end of the task: one outcome.
#[test]
fn a_cancel_against_completion_has_one_outcome() {
    model("a_cancel_against_completion_has_one_outcome", None, || {
        let (yard, counts) = (Yard::new(), Counts::new());
        let handle = yard.spawn(counted(&counts, |_| true));
        let task = handle.task();
        let other = thread::spawn(move || task.cancel());
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

/// A value that is on its way when the cancel comes is not lost: woken and cancelled at once, the task goes on with the value.
#[test]
fn a_wake_beats_a_cancel_that_comes_after_it() {
    model("a_wake_beats_a_cancel_that_comes_after_it", Some(3), || {
        let yard = Yard::new();
        let (data, place) = (flag(), Arc::new(Mutex::new(None)));
        let handle = yard.spawn(raised(data.clone(), place.clone()));
        yard.drain();
        let task = handle.task();
        let other = thread::spawn(move || {
            raise(&data, &place);
            task.cancel();
        });
        yard.drain();
        other.join().expect("joined");
        yard.drain();
        assert!(outcome(handle).is_ok(), "the value is lost");
    });
}

/// A body that has heard of the cancel, in whatever moment of its poll that was, is dropped at its next wait, though it was woken there.
#[test]
fn who_has_heard_of_a_cancel_ends_at_the_next_wait() {
    model("who_has_heard_of_a_cancel_ends_at_the_next_wait", Some(2), || {
        let yard = Yard::new();
        let passed = Arc::new(AtomicUsize::new(0));
        let handle = yard.spawn({
            let passed = passed.clone();
            async move {
                let mut waited = false;
                let listens = scope::cancelled();
                std::future::poll_fn(|cx| {
                    // It is woken by itself as well, so that its first poll may already find the cancel.
                    cx.waker().wake_by_ref();
                    match std::mem::replace(&mut waited, true) {
                        true => Poll::Ready(()),
                        false => Poll::Pending,
                    }
                })
                .await;
                listens.await;
                crate::task::yield_now().await;
                passed.fetch_add(1, Ordering::Relaxed);
                std::future::pending::<()>().await;
            }
        });
        let task = handle.task();
        let other = thread::spawn(move || task.cancel());
        yard.drain();
        other.join().expect("joined");
        yard.drain();
        assert_eq!(passed.load(Ordering::Relaxed), 0, "it went on past a wait");
        assert!(outcome(handle).is_err_and(|error| error.is_cancelled()));
    });
}

/// A body inside a shield is not dropped by a cancel, and is afterwards.
#[test]
fn a_shield_holds_off_a_cancel() {
    model("a_shield_holds_off_a_cancel", Some(2), || {
        let yard = Yard::new();
        let (data, place, done) = (flag(), Arc::new(Mutex::new(None)), Arc::new(AtomicUsize::new(0)));
        let handle = yard.spawn({
            let (shielded, done) = (raised(data.clone(), place.clone()), done.clone());
            async move {
                scope::shield(shielded).await;
                done.fetch_add(1, Ordering::Relaxed);
                std::future::pending::<()>().await;
            }
        });
        yard.drain();
        let task = handle.task();
        let cancelling = thread::spawn(move || task.cancel());
        let raising = thread::spawn(move || raise(&data, &place));
        yard.drain();
        cancelling.join().expect("joined");
        raising.join().expect("joined");
        yard.drain();
        assert_eq!(done.load(Ordering::Relaxed), 1, "the shield did not hold");
        assert!(outcome(handle).is_err_and(|error| error.is_cancelled()));
    });
}

/// An abort beside a clean-up: it runs once, to its end, and the handle has its outcome after that.
#[test]
fn an_abort_beside_a_clean_up() {
    model("an_abort_beside_a_clean_up", Some(2), || {
        let yard = Yard::new();
        let (data, place, done) = (flag(), Arc::new(Mutex::new(None)), Arc::new(AtomicUsize::new(0)));
        let handle = yard.spawn({
            let (data, place, done) = (data.clone(), place.clone(), done.clone());
            async move {
                let _cleanup = scope::defer(async move {
                    raised(data, place).await;
                    done.fetch_add(1, Ordering::Relaxed);
                })
                .within(Duration::MAX);
                std::future::pending::<()>().await;
            }
        });
        yard.drain();
        handle.abort();
        yard.drain();
        assert!(!handle.is_finished(), "the clean-up is waited for");
        let task = handle.task();
        let aborting = thread::spawn(move || {
            task.abort();
            task.cancel();
        });
        let raising = thread::spawn(move || raise(&data, &place));
        yard.drain();
        aborting.join().expect("joined");
        raising.join().expect("joined");
        yard.drain();
        assert!(handle.is_finished(), "a wake is lost");
        assert_eq!(done.load(Ordering::Relaxed), 1);
        assert!(outcome(handle).is_err_and(|error| error.is_cancelled()));
    });
}

struct Parent(std::sync::Arc<Node>);

impl Family for Parent {
    fn panicked(&self, payload: scope::node::Payload) {
        drop(payload);
    }

    fn node(&self) -> &std::sync::Arc<Node> {
        &self.0
    }
}

fn child<F, T>(yard: &Yard, node: &std::sync::Arc<Node>, future: F) -> JoinHandle<T>
where
    F: Future<Output = Option<T>> + 'static,
    T: 'static,
{
    assert!(node.add_child());
    let cold = Box::new(Cold::new(Some(std::sync::Arc::new(Parent(node.clone())))));
    let location = Location::caller();
    let (task, join) = Child { future, location, cold }.make(yard.clone());
    yard.clone().schedule(task);
    JoinHandle::new(join)
}

/// Two children end on two threads; the scope is told when both have, and their handles have their outcomes then.
#[test]
fn the_last_child_wakes_the_scope() {
    model("the_last_child_wakes_the_scope", Some(3), || {
        let (yard, elsewhere) = (Yard::new(), Yard::new());
        let node = Node::new(None, Kind::Scope, None);
        let one = child(&elsewhere, &node, async { Some(1) });
        let two = child(&yard, &node, async { None::<u8> });
        let handle = yard.spawn({
            let node = node.clone();
            async move {
                let body = std::future::ready(());
                scope::driven::Driven::at(node, Location::caller(), body).await
            }
        });
        let other = thread::spawn(move || elsewhere.drain());
        yard.drain();
        let early = handle.is_finished().then(|| one.is_finished() && two.is_finished());
        assert_ne!(
            early,
            Some(false),
            "a handle without an outcome behind the end of the scope"
        );
        other.join().expect("joined");
        yard.drain();
        assert!(handle.is_finished(), "the end of the last child was slept over");
        assert_eq!(outcome(one).expect("a value"), 1);
        assert!(outcome(two).is_err_and(|error| error.is_failed()));
        assert_eq!(outcome(handle).expect("a value"), Some(()));
    });
}

/// A child that begins beside the cancel of its scope gets to its first wait, and is dropped there.
#[test]
fn a_cancel_reaches_a_child_that_begins() {
    model("a_cancel_reaches_a_child_that_begins", Some(3), || {
        let (yard, counts) = (Yard::new(), Counts::new());
        let node = Node::new(None, Kind::Scope, None);
        let mut body = counted(&counts, |_| false);
        let handle = child(&yard, &node, async move {
            let mut body = pin!(&mut body);
            std::future::poll_fn(|cx: &mut Context<'_>| body.as_mut().poll(cx).map(|_| None::<()>)).await
        });
        let other = thread::spawn(move || node.cancel(reason(), None));
        yard.drain();
        other.join().expect("joined");
        yard.drain();
        assert!(handle.is_finished(), "the cancel was slept over");
        assert!(outcome(handle).is_err_and(|error| error.is_cancelled()));
        assert!(counts.polls() == 1 || counts.polls() == 2);
        assert_eq!(counts.future_drops(), 1);
    });
}

/// A cancel that is taken back beside its delivery: the task ends by it, or lives on as if it had never been; nothing is lost between.
#[test]
fn a_cancel_that_is_taken_back() {
    model("a_cancel_that_is_taken_back", Some(3), || {
        let (yard, counts) = (Yard::new(), Counts::new());
        let (data, place) = (flag(), Arc::new(Mutex::new(None)));
        let handle = yard.spawn({
            let mut wait = Box::pin(raised(data.clone(), place.clone()));
            counted(&counts, move |cx| wait.as_mut().poll(cx).is_ready())
        });
        yard.drain();
        let task = handle.task();
        let other = thread::spawn(move || {
            task.cancel();
            task.uncancel()
        });
        yard.drain();
        assert_eq!(other.join().expect("joined"), 0);
        yard.drain();
        if handle.is_finished() {
            assert!(outcome(handle).is_err_and(|error| error.is_cancelled()));
        } else {
            raise(&data, &place);
            yard.drain();
            assert_eq!(outcome(handle).expect("a value").read(), 7);
        }
        assert_eq!(counts.future_drops(), 1);
    });
}

/// A task and the one that it awaits are cancelled by two threads: both end, whichever comes first.
#[test]
fn a_task_and_the_one_it_awaits_are_cancelled() {
    model("a_task_and_the_one_it_awaits_are_cancelled", Some(2), || {
        let (yard, counts) = (Yard::new(), Counts::new());
        let inner = yard.spawn(counted(&counts, |_| false));
        let inner_task = inner.task();
        let outer = yard.spawn(async move { inner.await.map(|_| ()).map_err(|error| error.is_cancelled()) });
        yard.drain();
        let outer_task = outer.task();
        let one = thread::spawn(move || inner_task.cancel());
        let two = thread::spawn(move || outer_task.cancel());
        yard.drain();
        one.join().expect("joined");
        two.join().expect("joined");
        yard.drain();
        assert_eq!(counts.future_drops(), 1, "the inner task has not ended");
        match outcome(outer) {
            Ok(inner) => assert_eq!(inner, Err(true)),
            Err(error) => assert!(error.is_cancelled()),
        }
    });
}

/// A child fails while its parent is cancelled from outside: the error is seen, and the cancel is not lost.
#[test]
fn an_error_and_a_cancel_from_outside() {
    model("an_error_and_a_cancel_from_outside", Some(2), || {
        let (yard, elsewhere) = (Yard::new(), Yard::new());
        let seen = Arc::new(AtomicUsize::new(0));
        let node: Arc<Mutex<Option<std::sync::Arc<Node>>>> = Arc::new(Mutex::new(None));
        let parent = yard.spawn({
            let (place, seen) = (node.clone(), seen.clone());
            async move {
                let node = Node::new(scope::current(), Kind::Scope, None);
                *place.lock() = Some(node.clone());
                let ended = scope::driven::Driven::at(node, Location::caller(), std::future::pending::<()>()).await;
                assert_eq!(ended, None);
                seen.fetch_add(1, Ordering::Relaxed);
                std::future::pending::<()>().await;
            }
        });
        yard.drain();
        let node = node.lock().take().expect("the group was opened");
        // What a group does with the error of its child.
        let failing = child(&elsewhere, &node, {
            let node = node.clone();
            async move {
                node.insist();
                node.cancel(reason(), None);
                None::<()>
            }
        });
        drop(node);
        let task = parent.task();
        let cancelling = thread::spawn(move || task.cancel());
        let running = thread::spawn(move || elsewhere.drain());
        yard.drain();
        cancelling.join().expect("joined");
        running.join().expect("joined");
        yard.drain();
        assert!(outcome(failing).is_err());
        assert_eq!(seen.load(Ordering::Relaxed), 1, "the error was not seen");
        assert!(
            outcome(parent).is_err_and(|error| error.is_cancelled()),
            "the cancel is lost"
        );
    });
}

/// A cancel of a parent beside the end of one of its children: all end, and the parent last.
#[test]
fn a_cancel_reaches_all_children() {
    model("a_cancel_reaches_all_children", Some(2), || {
        let (yard, elsewhere, counts) = (Yard::new(), Yard::new(), Counts::new());
        let place: Arc<Mutex<Option<std::sync::Arc<Node>>>> = Arc::new(Mutex::new(None));
        let parent = yard.spawn({
            let place = place.clone();
            async move {
                let node = Node::new(scope::current(), Kind::Scope, None);
                *place.lock() = Some(node.clone());
                scope::driven::Driven::at(node, Location::caller(), std::future::pending::<()>()).await
            }
        });
        yard.drain();
        let node = place.lock().take().expect("it was opened");
        let ends = child(&elsewhere, &node, async { Some(1) });
        let mut body = counted(&counts, |_| false);
        let waits = child(&elsewhere, &node, async move {
            let mut body = pin!(&mut body);
            std::future::poll_fn(|cx: &mut Context<'_>| body.as_mut().poll(cx).map(|_| None::<()>)).await
        });
        drop(node);
        let task = parent.task();
        let cancelling = thread::spawn(move || task.cancel());
        let other = thread::spawn({
            let elsewhere = elsewhere.clone();
            move || elsewhere.drain()
        });
        yard.drain();
        assert!(!parent.is_finished() || (ends.is_finished() && waits.is_finished()));
        cancelling.join().expect("joined");
        other.join().expect("joined");
        elsewhere.drain();
        yard.drain();
        assert!(ends.is_finished() && waits.is_finished(), "a child was not reached");
        assert_eq!(counts.future_drops(), 1);
        assert!(outcome(parent).is_err_and(|error| error.is_cancelled()));
    });
}

/// A body awaits a child that one cancel ends with it, on another thread: whatever comes first, it does not hear of that.
#[test]
fn a_child_that_is_cancelled_with_its_awaiter_is_no_news() {
    model("a_child_that_is_cancelled_with_its_awaiter_is_no_news", Some(3), || {
        let (yard, elsewhere) = (Yard::new(), Yard::new());
        let node = Node::new(None, Kind::Scope, None);
        let waits = child(&elsewhere, &node, std::future::pending::<Option<()>>());
        elsewhere.drain();
        let parent = yard.spawn({
            let node = node.clone();
            async move {
                let body = async { panic!("the body heard of the end of its child: {:?}", waits.await) };
                scope::driven::Driven::at(node, Location::caller(), body).await
            }
        });
        yard.drain();
        let other = thread::spawn(move || {
            node.cancel(reason(), None);
            elsewhere.drain();
        });
        yard.drain();
        other.join().expect("joined");
        yard.drain();
        assert_eq!(outcome(parent).expect("a value"), None::<()>);
    });
}
