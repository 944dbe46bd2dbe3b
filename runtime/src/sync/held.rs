//! Waits for locks, as debug mode sees them.

use super::charged::{Charged, charged};
use crate::debug::locks::{self, Waiting};
use crate::debug::switch;
use crate::handle::Handle;
use pin_project_lite::pin_project;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// The wait for a lock in debug mode, [charged](charged).
    #[must_use = "futures do nothing unless they are awaited or polled"]
    pub(super) struct Taking<F> {
        asked: Asked,
        #[pin]
        operation: Charged<F>,
    }
}

/// Somebody who is about to take a lock.
pub(super) struct Asked {
    lock: usize,
    place: &'static Location<'static>,
    waiting: Option<Waiting>,
}

/// Where a lock stands.
pub(super) fn place_of<T: ?Sized>(lock: &T) -> usize {
    std::ptr::from_ref(lock).cast::<()>().addr()
}

/// Takes the lock that stands at `lock`, in debug mode. In a box: who is not in debug mode has no room for it.
#[cold]
pub(super) fn take<F: Future>(lock: usize, place: &'static Location<'static>, operation: F) -> Pin<Box<Taking<F>>> {
    Box::pin(Taking {
        asked: Asked::new(lock, place),
        operation: charged(operation),
    })
}

/// The lock that stands at `lock` was taken without a wait, unless it was not.
#[track_caller]
pub(super) fn taken<G, E>(lock: usize, result: Result<G, E>) -> Result<G, E> {
    if switch::is_on() && result.is_ok() {
        locks::took(lock, Location::caller());
    }
    result
}

/// Blocks this thread until the lock that stands at `lock` was taken.
#[track_caller]
pub(super) fn blocked<G>(lock: usize, take: impl FnOnce() -> G) -> G {
    if !switch::is_on() {
        return take();
    }
    let mut asked = Asked::new(lock, Location::caller());
    asked.polled(false);
    let guard = take();
    asked.polled(true);
    guard
}

impl<F: Future> Future for Taking<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let polled = this.operation.poll(cx);
        this.asked.polled(polled.is_ready());
        polled
    }
}

impl Asked {
    fn new(lock: usize, place: &'static Location<'static>) -> Self {
        Self {
            lock,
            place,
            waiting: None,
        }
    }

    fn polled(&mut self, ready: bool) {
        if ready {
            self.waiting = None;
            locks::took(self.lock, self.place);
        } else if self.waiting.is_none() {
            let monitor = Handle::try_current()
                .ok()
                .and_then(|handle| handle.inner().debug.clone());
            self.waiting = monitor.map(|monitor| Waiting::new(monitor.key(), self.lock, self.place));
        }
    }
}
