//! Shuttle's types under loom's names and with loom's methods, as far as filch uses them.
//!
//! The packages beside this one compile filch's sources with `cfg(loom)` and with this crate in loom's place, so the sources need no third
//! build. What loom has and shuttle has not: `with_mut` of atomics, and cells that are watched.

pub use shuttle::thread_local;

/// Cells.
pub mod cell {
    use std::sync::atomic::{AtomicIsize, Ordering};

    /// A cell that notices when two threads are in it at once: it counts those who are inside, and -1 is a writer.
    ///
    /// Shuttle changes threads at its own types only, so this sees an access that spans such a place: a poll, above all.
    #[derive(Debug)]
    pub struct UnsafeCell<T> {
        value: std::cell::UnsafeCell<T>,
        inside: AtomicIsize,
    }

    impl<T> UnsafeCell<T> {
        /// A cell with `value` in it.
        pub const fn new(value: T) -> Self {
            Self {
                value: std::cell::UnsafeCell::new(value),
                inside: AtomicIsize::new(0),
            }
        }

        /// A shared access.
        ///
        /// # Panics
        ///
        /// If somebody else is inside to write.
        pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            assert!(
                self.inside.load(Ordering::Relaxed) >= 0,
                "a cell is read while it is written"
            );
            self.inside.fetch_add(1, Ordering::Relaxed);
            let result = f(self.value.get());
            self.inside.fetch_sub(1, Ordering::Relaxed);
            result
        }

        /// An exclusive access.
        ///
        /// # Panics
        ///
        /// If somebody else is inside.
        pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            assert_eq!(
                self.inside.swap(-1, Ordering::Relaxed),
                0,
                "a cell is written while it is used"
            );
            let result = f(self.value.get());
            self.inside.store(0, Ordering::Relaxed);
            result
        }
    }
}

/// Locks and their like.
pub mod sync {
    pub use shuttle::sync::{
        Arc, Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, WaitTimeoutResult,
    };

    /// Atomics. Every ordering is as strong as SeqCst: orderings are loom's to check.
    pub mod atomic {
        pub use shuttle::sync::atomic::{Ordering, fence};
        use std::fmt;
        use std::ops::Deref;

        macro_rules! atomics {
            ($($name:ident$(<$parameter:ident>)?: $value:ty;)*) => {$(
                #[doc = concat!("`", stringify!($name), "`.")]
                pub struct $name$(<$parameter>)?(shuttle::sync::atomic::$name$(<$parameter>)?);

                impl$(<$parameter>)? fmt::Debug for $name$(<$parameter>)? {
                    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(stringify!($name))
                    }
                }

                impl$(<$parameter>)? $name$(<$parameter>)? {
                    /// With `value` in it.
                    pub const fn new(value: $value) -> Self {
                        Self(shuttle::sync::atomic::$name::new(value))
                    }

                    /// An access that nobody else can have.
                    pub fn with_mut<R>(&mut self, f: impl FnOnce(&mut $value) -> R) -> R {
                        f(self.0.get_mut())
                    }
                }

                impl$(<$parameter>)? Deref for $name$(<$parameter>)? {
                    type Target = shuttle::sync::atomic::$name$(<$parameter>)?;

                    fn deref(&self) -> &Self::Target {
                        &self.0
                    }
                }
            )*};
        }

        atomics! {
            AtomicBool: bool;
            AtomicUsize: usize;
            AtomicU64: u64;
            AtomicPtr<T>: *mut T;
        }
    }
}

/// Threads.
pub mod thread {
    pub use shuttle::thread::{Builder, JoinHandle, current, spawn, yield_now};
}

/// Running schedules.
pub use shuttle;
