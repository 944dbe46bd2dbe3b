//! The driver's half: the timers of one worker, behind one lock.
//!
//! # Who does what
//!
//! The worker that owns a [`Timers`] calls [`turn`](Timers::turn) while it runs, [`park`](Timers::park) before it sleeps
//! and [`unpark`](Timers::unpark) after. Another worker that rescues a stuck owner calls
//! [`try_turn`](Timers::try_turn). Futures arm and cancel from any thread. All of it happens inside one mutex, which the
//! owner almost always finds free; no waker is woken, cloned or dropped while it is held.
//!
//! # An armed timer
//!
//! An armed timer is an entry of the wheel, and the entry is the whole state: while it exists the timer is armed, and
//! whoever takes it out (a turn, a cancel, the shutdown) has its only waker. So a waker is woken at most once per arming,
//! and a key that finds nothing says that the timer has fired.
//!
//! # No deadline is slept over
//!
//! `park` reads the earliest deadline and sets `parked_until` to it in one section of the lock. An arming is either before
//! that section, then the deadline read includes it; or after, then it sees the mark, and wakes the owner if its own
//! deadline is earlier. An owner that is awake has no mark and is never woken: it will turn before it sleeps.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::mem;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Bug, Mutex, MutexGuard, seeded};
use crate::wheel::{Key, Wheel};

/// Deadlines are rounded up to a multiple of this many nanoseconds (65.536 µs), so that timers close to each other fire in
/// one turn. With a paused clock they are exact.
const GRAIN: u64 = 1 << 16;

/// "No deadline": 584 years from the beginning.
const NEVER: u64 = u64::MAX;

/// Where a timer came from, as the runtime remembers it: it is handed back when the timer outlives the runtime.
pub type Origin = Box<dyn Any + Send>;

/// What the runtime lends to the timers.
#[derive(Clone, Copy, Debug)]
pub struct Hooks {
    /// Charges one unit of the running task's poll budget. Called only when a timer has fired, right before its future
    /// becomes ready; `Pending` means that the budget is used up and that the waker is already arranged for.
    pub charge: fn(&mut Context<'_>) -> Poll<()>,
    /// Says where a timer comes from that is being armed, if the runtime wants to know in the end what is left: [`Timers::left`]. Calls no user code.
    pub origin: Option<fn() -> Origin>,
}

impl Default for Hooks {
    /// No budget.
    fn default() -> Self {
        Hooks {
            charge: |_| Poll::Ready(()),
            origin: None,
        }
    }
}

/// Numbers of one worker's timers, from [`Timers::stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// How many timers were armed so far; one that is given a new deadline while armed is not counted again.
    pub armed: u64,
    /// How many have fired.
    pub fired: u64,
    /// How many are armed now.
    pub pending: usize,
}

/// The timers of one worker.
pub struct Timers {
    clock: Clock,
    /// Ticks of the wheel are nanoseconds since this moment.
    origin: Instant,
    /// Wakes the owner from its sleep.
    unpark: Waker,
    hooks: OnceLock<Hooks>,
    /// A copy of `Inner::next`, to be read without the lock.
    next: AtomicU64,
    /// A copy of `Inner::closed`, to be read without the lock.
    closed: AtomicBool,
    inner: Mutex<Inner>,
}

struct Inner {
    wheel: Wheel<Waker>,
    /// At or before the earliest deadline. Kept beside the atomic copy because loom remembers only the latest access to an
    /// atomic: a load right before each store would hide every other thread's load from it.
    next: u64,
    /// While the owner sleeps (or is about to): the tick at which it wakes by itself. Taken by whoever wakes it earlier.
    parked_until: Option<u64>,
    closed: bool,
    armed: u64,
    fired: u64,
    /// Where the timers come from, if the runtime wants to know. Those that are armed no more are thrown out now and then.
    origins: HashMap<Key, Origin>,
}

