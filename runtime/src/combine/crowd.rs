//! Handles that are given back in the order in which their tasks end.

use crate::arrivals::Arrivals;
use crate::coop;
use crate::shim::{Bug, seeded};
use crate::task::join::JoinHandle;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

/// Handles of tasks, by numbers that count up. Dropped, it lets the tasks run on.
#[derive(Debug)]
pub(super) struct Crowd<T> {
    handles: BTreeMap<u64, JoinHandle<T>>,
    next: u64,
    ended: Arc<Arrivals>,
}

impl<T> Crowd<T> {
    pub(super) fn new() -> Self {
        Self {
            handles: BTreeMap::new(),
            next: 0,
            ended: Arc::new(Arrivals::new()),
        }
    }

    pub(super) fn insert(&mut self, mut handle: JoinHandle<T>) {
        let number = self.next;
        self.next += 1;
        let waker = self.ended.waker(number);
        let has_ended = handle.poll_end(&mut Context::from_waker(&waker)).is_ready();
        if has_ended && !seeded(Bug::CrowdForgetsEnded) {
            self.ended.push(number);
        }
        self.handles.insert(number, handle);
    }

    pub(super) fn len(&self) -> usize {
        self.handles.len()
    }

    /// The next handle whose task has ended, with its number; `None` if no handle is left.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<(u64, JoinHandle<T>)>> {
        if self.handles.is_empty() {
            return Poll::Ready(None);
        }
        loop {
            let number = ready!(self.ended.poll_next(cx));
            if !self.handles.get(&number).is_some_and(JoinHandle::is_finished) {
                continue;
            }
            if coop::charge(cx).is_pending() {
                // Nothing is lost: it is the first to be asked next time.
                self.ended.put_back(number);
                return Poll::Pending;
            }
            return Poll::Ready(self.handles.remove(&number).map(|handle| (number, handle)));
        }
    }

    pub(super) async fn next(&mut self) -> Option<(u64, JoinHandle<T>)> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The handles that were not given back.
    pub(super) fn into_rest(self) -> BTreeMap<u64, JoinHandle<T>> {
        self.handles
    }
}

impl<T> FromIterator<JoinHandle<T>> for Crowd<T> {
    fn from_iter<I: IntoIterator<Item = JoinHandle<T>>>(handles: I) -> Self {
        let mut crowd = Self::new();
        handles.into_iter().for_each(|handle| crowd.insert(handle));
        crowd
    }
}

/// The outcome of a task that has ended.
pub(super) fn outcome<T>(mut handle: JoinHandle<T>) -> Result<T, crate::task::error::JoinError> {
    match handle.poll_uncharged(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => unreachable!("the task was seen to have ended"),
    }
}
