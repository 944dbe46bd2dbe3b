//! What queues and channels are made of: a store with a limit, those who wait to put, and those who wait to get.
//!
//! A value never leaves its owner before it is in the store, and never leaves the store before it is taken, so whoever is dropped while it waits
//! has put nothing and loses nothing. What is granted is a *right*, and a right that is not used is passed on:
//!
//! - A getter is granted an item: the store holds at least as many items as there are granted getters, and nobody else takes those.
//! - A putter is granted room: `items + granted putters <= capacity`.
//! - Without capacity (a rendezvous) the room for putters is made by getters who wait: `items + granted putters <= granted getters + waiting getters`.
//!   A putter that finds the getter gone waits on, with its old ticket. A getter that is dropped after its value came leaves that for the next.
//! - While anybody waits there is no right for them: each change grants as much as there is.
//!
//! When it is closed, no room is granted any more, and items are anybody's who asks.

use super::waiters::{Guarded, Left, Step, Turn, Waitable, Waiters, Wakes};
use crate::shim::{Bug, seeded};
use std::fmt;
use std::marker::PhantomData;
use std::mem;

/// The channel or queue takes no more values: here is the one that was to be put in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Closed<T>(pub T);

impl<T> fmt::Debug for Closed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closed(..)")
    }
}

impl<T> fmt::Display for Closed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is closed")
    }
}

impl<T> std::error::Error for Closed<T> {}

/// The value could not be put in at once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TryPutError<T> {
    /// There is no room.
    Full(T),
    /// It takes no more values.
    Closed(T),
}

impl<T> TryPutError<T> {
    /// The value.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(value) | Self::Closed(value) => value,
        }
    }

    fn text(&self) -> (&'static str, &'static str) {
        match self {
            Self::Full(_) => ("Full(..)", "there is no room"),
            Self::Closed(_) => ("Closed(..)", "it is closed"),
        }
    }
}

impl<T> fmt::Debug for TryPutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().0)
    }
}

impl<T> fmt::Display for TryPutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().1)
    }
}

impl<T> std::error::Error for TryPutError<T> {}

/// There is nothing to be taken out at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryGetError {
    /// There is nothing that is not promised to somebody who waits.
    Empty,
    /// There is nothing, and nothing will come.
    Closed,
}

impl fmt::Display for TryGetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "there is nothing",
            Self::Closed => "it is closed and empty",
        })
    }
}

impl std::error::Error for TryGetError {}

/// Where the items are, and which comes first.
pub(super) trait Store<T> {
    fn push(&mut self, value: T);
    fn pop(&mut self) -> Option<T>;
    fn len(&self) -> usize;
}

/// The figures of an exchange.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figures {
    pub(super) len: usize,
    pub(super) promised: usize,
    pub(super) peak: usize,
    pub(super) putters: usize,
    pub(super) getters: usize,
    pub(super) closed: bool,
}

#[derive(Debug)]
pub(super) struct Exchange<T, S> {
    state: Guarded<State<S>>,
    capacity: Option<usize>,
    _values: PhantomData<fn(T) -> T>,
}

#[derive(Debug)]
struct State<S> {
    store: S,
    closed: bool,
    peak: usize,
    putters: Waiters,
    getters: Waiters,
}

impl<S> State<S> {
    /// What is promised to a getter stands in no one's way, and does not count.
    fn note_peak<T>(&mut self)
    where
        S: Store<T>,
    {
        let unpromised = self.store.len().saturating_sub(self.getters.granted());
        self.peak = self.peak.max(unpromised);
    }
}

impl<T, S: Store<T> + Default> Exchange<T, S> {
    /// Without a capacity there is no limit.
    pub(super) fn new(capacity: Option<usize>) -> Self {
        Self {
            state: Guarded::new(State {
                store: S::default(),
                closed: false,
                peak: 0,
                putters: Waiters::new(),
                getters: Waiters::new(),
            }),
            capacity,
            _values: PhantomData,
        }
    }

    pub(super) fn capacity(&self) -> Option<usize> {
        self.capacity
    }

    pub(super) fn figures(&self) -> Figures {
        self.state.with(|state, _| Figures {
            len: state.store.len(),
            promised: state.getters.granted(),
            peak: state.peak,
            putters: state.putters.waiting() + state.putters.granted(),
            getters: state.getters.waiting() + state.getters.granted(),
            closed: state.closed,
        })
    }

    /// How many more values have room, of those whose putters have no right yet.
    fn room(&self, state: &State<S>) -> usize {
        let taken = state.store.len() + state.putters.granted();
        let places = match self.capacity {
            None => return usize::MAX,
            Some(0) => state.getters.granted() + state.getters.waiting(),
            Some(capacity) => capacity,
        };
        places.saturating_sub(taken)
    }