/// The runtime has been shut down: nothing can be armed any more.
#[derive(Debug)]
pub(crate) struct Shutdown;

impl Timers {
    /// The timers of one worker, by the runtime's clock. `unpark` wakes that worker when it sleeps too long; it must not
    /// get lost if the worker is only about to sleep.
    #[must_use]
    pub fn new(clock: Clock, unpark: Waker) -> Timers {
        Timers {
            origin: clock.now(),
            clock,
            unpark,
            hooks: OnceLock::new(),
            next: AtomicU64::new(NEVER),
            closed: AtomicBool::new(false),
            inner: Mutex::new(Inner {
                wheel: Wheel::new(),
                next: NEVER,
                parked_until: None,
                closed: false,
                armed: 0,
                fired: 0,
                origins: HashMap::new(),
            }),
        }
    }

    /// The runtime's clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Fires what is due: pushes the wakers onto `fired` and wakes none of them. Returns a moment at or before the next
    /// deadline.
    ///
    /// Costs one load if nothing is due.
    pub fn turn(&self, now: Instant, fired: &mut Vec<Waker>) -> Option<Instant> {
        let now = self.tick(now);
        match self.not_before(now) {
            Some(next) => self.instant(next),
            None => self.turn_locked(self.inner.lock(), now, fired),
        }
    }

    /// [`turn`](Timers::turn) for a worker that is not the owner: `None`, and nothing done, if somebody is busy with these
    /// timers.
    pub fn try_turn(&self, now: Instant, fired: &mut Vec<Waker>) -> Option<Option<Instant>> {
        let now = self.tick(now);
        match self.not_before(now) {
            Some(next) => Some(self.instant(next)),
            None => Some(self.turn_locked(self.inner.try_lock()?, now, fired)),
        }
    }

