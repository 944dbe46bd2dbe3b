//! A set of tasks that are joined in the order in which they end.

use crate::arrivals::Arrivals;
use crate::coop;
use crate::handle::Handle;
use crate::local_set::{LocalSet, spawn_local};
use crate::spawn::{spawn, spawn_blocking};
use crate::task::error::JoinError;
use crate::task::id::Id;
use crate::task::join::{AbortHandle, JoinHandle};
use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A set of tasks: await whichever ends next. Dropping the set aborts those that are left.
///
/// ```
/// # filch::run(async {
/// let mut set = filch::task::JoinSet::new();
/// for i in 0..10 {
///     set.spawn(async move { i });
/// }
/// let mut sum = 0;
/// while let Some(result) = set.join_next().await {
///     sum += result.unwrap();
/// }
/// assert_eq!(sum, 45);
/// # });
/// ```
pub struct JoinSet<T> {
    /// By number of entry, which is never used again. In order: what is aborted or dropped together is so in the same order each time.
    tasks: BTreeMap<u64, JoinHandle<T>>,
    next: u64,
    /// The tasks that have something to say.
    ended: Arc<Arrivals>,
}

impl<T> JoinSet<T> {
    /// An empty set.
    pub fn new() -> Self {
        let ended = Arc::new(Arrivals::new());
        Self {
            tasks: BTreeMap::new(),
            next: 0,
            ended,
        }
    }

    /// The number of tasks that were not joined yet, ended or not.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether every task was joined.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }
}

impl<T: 'static> JoinSet<T> {
    /// Spawns a task into the set, on the runtime of this thread.
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    #[track_caller]
    pub fn spawn<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        self.insert(spawn(future))
    }

    /// Spawns a task into the set, on the runtime of `handle`.
    #[track_caller]
    pub fn spawn_on<F>(&mut self, future: F, handle: &Handle) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        self.insert(handle.spawn(future))
    }

    /// Spawns a task into the set that stays on this thread, in the [`LocalSet`] that the thread is inside of.
    ///
    /// # Panics
    ///
    /// Outside of a `LocalSet`.
    #[track_caller]
    pub fn spawn_local<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        self.insert(spawn_local(future))
    }

    /// Spawns a task into the set that stays on this thread, in `local`.
    #[track_caller]
    pub fn spawn_local_on<F>(&mut self, future: F, local: &LocalSet) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        self.insert(local.spawn_local(future))
    }

    /// Runs a blocking job in the set, on the runtime of this thread.
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    #[track_caller]
    pub fn spawn_blocking<F>(&mut self, f: F) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        self.insert(spawn_blocking(f))
    }

    /// Runs a blocking job in the set, on the runtime of `handle`.
    #[track_caller]
    pub fn spawn_blocking_on<F>(&mut self, f: F, handle: &Handle) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        self.insert(handle.spawn_blocking(f))
    }

    pub(crate) fn insert(&mut self, task: JoinHandle<T>) -> AbortHandle {
        let abort = task.abort_handle();
        let number = self.next;
        self.next += 1;
        self.tasks.insert(number, task);
        // It counts as having something to say until it is asked for the first time, which leaves its waker with it.
        self.ended.push(number);
        abort
    }

    /// Waits for the next task to end and gives its outcome; `None` if the set is empty.
    ///
    /// # Cancel safety
    ///
    /// If the wait is dropped no outcome is lost.
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        std::future::poll_fn(|cx| self.poll_join_next(cx)).await
    }

    /// As [`join_next`](Self::join_next), with the id of the task.
    ///
    /// # Cancel safety
    ///
    /// If the wait is dropped no outcome is lost.
    pub async fn join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        std::future::poll_fn(|cx| self.poll_join_next_with_id(cx)).await
    }

    /// The outcome of a task that has ended, if there is one.
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        loop {
            let number = self.ended.try_next()?;
            if let Some(result) = coop::with_budget(|| self.ask(number)) {
                return Some(result.map(|(_, value)| value));
            }
        }
    }

    /// Asks one task for its outcome. If there is none yet the task will say when there is.
    fn ask(&mut self, number: u64) -> Option<Result<(Id, T), JoinError>> {
        let task = self.tasks.get_mut(&number)?;
        let id = task.id();
        let waker = self.ended.waker(number);
        match Pin::new(task).poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => None,
            Poll::Ready(result) => {
                self.tasks.remove(&number);
                Some(result.map(|value| (id, value)))
            }
        }
    }

    /// Asks for the next task that has ended. `Pending` means that some task is still running.
    pub fn poll_join_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        let next = ready!(self.poll_join_next_with_id(cx));
        Poll::Ready(next.map(|result| result.map(|(_, value)| value)))
    }

    /// As [`poll_join_next`](Self::poll_join_next), with the id of the task.
    pub fn poll_join_next_with_id(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<(Id, T), JoinError>>> {
        if self.tasks.is_empty() {
            return Poll::Ready(None);
        }
        loop {
            let number = ready!(self.ended.poll_next(cx));
            let finished = self.tasks.get(&number).is_some_and(JoinHandle::is_finished);
            if finished && coop::charge(cx).is_pending() {
                // Nothing is lost: it is the first to be asked next time.
                self.ended.put_back(number);
                return Poll::Pending;
            }
            if let Some(result) = self.ask(number) {
                return Poll::Ready(Some(result));
            }
        }
    }

    /// Waits for all tasks and gives their values in the order in which they ended.
    ///
    /// # Panics
    ///
    /// If a task panicked, with its panic; if a task was aborted.
    ///
    /// # Cancel safety
    ///
    /// If the wait is dropped the set is gone: what is left is aborted, values are lost.
    pub async fn join_all(mut self) -> Vec<T> {
        let mut values = Vec::with_capacity(self.len());
        while let Some(result) = self.join_next().await {
            match result {
                Ok(value) => values.push(value),
                Err(error) => match error.try_into_panic() {
                    Ok(payload) => std::panic::resume_unwind(payload),
                    Err(error) => panic!("{error}"),
                },
            }
        }
        values
    }

    /// Aborts all tasks and waits until they have ended.
    ///
    /// # Cancel safety
    ///
    /// If the wait is dropped the tasks are aborted all the same, and stay in the set.
    pub async fn shutdown(&mut self) {
        self.abort_all();
        while self.join_next().await.is_some() {}
    }

    /// Aborts all tasks. They stay in the set until they are joined.
    pub fn abort_all(&mut self) {
        self.tasks.values().for_each(JoinHandle::abort);
    }

    /// Lets all tasks run on by themselves; the set is empty then.
    pub fn detach_all(&mut self) {
        self.tasks.clear();
    }
}

impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        self.tasks.values().for_each(JoinHandle::abort);
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSet").field("len", &self.len()).finish()
    }
}

impl<T, F> FromIterator<F> for JoinSet<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    fn from_iter<I: IntoIterator<Item = F>>(futures: I) -> Self {
        let mut set = Self::new();
        futures.into_iter().for_each(|future| {
            set.spawn(future);
        });
        set
    }
}
