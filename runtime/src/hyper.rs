//! What hyper needs of a runtime: give these to its servers and clients.
//!
//! filch's own streams are hyper's I/O already; [`Io`] makes it of any other `tokio::io` stream, such as one with TLS.

use crate::time::Instant;
use hyper::rt::{Sleep as HyperSleep, Timer as HyperTimer};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

#[cfg(feature = "tokio-io")]
pub use filch_io::Io;

/// Spawns hyper's background futures as filch tasks.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Executor {}

impl Executor {
    /// An executor.
    pub fn new() -> Self {
        Self {}
    }
}

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    #[track_caller]
    fn execute(&self, future: F) {
        crate::spawn(future);
    }
}

/// Gives hyper filch's timers. Without a timer hyper's timeouts do nothing.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Timer {}

impl Timer {
    /// A timer.
    pub fn new() -> Self {
        Self {}
    }
}

impl HyperTimer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn HyperSleep>> {
        Box::pin(Sleep {
            inner: crate::time::sleep(duration),
        })
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn HyperSleep>> {
        Box::pin(Sleep {
            inner: crate::time::sleep_until(deadline.into()),
        })
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn HyperSleep>>, new_deadline: std::time::Instant) {
        match sleep.as_mut().downcast_mut_pin::<Sleep>() {
            Some(sleep) => sleep.project().inner.reset(new_deadline.into()),
            None => *sleep = self.sleep_until(new_deadline),
        }
    }
}

pin_project_lite::pin_project! {
    struct Sleep {
        #[pin]
        inner: crate::time::Sleep,
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().inner.poll(cx)
    }
}

impl HyperSleep for Sleep {}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").finish_non_exhaustive()
    }
}