    /// Grants room, as much as there is.
    fn invite(&self, state: &mut State<S>, wakes: &mut Wakes) {
        while state.putters.waiting() > 0 && self.room(state) > 0 {
            state.putters.grant(wakes);
        }
    }

    fn push(&self, state: &mut State<S>, wakes: &mut Wakes, value: T, counted: impl FnOnce()) {
        // First: a comparison that panics leaves the item in the store.
        counted();
        state.store.push(value);
        state.getters.grant(wakes);
        state.note_peak();
    }

    fn pop(&self, state: &mut State<S>, wakes: &mut Wakes) -> Option<T> {
        let value = state.store.pop()?;
        self.invite(state, wakes);
        Some(value)
    }

    /// Puts a value in. `counted` is called, under the lock, if it is taken.
    pub(super) fn try_put(&self, value: T, counted: impl FnOnce()) -> Result<(), TryPutError<T>> {
        self.state.with(|state, wakes| {
            if state.closed {
                Err(TryPutError::Closed(value))
            } else if self.room(state) == 0 {
                Err(TryPutError::Full(value))
            } else {
                self.push(state, wakes, value, counted);
                Ok(())
            }
        })
    }

    pub(super) fn try_get(&self) -> Result<T, TryGetError> {
        self.state.with(|state, wakes| {
            if !state.closed && state.store.len() <= state.getters.granted() {
                return Err(TryGetError::Empty);
            }
            self.pop(state, wakes).ok_or(TryGetError::Closed)
        })
    }

    /// Takes no more values. What is in the store stays there.
    pub(super) fn close(&self) {
        self.state.with(|state, wakes| {
            state.closed = true;
            state.putters.grant_all(wakes);
            if !seeded(Bug::CloseForgetsGetters) {
                state.getters.grant_all(wakes);
            }
        });
    }

    /// Takes no more values, and gives those that are in the store. They are dropped outside of the lock, by the caller.
    pub(super) fn close_and_drain(&self) -> S {
        let store = self.state.with(|state, _| {
            state.closed = true;
            mem::take(&mut state.store)
        });
        self.close();
        store
    }
}

/// Somebody who puts `value` in.
#[derive(Debug)]
pub(super) struct Putting<'a, T, S, C> {
    pub(super) exchange: &'a Exchange<T, S>,
    /// Called, under the lock, when the value is taken.
    pub(super) counted: C,
}

impl<T, S: Store<T> + Default, C: Fn()> Waitable for Putting<'_, T, S, C> {
    type Request = Option<T>;
    type Output = Result<(), Closed<T>>;

    fn look(&self, value: &mut Option<T>, turn: &mut Turn<'_>) -> Step<Self::Output> {
        let exchange = self.exchange;
        exchange.state.with(|state, wakes| {
            let granted = state.putters.take_back(turn.ticket);
            // Who waits without a right has no room: there would be a right.
            let room = exchange.room(state) > 0 || granted && seeded(Bug::RoomNotLookedAt);
            let may = state.closed || ((granted || turn.ticket.is_none()) && room);
            if !may {
                // A getter that made the room has gone, or there was none from the beginning.
                return state.putters.wait(turn, || ());
            }
            state.putters.withdraw(&mut turn.ticket);
            let value = value.take().expect("a put is over when its value is gone");
            if state.closed {
                return Step::Done(Err(Closed(value)));
            }
            exchange.push(state, wakes, value, &self.counted);
            Step::Done(Ok(()))
        })
    }

    fn leave(&self, _: &mut Option<T>, ticket: u64) {
        // What is left is dropped outside of the lock.
        let _left = self.exchange.state.with(|state, wakes| {
            let left = state.putters.leave(ticket);
            if !seeded(Bug::RoomNotPassedOn) {
                self.exchange.invite(state, wakes);
            }
            left
        });
    }
}

impl<T, S: Store<T> + Default> Waitable for Exchange<T, S> {
    type Request = ();
    /// `None` if it is closed and empty.
    type Output = Option<T>;

    fn look(&self, (): &mut (), turn: &mut Turn<'_>) -> Step<Option<T>> {
        self.state.with(|state, wakes| {
            let granted = state.getters.redeem(&mut turn.ticket).is_some();
            let free = turn.ticket.is_none() && state.store.len() > state.getters.granted();
            if granted || free || state.closed {
                return Step::Done(self.pop(state, wakes));
            }
            let step = state.getters.wait(turn, || ());
            // In a rendezvous whoever waits here makes room.
            self.invite(state, wakes);
            step
        })
    }

    fn leave(&self, (): &mut (), ticket: u64) {
        let _left = self.state.with(|state, wakes| {
            let left = state.getters.leave(ticket);
            let promised = matches!(left, Left::Granted(()));
            if promised && !seeded(Bug::ItemNotPassedOn) && state.store.len() > state.getters.granted() {
                state.getters.grant(wakes);
            }
            state.note_peak();
            left
        });
    }
}
