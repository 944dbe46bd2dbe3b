//! What the guards and permits of crate tokio's locks become here: held, so that debug mode knows of them.

use super::charged::{Charged, charged};
use crate::debug::locks::{Hold, Lock, Waiting};
use crate::debug::switch;
use crate::handle::Handle;
use bytemuck::TransparentWrapperAlloc;
use pin_project_lite::pin_project;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

/// A guard of crate tokio's, and its hold, which ends first: so what debug mode tells of is held.
#[derive(Debug)]
pub(super) struct Held<G> {
    hold: Hold,
    pub(super) guard: G,
}

impl<G> Held<G> {
    pub(super) fn new(guard: G, hold: Hold) -> Self {
        Self { hold, guard }
    }

    /// The guard alone: it is no hold any more.
    pub(super) fn into_guard(self) -> G {
        self.guard
    }

    /// Another guard, for the same hold.
    pub(super) fn map<H>(self, f: impl FnOnce(G) -> H) -> Held<H> {
        let Self { hold, guard } = self;
        Held { guard: f(guard), hold }
    }

    /// As [`map`](Self::map), if there is another one.
    pub(super) fn try_map<H>(self, f: impl FnOnce(G) -> Result<H, G>) -> Result<Held<H>, Self> {
        let Self { hold, guard } = self;
        match f(guard) {
            Ok(guard) => Ok(Held { hold, guard }),
            Err(guard) => Err(Self { hold, guard }),
        }
    }

    /// A second guard, which `f` takes out of the first.
    pub(super) fn split(&mut self, f: impl FnOnce(&mut G) -> Option<G>) -> Option<Self> {
        let guard = f(&mut self.guard)?;
        let hold = self.hold.split();
        Some(Self { hold, guard })
    }

    /// `f` puts a second guard into the first.
    pub(super) fn merge(&mut self, other: Self, f: impl FnOnce(&mut G, G)) {
        f(&mut self.guard, other.guard);
        self.hold.merge(other.hold);
    }
}

/// What crate tokio's locks give.
pub(super) trait Taken {
    /// What ours give.
    type Guard;

    /// With a hold, if something was taken.
    fn held(self, hold: impl FnOnce() -> Hold) -> Self::Guard;
}

impl<G: Taken, E> Taken for Result<G, E> {
    type Guard = Result<G::Guard, E>;

    #[inline]
    fn held(self, hold: impl FnOnce() -> Hold) -> Self::Guard {
        self.map(|guard| guard.held(hold))
    }
}

/// The lock that an owned guard keeps alive, as ours. Made when somebody asks for it: only the guard's own reference is there all the time.
#[derive(Debug)]
pub(super) struct Whole<L: ?Sized>(OnceLock<Arc<L>>);

impl<L: ?Sized> Whole<L> {
    pub(super) const fn new() -> Self {
        Self(OnceLock::new())
    }

    pub(super) fn get<I: ?Sized>(&self, inner: &Arc<I>) -> &Arc<L>
    where
        L: TransparentWrapperAlloc<I>,
    {
        self.0.get_or_init(|| L::wrap_arc(inner.clone()))
    }
}

/// Somebody who waits for a lock in debug mode.
struct Asked {
    lock: Lock,
    place: &'static Location<'static>,
    waiting: Option<Waiting>,
}

impl Asked {
    fn waits(&mut self) {
        if self.waiting.is_some() {
            return;
        }
        let monitor = Handle::try_current()
            .ok()
            .and_then(|handle| handle.inner().debug.clone());
        self.waiting = monitor.map(|monitor| Waiting::new(monitor.key(), self.lock, self.place));
    }

    fn has_it(&mut self) -> Hold {
        self.waiting = None;
        Hold::new(self.lock, self.place)
    }
}

pin_project! {
    /// The wait for a lock in debug mode, [charged](charged).
    #[must_use = "futures do nothing unless they are awaited or polled"]
    pub(super) struct Taking<F> {
        asked: Asked,
        #[pin]
        operation: Charged<F>,
    }
}

