//! How a runtime is set up.

use crate::blocking::ThreadConfig;
use crate::debug::monitor::{LONG_LOCK, Options, SLOW_POLL};
use crate::debug::report::Report;
use crate::debug::switch;
use crate::rt::Runtime;
use crate::scheduler::slack::Slack;
use crate::settings::Settings;
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

/// The environment variable that overrides the default number of workers.
const WORKERS_VARIABLE: &str = "FILCH_WORKER_THREADS";

/// The workers of a deterministic runtime that was not told otherwise: the same on every machine.
const VIRTUAL_WORKERS: usize = 2;

/// Sets up a [`Runtime`].
///
/// ```
/// let runtime = filch::runtime::Builder::new_multi_thread()
///     .worker_threads(2)
///     .thread_name("my-service")
///     .build()?;
/// assert_eq!(runtime.metrics().num_workers(), 2);
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Builder {
    multi_thread: bool,
    workers: Option<usize>,
    max_blocking_threads: usize,
    keep_alive: Duration,
    start_paused: bool,
    deterministic: Option<u64>,
    slack: Slack,
    threads: ThreadConfig,
    on_interrupt: Interrupt,
    /// `None`: as the environment says.
    debug: Option<bool>,
    options: Options,
}

/// What a Ctrl-C (SIGINT) means to a program while [`run`](crate::run) or a [`Runner`](crate::Runner) runs. See
/// [`Builder::on_interrupt`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Interrupt {
    /// The main future is cancelled, and everything ends in order; a second one ends the process at once.
    #[default]
    CancelMain,
    /// Nothing.
    Ignore,
    /// What it means without filch: the process ends at once.
    Exit,
}

impl Builder {
    /// A runtime with worker threads.
    pub fn new_multi_thread() -> Self {
        Self::new(true)
    }

    /// A runtime without threads of its own: the thread that calls [`Runtime::block_on`] runs everything. So nobody serves the other tasks,
    /// sockets and timers while a poll takes long.
    pub fn new_current_thread() -> Self {
        Self::new(false)
    }

    fn new(multi_thread: bool) -> Self {
        Self {
            multi_thread,
            workers: None,
            max_blocking_threads: 512,
            keep_alive: Duration::from_secs(10),
            start_paused: false,
            deterministic: None,
            slack: Slack::default(),
            threads: ThreadConfig {
                name: Arc::new(|| "filch-worker".to_string()),
                stack_size: None,
                on_start: None,
                on_stop: None,
            },
            on_interrupt: Interrupt::default(),
            debug: None,
            options: Options {
                slow_poll: SLOW_POLL,
                long_lock: LONG_LOCK,
                on_report: None,
            },
        }
    }

