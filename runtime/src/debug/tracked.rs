//! Coroutines that tell when they were never awaited.

use crate::debug::monitor::{Monitor, print};
use crate::debug::report::{About, Report, ReportKind};
use crate::debug::switch;
use crate::handle::Handle;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
// No protocol rests on it: it is std's in every build.
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

static NEVER_AWAITED: AtomicUsize = AtomicUsize::new(0);

/// How many tracked coroutines of the process were dropped and never awaited, while debug mode was on.
pub fn never_awaited() -> usize {
    // Relaxed: a number and nothing else.
    NEVER_AWAITED.load(Ordering::Relaxed)
}

pin_project! {
    /// A future that tells when it is dropped before its first poll. From [`tracked`](fn@tracked), [`Track::tracked`] and `#[filch::coro]`.
    #[must_use = "futures do nothing unless they are awaited or polled"]
    pub struct Tracked<F> {
        // Before the first poll, in debug mode.
        made: Option<Box<Made>>,
        #[pin]
        future: F,
    }
}

/// What is told of a coroutine that is dropped with this.
struct Made {
    name: &'static str,
    place: &'static Location<'static>,
    monitor: Option<Arc<Monitor>>,
    awaited: bool,
}

/// Has a future tell when it is dropped and was never awaited: in debug mode, as `coroutine app::fetch (src/main.rs:12:5) was never awaited`. The place is that of this call.
///
/// Outside of debug mode it costs a load, and a look at each poll.
///
/// ```
/// # filch::run(async {
/// let ready = filch::debug::tracked(async { 42 });
/// assert_eq!(ready.await, 42);
/// # });
/// ```
#[track_caller]
pub fn tracked<F: Future>(future: F) -> Tracked<F> {
    named(short_name(std::any::type_name::<F>()), future)
}

/// As [`tracked`](fn@tracked), for a coroutine whose name is known.
#[track_caller]
pub fn named<F: Future>(name: &'static str, future: F) -> Tracked<F> {
    let made = match switch::is_on() {
        false => None,
        true => made(name, Location::caller()),
    };
    Tracked { made, future }
}

#[cold]
fn made(name: &'static str, place: &'static Location<'static>) -> Option<Box<Made>> {
    let monitor = match Handle::try_current() {
        // The runtime here is not in debug mode, whatever others are.
        Ok(handle) => Some(handle.inner().debug.clone()?),
        Err(_) => None,
    };
    Some(Box::new(Made {
        name,
        place,
        monitor,
        awaited: false,
    }))
}

/// The name of an async function or block, without what the compiler adds.
fn short_name(name: &'static str) -> &'static str {
    name.trim_end_matches("::{{closure}}")
}

/// [`tracked`](fn@tracked), behind a future.
///
/// ```
/// use filch::debug::Track;
///
/// async fn fetch() -> u32 {
///     42
/// }
///
/// # filch::run(async {
/// assert_eq!(fetch().tracked().await, 42);
/// # });
/// ```
pub trait Track: Future + Sized {
    /// Has this future tell when it is dropped and was never awaited. See [`tracked`](fn@tracked).
    #[track_caller]
    fn tracked(self) -> Tracked<Self> {
        tracked(self)
    }
}

impl<F: Future> Track for F {}

impl<F: Future> Future for Tracked<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if let Some(mut made) = this.made.take() {
            made.awaited = true;
        }
        this.future.poll(cx)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // What a panic takes with it had no time to be awaited.
        if self.awaited || std::thread::panicking() {
            return;
        }
        // Relaxed: as in `never_awaited`.
        NEVER_AWAITED.fetch_add(1, Ordering::Relaxed);
        let about = About {
            task: None,
            name: Some(self.name.into()),
            place: Some(self.place),
        };
        let message = format!("coroutine {} ({}) was never awaited", self.name, self.place);
        let report = Report::new(ReportKind::NeverAwaited, about, message);
        let here = || Handle::try_current().ok()?.inner().debug.clone();
        match self.monitor.clone().or_else(here) {
            Some(monitor) => monitor.report(report),
            None => print(&report),
        }
    }
}

impl<F: fmt::Debug> fmt::Debug for Tracked<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tracked").field(&self.future).finish()
    }
}
