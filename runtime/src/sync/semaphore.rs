//! Crate tokio's semaphore, charged.

use super::blocking::block_on;
use super::charged::charged;
use super::held::{Held, Taken, Whole, hold, take, taken, taking};
use crate::coop::charged_at_once;
use crate::debug::locks::{Hold, Lock, What};
use crate::debug::switch;
use bytemuck::{TransparentWrapper, TransparentWrapperAlloc};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use tokio::sync as inner;
pub use tokio::sync::{AcquireError, TryAcquireError};

/// A number of permits to be taken and given back: crate tokio's semaphore, charging the poll budget.
///
/// Fair: whoever asks first is served first, even if somebody behind asks for less.
///
/// In [debug mode](crate::debug) it is reported when somebody has waited for long, and no permit was given out meanwhile.
///
/// ```
/// # filch::run(async {
/// let semaphore = filch::sync::Semaphore::new(2);
/// let one = semaphore.acquire().await.unwrap();
/// let two = semaphore.acquire().await.unwrap();
/// assert!(semaphore.try_acquire().is_err());
/// drop(one);
/// assert_eq!(semaphore.available_permits(), 1);
/// # drop(two);
/// # });
/// ```
#[derive(Debug, TransparentWrapper)]
#[repr(transparent)]
pub struct Semaphore(inner::Semaphore);

impl Semaphore {
    /// The most permits that a semaphore may hold.
    pub const MAX_PERMITS: usize = inner::Semaphore::MAX_PERMITS;

    /// A semaphore with `permits` permits.
    ///
    /// # Panics
    ///
    /// If these are more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    #[track_caller]
    pub fn new(permits: usize) -> Self {
        Self(inner::Semaphore::new(permits))
    }

