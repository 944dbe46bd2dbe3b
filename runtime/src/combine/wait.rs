//! Waiting for some of several tasks.

use crate::combine::crowd::Crowd;
use crate::combine::gather::number_of;
use crate::task::join::JoinHandle;
use filch_timer::{Instant, Sleep, sleep_until};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// What [`wait`] waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum When {
    /// One task has ended.
    First,
    /// One task has failed - it panicked, was cancelled, or is the child of a group and failed - or all have ended.
    FirstError,
    /// All tasks have ended.
    All,
}

/// The handles of those that have ended and of those that have not, both in the order of the arguments.
#[derive(Debug)]
pub struct Wait<T> {
    /// Those whose tasks have ended: awaiting them gives the outcome at once.
    pub done: Vec<JoinHandle<T>>,
    /// The others.
    pub pending: Vec<JoinHandle<T>>,
}

/// Waits until one of the tasks has ended, one has failed, or all have ended. It cancels nothing.
///
/// Without handles it is ready at once. Where [`Waiting::timeout`] sets a limit, the result says what there is then. (asyncio's `wait`.)
///
/// # Cancel safety
///
/// If the wait is dropped the tasks run on; their handles are gone.
///
/// ```
/// use filch::combine::When;
/// # use std::time::Duration;
/// # filch::run(async {
/// let tasks = [1, 1000].map(|n| filch::spawn(filch::time::sleep(Duration::from_millis(n))));
/// let tasks = filch::wait(tasks.into(), When::First).await;
/// assert_eq!((tasks.done.len(), tasks.pending.len()), (1, 1));
/// # });
/// ```
#[must_use = "futures do nothing unless polled"]
pub fn wait<T>(handles: Vec<JoinHandle<T>>, when: When) -> Waiting<T> {
    Waiting::new(
        handles,
        match when {
            When::First => |_| true,
            When::FirstError => |handle| handle.value().is_none(),
            When::All => |_| false,
        },
    )
}

/// As [`wait`] with [`When::FirstError`], for tasks that return results: an `Err` counts as failed, too.
///
/// # Cancel safety
///
/// If the wait is dropped the tasks run on; their handles are gone.
#[must_use = "futures do nothing unless polled"]
pub fn wait_first_error<T, E>(handles: Vec<JoinHandle<Result<T, E>>>) -> Waiting<Result<T, E>> {
    Waiting::new(handles, |handle| !matches!(handle.value(), Some(Ok(_))))
}

/// The future of [`wait`].
#[must_use = "futures do nothing unless polled"]
pub struct Waiting<T> {
    crowd: Option<Crowd<T>>,
    done: Vec<(usize, JoinHandle<T>)>,
    /// Whether a task that has ended ends the wait.
    ends: fn(&mut JoinHandle<T>) -> bool,
    limit: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<T> Waiting<T> {
    fn new(handles: Vec<JoinHandle<T>>, ends: fn(&mut JoinHandle<T>) -> bool) -> Self {
        Self {
            crowd: Some(handles.into_iter().collect()),
            done: Vec::new(),
            ends,
            limit: None,
            timer: None,
        }
    }

    /// Waits for at most so long, counted from the first poll, which must happen inside a runtime.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(crowd) = &mut self.crowd else {
            panic!("`wait` was polled after it gave its result")
        };
        let mut ended = false;
        while !ended {
            match crowd.poll_next(cx) {
                Poll::Ready(Some((number, mut handle))) => {
                    ended = (self.ends)(&mut handle);
                    self.done.push((number_of(number), handle));
                }
                Poll::Ready(None) => ended = true,
                Poll::Pending => break,
            }
        }
        if ended {
            return Poll::Ready(());
        }
        if let Some(limit) = self.limit.take() {
            // A moment beyond the clock's end never comes.
            self.timer = Instant::now()
                .checked_add(limit)
                .map(|deadline| Box::pin(sleep_until(deadline)));
        }
        match &mut self.timer {
            // Without the poll budget's say: a time that is up is no work.
            Some(timer) if timer.is_elapsed() => Poll::Ready(()),
            Some(timer) => timer.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

// The timer is pinned in its box.
impl<T> Unpin for Waiting<T> {}

impl<T> Future for Waiting<T> {
    type Output = Wait<T>;

    /// # Panics
    ///
    /// If it is polled after it gave its result.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Wait<T>> {
        std::task::ready!(self.poll_wait(cx));
        let rest = self.crowd.take().map(Crowd::into_rest).unwrap_or_default();
        let mut all = std::mem::take(&mut self.done);
        all.extend(rest.into_iter().map(|(number, handle)| (number_of(number), handle)));
        all.sort_by_key(|(number, _)| *number);
        let handles = all.into_iter().map(|(_, handle)| handle);
        // Others may have ended meanwhile.
        let (done, pending) = handles.partition(JoinHandle::is_finished);
        Poll::Ready(Wait { done, pending })
    }
}

impl<T> fmt::Debug for Waiting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting")
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

/// Gives the handles back one by one, in the order in which their tasks end. It cancels nothing.
///
/// Tasks that have ended already come first, in the order of the arguments. (asyncio's `as_completed`, which gives the original tasks since Python 3.13.)
///
/// ```
/// # use std::time::Duration;
/// # filch::run(async {
/// let tasks = [5, 1].map(|n| {
///     filch::spawn(async move {
///         filch::time::sleep(Duration::from_millis(n)).await;
///         n
///     })
/// });
/// let mut tasks = filch::as_completed(tasks);
/// while let Some(task) = tasks.next().await {
///     println!("{}", task.await.unwrap());
/// }
/// # });
/// ```
pub fn as_completed<T>(handles: impl IntoIterator<Item = JoinHandle<T>>) -> AsCompleted<T> {
    AsCompleted {
        crowd: handles.into_iter().collect(),
    }
}

/// Tasks in the order in which they end. From [`as_completed`]. Dropping it lets them run on.
#[derive(Debug)]
pub struct AsCompleted<T> {
    crowd: Crowd<T>,
}

impl<T> AsCompleted<T> {
    /// Waits for the next task to end, and gives its handle; `None` if all were given.
    ///
    /// # Cancel safety
    ///
    /// If the wait is dropped nothing is lost.
    pub async fn next(&mut self) -> Option<JoinHandle<T>> {
        self.crowd.next().await.map(|(_, handle)| handle)
    }

    /// Adds a task.
    pub fn push(&mut self, handle: JoinHandle<T>) {
        self.crowd.insert(handle);
    }

    /// How many handles were not given back.
    pub fn len(&self) -> usize {
        self.crowd.len()
    }

    /// Whether all handles were given back.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
