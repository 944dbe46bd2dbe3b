//! Callbacks: functions that the runtime calls, soon or at a time.

use crate::calls::{Call, Calls, CancelOutcome, Due, Place};
use crate::coop;
use crate::handle::{self, Handle};
use crate::scheduler::shared::Shared;
use crate::scheduler::worker;
use crate::task::raw::Plain;
use crate::task_local;
use filch_timer::{Instant, Sleep, sleep_until};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// A time that a clock cannot hold is so far away: thirty years, as for a sleep.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

impl Handle {
    /// Has `f` called by the runtime, soon. (asyncio's `call_soon`, and its `call_soon_threadsafe` too.)
    ///
    /// From any thread. The callbacks of a runtime are called one after the other, never two at a time, those of `call_soon` in the order of the calls. Each is called once, in a later turn than the one that it is
    /// scheduled from: never inside this call. Between two turns, and after a poll's budget of callbacks, other tasks run; so callbacks that schedule callbacks for ever hold up nobody. One that blocks holds up
    /// the other callbacks, and its worker.
    ///
    /// It sees the values of task-local keys that are seen here; no scope, for it belongs to nobody's. A panic of it is reported by the panic hook and stops nothing. When the runtime shuts down, callbacks
    /// that wait are dropped. Behind a [`Runner`](crate::Runner) they wait for its next run.
    ///
    /// Where a runtime counts or lists its live tasks, and where it waits for them, the callbacks that wait are one task, and none if there are none. Whoever aborts that task drops them.
    ///
    /// ```
    /// # filch::run(async {
    /// let (tell, told) = filch::sync::oneshot::channel();
    /// filch::call_soon(move || tell.send(7).unwrap());
    /// assert_eq!(told.await.unwrap(), 7);
    /// # });
    /// ```
    #[track_caller]
    pub fn call_soon(&self, f: impl FnOnce() + Send + 'static) -> CallHandle {
        self.file(None, f, Location::caller())
    }

    /// As [`call_soon`](Self::call_soon), after `delay`, by the runtime's clock. A delay beyond what an [`Instant`] can hold is thirty years.
    #[track_caller]
    pub fn call_later(&self, delay: Duration, f: impl FnOnce() + Send + 'static) -> CallHandle {
        let now = Instant::from_std(self.inner().clock.now());
        let time = now.checked_add(delay).unwrap_or_else(|| now + FAR);
        self.file(Some(time), f, Location::caller())
    }

    /// As [`call_soon`](Self::call_soon), at a time, never earlier. Of those that are due together the one with the earliest time is called first, also if all these times
    /// have passed, and of those with the same time the one that was scheduled first.
    ///
    /// ```
    /// use filch::time::{Duration, Instant};
    ///
    /// # let mut builder = filch::runtime::Builder::new_current_thread();
    /// # builder.start_paused(true).build().unwrap().block_on(async {
    /// let (tell, mut told) = filch::sync::mpsc::channel(2);
    /// let now = Instant::now();
    /// for seconds in [2, 1] {
    ///     let tell = tell.clone();
    ///     filch::call_at(now + Duration::from_secs(seconds), move || tell.try_send(seconds).unwrap());
    /// }
    /// assert_eq!(told.recv().await, Some(1));
    /// assert_eq!(told.recv().await, Some(2));
    /// # });
    /// ```
    #[track_caller]
    pub fn call_at(&self, time: Instant, f: impl FnOnce() + Send + 'static) -> CallHandle {
        self.file(Some(time), f, Location::caller())
    }

    fn file(
        &self,
        time: Option<Instant>,
        f: impl FnOnce() + Send + 'static,
        location: &'static Location<'static>,
    ) -> CallHandle {
        let inner = self.inner();
        if let Some(sim) = &inner.sim {
            sim.record.notice();
        }
        let values = task_local::Context::current();
        let (place, call, undriven) = inner.calls.add(time, Box::new(move || values.run(f)));
        if undriven {
            let caller = Caller {
                calls: inner.calls.clone(),
                shared: inner.shared.clone(),
                sleep: None,
                done: false,
            };
            // It inherits nothing: each callback has its own values.
            worker::spawn(&inner.shared, Plain::new(caller, location));
        }
        CallHandle {
            calls: inner.calls.clone(),
            place,
            call,
        }
    }
}