    /// A moment at or before the next deadline; one load. It may name a timer that has been cancelled: the next turn
    /// corrects it.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        // Relaxed: a hint for the watcher, which looks again.
        self.instant(self.next.load(Ordering::Relaxed))
    }

    /// A moment at or before the next deadline of what is armed now. Takes the lock.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let next = self.inner.lock().wheel.next_turn();
        self.instant(next.unwrap_or(NEVER))
    }

    /// The owner is about to sleep: returns the moment until which it may, which is at or before the next deadline. From
    /// here to [`unpark`](Timers::unpark), arming an earlier timer wakes it.
    ///
    /// Read the clock after this, not before: if it was moved by hand meanwhile, the moment may have come already.
    pub fn park(&self) -> Option<Instant> {
        let mut inner = self.inner.lock();
        // Here, since the owner has nothing else to do. What others cancel while it sleeps, `cancel` sees.
        inner.look_at_the_wheel();
        let next = inner.wheel.next_turn().unwrap_or(NEVER);
        if seeded(Bug::ParkInTwoSections) {
            drop(inner);
            inner = self.inner.lock();
        }
        inner.parked_until = Some(next);
        self.set_next(&mut inner, next);
        drop(inner);
        self.instant(next)
    }

    /// The owner is awake: arming wakes nobody any more.
    pub fn unpark(&self) {
        self.inner.lock().parked_until = None;
    }

    /// The clock was stopped, moved or set going by hand. Wakes the owner if it sleeps until a deadline: that moment comes
    /// at another time now, or it has come.
    pub fn clock_moved(&self) {
        let mut inner = self.inner.lock();
        let wake = inner.parked_until.take_if(|until| *until != NEVER).is_some();
        drop(inner);
        if wake {
            self.unpark.wake_by_ref();
        }
    }

    /// Removes every timer and pushes the wakers onto `woken`, without waking them. Nothing can be armed from now on: a
    /// timer that is polled panics.
    pub fn shutdown(&self, woken: &mut Vec<Waker>) {
        let mut inner = self.inner.lock();
        inner.closed = true;
        inner.parked_until = None;
        inner.forget_origins();
        inner.wheel.clear(|waker| woken.push(waker));
        self.set_next(&mut inner, NEVER);
        // Relaxed: read only by who would otherwise not look at the timers at all.
        self.closed.store(true, Ordering::Relaxed);
    }

    /// After [`shutdown`](Self::shutdown): where those timers come from that were armed then. Gives each once, and none if the runtime did not [want to know](Hooks::origin).
    #[must_use]
    pub fn left(&self) -> Vec<Origin> {
        let mut inner = self.inner.lock();
        let origins = match inner.closed {
            true => mem::take(&mut inner.origins),
            false => HashMap::new(),
        };
        drop(inner);
        origins.into_values().collect()
    }

    /// How many timers were armed, have fired and are armed now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let inner = self.inner.lock();
        Stats {
            armed: inner.armed,
            fired: inner.fired,
            pending: inner.wheel.len(),
        }
    }

    // For the futures.

    /// Arms a timer: `waker` is woken once, at or after `deadline`, unless the timer is cancelled before.
    pub(crate) fn arm(&self, deadline: Instant, waker: Waker) -> Result<Key, Shutdown> {
        let deadline = self.deadline(deadline);
        let open = seeded(Bug::ArmBeforeLock) && !self.is_shut_down();
        let mut inner = self.inner.lock();
        if inner.closed && !open {
            // The waker is a parameter, so it is dropped after the guard.
            return Err(Shutdown);
        }
        inner.armed += 1;
        let key = inner.wheel.insert(deadline, waker);
        self.armed(inner, deadline);
        if let Some(ask) = self.hooks.get().and_then(|hooks| hooks.origin) {
            self.remember(key, ask());
        }
        Ok(key)
    }

    /// Whether the timer has fired; if not, `waker` is the one to wake.
    pub(crate) fn poll(&self, key: Key, waker: &Waker) -> Result<bool, Shutdown> {
        if let Some(answer) = self.look(key, |current| current.will_wake(waker).then_some(false)) {
            return answer;
        }
        // The clone is made, and the old waker dropped, outside the lock.
        let mut waker = waker.clone();
        let answer = self.look(key, |current| {
            mem::swap(current, &mut waker);
            Some(false)
        });
        if seeded(Bug::PollLosesWaker) {
            return Ok(false);
        }
        answer.unwrap_or(Ok(false))
    }

    /// Gives an armed timer another deadline. `false`: it has fired.
    pub(crate) fn rearm(&self, key: Key, deadline: Instant) -> bool {
        let deadline = self.deadline(deadline);
        let mut inner = self.inner.lock();
        let armed = inner.wheel.reset(key, deadline) || seeded(Bug::ResetOfNothing);
        if armed {
            self.armed(inner, deadline);
        }
        armed
    }

    /// Disarms a timer and gives its waker back; `None` if it has fired.
    pub(crate) fn cancel(&self, key: Key) -> Option<Waker> {
        let mut inner = self.inner.lock();
        let waker = inner.wheel.remove(key);
        // The owner will not look before it wakes up, which may take hours.
        if inner.parked_until.is_some() {
            inner.look_at_the_wheel();
        }
        waker
    }

    pub(crate) fn is_armed(&self, key: Key) -> bool {
        self.inner.lock().wheel.contains(key)
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        // Relaxed: see `shutdown`.
        self.closed.load(Ordering::Relaxed)
    }

    pub(crate) fn set_hooks(&self, hooks: Hooks) {
        // Timers belong to one runtime; if they are put into a second handle, the first one's hooks stay.
        let _ = self.hooks.set(hooks);
    }

    /// Charges the budget of the task that is being polled.
    pub(crate) fn charge(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.hooks.get().map_or(Poll::Ready(()), |hooks| (hooks.charge)(cx))
    }

    // Inside.

    #[cold]
    fn remember(&self, key: Key, origin: Origin) {
        let mut inner = self.inner.lock();
        if inner.origins.len() > 2 * inner.wheel.len() + 64 {
            inner.forget_origins();
        }
        // It may have fired meanwhile.
        if inner.wheel.contains(key) {
            inner.origins.insert(key, origin);
        }
    }

    /// The next deadline if it lies after `now`: then there is nothing to turn.
    fn not_before(&self, now: u64) -> Option<u64> {
        // Relaxed: an arming of another thread that is not visible yet is one that came after this turn. The owner cannot
        // sleep over it, since `park` takes the lock.
        let next = self.next.load(Ordering::Relaxed);
        (next > now).then_some(next)
    }

    fn turn_locked(&self, mut inner: MutexGuard<'_, Inner>, now: u64, fired: &mut Vec<Waker>) -> Option<Instant> {
        let before = fired.len();
        inner.wheel.turn(now, |waker| fired.push(waker));
        inner.fired += (fired.len() - before) as u64;
        if seeded(Bug::FireKeepsEntry) {
            for waker in &fired[before..] {
                inner.wheel.insert(now, waker.clone());
            }
        }
        let next = inner.wheel.next_turn().unwrap_or(NEVER);
        self.set_next(&mut inner, next);
        drop(inner);
        self.instant(next)
    }

    /// A timer was armed for `deadline`: passes that on to who has to know.
    fn armed(&self, mut inner: MutexGuard<'_, Inner>, deadline: u64) {
        if deadline < inner.next && !seeded(Bug::ArmLeavesNext) {
            self.set_next(&mut inner, deadline);
        }
        let wake = inner.parked_until.take_if(|until| deadline < *until).is_some();
        drop(inner);
        if wake && !seeded(Bug::ArmIgnoresParked) {
            self.unpark.wake_by_ref();
        }
    }

    /// Looks at an armed timer. `Ok(true)`: it has fired.
    fn look(&self, key: Key, armed: impl FnOnce(&mut Waker) -> Option<bool>) -> Option<Result<bool, Shutdown>> {
        let mut inner = self.inner.lock();
        if inner.closed {
            return Some(Err(Shutdown));
        }
        match inner.wheel.get_mut(key) {
            Some(waker) => armed(waker).map(Ok),
            None => Some(Ok(true)),
        }
    }

    fn set_next(&self, inner: &mut Inner, next: u64) {
        inner.next = next;
        // Relaxed: see `not_before` and `next_due`.
        self.next.store(next, Ordering::Relaxed);
    }

    /// The present tick: rounded down, so that nothing fires early.
    fn tick(&self, now: Instant) -> u64 {
        nanoseconds(now.saturating_duration_since(self.origin))
    }

    /// The tick to fire at: rounded up.
    fn deadline(&self, deadline: Instant) -> u64 {
        let tick = self.tick(deadline);
        if self.clock.is_paused() {
            tick
        } else {
            tick.checked_next_multiple_of(GRAIN).unwrap_or(NEVER)
        }
    }

    /// `None` for `NEVER`, and for what an `Instant` of this system cannot hold.
    fn instant(&self, tick: u64) -> Option<Instant> {
        if tick == NEVER {
            return None;
        }
        self.origin.checked_add(Duration::from_nanos(tick))
    }
}

impl Inner {
    /// Gives back what a burst of timers has left.
    #[cold]
    fn look_at_the_wheel(&mut self) {
        if self.wheel.is_sparse() {
            self.wheel.trim();
        }
    }

    /// Forgets where timers came from that are armed no more.
    fn forget_origins(&mut self) {
        self.origins.retain(|key, _| self.wheel.contains(*key));
    }
}

/// Saturates at 584 years.
fn nanoseconds(duration: Duration) -> u64 {
    duration
        .as_secs()
        .checked_mul(1_000_000_000)
        .and_then(|nanoseconds| nanoseconds.checked_add(u64::from(duration.subsec_nanos())))
        .unwrap_or(NEVER)
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers")
            .field("next_due", &self.next_due())
            .finish_non_exhaustive()
    }
}
