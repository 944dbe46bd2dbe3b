//! The handle of a runtime, and which runtime a thread is inside of.

use crate::blocking::After;
use crate::coop;
use crate::inner::Inner;
use crate::lane::Lane;
use crate::metrics::RuntimeMetrics;
use crate::park::Parker;
use crate::scheduler::record::Record;
use crate::scheduler::simulation::{Entrance, Host};
use crate::scheduler::worker;
use crate::scope;
use crate::scope::ambient::Around;
use crate::shim::thread_local_const;
use crate::stillness::Stillness;
use crate::task::cold::Cold;
use crate::task::join::{JoinHandle, TaskRef};
use crate::task::raw::{Child, Plain, is_large};
use crate::task_local;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Instant;

/// A way to a runtime, from any thread: to spawn onto it, to enter it.
///
/// A handle does not keep the runtime running. Once it is shut down, what is spawned is dropped at once and its
/// `JoinHandle` gives a cancelled [`JoinError`](crate::task::JoinError).
#[derive(Clone)]
pub struct Handle {
    inner: Arc<Inner>,
}

/// The kinds of runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuntimeFlavor {
    /// All tasks run on the thread that calls `block_on`.
    CurrentThread,
    /// Tasks run on worker threads.
    MultiThread,
}

thread_local_const! {
    /// The handle is this thread's own, so that who spawns takes it without a write that other threads would see.
    static CURRENT: RefCell<Option<Rc<Handle>>> = RefCell::new(None)
}

thread_local_const! {
    /// How often this thread has entered a runtime and not left it.
    static DEPTH: Cell<usize> = Cell::new(0)
}

thread_local_const! {
    /// This thread polls tasks or is in `block_on`: it must not block.
    static DRIVING: Cell<bool> = Cell::new(false)
}

/// Says that a thread is inside no runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TryCurrentError(());

impl fmt::Display for TryCurrentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NO_RUNTIME)
    }
}

impl std::error::Error for TryCurrentError {}

const NO_RUNTIME: &str = "there is no filch runtime on this thread: this must be called from the context of one, \
     such as inside `filch::run`, `Runtime::block_on`, a task, or after `Handle::enter`";

impl Handle {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// The runtime that this thread is inside of.
    ///
    /// # Panics
    ///
    /// If it is inside of none.
    #[track_caller]
    pub fn current() -> Self {
        Self::clone(&Self::here())
    }

    /// The runtime that this thread is inside of.
    ///
    /// # Errors
    ///
    /// If it is inside of none.
    pub fn try_current() -> Result<Self, TryCurrentError> {
        Self::try_here().map(|handle| Self::clone(&handle))
    }

    /// As [`current`](Self::current), for whoever calls it on this thread and forgets it: threads do not contend for it.
    #[track_caller]
    pub(crate) fn here() -> Rc<Self> {
        match Self::try_here() {
            Ok(handle) => handle,
            Err(error) => panic!("{error}"),
        }
    }

    /// As [`here`](Self::here). It is no borrow, for destructors of a future that is refused may enter and leave.
    fn try_here() -> Result<Rc<Self>, TryCurrentError> {
        CURRENT
            .try_with(|current| current.borrow().clone())
            .ok()
            .flatten()
            .ok_or(TryCurrentError(()))
    }