    /// The number of worker threads. Means nothing for a current_thread runtime.
    ///
    /// By default as many as this process may use processors (affinity and cgroup quota considered), or what the environment variable `FILCH_WORKER_THREADS` says.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn worker_threads(&mut self, workers: usize) -> &mut Self {
        assert!(
            workers > 0,
            "a runtime needs at least one worker thread, `worker_threads(0)` asks for none"
        );
        self.workers = Some(workers);
        self
    }

    /// The most threads that the blocking pool may have. 512 by default. Worker threads do not count. As many tasks at a time, besides, have another thread take over when they
    /// [block in place](crate::task::block_in_place).
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn max_blocking_threads(&mut self, threads: usize) -> &mut Self {
        assert!(
            threads > 0,
            "`max_blocking_threads(0)` would leave blocking jobs without any thread"
        );
        self.max_blocking_threads = threads;
        self
    }

    /// How long a blocking thread stays without work. 10 s by default.
    pub fn thread_keep_alive(&mut self, duration: Duration) -> &mut Self {
        self.keep_alive = duration;
        self
    }

    /// The name of the worker and blocking threads. "filch-worker" by default. The system may cut it (Linux: to 15 bytes).
    ///
    /// # Panics
    ///
    /// If the name contains a zero byte.
    #[track_caller]
    pub fn thread_name(&mut self, name: impl Into<String>) -> &mut Self {
        let name = name.into();
        assert!(
            !name.contains('\0'),
            "a thread's name cannot contain a zero byte: {name:?}"
        );
        self.thread_name_fn(move || name.clone())
    }

    /// A function that gives each thread its name. A name with a zero byte in it is cut there.
    pub fn thread_name_fn(&mut self, name: impl Fn() -> String + Send + Sync + 'static) -> &mut Self {
        self.threads.name = Arc::new(move || {
            let mut name = name();
            if let Some(end) = name.find('\0') {
                name.truncate(end);
            }
            name
        });
        self
    }

    /// The size of the stacks of worker and blocking threads, in bytes. By default std's: 2 MiB.
    pub fn thread_stack_size(&mut self, bytes: usize) -> &mut Self {
        self.threads.stack_size = Some(bytes);
        self
    }

    /// Runs at the begin of every worker and blocking thread. If it panics, the panic hook reports that, and the thread goes on.
    pub fn on_thread_start(&mut self, f: impl Fn() + Send + Sync + 'static) -> &mut Self {
        self.threads.on_start = Some(Arc::new(f));
        self
    }

    /// Runs at the end of every worker and blocking thread. As [`on_thread_start`](Self::on_thread_start).
    pub fn on_thread_stop(&mut self, f: impl Fn() + Send + Sync + 'static) -> &mut Self {
        self.threads.on_stop = Some(Arc::new(f));
        self
    }

    /// Starts with the clock paused, as by [`time::pause`](crate::time::pause): it jumps to the next timer whenever all workers and all threads in
    /// `block_on` sleep, and no blocking job runs. Sockets that wait do not hold it. (In a current_thread runtime only the thread that drives it counts, not those in
    /// [`Handle::block_on`](crate::runtime::Handle::block_on) beside it.)
    ///
    /// Only a multi_thread runtime that was built so can be paused at all.
    ///
    /// A blocking job that waits in `Handle::block_on` holds the clock all the same: a timer that it waits for never fires.
    pub fn start_paused(&mut self, paused: bool) -> &mut Self {
        self.start_paused = paused;
        self
    }

    /// Makes the runtime deterministic: the thread that calls `block_on` does everything, and `seed` decides which ready task is polled
    /// next, by which of the virtual workers, and whatever else a real runtime leaves to chance. See [`filch::sim`](crate::sim).
    ///
    /// Without [`worker_threads`](Self::worker_threads) there are two virtual workers, whatever the machine has.
    pub fn deterministic(&mut self, seed: u64) -> &mut Self {
        self.deterministic = Some(seed);
        self
    }

    /// How hard a [deterministic](Self::deterministic) runtime tries the program. Means nothing for others.
    pub fn slack(&mut self, slack: Slack) -> &mut Self {
        self.slack = slack;
        self
    }

    /// Timers and sockets are always there; this does nothing, for programs that are used to asking.
    pub fn enable_all(&mut self) -> &mut Self {
        self
    }

    /// As [`enable_all`](Self::enable_all).
    pub fn enable_io(&mut self) -> &mut Self {
        self
    }

    /// As [`enable_all`](Self::enable_all).
    pub fn enable_time(&mut self) -> &mut Self {
        self
    }

    /// What a Ctrl-C means while [`run`](crate::run), `#[filch::main]` or a [`Runner`](crate::Runner) runs: [`Interrupt::CancelMain`] by default. A
    /// [`Runtime`]'s own `block_on` never concerns itself with signals, and nor does a deterministic runtime.
    ///
    /// A program that listens by itself, with `signal::ctrl_c` or with `signal::unix::signal`, has the signal for itself from then on,
    /// whatever is set here. If it was ignored or handled otherwise before the first run, that stays as it was, too. Without the feature `signal`, and
    /// where the system gives no sockets, it means what it means without filch.
    pub fn on_interrupt(&mut self, interrupt: Interrupt) -> &mut Self {
        self.on_interrupt = interrupt;
        self
    }

    /// Whether the runtime is in [debug mode](crate::debug). By default the environment variable `FILCH_DEBUG` decides: it is, if that is set to anything but
    /// nothing and `0`. It reports what takes too long (polls, locks that are held), what nobody looked at (coroutines, panics, errors), and what is left at the end.
    pub fn debug(&mut self, debug: bool) -> &mut Self {
        self.debug = Some(debug);
        self
    }

    /// In debug mode: how long one poll of a task may take before it is reported. 100 ms by default. It is noticed up to 20 ms later, or as much as a fifth of the
    /// limit if that is less.
    pub fn slow_poll(&mut self, limit: Duration) -> &mut Self {
        self.options.slow_poll = limit;
        self
    }

    /// In debug mode: how long a task may hold a `sync::Mutex` or `sync::RwLock` across waits, and how long somebody may wait for a `sync::Semaphore` that gives out no permits, before that is reported. 1 s by
    /// default. It is noticed up to 20 ms later, or as much as a fifth of the limit if that is less.
    pub fn long_lock(&mut self, limit: Duration) -> &mut Self {
        self.options.long_lock = limit;
        self
    }

    /// In debug mode: what is called with each report. By default each is written to the standard error stream, in one piece.
    ///
    /// It is called on a thread of its own, `filch-debug`, one report at a time, and the end of the runtime waits for it; what is noticed after that is reported by whoever noticed it. If it
    /// panics, the panic hook says so, and the next report comes all the same.
    pub fn on_report(&mut self, f: impl Fn(&Report) + Send + Sync + 'static) -> &mut Self {
        self.options.on_report = Some(Arc::new(f));
        self
    }

    /// What a Ctrl-C is to mean.
    pub(crate) fn interrupt(&self) -> Interrupt {
        match self.deterministic {
            Some(_) => Interrupt::Exit,
            None => self.on_interrupt,
        }
    }

    /// Makes the runtime and starts its threads.
    ///
    /// # Errors
    ///
    /// If the system gives no epoll, eventfd or thread: then nothing is left running. If `FILCH_WORKER_THREADS` is
    /// set but no positive number.
    pub fn build(&mut self) -> io::Result<Runtime> {
        self.build_with(false)
    }

    /// As [`build`](Self::build); the workers wait at a gate if it is `gated`.
    pub(crate) fn build_with(&self, gated: bool) -> io::Result<Runtime> {
        let workers = match (self.multi_thread, self.workers) {
            (false, _) => 1,
            (true, Some(workers)) => workers,
            (true, None) if self.deterministic.is_some() => VIRTUAL_WORKERS,
            (true, None) => default_workers()?,
        };
        Runtime::start(Settings {
            multi_thread: self.multi_thread,
            workers,
            max_blocking_threads: self.max_blocking_threads,
            keep_alive: self.keep_alive,
            start_paused: self.start_paused,
            deterministic: self.deterministic.map(|seed| (seed, self.slack.clone())),
            threads: self.threads.clone(),
            gated,
            debug: self
                .debug
                .unwrap_or_else(switch::is_asked_for)
                .then(|| self.options.clone()),
        })
    }
}

fn default_workers() -> io::Result<usize> {
    match std::env::var(WORKERS_VARIABLE) {
        Err(std::env::VarError::NotPresent) => Ok(std::thread::available_parallelism().map_or(1, NonZeroUsize::get)),
        Ok(text) if text.parse::<NonZeroUsize>().is_ok() => Ok(text.parse().map_or(1, NonZeroUsize::get)),
        other => {
            let text = format!("{WORKERS_VARIABLE} must be a positive number of threads, not {other:?}");
            Err(io::Error::new(io::ErrorKind::InvalidInput, text))
        }
    }
}

impl Runtime {
    /// A multi_thread runtime with default settings.
    ///
    /// # Errors
    ///
    /// As [`Builder::build`].
    pub fn new() -> io::Result<Self> {
        Builder::new_multi_thread().build()
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("multi_thread", &self.multi_thread)
            .field("worker_threads", &self.workers)
            .field("max_blocking_threads", &self.max_blocking_threads)
            .field("start_paused", &self.start_paused)
            .field("debug", &self.debug)
            .finish_non_exhaustive()
    }
}
