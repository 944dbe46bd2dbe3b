//! Shutdown against turns, waits and registrations.

use std::task::{Context, Waker};

use loom::sync::Arc;
use loom::thread;

use super::harness::model;
use super::{Count, register, runtime};
use crate::ready::Interest;
use crate::source::{Key, Kind, Source};

#[test]
fn shutdown_stays_and_wakes() {
    model("shutdown_stays_and_wakes", None, || {
        let source = Arc::new(Source::new(Kind::Other));
        let closer = thread::spawn({
            let source = source.clone();
            move || {
                let mut woken = Vec::new();
                source.shut_down(&mut woken);
                woken.into_iter().for_each(Waker::wake);
            }
        });
        let (count, waker) = Count::new();
        let waits = source.wait(Key::READER, Interest::READABLE, &waker).is_none();
        closer.join().unwrap();
        assert_eq!(count.get(), usize::from(waits), "lost wake");
        source.clear(source.look(Interest::READABLE));
        assert!(source.look(Interest::READABLE).shutdown);
        assert!(
            source.wait(Key::READER, Interest::READABLE, &waker).is_some(),
            "nobody waits after shutdown"
        );
    });
}

#[test]
fn shutdown_ends_the_owners_turn() {
    model("shutdown_ends_the_owners_turn", Some(3), || {
        let (reactor, _handle) = runtime();
        let closer = thread::spawn({
            let reactor = reactor.clone();
            move || reactor.shutdown(&mut Vec::new())
        });
        let rescuer = thread::spawn({
            let reactor = reactor.clone();
            move || drop(reactor.try_turn(&mut Vec::new()))
        });
        // Until it says that the reactor is shut down.
        while reactor.turn(None, &mut Vec::new()).is_ok() {}
        closer.join().unwrap();
        rescuer.join().unwrap();
    });
}

#[test]
fn a_registration_is_refused_or_told() {
    model("a_registration_is_refused_or_told", None, || {
        let (reactor, handle) = runtime();
        let closer = thread::spawn({
            let reactor = reactor.clone();
            move || {
                let mut woken = Vec::new();
                reactor.shutdown(&mut woken);
                woken.into_iter().for_each(Waker::wake);
            }
        });
        let (count, waker) = Count::new();
        let io = register(&handle);
        let mut waits = false;
        if let Ok(io) = &io {
            waits = io.poll_read_ready(&mut Context::from_waker(&waker)).is_pending();
        }
        closer.join().unwrap();
        assert_eq!(count.get(), usize::from(waits), "lost wake");
        drop(io);
        assert_eq!(reactor.load(), 0);
    });
}