/// Takes `lock` by `operation`, in debug mode. In a box: who is not in debug mode has no room for it.
#[cold]
pub(super) fn taking<F: Future>(lock: Lock, place: &'static Location<'static>, operation: F) -> Pin<Box<Taking<F>>> {
    let asked = Asked {
        lock,
        place,
        waiting: None,
    };
    Box::pin(Taking {
        asked,
        operation: charged(operation),
    })
}

impl<F: Future<Output: Taken>> Future for Taking<F> {
    type Output = <F::Output as Taken>::Guard;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let polled = this.operation.poll(cx);
        if polled.is_pending() {
            this.asked.waits();
        }
        polled.map(|taken| taken.held(|| this.asked.has_it()))
    }
}

/// The future that takes a lock, for who asks at `$place`: by `$now`, if that is given, and if nobody has it, else by `$wait`. What stands in the place of an operation is evaluated when the future is
/// polled. (A macro, for the future to have no more in it than `self` and the place.)
///
/// To ask first whether the lock is there takes half of the instructions of a wait that is ready at once, and overtakes nobody whom that would not: both begin with the same
/// exchange of the number of permits, which is too low while somebody waits.
macro_rules! take {
    ($lock:expr, $place:expr, $now:expr, $wait:expr $(,)?) => {{
        let place = $place;
        async move {
            if let Some(taken) = charged_at_once(|| $now) {
                return Taken::held(taken, || hold($lock, place));
            }
            take!(wait $lock, place, $wait)
        }
    }};
    ($lock:expr, $place:expr, $wait:expr $(,)?) => {{
        let place = $place;
        async move { take!(wait $lock, place, $wait) }
    }};
    (wait $lock:expr, $place:ident, $wait:expr) => {
        match switch::is_on() {
            true => taking($lock, $place, $wait).await,
            false => charged($wait).await.held(|| Hold::NONE),
        }
    };
}

/// The hold of a lock that was just taken.
#[inline]
pub(super) fn hold(lock: Lock, place: &'static Location<'static>) -> Hold {
    match switch::is_on() {
        true => Hold::new(lock, place),
        false => Hold::NONE,
    }
}

/// What was taken of `lock` without a wait, if something was.
#[track_caller]
#[inline]
pub(super) fn taken<R: Taken>(lock: Lock, result: R) -> R::Guard {
    let place = Location::caller();
    result.held(|| hold(lock, place))
}

/// Blocks this thread until `lock` was taken.
#[track_caller]
pub(super) fn blocked<R: Taken>(lock: Lock, take: impl FnOnce() -> R) -> R::Guard {
    if !switch::is_on() {
        return take().held(|| Hold::NONE);
    }
    let mut asked = Asked {
        lock,
        place: Location::caller(),
        waiting: None,
    };
    asked.waits();
    take().held(|| asked.has_it())
}

/// A guard that reads, and shows what it guards.
macro_rules! reads {
    ([$($params:tt)*] $guard:ty => $value:ident) => {
        impl<$($params)*> std::ops::Deref for $guard {
            type Target = $value;

            #[inline]
            fn deref(&self) -> &$value {
                &self.held.guard
            }
        }

        impl<$($params)*> std::fmt::Debug for $guard
        where
            $value: std::fmt::Debug,
        {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                (**self).fmt(f)
            }
        }

        impl<$($params)*> std::fmt::Display for $guard
        where
            $value: std::fmt::Display,
        {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                (**self).fmt(f)
            }
        }
    };
}

/// One that writes, too.
macro_rules! writes {
    ([$($params:tt)*] $guard:ty => $value:ident) => {
        reads!([$($params)*] $guard => $value);

        impl<$($params)*> std::ops::DerefMut for $guard {
            #[inline]
            fn deref_mut(&mut self) -> &mut $value {
                &mut self.held.guard
            }
        }
    };
}

pub(super) use {reads, take, writes};
