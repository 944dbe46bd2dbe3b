//! filch is a multi-threaded work-stealing async runtime. It takes asyncio's model - coroutines that do nothing until they are awaited, tasks, one
//! event loop that wakes them - and gives it every core.
//!
//! ```
//! use std::time::Duration;
//!
//! filch::run(async {
//!     let task = filch::spawn(async {
//!         filch::time::sleep(Duration::from_millis(1)).await;
//!         "done"
//!     });
//!     assert_eq!(task.await.unwrap(), "done");
//! });
//! ```

#[cfg(all(target_os = "linux", not(loom)))]
#[path = "alarm_linux.rs"]
mod alarm;
#[cfg(not(all(target_os = "linux", not(loom))))]
#[path = "alarm_other.rs"]
mod alarm;
mod arrivals;
mod blocking;
mod builder;
mod call;
mod calls;
pub mod combine;
#[cfg(not(loom))]
mod connect;
#[allow(dead_code, unreachable_pub, reason = "servers have sockets; the model does without")]
mod connections;
mod context;
mod coop;
pub mod debug {
    //! Debug mode: a runtime that says what is wrong with the program.
    //!
    //! It is on when the environment variable `FILCH_DEBUG` is set, to anything but nothing and `0`, and when the program says so with
    //! [`Builder::debug`](crate::runtime::Builder::debug). Every runtime obeys the variable, also those of [`run`](crate::run()) and [`#[filch::main]`](macro@crate::main). Reports go to the
    //! standard error stream or to [`Builder::on_report`](crate::runtime::Builder::on_report). A program that is not in debug mode pays nothing for it in its
    //! polls and wakes, and a look at a pointer or a flag where it spawns a task, takes a lock or makes a tracked coroutine.
    //!
    //! # What is reported
    //!
    //! - **Slow polls** ([`ReportKind::SlowPoll`], [`ReportKind::SlowPollEnded`]). A poll of a task, or the drop of its future, that takes longer than
    //!   [`Builder::slow_poll`](crate::runtime::Builder::slow_poll) allows: with the task's name, the place where it was spawned, and the stack of its thread, taken while it is stuck. So it is with `block_on`'s own
    //!   future; blocking jobs may take as long as they like. The time of a poll inside a poll, of a [`LocalSet`](crate::task::LocalSet)'s task say, is the inner one's alone.
    //! - **Coroutines that nobody awaited** ([`ReportKind::NeverAwaited`]), of those that are tracked: [`tracked`](fn@tracked), [`Track::tracked`], and the attribute `#[filch::coro]` (feature `macros`), which an async
    //!   function gets once for all. [`never_awaited`] counts them.
    //! - **Tasks that never ran** ([`ReportKind::NeverRan`]): the runtime shut down before it had polled them. One report for each place where such tasks were spawned.
    //! - **Panics that nobody saw** ([`ReportKind::UnseenPanic`]): of a task whose handle was dropped and never awaited. (Of blocking jobs the panic hook alone tells.)
    //! - **Errors that nobody saw** ([`ReportKind::UnseenError`]): of the children of a [`group`](fn@crate::group) whose future was dropped, and panics of such children.
    //! - **Locks that are held long** ([`ReportKind::LongLock`]), for longer than [`Builder::long_lock`](crate::runtime::Builder::long_lock) allows, while they are held: who took it, where, how long ago that is, and who
    //!   waits for it, if somebody does. A `sync::Mutex` or `sync::RwLock` that a task has across waits is reported whether or not somebody waits: who comes next will. One that is held within one
    //!   poll is that poll's affair (a slow poll), and one that is held outside of tasks is its owner's, as long as nobody waits for it. A `sync::Semaphore` is reported when somebody has waited for its permits for so
    //!   long, and nobody has got one meanwhile: a limit is held by design, and only missed when nothing moves. Told is of who has had a permit longest, and how many
    //!   others there are. Each hold is reported once, and belongs to whoever took it, wherever its guard goes. A guard that is lost with `std::mem::forget` is held for ever.
    //! - **What a runtime's end leaves behind** ([`ReportKind::Leaked`]): sockets that are still open, timers that can never fire, and threads in blocking jobs; how many, and in which tasks they were made, with the names
    //!   of these and the places where they were spawned ([`Report::places`]).
    //!
    //! # Stacks
    //!
    //! They are taken on Linux with glibc 2.35 or newer, on x86-64 and aarch64, with the feature `stacks`, which is a default one. The thread that is stuck gets the signal SIGURG, and notes return
    //! addresses in the signal's handler; functions and lines are looked up on debug mode's own thread. A handler that the program has for that signal gets all those that come from elsewhere. A system call
    //! that is interrupted goes on by itself, except those that never do (`poll`, `epoll_wait` and their like give EINTR), and a thread that blocks the signal is left alone. Functions have names unless the program is
    //! stripped, files and lines if it was built with debug information. Where there is no stack the report says why.
    //!
    //! # Coroutines
    //!
    //! ```
    //! # #[cfg(feature = "macros")] {
    //! #[filch::coro]
    //! async fn answer() -> u32 {
    //!     42
    //! }
    //!
    //! let mut builder = filch::runtime::Builder::new_current_thread();
    //! let (tell, told) = std::sync::mpsc::channel();
    //! builder.debug(true).on_report(move |report| tell.send(report.message().to_owned()).unwrap());
    //! builder.build().unwrap().block_on(async {
    //!     assert_eq!(answer().await, 42);
    //!     // The `.await` is missing.
    //!     let _ = answer();
    //! });
    //! let report = told.recv().unwrap();
    //! assert!(report.contains("answer") && report.contains("was never awaited"));
    //! # }
    //! ```
    //!
    //! Only async functions make coroutines:
    //!
    //! ```compile_fail
    //! #[filch::coro]
    //! fn answer() -> u32 {
    //!     42
    //! }
    //! ```

