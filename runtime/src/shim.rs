//! The crate's one door to atomics, locks, cells, threads and the work-stealing deque.
//!
//! The ordinary build takes them from std and crossbeam-deque. The package `loom-tests` compiles this crate a second time
//! with `cfg(loom)`; then they are loom's, and the deque is a mock over loom's mutex, because crossbeam-deque
//! itself cannot be model-checked. No other file of the crate knows which of the two it is built with.

#[cfg(not(loom))]
mod imp {
    use std::cell::Cell;
    use std::sync::atomic::Ordering;
    use std::time::{Duration, Instant};

    pub(crate) use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, fence};
    pub(crate) use std::sync::{
        Condvar as RawCondvar, Mutex as RawMutex, MutexGuard as RawGuard, WaitTimeoutResult as RawTimeout,
    };

    /// `std::cell::UnsafeCell` with loom's interface, so that both builds read the same.
    #[derive(Debug)]
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        #[inline(always)]
        pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            f(self.0.get())
        }

        #[inline(always)]
        pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }

    /// Whether a wait of at most `timeout` took so long.
    #[inline(always)]
    pub(crate) fn timed_out(result: &RawTimeout, _timeout: Duration) -> bool {
        result.timed_out()
    }

    /// Between two looks of the watcher. A poll is called long after one to two of these.
    pub(crate) const LOOK: Duration = Duration::from_millis(1);

    /// A poll in which a worker is found at so many looks in a row is long enough for a spare.
    pub(crate) const STUCK: u32 = 10;

    /// For measuring how long a worker is awake.
    pub(crate) fn stopwatch() -> Option<Instant> {
        Some(Instant::now())
    }

    /// The parts of a worker's list of live tasks.
    pub(crate) const LIST_PARTS: usize = 4;

    /// Threads keep the memory of tasks. Not where somebody looks for uses of memory that was freed.
    pub(crate) const RECYCLES: bool = !cfg!(any(miri, uncached));

    /// A bit of an atomic word that changes hands with something else, so that its owner may just look.
    ///
    /// Loom remembers only the latest access to an atomic: a look before each exchange would hide what other threads did before. So there it stands beside the word.
    #[derive(Debug)]
    pub(crate) struct KnownBit;

    impl KnownBit {
        pub(crate) const fn new() -> Self {
            Self
        }

        /// The owner leaves the bit set.
        #[inline(always)]
        pub(crate) fn leave(&self) {}

        /// Whether the owner before has left the bit set.
        #[inline(always)]
        pub(crate) fn take(&self, word: &AtomicUsize, bit: usize) -> bool {
            // Relaxed: what gave this thread the bit lets it see who wrote it last.
            word.load(Ordering::Relaxed) & bit != 0
        }
    }

    /// Reads an atomic that nobody else can reach any more.
    #[inline(always)]
    pub(crate) fn exclusive(value: &mut AtomicUsize) -> usize {
        *value.get_mut()
    }

    /// Runs `f` and gives a panic of it as an error.
    #[inline(always)]
    pub(crate) fn catch_unwind<R>(f: impl FnOnce() -> R) -> std::thread::Result<R> {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(f))
    }

    /// Whether a planted bug is switched on: never, outside the models.
    #[inline(always)]
    pub(crate) const fn seeded(_: super::Bug) -> bool {
        false
    }

    /// What the environment says on debug mode.
    pub(crate) fn debug_variable() -> Option<std::ffi::OsString> {
        std::env::var_os("FILCH_DEBUG")
    }

    /// A thread-local with a constant to begin with.
    macro_rules! thread_local_const {
        ($(#[$meta:meta])* static $name:ident: $type:ty = $value:expr) => {
            std::thread_local! {
                $(#[$meta])*
                static $name: $type = const { $value };
            }
        };
    }
    pub(crate) use thread_local_const;

    /// A number of this thread, given out in turn.
    pub(crate) fn thread_number() -> usize {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
        }
        // A thread whose locals are gone already still can wake.
        NUMBER
            .try_with(|number| {
                number.get().unwrap_or_else(|| {
                    // Relaxed: only to be another one each time.
                    let next = NEXT.fetch_add(1, Ordering::Relaxed);
                    number.set(Some(next));
                    next
                })
            })
            .unwrap_or(0)
    }

    /// Starts a thread.
    pub(crate) fn spawn_thread(
        name: String,
        stack_size: Option<usize>,
        f: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<ThreadHandle> {
        let builder = std::thread::Builder::new().name(name);
        let builder = if let Some(size) = stack_size {
            builder.stack_size(size)
        } else {
            builder
        };
        builder.spawn(f)
    }

    pub(crate) type ThreadHandle = std::thread::JoinHandle<()>;

    /// Whether `thread` is the one that asks, which cannot wait for its own end.
    pub(crate) fn is_current(thread: &ThreadHandle) -> bool {
        thread.thread().id() == std::thread::current().id()
    }

    /// The local queue of a worker: crossbeam's deque in its FIFO flavour, narrowed to what filch uses of it.
    pub(crate) mod deque {
        use crossbeam_deque as cb;

        /// The owner's end.
        #[derive(Debug)]
        pub(crate) struct Local<T>(cb::Worker<T>);

        /// A thief's end.
        #[derive(Debug)]
        pub(crate) struct Stealer<T>(cb::Stealer<T>);

        /// What one attempt to steal came to.
        pub(crate) enum Steal {
            /// There was nothing.
            Empty,
            /// Somebody else was quicker: go on to the next victim.
            Retry,
            /// The thief has them.
            Success,
        }

        impl<T> Local<T> {
            pub(crate) fn new() -> Self {
                Self(cb::Worker::new_fifo())
            }

            pub(crate) fn stealer(&self) -> Stealer<T> {
                Stealer(self.0.stealer())
            }

            #[inline]
            pub(crate) fn push(&self, value: T) {
                self.0.push(value);
            }

            #[inline]
            pub(crate) fn pop(&self) -> Option<T> {
                self.0.pop()
            }

            #[inline]
            pub(crate) fn len(&self) -> usize {
                self.0.len()
            }
        }

        impl<T> Stealer<T> {
            /// Moves the older half of the victim's tasks, at most `limit`, to the end of the thief's queue.
            pub(crate) fn steal_batch(&self, thief: &Local<T>, limit: usize) -> Steal {
                match self.0.steal_batch_with_limit(&thief.0, limit) {
                    cb::Steal::Empty => Steal::Empty,
                    cb::Steal::Retry => Steal::Retry,
                    cb::Steal::Success(()) => Steal::Success,
                }
            }

            pub(crate) fn is_empty(&self) -> bool {
                self.0.is_empty()
            }

            pub(crate) fn len(&self) -> usize {
                self.0.len()
            }
        }
    }
}

#[cfg(loom)]
mod imp {
    use std::time::{Duration, Instant};

    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, fence};
    pub(crate) use loom::sync::{
        Condvar as RawCondvar, Mutex as RawMutex, MutexGuard as RawGuard, WaitTimeoutResult as RawTimeout,
    };

    /// No wait of a model times out by itself. One that may take no time at all has, whoever ended it: so a model plays the clock
    /// by a wake-up, and every other wake-up comes together with the time-out.
    pub(crate) fn timed_out(_: &RawTimeout, timeout: Duration) -> bool {
        timeout.is_zero()
    }

    /// Never: a model looks by itself, as a step of one of its threads.
    pub(crate) const LOOK: Duration = Duration::from_secs(24 * 60 * 60);

    /// One look is enough: more of them are the same to a model.
    pub(crate) const STUCK: u32 = 1;

    /// None: a model that hung on time would not be the same twice.
    pub(crate) fn stopwatch() -> Option<Instant> {
        None
    }

    /// The parts of a worker's list of live tasks. Each has its own lock, and what one lock guards, the models see with one part.
    pub(crate) const LIST_PARTS: usize = 1;

    /// Threads do not keep the memory of tasks: those of a model are one thread of the machine.
    pub(crate) const RECYCLES: bool = false;

    /// The payload of the panics that a model's own task raises.
    #[derive(Debug)]
    pub(crate) struct TaskPanic;

    /// As above, beside the word. It is no part of what is explored: who may touch it, may touch the task's future, which the models watch.
    #[derive(Debug)]
    pub(crate) struct KnownBit(std::sync::atomic::AtomicBool);

    impl KnownBit {
        pub(crate) fn new() -> Self {
            Self(std::sync::atomic::AtomicBool::new(false))
        }

        pub(crate) fn leave(&self) {
            self.0.store(true, super::Ordering::Relaxed);
        }

        pub(crate) fn take(&self, _: &AtomicUsize, _: usize) -> bool {
            self.0.swap(false, super::Ordering::Relaxed)
        }
    }

    /// Reads an atomic that nobody else can reach any more; loom reports whoever still can.
    pub(crate) fn exclusive(value: &mut AtomicUsize) -> usize {
        value.with_mut(|value| *value)
    }

    /// Only the model's own panic is a task's panic: every other one is loom reporting a finding, and goes on.
    pub(crate) fn catch_unwind<R>(f: impl FnOnce() -> R) -> std::thread::Result<R> {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).map_err(|payload| {
            if payload.is::<TaskPanic>() {
                payload
            } else {
                std::panic::resume_unwind(payload)
            }
        })
    }

    /// Whether a planted bug is switched on, by the variable `FILCH_SEEDED` of the process that runs the models.
    pub(crate) fn seeded(bug: super::Bug) -> bool {
        static NAME: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
        let name = NAME.get_or_init(|| std::env::var("FILCH_SEEDED").ok());
        name.as_deref().is_some_and(|name| name == format!("{bug:?}"))
    }

    /// Nothing: debug mode has threads and waits that no model knows.
    pub(crate) fn debug_variable() -> Option<std::ffi::OsString> {
        None
    }

    /// A thread-local: each of the model's threads has its own, though they all run on one.
    macro_rules! thread_local_const {
        ($(#[$meta:meta])* static $name:ident: $type:ty = $value:expr) => {
            loom::thread_local! {
                $(#[$meta])*
                static $name: $type = $value;
            }
        };
    }
    pub(crate) use thread_local_const;

    /// A number of this thread: its place in the model, the same in every execution. Loom tells it in the text form only.
    pub(crate) fn thread_number() -> usize {
        let id = format!("{:?}", loom::thread::current().id());
        let digits = id.chars().filter(char::is_ascii_digit).collect::<String>();
        digits.parse().expect("a thread of a model has a number")
    }

    /// Starts a thread.
    pub(crate) fn spawn_thread(
        name: String,
        _stack_size: Option<usize>,
        f: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<ThreadHandle> {
        loom::thread::Builder::new().name(name).spawn(f)
    }

    pub(crate) type ThreadHandle = loom::thread::JoinHandle<()>;

    /// Whether `thread` is the one that asks, which cannot wait for its own end.
    pub(crate) fn is_current(thread: &ThreadHandle) -> bool {
        thread.thread().id() == loom::thread::current().id()
    }

    /// A mock of the deque: a mutexed list that also gives the answers that the real one may give to an unlucky thief.
    pub(crate) mod deque {
        use loom::sync::{Arc, Mutex};
        use std::collections::VecDeque;

        #[derive(Debug)]
        struct Queue<T> {
            items: VecDeque<T>,
            /// Steals that shall answer `Retry` although there is something to steal.
            retries: usize,
        }

        #[derive(Debug)]
        pub(crate) struct Local<T>(Arc<Mutex<Queue<T>>>);

        #[derive(Debug)]
        pub(crate) struct Stealer<T>(Arc<Mutex<Queue<T>>>);

        pub(crate) enum Steal {
            Empty,
            Retry,
            Success,
        }

        impl<T> Local<T> {
            pub(crate) fn new() -> Self {
                Self(Arc::new(Mutex::new(Queue {
                    items: VecDeque::new(),
                    retries: 0,
                })))
            }

            pub(crate) fn stealer(&self) -> Stealer<T> {
                Stealer(self.0.clone())
            }

            pub(crate) fn push(&self, value: T) {
                self.lock().items.push_back(value);
            }

            pub(crate) fn pop(&self) -> Option<T> {
                self.lock().items.pop_front()
            }

            pub(crate) fn len(&self) -> usize {
                self.lock().items.len()
            }

            fn lock(&self) -> loom::sync::MutexGuard<'_, Queue<T>> {
                self.0.lock().expect("loom's mutex")
            }
        }

        impl<T> Stealer<T> {
            pub(crate) fn steal_batch(&self, thief: &Local<T>, limit: usize) -> Steal {
                let batch = {
                    let mut queue = self.0.lock().expect("loom's mutex");
                    if queue.items.is_empty() {
                        return Steal::Empty;
                    }
                    if queue.retries > 0 {
                        queue.retries -= 1;
                        return Steal::Retry;
                    }
                    let count = queue.items.len().div_ceil(2).min(limit);
                    queue.items.drain(..count).collect::<Vec<T>>()
                };
                for item in batch {
                    thief.push(item);
                }
                Steal::Success
            }

            /// The next `times` steals answer `Retry`.
            #[allow(dead_code, reason = "only some models ask for it")]
            pub(crate) fn refuse(&self, times: usize) {
                self.0.lock().expect("loom's mutex").retries = times;
            }

            pub(crate) fn is_empty(&self) -> bool {
                self.len() == 0
            }

            pub(crate) fn len(&self) -> usize {
                self.0.lock().expect("loom's mutex").items.len()
            }
        }
    }
}

#[allow(unused_imports, reason = "each build uses its own part of the door")]
pub(crate) use imp::*;
pub(crate) use std::sync::atomic::Ordering;

/// A planted bug. Each takes away one step of a protocol; some model in `loom-tests` must fail when it is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// The end of a poll ignores a wake that came during it.
    LostWake,
    /// The poll of a task that was queued again does not acquire what came with a wake since.
    RequeuedNoAcquire,
    /// The end of a poll forgets that the task has woken itself.
    OwnWakeForgotten,
    /// A wake of a task that is already scheduled does no release operation.
    WakeNoRelease,
    /// The start of a poll ignores an abort.
    CancelIgnored,
    /// Completion publishes the output without a release operation.
    CompleteRelaxed,
    /// The joiner does not look for completion again when it leaves its waker.
    JoinNoRecheck,
    /// The last reference is given up without acquiring what the others did.
    RefDecRelaxed,
    /// The handle changes its waker without taking the slot back first.
    JoinSlotNotTakenBack,
    /// A worker parks without a fence between its announcement and its last look.
    IdleNoFence,
    /// A worker parks without a last look.
    IdleNoRecheck,
    /// A push from outside looks for sleepers without a fence.
    NotifyNoFence,
    /// Whoever gives up the searcher's token does not look again.
    TokenNoRescan,
    /// A shard's bit is cleared after the lock is released.
    InboxLateClear,
    /// A shard's bit is cleared although something is left.
    InboxForgetsRest,
    /// The slot is emptied by a load and a store instead of one exchange.
    SlotNoExchange,
    /// A thief gives up at the first `Retry`.
    StealGivesUp,
    /// A thief that meets `Retry` does not ask the other victims.
    RetryEndsSearch,
    /// A member of a set says that it has ended and wakes nobody.
    SetWakesNobody,
    /// A clone of a shared handle leaves its waker after its look at the task.
    SharedLeavesLate,
    /// Who is given the outcome of a shared handle wakes none of those who wait for it.
    SharedTakesInSilence,
    /// A clone of a shared handle that waits has its place among those who wait.
    CloneTakesPlace,
    /// A task that ends before its handle joins the others is not noted.
    CrowdForgetsEnded,
    /// Whoever calls functions finds no more of them, and says in a second section of the lock that it is through.
    CallerEndsLate,
    /// Whoever should call functions is dropped, and wakes nobody.
    CallerGoesInSilence,
    /// The watcher raises its flag and wakes nobody.
    WatcherWakesNobody,
    /// The watcher goes to sleep without looking whether somebody just started.
    WatcherNoRecheck,
    /// A blocking thread whose time is up leaves although it was promised a job.
    LeaverBreaksPromise,
    /// A blocking thread that found no job counts itself out in a second section of the lock.
    LeaverStillCounted,
    /// The end of the blocking pool forgets the jobs that wait.
    EndForgetsJobs,
    /// Whoever falls asleep last moves the clock although somebody else is being woken.
    StillnessIgnoresNews,
    /// A sleeper takes its news before it counts itself awake.
    StillnessTakesFirst,
    /// A blocking job lets a paused clock go before it wakes whoever awaits it.
    ClockLetGoEarly,
    /// A paused clock is looked at for jobs that hold it after the turn that sees their wakes.
    HoldSeenLate,
    /// A joiner that finds the task complete when it leaves its waker reads the outcome without acquiring it.
    SetJoinNoFence,
    /// A joiner that finds the task complete when it takes its slot back reads the outcome without acquiring it.
    UnsetJoinNoFence,
    /// A handle that is dropped after completion drops the outcome without acquiring it.
    DropJoinNoFence,
    /// A pusher that gives the token back looks at the sleepers without a fence between.
    GiveBackNoFence,
    /// A searcher that gives the token back looks at announced work without a fence between.
    ReleaseNoFence,
    /// The waker of a current_thread runtime's main future looks for the sleeper without a fence.
    MainWakeNoFence,
    /// A thread that gives back the core of a current_thread runtime wakes none of those who wait for it.
    CoreGivenBackInSilence,
    /// The shutdown, and the end of the last task, look for sleepers without a fence.
    SleepersNoFence,
    /// The end of the last task of a runtime that shuts down wakes nobody.
    DrainedInSilence,
    /// A worker that starts looks for the watcher's mark without a fence.
    StartedNoFence,
    /// The watcher that rests looks for running workers without a fence.
    RestNoFence,
    /// A rescuer drops the task that it took out of the slot.
    RescueLosesSlot,
    /// A rescuer leaves the stuck worker's reactor alone.
    RescueLeavesReactor,
    /// A rescuer leaves the stuck worker's timers alone.
    RescueLeavesTimers,
    /// A thread that parks throws away the token of an unpark that came before.
    TokenThrownAway,
    /// The driver of a lane that leaves its waker does not look at the queue again.
    LineNoRecheck,
    /// The driver of a lane looks for live tasks, and says in a second section of the lock that it leaves.
    DriverLeavesLate,
    /// A spawn onto a lane starts a driver whether there is one or not.
    SecondDriver,
    /// A lane that is closed forgets the tasks that are being woken.
    CloseForgetsWoken,
    /// Whoever was let through by an event looks at the flag all the same.
    EventForgetsGrant,
    /// Somebody who was notified and is dropped keeps the notice.
    NoticeNotPassedOn,
    /// Somebody who was promised an item and is dropped keeps the promise.
    ItemNotPassedOn,
    /// Somebody who was given room and is dropped keeps it.
    RoomNotPassedOn,
    /// Somebody who was given room by a getter that has gone puts its value there all the same.
    RoomNotLookedAt,
    /// The end of a queue or channel wakes those who put, and not those who get.
    CloseForgetsGetters,
    /// A barrier's reset leaves those who wait where they are.
    ResetLeavesWaiters,
    /// A limiter that gets more tokens lends none of them.
    TotalLendsNothing,
    /// Somebody who was lent a token and is dropped keeps it.
    TokenNotPassedOn,
    /// The end of the last task wakes nobody who waits for that.
    IdleInSilence,
    /// A worker begins without coming in by the gate.
    GateNotEntered,
    /// A spare that is sent home tells nobody what it leaves.
    SpareLeavesInSilence,
    /// A spare is sent home that rests already.
    DismissBlindly,
    /// A spare is put on duty when its thread is on its way.
    CalledLate,
    /// A spare for which there is no thread is not put back.
    RefusedForgotten,
    /// A worker that is back parks without taking back the call for help that was made for it.
    OwnCallKept,
    /// A connection that begins while its server is aborted goes on.
    BeginsUnaborted,
    /// The end of a listener looks for connections before it says that there will be no more.
    ShutLooksFirst,
    /// A worker parks without a look at the gate.
    GateNoRecheck,
    /// Whoever closes the gate does not wait for those inside.
    GateLeftOpen,
    /// A cancel drops a body that is inside a shield.
    ShieldIgnored,
    /// A body that was told of a cancel during its poll is polled once more all the same.
    HeardForgotten,
    /// A cancel wakes those inside before it can be seen.
    CancelWakesFirst,
    /// The last child of a scope ends and wakes nobody.
    LastChildInSilence,
    /// Whoever awaits a task looks twice whether it has ended.
    JoinLooksTwice,
    /// Whoever asks for a stack gives up without a look whether it is being written.
    GivesUpBlindly,
}

