//! The one place that knows both the reactor and the timers: it turns them, and wakes what became ready after their locks are released.

use crate::shim::{Bug, catch_unwind, drop_quietly, seeded};
use crate::stillness::{Sleeper, Stillness};
use filch_io::Reactor;
use filch_io::sim::Network;
use filch_timer::{Clock, Timers};
use std::io;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// The reactor and the timers of one worker. Their owner turns them; another worker may, while the owner is stuck.
#[derive(Debug, Clone)]
pub(crate) struct Driver {
    reactor: Reactor,
    timers: Arc<Timers>,
    clock: Clock,
    /// In a multi_thread runtime whose clock can be paused.
    stillness: Option<Arc<Stillness>>,
}

impl Driver {
    pub(crate) fn new(clock: &Clock) -> io::Result<Self> {
        Ok(Self::over(Reactor::new()?, clock))
    }

    /// The driver of a virtual worker: it never waits.
    pub(crate) fn simulated(network: &Network, clock: &Clock) -> Self {
        Self::over(Reactor::simulated(network), clock)
    }

    /// Whether it is one of virtual workers.
    pub(crate) fn is_simulated(&self) -> bool {
        self.clock.is_simulated()
    }

    fn over(reactor: Reactor, clock: &Clock) -> Self {
        Self {
            timers: Arc::new(Timers::new(clock.clone(), reactor.waker())),
            reactor,
            clock: clock.clone(),
            stillness: None,
        }
    }

    /// The drivers of a runtime whose paused clock jumps when all workers sleep.
    pub(crate) fn in_step(clock: &Clock, workers: usize) -> io::Result<(Vec<Self>, Arc<Stillness>)> {
        let stillness = Stillness::new(clock.clone(), workers);
        let driver = || {
            Self::new(clock).map(|driver| Self {
                stillness: Some(stillness.clone()),
                ..driver
            })
        };
        let drivers = (0..workers).map(|_| driver()).collect::<io::Result<Vec<_>>>()?;
        let sleepers = drivers.iter().map(|driver| {
            Box::new(Ends {
                reactor: driver.reactor.clone(),
                timers: driver.timers.clone(),
            }) as Box<dyn Sleeper>
        });
        stillness.know(sleepers.collect());
        Ok((drivers, stillness))
    }

    pub(crate) fn reactor(&self) -> &Reactor {
        &self.reactor
    }

    pub(crate) fn timers(&self) -> &Arc<Timers> {
        &self.timers
    }

    /// Collects what is ready now.
    pub(crate) fn turn(&self, ready: &mut Vec<Waker>) {
        self.turn_reactor(Some(Duration::ZERO), ready);
        self.timers.turn(self.clock.now(), ready);
    }

    /// Waits until something is ready, a timer is due, or somebody [unparks](Self::unpark), and collects what is ready.
    pub(crate) fn park(&self, pace: Pace, ready: &mut Vec<Waker>) -> Pace {
        let next = self.timers.park();
        if let Some(stillness) = &self.stillness {
            self.park_in_step(stillness, next, ready);
        } else if self.clock.is_paused() {
            self.park_paused(next, ready);
        } else {
            let timeout = next.map(|next| pace.earliest(next).saturating_duration_since(self.clock.now()));
            self.turn_reactor(timeout, ready);
        }
        self.timers.unpark();
        let now = self.clock.now();
        let before = ready.len();
        self.timers.turn(now, ready);
        Pace {
            last: Some(now),
            fired: ready.len() - before,
        }
    }

    /// Nothing runs, and time stands still: it jumps to the next timer, unless something else happens first.
    fn park_paused(&self, next: Option<Instant>, ready: &mut Vec<Waker>) {
        // Looked at before the turn: a job wakes whoever awaits it and then lets the clock go, so if it has, the turn sees that wake.
        let held = self.clock.is_held();
        if self.turn_reactor(Some(Duration::ZERO), ready) || !ready.is_empty() {
            return;
        }
        let held = if seeded(Bug::HoldSeenLate) {
            self.clock.is_held()
        } else {
            held
        };
        match next {
            Some(next) if !held => self.clock.jump_to(next),
            // A blocking job holds the clock; whatever it does in the end unparks.
            _ => drop(self.turn_reactor(None, ready)),
        }
    }

