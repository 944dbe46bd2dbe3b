//! The scheduler: workers that run tasks from their own queues and take from each other's.
//!
//! ```text
//!                spawn, yield        wake by a running task      from outside
//!                     |                       |                       |
//!                     v                       v                       v
//!   worker 0:  [queue, FIFO]  <- displaced - [slot]              [inbox shards]
//!   worker 1:  [queue]                       [slot]
//!                     ^ thieves take half          ^ rescuers, when the owner is stuck
//! ```
//!
//! [`worker`] is the loop, [`idle`] who sleeps and who is woken, [`inbox`] the way in from outside, [`owned`] the lists of live
//! tasks, [`watcher`] what is done for a worker that is stuck in a long poll.
//!
//! [`lane`] runs tasks one at a time and in order, inside of a task.
//!
//! [`solo`] drives a worker on the thread of `block_on`; [`simulation`] drives all of them there, and chooses for them.

pub(crate) mod current;
pub(crate) mod gate;
pub(crate) mod idle;
pub(crate) mod inbox;
pub(crate) mod lane;
pub(crate) mod owned;
pub(crate) mod record;
pub(crate) mod shared;
pub(crate) mod simulation;
pub(crate) mod slack;
pub(crate) mod solo;
pub(crate) mod watch;
pub(crate) mod watcher;
pub(crate) mod worker;
