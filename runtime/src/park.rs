//! The park of a thread that is no worker: how `block_on` waits.

use crate::shim::{Bug, Condvar, Mutex, seeded};
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Instant;

/// One thread's park, with one token: an unpark that comes first ends the next park at once.
#[derive(Debug)]
pub(crate) struct Parker {
    token: Mutex<bool>,
    given: Condvar,
}

impl Parker {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            token: Mutex::new(false),
            given: Condvar::new(),
        })
    }

    /// Waits for the token and takes it.
    pub(crate) fn park(&self) {
        let mut token = self.token.lock();
        if seeded(Bug::TokenThrownAway) {
            *token = false;
        }
        while !*token {
            token = self.given.wait(token);
        }
        *token = false;
    }

    /// As [`park`](Self::park), until `deadline` at the latest. False if that came first.
    pub(crate) fn park_until(&self, deadline: Instant) -> bool {
        let mut token = self.token.lock();
        while !*token {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            token = self.given.wait_timeout(token, left).0;
        }
        *token = false;
        true
    }

    /// Waits for the token and leaves it there.
    pub(crate) fn wait(&self) {
        let mut token = self.token.lock();
        while !*token {
            token = self.given.wait(token);
        }
    }

    /// Takes the token, if it is there.
    pub(crate) fn take(&self) {
        *self.token.lock() = false;
    }

    pub(crate) fn has_token(&self) -> bool {
        *self.token.lock()
    }

    pub(crate) fn unpark(&self) {
        // Under the lock, so that it cannot fall between a parker's look and its wait.
        let before = std::mem::replace(&mut *self.token.lock(), true);
        if !before {
            self.given.notify_one();
        }
    }

    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(self.clone())
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.unpark();
    }
}
