//! What a handle can do besides being awaited.

use crate::coop;
use crate::scope::{Reason, ReasonKind};
use crate::task::error::JoinError;
use crate::task::join::{JoinHandle, TaskRef};
use filch_timer::error::Elapsed;
use filch_timer::{Instant, sleep_until};
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

impl<T> JoinHandle<T> {
    /// A handle that cancels the task when it is dropped before it gave the outcome: whoever awaits it and is cancelled takes the task along. Nobody waits
    /// for the end of the task then; a [`group`](fn@crate::group) does.
    #[track_caller]
    pub fn cancel_on_drop(self) -> CancelOnDrop<T> {
        CancelOnDrop {
            handle: Some(self),
            location: Location::caller(),
        }
    }

    /// The handle itself: if whoever awaits it is cancelled, the task goes on. This is for those who want to say so; [`cancel_on_drop`](Self::cancel_on_drop)
    /// is the other policy. (asyncio's `shield` of a task.)
    #[must_use = "dropping the handle detaches the task"]
    pub fn detach_on_cancel(self) -> Self {
        self
    }

    /// Awaits the task for at most so long, counted from the first poll; then [cancels](Self::cancel) it and waits for its end.
    ///
    /// An outcome that is there comes before the limit, even one of zero. A value or a panic that comes while the task is being cancelled is given.
    ///
    /// # Errors
    ///
    /// If the time was up, and the task was cancelled.
    ///
    /// # Cancel safety
    ///
    /// If the wait is dropped the task is cancelled.
    ///
    /// # Panics
    ///
    /// Outside of a runtime, if there has to be a timer.
    #[track_caller]
    pub fn wait_for(self, limit: Duration) -> impl Future<Output = Result<Result<T, JoinError>, Elapsed>> {
        let location = Location::caller();
        let mut task = self.cancel_on_drop();
        async move {
            if let Some(outcome) = task.within(limit).await {
                return Ok(outcome);
            }
            if let Some(handle) = &task.handle {
                handle.cancel_for(Reason::new(ReasonKind::Deadline, None, None, location));
            }
            match task.await {
                Err(error) if error.is_cancelled() => Err(Elapsed::new()),
                outcome => Ok(outcome),
            }
        }
    }
}

/// A handle that cancels its task when it is dropped. From [`JoinHandle::cancel_on_drop`].
#[must_use = "the task is cancelled when this is dropped"]
pub struct CancelOnDrop<T> {
    handle: Option<JoinHandle<T>>,
    location: &'static Location<'static>,
}

impl<T> CancelOnDrop<T> {
    /// The handle, which cancels nothing.
    ///
    /// # Panics
    ///
    /// If it gave the outcome already.
    pub fn detach_on_cancel(mut self) -> JoinHandle<T> {
        let Some(handle) = self.handle.take() else {
            panic!("`CancelOnDrop` has given its outcome already")
        };
        handle
    }

    /// A way to the task; nothing if its outcome was given already.
    pub fn task(&self) -> Option<TaskRef> {
        self.handle.as_ref().map(JoinHandle::task)
    }

    /// The outcome, if it comes in time.
    async fn within(&mut self, limit: Duration) -> Option<Result<T, JoinError>> {
        if limit.is_zero() {
            // If the outcome is there already, the cancel means nothing.
            return None;
        }
        let mut timer = Instant::now()
            .checked_add(limit)
            .map(|deadline| Box::pin(sleep_until(deadline)));
        poll_fn(|cx| {
            if let Poll::Ready(outcome) = Pin::new(&mut *self).poll(cx) {
                return Poll::Ready(Some(outcome));
            }
            match &mut timer {
                Some(timer) => timer.as_mut().poll(cx).map(|()| None),
                None => Poll::Pending,
            }
        })
        .await
    }
}

impl<T> Future for CancelOnDrop<T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    ///
    /// If it is polled after it gave the outcome.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(handle) = &mut self.handle else {
            panic!("`CancelOnDrop` polled after it gave its outcome")
        };
        if handle.is_finished() {
            std::task::ready!(coop::charge(cx));
        }
        let outcome = std::task::ready!(handle.poll_uncharged(cx));
        self.handle = None;
        Poll::Ready(outcome)
    }
}

impl<T> Drop for CancelOnDrop<T> {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle.cancel_for(Reason::new(ReasonKind::Dropped, None, None, self.location));
        }
    }
}

impl<T> fmt::Debug for CancelOnDrop<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CancelOnDrop").field(&self.handle).finish()
    }
}
