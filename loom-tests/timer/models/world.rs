//! What the models share: one worker's timers, moments, and wakers that count.

use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Condvar, Mutex};

use crate::clock::Clock;
use crate::timers::Timers;

/// The timers of a worker, and the moment at which they were made.
pub(super) struct World {
    pub(super) timers: Arc<Timers>,
    pub(super) owner: Arc<Owner>,
    begin: Instant,
}

impl World {
    pub(super) fn new() -> World {
        World::by(Clock::new())
    }

    /// Two workers of one runtime.
    pub(super) fn workers() -> [World; 2] {
        let clock = Clock::new();
        [World::by(clock.clone()), World::by(clock)]
    }

    fn by(clock: Clock) -> World {
        let owner = Arc::new(Owner::default());
        let timers = Arc::new(Timers::new(clock, Waker::from(Arc::clone(&owner))));
        World {
            timers,
            owner,
            begin: Instant::now(),
        }
    }

    /// This many milliseconds after the beginning. Far enough apart that rounding does not matter.
    pub(super) fn at(&self, milliseconds: u64) -> Instant {
        self.begin + Duration::from_millis(milliseconds)
    }

    /// What a driver does with a turn: first the lock, then the wakes.
    pub(super) fn turn(&self, milliseconds: u64) -> Option<Instant> {
        let mut fired = Vec::new();
        let next = self.timers.turn(self.at(milliseconds), &mut fired);
        fired.into_iter().for_each(Waker::wake);
        next
    }

    /// As `turn`, from another worker; tells whether it got in.
    pub(super) fn try_turn(&self, milliseconds: u64) -> bool {
        let mut fired = Vec::new();
        let turned = self.timers.try_turn(self.at(milliseconds), &mut fired).is_some();
        fired.into_iter().for_each(Waker::wake);
        turned
    }
}

impl Clone for World {
    fn clone(&self) -> Self {
        World {
            timers: Arc::clone(&self.timers),
            owner: Arc::clone(&self.owner),
            begin: self.begin,
        }
    }
}

/// A waker that counts how often it was woken.
#[derive(Default)]
pub(super) struct Count(AtomicUsize);

impl Count {
    pub(super) fn new() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (Arc::clone(&count), Waker::from(count))
    }

    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        // Relaxed: a wake that carries no order of its own does not hide one that is missing elsewhere.
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A worker's sleep: a token, and how often it was given.
#[derive(Default)]
pub(super) struct Owner {
    woken: Mutex<usize>,
    changed: Condvar,
}

impl Owner {
    /// Sleeps until woken, for ever if need be: loom reports that as a deadlock.
    pub(super) fn sleep(&self) {
        let mut woken = self.woken.lock().unwrap();
        while *woken == 0 {
            woken = self.changed.wait(woken).unwrap();
        }
    }

    pub(super) fn woken(&self) -> usize {
        *self.woken.lock().unwrap()
    }
}

impl Wake for Owner {
    fn wake(self: Arc<Self>) {
        *self.woken.lock().unwrap() += 1;
        self.changed.notify_one();
    }
}
