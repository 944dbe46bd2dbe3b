//! Parts of the runtime against slow, obviously right models of themselves, driven by bytes: a property test makes them at random, a fuzzer on purpose,
//! and the saved ones are replayed.
//!
//! Every check panics at the first difference.

mod bytes;
mod queues;
mod references;
mod stress;
mod task;

pub use queues::{inbox, local_queue};
pub use references::too_many as too_many_references;
pub use stress::{deque, lone_thief};
pub use task::{Destructors, exhaust as exhaust_task, task};