    /// As [`new`](Self::new), in a constant context.
    ///
    /// # Panics
    ///
    /// If these are more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    pub const fn const_new(permits: usize) -> Self {
        Self(inner::Semaphore::const_new(permits))
    }

    /// How many permits are there to be taken.
    pub fn available_permits(&self) -> usize {
        self.0.available_permits()
    }

    /// Adds `n` permits.
    ///
    /// # Panics
    ///
    /// If there are more than [`MAX_PERMITS`](Self::MAX_PERMITS) then.
    #[track_caller]
    pub fn add_permits(&self, n: usize) {
        self.0.add_permits(n);
    }

    /// Takes away up to `n` permits that are there, and says how many.
    pub fn forget_permits(&self, n: usize) -> usize {
        self.0.forget_permits(n)
    }

    /// Waits for a permit.
    ///
    /// # Errors
    ///
    /// If the semaphore is closed.
    ///
    /// # Cancel safety
    ///
    /// A wait that is dropped loses its place in the queue, and nothing else.
    #[track_caller]
    pub fn acquire(&self) -> impl Future<Output = Result<SemaphorePermit<'_>, AcquireError>> {
        take!(
            self.here(),
            Location::caller(),
            self.0.try_acquire().ok().map(Ok),
            self.0.acquire()
        )
    }

    /// Waits for `n` permits at once.
    ///
    /// # Errors
    ///
    /// If the semaphore is closed.
    ///
    /// # Cancel safety
    ///
    /// A wait that is dropped loses its place in the queue, and gives back what it had collected.
    #[track_caller]
    pub fn acquire_many(&self, n: u32) -> impl Future<Output = Result<SemaphorePermit<'_>, AcquireError>> {
        take!(
            self.here(),
            Location::caller(),
            self.0.try_acquire_many(n).ok().map(Ok),
            self.0.acquire_many(n)
        )
    }

    /// As [`acquire`](Self::acquire), with a permit that keeps the semaphore alive.
    ///
    /// # Errors
    ///
    /// If the semaphore is closed.
    ///
    /// # Cancel safety
    ///
    /// A wait that is dropped loses its place in the queue, and nothing else.
    #[track_caller]
    pub fn acquire_owned(self: Arc<Self>) -> impl Future<Output = Result<OwnedSemaphorePermit, AcquireError>> {
        take!(self.here(), Location::caller(), Self::peel_arc(self).acquire_owned())
    }

    /// As [`acquire_many`](Self::acquire_many), with permits that keep the semaphore alive.
    ///
    /// # Errors
    ///
    /// If the semaphore is closed.
    ///
    /// # Cancel safety
    ///
    /// A wait that is dropped loses its place in the queue, and gives back what it had collected.
    #[track_caller]
    pub fn acquire_many_owned(
        self: Arc<Self>,
        n: u32,
    ) -> impl Future<Output = Result<OwnedSemaphorePermit, AcquireError>> {
        take!(
            self.here(),
            Location::caller(),
            Self::peel_arc(self).acquire_many_owned(n),
        )
    }

    /// Takes a permit that is there.
    ///
    /// # Errors
    ///
    /// If none is, or the semaphore is closed.
    #[track_caller]
    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        taken(self.here(), self.0.try_acquire())
    }

    /// Takes `n` permits that are there.
    ///
    /// # Errors
    ///
    /// If they are not, or the semaphore is closed.
    #[track_caller]
    pub fn try_acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        taken(self.here(), self.0.try_acquire_many(n))
    }

    /// As [`try_acquire`](Self::try_acquire), with a permit that keeps the semaphore alive.
    ///
    /// # Errors
    ///
    /// If none is there, or the semaphore is closed.
    #[track_caller]
    pub fn try_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        taken(self.here(), Self::peel_arc(self).try_acquire_owned())
    }

    /// As [`try_acquire_many`](Self::try_acquire_many), with permits that keep the semaphore alive.
    ///
    /// # Errors
    ///
    /// If they are not there, or the semaphore is closed.
    #[track_caller]
    pub fn try_acquire_many_owned(self: Arc<Self>, n: u32) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        taken(self.here(), Self::peel_arc(self).try_acquire_many_owned(n))
    }

    /// Blocks this thread until it has a permit.
    ///
    /// # Errors
    ///
    /// If the semaphore is closed.
    ///
    /// # Panics
    ///
    /// On a thread that runs a filch runtime.
    #[track_caller]
    pub fn blocking_acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        block("Semaphore::blocking_acquire", self.here(), self.0.acquire())
    }

    /// Blocks this thread until it has `n` permits.
    ///
    /// # Errors
    ///
    /// If the semaphore is closed.
    ///
    /// # Panics
    ///
    /// On a thread that runs a filch runtime.
    #[track_caller]
    pub fn blocking_acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, AcquireError> {
        block("Semaphore::blocking_acquire_many", self.here(), self.0.acquire_many(n))
    }

    /// As [`blocking_acquire`](Self::blocking_acquire), with a permit that keeps the semaphore alive.
    ///
    /// # Errors
    ///
    /// If the semaphore is closed.
    ///
    /// # Panics
    ///
    /// On a thread that runs a filch runtime.
    #[track_caller]
    pub fn blocking_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, AcquireError> {
        block(
            "Semaphore::blocking_acquire_owned",
            self.here(),
            Self::peel_arc(self).acquire_owned(),
        )
    }

    /// As [`blocking_acquire_many`](Self::blocking_acquire_many), with permits that keep the semaphore alive.
    ///
    /// # Errors
    ///
    /// If the semaphore is closed.
    ///
    /// # Panics
    ///
    /// On a thread that runs a filch runtime.
    #[track_caller]
    pub fn blocking_acquire_many_owned(self: Arc<Self>, n: u32) -> Result<OwnedSemaphorePermit, AcquireError> {
        block(
            "Semaphore::blocking_acquire_many_owned",
            self.here(),
            Self::peel_arc(self).acquire_many_owned(n),
        )
    }

    /// Closes the semaphore: who waits gets an error, and so does who comes.
    pub fn close(&self) {
        self.0.close();
    }

    /// Whether the semaphore is closed.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn here(&self) -> Lock {
        Lock::new(What::Permits, &self.0)
    }
}

