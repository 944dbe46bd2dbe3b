//! The callbacks of a runtime that wait for their turn.
//!
//! A callback is claimed under its own lock, by the task that calls it, by whoever cancels it, or by the runtime's end: exactly one of
//! them takes the function out. The lists are behind another lock, and never is one of the two taken under the other. The task that
//! calls, if there is one, leaves its waker in the section of the lock in which it finds nothing due; whoever changes what comes
//! first takes it in the section of the change. So no protocol goes over more than one lock.

use crate::shim::{Condvar, Mutex, catch_unwind, drop_quietly, thread_local_const, thread_number};
use filch_timer::Instant;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::task::Waker;

thread_local_const! {
    /// Whose callback this thread is in. Only compared.
    static CALLING: Cell<*const Calls> = Cell::new(std::ptr::null())
}

/// A function that is called once.
pub(crate) type Callback = Box<dyn FnOnce() + Send>;

/// Where a callback stands: those without a time first, in the order of the calls, and then the earliest.
pub(crate) type Place = (Option<Instant>, u64);

/// What there is to call.
pub(crate) struct Calls(Mutex<State>);

struct State {
    /// Those that wait for the next turn, or for their time.
    waiting: BTreeMap<Place, Arc<Call>>,
    /// The rest of the turn that is under way.
    turn: BTreeMap<Place, Arc<Call>>,
    next: u64,
    /// There is a task that calls them, or it is about to be spawned.
    driven: bool,
    /// Of that task, while it waits.
    driver: Option<Waker>,
}

/// What is due when a turn is over.
pub(crate) enum Due {
    /// Another turn.
    Turn,
    /// Nothing, before this time.
    At(Instant),
    /// Nothing, ever: the task that calls has been counted out, and ends.
    Nothing,
}

impl Calls {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            waiting: BTreeMap::new(),
            turn: BTreeMap::new(),
            next: 0,
            driven: false,
            driver: None,
        })))
    }

    /// Files a callback. True if the caller has to spawn the task that calls.
    pub(crate) fn add(&self, time: Option<Instant>, f: Callback) -> (Place, Arc<Call>, bool) {
        let call = Arc::new(Call {
            fate: Mutex::new(Fate::Pending(f)),
            over: Condvar::new(),
        });
        let (place, waker, undriven) = {
            let mut state = self.0.lock();
            state.next += 1;
            let place = (time, state.next);
            state.waiting.insert(place, call.clone());
            let is_first = state
                .waiting
                .first_key_value()
                .is_some_and(|(first, _)| *first == place);
            let waker = if is_first { state.driver.take() } else { None };
            (place, waker, !std::mem::replace(&mut state.driven, true))
        };
        wake(waker);
        (place, call, undriven)
    }

    /// Cancels a callback, if it is still there. One that is being called is waited for if `waits` says so.
    pub(crate) fn cancel(&self, place: &Place, call: &Call, waits: bool) -> CancelOutcome {
        match call.claim(Fate::Cancelled) {
            Some(f) => {
                self.remove(place);
                drop_quietly(f);
                CancelOutcome::Cancelled
            }
            None => call.outcome(waits),
        }
    }

    /// Forgets a callback that has been claimed.
    fn remove(&self, place: &Place) {
        let (call, waker) = {
            let mut state = self.0.lock();
            let is_first = state.waiting.first_key_value().is_some_and(|(first, _)| first == place);
            let call = state.waiting.remove(place).or_else(|| state.turn.remove(place));
            // The task that calls would sleep until a time for which nobody waits, or be alive without a reason.
            let waker = if is_first { state.driver.take() } else { None };
            (call, waker)
        };
        drop(call);
        wake(waker);
    }

    /// The next callback of this turn.
    pub(crate) fn take(&self) -> Option<Arc<Call>> {
        self.0.lock().turn.pop_first().map(|(_, call)| call)
    }

    /// Calls `call`, unless it was cancelled.
    pub(crate) fn run(&self, call: &Call) {
        let before = CALLING.with(|calling| calling.replace(std::ptr::from_ref(self)));
        call.run();
        CALLING.with(|calling| calling.set(before));
    }

    /// Whether this thread is inside of one of these callbacks, so that no other one can be called.
    pub(crate) fn is_calling_here(&self) -> bool {
        CALLING
            .try_with(|calling| std::ptr::eq(calling.get(), self))
            .unwrap_or(false)
    }

    /// What is due at `now`, behind a turn. Unless that is another turn, or nothing at all, `waker` is woken when it changes.
    pub(crate) fn due(&self, now: Instant, waker: &Waker) -> Due {
        let waker = waker.clone();
        let mut state = self.0.lock();
        let due = match state.waiting.first_key_value() {
            None => Due::Nothing,
            Some((&(Some(time), _), _)) if time > now => Due::At(time),
            Some(_) => Due::Turn,
        };
        state.driven = !matches!(due, Due::Nothing);
        let before = match due {
            Due::At(_) => state.driver.replace(waker),
            Due::Turn | Due::Nothing => state.driver.take(),
        };
        drop(state);
        drop(before);
        due
    }

    /// Makes a turn of all that is due at `now`; what comes later, even from these, waits for the next one.
    pub(crate) fn begin(&self, now: Instant) {
        let mut state = self.0.lock();
        // Behind all that are due: there are not so many calls.
        let later = state.waiting.split_off(&(Some(now), u64::MAX));
        // The turn before is over.
        state.turn = std::mem::replace(&mut state.waiting, later);
    }

    /// The task that calls is dropped: so is all that waits for it.
    pub(crate) fn abandon(&self) {
        let (waiting, turn, waker) = {
            let mut state = self.0.lock();
            state.driven = false;
            (
                std::mem::take(&mut state.waiting),
                std::mem::take(&mut state.turn),
                state.driver.take(),
            )
        };
        drop(waker);
        for call in turn.into_values().chain(waiting.into_values()) {
            drop_quietly(call.claim(Fate::Dropped));
        }
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").finish_non_exhaustive()
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// One callback.
pub(crate) struct Call {
    fate: Mutex<Fate>,
    /// It has been called.
    over: Condvar,
}

enum Fate {
    Pending(Callback),
    Running {
        /// The number of the thread.
        thread: usize,
        /// Somebody waits for the end.
        awaited: bool,
    },
    Ran,
    Cancelled,
    /// Together with the task that calls.
    Dropped,
}

/// What a [`cancel`](crate::runtime::CallHandle::cancel) has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CancelOutcome {
    /// The callback is never called: it was cancelled now, or had been before.
    Cancelled,
    /// It was called, and has returned or panicked; or it is its own code that cancels it.
    AlreadyRan,
    /// It is being called on another thread, and this one polls tasks, so it must not wait.
    Running,
    /// The runtime was shut down before its turn came: it is never called.
    Dropped,
}

