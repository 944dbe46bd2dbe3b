//! A condition on what a mutex guards.

use super::blocking::block_on;
use super::charged::charged;
use super::held::{place_of, take};
use super::notices::{Notices, Received};
use crate::debug::switch;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use tokio::sync::{Mutex, MutexGuard, OwnedMutexGuard};

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
async fn relock<G>(
    wait: impl Future<Output = ()>,
    notices: &Notices,
    place: usize,
    lock: impl Future<Output = G>,
) -> G {
    wait.await;
    let notice = Received::new(notices);
    let guard = if switch::is_on() {
        take(place, Location::caller(), lock).await
    } else {
        charged(lock).await
    };
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
    pub async fn wait<'a, T: ?Sized>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let mutex: &'a Mutex<T> = MutexGuard::mutex(&guard);
        let wait = self.0.enlist();
        drop(guard);
        relock(wait, &self.0, place_of(mutex), mutex.lock()).await
    }

    /// As [`wait`](Self::wait), for a guard that keeps its mutex alive.
    ///
    /// # Cancel safety
    ///
    /// As [`wait`](Self::wait).
    pub async fn wait_owned<T: ?Sized>(&self, guard: OwnedMutexGuard<T>) -> OwnedMutexGuard<T> {
        let mutex = Arc::clone(OwnedMutexGuard::mutex(&guard));
        let wait = self.0.enlist();
        drop(guard);
        relock(wait, &self.0, place_of(&*mutex), mutex.lock_owned()).await
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
    pub async fn wait_while<'a, T: ?Sized>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        while condition(&mut guard) {
            guard = self.wait(guard).await;
        }
        guard
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
    pub async fn wait_for<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        self.wait_while(guard, |value| !condition(value)).await
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
