//! Crate tokio's lock for readers and writers, charged.

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
use tokio::sync::{self as inner, TryLockError};

/// A lock for many readers or one writer, which may be held across waits: crate tokio's, charging the poll budget.
///
/// Fair: whoever asks first is served first, so readers who come after a waiting writer wait behind it.
///
/// In [debug mode](crate::debug) one that is held for long across waits is reported.
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
        take!(
            self.to(What::Read),
            Location::caller(),
            self.0.try_read().ok(),
            self.0.read()
        )
    }

    /// As [`read`](Self::read), with a guard that keeps the lock alive.
    ///
    /// # Cancel safety
    ///
    /// A wait that is dropped loses its place in the queue, and nothing else.
    #[track_caller]
    pub fn read_owned(self: Arc<Self>) -> impl Future<Output = OwnedRwLockReadGuard<T>> {
        take!(
            self.to(What::Read),
            Location::caller(),
            Self::peel_arc(self).read_owned(),
        )
    }

    /// Waits until this caller, alone, may write.
    ///
    /// # Cancel safety
    ///
    /// A wait that is dropped loses its place in the queue, and nothing else.
    #[track_caller]
    pub fn write(&self) -> impl Future<Output = RwLockWriteGuard<'_, T>> {
        take!(
            self.to(What::Write),
            Location::caller(),
            self.0.try_write().ok(),
            self.0.write()
        )
    }

    /// As [`write`](Self::write), with a guard that keeps the lock alive.
    ///
    /// # Cancel safety
    ///
    /// A wait that is dropped loses its place in the queue, and nothing else.
    #[track_caller]
    pub fn write_owned(self: Arc<Self>) -> impl Future<Output = OwnedRwLockWriteGuard<T>> {
        take!(
            self.to(What::Write),
            Location::caller(),
            Self::peel_arc(self).write_owned(),
        )
    }

    /// Blocks this thread until it may read.
    ///
    /// # Panics
    ///
    /// On a thread that runs a filch runtime.
    #[track_caller]
    pub fn blocking_read(&self) -> RwLockReadGuard<'_, T> {
        forbid_driving("RwLock::blocking_read");
        blocked(self.to(What::Read), || self.0.blocking_read())
    }

    /// Blocks this thread until it, alone, may write.
    ///
    /// # Panics
    ///
    /// On a thread that runs a filch runtime.
    #[track_caller]
    pub fn blocking_write(&self) -> RwLockWriteGuard<'_, T> {
        forbid_driving("RwLock::blocking_write");
        blocked(self.to(What::Write), || self.0.blocking_write())
    }

    /// Reads, if nobody writes or waits to.
    ///
    /// # Errors
    ///
    /// If somebody does.
    #[track_caller]
    pub fn try_read(&self) -> Result<RwLockReadGuard<'_, T>, TryLockError> {
        taken(self.to(What::Read), self.0.try_read())
    }

    /// As [`try_read`](Self::try_read), with a guard that keeps the lock alive.
    ///
    /// # Errors
    ///
    /// If somebody writes or waits to.
    #[track_caller]
    pub fn try_read_owned(self: Arc<Self>) -> Result<OwnedRwLockReadGuard<T>, TryLockError> {
        taken(self.to(What::Read), Self::peel_arc(self).try_read_owned())
    }

    /// Writes, if nobody reads or writes.
    ///
    /// # Errors
    ///
    /// If somebody does.
    #[track_caller]
    pub fn try_write(&self) -> Result<RwLockWriteGuard<'_, T>, TryLockError> {
        taken(self.to(What::Write), self.0.try_write())
    }

    /// As [`try_write`](Self::try_write), with a guard that keeps the lock alive.
    ///
    /// # Errors
    ///
    /// If somebody reads or writes.
    #[track_caller]
    pub fn try_write_owned(self: Arc<Self>) -> Result<OwnedRwLockWriteGuard<T>, TryLockError> {
        taken(self.to(What::Write), Self::peel_arc(self).try_write_owned())
    }

    fn to(&self, what: What) -> Lock {
        Lock::new(what, &self.0)
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

/// A lock of a [`RwLock`] for reading, given back when it is dropped.
#[clippy::has_significant_drop]
#[must_use = "if unused the lock is given back at once"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    held: Held<inner::RwLockReadGuard<'a, T>>,
}

