//! Those who wait, in order: the one list that all primitives of filch's own share.
//!
//! A primitive is a state behind one lock, [`Guarded`]. Whoever has to wait takes a ticket in a [`Waiters`] list of that state and leaves a waker
//! there. Whoever makes way *grants* the first ticket what it waits for, under the lock, and wakes its owner after the lock is free.
//! So there are three places for a ticket:
//!
//! | | its owner's next poll | its owner is dropped |
//! |---|---|---|
//! | waiting | leaves its waker again | it is taken off the list |
//! | granted | is ready, and takes the ticket back | what was granted goes back to the state, which grants it to the next |
//! | gone | never happens | nothing |
//!
//! That a grant is passed on is the whole of cancel safety here: [`Wait`] sees to it, by [`Waitable::leave`].
//!
//! No user code runs under the lock: wakers are cloned before it, woken and dropped after it.

use crate::coop::poll_charged;
use crate::shim::{Mutex, catch_unwind, drop_quietly};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// Wakers that were collected under a lock, to be woken after it.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    /// Nearly always there is one at most: no allocation.
    first: Option<Waker>,
    rest: Vec<Waker>,
}

impl Wakes {
    fn push(&mut self, waker: Waker) {
        if self.first.is_none() {
            self.first = Some(waker);
        } else {
            self.rest.push(waker);
        }
    }

    fn wake_all(self) {
        for waker in self.first.into_iter().chain(self.rest) {
            // A waker that panics is no business of whoever makes way, nor of those behind it.
            if let Err(payload) = catch_unwind(|| waker.wake()) {
                drop_quietly(payload);
            }
        }
    }
}

/// A state behind a lock, with those to be woken after it.
#[derive(Debug)]
pub(crate) struct Guarded<S>(Mutex<S>);

impl<S> Guarded<S> {
    pub(crate) fn new(state: S) -> Self {
        Self(Mutex::new(state))
    }

    /// Changes the state, and wakes who was granted something when the lock is free again.
    #[inline]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut S, &mut Wakes) -> R) -> R {
        let mut wakes = Wakes::default();
        let result = f(&mut self.0.lock(), &mut wakes);
        wakes.wake_all();
        result
    }
}

/// Those who wait, first come first served. `R` is what each says of itself.
#[derive(Debug)]
pub(crate) struct Waiters<R = ()> {
    next: u64,
    /// By ticket, so in the order in which they came.
    waiting: BTreeMap<u64, (Waker, R)>,
    granted: BTreeMap<u64, R>,
}

