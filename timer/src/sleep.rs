//! Waiting for a moment.

use std::future::Future;
use std::marker::PhantomPinned;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;

use crate::alarm::Alarm;
use crate::instant::Instant;

/// Waits until `duration` has passed.
///
/// Never ends early; ends late by at most about 66 µs, plus what the machine takes to get to it. A duration beyond what an
/// [`Instant`] can hold waits for thirty years.
///
/// # Cancel safety
///
/// Dropping the future costs nothing later: its timer is removed at once.
///
/// # Panics
///
/// If called outside a runtime; when polled, if the runtime has been shut down.
#[must_use = "futures do nothing unless polled"]
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    Sleep::new(Alarm::after(duration))
}

/// Waits until `deadline`; as [`sleep`] otherwise.
///
/// # Cancel safety
///
/// Dropping the future costs nothing later: its timer is removed at once.
///
/// # Panics
///
/// If called outside a runtime; when polled, if the runtime has been shut down.
#[must_use = "futures do nothing unless polled"]
#[track_caller]
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep::new(Alarm::until(deadline))
}

pin_project! {
    /// The future of [`sleep`] and [`sleep_until`].
    ///
    /// Its timer is armed by its first poll. It is not `Unpin`: to poll one `Sleep` several times, as in a `select!` in a
    /// loop, pin it first (`std::pin::pin!`).
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Sleep {
        alarm: Alarm,
        // Nothing needs the pin today; a user who relied on `Unpin` would forbid for ever that something does.
        #[pin]
        pinned: PhantomPinned,
    }
}

impl Sleep {
    fn new(alarm: Alarm) -> Sleep {
        Sleep {
            alarm,
            pinned: PhantomPinned,
        }
    }

    /// The moment that this waits for.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.alarm.deadline()
    }

    /// Whether it has been polled and has fired since.
    #[must_use]
    pub fn is_elapsed(&self) -> bool {
        self.alarm.is_elapsed()
    }

    /// Waits for another moment instead, whether it has fired or not. The task that polled it last is woken then, unless
    /// it had been woken already.
    ///
    /// The timer moves to the worker that calls this.
    pub fn reset(self: Pin<&mut Self>, deadline: Instant) {
        self.project().alarm.reset(deadline);
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let alarm = self.project().alarm;
        ready!(alarm.poll_elapsed(cx));
        alarm.charge(cx)
    }
}
