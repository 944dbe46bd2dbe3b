//! A handle that several can await.

use crate::coop;
use crate::shim::{Bug, Mutex, catch_unwind, drop_quietly, seeded};
use crate::task::error::JoinError;
use crate::task::join::{JoinHandle, TaskRef};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};

impl<T> JoinHandle<T> {
    /// A handle that is cloned, and awaited as often as you like.
    ///
    /// When all clones are dropped the task runs on.
    ///
    /// ```
    /// # filch::run(async {
    /// let answer = filch::spawn(async { 42 }).shared();
    /// let other = answer.clone();
    /// assert_eq!(filch::spawn(other).await.unwrap().unwrap(), 42);
    /// assert_eq!(answer.await.unwrap(), 42);
    /// # });
    /// ```
    pub fn shared(self) -> Shared<T> {
        Shared {
            task: self.task(),
            place: Arc::new(Mutex::new(Place::Waiting(self))),
            waiters: Arc::new(Waiters(Mutex::new(List::default()))),
            number: None,
        }
    }
}

/// One of several handles of a task. From [`JoinHandle::shared`].
///
/// # Cancel safety
///
/// It can be awaited by `&mut`, and again after it gave the outcome.
pub struct Shared<T> {
    task: TaskRef,
    place: Arc<Mutex<Place<T>>>,
    waiters: Arc<Waiters>,
    /// Under which this one waits.
    number: Option<u64>,
}

enum Place<T> {
    Waiting(JoinHandle<T>),
    Ended(Arc<Result<T, Arc<JoinError>>>),
}

/// The task's join waker: wakes all who wait. It does not know the handle, which knows it.
struct Waiters(Mutex<List>);

#[derive(Default)]
struct List {
    wakers: BTreeMap<u64, Waker>,
    next: u64,
}

impl Wake for Waiters {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }
}

impl Waiters {
    fn wake_all(&self) {
        let wakers = std::mem::take(&mut self.0.lock().wakers);
        for waker in wakers.into_values() {
            // One that panics keeps nobody else from being woken.
            if let Err(payload) = catch_unwind(|| waker.wake()) {
                drop_quietly(payload);
            }
        }
    }

    fn leave(&self, number: Option<u64>, waker: Waker) -> u64 {
        let mut list = self.0.lock();
        let number = number.unwrap_or_else(|| {
            list.next += 1;
            list.next
        });
        let old = list.wakers.insert(number, waker);
        drop(list);
        drop(old);
        number
    }

    fn go(&self, number: Option<u64>) {
        if let Some(number) = number {
            let waker = self.0.lock().wakers.remove(&number);
            drop(waker);
        }
    }
}

impl<T> Shared<T> {
    /// A way to the task.
    pub fn task(&self) -> TaskRef {
        self.task.clone()
    }

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }
}

impl<T: Clone> Future for Shared<T> {
    type Output = Result<T, Arc<JoinError>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.is_finished() {
            ready!(coop::charge(cx));
        } else if !seeded(Bug::SharedLeavesLate) {
            // Before the look at the task: if it ends after that, it finds this waker.
            self.number = Some(self.waiters.leave(self.number, cx.waker().clone()));
        }
        let mut place = self.place.lock();
        let (outcome, handle) = match &mut *place {
            Place::Ended(outcome) => (outcome.clone(), None),
            Place::Waiting(handle) => {
                let waker = Waker::from(self.waiters.clone());
                let outcome = handle.poll_uncharged(&mut Context::from_waker(&waker));
                if outcome.is_pending() && seeded(Bug::SharedLeavesLate) {
                    self.waiters.leave(None, cx.waker().clone());
                }
                let outcome = Arc::new(ready!(outcome).map_err(Arc::new));
                let ended = Place::Ended(outcome.clone());
                (outcome, Some(std::mem::replace(&mut *place, ended)))
            }
        };
        drop(place);
        if let Some(handle) = handle {
            self.waiters.go(self.number);
            if !seeded(Bug::SharedTakesInSilence) {
                // The task wakes nobody if it ends while a poll has its join waker in hand: then the outcome is given to that poll, which is this one.
                self.waiters.wake_all();
            }
            drop(handle);
        }
        Poll::Ready(Result::clone(&outcome))
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self {
            task: self.task.clone(),
            place: self.place.clone(),
            waiters: self.waiters.clone(),
            number: self.number.filter(|_| seeded(Bug::CloneTakesPlace)),
        }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        self.waiters.go(self.number);
    }
}

impl<T> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("task", &self.task)
            .finish_non_exhaustive()
    }
}
