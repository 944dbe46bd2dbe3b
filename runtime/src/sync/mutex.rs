//! Crate tokio's mutex, charged.

use super::blocking::forbid_driving;
use super::charged::charged;
use super::held::{Held, Taken, Whole, blocked, hold, reads, take, taken, taking, writes};
use crate::coop::charged_at_once;
use crate::debug::locks::{Hold, Lock, What};
use crate::debug::switch;
use bytemuck::{TransparentWrapper, TransparentWrapperAlloc};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use tokio::sync as inner;
pub use tokio::sync::TryLockError;

/// A mutex that may be held across waits: crate tokio's, whose every lock charges the poll budget.
///
/// Fair: whoever asks first is served first. For data that is not held across an `.await`, `std::sync::Mutex` is quicker.
///
/// In [debug mode](crate::debug) one that is held for long across waits is reported.
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
        self.lock_at(Location::caller())
    }

    /// As [`lock`](Self::lock), with a guard that keeps the mutex alive.
    ///
    /// # Cancel safety
    ///
    /// A wait that is dropped loses its place in the queue, and nothing else.
    #[track_caller]
    pub fn lock_owned(self: Arc<Self>) -> impl Future<Output = OwnedMutexGuard<T>> {
        self.lock_owned_at(Location::caller())
    }

    /// Blocks this thread until the mutex is its own.
    ///
    /// # Panics
    ///
    /// On a thread that runs a filch runtime.
    #[track_caller]
    pub fn blocking_lock(&self) -> MutexGuard<'_, T> {
        forbid_driving("Mutex::blocking_lock");
        blocked(self.here(), || self.0.blocking_lock())
    }

    /// As [`blocking_lock`](Self::blocking_lock), with a guard that keeps the mutex alive.
    ///
    /// # Panics
    ///
    /// On a thread that runs a filch runtime.
    #[track_caller]
    pub fn blocking_lock_owned(self: Arc<Self>) -> OwnedMutexGuard<T> {
        forbid_driving("Mutex::blocking_lock_owned");
        blocked(self.here(), || Self::peel_arc(self).blocking_lock_owned())
    }

    /// Locks the mutex if nobody has it.
    ///
    /// # Errors
    ///
    /// If somebody has.
    #[track_caller]
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
        taken(self.here(), self.0.try_lock())
    }

    /// As [`try_lock`](Self::try_lock), with a guard that keeps the mutex alive.
    ///
    /// # Errors
    ///
    /// If somebody has it.
    #[track_caller]
    pub fn try_lock_owned(self: Arc<Self>) -> Result<OwnedMutexGuard<T>, TryLockError> {
        taken(self.here(), Self::peel_arc(self).try_lock_owned())
    }

    /// As [`lock`](Self::lock), for who asks at `place`.
    pub(super) fn lock_at(&self, place: &'static Location<'static>) -> impl Future<Output = MutexGuard<'_, T>> {
        take!(self.here(), place, self.0.try_lock().ok(), self.0.lock())
    }

    /// As [`lock_owned`](Self::lock_owned), for who asks at `place`.
    pub(super) fn lock_owned_at(
        self: Arc<Self>,
        place: &'static Location<'static>,
    ) -> impl Future<Output = OwnedMutexGuard<T>> {
        take!(self.here(), place, Self::peel_arc(self).lock_owned())
    }

    fn here(&self) -> Lock {
        Lock::new(What::Mutex, &self.0)
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

/// A lock of a [`Mutex`], given back when it is dropped.
#[clippy::has_significant_drop]
#[must_use = "if unused the lock is given back at once"]
pub struct MutexGuard<'a, T: ?Sized> {
    held: Held<inner::MutexGuard<'a, T>>,
}

writes!(['a, T: ?Sized] MutexGuard<'a, T> => T);

impl<'a, T: ?Sized> Taken for inner::MutexGuard<'a, T> {
    type Guard = MutexGuard<'a, T>;

    #[inline]
    fn held(self, hold: impl FnOnce() -> Hold) -> Self::Guard {
        MutexGuard {
            held: Held::new(self, hold()),
        }
    }
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// A guard of a part of the value.
    pub fn map<U, F>(this: Self, f: F) -> MappedMutexGuard<'a, U>
    where
        U: ?Sized,
        F: FnOnce(&mut T) -> &mut U,
    {
        MappedMutexGuard {
            held: this.held.map(|guard| inner::MutexGuard::map(guard, f)),
        }
    }

    /// A guard of a part of the value, if there is that part.
    ///
    /// # Errors
    ///
    /// The guard itself, if `f` gives `None`.
    pub fn try_map<U, F>(this: Self, f: F) -> Result<MappedMutexGuard<'a, U>, Self>
    where
        U: ?Sized,
        F: FnOnce(&mut T) -> Option<&mut U>,
    {
        match this.held.try_map(|guard| inner::MutexGuard::try_map(guard, f)) {
            Ok(held) => Ok(MappedMutexGuard { held }),
            Err(held) => Err(Self { held }),
        }
    }

    /// The mutex that is locked.
    pub fn mutex(this: &Self) -> &'a Mutex<T> {
        Mutex::wrap_ref(inner::MutexGuard::mutex(&this.held.guard))
    }
}

