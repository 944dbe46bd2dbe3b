//! The deterministic runtime: a program's races, found and repeated.
//!
//! [`Builder::deterministic`](crate::runtime::Builder::deterministic) makes a runtime in which one seed decides everything that a real runtime leaves to
//! chance: which ready task is polled next and by which worker, in which order sockets become ready, how late a timer is. The
//! same seed makes the same run, so a failure can be repeated as often as it takes to understand it. Unchanged code runs in it: spawning, timers, channels, sockets, blocking jobs.
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU32, Ordering};
//!
//! // Two tasks add one each, with a gap between reading and writing.
//! let lost = |seed| {
//!     let runtime = filch::runtime::Builder::new_multi_thread().deterministic(seed).build().unwrap();
//!     let sum = Arc::new(AtomicU32::new(0));
//!     runtime.block_on(async {
//!         let add = |sum: Arc<AtomicU32>| async move {
//!             let before = sum.load(Ordering::Relaxed);
//!             filch::task::yield_now().await;
//!             sum.store(before + 1, Ordering::Relaxed);
//!         };
//!         let tasks = [filch::spawn(add(sum.clone())), filch::spawn(add(sum.clone()))];
//!         for task in tasks {
//!             task.await.unwrap();
//!         }
//!     });
//!     sum.load(Ordering::Relaxed) < 2
//! };
//! let seed = (0..100).find(|&seed| lost(seed)).expect("one of a hundred seeds loses an addition");
//! // And it does so every time.
//! assert!(lost(seed));
//! ```
//!
//! In tests [`#[filch::test(deterministic, seeds = 0..100)]`](macro@crate::test) does this: it runs the body under each seed and prints the seed of a
//! failure, and `FILCH_SEED=n` runs that one alone.
//!
//! # Time
//!
//! The clock stands while anything can run, and jumps to the next timer or arrival when nothing can: an hour's sleep takes no time. When there is nothing
//! to jump to either, `block_on` panics with a list of the tasks that wait and where they were spawned: a deadlock.
//!
//! If that does not happen for 10,000 polls, time moves all the same: by a millisecond, then by two, by four, and so on, or to what is due before. So a loop
//! that yields until some time comes to its end, and much work at one time is not cut off by a timeout of an hour.
//!
//! # Slack
//!
//! [`Slack`] makes the runtime use its rights: timers that are late, readiness that comes late and out of order, polls for nothing, short reads and
//! writes, tasks that change their worker all the time. A correct program does not notice.
//!
//! # Sockets
//!
//! TCP, UDP and Unix sockets that are bound and connected here belong to a simulated network of this runtime (hyper's servers and clients run in it as they are), whose [`Network`] sets latencies, cuts
//! hosts off from each other and resets connections. Nothing of it leaves the process. Real descriptors (`from_std`, `AsyncFd`, signals) and the lookup
//! of names other than `localhost` give [`Unsupported`](std::io::ErrorKind::Unsupported).
//!
//! # Limits
//!
//! - What a poll does by itself is outside: data races within polls, other threads, std's clocks, sockets and files, the order of std's hash maps.
//! - A wake, a spawn or a job from another thread is taken, but then the seed does not decide everything: [`Sim::is_deterministic`] says so. Nobody waits for other threads.
//! - Blocking jobs run on the one thread that there is, each at a moment that the seed chooses; one that waits for a task by its own means waits for ever, and `Handle::block_on` inside one panics.
//! - With one worker, tasks start in the order in which they were spawned, as everywhere; woken tasks run in any order.
//!
//! The ideas are FoundationDB's and those of its successors; choosing the task instead of the worker is what makes the interleavings many.

use crate::handle::Handle;
use crate::scheduler::simulation::Simulation;
use std::fmt;
use std::time::Duration;

pub use crate::scheduler::record::Waiting;
pub use crate::scheduler::slack::Slack;
pub use filch_io::sim::Network;

/// A deterministic runtime, seen from its program or its test. From [`Handle::sim`](crate::runtime::Handle::sim).
#[derive(Clone)]
pub struct Sim {
    /// Of a deterministic runtime.
    handle: Handle,
}

impl Handle {
    /// The simulation, if this runtime is a [deterministic](crate::runtime::Builder::deterministic) one.
    pub fn sim(&self) -> Option<Sim> {
        self.inner().sim.as_ref()?;
        Some(Sim { handle: self.clone() })
    }
}

impl Sim {
    /// The seed.
    pub fn seed(&self) -> u64 {
        self.simulation().record.seed
    }

    /// A hash over every step so far: which task was polled by which worker, when time moved, and what the network did. Two runs with one hash did
    /// the same.
    pub fn trace(&self) -> u64 {
        self.simulation().record.trace() ^ self.network().trace().rotate_left(32)
    }

    /// The network in which this runtime's sockets are.
    pub fn network(&self) -> &Network {
        match self.handle.inner().io.network() {
            Some(network) => network,
            None => unreachable!("made for a deterministic runtime only"),
        }
    }

    /// Steps so far: polls, blocking jobs, moves of time.
    pub fn steps(&self) -> u64 {
        self.simulation().record.steps()
    }

    /// The virtual time that has passed since the runtime was built.
    pub fn elapsed(&self) -> Duration {
        self.handle.inner().clock.now() - self.simulation().record.begin
    }

    /// Whether the seed has decided everything so far. Not so once another thread has woken a task, spawned one or a blocking job while this runtime ran, or was in `Handle::block_on`.
    pub fn is_deterministic(&self) -> bool {
        !self.simulation().record.is_foreign()
    }

    /// How hard the program is tried now.
    pub fn slack(&self) -> Slack {
        self.simulation().record.slack()
    }

    /// How hard the program is tried from the next step on.
    pub fn set_slack(&self, slack: Slack) {
        slack.apply(self.network());
        self.simulation().record.set_slack(slack);
    }

    /// The tasks that are alive, in the order in which they were first polled.
    pub fn waiting(&self) -> Vec<Waiting> {
        self.simulation().waiting(&self.handle.inner().shared)
    }

    fn simulation(&self) -> &Simulation {
        match &self.handle.inner().sim {
            Some(simulation) => simulation,
            None => unreachable!("made for a deterministic runtime only"),
        }
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim")
            .field("seed", &self.seed())
            .field("elapsed", &self.elapsed())
            .field("steps", &self.steps())
            .finish_non_exhaustive()
    }
}
