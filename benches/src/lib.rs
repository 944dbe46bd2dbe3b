//! What the benches share.
//!
//! One program per question; each asks the same of every runtime, by the same source over the trait [`Rt`]. Every measurement is a process of its own, the contenders in turns, so that none inherits
//! another's memory and a slow moment of the machine meets all. A question's figures go to a file under `target/`, and from all the files that are there comes the table in `benches/README.md`.
//!
//! - [`question`]: what a program asks, its command line, parents and children.
//! - [`Rt`]: what is asked of a runtime; [`Filch`], [`Tokio`], [`Smol`].
//! - [`work`]: what several questions have the runtimes do.
//! - [`count`]: allocations, processor time, memory.
//! - `more`: what is compared besides: another allocator, Tokio's switches, Go.
//! - [`table`]: the table and the plots.

pub mod count;
pub mod echo;
mod more;
pub mod question;
mod rt;
pub mod stats;
pub mod table;
pub mod work;

pub use rt::{Filch, Joined, Rt, Smol, Stream, Tokio};

/// Worker threads of each runtime, unless a question is about them.
pub const WORKERS: usize = 2;