/// A lock of a [`Mutex`] that keeps it alive.
#[clippy::has_significant_drop]
pub struct OwnedMutexGuard<T: ?Sized> {
    held: Held<inner::OwnedMutexGuard<T>>,
    whole: Whole<Mutex<T>>,
}

writes!([T: ?Sized] OwnedMutexGuard<T> => T);

impl<T: ?Sized> Taken for inner::OwnedMutexGuard<T> {
    type Guard = OwnedMutexGuard<T>;

    #[inline]
    fn held(self, hold: impl FnOnce() -> Hold) -> Self::Guard {
        OwnedMutexGuard {
            held: Held::new(self, hold()),
            whole: Whole::new(),
        }
    }
}

impl<T: ?Sized> OwnedMutexGuard<T> {
    /// A guard of a part of the value.
    pub fn map<U, F>(this: Self, f: F) -> OwnedMappedMutexGuard<T, U>
    where
        U: ?Sized,
        F: FnOnce(&mut T) -> &mut U,
    {
        OwnedMappedMutexGuard {
            held: this.held.map(|guard| inner::OwnedMutexGuard::map(guard, f)),
        }
    }

    /// A guard of a part of the value, if there is that part.
    ///
    /// # Errors
    ///
    /// The guard itself, if `f` gives `None`.
    pub fn try_map<U, F>(this: Self, f: F) -> Result<OwnedMappedMutexGuard<T, U>, Self>
    where
        U: ?Sized,
        F: FnOnce(&mut T) -> Option<&mut U>,
    {
        match this.held.try_map(|guard| inner::OwnedMutexGuard::try_map(guard, f)) {
            Ok(held) => Ok(OwnedMappedMutexGuard { held }),
            Err(held) => Err(Self {
                held,
                whole: Whole::new(),
            }),
        }
    }

    /// The mutex that is locked.
    pub fn mutex(this: &Self) -> &Arc<Mutex<T>> {
        this.whole.get(inner::OwnedMutexGuard::mutex(&this.held.guard))
    }
}

/// A lock of a [`Mutex`], of a part of its value. From [`MutexGuard::map`].
#[clippy::has_significant_drop]
#[must_use = "if unused the lock is given back at once"]
pub struct MappedMutexGuard<'a, T: ?Sized> {
    held: Held<inner::MappedMutexGuard<'a, T>>,
}

writes!(['a, T: ?Sized] MappedMutexGuard<'a, T> => T);

impl<'a, T: ?Sized> MappedMutexGuard<'a, T> {
    /// A guard of a part of the part.
    pub fn map<U, F>(this: Self, f: F) -> MappedMutexGuard<'a, U>
    where
        F: FnOnce(&mut T) -> &mut U,
    {
        MappedMutexGuard {
            held: this.held.map(|guard| inner::MappedMutexGuard::map(guard, f)),
        }
    }

    /// A guard of a part of the part, if there is that.
    ///
    /// # Errors
    ///
    /// The guard itself, if `f` gives `None`.
    pub fn try_map<U, F>(this: Self, f: F) -> Result<MappedMutexGuard<'a, U>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut U>,
    {
        match this.held.try_map(|guard| inner::MappedMutexGuard::try_map(guard, f)) {
            Ok(held) => Ok(MappedMutexGuard { held }),
            Err(held) => Err(Self { held }),
        }
    }
}

/// A lock of a [`Mutex`], of a part of its value, that keeps it alive. From [`OwnedMutexGuard::map`].
#[clippy::has_significant_drop]
#[must_use = "if unused the lock is given back at once"]
pub struct OwnedMappedMutexGuard<T: ?Sized, U: ?Sized = T> {
    held: Held<inner::OwnedMappedMutexGuard<T, U>>,
}

writes!([T: ?Sized, U: ?Sized] OwnedMappedMutexGuard<T, U> => U);

impl<T: ?Sized, U: ?Sized> OwnedMappedMutexGuard<T, U> {
    /// A guard of a part of the part.
    pub fn map<S, F>(this: Self, f: F) -> OwnedMappedMutexGuard<T, S>
    where
        F: FnOnce(&mut U) -> &mut S,
    {
        OwnedMappedMutexGuard {
            held: this.held.map(|guard| inner::OwnedMappedMutexGuard::map(guard, f)),
        }
    }

    /// A guard of a part of the part, if there is that.
    ///
    /// # Errors
    ///
    /// The guard itself, if `f` gives `None`.
    pub fn try_map<S, F>(this: Self, f: F) -> Result<OwnedMappedMutexGuard<T, S>, Self>
    where
        F: FnOnce(&mut U) -> Option<&mut S>,
    {
        match this
            .held
            .try_map(|guard| inner::OwnedMappedMutexGuard::try_map(guard, f))
        {
            Ok(held) => Ok(OwnedMappedMutexGuard { held }),
            Err(held) => Err(Self { held }),
        }
    }
}
