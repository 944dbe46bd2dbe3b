//! A time limit that waits for the clean-up.

use crate::scope;
use crate::scope::begins::Begins;
use crate::scope::driven::Driven;
use crate::scope::node::{Kind, Node};
use crate::then::then;
use filch_timer::Instant;
use filch_timer::error::Elapsed;
use std::future::Future;
use std::panic::Location;
use std::time::Duration;

/// Awaits a future for at most so long, counted from the first poll; then cancels it and waits for its clean-up.
///
/// It runs in the caller's task, and may borrow. It is [`fail_after`](crate::fail_after) around a future, and [`time::timeout`](crate::time::timeout) is the one that does not wait.
/// A value that comes while the future is being cancelled is given. With a limit of zero the future is dropped without having been entered. (asyncio's `wait_for`.)
///
/// # Errors
///
/// If the time was up before there was a value.
///
/// # Cancel safety
///
/// Dropping this drops the future; its clean-ups run in the scope around.
///
/// # Panics
///
/// If the future does. With a limit above zero, outside of a runtime.
///
/// ```
/// # use std::time::Duration;
/// # filch::run(async {
/// let never = filch::wait_for(Duration::from_millis(1), std::future::pending::<()>());
/// assert!(never.await.is_err());
/// # });
/// ```
#[track_caller]
pub fn wait_for<F: IntoFuture>(limit: Duration, future: F) -> impl Future<Output = Result<F::Output, Elapsed>> {
    let location = Location::caller();
    let begin = move |future| {
        if limit.is_zero() {
            return None;
        }
        let node = Node::new(scope::current(), Kind::Scope, Instant::now().checked_add(limit));
        Some(Driven::at(node, location, future))
    };
    then(Begins::new(future.into_future(), begin), |value| {
        value.ok_or_else(Elapsed::new)
    })
}
