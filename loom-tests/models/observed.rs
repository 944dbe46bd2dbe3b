//! Functions that are called when a task has ended: one that is registered beside the end, and a caller that is dropped.

use super::harness::model;
use super::support::{Guest, Yard};
use crate::combine::Observed;
use crate::task::JoinError;
use loom::sync::Arc;
use loom::thread;
// The log is read when the threads are joined: it is no part of what is explored.
use std::sync::Mutex;

type Function = Box<dyn FnOnce(&Result<u32, JoinError>) + Send>;
type Log = std::sync::Arc<Mutex<Vec<u32>>>;

/// Notes its number when it is called. Loom reports it if it leaks.
fn note(log: &Log, number: u32) -> Function {
    let (log, leak) = (log.clone(), Arc::new(()));
    Box::new(move |outcome| {
        assert_eq!(*outcome.as_ref().expect("a value"), 7);
        log.lock().expect("no poison").push(number);
        drop(leak);
    })
}

fn noted(log: &Log) -> Vec<u32> {
    log.lock().expect("no poison").clone()
}

#[test]
fn a_function_that_comes_beside_the_end_is_called_once() {
    let name = "a_function_that_comes_beside_the_end_is_called_once";
    model(name, Some(3), || {
        let (yard, log) = (Yard::new(), Log::default());
        let (observed, calls) = Observed::new(yard.spawn(async { 7 }), note(&log, 1));
        drop(yard.spawn(calls));
        let running = thread::spawn({
            let yard = yard.clone();
            move || yard.drain()
        });
        if let Some(calls) = observed.add(note(&log, 2)) {
            drop(yard.spawn(calls));
        }
        let mut guest = Guest::new({
            let log = log.clone();
            async move { (observed.await, noted(&log)) }
        });
        let early = guest.poll();
        running.join().expect("joined");
        yard.drain();
        let (outcome, before) = early.unwrap_or_else(|| guest.woken());
        assert_eq!(outcome.expect("a value"), 7);
        assert_eq!(before, [1, 2], "the outcome came before the functions, or one was lost");
        assert_eq!(noted(&log), [1, 2], "a function was called twice");
    });
}

/// As when the runtime shuts down: the functions are called, or dropped with whoever should have; who waits hears of it.
#[test]
fn who_awaits_hears_of_a_caller_that_goes() {
    model("who_awaits_hears_of_a_caller_that_goes", Some(3), || {
        let (yard, log) = (Yard::new(), Log::default());
        let (observed, calls) = Observed::new(yard.spawn(async { 7 }), note(&log, 1));
        let caller = yard.spawn(calls);
        let running = thread::spawn(move || yard.drain());
        let aborting = thread::spawn(move || caller.abort());
        let mut guest = Guest::new(observed);
        let early = guest.poll();
        running.join().expect("joined");
        aborting.join().expect("joined");
        match early.unwrap_or_else(|| guest.woken()) {
            Ok(value) => assert_eq!((value, noted(&log)), (7, vec![1])),
            Err(error) => assert!(error.is_cancelled() && noted(&log).is_empty()),
        }
    });
}
