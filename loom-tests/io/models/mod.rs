//! Models of readiness and of the reactor, over the fake kernel.

#[path = "../../harness.rs"]
mod harness;

mod deregister;
mod reactor;
mod readiness;
mod seeded;
mod shutdown;
mod unpark;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use crate::sys::{Line, Source};
use crate::{Handle, Hooks, Interest, Kind, Reactor, Registered};

/// A socket that holds at most one byte, which a model's thread delivers.
struct Socket {
    /// Relaxed everywhere: whatever makes it visible must be the readiness, not the byte itself.
    byte: Arc<loom::sync::atomic::AtomicUsize>,
    line: Option<Line>,
}

impl Socket {
    fn new() -> Socket {
        Socket {
            byte: Arc::new(loom::sync::atomic::AtomicUsize::new(0)),
            line: None,
        }
    }

    fn line(&self) -> Line {
        self.line.clone().expect("the socket is registered")
    }

    /// Takes the byte, or says `WouldBlock`.
    fn take(&self) -> io::Result<()> {
        take(&self.byte)
    }
}

impl Source for Socket {
    fn registered(&mut self, line: Line, _: Interest) {
        self.line = Some(line);
    }

    fn deregistered(&mut self) {
        self.line = None;
    }
}

fn take(byte: &loom::sync::atomic::AtomicUsize) -> io::Result<()> {
    match byte.load(Ordering::Relaxed) {
        0 => Err(io::ErrorKind::WouldBlock.into()),
        _ => Ok(()),
    }
}

/// A runtime with one worker.
fn runtime() -> (Reactor, Handle) {
    let reactor = Reactor::new().unwrap();
    let handle = Handle::new(vec![reactor.clone()], Hooks::default());
    (reactor, handle)
}

fn register(handle: &Handle) -> io::Result<Registered<Socket>> {
    Registered::at(
        Socket::new(),
        Interest::READABLE | Interest::WRITABLE,
        Kind::Other,
        handle,
        0,
    )
}

/// A waker that counts. Its counter is std's: models look at it after joining, and it must not add a happens-before.
#[derive(Default)]
struct Count(AtomicUsize);

impl Count {
    fn new() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (count.clone(), Waker::from(count))
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
