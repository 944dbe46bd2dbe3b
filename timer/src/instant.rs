//! Moments by a runtime's clock.

use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::{self, Duration};

use crate::current;

/// A moment, like [`std::time::Instant`], whose [`now`](Instant::now) is the runtime's: it stands still while the clock is
/// paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant {
    std: time::Instant,
}

impl Instant {
    /// The present moment by the clock of the runtime that this thread is inside of, else by the machine's.
    #[must_use]
    pub fn now() -> Instant {
        let now = current::with(|handle| handle.clock().now());
        Instant::from_std(now.unwrap_or_else(time::Instant::now))
    }

    /// The same moment in std's type.
    #[must_use]
    pub fn from_std(std: time::Instant) -> Instant {
        Instant { std }
    }

    /// The same moment in filch's type.
    #[must_use]
    pub fn into_std(self) -> time::Instant {
        self.std
    }

    /// How much later this is than `earlier`; zero if it is not.
    #[must_use]
    pub fn duration_since(&self, earlier: Instant) -> Duration {
        self.saturating_duration_since(earlier)
    }

    /// How much later this is than `earlier`; `None` if it is earlier.
    #[must_use]
    pub fn checked_duration_since(&self, earlier: Instant) -> Option<Duration> {
        self.std.checked_duration_since(earlier.std)
    }

    /// How much later this is than `earlier`; zero if it is not.
    #[must_use]
    pub fn saturating_duration_since(&self, earlier: Instant) -> Duration {
        self.std.saturating_duration_since(earlier.std)
    }

    /// How much time has passed since, by [`Instant::now`]; zero if this is in the future.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Instant::now().saturating_duration_since(*self)
    }

    /// This moment plus `duration`, if an `Instant` can hold that.
    #[must_use]
    pub fn checked_add(&self, duration: Duration) -> Option<Instant> {
        self.std.checked_add(duration).map(Instant::from_std)
    }

    /// This moment minus `duration`, if an `Instant` can hold that.
    #[must_use]
    pub fn checked_sub(&self, duration: Duration) -> Option<Instant> {
        self.std.checked_sub(duration).map(Instant::from_std)
    }

    /// This moment plus `duration`, or, if an `Instant` cannot hold that, one that nobody lives to see.
    pub(crate) fn later(self, duration: Duration) -> Instant {
        // Thirty years: as far as Tokio goes, and representable on every system.
        const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
        self.checked_add(duration).unwrap_or_else(|| self + FAR)
    }
}

impl From<time::Instant> for Instant {
    fn from(std: time::Instant) -> Instant {
        Instant::from_std(std)
    }
}

impl From<Instant> for time::Instant {
    fn from(instant: Instant) -> time::Instant {
        instant.into_std()
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, duration: Duration) -> Instant {
        Instant::from_std(self.std + duration)
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Instant) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;

    fn sub(self, duration: Duration) -> Instant {
        Instant::from_std(self.std - duration)
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}