impl<R> Waiters<R> {
    pub(crate) fn new() -> Self {
        Self {
            next: 0,
            waiting: BTreeMap::new(),
            granted: BTreeMap::new(),
        }
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many were granted what they wait for and have not taken it yet.
    pub(crate) fn granted(&self) -> usize {
        self.granted.len()
    }

    /// A ticket without a waker, for somebody who will poll later.
    pub(crate) fn enlist(&mut self, request: R) -> u64 {
        let ticket = self.next;
        self.next += 1;
        self.waiting.insert(ticket, (Waker::noop().clone(), request));
        ticket
    }

    /// Grants the first who waits, and gives what that one said of itself, to be answered there.
    pub(crate) fn grant(&mut self, wakes: &mut Wakes) -> Option<&mut R> {
        let (ticket, (waker, request)) = self.waiting.pop_first()?;
        wakes.push(waker);
        Some(self.granted.entry(ticket).or_insert(request))
    }

    /// Grants all who wait.
    pub(crate) fn grant_all(&mut self, wakes: &mut Wakes) {
        while self.grant(wakes).is_some() {}
    }

    /// Takes the grant of this ticket, if it has one: the ticket is gone then.
    pub(crate) fn redeem(&mut self, ticket: &mut Option<u64>) -> Option<R> {
        let request = self.granted.remove(&(*ticket)?)?;
        *ticket = None;
        Some(request)
    }

    /// Takes back the grant of this ticket, if it has one: it waits again, at its old place, and has to [leave its waker](Self::wait).
    pub(crate) fn take_back(&mut self, ticket: Option<u64>) -> bool {
        let Some((ticket, request)) = ticket.and_then(|ticket| Some((ticket, self.granted.remove(&ticket)?))) else {
            return false;
        };
        self.waiting.insert(ticket, (Waker::noop().clone(), request));
        true
    }

    /// Takes a ticket off that waits with no waker but the one that [`take_back`](Self::take_back) left, if there is a ticket.
    pub(crate) fn withdraw(&mut self, ticket: &mut Option<u64>) {
        if let Some(ticket) = ticket.take() {
            self.waiting.remove(&ticket);
        }
    }

    /// Waits on, with a new ticket if there is none.
    pub(crate) fn wait<O>(&mut self, turn: &mut Turn<'_>, request: impl FnOnce() -> R) -> Step<O> {
        let present = turn.ticket.and_then(|ticket| self.waiting.get_mut(&ticket));
        if present.as_ref().is_some_and(|(waker, _)| waker.will_wake(turn.waker)) {
            return Step::Waits;
        }
        let Some(waker) = turn.spare.take() else {
            return Step::WantsWaker;
        };
        match present {
            // The old one is dropped with the turn, outside of the lock.
            Some((old, _)) => turn.spare = Some(std::mem::replace(old, waker)),
            None => {
                let ticket = self.enlist(request());
                if let Some((noop, _)) = self.waiting.get_mut(&ticket) {
                    *noop = waker;
                }
                turn.ticket = Some(ticket);
            }
        }
        Step::Waits
    }

    /// Takes a ticket off whose owner goes.
    pub(crate) fn leave(&mut self, ticket: u64) -> Left<R> {
        if let Some((waker, request)) = self.waiting.remove(&ticket) {
            return Left::Waiting(waker, request);
        }
        match self.granted.remove(&ticket) {
            Some(request) => Left::Granted(request),
            None => Left::Gone,
        }
    }
}

/// What a ticket was when its owner went.
pub(crate) enum Left<R> {
    /// It waited.
    Waiting(
        #[allow(dead_code, reason = "it is to be dropped outside of the lock")] Waker,
        R,
    ),
    /// It had been granted what it waited for, which is to be passed on.
    Granted(R),
    /// There is no such ticket.
    Gone,
}

/// One poll's look at a state.
pub(crate) struct Turn<'a> {
    pub(crate) ticket: Option<u64>,
    waker: &'a Waker,
    /// A clone of `waker` to be left behind; afterwards, what stood there before.
    spare: Option<Waker>,
}

/// What a look came to.
pub(crate) enum Step<O> {
    /// It is done.
    Done(O),
    /// Its waker is on the list.
    Waits,
    /// It has to wait, and needs a waker of its own to leave, which is cloned outside of the lock: it will look again.
    WantsWaker,
}

/// What can be waited for.
pub(crate) trait Waitable {
    /// What the one who waits has with it.
    type Request;
    type Output;

    /// Looks, under the lock. If the turn's ticket was granted it must be redeemed.
    fn look(&self, request: &mut Self::Request, turn: &mut Turn<'_>) -> Step<Self::Output>;

    /// The owner of this ticket was dropped: what it was granted is passed on.
    fn leave(&self, request: &mut Self::Request, ticket: u64);
}

/// A wait for `W`, which charges the poll budget when it is done.
#[derive(Debug)]
#[must_use = "futures do nothing unless they are awaited or polled"]
pub(crate) struct Wait<'a, W: Waitable> {
    on: &'a W,
    request: W::Request,
    ticket: Option<u64>,
}

impl<'a, W: Waitable> Wait<'a, W> {
    pub(crate) fn new(on: &'a W, request: W::Request) -> Self {
        Self {
            on,
            request,
            ticket: None,
        }
    }

    /// A wait that stands on the list already.
    pub(crate) fn enlisted(on: &'a W, request: W::Request, ticket: u64) -> Self {
        Self {
            on,
            request,
            ticket: Some(ticket),
        }
    }
}

// Nothing in it is pinned.
impl<W: Waitable> Unpin for Wait<'_, W> {}

impl<W: Waitable> Future for Wait<'_, W> {
    type Output = W::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<W::Output> {
        let this = &mut *self;
        poll_charged(cx, |cx| {
            let mut turn = Turn {
                ticket: this.ticket,
                waker: cx.waker(),
                spare: None,
            };
            loop {
                let step = this.on.look(&mut this.request, &mut turn);
                this.ticket = turn.ticket;
                match step {
                    Step::Done(output) => return Poll::Ready(output),
                    Step::Waits => return Poll::Pending,
                    Step::WantsWaker => turn.spare = Some(cx.waker().clone()),
                }
            }
        })
    }
}

impl<W: Waitable> Drop for Wait<'_, W> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.on.leave(&mut self.request, ticket);
        }
    }
}
