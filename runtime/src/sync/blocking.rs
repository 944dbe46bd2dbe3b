//! Waiting with a whole thread, where that is allowed.

use crate::handle;
use std::future::Future;
use std::pin::pin;

/// Blocks this thread until the operation is done.
///
/// # Panics
///
/// If the thread runs filch's tasks.
#[track_caller]
pub(super) fn block_on<F: Future>(what: &str, operation: F) -> F::Output {
    forbid_driving(what);
    handle::park_on(pin!(operation), None)
}

/// # Panics
///
/// If the thread runs filch's tasks, which would wait while it does.
#[track_caller]
pub(super) fn forbid_driving(what: &str) {
    assert!(
        !handle::is_driving(),
        "`{what}` was called on a thread that runs a filch runtime, and would block all that waits for this thread. \
         Await the operation instead, or move the call into `spawn_blocking`"
    );
}
