//! A flag to wait for.

use super::blocking::block_on;
use super::waiters::{Guarded, Step, Turn, Wait, Waitable, Waiters};
use crate::shim::{Bug, seeded};
use std::fmt;

/// A flag that tasks wait for: asyncio's `Event`.
///
/// Whoever waits when the flag is [`set`](Self::set) is let through, even if it is [cleared](Self::clear) before that task runs.
///
/// ```
/// # filch::run(async {
/// let ready = std::sync::Arc::new(filch::sync::Event::new());
/// let other = ready.clone();
/// let task = filch::spawn(async move { other.wait().await });
/// ready.set();
/// task.await.unwrap();
/// assert!(ready.is_set());
/// # });
/// ```
pub struct Event(Guarded<State>);

#[derive(Debug)]
struct State {
    set: bool,
    waiters: Waiters,
}

impl Event {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self(Guarded::new(State {
            set: false,
            waiters: Waiters::new(),
        }))
    }

    /// Sets the flag: all who wait are let through, and all who come until it is cleared.
    pub fn set(&self) {
        self.0.with(|state, wakes| {
            state.set = true;
            state.waiters.grant_all(wakes);
        });
    }

    /// Clears the flag: who comes now waits.
    pub fn clear(&self) {
        self.0.with(|state, _| state.set = false);
    }

    /// Whether the flag is set.
    pub fn is_set(&self) -> bool {
        self.0.with(|state, _| state.set)
    }

    /// Waits until the flag is set; if it is, at once.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the wait is dropped.
    pub async fn wait(&self) {
        Wait::new(self, ()).await;
    }

    /// Blocks this thread until the flag is set.
    ///
    /// # Panics
    ///
    /// On a thread that runs a filch runtime.
    #[track_caller]
    pub fn wait_blocking(&self) {
        block_on("Event::wait_blocking", Wait::new(self, ()));
    }
}

impl Waitable for Event {
    type Request = ();
    type Output = ();

    fn look(&self, (): &mut (), turn: &mut Turn<'_>) -> Step<()> {
        self.0.with(|state, _| {
            let redeemed = state.waiters.redeem(&mut turn.ticket).is_some() && !seeded(Bug::EventForgetsGrant);
            if redeemed || state.set {
                Step::Done(())
            } else {
                state.waiters.wait(turn, || ())
            }
        })
    }

    fn leave(&self, (): &mut (), ticket: u64) {
        // Nothing to pass on: a flag is no less set for one who did not look.
        let _left = self.0.with(|state, _| state.waiters.leave(ticket));
    }
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("set", &self.is_set()).finish()
    }
}