    /// As one of several workers, of whom the last to fall asleep moves a paused clock.
    fn park_in_step(&self, stillness: &Stillness, next: Option<Instant>, ready: &mut Vec<Waker>) {
        stillness.fall_asleep();
        // Read behind the mark in the timers: whoever sets the clock going finds the mark, and ends the wait.
        let timeout = match self.clock.is_paused() {
            true => None,
            false => next.map(|next| next.saturating_duration_since(self.clock.now())),
        };
        // It fails when the reactor is shut down, as the turn behind it does.
        let _ = self.reactor.wait(timeout);
        if seeded(Bug::StillnessTakesFirst) {
            self.turn_reactor(Some(Duration::ZERO), ready);
        }
        stillness.wake_up();
        self.turn_reactor(Some(Duration::ZERO), ready);
    }

    /// What another worker does for a stuck owner. Leaves everything that somebody is busy with.
    pub(crate) fn rescue(&self, ready: &mut Vec<Waker>) {
        if !seeded(Bug::RescueLeavesReactor) {
            // A reactor that is shut down has nothing to rescue.
            let _ = self.reactor.try_turn(ready);
        }
        if !seeded(Bug::RescueLeavesTimers) {
            self.timers.try_turn(self.clock.now(), ready);
        }
    }

    /// Whether a turn would find something. For the watcher: takes nothing.
    pub(crate) fn is_due(&self) -> bool {
        self.timers.next_due().is_some_and(|due| due <= self.clock.now()) || self.reactor.has_events()
    }

    /// Ends the current wait, or the next one.
    pub(crate) fn unpark(&self) {
        self.reactor.unpark();
    }

    /// Closes both. Sockets and timers of the program that are left give errors.
    pub(crate) fn shutdown(&self, ready: &mut Vec<Waker>) {
        self.timers.shutdown(ready);
        self.reactor.shutdown(ready);
    }

    /// True if the wait was ended by an unpark.
    fn turn_reactor(&self, timeout: Option<Duration>, ready: &mut Vec<Waker>) -> bool {
        // The system refuses to wait only on a reactor that is shut down, and then nobody parks on it any more. Should it
        // ever refuse otherwise, the worker must not spin: a moment later it looks again.
        match self.reactor.turn(timeout, ready) {
            Ok(turned) => turned.unparked,
            Err(_) => {
                std::thread::sleep(Duration::from_millis(1));
                true
            }
        }
    }
}

/// What the last one to fall asleep asks of a worker.
struct Ends {
    reactor: Reactor,
    timers: Arc<Timers>,
}

impl Sleeper for Ends {
    fn has_news(&self) -> bool {
        self.reactor.is_unparked() || self.reactor.has_events()
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.timers.next_deadline()
    }

    fn rouse(&self) {
        self.reactor.unpark();
    }
}

/// What a worker remembers of the last time that it woke up, so that many timers close to each other do not wake it one by one.
///
/// A worker that found several timers due at once sleeps at least [`SPACING`](Self::SPACING) from then on: the next batch is late by that at most, and is one
/// wake-up instead of many. A timer by itself is not held up.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Pace {
    last: Option<Instant>,
    fired: usize,
}

impl Pace {
    /// Timers that make a batch.
    const MANY: usize = 4;
    /// Half of the lateness that a timer may have.
    const SPACING: Duration = Duration::from_micros(500);

    /// When to wake up for timers that are due at `next`.
    fn earliest(self, next: Instant) -> Instant {
        match self.last {
            Some(last) if self.fired >= Self::MANY => next.max(last + Self::SPACING),
            _ => next,
        }
    }
}

/// Wakes what turns collected. A waker that panics takes nothing with it but itself.
pub(crate) fn wake_all(ready: &mut Vec<Waker>) {
    for waker in ready.drain(..) {
        if let Err(payload) = catch_unwind(|| waker.wake()) {
            // Its destructor may panic too.
            drop_quietly(payload);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_batches_of_timers_are_held_up() {
        let last = Instant::now();
        let soon = last + Duration::from_micros(100);
        let late = last + Duration::from_secs(1);
        assert_eq!(Pace::default().earliest(soon), soon);
        let alone = Pace {
            last: Some(last),
            fired: Pace::MANY - 1,
        };
        assert_eq!(alone.earliest(soon), soon);
        let batch = Pace {
            last: Some(last),
            fired: Pace::MANY,
        };
        assert_eq!(batch.earliest(soon), last + Pace::SPACING);
        // Never early, and late by the spacing at most.
        assert_eq!(batch.earliest(late), late);
        assert!(batch.earliest(last) - last <= Pace::SPACING);
    }
}
