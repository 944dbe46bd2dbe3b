//! The one door of this crate to std's, or loom's, atomics, locks and thread-locals.
//!
//! Everything else in the crate is written once and does not know which of the two it got.

use std::fmt;

pub(crate) use std::sync::Arc as StdArc;

pub(crate) use imp::{Arc, AtomicBool, AtomicUsize, MutexGuard, Ordering, RwLockReadGuard, seeded, thread_local};

#[cfg(not(loom))]
mod imp {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    pub(crate) use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
    pub(crate) use std::thread_local;

    /// Nobody plants bugs outside the models.
    #[inline(always)]
    pub(crate) const fn seeded(_: super::Bug) -> bool {
        false
    }
}

#[cfg(loom)]
mod imp {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    pub(crate) use loom::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
    pub(crate) use loom::thread_local;

    /// Is this the bug that the run was asked to contain? The name comes from the variable `FILCH_SEEDED`.
    pub(crate) fn seeded(bug: super::Bug) -> bool {
        static NAME: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
        let name = NAME.get_or_init(|| std::env::var("FILCH_SEEDED").ok());
        name.as_deref().is_some_and(|name| name == format!("{bug:?}"))
    }
}

/// Mistakes that the models must catch. `seeded(Bug::X)` is constant false outside the model build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A waiter is stored, and readiness is not looked at again.
    WaitWithoutRecheck,
    /// Readiness is cleared although a newer event came.
    ClearIgnoresTick,
    /// A token is its slot's index alone.
    TokenWithoutGeneration,
    /// Shutdown sets its bit and wakes nobody.
    ShutdownWakesNobody,
    /// A rescuer's turn takes the owner's unpark.
    RescuerTakesUnpark,
    /// The owner looks for an unpark before it holds the lock.
    UnparkCheckedTooEarly,
    /// Clearing removes the bits that say that a direction is closed for good.
    ClearRemovesClosed,
    /// A source that is deregistered stays in the reactor's table.
    SourceStays,
    /// The shutdown sets the count of sources to zero instead of taking off what it took out.
    LoadSetToZero,
}

/// A mutex without poisoning: what it guards is consistent after every single statement.
pub(crate) struct Mutex<T>(imp::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Mutex<T> {
        Mutex(imp::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The lock, unless somebody holds it.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mutex")
    }
}

/// A reader-writer lock without poisoning.
pub(crate) struct RwLock<T>(imp::RwLock<T>);

impl<T> RwLock<T> {
    pub(crate) fn new(value: T) -> RwLock<T> {
        RwLock(imp::RwLock::new(value))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn write(&self) -> imp::RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl<T> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RwLock")
    }
}