    /// Spawns a task onto the runtime.
    ///
    /// It starts even if its handle is never awaited. From a thread outside, it waits in the inbox; from a task, in the queue of
    /// the worker that runs that task, behind those spawned before.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_task(future, Location::caller())
    }

    #[inline]
    pub(crate) fn spawn_task<F>(&self, future: F, location: &'static Location<'static>) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        if is_large::<F>() {
            return self.spawn_plain(Box::pin(future), task_local::inherit(), location);
        }
        self.spawn_plain(future, task_local::inherit(), location)
    }

    #[inline]
    fn spawn_plain<F>(
        &self,
        future: F,
        cold: Option<Box<Cold>>,
        location: &'static Location<'static>,
    ) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let cold = self.inner.watch(cold);
        worker::spawn(&self.inner.shared, Plain { future, location, cold })
    }

    /// Spawns a task with what it has been given.
    pub(crate) fn spawn_with<F>(
        &self,
        future: F,
        cold: Box<Cold>,
        location: &'static Location<'static>,
    ) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        if is_large::<F>() {
            return self.spawn_plain(Box::pin(future), Some(cold), location);
        }
        self.spawn_plain(future, Some(cold), location)
    }

    /// The tasks of the runtime that have not ended, those of lanes too, but not those of a [`LocalSet`](crate::task::LocalSet). (A lane that has tasks is
    /// itself one of them, spawned where the lane was made.)
    ///
    /// Each worker's list is looked at for itself: a task that is spawned or ends meanwhile may be missed or listed.
    pub fn tasks(&self) -> Vec<TaskRef> {
        let workers = self.inner.shared.workers.iter().map(|remote| remote.owned.refer());
        let mut tasks: Vec<_> = workers.flatten().collect();
        let lanes = self.inner.lanes.lock().clone();
        for line in lanes.iter().filter_map(Weak::upgrade) {
            tasks.extend(line.refer());
        }
        tasks.into_iter().map(TaskRef::new).collect()
    }

    /// Spawns the child of a group, whose family `cold` knows.
    pub(crate) fn spawn_child<F, T>(
        &self,
        future: F,
        cold: Box<Cold>,
        location: &'static Location<'static>,
    ) -> JoinHandle<T>
    where
        F: Future<Output = Option<T>> + Send + 'static,
        T: Send + 'static,
    {
        task_local::inherit_into(&cold);
        let cold = self.inner.watch(Some(cold)).expect("there is one");
        let shared = &self.inner.shared;
        if is_large::<F>() {
            let future = Box::pin(future);
            return worker::spawn(shared, Child { future, location, cold });
        }
        worker::spawn(shared, Child { future, location, cold })
    }

    /// Runs a function that blocks, on a thread of the blocking pool. See [`task::spawn_blocking`](crate::task::spawn_blocking).
    #[track_caller]
    pub fn spawn_blocking<F, R>(&self, f: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        // Values, and the deadline, go along.
        self.spawn_job(f, task_local::around(), Location::caller())
    }

    /// Runs a function that blocks inside of what it is given.
    pub(crate) fn spawn_job<F, R>(&self, f: F, around: Around, location: &'static Location<'static>) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        if let Some(sim) = &self.inner.sim {
            sim.record.notice();
        }
        let handle = self.clone();
        let job = move || {
            let _inside = handle.enter();
            around.run(f)
        };
        self.inner.blocking.spawn(job, after(self, Some(location)), location)
    }

    /// Makes a [lane](crate::Lane) of the runtime.
    #[track_caller]
    pub fn lane(&self) -> Lane {
        Lane::new(&self.inner, Location::caller())
    }

    /// Runs `future` on this thread until it is done, as a guest of the runtime: its tasks, timers and sockets belong there.
    ///
    /// On a current_thread runtime, or a deterministic one, this drives nothing: some other thread has to be in [`Runtime::block_on`](crate::runtime::Runtime::block_on).
    ///
    /// # Panics
    ///
    /// If the future panics; if this thread is inside a task or another `block_on`, which would wait for itself.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let driving = self.drive("`Handle::block_on`");
        if let Some(sim) = &self.inner.sim {
            // What this thread does comes between the steps whenever it likes.
            sim.record.mark_foreign();
        }
        let future = pin!(self.inner.watch_main(scope::root(future), Location::caller()));
        let output = park_on(future, self.inner.stillness.as_deref());
        drop(driving);
        scope::of_root(output)
    }

    /// Takes this thread into the runtime until the guard is dropped: `spawn`, timers and sockets find it.
    ///
    /// Guards nest.
    ///
    /// # Panics
    ///
    /// Dropping guards in another order than the reverse one panics.
    pub fn enter(&self) -> EnterGuard<'_> {
        EnterGuard {
            _entered: self.enter_owned(),
            _handle: PhantomData,
        }
    }

    /// Asks the runtime's [`Runner`](crate::Runner) to stop: it ends [`run_forever`](crate::Runner::run_forever) and
    /// [`run_until_idle`](crate::Runner::run_until_idle), or the next of these if none runs. From any thread. Means nothing to
    /// [`Runner::run`](crate::Runner::run) and to other runtimes.
    pub fn stop(&self) {
        self.inner.stop.ask();
    }

    /// The kind of the runtime.
    pub fn runtime_flavor(&self) -> RuntimeFlavor {
        if !self.inner.multi_thread {
            RuntimeFlavor::CurrentThread
        } else {
            RuntimeFlavor::MultiThread
        }
    }

    /// What the runtime counts.
    pub fn metrics(&self) -> RuntimeMetrics {
        RuntimeMetrics::new(self.inner.clone())
    }

    /// Of a deterministic runtime.
    pub(crate) fn record(&self) -> Option<Arc<Record>> {
        self.inner.sim.as_ref().map(|sim| sim.record.clone())
    }

    /// Enters as worker `index`: new sockets and timers belong to that worker's reactor and wheel.
    pub(crate) fn enter_worker(&self, index: usize) -> Entered {
        self.enter_with(self.inner.io.at(index).enter(), self.inner.timer.at(index).enter())
    }

    pub(crate) fn enter_owned(&self) -> Entered {
        self.enter_with(self.inner.io.enter(), self.inner.timer.enter())
    }

    fn enter_with(&self, io: filch_io::Enter, timer: filch_timer::Enter) -> Entered {
        // A thread whose locals are gone already cannot be inside: what runs on it then finds no runtime.
        let previous = CURRENT
            .try_with(|current| current.replace(Some(Rc::new(self.clone()))))
            .ok()
            .flatten();
        let depth = DEPTH.try_with(|depth| depth.replace(depth.get() + 1)).unwrap_or(0);
        Entered {
            previous,
            depth,
            _io: io,
            _timer: timer,
        }
    }

    /// Enters to run futures on this thread.
    #[track_caller]
    pub(crate) fn drive(&self, what: &str) -> Driving {
        let entered = match self.runtime_flavor() {
            RuntimeFlavor::CurrentThread => self.enter_worker(0),
            RuntimeFlavor::MultiThread => self.enter_owned(),
        };
        Driving::new(what, Some(entered))
    }
}

