//! Which of several tasks have ended, in the order in which they did.

use crate::shim::{Bug, Mutex, seeded};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// A queue of numbers, each of somebody who has something to say, and the one who waits for them.
#[derive(Debug)]
pub(crate) struct Arrivals(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    entries: VecDeque<u64>,
    waiter: Option<Waker>,
}

/// The join waker of one of them.
#[derive(Debug)]
struct Entry {
    number: u64,
    arrivals: Arc<Arrivals>,
}

impl Wake for Entry {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.arrivals.push(self.number);
    }
}

impl Arrivals {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Queue::default()))
    }

    /// A waker that says that `number` has something to say.
    pub(crate) fn waker(self: &Arc<Self>, number: u64) -> Waker {
        Waker::from(Arc::new(Entry {
            number,
            arrivals: self.clone(),
        }))
    }

    pub(crate) fn push(&self, number: u64) {
        let waiter = {
            let mut queue = self.0.lock();
            queue.entries.push_back(number);
            queue.waiter.take()
        };
        if let Some(waiter) = waiter.filter(|_| !seeded(Bug::SetWakesNobody)) {
            waiter.wake();
        }
    }

    /// The number that was just taken is the next one again.
    pub(crate) fn put_back(&self, number: u64) {
        self.0.lock().entries.push_front(number);
    }

    pub(crate) fn try_next(&self) -> Option<u64> {
        self.0.lock().entries.pop_front()
    }

    /// The next number; each is given once for each time that it came. One task at a time waits here.
    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<u64> {
        let mut queue = self.0.lock();
        if let Some(number) = queue.entries.pop_front() {
            return Poll::Ready(number);
        }
        let old = match &queue.waiter {
            Some(waiter) if waiter.will_wake(cx.waker()) => None,
            _ => queue.waiter.replace(cx.waker().clone()),
        };
        drop(queue);
        drop(old);
        Poll::Pending
    }
}
