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
mod blocking;
mod builder;
mod coop;
mod driver;
mod handle;
mod join_set;
mod metrics;
mod park;
mod run;
mod rt;
mod scheduler;
mod spawn;
mod sync;
pub mod task;

pub use run::run;
pub use task::spawn;

/// Runtimes: building them, handles to them, what they count.
pub mod runtime {
    pub use crate::builder::Builder;
    pub use crate::handle::{EnterGuard, Handle, RuntimeFlavor, TryCurrentError};
    pub use crate::metrics::RuntimeMetrics;
    pub use crate::rt::Runtime;
}

/// Time: sleeping, limits, intervals, and the clock that tests can stop.
pub mod time {
    pub use filch_timer::{Instant, Sleep, sleep, sleep_until};
    pub use std::time::Duration;
}