    pub(crate) mod left;
    #[allow(
        dead_code,
        reason = "locks are watched in no model, and not without the feature tokio-sync"
    )]
    pub(crate) mod locks;
    pub(crate) mod main_future;
    pub(crate) mod monitor;
    mod probe;
    pub(crate) mod report;
    #[cfg(all(feature = "stacks", target_os = "linux", target_env = "gnu", not(loom)))]
    #[path = "sampler_linux.rs"]
    mod sampler;
    #[cfg(not(all(feature = "stacks", target_os = "linux", target_env = "gnu", not(loom))))]
    #[path = "sampler_none.rs"]
    mod sampler;
    #[allow(dead_code, reason = "stacks are taken on some systems; the model is for all")]
    pub(crate) mod sheet;
    pub(crate) mod switch;
    pub(crate) mod tracked;

    pub use report::{Frame, Report, ReportKind};
    pub use tracked::{Track, Tracked, never_awaited, tracked};
}
mod driver;
pub mod group;
mod handle;
mod in_place;
mod inner;
#[cfg(all(feature = "signal", not(loom)))]
#[path = "interrupt_signal.rs"]
mod interrupt;
#[cfg(not(all(feature = "signal", not(loom))))]
#[path = "interrupt_none.rs"]
mod interrupt;
mod job;
mod join_set;
mod lane;
mod local_set;
mod metrics;
mod park;
mod random;
mod rt;
mod run;
mod runner;
mod scheduler;
pub mod scope;
mod seeds;
#[cfg(not(loom))]
mod send_file;
#[cfg(not(loom))]
mod serve;
mod settings;
mod shim;
pub mod sim;
mod spawn;
mod staff;
mod stillness;
mod stop;
pub mod task;
mod task_builder;
mod task_local;
mod then;
mod threads;

pub use call::{call_at, call_later, call_soon};
pub use combine::{
    as_completed, gather, gather_settled, map, race, race_staggered, try_gather, wait, wait_first_error, wait_for,
};
pub use group::group;
pub use job::{Blocking, blocking};
pub use lane::Lane;
pub use run::run;
pub use runner::Runner;
pub use scope::{
    cancelled, check_cancelled, checkpoint, deadline, defer, fail_after, fail_at, move_on_after, move_on_at, scope,
    shield,
};
pub use spawn::lane;
pub use task::spawn;

