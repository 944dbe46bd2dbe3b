//! Functions that are called when a task has ended.

use crate::coop;
use crate::shim::{Bug, Mutex, catch_unwind, drop_quietly, seeded};
use crate::spawn::spawn;
use crate::task::error::JoinError;
use crate::task::join::{JoinHandle, TaskRef};
use crate::task_local;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

type Outcome<T> = Result<T, JoinError>;
pub(crate) type Callback<T> = Box<dyn FnOnce(&Outcome<T>) + Send>;

impl<T: Send + 'static> JoinHandle<T> {
    /// Has `f` called with the task's outcome when the task has ended; what is awaited from now on is what this gives. (asyncio's `add_done_callback`.)
    ///
    /// Functions are called in the order in which they were registered, one after the other, by a task of the runtime of this thread: never inside this call, even if
    /// the task has ended already. They look at the outcome; whoever awaits [`Observed`] gets it after that. They see the values of task-local keys that are
    /// seen here. A panic of one is reported by the panic hook and stops nothing. If the runtime shuts down before the task has ended, they are dropped.
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    ///
    /// ```
    /// # filch::run(async {
    /// let (tell, told) = filch::sync::oneshot::channel();
    /// let task = filch::spawn(async { 7 }).on_done(|outcome| tell.send(outcome.is_ok()).unwrap());
    /// assert_eq!(task.await.unwrap(), 7);
    /// assert!(told.await.unwrap());
    /// # });
    /// ```
    #[track_caller]
    pub fn on_done(self, f: impl FnOnce(&Result<T, JoinError>) + Send + 'static) -> Observed<T> {
        let (observed, calls) = Observed::new(self, with_values(f));
        spawn(calls);
        observed
    }
}

fn with_values<T>(f: impl FnOnce(&Outcome<T>) + Send + 'static) -> Callback<T> {
    let values = task_local::Context::current();
    Box::new(move |outcome| values.run(|| f(outcome)))
}

/// A task whose outcome others look at first. From [`JoinHandle::on_done`].
///
/// Await it for the outcome. Dropping it detaches the task; its functions are called all the same.
///
/// # Cancel safety
///
/// It can be awaited by `&mut`: a wait that is dropped loses nothing.
pub struct Observed<T> {
    task: TaskRef,
    inner: Arc<Inner<T>>,
}

struct Inner<T>(Mutex<State<T>>);

struct State<T> {
    callbacks: VecDeque<Callback<T>>,
    /// There is a [`Caller`], which has the outcome or is going to have it.
    calling: bool,
    outcome: Option<Outcome<T>>,
    waiter: Option<Waker>,
}

impl<T: Send + 'static> Observed<T> {
    /// Another function, after those that were registered before. As [`JoinHandle::on_done`].
    ///
    /// # Panics
    ///
    /// Outside of a runtime. If the outcome was given already.
    #[track_caller]
    pub fn on_done(self, f: impl FnOnce(&Result<T, JoinError>) + Send + 'static) -> Self {
        if let Some(calls) = self.add(with_values(f)) {
            spawn(calls);
        }
        self
    }

    /// With what the task that calls the functions is to do.
    pub(crate) fn new(task: JoinHandle<T>, f: Callback<T>) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let observed = Self {
            task: task.task(),
            inner: Arc::new(Inner(Mutex::new(State {
                callbacks: VecDeque::from([f]),
                calling: true,
                outcome: None,
                waiter: None,
            }))),
        };
        let caller = observed.caller();
        let calls = async move {
            let outcome = task.await;
            caller.call(outcome);
        };
        (observed, calls)
    }

    /// One more function; and what another task is to do, if the one that calls them is through.
    #[track_caller]
    pub(crate) fn add(&self, f: Callback<T>) -> Option<impl Future<Output = ()> + Send + 'static> {
        let outcome = {
            let mut state = self.inner.0.lock();
            let outcome = state.outcome.take();
            if outcome.is_some() || state.calling {
                state.calling = true;
                state.callbacks.push_back(f);
                Ok(outcome)
            } else {
                Err(f)
            }
        };
        match outcome {
            Ok(outcome) => outcome.map(|outcome| {
                let caller = self.caller();
                async move { caller.call(outcome) }
            }),
            Err(_) => panic!("`Observed::on_done` was called after the outcome was given"),
        }
    }

    fn caller(&self) -> Caller<T> {
        Caller {
            inner: Some(self.inner.clone()),
            task: self.task.clone(),
        }
    }
}

impl<T> Observed<T> {
    /// A way to the task.
    pub fn task(&self) -> TaskRef {
        self.task.clone()
    }

    /// Whether the task has ended and all functions were called.
    pub fn is_finished(&self) -> bool {
        !self.inner.0.lock().calling
    }
}

impl<T> Future for Observed<T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    ///
    /// If it is polled after it gave the outcome.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.is_finished() {
            ready!(coop::charge(cx));
        }
        let waker = cx.waker().clone();
        let mut state = self.inner.0.lock();
        if state.calling {
            let old = state.waiter.replace(waker);
            drop(state);
            drop(old);
            return Poll::Pending;
        }
        let outcome = state.outcome.take();
        drop(state);
        match outcome {
            Some(outcome) => Poll::Ready(outcome),
            None => panic!("`Observed` polled after it gave its outcome"),
        }
    }
}

impl<T> fmt::Debug for Observed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observed")
            .field("task", &self.task)
            .finish_non_exhaustive()
    }
}

/// Calls the functions. Dropped without having done so, it leaves an error to whoever waits.
struct Caller<T> {
    /// Until it is done.
    inner: Option<Arc<Inner<T>>>,
    task: TaskRef,
}

impl<T> Caller<T> {
    fn call(mut self, outcome: Outcome<T>) {
        while let Some(inner) = self.inner.take() {
            let mut state = inner.0.lock();
            let Some(f) = state.callbacks.pop_front() else {
                if seeded(Bug::CallerEndsLate) {
                    drop(state);
                    state = inner.0.lock();
                }
                state.calling = false;
                state.outcome = Some(outcome);
                let waiter = state.waiter.take();
                drop(state);
                return wake(waiter);
            };
            drop(state);
            self.inner = Some(inner);
            if let Err(payload) = catch_unwind(|| f(&outcome)) {
                drop_quietly(payload);
            }
        }
    }
}

impl<T> Drop for Caller<T> {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        let (waiter, callbacks) = {
            let mut state = inner.0.lock();
            state.calling = false;
            state.outcome = Some(Err(JoinError::cancelled(self.task.id(), None)));
            (state.waiter.take(), std::mem::take(&mut state.callbacks))
        };
        drop_quietly(callbacks);
        wake(waiter.filter(|_| !seeded(Bug::CallerGoesInSilence)));
    }
}

fn wake(waiter: Option<Waker>) {
    if let Some(waiter) = waiter {
        waiter.wake();
    }
}
