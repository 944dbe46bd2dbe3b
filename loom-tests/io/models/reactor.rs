//! The reactor: events from the kernel to the waker, and the slots of its table.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use loom::sync::atomic::Ordering;
use loom::thread;

use super::harness::model;
use super::{Count, Socket, register, runtime};
use crate::registered::{Direction, Registered};
use crate::{Interest, Ready};

fn poll(io: &Registered<Socket>, waker: &Waker) -> Poll<std::io::Result<()>> {
    io.poll_io(&mut Context::from_waker(waker), Direction::Read, Socket::take)
}

#[test]
fn an_edge_reaches_the_task() {
    model("an_edge_reaches_the_task", None, || {
        let (reactor, handle) = runtime();
        let io = register(&handle).unwrap();
        let kernel = thread::spawn({
            let (byte, line) = (io.get_ref().byte.clone(), io.get_ref().line());
            move || {
                byte.store(1, Ordering::Relaxed);
                line.edge(Ready::READABLE);
            }
        });
        // A worker: polls its task, and turns its reactor while the task waits. A lost edge is a deadlock.
        let (count, waker) = Count::new();
        let mut polls = 0;
        loop {
            polls += 1;
            match poll(&io, &waker) {
                Poll::Ready(result) => break result.unwrap(),
                Poll::Pending => {
                    let mut ready = Vec::new();
                    reactor.turn(None, &mut ready).unwrap();
                    ready.into_iter().for_each(Waker::wake);
                }
            }
        }
        assert_eq!(polls, count.get() + 1, "one poll for each wake");
        kernel.join().unwrap();
    });
}

#[test]
fn a_late_event_misses_the_slots_next_owner() {
    model("a_late_event_misses_the_slots_next_owner", None, || {
        let (reactor, handle) = runtime();
        let first = register(&handle).unwrap();
        let line = first.get_ref().line();
        let worker = thread::spawn({
            let reactor = reactor.clone();
            move || {
                line.edge(Ready::READABLE);
                reactor.turn(Some(Duration::ZERO), &mut Vec::new()).unwrap();
            }
        });
        drop(first);
        let second = register(&handle).unwrap();
        worker.join().unwrap();
        reactor.turn(Some(Duration::ZERO), &mut Vec::new()).unwrap();
        let result = second.try_io(Interest::READABLE, |_| Ok(()));
        assert!(result.is_err(), "an event of another socket");
        drop(second);
        assert_eq!(reactor.load(), 0);
    });
}

#[test]
fn a_stuck_owners_reactor_is_taken_over() {
    model("a_stuck_owners_reactor_is_taken_over", None, || {
        let (reactor, handle) = runtime();
        let io = register(&handle).unwrap();
        let (count, waker) = Count::new();
        assert!(poll(&io, &waker).is_pending());
        io.get_ref().byte.store(1, Ordering::Relaxed);
        io.get_ref().line().edge(Ready::READABLE);
        // The owner comes back while it is being rescued.
        let rescuer = thread::spawn({
            let reactor = reactor.clone();
            move || {
                let mut ready = Vec::new();
                let turned = reactor.try_turn(&mut ready).unwrap();
                let woken = ready.len();
                ready.into_iter().for_each(Waker::wake);
                (turned.is_some(), woken)
            }
        });
        let mut ready = Vec::new();
        reactor.turn(Some(Duration::ZERO), &mut ready).unwrap();
        let by_owner = ready.len();
        ready.into_iter().for_each(Waker::wake);
        let (turned, by_rescuer) = rescuer.join().unwrap();
        assert_eq!(by_owner + by_rescuer, 1, "one of them wakes the task");
        assert!(turned || by_owner == 1);
        assert_eq!(count.get(), 1);
        assert!(poll(&io, &waker).is_ready());
    });
}

#[test]
fn a_blocked_owner_is_left_alone() {
    model("a_blocked_owner_is_left_alone", Some(3), || {
        let (reactor, handle) = runtime();
        let io = register(&handle).unwrap();
        let (count, waker) = Count::new();
        assert!(poll(&io, &waker).is_pending());
        let rescuer = thread::spawn({
            let (reactor, line, byte) = (reactor.clone(), io.get_ref().line(), io.get_ref().byte.clone());
            move || {
                byte.store(1, Ordering::Relaxed);
                line.edge(Ready::READABLE);
                let mut ready = Vec::new();
                reactor.try_turn(&mut ready).unwrap();
                let rescued = !ready.is_empty();
                ready.into_iter().for_each(Waker::wake);
                // Whoever takes a task from a reactor tells its owner, which may wait for nothing now.
                if rescued {
                    reactor.unpark();
                }
            }
        });
        while poll(&io, &waker).is_pending() {
            let mut ready = Vec::new();
            reactor.turn(None, &mut ready).unwrap();
            ready.into_iter().for_each(Waker::wake);
        }
        rescuer.join().unwrap();
        assert!(count.get() <= 1);
    });
}