/// Blocks this thread until it has what `operation` takes of a semaphore.
#[track_caller]
fn block<F: Future<Output: Taken>>(what: &str, lock: Lock, operation: F) -> <F::Output as Taken>::Guard {
    block_on(what, take!(lock, Location::caller(), operation))
}

/// Permits of a [`Semaphore`], given back when it is dropped.
#[must_use = "if unused the permits are given back at once"]
#[clippy::has_significant_drop]
pub struct SemaphorePermit<'a> {
    held: Held<inner::SemaphorePermit<'a>>,
}

impl<'a> Taken for inner::SemaphorePermit<'a> {
    type Guard = SemaphorePermit<'a>;

    #[inline]
    fn held(self, hold: impl FnOnce() -> Hold) -> Self::Guard {
        SemaphorePermit {
            held: Held::new(self, hold()),
        }
    }
}

impl SemaphorePermit<'_> {
    /// Never gives the permits back: the semaphore has fewer from now on.
    pub fn forget(self) {
        self.held.into_guard().forget();
    }

    /// Adds the permits of `other` to these.
    ///
    /// # Panics
    ///
    /// If they are of another semaphore.
    #[track_caller]
    pub fn merge(&mut self, other: Self) {
        self.held.merge(other.held, inner::SemaphorePermit::merge);
    }

    /// Takes `n` of these permits, if there are so many.
    pub fn split(&mut self, n: usize) -> Option<Self> {
        let held = self.held.split(|permit| permit.split(n))?;
        Some(Self { held })
    }

    /// The semaphore.
    pub fn semaphore(&self) -> &Semaphore {
        Semaphore::wrap_ref(self.held.guard.semaphore())
    }

    /// How many permits these are.
    pub fn num_permits(&self) -> usize {
        self.held.guard.num_permits()
    }
}

/// Permits of a [`Semaphore`] that keep it alive, given back when it is dropped.
#[must_use = "if unused the permits are given back at once"]
#[clippy::has_significant_drop]
pub struct OwnedSemaphorePermit {
    held: Held<inner::OwnedSemaphorePermit>,
    whole: Whole<Semaphore>,
}

impl Taken for inner::OwnedSemaphorePermit {
    type Guard = OwnedSemaphorePermit;

    #[inline]
    fn held(self, hold: impl FnOnce() -> Hold) -> Self::Guard {
        OwnedSemaphorePermit {
            held: Held::new(self, hold()),
            whole: Whole::new(),
        }
    }
}

impl OwnedSemaphorePermit {
    /// Never gives the permits back: the semaphore has fewer from now on.
    pub fn forget(self) {
        self.held.into_guard().forget();
    }

    /// Adds the permits of `other` to these.
    ///
    /// # Panics
    ///
    /// If they are of another semaphore.
    #[track_caller]
    pub fn merge(&mut self, other: Self) {
        self.held.merge(other.held, inner::OwnedSemaphorePermit::merge);
    }

    /// Takes `n` of these permits, if there are so many.
    pub fn split(&mut self, n: usize) -> Option<Self> {
        let held = self.held.split(|permit| permit.split(n))?;
        Some(Self {
            held,
            whole: Whole::new(),
        })
    }

    /// The semaphore.
    pub fn semaphore(&self) -> &Arc<Semaphore> {
        self.whole.get(self.held.guard.semaphore())
    }

    /// How many permits these are.
    pub fn num_permits(&self) -> usize {
        self.held.guard.num_permits()
    }
}

impl fmt::Debug for OwnedSemaphorePermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedSemaphorePermit")
            .field("permits", &self.num_permits())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SemaphorePermit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SemaphorePermit")
            .field("permits", &self.num_permits())
            .finish_non_exhaustive()
    }
}
