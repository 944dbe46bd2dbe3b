//! One deadline, armed at its first poll: the part that [`Sleep`](crate::Sleep), [`Timeout`](crate::Timeout) and
//! [`Interval`](crate::Interval) share.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::current;
use crate::instant::Instant;
use crate::sync::{Bug, seeded};
use crate::timers::{Shutdown, Timers};
use crate::wheel::Key;

/// Not a timer's key: the deadline was far away when the alarm was made.
const FAR: Key = Key::reserved(0);
/// Not a timer's key: the alarm has been seen to fire.
const SPENT: Key = Key::reserved(1);

/// A duration of this much or more has hardly passed when the future is polled for the first time, so that poll saves the
/// look at the clock, a quarter of what arming costs. If it has passed after all, the next turn fires it.
const LONG: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct Alarm {
    deadline: Instant,
    timers: Arc<Timers>,
    /// `None`: not armed. `FAR`: not armed, and far away when it was made. `SPENT`: seen to have fired. Else: armed, or
    /// fired and not yet seen, as `timers` knows.
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
    pub(crate) fn after(duration: Duration) -> Alarm {
        let timers = current::timers();
        let now = Instant::from_std(timers.clock().now());
        let key = (duration >= LONG).then_some(FAR);
        Alarm {
            deadline: now.later(duration),
            timers,
            key,
        }
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_std(self.timers.clock().now())
    }

    pub(crate) fn is_elapsed(&self) -> bool {
        self.key == Some(SPENT) || self.armed().is_some_and(|key| !self.timers.is_armed(key))
    }

    /// Ready once the deadline has passed; does not touch the poll budget.
    ///
    /// # Panics
    ///
    /// If the runtime has been shut down.
    pub(crate) fn poll_elapsed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let elapsed = match self.key {
            Some(SPENT) => return Poll::Ready(()),
            Some(FAR) | None => self.first_poll(cx),
            Some(key) => self.timers.poll(key, cx.waker()),
        };
        match elapsed {
            Ok(true) => {
                self.key = Some(SPENT);
                Poll::Ready(())
            }
            Ok(false) => Poll::Pending,
            Err(Shutdown) => {
                panic!("this timer can never fire: the filch runtime that it belongs to has been shut down")
            }
        }
    }

    /// Arms, unless the deadline has passed. `Ok(true)`: it has.
    fn first_poll(&mut self, cx: &Context<'_>) -> Result<bool, Shutdown> {
        if self.timers.is_shut_down() {
            return Err(Shutdown);
        }
        let far = self.key.is_some() && self.timers.clock().is_machines();
        if !far && self.deadline <= self.now() {
            return Ok(true);
        }
        self.key = Some(self.timers.arm(self.deadline.into_std(), cx.waker().clone())?);
        Ok(false)
    }

    /// Charges the poll budget, then it is the caller's turn to become ready.
    pub(crate) fn charge(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.timers.charge(cx)
    }

    /// Sets another deadline. If the alarm is armed it stays so, with the waker it has.
    pub(crate) fn reset(&mut self, deadline: Instant) {
        self.deadline = deadline;
        let key = self.armed();
        self.key = None;
        let Some(nearer) = current::nearer(&self.timers) else {
            self.key = key.filter(|key| self.timers.rearm(*key, deadline.into_std()));
            return;
        };
        let waker = key.and_then(|key| self.timers.cancel(key));
        if let Some(waker) = waker.as_ref().filter(|_| seeded(Bug::MoveLeavesCopy)) {
            let _ = self.timers.arm(deadline.into_std(), waker.clone());
        }
        self.timers = nearer;
        // A refusal shows at the next poll.
        self.key = waker.and_then(|waker| self.timers.arm(deadline.into_std(), waker).ok());
    }

    /// The key, if it was ever armed since the latest deadline was set and has not been seen to fire.
    fn armed(&self) -> Option<Key> {
        self.key.filter(|key| !key.is_reserved())
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(key) = self.armed() {
            self.timers.cancel(key);
        }
    }
}
