//! One deadline, armed at its first poll: the part that [`Sleep`](crate::Sleep), [`Timeout`](crate::Timeout) and
//! [`Interval`](crate::Interval) share.

use std::sync::Arc;
use std::task::{Context, Poll};

use crate::current;
use crate::instant::Instant;
use crate::timers::{Shutdown, Timers};
use crate::wheel::Key;

#[derive(Debug)]
pub(crate) struct Alarm {
    deadline: Instant,
    timers: Arc<Timers>,
    /// `None`: not armed. `Key::SPENT`: seen to have fired. Else: armed, or fired and not yet seen, as `timers` knows.
    key: Option<Key>,
}

impl Alarm {
    /// An alarm that belongs to the present worker.
    #[track_caller]
    pub(crate) fn until(deadline: Instant) -> Alarm {
        Alarm {
            deadline,
            timers: current::timers(),
            key: None,
        }
    }

    /// As [`until`](Alarm::until), counted from now.
    #[track_caller]
    pub(crate) fn after(duration: std::time::Duration) -> Alarm {
        let timers = current::timers();
        let now = Instant::from_std(timers.clock().now());
        Alarm {
            deadline: now.later(duration),
            timers,
            key: None,
        }
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_std(self.timers.clock().now())
    }

    pub(crate) fn is_elapsed(&self) -> bool {
        self.key
            .is_some_and(|key| key == Key::SPENT || !self.timers.is_armed(key))
    }

    /// Ready once the deadline has passed; does not touch the poll budget.
    ///
    /// # Panics
    ///
    /// If the runtime has been shut down.
    pub(crate) fn poll_elapsed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let elapsed = match self.key {
            Some(Key::SPENT) => return Poll::Ready(()),
            Some(key) => self.timers.poll(key, cx.waker()),
            None if self.timers.is_shut_down() => Err(Shutdown),
            None if self.deadline <= self.now() => Ok(true),
            None => self
                .timers
                .arm(self.deadline.into_std(), cx.waker().clone())
                .map(|key| {
                    self.key = Some(key);
                    false
                }),
        };
        match elapsed {
            Ok(true) => {
                self.key = Some(Key::SPENT);
                Poll::Ready(())
            }
            Ok(false) => Poll::Pending,
            Err(Shutdown) => {
                panic!("this timer can never fire: the filch runtime that it belongs to has been shut down")
            }
        }
    }

    /// Charges the poll budget, then it is the caller's turn to become ready.
    pub(crate) fn charge(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.timers.charge(cx)
    }

    /// Sets another deadline. If the alarm is armed it stays so, with the waker it has.
    pub(crate) fn reset(&mut self, deadline: Instant) {
        self.deadline = deadline;
        let key = self.key.take().filter(|key| *key != Key::SPENT);
        let Some(nearer) = current::nearer(&self.timers) else {
            self.key = key.filter(|key| self.timers.rearm(*key, deadline.into_std()));
            return;
        };
        let waker = key.and_then(|key| self.timers.cancel(key));
        self.timers = nearer;
        // A refusal shows at the next poll.
        self.key = waker.and_then(|waker| self.timers.arm(deadline.into_std(), waker).ok());
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(key) = self.key.filter(|key| *key != Key::SPENT) {
            self.timers.cancel(key);
        }
    }
}
