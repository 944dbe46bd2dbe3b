//! The handle of a task.

use crate::coop;
use crate::scope::ambient;
use crate::scope::reason::{Reason, ReasonKind};
use crate::shim::{Bug, seeded};
use crate::task::cold::Cold;
use crate::task::error::JoinError;
use crate::task::id::Id;
use crate::task::raw::{self, AbortRef, Ended, Header, JoinRef, Make, Runnable, Schedule};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::ptr::NonNull;
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

    /// The handle of a task that was cancelled before it could begin. Its future is dropped here.
    pub(crate) fn refused<F>(future: F, location: &'static Location<'static>) -> Self
    where
        F: Future<Output = Option<T>> + 'static,
        T: 'static,
    {
        let cold = Box::new(Cold::new(None));
        let child = raw::Child { future, location, cold };
        let (runnable, task) = child.make(Refused);
        runnable.abort_and_run();
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

    /// Asks the task to end: cancels its root [scope](mod@crate::scope). False if it has ended already.
    ///
    /// Unlike [`abort`](Self::abort) this lets the task come to the end of what it does: a body that waits in [`cancelled`](crate::cancelled), or was woken
    /// already, is polled once more, and what is inside a [`shield`](crate::shield) goes on. A task that was not started is never entered, except for the
    /// child of a group. Await the handle to know that the task is gone; it may give a value all the same.
    /// A [`spawn_blocking`](crate::task::spawn_blocking) job is aborted.
    #[track_caller]
    pub fn cancel(&self) -> bool {
        self.cancel_for(requested(None, Location::caller()))
    }

    /// As [`cancel`](Self::cancel), and says why: whoever awaits the handle finds it in [`JoinError::reason`].
    #[track_caller]
    pub fn cancel_with(&self, why: impl AsRef<str>) -> bool {
        self.cancel_for(requested(Some(why.as_ref()), Location::caller()))
    }

    pub(crate) fn cancel_for(&self, reason: Reason) -> bool {
        cancel(&self.task.abort_ref(), reason)
    }

    /// Where the task was spawned.
    pub fn location(&self) -> &'static Location<'static> {
        self.task.location()
    }

    /// A way to the task, without one to its outcome.
    pub fn task(&self) -> TaskRef {
        TaskRef {
            task: self.task.abort_ref(),
        }
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

    /// Ready when the task has ended. The outcome stays, and nothing is charged.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.task.poll_end(cx)
    }

    /// The value of a task that has ended with one. It stays.
    pub(crate) fn value(&mut self) -> Option<&T> {
        self.task.value()
    }

    /// As a poll, of whom nothing is charged.
    pub(crate) fn poll_uncharged(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        self.task.poll(cx)
    }
}

/// The scheduler of tasks that are dropped before they begin.
#[derive(Clone)]
struct Refused;

impl Schedule for Refused {
    fn schedule(self, _: Runnable) {
        unreachable!("a task that is dropped at once is never idle");
    }

    fn reschedule(self, _: Runnable) {
        unreachable!("a task that is dropped at once is never polled");
    }

    fn release(self, _: NonNull<Header>, _: Ended) {}
}

fn requested(text: Option<&str>, location: &'static Location<'static>) -> Reason {
    Reason::new(ReasonKind::Requested, text, raw::current_id(), location)
}

/// Cancels a task's root scope; false if the task has ended.
pub(crate) fn cancel(task: &AbortRef, reason: Reason) -> bool {
    if task.is_finished() {
        return false;
    }
    match task.cold_or_new() {
        Some(cold) => {
            cold.root().cancel(reason, coop::current_key());
            task.wake();
        }
        None => task.abort(),
    }
    true
}

/// Ends a task: cancels it, if it has anything by which it could hear of that, or shield itself; else aborts it.
pub(crate) fn end(task: &AbortRef, reason: &Reason) {
    match task.cold() {
        Some(_) => drop(cancel(task, reason.clone())),
        None => task.abort(),
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    ///
    /// If it is polled after it gave the outcome.
    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if seeded(Bug::JoinLooksTwice) && !self.task.is_finished() {
            return self.task.poll(cx);
        }
        // One look decides whether it has ended: of a second one, what comes between the two would be taken as it is.
        self.task.poll_if(cx, |task, cx| {
            ready!(coop::charge(cx));
            match task.cold().is_some_and(is_cancelled_with_us) {
                // Both are cancelled by one cancel: it is not news to be handled here, and this code ends as if the task had been a moment slower.
                true => Poll::Pending,
                false => Poll::Ready(()),
            }
        })
    }
}

/// Whether a task, which has ended, was cancelled together with the code that awaits it.
#[cold]
fn is_cancelled_with_us(cold: &Cold) -> bool {
    let around = ambient::node().or_else(|| raw::with_current_cold(|cold| cold.root().clone()));
    cold.is_cancelled_with(around.as_deref())
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

/// A task, seen from anywhere: who it is, and a way to cancel it. From [`current`](crate::task::current) and [`JoinHandle::task`].
#[derive(Clone)]
pub struct TaskRef {
    task: AbortRef,
}

impl TaskRef {
    pub(crate) fn new(task: AbortRef) -> Self {
        Self { task }
    }

    /// The id of the task.
    pub fn id(&self) -> Id {
        self.task.id()
    }

    /// The name that the task was given.
    pub fn name(&self) -> Option<std::sync::Arc<str>> {
        self.task.cold()?.name()
    }

    /// Gives the task a name. A blocking job stays without one.
    pub fn set_name(&self, name: impl Into<std::sync::Arc<str>>) {
        if let Some(cold) = self.task.cold_or_new() {
            cold.set_name(name.into());
        }
    }

    /// Where the task was spawned.
    pub fn location(&self) -> &'static Location<'static> {
        self.task.location()
    }

    /// As [`JoinHandle::is_finished`].
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// As [`JoinHandle::cancel`].
    #[track_caller]
    pub fn cancel(&self) -> bool {
        cancel(&self.task, requested(None, Location::caller()))
    }

    /// As [`JoinHandle::cancel_with`].
    #[track_caller]
    pub fn cancel_with(&self, why: impl AsRef<str>) -> bool {
        cancel(&self.task, requested(Some(why.as_ref()), Location::caller()))
    }

    /// How many cancels of the task are in force.
    pub fn cancelling(&self) -> usize {
        self.task.cold().map_or(0, |cold| cold.root().cancelling())
    }

    /// Takes one cancel back, and returns how many are left. One that was not delivered yet has no effect then; what it has dropped
    /// already stays dropped. (asyncio's `Task.uncancel`.)
    pub fn uncancel(&self) -> usize {
        self.task.cold().map_or(0, |cold| cold.root().uncancel())
    }

    /// As [`JoinHandle::abort`].
    pub fn abort(&self) {
        self.task.abort();
    }
}

impl PartialEq for TaskRef {
    fn eq(&self, other: &Self) -> bool {
        self.task == other.task
    }
}

impl Eq for TaskRef {}

impl fmt::Debug for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskRef")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("location", &format_args!("{}", self.location()))
            .finish()
    }
}