/// A guide for those who know asyncio.
#[cfg(all(doc, not(loom)))]
#[doc = include_str!("../../docs/from-asyncio.md")]
pub mod from_asyncio {}

#[cfg(all(doctest, not(loom)))]
#[doc = include_str!("../../docs/from-asyncio.md")]
mod guide {}

/// Runtimes: building them, handles to them, what they count.
pub mod runtime {
    pub use crate::builder::{Builder, Interrupt};
    pub use crate::call::CallHandle;
    pub use crate::calls::CancelOutcome;
    pub use crate::handle::{EnterGuard, Handle, RuntimeFlavor, TryCurrentError};
    pub use crate::metrics::RuntimeMetrics;
    pub use crate::rt::{Runtime, ShutdownReport};
    pub use crate::runner::{Interrupted, Runner, StopReason};
    pub use crate::threads::CallError;
}

/// Time: sleeping, limits, intervals, and a clock that tests can stop.
pub mod time {
    pub use filch_timer::{
        Instant, Interval, MissedTickBehavior, Sleep, Timeout, advance, error, interval, interval_at, pause, resume,
        sleep, sleep_until, timeout, timeout_at,
    };
    pub use std::time::Duration;
}

/// Sockets: TCP, UDP and Unix.
#[cfg(not(loom))]
pub mod net {
    pub use crate::connect::{Connect, ConnectError, connect};
    pub use crate::connections::Served;
    pub use crate::send_file::send_file;
    pub use crate::serve::{Serve, ServerHandle, serve};
    pub use filch_io::net::*;
}

/// Reading and writing: crate tokio's traits and helpers, which filch's streams implement, and readiness of any file descriptor.
#[cfg(not(loom))]
pub mod io {
    pub use filch_io::{Interest, Ready};

    /// Readiness of any file descriptor.
    pub mod unix {
        pub use filch_io::unix::*;
    }

    #[cfg(feature = "tokio-io")]
    pub use filch_io::{Buffered, ReadError};
    #[cfg(feature = "tokio-io")]
    pub use tokio::io::{
        AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncSeek, AsyncSeekExt, AsyncWrite, AsyncWriteExt,
        BufReader, BufStream, BufWriter, DuplexStream, Empty, Error, ErrorKind, Join, Lines, ReadBuf, ReadHalf, Repeat,
        Result, SeekFrom, SimplexStream, Sink, Split, Take, WriteHalf, copy, copy_bidirectional,
        copy_bidirectional_with_sizes, copy_buf, duplex, empty, join, repeat, simplex, sink, split,
    };
}

pub mod sync {
    //! Channels and locks between tasks.
    //!
    //! All of it works on every worker, on foreign threads and in other runtimes, and charges the poll budget, so a loop over something that is always
    //! ready lets others run.
    //!
    //! - With Tokio's names and signatures (feature `tokio-sync`): [`mpsc`], [`oneshot`], [`broadcast`], [`watch`], [`Mutex`], [`RwLock`], [`Semaphore`],
    //!   [`Notify`], [`Barrier`], [`OnceCell`], [`SetOnce`]. Each is a thin cover of crate tokio's. Libraries that take crate tokio's own types
    //!   are given those: they work in any runtime, and charge nothing here.
    //! - asyncio's and Trio's: [`Event`], [`Condition`] (feature `tokio-sync`, for its mutex), [`Queue`] with [`PriorityQueue`] and [`LifoQueue`], [`BreakableBarrier`],
    //!   [`CapacityLimiter`], and [`channel()`] with two ends that are cloned. These are filch's own, over one list of those who wait, behind a lock; they are
    //!   modelled by loom.
    //!
    //! All of them are fair: first come, first served, and somebody who is dropped after it was woken passes on what it was given. The exceptions: an
    //! [`Event`] lets all through at once, and [`Barrier`] counts who was dropped. `try_` operations never go before somebody who waits, and charge nothing.

    mod blocking;
    mod breakable;
    pub mod channel;
    mod event;
    mod exchange;
    #[cfg(all(feature = "tokio-sync", not(loom)))]
    mod held;
    pub(crate) mod limiter;
    mod queue;
    mod store;
    mod waiters;