impl Call {
    /// Takes the function, for somebody who says what becomes of it; nothing if somebody else was first.
    fn claim(&self, to: Fate) -> Option<Callback> {
        let mut fate = self.fate.lock();
        match std::mem::replace(&mut *fate, to) {
            Fate::Pending(f) => Some(f),
            before => {
                *fate = before;
                None
            }
        }
    }

    /// Calls it, if nobody has cancelled it. A panic is the panic hook's.
    fn run(&self) {
        let running = Fate::Running {
            thread: thread_number(),
            awaited: false,
        };
        let Some(f) = self.claim(running) else { return };
        if let Err(payload) = catch_unwind(f) {
            drop_quietly(payload);
        }
        let before = std::mem::replace(&mut *self.fate.lock(), Fate::Ran);
        // Notifying costs a system call, whether somebody waits or not.
        if let Fate::Running { awaited: true, .. } = before {
            self.over.notify_all();
        }
    }

    pub(crate) fn is_pending(&self) -> bool {
        matches!(*self.fate.lock(), Fate::Pending(_))
    }

    /// What has become of it when it is not pending any more; with `waits`, when it is not being called either.
    fn outcome(&self, waits: bool) -> CancelOutcome {
        let mut fate = self.fate.lock();
        loop {
            return match &mut *fate {
                Fate::Running { thread, .. } if *thread == thread_number() => CancelOutcome::AlreadyRan,
                Fate::Running { awaited, .. } if waits => {
                    *awaited = true;
                    fate = self.over.wait(fate);
                    continue;
                }
                Fate::Running { .. } => CancelOutcome::Running,
                Fate::Ran => CancelOutcome::AlreadyRan,
                Fate::Cancelled => CancelOutcome::Cancelled,
                Fate::Dropped => CancelOutcome::Dropped,
                Fate::Pending(_) => unreachable!("it was claimed"),
            };
        }
    }
}
