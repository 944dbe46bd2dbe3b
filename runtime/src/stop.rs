//! The wish that a runner's loop stops.

use crate::shim::Mutex;
use std::task::{Context, Poll, Waker};

/// A wish that stays until it is taken.
#[derive(Debug)]
pub(crate) struct Stop(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    asked: bool,
    waiter: Option<Waker>,
}

impl Stop {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State::default()))
    }

    pub(crate) fn ask(&self) {
        let waiter = {
            let mut state = self.0.lock();
            state.asked = true;
            state.waiter.take()
        };
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.0.lock().asked
    }

    /// Waits for the wish, and leaves it there.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut state = self.0.lock();
        if state.asked {
            drop(state);
            return Poll::Ready(());
        }
        let before = state.waiter.replace(waker);
        drop(state);
        drop(before);
        Poll::Pending
    }

    /// Takes the wish, and who waited for it.
    pub(crate) fn take(&self) -> bool {
        let state = std::mem::take(&mut *self.0.lock());
        state.asked
    }
}
