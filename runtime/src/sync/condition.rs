//! A condition on what a mutex guards.

use super::blocking::block_on;
use super::mutex::{MutexGuard, OwnedMutexGuard};
use super::notices::{Notices, Received};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

/// Waits until somebody says that what a [`Mutex`](super::Mutex) guards has changed: asyncio's `Condition`.
///
/// Fair: [`notify_one`](Self::notify_one) wakes who has waited longest. Somebody who was notified and is dropped before it has the lock again passes the notice on to
/// the next. A wait ends only by a notice, but what it waited for may have changed again before it has the lock; [`wait_for`](Self::wait_for) looks.
///
/// Unlike asyncio's, the lock need not be held to notify. Whoever changes the value under the lock and notifies after that loses no wake-up.
///
/// ```
/// use filch::sync::{Condition, Mutex};
/// use std::sync::Arc;
///
/// # filch::run(async {
/// let shared = Arc::new((Mutex::new(0), Condition::new()));
/// let other = shared.clone();
/// let task = filch::spawn(async move {
///     let (value, changed) = &*other;
///     *changed.wait_for(value.lock().await, |value| *value > 1).await
/// });
/// let (value, changed) = &*shared;
/// *value.lock().await = 2;
/// changed.notify_all();
/// assert_eq!(task.await.unwrap(), 2);
/// # });
/// ```
pub struct Condition(Notices);

/// Waits for a notice and then for the lock; a notice that comes to nothing is passed on.
async fn relock<G>(wait: impl Future<Output = ()>, notices: &Notices, lock: impl Future<Output = G>) -> G {
    wait.await;
    let notice = Received::new(notices);
    let guard = lock.await;
    notice.use_up();
    guard
}

impl Condition {
    /// Nobody waits yet.
    pub fn new() -> Self {
        Self(Notices::new())
    }

    /// Unlocks, waits for a notice, and locks again. No notice is missed between.
    ///
    /// # Cancel safety
    ///
    /// A wait that is dropped is without the lock. If it had been notified the next who waits is.
    #[track_caller]
    pub fn wait<'a, T: ?Sized>(&self, guard: MutexGuard<'a, T>) -> impl Future<Output = MutexGuard<'a, T>> {
        self.wait_at(guard, Location::caller())
    }

    async fn wait_at<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        place: &'static Location<'static>,
    ) -> MutexGuard<'a, T> {
        let mutex = MutexGuard::mutex(&guard);
        let wait = self.0.enlist();
        drop(guard);
        relock(wait, &self.0, mutex.lock_at(place)).await
    }

    /// As [`wait`](Self::wait), for a guard that keeps its mutex alive.
    ///
    /// # Cancel safety
    ///
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_owned<T: ?Sized>(&self, guard: OwnedMutexGuard<T>) -> impl Future<Output = OwnedMutexGuard<T>> {
        let place = Location::caller();
        async move {
            let mutex = Arc::clone(OwnedMutexGuard::mutex(&guard));
            let wait = self.0.enlist();
            drop(guard);
            relock(wait, &self.0, mutex.lock_owned_at(place)).await
        }
    }

    /// Waits as long as `condition` holds. It is looked at under the lock, before the first wait and after each.
    ///
    /// # Panics
    ///
    /// If `condition` does.
    ///
    /// # Cancel safety
    ///
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_while<'a, T: ?Sized>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> impl Future<Output = MutexGuard<'a, T>> {
        let place = Location::caller();
        async move {
            while condition(&mut guard) {
                guard = self.wait_at(guard, place).await;
            }
            guard
        }
    }

    /// Waits until `condition` holds. It is looked at under the lock, before the first wait and after each.
    ///
    /// # Panics
    ///
    /// If `condition` does.
    ///
    /// # Cancel safety
    ///
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_for<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> impl Future<Output = MutexGuard<'a, T>> {
        self.wait_while(guard, move |value| !condition(value))
    }

    /// Unlocks, blocks this thread until it is notified, and locks again.
    ///
    /// # Panics
    ///
    /// On a thread that runs a filch runtime.
    #[track_caller]
    pub fn wait_blocking<'a, T: ?Sized>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        block_on("Condition::wait_blocking", self.wait(guard))
    }

    /// Notifies who has waited longest. If nobody waits nothing happens.
    pub fn notify_one(&self) {
        self.0.notify(1);
    }

    /// Notifies the `n` who have waited longest.
    pub fn notify(&self, n: usize) {
        self.0.notify(n);
    }

    /// Notifies all who wait.
    pub fn notify_all(&self) {
        self.0.notify(usize::MAX);
    }
}

impl Default for Condition {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condition").field("waiting", &self.0.waiting()).finish()
    }
}
