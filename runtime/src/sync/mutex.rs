//! Crate tokio's mutex, charged.

use super::blocking::forbid_driving;
use super::charged::charged;
use super::held::{blocked, place_of, take, taken};
use crate::debug::switch;
use bytemuck::{TransparentWrapper, TransparentWrapperAlloc};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use tokio::sync as inner;
pub use tokio::sync::{MappedMutexGuard, MutexGuard, OwnedMappedMutexGuard, OwnedMutexGuard, TryLockError};

/// A mutex that may be held across waits: crate tokio's, whose every lock charges the poll budget.
///
/// Fair: whoever asks first is served first. For data that is not held across an `.await`, `std::sync::Mutex` is quicker.
///
/// Its guards are crate tokio's own types, so [`MutexGuard::mutex`] and [`OwnedMutexGuard::mutex`] give crate tokio's mutex, which works and charges nothing.
///
/// ```
/// # filch::run(async {
/// let counter = std::sync::Arc::new(filch::sync::Mutex::new(0));
/// let other = counter.clone();
/// let task = filch::spawn(async move { *other.lock().await += 1 });
/// *counter.lock().await += 1;
/// task.await.unwrap();
/// assert_eq!(*counter.lock().await, 2);
/// # });
/// ```
#[derive(TransparentWrapper)]
#[repr(transparent)]
pub struct Mutex<T: ?Sized>(inner::Mutex<T>);

impl<T> Mutex<T> {
    /// An unlocked mutex.
    #[track_caller]
    pub fn new(value: T) -> Self {
        Self(inner::Mutex::new(value))
    }

    /// An unlocked mutex, in a constant context.
    pub const fn const_new(value: T) -> Self {
        Self(inner::Mutex::const_new(value))
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits until the mutex is this caller's.
    ///
    /// # Cancel safety
    ///
    /// A wait that is dropped loses its place in the queue, and nothing else.
    #[track_caller]
    pub fn lock(&self) -> impl Future<Output = MutexGuard<'_, T>> {
        let place = Location::caller();
        async move {
            if switch::is_on() {
                return take(place_of(&self.0), place, self.0.lock()).await;
            }
            charged(self.0.lock()).await
        }
    }

    /// As [`lock`](Self::lock), with a guard that keeps the mutex alive.
    ///
    /// # Cancel safety
    ///
    /// A wait that is dropped loses its place in the queue, and nothing else.
    #[track_caller]
    pub fn lock_owned(self: Arc<Self>) -> impl Future<Output = OwnedMutexGuard<T>> {
        let place = Location::caller();
        async move {
            if switch::is_on() {
                return take(place_of(&self.0), place, Self::peel_arc(self).lock_owned()).await;
            }
            charged(Self::peel_arc(self).lock_owned()).await
        }
    }

    /// Blocks this thread until the mutex is its own.
    ///
    /// # Panics
    ///
    /// On a thread that runs a filch runtime.
    #[track_caller]
    pub fn blocking_lock(&self) -> MutexGuard<'_, T> {
        forbid_driving("Mutex::blocking_lock");
        blocked(place_of(&self.0), || self.0.blocking_lock())
    }

    /// As [`blocking_lock`](Self::blocking_lock), with a guard that keeps the mutex alive.
    ///
    /// # Panics
    ///
    /// On a thread that runs a filch runtime.
    #[track_caller]
    pub fn blocking_lock_owned(self: Arc<Self>) -> OwnedMutexGuard<T> {
        forbid_driving("Mutex::blocking_lock_owned");
        blocked(place_of(&self.0), || Self::peel_arc(self).blocking_lock_owned())
    }

    /// Locks the mutex if nobody has it.
    ///
    /// # Errors
    ///
    /// If somebody has.
    #[track_caller]
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
        taken(place_of(&self.0), self.0.try_lock())
    }

    /// As [`try_lock`](Self::try_lock), with a guard that keeps the mutex alive.
    ///
    /// # Errors
    ///
    /// If somebody has it.
    #[track_caller]
    pub fn try_lock_owned(self: Arc<Self>) -> Result<OwnedMutexGuard<T>, TryLockError> {
        taken(place_of(&self.0), Self::peel_arc(self).try_lock_owned())
    }

    /// The value, which nobody else can reach.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
