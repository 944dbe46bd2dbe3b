//! A runtime: its threads, its beginning and its end.

use crate::blocking::BlockingPool;
use crate::calls::Calls;
use crate::coop;
use crate::debug::left::Origin;
use crate::debug::monitor::Monitor;
use crate::driver::Driver;
use crate::handle::{self, EnterGuard, Handle};
use crate::inner::Inner;
use crate::lane::Lane;
use crate::metrics::RuntimeMetrics;
use crate::scheduler::gate;
use crate::scheduler::record::Record;
use crate::scheduler::shared::Shared;
use crate::scheduler::simulation::Simulation;
use crate::scheduler::solo::Solo;
use crate::scheduler::worker::{self, Core};
use crate::scope;
use crate::settings::{RESOLVERS, Settings};
use crate::shim::Mutex;
use crate::staff::{self, Workers};
use crate::stop::Stop;
use crate::task::join::JoinHandle;
use filch_io::sim::Network;
use filch_timer::Clock;
use std::fmt;
use std::io;
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A runtime: worker threads with their queues, reactors and timers, and a pool for blocking code.
///
/// Most programs use [`filch::run`](crate::run) or [`#[filch::main]`](macro@crate::main), which make one.
///
/// Dropping a runtime drops the tasks that are left, each on a worker (of a current_thread runtime: on the
/// dropping thread), and waits for all threads, also for blocking jobs that are running.
///
/// # Forking
///
/// A child by `fork` has a copy of the runtime and none of its threads: nothing runs there, and whoever waits for it waits for ever.
/// Its epolls are the parent's own, not copies: a socket that the child registers or closes comes or goes *in the parent*. So the
/// child of a process that has a runtime may use nothing of filch, nor drop it; it may call `exec` or `_exit`. The parent does not notice such a
/// child. Programs that are started by [`std::process::Command`] inherit nothing of filch.
///
/// # Panics
///
/// Dropping a runtime inside a task or a `block_on` panics: it would have to wait there for itself.
///
/// ```
/// let runtime = filch::runtime::Runtime::new()?;
/// let sum = runtime.block_on(async {
///     let half = filch::spawn(async { 21 });
///     half.await.unwrap() + 21
/// });
/// assert_eq!(sum, 42);
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct Runtime {
    handle: Handle,
    workers: Option<Workers>,
    /// The shutdown has begun: there is nothing left to do on drop.
    down: bool,
}

/// What the end of a runtime found. From [`Runner::close`](crate::Runner::close).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Tasks that were still alive, and were cancelled. One that heard of that and came to its end with a value is not counted. Those of lanes count, those of a [`LocalSet`](crate::task::LocalSet) do not.
    pub cancelled: usize,
    /// Tasks that were still alive, and whose destructor panicked when they were cancelled. The panic hook has reported it.
    pub panicked: usize,
    /// Threads that were still in a blocking job when the grace period was over. They run on until their job returns.
    pub still_blocking: usize,
}

