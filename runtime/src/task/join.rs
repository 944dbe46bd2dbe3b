//! The handle of a task.

use crate::coop;
use crate::task::error::JoinError;
use crate::task::id::Id;
use crate::task::raw::{AbortRef, JoinRef};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The way to a task's outcome: await it for the value.
///
/// Dropping the handle detaches the task, which runs on. A task's panic is an error here and stays out of everything else.
///
/// # Cancel safety
///
/// The handle can be awaited by `&mut`: a wait that is dropped loses nothing.
///
/// ```
/// # filch::run(async {
/// let handle = filch::spawn(async { 6 * 7 });
/// assert_eq!(handle.await?, 42);
/// # Ok::<_, filch::task::JoinError>(())
/// # }).unwrap();
/// ```
pub struct JoinHandle<T> {
    task: JoinRef<T>,
}

impl<T> JoinHandle<T> {
    pub(crate) fn new(task: JoinRef<T>) -> Self {
        Self { task }
    }

    /// Asks for the end of the task. Returns at once; await the handle to know that the task is gone.
    ///
    /// The future is dropped by a worker, at the next point where it waits, and never inside this call; a task that was not
    /// started is never entered. If the task ends by itself first, its value stands and the abort means nothing.
    /// A [`spawn_blocking`](crate::task::spawn_blocking) job that has begun runs on.
    pub fn abort(&self) {
        self.task.abort();
    }

    /// A handle that can only abort; any number of them can exist.
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle {
            task: self.task.abort_ref(),
        }
    }

    /// Whether the task has ended: its future is dropped, and awaiting the handle gives the outcome at once.
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// The id of the task.
    pub fn id(&self) -> Id {
        self.task.id()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    ///
    /// If it is polled after it gave the outcome.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.task.is_finished() {
            ready!(coop::charge(cx));
        }
        self.task.poll(cx)
    }
}

impl<T> Unpin for JoinHandle<T> {}
// A task's panic is caught long before its handle is looked at.
impl<T> std::panic::UnwindSafe for JoinHandle<T> {}
impl<T> std::panic::RefUnwindSafe for JoinHandle<T> {}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinHandle({:?})", self.task)
    }
}

/// Aborts a task from anywhere, without a way to its outcome.
#[derive(Clone)]
pub struct AbortHandle {
    task: AbortRef,
}

impl AbortHandle {
    /// As [`JoinHandle::abort`].
    pub fn abort(&self) {
        self.task.abort();
    }

    /// As [`JoinHandle::is_finished`].
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// The id of the task.
    pub fn id(&self) -> Id {
        self.task.id()
    }
}

impl std::panic::UnwindSafe for AbortHandle {}
impl std::panic::RefUnwindSafe for AbortHandle {}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AbortHandle({:?})", self.task.id())
    }
}