/// [`Handle::call_soon`], on the runtime that this thread is inside of.
///
/// # Panics
///
/// Outside of a runtime.
#[track_caller]
pub fn call_soon(f: impl FnOnce() + Send + 'static) -> CallHandle {
    Handle::here().call_soon(f)
}

/// [`Handle::call_later`], on the runtime that this thread is inside of.
///
/// # Panics
///
/// Outside of a runtime.
///
/// ```
/// use std::time::Duration;
///
/// # filch::run(async {
/// let hour = filch::call_later(Duration::from_secs(3600), || unreachable!("it is cancelled"));
/// assert_eq!(hour.cancel(), filch::runtime::CancelOutcome::Cancelled);
/// # });
/// ```
#[track_caller]
pub fn call_later(delay: Duration, f: impl FnOnce() + Send + 'static) -> CallHandle {
    Handle::here().call_later(delay, f)
}

/// [`Handle::call_at`], on the runtime that this thread is inside of.
///
/// # Panics
///
/// Outside of a runtime.
#[track_caller]
pub fn call_at(time: Instant, f: impl FnOnce() + Send + 'static) -> CallHandle {
    Handle::here().call_at(time, f)
}

/// A callback that was scheduled. From [`Handle::call_soon`] and its kin. Dropping it changes nothing.
#[derive(Clone)]
pub struct CallHandle {
    calls: Arc<Calls>,
    place: Place,
    call: Arc<Call>,
}

impl CallHandle {
    /// Sees to it that the callback is not called, if it was not yet. From any thread.
    ///
    /// A callback that is cancelled is forgotten at once: its function is dropped in here, and its time makes nobody wait. One that is being called on another thread is waited for, so that afterwards it touches
    /// nothing any more; but a thread that polls tasks must not wait, and is told [`Running`](CancelOutcome::Running).
    pub fn cancel(&self) -> CancelOutcome {
        self.calls.cancel(&self.place, &self.call, !handle::is_driving())
    }

    /// Whether it waits for its turn.
    pub fn is_pending(&self) -> bool {
        self.call.is_pending()
    }

    /// The time for which it was scheduled. Nothing for [`call_soon`].
    pub fn when(&self) -> Option<Instant> {
        self.place.0
    }
}

impl fmt::Debug for CallHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallHandle")
            .field("pending", &self.is_pending())
            .field("when", &self.when())
            .finish_non_exhaustive()
    }
}

/// The task that calls. There is one for as long as there is something to call.
struct Caller {
    calls: Arc<Calls>,
    shared: Arc<Shared>,
    sleep: Option<Pin<Box<Sleep>>>,
    /// It has been counted out: what comes now has a task of its own.
    done: bool,
}

impl Future for Caller {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut called = false;
        loop {
            // A runtime that shuts down aborts its tasks, which a poll does not notice.
            while !self.shared.is_closing() {
                ready!(coop::charge(cx));
                let Some(call) = self.calls.take() else { break };
                called = true;
                self.calls.run(&call);
            }
            if self.shared.is_closing() {
                return Poll::Ready(());
            }
            let now = Instant::now();
            match self.calls.due(now, cx.waker()) {
                Due::Turn if called => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Due::Turn => self.calls.begin(now),
                Due::At(time) => match &mut self.sleep {
                    Some(sleep) if sleep.deadline() == time => ready!(sleep.as_mut().poll(cx)),
                    Some(sleep) => sleep.as_mut().reset(time),
                    None => self.sleep = Some(Box::pin(sleep_until(time))),
                },
                Due::Nothing => {
                    self.done = true;
                    return Poll::Ready(());
                }
            }
        }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if !self.done {
            self.calls.abandon();
        }
    }
}
