//! Crate tokio's semaphore, charged.

use super::blocking::block_on;
use super::charged::charged;
use bytemuck::{TransparentWrapper, TransparentWrapperAlloc};
use std::sync::Arc;
use tokio::sync as inner;
pub use tokio::sync::{AcquireError, OwnedSemaphorePermit, SemaphorePermit, TryAcquireError};

/// A number of permits to be taken and given back: crate tokio's semaphore, charging the poll budget.
///
/// Fair: whoever asks first is served first, even if somebody behind asks for less.
///
/// Its permits are crate tokio's own types, so [`SemaphorePermit::semaphore`] and [`OwnedSemaphorePermit::semaphore`] give crate tokio's semaphore, which works and charges nothing.
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
    pub async fn acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        charged(self.0.acquire()).await
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
    pub async fn acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, AcquireError> {
        charged(self.0.acquire_many(n)).await
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
    pub async fn acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, AcquireError> {
        charged(Self::peel_arc(self).acquire_owned()).await
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
    pub async fn acquire_many_owned(self: Arc<Self>, n: u32) -> Result<OwnedSemaphorePermit, AcquireError> {
        charged(Self::peel_arc(self).acquire_many_owned(n)).await
    }

    /// Takes a permit that is there.
    ///
    /// # Errors
    ///
    /// If none is, or the semaphore is closed.
    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.0.try_acquire()
    }

    /// Takes `n` permits that are there.
    ///
    /// # Errors
    ///
    /// If they are not, or the semaphore is closed.
    pub fn try_acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.0.try_acquire_many(n)
    }

    /// As [`try_acquire`](Self::try_acquire), with a permit that keeps the semaphore alive.
    ///
    /// # Errors
    ///
    /// If none is there, or the semaphore is closed.
    pub fn try_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        Self::peel_arc(self).try_acquire_owned()
    }

    /// As [`try_acquire_many`](Self::try_acquire_many), with permits that keep the semaphore alive.
    ///
    /// # Errors
    ///
    /// If they are not there, or the semaphore is closed.
    pub fn try_acquire_many_owned(self: Arc<Self>, n: u32) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        Self::peel_arc(self).try_acquire_many_owned(n)
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
        block_on("Semaphore::blocking_acquire", self.0.acquire())
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
        block_on("Semaphore::blocking_acquire_many", self.0.acquire_many(n))
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
        block_on(
            "Semaphore::blocking_acquire_owned",
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
        block_on(
            "Semaphore::blocking_acquire_many_owned",
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
}
