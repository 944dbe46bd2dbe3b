//! Ticks at a fixed distance.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::alarm::Alarm;
use crate::instant::Instant;

/// A tick that comes later than this has been missed: see [`MissedTickBehavior`].
const TOLERANCE: Duration = Duration::from_millis(5);

/// Ticks now and then every `period`.
///
/// # Panics
///
/// If `period` is zero, or if called outside a runtime.
#[must_use]
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    assert_period(period);
    Interval::new(Alarm::after(Duration::ZERO), period)
}

/// Ticks at `start` and then every `period`.
///
/// # Panics
///
/// If `period` is zero, or if called outside a runtime.
#[must_use]
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert_period(period);
    Interval::new(Alarm::until(start), period)
}

#[track_caller]
fn assert_period(period: Duration) {
    assert!(!period.is_zero(), "the period of an interval must not be zero");
}

/// Ticks at a fixed distance; from [`interval`] and [`interval_at`].
#[derive(Debug)]
pub struct Interval {
    alarm: Alarm,
    period: Duration,
    missed_tick_behavior: MissedTickBehavior,
}

impl Interval {
    fn new(alarm: Alarm, period: Duration) -> Interval {
        Interval {
            alarm,
            period,
            missed_tick_behavior: MissedTickBehavior::default(),
        }
    }

    /// Waits for the next tick, and returns the moment for which it was planned.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a tick that was not returned is returned by the next call.
    ///
    /// # Panics
    ///
    /// If the runtime has been shut down.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// [`tick`](Interval::tick) for hand-written futures. Only the waker of the latest call is woken.
    ///
    /// # Panics
    ///
    /// If the runtime has been shut down.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        ready!(self.alarm.poll_elapsed(cx));
        ready!(self.alarm.charge(cx));
        let due = self.alarm.deadline();
        let now = self.alarm.now();
        let next = if now.saturating_duration_since(due) > TOLERANCE {
            self.missed_tick_behavior.next(due, now, self.period)
        } else {
            due.later(self.period)
        };
        self.alarm.reset(next);
        Poll::Ready(due)
    }

    /// Puts the next tick one period from now.
    pub fn reset(&mut self) {
        self.reset_after(self.period);
    }

    /// Makes the next tick due at once.
    pub fn reset_immediately(&mut self) {
        self.reset_after(Duration::ZERO);
    }

    /// Puts the next tick `after` from now.
    pub fn reset_after(&mut self, after: Duration) {
        self.reset_at(self.alarm.now().later(after));
    }

    /// Puts the next tick at `deadline`.
    pub fn reset_at(&mut self, deadline: Instant) {
        self.alarm.reset(deadline);
    }

    /// The distance between two ticks.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }

    /// What happens after a tick was missed.
    #[must_use]
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.missed_tick_behavior
    }

    /// Sets what happens after a tick was missed.
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.missed_tick_behavior = behavior;
    }
}

/// What an [`Interval`] does when nobody took its tick until more than 5 ms after it was due.
///
/// With a period of 50 ms, and a second tick that is taken at 175 ms instead of 50 ms, the ticks come at:
///
/// | | | | | | | |
/// |---|---|---|---|---|---|---|
/// | `Burst` | 0 | 175 | 175 | 175 | 200 | 250 |
/// | `Delay` | 0 | 175 | 225 | 275 | 325 | 375 |
/// | `Skip`  | 0 | 175 | 200 | 250 | 300 | 350 |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTickBehavior {
    /// The missed ticks come at once, one after the other, until the interval has caught up with its plan.
    #[default]
    Burst,
    /// The plan starts anew: the next tick comes one period after the late one was taken.
    Delay,
    /// The missed ticks are left out: the next one is the first of the plan that is still to come.
    Skip,
}

impl MissedTickBehavior {
    /// The tick after the one that was due at `due` and taken at `now`.
    fn next(self, due: Instant, now: Instant, period: Duration) -> Instant {
        match self {
            MissedTickBehavior::Burst => due.later(period),
            MissedTickBehavior::Delay => now.later(period),
            MissedTickBehavior::Skip => {
                let into_period = now.saturating_duration_since(due).as_nanos() % period.as_nanos();
                now.later(period - duration(into_period))
            }
        }
    }
}

/// Saturates; what it is called with is less than a period, which is a `Duration`.
fn duration(nanoseconds: u128) -> Duration {
    const SECOND: u128 = 1_000_000_000;
    let seconds = u64::try_from(nanoseconds / SECOND).unwrap_or(u64::MAX);
    Duration::new(seconds, (nanoseconds % SECOND) as u32)
}
