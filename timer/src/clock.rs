//! The clock of a runtime: the machine's, or one that a test stops and moves.

use std::fmt;
use std::time::{Duration, Instant};

use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex};

/// What time it is in one runtime. A clone is another handle to the same clock.
///
/// A clock that was never paused costs one relaxed load more than [`Instant::now`].
#[derive(Clone)]
pub struct Clock {
    inner: Arc<Inner>,
}

struct Inner {
    pausable: bool,
    /// It stands for ever, and is only moved: the time of a simulation.
    simulated: bool,
    /// Whether this clock has ever been paused: from then on its time is in `state`.
    own_time: AtomicBool,
    state: Mutex<State>,
    holds: AtomicUsize,
}

/// The time of a clock that has been paused: `base`, plus what has passed since it runs again.
#[derive(Clone, Copy)]
struct State {
    base: Instant,
    /// When it began to run, by the machine's clock; `None` while it stands.
    running: Option<Instant>,
}

impl Clock {
    /// The machine's clock, which cannot be paused.
    #[must_use]
    pub fn new() -> Clock {
        Clock::with(false, false)
    }

    /// A clock that runs like the machine's until it is paused.
    #[must_use]
    pub fn pausable() -> Clock {
        Clock::with(true, false)
    }

    /// A clock that stands, and moves only when it [is moved](Clock::jump_to): it cannot be set going.
    #[must_use]
    pub fn simulated() -> Clock {
        Clock::with(true, true)
    }

    fn with(pausable: bool, simulated: bool) -> Clock {
        let now = Instant::now();
        Clock {
            inner: Arc::new(Inner {
                pausable,
                simulated,
                own_time: AtomicBool::new(simulated),
                state: Mutex::new(State {
                    base: now,
                    running: (!simulated).then_some(now),
                }),
                holds: AtomicUsize::new(0),
            }),
        }
    }

    /// The present time.
    #[must_use]
    pub fn now(&self) -> Instant {
        // Relaxed: the lock orders what it leads to; whoever does not see the flag yet reads the time of before the pause.
        if self.inner.own_time.load(Ordering::Relaxed) {
            self.own_now()
        } else {
            Instant::now()
        }
    }

    #[cold]
    fn own_now(&self) -> Instant {
        self.inner.state.lock().now()
    }

    /// Whether [`pause`](Clock::pause) is allowed.
    #[must_use]
    pub fn is_pausable(&self) -> bool {
        self.inner.pausable
    }

    /// Whether this is the clock of a [simulation](Clock::simulated).
    #[must_use]
    pub fn is_simulated(&self) -> bool {
        self.inner.simulated
    }

    /// Whether this is the machine's time: the clock has never been paused.
    pub(crate) fn is_machines(&self) -> bool {
        // Relaxed: as in `now`.
        !self.inner.own_time.load(Ordering::Relaxed)
    }

    /// Whether the clock stands.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        // Relaxed: as in `now`.
        self.inner.own_time.load(Ordering::Relaxed) && self.inner.state.lock().running.is_none()
    }

    /// Stops the clock.
    ///
    /// # Panics
    ///
    /// If this clock cannot be paused, or is paused already.
    #[track_caller]
    pub fn pause(&self) {
        assert!(
            self.inner.pausable,
            "this runtime's clock cannot be paused: `pause` needs a current_thread runtime, or one that was built with `start_paused(true)`"
        );
        let mut state = self.inner.state.lock();
        // A clock that has never been paused follows the machine's, whatever `state` says.
        let now = if self.inner.own_time.load(Ordering::Relaxed) {
            state.now()
        } else {
            Instant::now()
        };
        let paused = self.inner.own_time.load(Ordering::Relaxed) && state.running.is_none();
        if !paused {
            *state = State {
                base: now,
                running: None,
            };
            // Relaxed: as in `now`.
            self.inner.own_time.store(true, Ordering::Relaxed);
        }
        drop(state);
        assert!(!paused, "the clock is already paused");
    }

    /// Lets the clock run again, from the time at which it stands.
    ///
    /// # Panics
    ///
    /// If the clock is not paused, or is that of a simulation.
    #[track_caller]
    pub fn resume(&self) {
        assert!(
            !self.inner.simulated,
            "the clock of a deterministic runtime cannot run by itself: it moves when nothing else is left to do"
        );
        let mut state = self.inner.state.lock();
        let paused = state.running.is_none();
        if paused {
            state.running = Some(Instant::now());
        }
        drop(state);
        assert!(paused, "the clock is not paused");
    }

    /// Moves the paused clock forward.
    ///
    /// # Panics
    ///
    /// If the clock is not paused, or if the new time is beyond what an `Instant` can hold.
    #[track_caller]
    pub fn advance(&self, by: Duration) {
        self.move_paused(|base| base.checked_add(by).expect("the clock cannot be advanced that far"));
    }

    /// Moves the paused clock forward to `to`; does nothing if it is past that already.
    ///
    /// # Panics
    ///
    /// If the clock is not paused.
    #[track_caller]
    pub fn advance_to(&self, to: Instant) {
        self.move_paused(|base| base.max(to));
    }

    /// As [`advance_to`](Clock::advance_to), for the driver's own jump: does nothing if somebody has let the clock run again meanwhile.
    pub fn jump_to(&self, to: Instant) {
        let mut state = self.inner.state.lock();
        if state.running.is_none() {
            state.base = state.base.max(to);
        }
    }

    #[track_caller]
    fn move_paused(&self, to: impl FnOnce(Instant) -> Instant) {
        let mut state = self.inner.state.lock();
        let paused = state.running.is_none();
        if paused {
            state.base = to(state.base);
        }
        drop(state);
        assert!(paused, "the clock is not paused");
    }

    /// Keeps a paused clock from jumping ahead by itself (a blocking job that still runs does this): see
    /// [`is_held`](Clock::is_held). [`advance`](Clock::advance) moves it all the same.
    #[must_use = "the clock is held until the guard is dropped"]
    pub fn hold(&self) -> Hold {
        // Relaxed: the runtime looks at the count when all its workers are idle; what made them idle has ordered it.
        self.inner.holds.fetch_add(1, Ordering::Relaxed);
        Hold { clock: self.clone() }
    }

    /// Whether somebody holds the clock. A runtime with a paused clock moves it to the next deadline when everything is
    /// idle and nobody holds it.
    #[must_use]
    pub fn is_held(&self) -> bool {
        // Acquire: matches the Release in `Hold::drop`, so that what the holder did is visible before the clock jumps.
        self.inner.holds.load(Ordering::Acquire) != 0
    }

    /// Whether both are handles to one clock.
    pub(crate) fn is(&self, other: &Clock) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl State {
    fn now(&self) -> Instant {
        match self.running {
            Some(since) => self.base + since.elapsed(),
            None => self.base,
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::new()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock")
            .field("pausable", &self.inner.pausable)
            .finish_non_exhaustive()
    }
}

/// A paused clock does not jump ahead by itself while this exists. From [`Clock::hold`].
#[derive(Debug)]
pub struct Hold {
    clock: Clock,
}

impl Drop for Hold {
    fn drop(&mut self) {
        // Release: matches the Acquire in `is_held`.
        self.clock.inner.holds.fetch_sub(1, Ordering::Release);
    }
}
