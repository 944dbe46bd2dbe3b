//! A one-shot alarm, for systems without timerfd: it wakes its waiter when it is set.

use crate::shim::{Condvar, Mutex};
use std::io;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct Alarm {
    at: Mutex<Option<Instant>>,
    changed: Condvar,
}

impl Alarm {
    #[allow(clippy::unnecessary_wraps, reason = "other systems' alarms can fail to be made")]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            at: Mutex::new(None),
            changed: Condvar::new(),
        })
    }

    /// Goes off once, after `delay`, instead of when it would have before.
    pub(crate) fn set(&self, delay: Duration) {
        *self.at.lock() = Some(Instant::now() + delay);
        self.changed.notify_one();
    }

    /// Waits until it goes off; it may return too early.
    pub(crate) fn wait(&self) {
        let mut at = self.at.lock();
        loop {
            match *at {
                None => at = self.changed.wait(at),
                Some(time) => match time.checked_duration_since(Instant::now()) {
                    Some(left) if !left.is_zero() => at = self.changed.wait_timeout(at, left).0,
                    _ => {
                        *at = None;
                        return;
                    }
                },
            }
        }
    }
}
