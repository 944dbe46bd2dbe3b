//! The future of a `block_on`, watched.

use crate::debug::monitor::Watched;
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

pin_project! {
    /// Enters each poll of a future, if there is somebody to enter it for.
    pub(crate) struct Main<F> {
        watched: Option<Arc<Watched>>,
        #[pin]
        future: F,
    }
}

/// Has the polls of `future` watched, in debug mode.
pub(crate) fn watched<F>(watched: Option<Arc<Watched>>, future: F) -> Main<F> {
    Main { watched, future }
}

impl<F: Future> Future for Main<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _polling = this.watched.as_ref().map(Watched::enter);
        this.future.poll(cx)
    }
}
