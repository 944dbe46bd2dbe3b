//! The gate of a [`Runner`](crate::runtime::Runner): between two runs no worker polls.
//!
//! A worker looks at the gate before each park and where it looks after its driver, never between two polls; so an open gate costs nothing. Who finds it closed gives
//! what it has queued to the inbox, counts itself out, and waits. Who closes it makes everybody look, and waits until nobody is inside:
//!
//! ```text
//! closer:   close;  raise each worker's flag;  fence;  unpark those with an idle bit;   wait until nobody is inside
//! worker:   set own idle bit;  fence;  closed? -> do not park, count out
//! ```
//!
//! So either the worker sees the closed gate before it sleeps, or the closer sees that it sleeps.

use crate::shim::{AtomicUsize, Bug, Condvar, Mutex, Ordering, seeded};

/// The gate is open to all.
pub(crate) const ALL: usize = usize::MAX;

#[derive(Debug)]
pub(crate) struct Gate {
    /// It was closed to begin with: it is a runner's.
    is_used: bool,
    /// A copy of the state's, for a look in passing.
    open_to: AtomicUsize,
    state: Mutex<State>,
    opened: Condvar,
    left: Condvar,
}

#[derive(Debug)]
struct State {
    /// Workers with a number below this may poll.
    open_to: usize,
    /// Workers that do not wait at the gate.
    inside: usize,
}

impl Gate {
    /// All workers are inside, until they look.
    pub(crate) fn new(workers: usize, open_to: usize) -> Self {
        Self {
            is_used: open_to < ALL,
            open_to: AtomicUsize::new(open_to),
            state: Mutex::new(State {
                open_to,
                inside: workers,
            }),
            opened: Condvar::new(),
            left: Condvar::new(),
        }
    }

    /// Whether worker `index` may poll.
    #[inline]
    pub(crate) fn admits(&self, index: usize) -> bool {
        // Relaxed: what was done before a run is seen by what is polled in it, since every worker of a runner comes in by the lock, in `pass`. That the gate is closed may
        // be seen late: whoever closes it waits, and before a park the fence of the announcement orders it.
        index < self.open_to.load(Ordering::Relaxed)
    }

    /// Worker `index` begins.
    pub(crate) fn enter(&self, index: usize) {
        if self.is_used && !seeded(Bug::GateNotEntered) {
            self.pass(index);
        }
    }

    /// Worker `index` waits until it may poll.
    pub(crate) fn pass(&self, index: usize) {
        let mut state = self.state.lock();
        if index < state.open_to {
            return;
        }
        self.count_out(&mut state);
        while index >= state.open_to {
            state = self.opened.wait(state);
        }
        state.inside += 1;
    }

    /// Whether the gate is open to all: only then spares may work.
    pub(crate) fn is_open(&self) -> bool {
        // Relaxed: as in `admits`.
        self.open_to.load(Ordering::Relaxed) == ALL
    }

    /// A spare comes in. False if the gate is closed.
    pub(crate) fn enter_spare(&self) -> bool {
        if !self.is_used {
            return true;
        }
        let mut state = self.state.lock();
        let is_open = state.open_to == ALL;
        state.inside += usize::from(is_open);
        is_open
    }

    /// A thread stays in a poll whose worker another thread takes over.
    pub(crate) fn stay_inside(&self) {
        if self.is_used {
            self.state.lock().inside += 1;
        }
    }

    /// The end of [`enter_spare`](Self::enter_spare) or [`stay_inside`](Self::stay_inside).
    pub(crate) fn leave(&self) {
        if self.is_used {
            self.count_out(&mut self.state.lock());
        }
    }

    fn count_out(&self, state: &mut State) {
        state.inside -= 1;
        if state.inside == 0 {
            self.left.notify_all();
        }
    }

    /// Lets the first `workers` workers in.
    pub(crate) fn open(&self, workers: usize) {
        self.set(workers);
        self.opened.notify_all();
    }

    /// Closes the gate, has every worker look by `poke`, and waits until all stand before it.
    pub(crate) fn close(&self, poke: impl FnOnce()) {
        self.set(0);
        poke();
        let mut state = self.state.lock();
        while state.inside > 0 && !seeded(Bug::GateLeftOpen) {
            state = self.left.wait(state);
        }
    }

    fn set(&self, open_to: usize) {
        let mut state = self.state.lock();
        state.open_to = open_to;
        // Relaxed: as in `admits`.
        self.open_to.store(open_to, Ordering::Relaxed);
    }
}