impl Runtime {
    pub(crate) fn start(mut settings: Settings) -> io::Result<Self> {
        let clock = match (&settings.deterministic, settings.multi_thread) {
            (Some(_), _) => Clock::simulated(),
            (None, true) if !settings.start_paused => Clock::new(),
            (None, _) => Clock::pausable(),
        };
        if settings.start_paused && settings.deterministic.is_none() {
            clock.pause();
        }
        let (mut stillness, mut network) = (None, None);
        let drivers = if let Some((seed, slack)) = &settings.deterministic {
            let network = network.insert(Network::new(*seed, clock.now()));
            slack.apply(network);
            (0..settings.workers)
                .map(|_| Driver::simulated(network, &clock))
                .collect()
        } else if settings.multi_thread && settings.start_paused {
            let (drivers, common) = Driver::in_step(&clock, settings.workers)?;
            stillness = Some(common);
            drivers
        } else {
            let drivers = (0..settings.workers).map(|_| Driver::new(&clock));
            drivers.collect::<io::Result<Vec<_>>>()?
        };
        let mut queues = Vec::new();
        // Without threads of its own a runtime runs when it is driven, and not else.
        let open_to = match settings.gated && settings.multi_thread && settings.deterministic.is_none() {
            true => 0,
            false => gate::ALL,
        };
        let spares = staff::spares(&settings);
        let shared = Arc::new_cyclic(|pool| {
            let (shared, locals) = Shared::new(drivers, spares, pool, open_to);
            queues = locals;
            shared
        });
        let reactors = shared
            .regular()
            .iter()
            .map(|remote| remote.driver.reactor().clone())
            .collect();
        let timers = shared
            .regular()
            .iter()
            .map(|remote| remote.driver.timers().clone())
            .collect();
        let last = queues.len() - 1;
        let core = |(index, queue)| match index < settings.workers {
            true => Core::new(index, queue),
            false => Core::spare(index, queue, index == last),
        };
        let mut cores: Vec<Box<Core>> = queues.into_iter().enumerate().map(core).collect();
        let (mut solo, mut sim) = (None, None);
        if let Some((seed, slack)) = &settings.deterministic {
            let record = Record::new(*seed, slack.clone(), clock.now());
            sim = Some(Simulation::new(record, clock.clone(), std::mem::take(&mut cores)));
        } else if !settings.multi_thread {
            solo = cores.pop().map(Solo::new);
        }
        let debug = match settings.debug.take() {
            Some(options) => Some(Monitor::start(options, &settings.debug_threads())?),
            None => None,
        };
        // Without threads the pools keep their jobs for the simulation.
        let limit = |threads: usize| if sim.is_some() { 0 } else { threads };
        let resolver = settings.resolver_threads();
        let hooks = filch_io::Hooks {
            charge: coop::charge,
            resolve: handle::resolve,
            origin: debug.as_ref().map(|_| Origin::boxed as fn() -> _),
        };
        let timer_hooks = filch_timer::Hooks {
            charge: coop::charge,
            origin: hooks.origin,
        };
        let inner = Inner {
            io: match network {
                Some(network) => filch_io::Handle::simulated(network, reactors, hooks),
                None => filch_io::Handle::new(reactors, hooks),
            },
            timer: filch_timer::Handle::new(clock.clone(), timers, timer_hooks),
            shared,
            blocking: BlockingPool::new(
                settings.threads.clone(),
                limit(settings.max_blocking_threads),
                settings.keep_alive,
            ),
            resolver: BlockingPool::new(resolver, limit(RESOLVERS), settings.keep_alive),
            clock,
            lanes: Mutex::new(Vec::new()),
            calls: Calls::new(),
            stillness,
            multi_thread: settings.multi_thread,
            stop: Stop::new(),
            debug,
            solo,
            sim,
        };
        let mut runtime = Self {
            handle: Handle::new(Arc::new(inner)),
            workers: None,
            down: false,
        };
        if settings.multi_thread && settings.deterministic.is_none() {
            let (workers, started) = Workers::start(&runtime.handle, &settings, cores);
            runtime.workers = Some(workers);
            if let Err(error) = started {
                runtime.abandon();
                return Err(error);
            }
        }
        Ok(runtime)
    }

    /// How the watcher puts a spare to work.
    #[allow(dead_code, reason = "for models, which play the watcher")]
    pub(crate) fn call_spares(&self) -> Option<impl Fn(usize) + Send + use<>> {
        self.workers.as_ref().map(Workers::call_spares)
    }

