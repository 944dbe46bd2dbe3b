//! What threads that poll no tasks may do, for they may block: call into a runtime, and wait for a task.

use crate::handle::{self, Handle};
use crate::park::Parker;
use crate::shim::{Condvar, Mutex, catch_unwind};
use crate::task::error::JoinError;
use crate::task::join::JoinHandle;
use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The runtime was shut down before the function of a [`Handle::call`] was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallError(());

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the runtime was shut down before the function was called")
    }
}

impl std::error::Error for CallError {}

impl Handle {
    /// Has `f` called by the runtime, and blocks this thread until that has given its value. (Trio's `from_thread.run_sync`.)
    ///
    /// For blocking jobs, and for threads of the program's own. The function is a callback, behind those of [`call_soon`](Self::call_soon), inside the runtime: it may spawn, and touch what belongs to callbacks. To
    /// wait for a future instead, [`spawn`](Self::spawn) it and [join](JoinHandle::join_blocking) the task.
    ///
    /// Somebody has to run the runtime: a current_thread one, or a [`Runner`](crate::Runner)'s, keeps the thread waiting until it is run.
    ///
    /// # Errors
    ///
    /// If the runtime is shut down first.
    ///
    /// # Panics
    ///
    /// If `f` panics, with its panic. Inside a callback of the same runtime. On a thread that polls tasks, as is every one in a [deterministic](crate::sim) runtime.
    ///
    /// ```
    /// # filch::run(async {
    /// let runtime = filch::runtime::Handle::current();
    /// let lines = filch::task::spawn_blocking(move || {
    ///     // From a library, say, that wants a function, and calls it on threads of its own.
    ///     runtime.call(|| filch::spawn(async { 42 })).unwrap()
    /// });
    /// assert_eq!(lines.await.unwrap().await.unwrap(), 42);
    /// # });
    /// ```
    #[track_caller]
    pub fn call<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> Result<T, CallError> {
        handle::assert_not_driving("`Handle::call`");
        assert!(
            !self.inner().calls.is_calling_here(),
            "`Handle::call` was called inside a callback of the same runtime: callbacks are called one after the other, so it would wait for itself"
        );
        let answer = Arc::new(Answer {
            told: Mutex::new(Told::Nothing),
            came: Condvar::new(),
        });
        let promise = Promise(answer.clone());
        self.call_soon(move || promise.0.tell(Told::Value(catch_unwind(f))));
        match answer.wait() {
            Some(Ok(value)) => Ok(value),
            Some(Err(payload)) => std::panic::resume_unwind(payload),
            None => Err(CallError(())),
        }
    }
}

/// Where a thread waits for what a callback gives.
struct Answer<T> {
    told: Mutex<Told<T>>,
    came: Condvar,
}

enum Told<T> {
    Nothing,
    Value(Result<T, Box<dyn Any + Send>>),
    /// There is no value, and none will come.
    Dropped,
}

/// Dropped without having told a value, it says so.
struct Promise<T>(Arc<Answer<T>>);

impl<T> Answer<T> {
    /// What is told first stands.
    fn tell(&self, what: Told<T>) {
        let mut told = self.told.lock();
        if let Told::Nothing = *told {
            *told = what;
            drop(told);
            self.came.notify_one();
        }
    }

    fn wait(&self) -> Option<Result<T, Box<dyn Any + Send>>> {
        let mut told = self.told.lock();
        loop {
            match std::mem::replace(&mut *told, Told::Nothing) {
                Told::Nothing => told = self.came.wait(told),
                Told::Value(value) => return Some(value),
                Told::Dropped => return None,
            }
        }
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        self.0.tell(Told::Dropped);
    }
}

impl<T> JoinHandle<T> {
    /// Blocks this thread until the task has ended, and gives its outcome.
    ///
    /// For blocking jobs, and for threads that are inside of no runtime.
    ///
    /// # Errors
    ///
    /// As awaiting the handle: if the task panicked, or was cancelled, also by the end of its runtime.
    ///
    /// # Panics
    ///
    /// On a thread that polls tasks, as is every one in a [deterministic](crate::sim) runtime.
    ///
    /// ```
    /// let runtime = filch::runtime::Runtime::new()?;
    /// let task = runtime.spawn(async { 42 });
    /// let thread = std::thread::spawn(|| task.join_blocking());
    /// assert_eq!(thread.join().unwrap().unwrap(), 42);
    /// # Ok::<_, std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn join_blocking(self) -> Result<T, JoinError> {
        handle::assert_not_driving("`JoinHandle::join_blocking`");
        match self.join_until(None) {
            Ok(outcome) => outcome,
            Err(_) => unreachable!("there is no limit"),
        }
    }

    /// As [`join_blocking`](Self::join_blocking), for at most so long, by the system's clock whatever the runtime's says.
    ///
    /// # Errors
    ///
    /// The handle, if the task has not ended by then. The task goes on.
    ///
    /// # Panics
    ///
    /// On a thread that polls tasks.
    #[track_caller]
    pub fn join_blocking_timeout(self, limit: Duration) -> Result<Result<T, JoinError>, Self> {
        handle::assert_not_driving("`JoinHandle::join_blocking_timeout`");
        // A time that no clock reaches is none.
        self.join_until(Instant::now().checked_add(limit))
    }

    fn join_until(mut self, deadline: Option<Instant>) -> Result<Result<T, JoinError>, Self> {
        let parker = Parker::new();
        let waker = parker.waker();
        let mut cx = Context::from_waker(&waker);
        loop {
            // Not as a future of the code around: a job whose scope was cancelled together with the task still wants to know.
            if let Poll::Ready(outcome) = self.poll_uncharged(&mut cx) {
                return Ok(outcome);
            }
            match deadline {
                None => parker.park(),
                Some(deadline) if parker.park_until(deadline) => {}
                Some(_) => return Err(self),
            }
        }
    }
}
