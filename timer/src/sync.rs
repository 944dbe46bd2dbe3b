//! The crate's one door to locks, atomics and thread-locals: std's, or loom's when its models explore the crate.

pub(crate) use imp::*;

/// A mistake that a model must be able to see. Planted by name in a run of the models, never in the ordinary build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Arming does not look whether the owner is asleep.
    ArmIgnoresParked,
    /// Arming does not lower the deadline that a turn looks at first.
    ArmLeavesNext,
    /// The owner reads the next deadline, and marks itself asleep in a second section of the lock.
    ParkInTwoSections,
    /// A timer that fires stays armed.
    FireKeepsEntry,
    /// Arming looks whether the runtime is shut down before it takes the lock, and not again inside.
    ArmBeforeLock,
    /// A poll that found the timer armed leaves its waker to an entry that may have gone meanwhile, and says "not yet".
    PollLosesWaker,
    /// A reset of a timer that has fired says that it is armed.
    ResetOfNothing,
    /// A timer that moves to another worker stays armed where it was.
    MoveLeavesCopy,
}

#[cfg(not(loom))]
mod imp {
    pub(crate) use std::sync::Arc;
    pub(crate) mod atomic {
        pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
    }

    pub(crate) use std::sync::MutexGuard;
    use std::sync::{PoisonError, TryLockError};

    /// A mutex without poison: what it guards is left whole between any two statements that can panic.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Mutex(std::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            match self.0.try_lock() {
                Ok(guard) => Some(guard),
                Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            }
        }
    }

    macro_rules! thread_local_cell {
        ($(#[$attribute:meta])* static $name:ident: $type:ty = $init:expr;) => {
            std::thread_local! { $(#[$attribute])* static $name: $type = const { $init }; }
        };
    }
    pub(crate) use thread_local_cell;

    pub(crate) const fn seeded(_: super::Bug) -> bool {
        false
    }
}

#[cfg(loom)]
mod imp {
    pub(crate) use loom::sync::Arc;
    pub(crate) mod atomic {
        pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
    }

    pub(crate) use loom::sync::MutexGuard;
    use std::sync::{OnceLock, PoisonError, TryLockError};

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            match self.0.try_lock() {
                Ok(guard) => Some(guard),
                Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            }
        }
    }

    macro_rules! thread_local_cell {
        ($(#[$attribute:meta])* static $name:ident: $type:ty = $init:expr;) => {
            loom::thread_local! { $(#[$attribute])* static $name: $type = $init; }
        };
    }
    pub(crate) use thread_local_cell;

    /// Whether the environment asks for this bug by its name.
    pub(crate) fn seeded(bug: super::Bug) -> bool {
        static PLANTED: OnceLock<Option<String>> = OnceLock::new();
        let planted = PLANTED.get_or_init(|| std::env::var("FILCH_SEEDED").ok());
        planted.as_deref().is_some_and(|name| name == format!("{bug:?}"))
    }
}
