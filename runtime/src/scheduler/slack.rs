//! How much a simulation may do to a program.

use filch_io::sim::Network;
use std::time::Duration;

/// No slack in time is more than this: beyond some centuries timers know no time any more.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What the runtime may do to a program without breaking a promise, and a real one rarely does. The more of it, the more races are
/// found; all of it is drawn from the seed.
///
/// ```
/// use filch::sim::Slack;
/// use std::time::Duration;
///
/// let slack = Slack::default().late_timers(Duration::from_millis(5)).spurious_wakes(0.1);
/// # let _ = slack;
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Slack {
    pub(crate) late_timers: Duration,
    pub(crate) late_readiness: Duration,
    pub(crate) spurious_wakes: f64,
    pub(crate) steals: f64,
    pub(crate) short_io: f64,
}

impl Default for Slack {
    /// Every fourth poll is stolen; no other slack.
    fn default() -> Self {
        Self {
            late_timers: Duration::ZERO,
            late_readiness: Duration::ZERO,
            spurious_wakes: 0.0,
            steals: 0.25,
            short_io: 0.0,
        }
    }
}

impl Slack {
    /// Tells the network its part.
    pub(crate) fn apply(&self, network: &Network) {
        network.set_short_io(self.short_io);
        network.set_readiness_delay(self.late_readiness);
    }

    /// Timers fire up to so much late, 30 days at most. Zero by default: to the nanosecond.
    pub fn late_timers(self, up_to: Duration) -> Self {
        Self {
            late_timers: up_to.min(LONGEST),
            ..self
        }
    }

    /// Sockets learn up to so much late that they are ready, 30 days at most, each by itself: so one may overtake another. Zero by default.
    pub fn late_readiness(self, up_to: Duration) -> Self {
        Self {
            late_readiness: up_to.min(LONGEST),
            ..self
        }
    }

    /// Before a step, with this probability, some task that waits is polled for nothing. 0 by default.
    ///
    /// # Panics
    ///
    /// If it is not between 0 and 1.
    #[track_caller]
    pub fn spurious_wakes(self, probability: f64) -> Self {
        Self {
            spurious_wakes: checked(probability),
            ..self
        }
    }

    /// A task is polled by another worker than the one that it was queued at, with this probability: its timers and new sockets
    /// change their place. 0.25 by default, 1 is a storm.
    ///
    /// # Panics
    ///
    /// If it is not between 0 and 1.
    #[track_caller]
    pub fn steals(self, probability: f64) -> Self {
        Self {
            steals: checked(probability),
            ..self
        }
    }

    /// A read or write of a stream moves only a part of what it could, with this probability. 0 by default.
    ///
    /// # Panics
    ///
    /// If it is not between 0 and 1.
    #[track_caller]
    pub fn short_io(self, probability: f64) -> Self {
        Self {
            short_io: checked(probability),
            ..self
        }
    }
}

#[track_caller]
fn checked(probability: f64) -> f64 {
    assert!(
        (0.0..=1.0).contains(&probability),
        "a probability is between 0 and 1, not {probability}"
    );
    probability
}