/// A mutex that does not know poison: what it guards is left whole by everyone who can panic.
#[derive(Debug)]
pub(crate) struct Mutex<T>(RawMutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(RawMutex::new(value))
    }

    #[inline]
    pub(crate) fn lock(&self) -> RawGuard<'_, T> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The condition variable that goes with [`Mutex`].
#[derive(Debug)]
pub(crate) struct Condvar(RawCondvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(RawCondvar::new())
    }

    pub(crate) fn wait<'a, T>(&self, guard: RawGuard<'a, T>) -> RawGuard<'a, T> {
        self.0.wait(guard).unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Returns the guard and whether the time ran out.
    pub(crate) fn wait_timeout<'a, T>(
        &self,
        guard: RawGuard<'a, T>,
        timeout: std::time::Duration,
    ) -> (RawGuard<'a, T>, bool) {
        let (guard, result) = self
            .0
            .wait_timeout(guard, timeout)
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        (guard, timed_out(&result, timeout))
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// A value that one thread at a time looks at, which makes it `Sync` whatever it is. No protocol rests on it.
pub(crate) struct Exclusive<T>(std::sync::Mutex<T>);

impl<T> Exclusive<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    pub(crate) fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Puts what `f` makes of the value in its place, and gives back what was there.
    pub(crate) fn update(&self, f: impl FnOnce(&T) -> T) -> T {
        let mut place = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let new = f(&place);
        std::mem::replace(&mut place, new)
    }

    /// Looks at the value, one thread at a time.
    pub(crate) fn peek<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        f(&self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl<T: Default> Default for Exclusive<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> std::fmt::Debug for Exclusive<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("..")
    }
}

/// Drops a user's value; what it panics with goes no further than the panic hook.
pub(crate) fn drop_quietly<T>(value: T) {
    if let Err(payload) = catch_unwind(|| drop(value)) {
        // The payload's own destructor might panic as well, and so on: a payload that does is leaked.
        if let Err(second) = catch_unwind(|| drop(payload)) {
            std::mem::forget(second);
        }
    }
}
