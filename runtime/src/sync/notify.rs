//! Crate tokio's notifications, charged.

use crate::coop::poll_charged;
use bytemuck::{TransparentWrapper, TransparentWrapperAlloc};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync as inner;

/// Wakes one task or all that wait, without a value: crate tokio's `Notify`, charging the poll budget.
///
/// Fair: [`notify_one`](Self::notify_one) wakes who has waited longest. A notification whose receiver is dropped goes to the next.
///
/// ```
/// # filch::run(async {
/// let bell = std::sync::Arc::new(filch::sync::Notify::new());
/// let other = bell.clone();
/// let task = filch::spawn(async move { other.notified().await });
/// bell.notify_one();
/// task.await.unwrap();
/// # });
/// ```
#[derive(Debug, Default, TransparentWrapper)]
#[repr(transparent)]
pub struct Notify(inner::Notify);

impl Notify {
    /// Nobody is notified yet.
    pub fn new() -> Self {
        Self(inner::Notify::new())
    }

    /// As [`new`](Self::new), in a constant context.
    pub const fn const_new() -> Self {
        Self(inner::Notify::const_new())
    }

    /// A wait for a notification. It receives those of [`notify_waiters`](Self::notify_waiters) from now on, of [`notify_one`](Self::notify_one)
    /// from its first poll or [`enable`](Notified::enable) on.
    ///
    /// # Cancel safety
    ///
    /// A wait that is dropped loses its place in the queue; a notification that it had goes to the next.
    pub fn notified(&self) -> Notified<'_> {
        Notified {
            inner: self.0.notified(),
        }
    }

    /// As [`notified`](Self::notified), keeping this alive.
    ///
    /// # Cancel safety
    ///
    /// As [`notified`](Self::notified).
    pub fn notified_owned(self: Arc<Self>) -> OwnedNotified {
        OwnedNotified {
            inner: Self::peel_arc(self).notified_owned(),
        }
    }

    /// Wakes who has waited longest. If nobody waits, the next who does is not held up; one such notification is kept.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// As [`notify_one`](Self::notify_one), for who has waited least.
    pub fn notify_last(&self) {
        self.0.notify_last();
    }

    /// Wakes all who wait, and nobody who comes later.
    pub fn notify_waiters(&self) {
        self.0.notify_waiters();
    }
}

pin_project_lite::pin_project! {
    /// A wait for a notification, from [`Notify::notified`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless they are awaited or polled"]
    pub struct Notified<'a> {
        #[pin]
        inner: inner::futures::Notified<'a>,
    }
}

impl Notified<'_> {
    /// Takes a place among those who wait, before the first poll. `true` if there is a notification already.
    pub fn enable(self: Pin<&mut Self>) -> bool {
        self.project().inner.enable()
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let inner = self.project().inner;
        poll_charged(cx, |cx| inner.poll(cx))
    }
}

pin_project_lite::pin_project! {
    /// A wait for a notification that keeps its [`Notify`] alive, from [`Notify::notified_owned`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless they are awaited or polled"]
    pub struct OwnedNotified {
        #[pin]
        inner: inner::futures::OwnedNotified,
    }
}

impl OwnedNotified {
    /// Takes a place among those who wait, before the first poll. `true` if there is a notification already.
    pub fn enable(self: Pin<&mut Self>) -> bool {
        self.project().inner.enable()
    }
}

impl Future for OwnedNotified {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let inner = self.project().inner;
        poll_charged(cx, |cx| inner.poll(cx))
    }
}
