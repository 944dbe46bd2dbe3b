//! A runtime that stands still between two runs.

use crate::builder::Builder;
use crate::handle::Handle;
use crate::inner::Inner;
use crate::interrupt::{Ear, Listening};
use crate::rt::{Runtime, ShutdownReport};
use crate::run::{BLOCKING_GRACE, or_interrupted};
use crate::scheduler::gate::ALL;
use crate::scheduler::worker;
use crate::task::join::JoinHandle;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::panic::Location;
use std::task::{Context, Poll};
use std::time::Duration;

pub use crate::run::Interrupted;

/// A runtime in which nothing runs but during its runs: tasks that are spawned before wait for the first one, and those that are left over wait for the next.
///
/// When a run returns, no task is being polled: the workers finish the polls they are in, and then stand still, with their timers and sockets. So a run that returns while a task
/// is stuck in a long poll waits for that poll. Blocking jobs are not held.
///
/// A [`Runtime`] starts tasks at once, and they go on behind a `block_on`.
///
/// Dropping a runner is [`close`](Self::close) with ten seconds.
///
/// (asyncio's `Runner`, with the loop's own `run_forever` and `stop`.)
///
/// ```
/// use std::time::Duration;
///
/// let mut runner = filch::Runner::new()?;
/// let early = runner.spawn(async { 40 });
/// let sum = runner.run(async { early.await.unwrap() + 2 }).expect("no Ctrl-C");
/// assert_eq!(sum, 42);
///
/// let slow = runner.spawn(async { filch::time::sleep(Duration::from_millis(2)).await });
/// assert_eq!(runner.run_until_idle(), filch::runtime::StopReason::Idle);
/// assert!(slow.is_finished());
///
/// runner.spawn(std::future::pending::<()>());
/// let report = runner.close(Duration::from_secs(1));
/// assert_eq!((report.cancelled, report.panicked, report.still_blocking), (1, 0, 0));
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct Runner {
    ear: Ear,
    /// There until it is closed.
    runtime: Option<Runtime>,
}

/// Why a runner's loop has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopReason {
    /// Somebody called [`Handle::stop`](crate::runtime::Handle::stop).
    Stopped,
    /// By a Ctrl-C (SIGINT).
    Interrupted,
    /// No task was alive.
    Idle,
}

impl Runner {
    /// A runner of a multi_thread runtime with default settings.
    ///
    /// # Errors
    ///
    /// As [`Builder::build`].
    pub fn new() -> io::Result<Self> {
        Self::with(&mut Builder::new_multi_thread())
    }

    /// A runner of the runtime that `builder` describes: multi_thread, current_thread or deterministic.
    ///
    /// # Errors
    ///
    /// As [`Builder::build`].
    pub fn with(builder: &mut Builder) -> io::Result<Self> {
        let runtime = builder.build_with(true)?;
        Ok(Self {
            ear: Ear::new(runtime.handle(), builder.interrupt()),
            runtime: Some(runtime),
        })
    }

    fn runtime(&self) -> &Runtime {
        match &self.runtime {
            Some(runtime) => runtime,
            None => unreachable!("a runner has its runtime until it is closed"),
        }
    }

    /// The handle of the runtime: to spawn, to make lanes, to [stop](Handle::stop).
    pub fn handle(&self) -> &Handle {
        self.runtime().handle()
    }

    /// Spawns a task. It starts with the next run.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle().spawn(future)
    }

    /// Runs `main`, and all tasks meanwhile. Tasks that are left when it is done wait for the next run.
    ///
    /// # Errors
    ///
    /// If a Ctrl-C came first (SIGINT; see [`Builder::on_interrupt`]): then `main` was cancelled, as in [`run`](crate::run), and gave no value. A second one, before this has returned, ends the process at once.
    /// The runner is good for further runs.
    ///
    /// # Panics
    ///
    /// If `main` panics. Inside a task or a `block_on`.
    #[track_caller]
    pub fn run<F: IntoFuture>(&mut self, main: F) -> Result<F::Output, Interrupted> {
        self.drive(ALL, async move |listening| {
            or_interrupted(main.into_future(), listening).await
        })
    }

    /// Runs all tasks until somebody calls [`Handle::stop`], or a Ctrl-C comes.
    ///
    /// If the stop came before, what waits has one pass: tasks that were spawned or woken before are polled once, and then this returns. (In a
    /// deterministic runtime the seed decides how many of them.)
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run). In a deterministic runtime, if nothing can happen any more.
    #[track_caller]
    pub fn run_forever(&mut self) -> StopReason {
        self.run_loop(false)
    }

    /// As [`run_forever`](Self::run_forever), and returns also when no task is alive. A lane without tasks does not count, nor does a
    /// blocking job that no task awaits, nor what waits in a [`LocalSet`](crate::task::LocalSet).
    ///
    /// # Panics
    ///
    /// As [`run_forever`](Self::run_forever).
    #[track_caller]
    pub fn run_until_idle(&mut self) -> StopReason {
        self.run_loop(true)
    }

    /// Ends everything: tasks that are left are cancelled, as by [`JoinHandle::cancel`](crate::task::JoinHandle::cancel), and their end is awaited, however long
    /// what they shield takes; blocking jobs are waited for up to `grace`.
    ///
    /// # Panics
    ///
    /// Inside a task or a `block_on`.
    #[track_caller]
    pub fn close(mut self, grace: Duration) -> ShutdownReport {
        match self.runtime.take() {
            Some(runtime) => runtime.finish(grace),
            None => unreachable!("as in `runtime`"),
        }
    }

    #[track_caller]
    fn drive<T>(&mut self, workers: usize, body: impl AsyncFnOnce(&mut Listening<'_>) -> T) -> T {
        let Some(runtime) = &self.runtime else {
            unreachable!("as in `runtime`")
        };
        let mut listening = self.ear.listen();
        runtime.block_on_within(workers, body(&mut listening))
    }

    #[track_caller]
    fn run_loop(&mut self, until_idle: bool) -> StopReason {
        let inner = self.handle().inner().clone();
        if inner.stop.is_asked() {
            let behind = worker::spawn_behind(&inner.shared, Location::caller());
            self.drive(1, async |_| {
                for task in behind {
                    // It is cancelled by nobody.
                    let _ = task.await;
                }
            });
            inner.stop.take();
            return StopReason::Stopped;
        }
        let watching = Watching(&inner);
        let look = |cx: &mut Context<'_>, listening: &mut Listening<'_>| {
            if inner.stop.poll(cx).is_ready() {
                Poll::Ready(StopReason::Stopped)
            } else if listening.poll(cx).is_ready() {
                Poll::Ready(StopReason::Interrupted)
            } else if until_idle && inner.shared.poll_idle(cx).is_ready() {
                Poll::Ready(StopReason::Idle)
            } else {
                Poll::Pending
            }
        };
        let reason = self.drive(ALL, async |listening| poll_fn(|cx| look(cx, listening)).await);
        drop(watching);
        reason
    }
}

/// While a loop runs.
struct Watching<'a>(&'a Inner);

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.0.stop.take();
        self.0.shared.stop_watching();
    }
}

impl Drop for Runner {
    #[track_caller]
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.finish(BLOCKING_GRACE);
        }
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("handle", self.handle())
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// A [`Runner`] of the runtime that this describes: nothing starts before its first run.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn build_runner(&mut self) -> io::Result<Runner> {
        Runner::with(self)
    }
}