reads!(['a, T: ?Sized] RwLockReadGuard<'a, T> => T);

impl<'a, T: ?Sized> Taken for inner::RwLockReadGuard<'a, T> {
    type Guard = RwLockReadGuard<'a, T>;

    #[inline]
    fn held(self, hold: impl FnOnce() -> Hold) -> Self::Guard {
        RwLockReadGuard {
            held: Held::new(self, hold()),
        }
    }
}

impl<'a, T: ?Sized> RwLockReadGuard<'a, T> {
    /// A guard of a part of the value.
    pub fn map<F, U: ?Sized>(this: Self, f: F) -> RwLockReadGuard<'a, U>
    where
        F: FnOnce(&T) -> &U,
    {
        RwLockReadGuard {
            held: this.held.map(|guard| inner::RwLockReadGuard::map(guard, f)),
        }
    }

    /// A guard of a part of the value, if there is that part.
    ///
    /// # Errors
    ///
    /// The guard itself, if `f` gives `None`.
    pub fn try_map<F, U: ?Sized>(this: Self, f: F) -> Result<RwLockReadGuard<'a, U>, Self>
    where
        F: FnOnce(&T) -> Option<&U>,
    {
        match this.held.try_map(|guard| inner::RwLockReadGuard::try_map(guard, f)) {
            Ok(held) => Ok(RwLockReadGuard { held }),
            Err(held) => Err(Self { held }),
        }
    }
}

/// A lock of a [`RwLock`] for writing, given back when it is dropped.
#[clippy::has_significant_drop]
#[must_use = "if unused the lock is given back at once"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    held: Held<inner::RwLockWriteGuard<'a, T>>,
}

writes!(['a, T: ?Sized] RwLockWriteGuard<'a, T> => T);

impl<'a, T: ?Sized> Taken for inner::RwLockWriteGuard<'a, T> {
    type Guard = RwLockWriteGuard<'a, T>;

    #[inline]
    fn held(self, hold: impl FnOnce() -> Hold) -> Self::Guard {
        RwLockWriteGuard {
            held: Held::new(self, hold()),
        }
    }
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// A guard of a part of the value.
    pub fn map<F, U: ?Sized>(this: Self, f: F) -> RwLockMappedWriteGuard<'a, U>
    where
        F: FnOnce(&mut T) -> &mut U,
    {
        RwLockMappedWriteGuard {
            held: this.held.map(|guard| inner::RwLockWriteGuard::map(guard, f)),
        }
    }

    /// A guard of a part of the value, if there is that part.
    ///
    /// # Errors
    ///
    /// The guard itself, if `f` gives `None`.
    pub fn try_map<F, U: ?Sized>(this: Self, f: F) -> Result<RwLockMappedWriteGuard<'a, U>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut U>,
    {
        match this.held.try_map(|guard| inner::RwLockWriteGuard::try_map(guard, f)) {
            Ok(held) => Ok(RwLockMappedWriteGuard { held }),
            Err(held) => Err(Self { held }),
        }
    }

    /// Lets other readers in, and keeps a part of the value for reading. Nobody writes between.
    pub fn downgrade_map<F, U: ?Sized>(this: Self, f: F) -> RwLockReadGuard<'a, U>
    where
        F: FnOnce(&T) -> &U,
    {
        RwLockReadGuard {
            held: this.held.map(|guard| inner::RwLockWriteGuard::downgrade_map(guard, f)),
        }
    }

    /// As [`downgrade_map`](Self::downgrade_map), if there is that part.
    ///
    /// # Errors
    ///
    /// The guard itself, if `f` gives `None`.
    pub fn try_downgrade_map<F, U: ?Sized>(this: Self, f: F) -> Result<RwLockReadGuard<'a, U>, Self>
    where
        F: FnOnce(&T) -> Option<&U>,
    {
        match this
            .held
            .try_map(|guard| inner::RwLockWriteGuard::try_downgrade_map(guard, f))
        {
            Ok(held) => Ok(RwLockReadGuard { held }),
            Err(held) => Err(Self { held }),
        }
    }

    /// The same guard, as one of a part: of the whole.
    pub fn into_mapped(this: Self) -> RwLockMappedWriteGuard<'a, T> {
        RwLockMappedWriteGuard {
            held: this.held.map(inner::RwLockWriteGuard::into_mapped),
        }
    }

    /// Lets other readers in. Nobody writes between.
    pub fn downgrade(self) -> RwLockReadGuard<'a, T> {
        RwLockReadGuard {
            held: self.held.map(inner::RwLockWriteGuard::downgrade),
        }
    }
}

/// A lock of a [`RwLock`] for writing, of a part of its value. From [`RwLockWriteGuard::map`].
#[clippy::has_significant_drop]
pub struct RwLockMappedWriteGuard<'a, T: ?Sized> {
    held: Held<inner::RwLockMappedWriteGuard<'a, T>>,
}