/// What a simulation needs of the rest of the runtime.
impl Host for Handle {
    type Entered = Entered;

    fn enter(&self, index: usize) -> Entered {
        self.enter_worker(index)
    }

    fn jobs(&self) -> usize {
        self.inner.blocking.counts().2
    }

    fn run_job(&self, index: usize) {
        self.inner.blocking.run_inline(index);
    }

    fn next_arrival(&self) -> Option<Instant> {
        self.inner.io.network()?.next_due()
    }

    fn arrive(&self, now: Instant) {
        if let Some(network) = self.inner.io.network() {
            network.advance_to(now);
        }
    }
}

/// Keeps a clock that can be paused from jumping over the time that a blocking job takes, however the job ends.
struct Hold {
    hold: Option<filch_timer::Hold>,
    handle: Handle,
}

pub(crate) fn hold(handle: &Handle) -> After {
    let clock = &handle.inner.clock;
    if clock.is_pausable() {
        Some(Box::new(Hold {
            hold: Some(clock.hold()),
            handle: handle.clone(),
        }))
    } else {
        None
    }
}

/// What is dropped when a blocking job is over. `place` is the line of the program that asked for it, if it is known.
fn after(handle: &Handle, place: Option<&'static Location<'static>>) -> After {
    let hold = hold(handle);
    match &handle.inner.debug {
        Some(debug) => Some(Box::new((debug.job(place), hold))),
        None => hold,
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        drop(self.hold.take());
        // Whoever sleeps because of it looks again.
        self.handle.inner.shared.unpark_sleepers();
    }
}

