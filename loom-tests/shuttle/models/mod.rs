//! Programs that are too big for loom, under thousands of schedules each: shuttle chooses at every lock and atomic which thread goes on.
//!
//! It treats every ordering as SeqCst, so these find wrong protocols, not wrong orderings; those are loom's.

mod harness;
#[path = "../../models/house.rs"]
mod house;
mod parts;
mod pool;
mod seeded;
