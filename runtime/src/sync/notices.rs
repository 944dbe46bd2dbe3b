//! Notices to those who wait for one: what a condition is without its lock.

use super::waiters::{Guarded, Left, Step, Turn, Wait, Waitable, Waiters};
use crate::shim::{Bug, seeded};

/// Those who wait for a notice, in order.
#[derive(Debug)]
pub(crate) struct Notices(Guarded<Waiters>);

impl Notices {
    pub(crate) fn new() -> Self {
        Self(Guarded::new(Waiters::new()))
    }

    /// A wait that counts from now on, not from its first poll.
    pub(crate) fn enlist(&self) -> Wait<'_, Self> {
        let ticket = self.0.with(|waiters, _| waiters.enlist(()));
        Wait::enlisted(self, (), ticket)
    }

    /// Notifies the `n` who have waited longest.
    pub(crate) fn notify(&self, n: usize) {
        self.0.with(|waiters, wakes| {
            for _ in 0..n {
                if waiters.grant(wakes).is_none() {
                    break;
                }
            }
        });
    }

    /// How many wait and have not been notified.
    pub(crate) fn waiting(&self) -> usize {
        self.0.with(|waiters, _| waiters.waiting())
    }
}

impl Waitable for Notices {
    type Request = ();
    type Output = ();

    fn look(&self, (): &mut (), turn: &mut Turn<'_>) -> Step<()> {
        self.0.with(|waiters, _| match waiters.redeem(&mut turn.ticket) {
            Some(()) => Step::Done(()),
            None => waiters.wait(turn, || ()),
        })
    }

    fn leave(&self, (): &mut (), ticket: u64) {
        let _left = self.0.with(|waiters, wakes| {
            let left = waiters.leave(ticket);
            if matches!(left, Left::Granted(())) && !seeded(Bug::NoticeNotPassedOn) {
                waiters.grant(wakes);
            }
            left
        });
    }
}

/// A notice that was received and is not used yet: dropped, it goes to the next.
#[derive(Debug)]
#[must_use = "dropped at once, it goes to the next"]
pub(crate) struct Received<'a>(Option<&'a Notices>);

impl<'a> Received<'a> {
    pub(crate) fn new(notices: &'a Notices) -> Self {
        Self(Some(notices))
    }

    pub(crate) fn use_up(mut self) {
        self.0 = None;
    }
}

impl Drop for Received<'_> {
    fn drop(&mut self) {
        if let Some(notices) = self.0 {
            notices.notify(1);
        }
    }
}
