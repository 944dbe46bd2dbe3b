//! The functions that spawn onto the runtime of this thread.

use crate::handle::Handle;
use crate::lane::Lane;
use crate::task::id::Id;
use crate::task::join::{JoinHandle, TaskRef};
use crate::task::raw;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Spawns a task onto the runtime that this thread is inside of.
///
/// The task runs concurrently with the caller, on any worker, and whether its handle is awaited or not. Tasks that one task spawns queue up on
/// its worker and start in that order; another worker that has nothing to do may take the older half of
/// them and start those at the same time, so what they do first may come out in any order. The same holds for what one thread spawns from
/// outside. Where the order counts, spawn onto a [`Lane`].
///
/// # Panics
///
/// Outside of a runtime.
///
/// ```
/// # filch::run(async {
/// let double = filch::spawn(async { 2 * 21 });
/// assert_eq!(double.await.unwrap(), 42);
/// # });
/// ```
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    Handle::here().spawn(future)
}

/// Makes a [`Lane`] of the runtime that this thread is inside of: a logical event loop, whose tasks run one at a time and in order.
///
/// # Panics
///
/// Outside of a runtime.
#[track_caller]
pub fn lane() -> Lane {
    Handle::here().lane()
}

/// Runs a function that blocks (file access, a long computation, a library that waits) on a thread of the blocking pool, and gives a
/// handle on its result.
///
/// A job that has begun cannot be aborted; one that still waits for a thread can. [`blocking`](crate::blocking()) makes a job a part of the code that awaits it.
///
/// # Panics
///
/// Outside of a runtime.
///
/// ```
/// # filch::run(async {
/// let text = filch::task::spawn_blocking(|| std::fs::read_to_string("Cargo.toml")).await.unwrap();
/// # let _ = text;
/// # });
/// ```
#[track_caller]
pub fn spawn_blocking<F, R>(f: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    Handle::here().spawn_blocking(f)
}

/// Lets the other tasks that are ready run first: this task goes to the end of its worker's queue.
///
/// # Cancel safety
///
/// There is nothing to lose.
pub async fn yield_now() {
    struct Yield(bool);
    impl Future for Yield {
        type Output = ();
        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            if std::mem::replace(&mut self.0, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    }
    Yield(false).await;
}

/// The id of the task that is being polled (or dropped) on this thread.
///
/// # Panics
///
/// Outside of a task; the future of `block_on` is none.
#[track_caller]
pub fn id() -> Id {
    match try_id() {
        Some(id) => id,
        None => panic!("`task::id` was called outside of a task"),
    }
}

/// The id of the task that is being polled (or dropped) on this thread, if there is one.
pub fn try_id() -> Option<Id> {
    raw::current_id()
}

/// The task that is being polled (or dropped) on this thread, if there is one; the future of `block_on` is none.
pub fn current() -> Option<TaskRef> {
    raw::current().map(TaskRef::new)
}
