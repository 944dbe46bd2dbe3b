//! A socket that is given up while its reactor is turned, rescued or shut down: taken out first, closed then, and nothing of it stays.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use loom::thread;

use super::harness::model;
use super::{Count, runtime};
use crate::sys::{Line, Source};
use crate::{Handle, Interest, Kind, Reactor, Ready, Registered};

/// A socket that knows whether it is closed behind its deregistration, and closed once.
struct Socket {
    line: Arc<Mutex<Option<Line>>>,
    closed: Arc<AtomicUsize>,
    _leak: loom::sync::Arc<()>,
}

impl Source for Socket {
    fn registered(&mut self, line: Line, _: Interest) {
        *self.line.lock().unwrap() = Some(line);
    }

    fn deregistered(&mut self) {
        let line = self.line.lock().unwrap().take();
        assert!(line.is_some(), "it was deregistered twice");
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.closed.fetch_add(1, Ordering::Relaxed);
    }
}

/// A socket with a task that waits for it.
struct Waiting {
    io: Registered<Socket>,
    line: Line,
    closed: Arc<AtomicUsize>,
    count: Arc<Count>,
}

fn waiting(handle: &Handle) -> Waiting {
    let (line, closed) = (Arc::default(), Arc::<AtomicUsize>::default());
    let socket = Socket {
        line: Arc::clone(&line),
        closed: closed.clone(),
        _leak: loom::sync::Arc::new(()),
    };
    let io = Registered::at(socket, Interest::READABLE, Kind::Other, handle, 0).unwrap();
    let line = line.lock().unwrap().clone().expect("it is registered");
    let (count, waker) = Count::new();
    assert!(io.poll_read_ready(&mut Context::from_waker(&waker)).is_pending());
    Waiting {
        io,
        line,
        closed,
        count,
    }
}

fn turn(reactor: &Reactor) {
    let mut ready = Vec::new();
    let _ = reactor.turn(Some(Duration::ZERO), &mut ready);
    ready.into_iter().for_each(Waker::wake);
}

fn nothing_is_left(reactor: &Reactor, closed: &AtomicUsize, count: &Arc<Count>) {
    assert_eq!(closed.load(Ordering::Relaxed), 1);
    assert!(count.get() <= 1);
    assert_eq!(
        Arc::strong_count(count),
        1,
        "the source, or a waker of it, stayed somewhere"
    );
    assert_eq!(reactor.load(), 0);
}

#[test]
fn closing_against_a_turn_and_a_rescue() {
    model("closing_against_a_turn_and_a_rescue", Some(3), || {
        let (reactor, handle) = runtime();
        let Waiting {
            io,
            line,
            closed,
            count,
        } = waiting(&handle);
        line.edge(Ready::READABLE);
        let rescuer = thread::spawn({
            let reactor = reactor.clone();
            move || {
                let mut ready = Vec::new();
                let _ = reactor.try_turn(&mut ready);
                ready.into_iter().for_each(Waker::wake);
            }
        });
        let closer = thread::spawn(move || drop(io));
        turn(&reactor);
        rescuer.join().unwrap();
        closer.join().unwrap();
        turn(&reactor);
        nothing_is_left(&reactor, &closed, &count);
    });
}

#[test]
fn closing_against_the_shutdown() {
    model("closing_against_the_shutdown", None, || {
        let (reactor, handle) = runtime();
        let Waiting { io, closed, count, .. } = waiting(&handle);
        let closer = thread::spawn(move || drop(io));
        let mut woken = Vec::new();
        reactor.shutdown(&mut woken);
        woken.into_iter().for_each(Waker::wake);
        closer.join().unwrap();
        nothing_is_left(&reactor, &closed, &count);
    });
}

/// A socket that is taken back is the program's, whatever the reactor does with its last events.
#[test]
fn taking_back_against_a_turn() {
    model("taking_back_against_a_turn", None, || {
        let (reactor, handle) = runtime();
        let Waiting {
            io,
            line,
            closed,
            count,
        } = waiting(&handle);
        let taker = thread::spawn(move || io.into_inner());
        line.edge(Ready::READABLE);
        turn(&reactor);
        let socket = taker.join().unwrap();
        assert_eq!(closed.load(Ordering::Relaxed), 0);
        assert!(socket.line.lock().unwrap().is_none());
        drop(socket);
        turn(&reactor);
        nothing_is_left(&reactor, &closed, &count);
    });
}
