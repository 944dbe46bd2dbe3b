//! One source: events against those who look, clear and wait.

use std::task::Waker;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::harness::model;
use super::{Count, take};
use crate::ready::{Interest, Ready};
use crate::source::{Key, Kind, Seen, Source};

/// What a poll of a read does: looks, tries, clears, waits. True if it got the byte.
fn poll_read(source: &Source, byte: &AtomicUsize, waker: &Waker) -> bool {
    let mut seen = source.look(Interest::READABLE);
    loop {
        if seen.may_try() {
            if take(byte).is_ok() {
                return true;
            }
            source.clear(seen);
        }
        match wait(source, waker) {
            Some(now) => seen = now,
            None => return false,
        }
    }
}

fn wait(source: &Source, waker: &Waker) -> Option<Seen> {
    let seen = source.look(Interest::READABLE);
    if seen.may_try() {
        Some(seen)
    } else {
        source.wait(Key::READER, Interest::READABLE, waker)
    }
}

fn deliver(source: &Source, byte: &AtomicUsize) -> Vec<Waker> {
    let mut woken = Vec::new();
    byte.store(1, Ordering::Relaxed);
    source.set(Ready::READABLE, &mut woken);
    woken
}

fn wake(woken: Vec<Waker>) {
    woken.into_iter().for_each(Waker::wake);
}

#[test]
fn an_event_while_a_task_begins_to_wait_is_not_lost() {
    model("an_event_while_a_task_begins_to_wait_is_not_lost", None, || {
        let source = Arc::new(Source::new(Kind::Other));
        let byte = Arc::new(AtomicUsize::new(0));
        let (count, waker) = Count::new();
        let kernel = thread::spawn({
            let (source, byte) = (source.clone(), byte.clone());
            move || wake(deliver(&source, &byte))
        });
        let got = poll_read(&source, &byte, &waker);
        kernel.join().unwrap();
        assert!(got || count.get() == 1, "lost wake");
        assert!(got || poll_read(&source, &byte, &waker), "woken for nothing");
        assert_eq!(source.waiting(), 0);
    });
}

#[test]
fn clearing_what_was_seen_keeps_what_came_since() {
    model("clearing_what_was_seen_keeps_what_came_since", None, || {
        let source = Arc::new(Source::new(Kind::Other));
        let byte = Arc::new(AtomicUsize::new(0));
        let (count, waker) = Count::new();
        // Readiness without a byte: somebody else was faster.
        source.set(Ready::READABLE, &mut Vec::new());
        let kernel = thread::spawn({
            let (source, byte) = (source.clone(), byte.clone());
            move || wake(deliver(&source, &byte))
        });
        let got = poll_read(&source, &byte, &waker);
        kernel.join().unwrap();
        assert!(got || count.get() == 1, "lost wake");
        assert!(got || poll_read(&source, &byte, &waker), "woken for nothing");
    });
}

#[test]
fn closed_stays_closed() {
    model("closed_stays_closed", None, || {
        let source = Arc::new(Source::new(Kind::Stream));
        let kernel = thread::spawn({
            let source = source.clone();
            move || {
                source.set(Ready::READABLE, &mut Vec::new());
                source.set(Ready::READABLE | Ready::READ_CLOSED, &mut Vec::new());
            }
        });
        // A short read clears what it saw, whatever that was.
        source.clear(source.look(Interest::READABLE));
        kernel.join().unwrap();
        source.clear(source.look(Interest::READABLE));
        let seen = source.look(Interest::READABLE);
        assert_eq!(seen.ready, Ready::READ_CLOSED);
    });
}

#[test]
fn a_reader_and_a_writer_wait_for_themselves() {
    model("a_reader_and_a_writer_wait_for_themselves", Some(3), || {
        let source = Arc::new(Source::new(Kind::Other));
        let waiters = [(Key::READER, Interest::READABLE), (Key::WRITER, Interest::WRITABLE)].map(|(key, interest)| {
            let source = source.clone();
            thread::spawn(move || {
                let (count, waker) = Count::new();
                let waits = source.wait(key, interest, &waker).is_none();
                drop(waker);
                (waits, count)
            })
        });
        let mut woken = Vec::new();
        source.set(Ready::READABLE, &mut woken);
        source.set(Ready::WRITABLE, &mut woken);
        wake(woken);
        for waiter in waiters {
            let (waits, count) = waiter.join().unwrap();
            assert_eq!(
                count.get(),
                usize::from(waits),
                "a waiter is woken once, and one that does not wait never"
            );
        }
        assert_eq!(source.waiting(), 0);
    });
}

#[test]
fn a_wait_that_is_given_up_leaves_nothing() {
    model("a_wait_that_is_given_up_leaves_nothing", None, || {
        let source = Arc::new(Source::new(Kind::Other));
        let kernel = thread::spawn({
            let source = source.clone();
            move || {
                let mut woken = Vec::new();
                source.set(Ready::READABLE, &mut woken);
                wake(woken);
            }
        });
        let (count, waker) = Count::new();
        let key = source.new_key();
        let waits = source.wait(key, Interest::READABLE, &waker).is_none();
        source.forget(key);
        kernel.join().unwrap();
        assert!(count.get() <= usize::from(waits));
        assert_eq!(source.waiting(), 0);
        // The event belongs to nobody and stays.
        assert!(source.look(Interest::READABLE).may_try());
    });
}
