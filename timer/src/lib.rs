//! The timers of the filch runtime: sleeps, time limits and intervals, over one timing wheel per worker.
//!
//! Programs use this crate as `filch::time`. What they do not see there is the driver's half: a runtime makes one [`Timers`]
//! per worker and a [`Handle`] for all of them, [turns](Timers::turn) them, and wakes what a turn gives back. This crate
//! starts no thread, and the only waker it ever wakes is that of a sleeping worker.

#![forbid(unsafe_code)]

mod alarm;
mod clock;
mod current;
pub mod error;
mod instant;
mod interval;
mod pause;
mod sleep;
mod sync;
mod timeout;
mod timers;
pub mod wheel;

pub use clock::{Clock, Hold};
pub use current::{Enter, Handle};
pub use instant::Instant;
pub use interval::{Interval, MissedTickBehavior, interval, interval_at};
pub use pause::{advance, pause, resume};
pub use sleep::{Sleep, sleep, sleep_until};
pub use timeout::{Timeout, timeout, timeout_at};
pub use timers::{Hooks, Stats, Timers};

#[cfg(all(test, loom))]
#[path = "../../loom-tests/timer/models/mod.rs"]
mod models;
