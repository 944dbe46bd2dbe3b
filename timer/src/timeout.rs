//! Time limits.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;

use crate::alarm::Alarm;
use crate::error::Elapsed;
use crate::instant::Instant;

/// Gives `future` at most `duration` to complete, counted from this call.
///
/// The future is polled first: one that is ready when the limit passes has made it. It is polled before the limit is
/// looked at even if that is zero. When the limit passes, the future is dropped together with the `Timeout`.
///
/// # Errors
///
/// The returned future gives [`Elapsed`] if the limit passes first.
///
/// # Cancel safety
///
/// Dropping the `Timeout` drops `future`, so it is as cancel safe as that is. A limit that never passes costs nothing
/// later.
///
/// # Panics
///
/// If called outside a runtime; when polled, if the runtime has been shut down and the future is not ready.
#[must_use = "futures do nothing unless polled"]
#[track_caller]
pub fn timeout<F>(duration: Duration, future: F) -> Timeout<F::IntoFuture>
where
    F: IntoFuture,
{
    Timeout::new(Alarm::after(duration), future)
}

/// Gives `future` until `deadline` to complete; as [`timeout`] otherwise.
///
/// # Errors
///
/// The returned future gives [`Elapsed`] if the deadline passes first.
///
/// # Cancel safety
///
/// Dropping the `Timeout` drops `future`, so it is as cancel safe as that is.
///
/// # Panics
///
/// If called outside a runtime; when polled, if the runtime has been shut down and the future is not ready.
#[must_use = "futures do nothing unless polled"]
#[track_caller]
pub fn timeout_at<F>(deadline: Instant, future: F) -> Timeout<F::IntoFuture>
where
    F: IntoFuture,
{
    Timeout::new(Alarm::until(deadline), future)
}

pin_project! {
    /// The future of [`timeout`] and [`timeout_at`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        alarm: Alarm,
        // The limit has passed, but the task's poll budget was used up.
        held_back: bool,
    }
}

impl<F> Timeout<F> {
    fn new<I>(alarm: Alarm, future: I) -> Timeout<F>
    where
        I: IntoFuture<IntoFuture = F>,
    {
        Timeout {
            future: future.into_future(),
            alarm,
            held_back: false,
        }
    }

    /// The future inside.
    pub fn get_ref(&self) -> &F {
        &self.future
    }

    /// The future inside.
    pub fn get_mut(&mut self) -> &mut F {
        &mut self.future
    }

    /// The future inside, without its limit.
    pub fn into_inner(self) -> F {
        self.future
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        ready!(this.alarm.poll_elapsed(cx));
        // A loop over limits that pass at once has to yield, so it is charged. But a future that uses up the whole budget
        // each time it is polled must not hold its own limit off for ever: once is enough.
        if !*this.held_back && this.alarm.charge(cx).is_pending() {
            *this.held_back = true;
            return Poll::Pending;
        }
        Poll::Ready(Err(Elapsed::new()))
    }
}
