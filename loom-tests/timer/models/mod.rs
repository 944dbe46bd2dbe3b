//! The models of the timers: what armed, turned, cancelled and parked at the same time can do to each other.
//!
//! Time is an argument here: a model names the moment of each turn, and no clock is read while it runs.

#[path = "../../harness.rs"]
mod harness;

mod park;
mod race;
mod rescue;
mod seeded;
mod shutdown;
mod together;
mod world;