    #[allow(dead_code, reason = "conditions come with tokio-sync; the models do without")]
    pub(crate) mod notices;

    pub use breakable::{Arrival, BreakableBarrier, Broken};
    pub use channel::channel;
    pub use event::Event;
    pub use limiter::{AlreadyBorrows, Borrower, CapacityLimiter, LimiterStats, Token, TryBorrowError};
    pub use queue::{Closed, Done, Item, LifoQueue, PriorityQueue, Queue, Shutdown, TryGetError, TryPutError};

    #[cfg(all(feature = "tokio-sync", not(loom)))]
    mod barrier;
    #[cfg(all(feature = "tokio-sync", not(loom)))]
    pub mod broadcast;
    #[cfg(all(feature = "tokio-sync", not(loom)))]
    mod charged;
    #[cfg(all(feature = "tokio-sync", not(loom)))]
    mod condition;
    #[cfg(all(feature = "tokio-sync", not(loom)))]
    pub mod mpsc;
    #[cfg(all(feature = "tokio-sync", not(loom)))]
    mod mutex;
    #[cfg(all(feature = "tokio-sync", not(loom)))]
    mod notify;
    #[cfg(all(feature = "tokio-sync", not(loom)))]
    mod once_cell;
    #[cfg(all(feature = "tokio-sync", not(loom)))]
    pub mod oneshot;
    #[cfg(all(feature = "tokio-sync", not(loom)))]
    mod rwlock;
    #[cfg(all(feature = "tokio-sync", not(loom)))]
    mod semaphore;
    #[cfg(all(feature = "tokio-sync", not(loom)))]
    pub mod watch;

    /// Futures with names.
    #[cfg(all(feature = "tokio-sync", not(loom)))]
    pub mod futures {
        pub use super::notify::{Notified, OwnedNotified};
    }

    #[cfg(all(feature = "tokio-sync", not(loom)))]
    pub use barrier::{Barrier, BarrierWaitResult};
    #[cfg(all(feature = "tokio-sync", not(loom)))]
    pub use condition::Condition;
    #[cfg(all(feature = "tokio-sync", not(loom)))]
    pub use mutex::{MappedMutexGuard, Mutex, MutexGuard, OwnedMappedMutexGuard, OwnedMutexGuard, TryLockError};
    #[cfg(all(feature = "tokio-sync", not(loom)))]
    pub use notify::Notify;
    #[cfg(all(feature = "tokio-sync", not(loom)))]
    pub use once_cell::{OnceCell, SetError, SetOnce, SetOnceError};
    #[cfg(all(feature = "tokio-sync", not(loom)))]
    pub use rwlock::{
        OwnedRwLockMappedWriteGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, RwLockMappedWriteGuard,
        RwLockReadGuard, RwLockWriteGuard,
    };
    #[cfg(all(feature = "tokio-sync", not(loom)))]
    pub use semaphore::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit, TryAcquireError};
}

#[cfg(all(feature = "signal", not(loom)))]
mod sigint;
#[cfg(all(feature = "signal", not(loom)))]
pub mod signal;

#[cfg(all(feature = "hyper", not(loom)))]
pub mod hyper;

#[cfg(all(feature = "macros", not(loom)))]
pub use filch_macros::{coro, main, test};
#[cfg(all(feature = "macros", not(loom)))]
pub use tokio::{join, pin, try_join};

#[cfg(all(feature = "macros", not(loom)))]
mod select;

/// For the code that the attributes make.
#[doc(hidden)]
pub mod __private {
    pub use crate::debug::tracked::named as coro;
    pub use crate::random::below as random_below;
    pub use crate::run::run_with as run;
    pub use crate::seeds::run_seeds;
    #[cfg(all(feature = "macros", not(loom)))]
    pub use filch_macros::{select, select_branches};
}

#[cfg(all(test, loom, not(shuttle)))]
#[path = "../../loom-tests/models/mod.rs"]
mod models;
#[cfg(all(test, shuttle))]
#[path = "../../loom-tests/shuttle/models/mod.rs"]
mod models;

#[cfg(props)]
#[path = "../../tests/props/checks/mod.rs"]
pub mod checks;