    /// The handle of this runtime.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Runs a future on this thread until it is done, as the way into the runtime.
    ///
    /// On a multi_thread runtime the future itself is polled on this thread, and what it spawns on the workers; this thread's
    /// waking costs a switch of threads, so work that counts belongs into tasks. On a current_thread runtime this
    /// thread runs everything meanwhile; of several threads that call this one does so at a time.
    ///
    /// Tasks that are left over run on, on a multi_thread runtime, or wait for the next `block_on`.
    ///
    /// # Panics
    ///
    /// If the future panics; if this thread is inside a task or another `block_on`, which would wait for itself.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let driving = self.handle.drive("`Runtime::block_on`");
        let inner = self.handle.inner();
        let future = pin!(inner.watch_main(scope::root(future), Location::caller()));
        let output = match (&inner.solo, &inner.sim) {
            (Some(solo), _) => solo.block_on(&inner.shared, future),
            (None, Some(sim)) => sim.block_on(&inner.shared, &self.handle, future),
            (None, None) => handle::park_on(future, inner.stillness.as_deref()),
        };
        drop(driving);
        scope::of_root(output)
    }

    /// As [`Handle::spawn`].
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn(future)
    }

    /// As [`Handle::lane`].
    #[track_caller]
    pub fn lane(&self) -> Lane {
        self.handle.lane()
    }

    /// As [`Handle::spawn_blocking`].
    #[track_caller]
    pub fn spawn_blocking<F, R>(&self, f: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.handle.spawn_blocking(f)
    }

    /// As [`Handle::enter`].
    pub fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }

    /// As [`Handle::metrics`].
    pub fn metrics(&self) -> RuntimeMetrics {
        self.handle.metrics()
    }

    /// Shuts the runtime down and waits for its threads at most `limit`, all in all.
    ///
    /// A worker that is still in a poll then, or a blocking job, runs on by itself until it returns; whatever it left is dropped by the last worker to leave.
    /// Clean-ups that wait ([`defer`](crate::defer)) have so long in a current_thread runtime, where those that are not over are dropped then; elsewhere the
    /// workers run them to their end.
    ///
    /// # Panics
    ///
    /// Inside a task or a `block_on`, unless `limit` is zero.
    #[track_caller]
    pub fn shutdown_timeout(mut self, limit: Duration) {
        self.shutdown(Some(limit));
    }

    /// Shuts the runtime down and waits for nothing: `shutdown_timeout` with zero. Can be called anywhere.
    pub fn shutdown_background(mut self) {
        self.shutdown(Some(Duration::ZERO));
    }

    /// The end of a runtime that could not be started. Its threads have nothing to do, so this waits for them anywhere.
    fn abandon(mut self) {
        self.down = true;
        let shared = self.handle.inner().shared.clone();
        shared.close();
        if let Some(workers) = self.workers.take() {
            workers.join(None);
        }
        if let Some(debug) = &self.handle.inner().debug {
            debug.close(true);
        }
    }

    /// The end of `run`: waits for the workers as long as it takes, for blocking jobs up to `grace`.
    #[track_caller]
    pub(crate) fn finish(mut self, grace: Duration) -> ShutdownReport {
        self.shutdown_with(Some(Location::caller()), None, Some(grace));
        let inner = self.handle.inner();
        let (cancelled, panicked) = inner.shared.leftovers.get();
        ShutdownReport {
            cancelled,
            panicked,
            still_blocking: inner.blocking.alive() + inner.resolver.alive(),
        }
    }

    /// As [`block_on`](Self::block_on), with the gate open to the first `workers` workers meanwhile.
    #[track_caller]
    pub(crate) fn block_on_within<F: Future>(&self, workers: usize, future: F) -> F::Output {
        struct Close<'a>(&'a Shared);
        impl Drop for Close<'_> {
            fn drop(&mut self) {
                self.0.close_gate();
            }
        }
        // Before the gate opens: it panics on a thread that runs a runtime already.
        handle::assert_not_driving("`Runner::run`");
        let gated = self.workers.is_some().then(|| &*self.handle.inner().shared);
        let close = gated.map(|shared| {
            shared.gate.open(workers);
            Close(shared)
        });
        let output = self.block_on(future);
        drop(close);
        output
    }

    /// Shuts down; true if no thread is left.
    #[track_caller]
    fn shutdown(&mut self, limit: Option<Duration>) -> bool {
        self.shutdown_with(None, limit, limit)
    }

    /// With a place that asks for it the tasks are cancelled, else aborted.
    #[track_caller]
    fn shutdown_with(
        &mut self,
        gently: Option<&'static Location<'static>>,
        limit: Option<Duration>,
        blocking_limit: Option<Duration>,
    ) -> bool {
        if std::mem::replace(&mut self.down, true) {
            return true;
        }
        let inner = self.handle.inner().clone();
        // A limit that no clock reaches is none.
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let waits = limit != Some(Duration::ZERO);
        let wedged = waits && (handle::is_driving() || worker::is_worker_of(&inner.shared));
        if let Some(debug) = &inner.debug {
            debug.shutdown();
        }
        // Everything that needs no waiting is done first, whatever follows.
        let workers = self.workers.take();
        match gently {
            Some(location) => inner.end_tasks(location),
            None => inner.shared.close(),
        }
        match (&inner.solo, &inner.sim) {
            (Some(solo), _) => {
                let entered = self.handle.enter_worker(0);
                solo.shutdown(&inner.shared, limit);
                drop(entered);
            }
            (None, Some(sim)) => sim.shutdown(&inner.shared, &self.handle),
            (None, None) => {
                if let Some(stillness) = &inner.stillness {
                    stillness.close();
                }
            }
        }
        if wedged {
            inner.blocking.shutdown(Some(Instant::now()));
            inner.resolver.shutdown(Some(Instant::now()));
            if let Some(debug) = &inner.debug {
                debug.close(false);
            }
            assert!(
                std::thread::panicking(),
                "a filch runtime was dropped inside a task or a `block_on`, where it cannot wait for its threads. \
                 Drop it elsewhere, for example in `spawn_blocking`, or use `shutdown_background`"
            );
            return false;
        }
        let mut over = workers.is_none_or(|workers| workers.join(deadline));
        // Workers that need long to end do not use up the jobs' time.
        let blocking_deadline = match blocking_limit == limit {
            true => deadline,
            false => blocking_limit.and_then(|limit| Instant::now().checked_add(limit)),
        };
        for pool in [&inner.blocking, &inner.resolver] {
            over &= pool.shutdown(blocking_deadline);
        }
        // It has watched the end as well.
        if let Some(debug) = &inner.debug {
            let drivers = inner.shared.regular().iter().map(|remote| &remote.driver);
            let (sockets, timers): (Vec<_>, Vec<_>) = drivers
                .map(|driver| (driver.reactor().left(), driver.timers().left()))
                .unzip();
            let origins = |left: Vec<Vec<_>>| Origin::unboxed(left.into_iter().flatten().collect());
            debug.leaked(
                origins(sockets),
                origins(timers),
                inner.blocking.alive() + inner.resolver.alive(),
            );
            debug.close(over);
        }
        over
    }
}

impl Drop for Runtime {
    #[track_caller]
    fn drop(&mut self) {
        // Does nothing behind a shutdown by name.
        self.shutdown(None);
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}
