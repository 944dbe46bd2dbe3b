//! Tasks: spawning them, joining them, ending them.
//!
//! # What a task is, inside
//!
//! One allocation: a header, the future (later its outcome), and the waker of whoever awaits the handle. All that happens to
//! a task is a transition of one word ([`state`]); all unsafe steps stand in one file ([`raw`]), with the rules of
//! who may touch which field when.
//!
//! ```text
//!             spawn                 start_poll                      ready, panic
//!   (new) ----------> SCHEDULED ------------------> RUNNING ---------------------------> COMPLETE
//!                      ^   ^    <---------------- end_pending, woken during the poll        ^
//!               wake,  |   |                         |                                      |
//!               abort  |   +---- (idle) <------------+ end_pending                          |
//!                      |                                                                    |
//!                      +--- CANCELLED is set: the next start_poll or end_pending drops the future
//! ```
//!
//! | SCHEDULED | RUNNING | COMPLETE | the task |
//! |---|---|---|---|
//! | 0 | 0 | 0 | idle: it waits for a wake |
//! | 1 | 0 | 0 | exactly one runnable exists, in a queue, a slot, an inbox, or in the hands of who is moving it |
//! | 0 | 1 | 0 | a worker polls it, or drops its future |
//! | 1 | 1 | 0 | as above, and it was woken since: the worker queues it again |
//! | any | 0 | 1 | it has ended; a wake sets a bit that means nothing any more |
//! | any | 1 | 1 | impossible: completion clears one and sets the other in a single step |
//!
//! - **A wake** sets SCHEDULED, always with release, also when it is set already: the poll that follows sees what the waker's thread
//!   did before. Who sets it on an idle task makes the runnable.
//! - **The end of a poll** clears RUNNING in the same exchange that looks at SCHEDULED and CANCELLED, so neither a wake nor an
//!   abort can fall between the look and the change.
//! - **An abort** sets CANCELLED and SCHEDULED together. The future is dropped by the worker that runs the task next, never inside the abort; if the
//!   poll that was going on ends the task by itself, the abort comes too late and means nothing.
//! - **Completion** is one exchange, which also tells whether anyone waits for the outcome, and so who drops it.
//! - **The slot of the join waker** is the handle's while JOIN_WAKER is clear and the completing worker's once it completes with the bit set. The handle
//!   that gives the slot away looks at COMPLETE in the same exchange, so it is woken, or it sees the outcome.
//! - **References**: the life of the task holds one until the outcome is published, the handle one, each waker one. A runnable needs none:
//!   a task that has one is not complete. Waking by value gives the waker's reference up in the same exchange.

pub(crate) mod error;
pub(crate) mod id;
pub(crate) mod join;
pub(crate) mod list;
pub(crate) mod raw;
pub(crate) mod state;

pub use crate::join_set::JoinSet;
pub use crate::spawn::{id, spawn, spawn_blocking, try_id, yield_now};
pub use error::JoinError;
pub use id::Id;
pub use join::{AbortHandle, JoinHandle};
