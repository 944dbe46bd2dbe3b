//! A handle that several await, against the end of its task.

use super::harness::model;
use super::support::{Bell, Yard};
use crate::task::{JoinError, Shared};
use loom::sync::Arc;
use loom::thread;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// What a task gives: loom reports a clone of it that leaks.
type Value = Arc<u32>;
type Answer = Result<Value, std::sync::Arc<JoinError>>;

/// A task with the handle that is to be cloned, and what it will give.
fn task(yard: &Yard) -> (Shared<Value>, Value) {
    let value = Value::new(7);
    let gives = value.clone();
    (yard.spawn(async move { gives }).shared(), value)
}

fn poll(shared: &mut Shared<Value>, waker: &Waker) -> Poll<Answer> {
    Pin::new(shared).poll(&mut Context::from_waker(waker))
}

/// Somebody who has asked once, and has the answer or waits for it.
struct Asked {
    shared: Shared<Value>,
    bell: std::sync::Arc<Bell>,
    waker: Waker,
    answer: Poll<Answer>,
}

fn ask(mut shared: Shared<Value>) -> Asked {
    let (bell, waker) = Bell::new();
    let answer = poll(&mut shared, &waker);
    Asked {
        shared,
        bell,
        waker,
        answer,
    }
}

/// Now that the task has ended.
fn is_answered(mut asked: Asked) {
    if asked.answer.is_pending() {
        assert!(asked.bell.rings() > 0, "a clone slept over the end of its task");
        asked.answer = poll(&mut asked.shared, &asked.waker);
    }
    match asked.answer {
        Poll::Ready(Ok(value)) => assert_eq!(*value, 7),
        _ => panic!("a clone got no value"),
    }
}

fn is_all_gone(value: &Value) {
    assert_eq!(Arc::strong_count(value), 1, "a value was left somewhere");
}

#[test]
fn two_clones_are_given_the_value() {
    model("two_clones_are_given_the_value", Some(2), || {
        let yard = Yard::new();
        let (one, value) = task(&yard);
        let two = one.clone();
        let asking = thread::spawn(move || ask(one));
        let running = thread::spawn(move || yard.drain());
        let two = ask(two);
        running.join().expect("joined");
        is_answered(asking.join().expect("joined"));
        is_answered(two);
        is_all_gone(&value);
    });
}

/// Of two that wait one goes while the task ends; the other is woken all the same.
#[test]
fn a_clone_that_goes_takes_nobody_along() {
    model("a_clone_that_goes_takes_nobody_along", None, || {
        let yard = Yard::new();
        let (one, value) = task(&yard);
        let one = ask(one);
        let two = ask(one.shared.clone());
        assert!(one.answer.is_pending() && two.answer.is_pending());
        let going = thread::spawn(move || drop(two));
        yard.drain();
        is_answered(one);
        going.join().expect("joined");
        is_all_gone(&value);
    });
}

/// The last one goes while the task ends, which runs on; nothing leaks.
#[test]
fn the_last_clone_goes_beside_the_end() {
    model("the_last_clone_goes_beside_the_end", None, || {
        let yard = Yard::new();
        let (one, value) = task(&yard);
        let one = ask(one);
        assert!(one.answer.is_pending());
        let way = one.shared.task();
        let going = thread::spawn(move || drop(one));
        yard.drain();
        assert!(way.is_finished());
        going.join().expect("joined");
        is_all_gone(&value);
    });
}

/// A clone that begins to wait while another one is given the outcome.
#[test]
fn one_takes_the_outcome_and_the_other_gets_it() {
    model("one_takes_the_outcome_and_the_other_gets_it", None, || {
        let yard = Yard::new();
        let (one, value) = task(&yard);
        let two = one.clone();
        yard.drain();
        let asking = thread::spawn(move || is_answered(ask(one)));
        is_answered(ask(two));
        asking.join().expect("joined");
        is_all_gone(&value);
    });
}
