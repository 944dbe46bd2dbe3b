//! Futures of others, charged.

use crate::coop::poll_charged;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project_lite::pin_project! {
    /// A future that is [charged](poll_charged) when it is ready.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless they are awaited or polled"]
    pub(super) struct Charged<F> {
        #[pin]
        operation: F,
    }
}

/// Charges `operation` when it is ready.
pub(super) fn charged<F: Future>(operation: F) -> Charged<F> {
    Charged { operation }
}

impl<F: Future> Future for Charged<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let operation = self.project().operation;
        poll_charged(cx, |cx| operation.poll(cx))
    }
}
