//! Whether anything of the process is in debug mode.

use crate::shim::debug_variable;
// No protocol rests on it: it is std's in every build.
use std::sync::atomic::{AtomicUsize, Ordering};

/// The environment has not been asked yet.
const UNASKED: usize = usize::MAX;

/// The runtimes in debug mode, and one more if the environment asks for it.
static ON: AtomicUsize = AtomicUsize::new(UNASKED);

/// Whether the environment asks for debug mode.
pub(crate) fn is_asked_for() -> bool {
    debug_variable().is_some_and(|value| !value.is_empty() && value != "0")
}

/// Whether some runtime of the process is in debug mode, or will be unless it is told otherwise. One load, as long as there is none.
#[inline]
pub(crate) fn is_on() -> bool {
    // Relaxed, here and below: a debug mode that begins or ends at the same time sees this or does not.
    match ON.load(Ordering::Relaxed) {
        0 => false,
        UNASKED => ask() > 0,
        _ => true,
    }
}

#[cold]
fn ask() -> usize {
    let asked = usize::from(is_asked_for());
    match ON.compare_exchange(UNASKED, asked, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => asked,
        Err(now) => now,
    }
}

/// A runtime in debug mode begins.
pub(crate) fn enter() {
    is_on();
    ON.fetch_add(1, Ordering::Relaxed);
}

/// A runtime in debug mode ends.
pub(crate) fn leave() {
    ON.fetch_sub(1, Ordering::Relaxed);
}
