//! Code that blocks, as a part of the code that awaits it.

use crate::handle::Handle;
use crate::scope;
use crate::scope::driven::Driven;
use crate::scope::node::{Kind, Node};
use crate::sync::limiter::CapacityLimiter;
use crate::task::error::JoinError;
use crate::task::join::JoinHandle;
use crate::task_local;
use std::fmt;
use std::future::{Future, IntoFuture, pending, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Runs a function that blocks on a thread of the blocking pool, and gives its value when it is awaited. (anyio's `to_thread.run_sync`, asyncio's `to_thread`.)
///
/// As against [`spawn_blocking`](crate::task::spawn_blocking), this is a part of the code that awaits it: a panic of the function is raised there, and its scopes wait for the
/// function. A cancel does not end what blocks; so, unless [`abandon_on_cancel`](Blocking::abandon_on_cancel) says otherwise, a scope that is cancelled waits until the function
/// has returned, and the awaiting code gets the value. The function may ask [`check_cancelled`](crate::check_cancelled) now and then, and return early. In a scope that was cancelled before, it does not begin.
///
/// The values of task-local keys, the [`deadline`](crate::deadline) and the clean-ups of the awaiting code are those of the function.
///
/// # Cancel safety
///
/// Dropping the future abandons the function: if it has not begun, it never does; if it has, it runs on, `check_cancelled` tells it, and its value is dropped.
///
/// # Panics
///
/// If the function does. When it is awaited: outside of a runtime; if the runtime is shut down before the function has begun, or if there is no thread for it and none can be started
/// (`spawn_blocking` gives an error then).
///
/// ```
/// # filch::run(async {
/// let length = filch::blocking(|| std::fs::read("Cargo.toml").map(|text| text.len())).await;
/// # let _ = length;
/// # });
/// ```
#[track_caller]
pub fn blocking<F, R>(f: F) -> Blocking<F>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    Blocking {
        f,
        limiter: None,
        abandon: false,
        location: Location::caller(),
    }
}

/// A function that blocks, and how it is to be run. From [`blocking`].
#[must_use = "the function is called when this is awaited"]
pub struct Blocking<F> {
    f: F,
    limiter: Option<CapacityLimiter>,
    abandon: bool,
    location: &'static Location<'static>,
}

impl<F> Blocking<F> {
    /// Borrows a token first, which the function has until it has returned, whoever still waits for it. Each function is a borrower of its own.
    ///
    /// The wait for the token can be cancelled.
    ///
    /// ```
    /// use filch::sync::CapacityLimiter;
    ///
    /// # filch::run(async {
    /// // However many threads the pool has, the database sees two.
    /// let connections = CapacityLimiter::new(2);
    /// let rows = filch::blocking(|| 7).limiter(&connections).await;
    /// assert_eq!(rows, 7);
    /// # });
    /// ```
    pub fn limiter(mut self, limiter: &CapacityLimiter) -> Self {
        self.limiter = Some(limiter.clone());
        self
    }

    /// Whether a cancel drops the awaiting code at once, as any other wait, instead of waiting for the function. No if nothing is said.
    ///
    /// A function that has not begun by then never does. One that has runs on, and its value is dropped.
    pub fn abandon_on_cancel(mut self, abandon: bool) -> Self {
        self.abandon = abandon;
        self
    }
}

impl<F> fmt::Debug for Blocking<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocking")
            .field("limiter", &self.limiter)
            .field("abandon_on_cancel", &self.abandon)
            .field("location", &format_args!("{}", self.location))
            .finish_non_exhaustive()
    }
}

impl<F, R> IntoFuture for Blocking<F>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    type Output = R;
    type IntoFuture = Pin<Box<dyn Future<Output = R> + Send>>;

    #[track_caller]
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run(Handle::current()))
    }
}

impl<F, R> Blocking<F>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    async fn run(self, runtime: Handle) -> R {
        let Self {
            f,
            limiter,
            abandon,
            location,
        } = self;
        let token = match limiter {
            Some(limiter) => Some(limiter.borrow_anonymously().await),
            None => None,
        };
        not_cancelled().await;
        // The job's own scope: it hears of a cancel also when this future is merely dropped.
        let node = Node::new(scope::current(), Kind::Scope, None);
        let around = task_local::around_in(node.clone());
        let job = move || {
            let _token = token;
            f()
        };
        let job = Job(runtime.spawn_job(job, around, location));
        let outcome = Driven::at(node, location, async move {
            match abandon {
                true => job.await,
                false => scope::shield(job).await,
            }
        });
        match outcome.await {
            Some(Ok(value)) => value,
            Some(Err(error)) => match error.try_into_panic() {
                Ok(payload) => std::panic::resume_unwind(payload),
                Err(_) => panic!(
                    "the function of `filch::blocking` at {location} could not begin: the runtime has been shut down, or there is no thread for it"
                ),
            },
            // Nobody has a way to cancel this scope alone: it is cancelled from around, and dropped there.
            None => pending().await,
        }
    }
}

/// Waits, if the code that asks is cancelled, until that is taken back: so it is dropped here.
async fn not_cancelled() {
    poll_fn(|_| match scope::is_cancelled() {
        true => Poll::Pending,
        false => Poll::Ready(()),
    })
    .await;
}

/// The job. Whoever drops it does not want its value: it need not begin.
struct Job<R>(JoinHandle<R>);

impl<R> Future for Job<R> {
    type Output = Result<R, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<R> Drop for Job<R> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
