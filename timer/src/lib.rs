//! The timers of the filch runtime: sleeps, time limits and intervals, over one timing wheel per worker.
//!
//! Programs use this crate as `filch::time`. What they do not see there is the driver's half: a runtime makes one [`Timers`]
//! per worker and a [`Handle`] for all of them, [turns](Timers::turn) them, and wakes what a turn gives back. This crate
//! starts no thread, and the only waker it ever wakes by itself is that of a sleeping worker.
//!
//! # A runtime in twenty lines
//!
//! ```
//! use std::pin::pin;
//! use std::sync::Arc;
//! use std::task::{Context, Wake, Waker};
//! use std::thread::{self, Thread};
//! use std::time::{Duration, Instant};
//!
//! use filch_timer::{Clock, Handle, Hooks, Timers, sleep, timeout};
//!
//! struct Unpark(Thread);
//!
//! impl Wake for Unpark {
//!     fn wake(self: Arc<Self>) {
//!         self.0.unpark();
//!     }
//! }
//!
//! let clock = Clock::new();
//! let waker = Waker::from(Arc::new(Unpark(thread::current())));
//! let timers = Arc::new(Timers::new(clock.clone(), waker.clone()));
//! let handle = Handle::new(clock.clone(), vec![Arc::clone(&timers)], Hooks::default()).at(0);
//!
//! let _inside = handle.enter();
//! let begin = Instant::now();
//! let mut future = pin!(timeout(Duration::from_millis(5), sleep(Duration::from_secs(60))));
//! while future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
//!     match timers.park() {
//!         Some(until) => thread::park_timeout(until.saturating_duration_since(clock.now())),
//!         None => thread::park(),
//!     }
//!     timers.unpark();
//!     let mut fired = Vec::new();
//!     timers.turn(clock.now(), &mut fired);
//!     fired.into_iter().for_each(Waker::wake);
//! }
//! assert!(begin.elapsed() >= Duration::from_millis(5));
//! ```

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
pub use timers::{Hooks, Origin, Stats, Timers};

#[cfg(all(test, loom, not(shuttle)))]
#[path = "../../loom-tests/timer/models/mod.rs"]
mod models;
