//! Stopping a runtime's clock, for tests.
//!
//! While the clock stands, the runtime moves it by itself to the next deadline whenever nothing else is left to do, so
//! that a test of an hour's waiting takes no time and gives the same result each time.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use crate::current::Handle;

/// How often [`advance`] lets others run before it returns although timers that are due have not been turned. A worker
/// turns its timers at least every 61 polls.
const PATIENCE: usize = 128;

/// Stops the clock of the runtime that this thread is inside of.
///
/// # Panics
///
/// If the clock is paused already, if this runtime does not allow it, or outside a runtime.
#[track_caller]
pub fn pause() {
    let handle = Handle::current();
    handle.clock().pause();
    clock_moved(&handle);
}

/// Lets a paused clock run again, from the time at which it stands.
///
/// # Panics
///
/// If the clock is not paused, or outside a runtime.
#[track_caller]
pub fn resume() {
    let handle = Handle::current();
    handle.clock().resume();
    clock_moved(&handle);
}

/// Moves a paused clock forward by `duration`, and lets the timers that become due fire before it returns. The tasks that
/// they wake have been scheduled then, but not all of them need to have run.
/// Where there are several workers, another one's timers may fire a moment after it has returned.
///
/// # Cancel safety
///
/// The clock is moved by the first poll; dropping the future later loses nothing.
///
/// # Panics
///
/// When polled, if the clock is not paused, or outside a runtime.
pub async fn advance(duration: Duration) {
    let handle = Handle::current();
    handle.clock().advance(duration);
    clock_moved(&handle);
    for _ in 0..PATIENCE {
        yield_now().await;
        if !is_due(&handle) {
            break;
        }
    }
    // What has fired is queued behind this task: once more, and it has had its turn.
    yield_now().await;
}

fn clock_moved(handle: &Handle) {
    for timers in handle.timers() {
        timers.clock_moved();
    }
}

fn is_due(handle: &Handle) -> bool {
    let now = handle.clock().now();
    handle
        .timers()
        .iter()
        .any(|timers| timers.next_due().is_some_and(|due| due <= now))
}

async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
