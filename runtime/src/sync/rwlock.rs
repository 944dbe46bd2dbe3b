//! Crate tokio's lock for readers and writers, charged.

use super::blocking::forbid_driving;
use super::charged::charged;
use super::held::{blocked, place_of, take, taken};
use crate::debug::switch;
use bytemuck::{TransparentWrapper, TransparentWrapperAlloc};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use tokio::sync::{self as inner, TryLockError};
pub use tokio::sync::{
    OwnedRwLockMappedWriteGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLockMappedWriteGuard, RwLockReadGuard,
    RwLockWriteGuard,
};

/// A lock for many readers or one writer, which may be held across waits: crate tokio's, charging the poll budget.
///
/// Fair: whoever asks first is served first, so readers who come after a waiting writer wait behind it.
///
/// Its guards are crate tokio's own types, so `OwnedRwLockReadGuard::rwlock` and its like give crate tokio's lock, which works and charges nothing.
///
/// ```
/// # filch::run(async {
/// let lock = filch::sync::RwLock::new(5);
/// {
///     let (one, two) = (lock.read().await, lock.read().await);
///     assert_eq!(*one + *two, 10);
/// }
/// *lock.write().await += 1;
/// assert_eq!(lock.into_inner(), 6);
/// # });
/// ```
#[derive(TransparentWrapper)]
#[repr(transparent)]
pub struct RwLock<T: ?Sized>(inner::RwLock<T>);

impl<T> RwLock<T> {
    /// An unlocked lock.
    #[track_caller]
    pub fn new(value: T) -> Self {
        Self(inner::RwLock::new(value))
    }

    /// An unlocked lock for `max_reads` readers at once.
    ///
    /// # Panics
    ///
    /// If `max_reads` is above `u32::MAX >> 3`.
    #[track_caller]
    pub fn with_max_readers(value: T, max_reads: u32) -> Self {
        Self(inner::RwLock::with_max_readers(value, max_reads))
    }

    /// An unlocked lock, in a constant context.
    pub const fn const_new(value: T) -> Self {
        Self(inner::RwLock::const_new(value))
    }

    /// As [`with_max_readers`](Self::with_max_readers), in a constant context.
    ///
    /// # Panics
    ///
    /// If `max_reads` is above `u32::MAX >> 3`.
    pub const fn const_with_max_readers(value: T, max_reads: u32) -> Self {
        Self(inner::RwLock::const_with_max_readers(value, max_reads))
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits until this caller may read.
    ///
    /// # Cancel safety
    ///
    /// A wait that is dropped loses its place in the queue, and nothing else.
    #[track_caller]
    pub fn read(&self) -> impl Future<Output = RwLockReadGuard<'_, T>> {
        let place = Location::caller();
        async move {
            if switch::is_on() {
                return take(place_of(&self.0), place, self.0.read()).await;
            }
            charged(self.0.read()).await
        }
    }

    /// As [`read`](Self::read), with a guard that keeps the lock alive.
    ///
    /// # Cancel safety
    ///
    /// A wait that is dropped loses its place in the queue, and nothing else.
    #[track_caller]
    pub fn read_owned(self: Arc<Self>) -> impl Future<Output = OwnedRwLockReadGuard<T>> {
        let place = Location::caller();
        async move {
            if switch::is_on() {
                return take(place_of(&self.0), place, Self::peel_arc(self).read_owned()).await;
            }
            charged(Self::peel_arc(self).read_owned()).await
        }
    }

    /// Waits until this caller, alone, may write.
    ///
    /// # Cancel safety
    ///
    /// A wait that is dropped loses its place in the queue, and nothing else.
    #[track_caller]
    pub fn write(&self) -> impl Future<Output = RwLockWriteGuard<'_, T>> {
        let place = Location::caller();
        async move {
            if switch::is_on() {
                return take(place_of(&self.0), place, self.0.write()).await;
            }
            charged(self.0.write()).await
        }
    }

    /// As [`write`](Self::write), with a guard that keeps the lock alive.
    ///
    /// # Cancel safety
    ///
    /// A wait that is dropped loses its place in the queue, and nothing else.
    #[track_caller]
    pub fn write_owned(self: Arc<Self>) -> impl Future<Output = OwnedRwLockWriteGuard<T>> {
        let place = Location::caller();
        async move {
            if switch::is_on() {
                return take(place_of(&self.0), place, Self::peel_arc(self).write_owned()).await;
            }
            charged(Self::peel_arc(self).write_owned()).await
        }
    }

    /// Blocks this thread until it may read.
    ///
    /// # Panics
    ///
    /// On a thread that runs a filch runtime.
    #[track_caller]
    pub fn blocking_read(&self) -> RwLockReadGuard<'_, T> {
        forbid_driving("RwLock::blocking_read");
        blocked(place_of(&self.0), || self.0.blocking_read())
    }

    /// Blocks this thread until it, alone, may write.
    ///
    /// # Panics
    ///
    /// On a thread that runs a filch runtime.
    #[track_caller]
    pub fn blocking_write(&self) -> RwLockWriteGuard<'_, T> {
        forbid_driving("RwLock::blocking_write");
        blocked(place_of(&self.0), || self.0.blocking_write())
    }

    /// Reads, if nobody writes or waits to.
    ///
    /// # Errors
    ///
    /// If somebody does.
    #[track_caller]
    pub fn try_read(&self) -> Result<RwLockReadGuard<'_, T>, TryLockError> {
        taken(place_of(&self.0), self.0.try_read())
    }

    /// As [`try_read`](Self::try_read), with a guard that keeps the lock alive.
    ///
    /// # Errors
    ///
    /// If somebody writes or waits to.
    #[track_caller]
    pub fn try_read_owned(self: Arc<Self>) -> Result<OwnedRwLockReadGuard<T>, TryLockError> {
        taken(place_of(&self.0), Self::peel_arc(self).try_read_owned())
    }

    /// Writes, if nobody reads or writes.
    ///
    /// # Errors
    ///
    /// If somebody does.
    #[track_caller]
    pub fn try_write(&self) -> Result<RwLockWriteGuard<'_, T>, TryLockError> {
        taken(place_of(&self.0), self.0.try_write())
    }

    /// As [`try_write`](Self::try_write), with a guard that keeps the lock alive.
    ///
    /// # Errors
    ///
    /// If somebody reads or writes.
    #[track_caller]
    pub fn try_write_owned(self: Arc<Self>) -> Result<OwnedRwLockWriteGuard<T>, TryLockError> {
        taken(place_of(&self.0), Self::peel_arc(self).try_write_owned())
    }

    /// The value, which nobody else can reach.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
