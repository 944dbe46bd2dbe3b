//! The models of the timers.

#[path = "../../harness.rs"]
mod harness;
