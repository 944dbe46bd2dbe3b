//! Tasks: spawning them, joining them, ending them.
//!
//! A task is a future that runs by itself: [`spawn`] starts one, its [`JoinHandle`] gives its value or why there is none, and [`JoinHandle::abort`] ends it.
//! (How a task works inside is written at the head of `task/state.rs`.)

pub(crate) mod cold;
pub(crate) mod error;
pub(crate) mod id;
pub(crate) mod join;
pub(crate) mod list;
mod memory;
pub(crate) mod raw;
pub(crate) mod shared;
pub(crate) mod state;

pub use crate::in_place::block_in_place;
pub use crate::join_set::JoinSet;
pub use crate::local_set::{LocalEnterGuard, LocalSet, spawn_local};
pub use crate::spawn::{current, id, spawn, spawn_blocking, try_id, yield_now};
pub use crate::task_builder::Builder;
pub use crate::task_local::{AccessError, Context, LocalKey, TaskLocalFuture};
pub use error::JoinError;
pub use id::Id;
pub use join::{AbortHandle, JoinHandle, TaskRef};
pub use shared::Shared;
