//! Several tasks at once: all of them, the first of them, some of them at a time.
//!
//! The functions that take futures ([`gather`], [`race`], [`map`] and their kin) spawn each as a task of its own, in parallel, when they are first polled, on
//! the runtime of the thread that does. The tasks are inside the scope around: its cancels, its deadline, its values of task-local keys are theirs. None of them
//! outlives the call: when it returns they have ended, their destructors and clean-ups have run. When its future is dropped they are cancelled, and the scope around
//! waits for them.
//!
//! The functions that take handles ([`wait`], [`as_completed`]) wait and change nothing: the tasks run on when they are dropped.
//!
//! (The names and most of the behaviour are asyncio's; `race` and `map` are anyio's.)

mod brood;
mod crowd;
mod gather;
mod handles;
mod limit;
mod observed;
mod race;
mod wait;

pub use gather::{gather, gather_settled, map, try_gather};
pub use handles::CancelOnDrop;
pub use limit::wait_for;
pub use observed::Observed;
pub use race::{race, race_staggered};
pub use wait::{AsCompleted, Wait, Waiting, When, as_completed, wait, wait_first_error};