writes!(['a, T: ?Sized] RwLockMappedWriteGuard<'a, T> => T);

impl<'a, T: ?Sized> RwLockMappedWriteGuard<'a, T> {
    /// A guard of a part of the part.
    pub fn map<F, U: ?Sized>(this: Self, f: F) -> RwLockMappedWriteGuard<'a, U>
    where
        F: FnOnce(&mut T) -> &mut U,
    {
        RwLockMappedWriteGuard {
            held: this.held.map(|guard| inner::RwLockMappedWriteGuard::map(guard, f)),
        }
    }

    /// A guard of a part of the part, if there is that.
    ///
    /// # Errors
    ///
    /// The guard itself, if `f` gives `None`.
    pub fn try_map<F, U: ?Sized>(this: Self, f: F) -> Result<RwLockMappedWriteGuard<'a, U>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut U>,
    {
        match this
            .held
            .try_map(|guard| inner::RwLockMappedWriteGuard::try_map(guard, f))
        {
            Ok(held) => Ok(RwLockMappedWriteGuard { held }),
            Err(held) => Err(Self { held }),
        }
    }
}

/// A lock of a [`RwLock`] for reading, of its value or a part of it, that keeps it alive.
#[clippy::has_significant_drop]
pub struct OwnedRwLockReadGuard<T: ?Sized, U: ?Sized = T> {
    held: Held<inner::OwnedRwLockReadGuard<T, U>>,
    whole: Whole<RwLock<T>>,
}

reads!([T: ?Sized, U: ?Sized] OwnedRwLockReadGuard<T, U> => U);

impl<T: ?Sized> Taken for inner::OwnedRwLockReadGuard<T> {
    type Guard = OwnedRwLockReadGuard<T>;

    #[inline]
    fn held(self, hold: impl FnOnce() -> Hold) -> Self::Guard {
        OwnedRwLockReadGuard {
            held: Held::new(self, hold()),
            whole: Whole::new(),
        }
    }
}

impl<T: ?Sized, U: ?Sized> OwnedRwLockReadGuard<T, U> {
    /// A guard of a part of the value.
    pub fn map<F, V: ?Sized>(this: Self, f: F) -> OwnedRwLockReadGuard<T, V>
    where
        F: FnOnce(&U) -> &V,
    {
        OwnedRwLockReadGuard {
            held: this.held.map(|guard| inner::OwnedRwLockReadGuard::map(guard, f)),
            whole: Whole::new(),
        }
    }

    /// A guard of a part of the value, if there is that part.
    ///
    /// # Errors
    ///
    /// The guard itself, if `f` gives `None`.
    pub fn try_map<F, V: ?Sized>(this: Self, f: F) -> Result<OwnedRwLockReadGuard<T, V>, Self>
    where
        F: FnOnce(&U) -> Option<&V>,
    {
        match this
            .held
            .try_map(|guard| inner::OwnedRwLockReadGuard::try_map(guard, f))
        {
            Ok(held) => Ok(OwnedRwLockReadGuard {
                held,
                whole: Whole::new(),
            }),
            Err(held) => Err(Self {
                held,
                whole: Whole::new(),
            }),
        }
    }

    /// The lock that is taken.
    pub fn rwlock(this: &Self) -> &Arc<RwLock<T>> {
        this.whole.get(inner::OwnedRwLockReadGuard::rwlock(&this.held.guard))
    }
}

/// A lock of a [`RwLock`] for writing that keeps it alive.
#[clippy::has_significant_drop]
pub struct OwnedRwLockWriteGuard<T: ?Sized> {
    held: Held<inner::OwnedRwLockWriteGuard<T>>,
    whole: Whole<RwLock<T>>,
}

writes!([T: ?Sized] OwnedRwLockWriteGuard<T> => T);

impl<T: ?Sized> Taken for inner::OwnedRwLockWriteGuard<T> {
    type Guard = OwnedRwLockWriteGuard<T>;

    #[inline]
    fn held(self, hold: impl FnOnce() -> Hold) -> Self::Guard {
        OwnedRwLockWriteGuard {
            held: Held::new(self, hold()),
            whole: Whole::new(),
        }
    }
}

impl<T: ?Sized> OwnedRwLockWriteGuard<T> {
    /// A guard of a part of the value.
    pub fn map<F, U: ?Sized>(this: Self, f: F) -> OwnedRwLockMappedWriteGuard<T, U>
    where
        F: FnOnce(&mut T) -> &mut U,
    {
        OwnedRwLockMappedWriteGuard {
            held: this.held.map(|guard| inner::OwnedRwLockWriteGuard::map(guard, f)),
            whole: Whole::new(),
        }
    }

    /// A guard of a part of the value, if there is that part.
    ///
    /// # Errors
    ///
    /// The guard itself, if `f` gives `None`.
    pub fn try_map<F, U: ?Sized>(this: Self, f: F) -> Result<OwnedRwLockMappedWriteGuard<T, U>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut U>,
    {
        match this
            .held
            .try_map(|guard| inner::OwnedRwLockWriteGuard::try_map(guard, f))
        {
            Ok(held) => Ok(OwnedRwLockMappedWriteGuard {
                held,
                whole: Whole::new(),
            }),
            Err(held) => Err(Self {
                held,
                whole: Whole::new(),
            }),
        }
    }

    /// Lets other readers in, and keeps a part of the value for reading. Nobody writes between.
    pub fn downgrade_map<F, U: ?Sized>(this: Self, f: F) -> OwnedRwLockReadGuard<T, U>
    where
        F: FnOnce(&T) -> &U,
    {
        OwnedRwLockReadGuard {
            held: this
                .held
                .map(|guard| inner::OwnedRwLockWriteGuard::downgrade_map(guard, f)),
            whole: Whole::new(),
        }
    }

    /// As [`downgrade_map`](Self::downgrade_map), if there is that part.
    ///
    /// # Errors
    ///
    /// The guard itself, if `f` gives `None`.
    pub fn try_downgrade_map<F, U: ?Sized>(this: Self, f: F) -> Result<OwnedRwLockReadGuard<T, U>, Self>
    where
        F: FnOnce(&T) -> Option<&U>,
    {
        match this
            .held
            .try_map(|guard| inner::OwnedRwLockWriteGuard::try_downgrade_map(guard, f))
        {
            Ok(held) => Ok(OwnedRwLockReadGuard {
                held,
                whole: Whole::new(),
            }),
            Err(held) => Err(Self {
                held,
                whole: Whole::new(),
            }),
        }
    }

    /// The same guard, as one of a part: of the whole.
    pub fn into_mapped(this: Self) -> OwnedRwLockMappedWriteGuard<T> {
        OwnedRwLockMappedWriteGuard {
            held: this.held.map(inner::OwnedRwLockWriteGuard::into_mapped),
            whole: Whole::new(),
        }
    }

    /// Lets other readers in. Nobody writes between.
    pub fn downgrade(self) -> OwnedRwLockReadGuard<T> {
        OwnedRwLockReadGuard {
            held: self.held.map(inner::OwnedRwLockWriteGuard::downgrade),
            whole: Whole::new(),
        }
    }

    /// The lock that is taken.
    pub fn rwlock(this: &Self) -> &Arc<RwLock<T>> {
        this.whole.get(inner::OwnedRwLockWriteGuard::rwlock(&this.held.guard))
    }
}

/// A lock of a [`RwLock`] for writing, of a part of its value, that keeps it alive. From [`OwnedRwLockWriteGuard::map`].
#[clippy::has_significant_drop]
pub struct OwnedRwLockMappedWriteGuard<T: ?Sized, U: ?Sized = T> {
    held: Held<inner::OwnedRwLockMappedWriteGuard<T, U>>,
    whole: Whole<RwLock<T>>,
}

writes!([T: ?Sized, U: ?Sized] OwnedRwLockMappedWriteGuard<T, U> => U);

impl<T: ?Sized, U: ?Sized> OwnedRwLockMappedWriteGuard<T, U> {
    /// A guard of a part of the part.
    pub fn map<F, V: ?Sized>(this: Self, f: F) -> OwnedRwLockMappedWriteGuard<T, V>
    where
        F: FnOnce(&mut U) -> &mut V,
    {
        OwnedRwLockMappedWriteGuard {
            held: this.held.map(|guard| inner::OwnedRwLockMappedWriteGuard::map(guard, f)),
            whole: Whole::new(),
        }
    }

    /// A guard of a part of the part, if there is that.
    ///
    /// # Errors
    ///
    /// The guard itself, if `f` gives `None`.
    pub fn try_map<F, V: ?Sized>(this: Self, f: F) -> Result<OwnedRwLockMappedWriteGuard<T, V>, Self>
    where
        F: FnOnce(&mut U) -> Option<&mut V>,
    {
        match this
            .held
            .try_map(|guard| inner::OwnedRwLockMappedWriteGuard::try_map(guard, f))
        {
            Ok(held) => Ok(OwnedRwLockMappedWriteGuard {
                held,
                whole: Whole::new(),
            }),
            Err(held) => Err(Self {
                held,
                whole: Whole::new(),
            }),
        }
    }

    /// The lock that is taken.
    pub fn rwlock(this: &Self) -> &Arc<RwLock<T>> {
        this.whole
            .get(inner::OwnedRwLockMappedWriteGuard::rwlock(&this.held.guard))
    }
}
