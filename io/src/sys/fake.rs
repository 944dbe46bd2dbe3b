//! A kernel for the models: one queue of edges and one wake flag, behind the face of the real one.
//!
//! A wait with a timeout never blocks, since a model has no clock; a wait without one blocks until there is an edge
//! or a wake, so a lost wake-up is a deadlock that the model reports. The lock is never held while calling out.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use loom::sync::{Arc, Condvar};

use crate::ready::{Interest, Ready};
use crate::sync::Mutex;

/// What can be registered: the model's stand-in for a socket.
pub trait Source {
    /// The source is registered; `line` is how the model lets the kernel see events of it.
    fn registered(&mut self, line: Line, interest: Interest);
    /// The source is not registered any more.
    fn deregistered(&mut self);
}

/// Where the events of one registration come in. It outlives the registration, as events in the real kernel may.
#[derive(Clone)]
pub struct Line {
    inner: Arc<Inner>,
    token: usize,
}

impl Line {
    /// The kernel sees that the source became ready.
    pub fn edge(&self, ready: Ready) {
        self.inner.state.lock().edges.push_back((self.token, ready));
        self.inner.changed.notify_one();
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line")
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

/// There is no simulated network in a model: this has the face of the real one and nothing behind it.
pub mod sim {
    use std::time::{Duration, Instant};

    /// Nothing happens in it.
    #[derive(Debug, Clone)]
    pub struct Network(());

    impl Network {
        /// A network for nobody: no reactor can be made for it.
        pub fn new(_: u64, _: Instant) -> Network {
            Network(())
        }

        /// Nothing is under way.
        pub fn next_due(&self) -> Option<Instant> {
            None
        }

        /// Nothing arrives.
        pub fn advance_to(&self, _: Instant) {}

        /// Nothing happened.
        pub fn trace(&self) -> u64 {
            0
        }

        /// Changes nothing.
        pub fn set_short_io(&self, _: f64) {}

        /// Changes nothing.
        pub fn set_readiness_delay(&self, _: Duration) {}
    }
}

pub(crate) use sim::Network;

pub(crate) struct Kernel {
    inner: Arc<Inner>,
    events: Vec<(usize, Ready)>,
}

pub(crate) struct Ports {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    edges: VecDeque<(usize, Ready)>,
    woken: bool,
}

pub(crate) fn open() -> io::Result<(Kernel, Ports)> {
    let inner = Arc::new(Inner {
        state: Mutex::new(State::default()),
        changed: Condvar::new(),
    });
    let ports = Ports { inner: inner.clone() };
    Ok((
        Kernel {
            inner,
            events: Vec::new(),
        },
        ports,
    ))
}

pub(crate) fn open_simulated(_: &Network) -> (Kernel, Ports) {
    unreachable!("a model simulates no network")
}

impl Kernel {
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.wait_quietly(timeout)?;
        // Whoever waits holds the reactor's lock, so nobody takes anything in between.
        let mut state = self.inner.state.lock();
        // As an edge-triggered eventfd: whoever waits takes the wake.
        state.woken = false;
        self.events.clear();
        self.events.extend(state.edges.drain(..));
        Ok(())
    }

    pub(crate) fn wait_quietly(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let mut state = self.inner.state.lock();
        while timeout.is_none() && state.edges.is_empty() && !state.woken {
            state = self.inner.changed.wait(state).unwrap();
        }
        Ok(())
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = (usize, Ready)> + '_ {
        self.events.iter().copied()
    }
}

impl Ports {
    pub(crate) fn register(&self, io: &mut impl Source, token: usize, interest: Interest) -> io::Result<()> {
        io.registered(
            Line {
                inner: self.inner.clone(),
                token,
            },
            interest,
        );
        Ok(())
    }

    pub(crate) fn deregister(&self, io: &mut impl Source) -> io::Result<()> {
        io.deregistered();
        Ok(())
    }

    pub(crate) fn wake(&self) -> io::Result<()> {
        self.inner.state.lock().woken = true;
        self.inner.changed.notify_one();
        Ok(())
    }

    pub(crate) fn has_events(&self) -> bool {
        let state = self.inner.state.lock();
        state.woken || !state.edges.is_empty()
    }
}
