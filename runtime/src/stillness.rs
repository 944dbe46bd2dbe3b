//! When nothing runs: the moment at which the paused clock of a multi_thread runtime jumps.
//!
//! Everything that can make something happen is counted while it is awake: each worker, and each thread in `block_on`. Blocking jobs hold the clock by
//! themselves. Whoever falls asleep last looks around and moves the clock:
//!
//! ```text
//! sleeper:  [lock] count down; none left, and no news anywhere -> jump, rouse whose timers are due [unlock];
//!           wait until there is news, without taking it;
//!           [lock] count up [unlock];   take the news
//! ```
//!
//! News are the events and the unpark of a reactor, and the token of a thread in `block_on`. A wake leaves news behind, and only the sleeper whom they
//! are for takes them, after it has counted itself awake. So as long as a wake is under way, either somebody is counted or there is news, and time stands.
//!
//! Time jumps only while some thread is in `block_on`: else nobody is there to see it, and a task that wakes every second would race through the years. It
//! jumps at the end of the runtime, too, when clean-ups are all that runs.

use crate::park::Parker;
use crate::shim::{Bug, Mutex, seeded};
use filch_timer::Clock;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// A worker, as seen by whoever falls asleep last.
pub(crate) trait Sleeper: Send + Sync {
    /// Whether its wait would end at once.
    fn has_news(&self) -> bool;

    /// When its next timer is due.
    fn next_deadline(&self) -> Option<Instant>;

    /// Ends its wait.
    fn rouse(&self);
}

pub(crate) struct Stillness {
    clock: Clock,
    sleepers: OnceLock<Vec<Box<dyn Sleeper>>>,
    state: Mutex<State>,
}

struct State {
    awake: usize,
    /// The threads in `block_on`.
    guests: Vec<Arc<Parker>>,
    /// The runtime shuts down.
    closing: bool,
}

impl Stillness {
    /// All workers are awake.
    pub(crate) fn new(clock: Clock, workers: usize) -> Arc<Self> {
        Arc::new(Self {
            clock,
            sleepers: OnceLock::new(),
            state: Mutex::new(State {
                awake: workers,
                guests: Vec::new(),
                closing: false,
            }),
        })
    }

    /// Who the workers are. Once, before the first of them sleeps.
    pub(crate) fn know(&self, sleepers: Vec<Box<dyn Sleeper>>) {
        let _ = self.sleepers.set(sleepers);
    }

    /// The caller is going to wait for news.
    pub(crate) fn fall_asleep(&self) {
        let mut state = self.state.lock();
        state.awake -= 1;
        self.look_around(&state);
    }

    /// The caller is awake, and has not taken its news yet.
    pub(crate) fn wake_up(&self) {
        self.state.lock().awake += 1;
    }

    /// The runtime shuts down: what still runs are clean-ups, and the end waits for them.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closing = true;
        self.look_around(&state);
    }

    /// A thread enters `block_on`.
    pub(crate) fn guest(&self, parker: Arc<Parker>) -> Guest<'_> {
        let mut state = self.state.lock();
        state.awake += 1;
        state.guests.push(parker.clone());
        Guest {
            stillness: self,
            parker,
        }
    }

    /// Moves the clock, if everybody sleeps.
    fn look_around(&self, state: &State) {
        if state.awake > 0
            || (state.guests.is_empty() && !state.closing)
            || !self.clock.is_paused()
            || self.clock.is_held()
        {
            return;
        }
        let sleepers = self.sleepers.get().map_or(&[][..], Vec::as_slice);
        let news =
            sleepers.iter().any(|sleeper| sleeper.has_news()) || state.guests.iter().any(|guest| guest.has_token());
        if news && !seeded(Bug::StillnessIgnoresNews) {
            return;
        }
        let Some(next) = sleepers.iter().filter_map(|sleeper| sleeper.next_deadline()).min() else {
            return;
        };
        self.clock.jump_to(next);
        for sleeper in sleepers {
            if sleeper.next_deadline().is_some_and(|deadline| deadline <= next) {
                sleeper.rouse();
            }
        }
    }
}

impl fmt::Debug for Stillness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stillness").finish_non_exhaustive()
    }
}

/// A thread in `block_on`.
pub(crate) struct Guest<'a> {
    stillness: &'a Stillness,
    parker: Arc<Parker>,
}

impl Guest<'_> {
    /// As [`Parker::park`].
    pub(crate) fn park(&self) {
        self.stillness.fall_asleep();
        self.parker.wait();
        self.stillness.wake_up();
        self.parker.take();
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        let mut state = self.stillness.state.lock();
        state.awake -= 1;
        state.guests.retain(|parker| !Arc::ptr_eq(parker, &self.parker));
        self.stillness.look_around(&state);
    }
}
