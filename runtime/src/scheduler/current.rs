//! A thread-local that lends a value for as long as a function runs.

use std::cell::Cell;

/// The place of a value that stands further up on the same thread's stack.
pub(super) struct Scoped<T>(Cell<*const T>);

impl<T> Scoped<T> {
    pub(super) const fn new() -> Self {
        Self(Cell::new(std::ptr::null()))
    }

    /// Runs `f`; meanwhile [`get`](Self::get) finds `value` on this thread.
    pub(super) fn set<R>(&self, value: &T, f: impl FnOnce() -> R) -> R {
        struct Restore<'a, T>(&'a Scoped<T>, *const T);
        impl<T> Drop for Restore<'_, T> {
            fn drop(&mut self) {
                self.0.0.set(self.1);
            }
        }
        let restore = Restore(self, self.0.replace(value));
        let result = f();
        drop(restore);
        result
    }

    /// Calls `f` with the value that is set on this thread, if there is one.
    #[inline]
    pub(super) fn get<R>(&self, f: impl FnOnce(Option<&T>) -> R) -> R {
        // SAFETY: the pointer is null, or `set` put it there from a reference and takes it back before that reference ends,
        // also when it unwinds; the cell is a thread-local's, so `set` runs further up on this very stack.
        f(unsafe { self.0.get().as_ref() })
    }
}