/// Polls `future` until it is done; parks the thread between. Where a paused clock jumps by itself, it is told.
pub(crate) fn park_on<F: Future>(mut future: Pin<&mut F>, stillness: Option<&Stillness>) -> F::Output {
    let parker = Parker::new();
    let guest = stillness.map(|stillness| stillness.guest(parker.clone()));
    let waker = parker.waker();
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = coop::with_budget(|| future.as_mut().poll(&mut cx)) {
            return output;
        }
        match &guest {
            Some(guest) => guest.park(),
            None => parker.park(),
        }
    }
}

/// Whether this thread runs futures and so must not wait for them.
pub(crate) fn is_driving() -> bool {
    DRIVING.try_with(|driving| driving.get()).unwrap_or(false)
}

/// Runs `f`, which may block, on a thread that runs futures.
pub(crate) fn undriven<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            let _ = DRIVING.try_with(|driving| driving.set(self.0));
        }
    }
    let restore = Restore(DRIVING.try_with(|driving| driving.replace(false)).unwrap_or(false));
    let result = f();
    drop(restore);
    result
}

/// # Panics
///
/// If this thread runs futures.
#[track_caller]
pub(crate) fn assert_not_driving(what: &str) {
    assert!(
        !is_driving(),
        "{what} was called on a thread that runs a filch runtime already, from inside a task or another `block_on`: \
         it would block the thread that it waits for. Await the future instead, or move the call into `spawn_blocking`"
    );
}

/// The runtime's name resolution, as sockets call it.
pub(crate) fn resolve(name: String) -> filch_io::Resolving {
    match Handle::try_current() {
        Err(error) => Box::pin(async move { Err(std::io::Error::other(error)) }),
        Ok(handle) => {
            let job = move || std::net::ToSocketAddrs::to_socket_addrs(name.as_str()).map(Iterator::collect);
            let lookup = handle
                .inner
                .resolver
                .spawn(job, after(&handle, None), Location::caller());
            Box::pin(async move { lookup.await? })
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("flavor", &self.runtime_flavor())
            .finish_non_exhaustive()
    }
}

/// This thread is inside a runtime until this is dropped. From [`Handle::enter`].
#[must_use = "the thread leaves the runtime again when this is dropped"]
#[derive(Debug)]
pub struct EnterGuard<'a> {
    _entered: Entered,
    _handle: PhantomData<&'a Handle>,
}

/// A thread's being inside a runtime, in all three crates.
#[derive(Debug)]
pub(crate) struct Entered {
    previous: Option<Rc<Handle>>,
    /// How deep the thread was inside runtimes before.
    depth: usize,
    _io: filch_io::Enter,
    _timer: filch_timer::Enter,
}

impl Entrance for Entered {
    fn is_latest(&self) -> bool {
        DEPTH.try_with(|depth| depth.get() == self.depth + 1).unwrap_or(true)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let in_order = DEPTH
            .try_with(|depth| depth.replace(self.depth) == self.depth + 1)
            .unwrap_or(true);
        assert!(
            in_order || std::thread::panicking(),
            "the guards of `Handle::enter` must be dropped in the reverse order of entering"
        );
        // What was there may hold the last reference to another runtime's parts: it is dropped outside of the borrow.
        let entered = CURRENT.try_with(|current| current.replace(self.previous.take()));
        drop(entered);
    }
}

/// A thread's running of futures.
#[derive(Debug)]
pub(crate) struct Driving {
    _entered: Option<Entered>,
}

impl Driving {
    /// # Panics
    ///
    /// If the thread is at it already.
    #[track_caller]
    pub(crate) fn new(what: &str, entered: Option<Entered>) -> Self {
        assert_not_driving(what);
        let _ = DRIVING.try_with(|driving| driving.set(true));
        Self { _entered: entered }
    }
}

impl Drop for Driving {
    fn drop(&mut self) {
        let _ = DRIVING.try_with(|driving| driving.set(false));
    }
}
