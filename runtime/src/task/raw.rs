//! The task itself: one allocation, and every unsafe step on it.
//!
//! ```text
//! Cell<F, S>   header     state word, vtable, queue link, list links, id, spawn location, cold pointer
//!              home       who schedules the task (S)
//!              stage      the future, then the outcome
//!              joiner     the waker of whoever awaits the handle
//! ```
//!
//! Who may touch which field when:
//!
//! 1. `state`: everyone, through [`State`]'s transitions.
//! 2. `next`: whoever holds the runnable. Outside of a chain it is empty, or, as a mark of the runnable, the task itself.
//! 3. `links`: whoever holds the lock of the list that the task stands in.
//! 4. `stage`: the worker between `start_poll` and the clearing of RUNNING, or its giving away of the runnable; after COMPLETE the handle, if JOIN was set
//!    at that moment, else the worker that completed the task.
//! 5. `joiner`: the handle while JOIN_WAKER is clear and the task is not complete; after COMPLETE the worker that completed the task, if
//!    JOIN_WAKER was set at that moment.
//! 6. everything else is written once, before the task is shared.
//! 7. Whoever drops the last reference has the whole task for itself.
//! 8. `cold` goes from null to a box once, and stays until the task is freed.

use crate::coop;
use crate::scope::ambient;
use crate::shim::{AtomicPtr, Bug, Ordering, UnsafeCell, catch_unwind, drop_quietly, seeded};
use crate::task::cold::Cold;
use crate::task::error::JoinError;
use crate::task::id::Id;
use crate::task::memory;
use crate::task::state::{Pending, Start, State, Wake};
use std::any::Any;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker, ready};

/// What a task needs of its scheduler.
///
/// Its functions take the scheduler by value: the task that it was cloned out of may be gone before they return.
pub(crate) trait Schedule: Clone + 'static {
    /// Its tasks may wait. (A blocking job runs once, to its end.)
    const WAITS: bool = true;

    /// Takes a runnable of a task that was woken or aborted. Any thread.
    fn schedule(self, task: Runnable);

    /// Takes the runnable of a task that was woken during its own poll: it goes behind the others. The thread that polled it.
    fn reschedule(self, task: Runnable);

    /// The task's future is gone: it leaves the list of live tasks. The thread that ran it.
    fn release(self, task: NonNull<Header>, ended: Ended);
}

/// How a task has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Finished,
    Panicked,
    Cancelled,
}

/// The part of a task that does not depend on its future.
#[repr(C)]
pub(crate) struct Header {
    state: State,
    vtable: &'static Vtable,
    /// The task behind this one in an inbox, or a mark. Rule 2.
    next: UnsafeCell<Option<NonNull<Header>>>,
    /// The neighbours in the list of live tasks. Rule 3.
    pub(super) links: UnsafeCell<Links>,
    id: Id,
    location: &'static Location<'static>,
    /// Name, values and root scope of the task, for those that have any. Rule 8.
    cold: AtomicPtr<Cold>,
}

impl Header {
    #[inline]
    fn cold(&self) -> Option<&Cold> {
        // Acquire: matches the Release in `cold_of`: what is behind the pointer.
        let cold = NonNull::new(self.cold.load(Ordering::Acquire));
        // SAFETY: rule 8: what is there stays as long as the task, which is alive as long as this borrow.
        cold.map(|cold| unsafe { &*cold.as_ptr() }.found())
    }
}

/// The neighbours of a task in its list.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Links {
    pub(super) prev: Option<NonNull<Header>>,
    pub(super) next: Option<NonNull<Header>>,
}

/// The functions that know the type of the future.
struct Vtable {
    waits: bool,
    run: unsafe fn(NonNull<Header>),
    schedule: unsafe fn(NonNull<Header>),
    take_output: unsafe fn(NonNull<Header>, NonNull<()>),
    value: unsafe fn(NonNull<Header>) -> Option<NonNull<()>>,
    set_joiner: unsafe fn(NonNull<Header>, Option<Waker>) -> Option<Waker>,
    joiner_will_wake: unsafe fn(NonNull<Header>, &Waker) -> bool,
    drop_output: unsafe fn(NonNull<Header>),
    unseen: unsafe fn(NonNull<Header>),
    dealloc: unsafe fn(NonNull<Header>),
}

#[repr(C)]
struct Cell<F: Future, S> {
    header: Header,
    home: S,
    stage: UnsafeCell<Stage<F>>,
    joiner: UnsafeCell<Option<Waker>>,
}

enum Stage<F: Future> {
    Running(F),
    Finished(F::Output),
    /// Boxed twice, so that the common outcomes are not made larger by it.
    Panicked(Box<Box<dyn Any + Send>>),
    Cancelled,
    /// The group that the task is a child of has its error.
    Failed,
    Taken,
}

impl<F: Future> Stage<F> {
    /// Why there is no value, of a task that has ended without one.
    fn into_error(self, header: &Header) -> Option<JoinError> {
        match self {
            Self::Panicked(payload) => Some(JoinError::panic(header.id, *payload)),
            Self::Cancelled => {
                let reason = header.cold().and_then(|cold| cold.root().reason());
                Some(JoinError::cancelled(header.id, reason))
            }
            Self::Failed => Some(JoinError::failed(header.id)),
            Self::Running(_) | Self::Finished(_) | Self::Taken => None,
        }
    }
}

impl<F: Future + 'static, S: Schedule> Cell<F, S> {
    const VTABLE: Vtable = Vtable {
        waits: S::WAITS,
        run: run::<F, S>,
        schedule: schedule::<F, S>,
        take_output: take_output::<F, S>,
        value: value::<F, S>,
        set_joiner: set_joiner::<F, S>,
        joiner_will_wake: joiner_will_wake::<F, S>,
        drop_output: drop_output::<F, S>,
        unseen: unseen::<F, S>,
        dealloc: dealloc::<F, S>,
    };
}

impl<T: 'static, F: Future<Output = Option<T>> + 'static, S: Schedule> Cell<F, S> {
    /// For a child that has nothing to give if it failed.
    const CHILD_VTABLE: Vtable = Vtable {
        take_output: take_child_output::<T, F, S>,
        value: child_value::<T, F, S>,
        ..Self::VTABLE
    };
}

/// Bytes of a future above which it goes into a box of its own before it becomes a task: every function on the way moves it, in a build without optimisation
/// some thirty times, and each time that takes room on the stack. (Tokio does it above 16 KiB, and 2 KiB in debug builds.)
const LARGE: usize = 4096;

/// Whether a future is to be put into a box before it is moved any further.
pub(crate) const fn is_large<F>() -> bool {
    size_of::<F>() > LARGE
}

/// What a task is made of, before its home is known.
pub(crate) trait Make {
    /// What its handle gives.
    type Value;

    /// Makes the task. It comes with its first runnable and the reference of its handle.
    ///
    /// The caller sees to it that a future or a home that is not `Send` stays on its thread.
    fn make<S: Schedule>(self, home: S) -> (Runnable, JoinRef<Self::Value>);
}

/// An ordinary task.
pub(crate) struct Plain<F> {
    pub(crate) future: F,
    pub(crate) location: &'static Location<'static>,
    pub(crate) cold: Option<Box<Cold>>,
}

impl<F> Plain<F> {
    /// A task without anything cold.
    pub(crate) fn new(future: F, location: &'static Location<'static>) -> Self {
        Self {
            future,
            location,
            cold: None,
        }
    }
}

/// A child of a group: if it failed, and its group has the error, its future gives nothing.
pub(crate) struct Child<F> {
    pub(crate) future: F,
    pub(crate) location: &'static Location<'static>,
    pub(crate) cold: Box<Cold>,
}

impl<F: Future + 'static> Make for Plain<F> {
    type Value = F::Output;

    #[inline]
    fn make<S: Schedule>(self, home: S) -> (Runnable, JoinRef<F::Output>) {
        make(self.future, home, self.location, self.cold, &Cell::<F, S>::VTABLE)
    }
}

impl<T: 'static, F: Future<Output = Option<T>> + 'static> Make for Child<F> {
    type Value = T;

    fn make<S: Schedule>(self, home: S) -> (Runnable, JoinRef<T>) {
        let vtable = &Cell::<F, S>::CHILD_VTABLE;
        make(self.future, home, self.location, Some(self.cold), vtable)
    }
}

/// Makes a task without anything cold. As [`Make::make`].
pub(crate) fn new<F: Future + 'static, S: Schedule>(
    future: F,
    home: S,
    location: &'static Location<'static>,
) -> (Runnable, JoinRef<F::Output>) {
    make(future, home, location, None, &Cell::<F, S>::VTABLE)
}

/// `vtable` takes an outcome of type T out of a `Cell<F, S>`.
#[inline]
fn make<T, F: Future + 'static, S: Schedule>(
    future: F,
    home: S,
    location: &'static Location<'static>,
    cold: Option<Box<Cold>>,
    vtable: &'static Vtable,
) -> (Runnable, JoinRef<T>) {
    let cell = memory::place(Cell {
        header: Header {
            state: State::new(),
            vtable,
            next: UnsafeCell::new(None),
            links: UnsafeCell::new(Links::default()),
            id: Id::next(),
            location,
            cold: AtomicPtr::new(cold.map_or(std::ptr::null_mut(), Box::into_raw)),
        },
        home,
        stage: UnsafeCell::new(Stage::Running(future)),
        joiner: UnsafeCell::new(None),
    });
    let header = cell.cast::<Header>();
    (
        Runnable(header),
        JoinRef {
            header,
            output: PhantomData,
        },
    )
}

/// The right to run a task once. There is at most one for each task at any time, and a task that has one is alive.
///
/// A runnable must end in [`run`](Self::run): to lose it means a task that never ends.
#[must_use]
pub(crate) struct Runnable(NonNull<Header>);

// SAFETY: a runnable is moved between threads by queues that order the hand-over; whoever holds it is alone with the future,
// and `new` leaves it to its caller to keep futures that are not Send on their thread.
unsafe impl Send for Runnable {}

impl Runnable {
    /// Polls the task, or drops its future if it was aborted, and deals with what comes of it.
    #[inline]
    pub(crate) fn run(self) {
        let header = self.0;
        // SAFETY: a runnable's task is alive.
        let vtable = unsafe { header.as_ref() }.vtable;
        // SAFETY: the vtable was made for this task, and the runnable is given up.
        unsafe { (vtable.run)(header) }
    }

    /// Drops the task's future on this thread, as if it was aborted and then run.
    pub(crate) fn abort_and_run(self) {
        // SAFETY: a runnable's task is alive.
        let state = unsafe { &self.0.as_ref().state };
        // The task is scheduled already: this makes no second runnable.
        let _ = state.abort();
        self.run();
    }

    pub(crate) fn id(&self) -> Id {
        // SAFETY: a task that has a runnable is alive.
        unsafe { self.0.as_ref() }.id
    }

    pub(crate) fn as_ptr(&self) -> NonNull<Header> {
        self.0
    }

    /// Puts `next` behind this runnable in a chain.
    pub(super) fn set_next(&self, next: Option<NonNull<Header>>) {
        // SAFETY: a runnable's task is alive.
        let header = unsafe { self.0.as_ref() };
        header.next.with_mut(|link| {
            // SAFETY: rule 2: the holder of the runnable owns the link.
            unsafe { *link = next }
        });
    }

    /// Takes the chain from behind this runnable.
    pub(super) fn take_next(&self) -> Option<NonNull<Header>> {
        // SAFETY: a runnable's task is alive.
        let header = unsafe { self.0.as_ref() };
        header.next.with_mut(|link| {
            // SAFETY: rule 2: the holder of the runnable owns the link.
            unsafe { (*link).take() }
        })
    }

    /// Marks the runnable, as one that a reactor or a timer has woken, say. The mark goes with its place in a chain.
    pub(crate) fn mark(&self) {
        self.set_next(Some(self.0));
    }

    /// Takes the mark away. True if there was one. Not inside a chain.
    pub(crate) fn take_mark(&self) -> bool {
        self.take_next().is_some()
    }

    /// Gives up the runnable for a pointer, from which [`from_raw`](Self::from_raw) makes it again.
    pub(super) fn into_raw(self) -> NonNull<Header> {
        self.0
    }

    /// # Safety
    ///
    /// The pointer comes from `into_raw`, and no other runnable was made from it since.
    pub(super) unsafe fn from_raw(header: NonNull<Header>) -> Self {
        Self(header)
    }
}

impl fmt::Debug for Runnable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runnable")
    }
}

/// A place for one runnable that its owner fills and empties and that a rescuer may empty too.
#[derive(Debug)]
pub(crate) struct Slot(AtomicPtr<Header>);

impl Slot {
    pub(crate) fn new() -> Self {
        Self(AtomicPtr::new(std::ptr::null_mut()))
    }

    /// Puts a runnable in and returns the one that was there.
    #[inline]
    pub(crate) fn replace(&self, task: Runnable) -> Option<Runnable> {
        // Release: the task's memory goes with the pointer; matches the Acquire in `take`. Not Acquire: what it takes out the owner itself put in.
        let before = self.0.swap(task.into_raw().as_ptr(), Ordering::Release);
        // SAFETY: what an exchange takes out was put in by `into_raw` and is nobody else's now.
        NonNull::new(before).map(|header| unsafe { Runnable::from_raw(header) })
    }

    #[inline]
    pub(crate) fn take(&self) -> Option<Runnable> {
        // Relaxed: an empty slot needs no exchange; a stale answer is as good as having come a moment earlier.
        if self.is_empty() {
            return None;
        }
        let before = if seeded(Bug::SlotNoExchange) {
            let before = self.0.load(Ordering::Acquire);
            self.0.store(std::ptr::null_mut(), Ordering::Release);
            before
        } else {
            // Acquire: matches the Release in `replace`.
            self.0.swap(std::ptr::null_mut(), Ordering::Acquire)
        };
        // SAFETY: as in `replace`.
        NonNull::new(before).map(|header| unsafe { Runnable::from_raw(header) })
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        // Relaxed: a hint, see `take`.
        self.0.load(Ordering::Relaxed).is_null()
    }
}

/// The handle's reference to a task, with the type of the outcome.
pub(crate) struct JoinRef<T> {
    header: NonNull<Header>,
    output: PhantomData<T>,
}

// SAFETY: the handle moves an outcome of type T to its own thread, nothing else of the task is reached through it but
// the state word and wakers, which are Send and Sync.
unsafe impl<T: Send> Send for JoinRef<T> {}
// SAFETY: `&JoinRef` gives no access to the outcome, only to the state word and to things written once.
unsafe impl<T: Send> Sync for JoinRef<T> {}

impl<T> JoinRef<T> {
    fn header(&self) -> &Header {
        // SAFETY: the handle's reference keeps the task alive.
        unsafe { self.header.as_ref() }
    }

    pub(crate) fn id(&self) -> Id {
        self.header().id
    }

    pub(crate) fn location(&self) -> &'static Location<'static> {
        self.header().location
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.header().state.is_complete()
    }

    pub(crate) fn abort(&self) {
        abort(self.header);
    }

    pub(crate) fn abort_ref(&self) -> AbortRef {
        self.header().state.ref_inc();
        AbortRef(self.header)
    }

    /// The outcome, or a promise to wake.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        self.poll_if(cx, |_, _| Poll::Ready(()))
    }

    /// As [`poll`](Self::poll), if `taken` has nothing against it when the outcome is there. Else that stays, and who polls sees to the wake.
    #[inline]
    pub(crate) fn poll_if(
        &mut self,
        cx: &mut Context<'_>,
        taken: impl FnOnce(&Self, &mut Context<'_>) -> Poll<()>,
    ) -> Poll<Result<T, JoinError>> {
        ready!(self.poll_end(cx));
        ready!(taken(self, cx));
        Poll::Ready(self.take_output())
    }

    pub(crate) fn cold(&self) -> Option<&Cold> {
        self.header().cold()
    }

    /// Ready when the outcome is there, which stays; or a promise to wake.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let header = self.header();
        if header.state.is_complete() {
            return Poll::Ready(());
        }
        if header.state.has_join_waker() {
            if seeded(Bug::JoinSlotNotTakenBack) {
                self.set_joiner(Some(cx.waker().clone()));
                return Poll::Pending;
            }
            if header.state.unset_join_waker().is_err() {
                return Poll::Ready(());
            }
            // SAFETY: the vtable was made for this task; JOIN_WAKER is clear again, so by rule 5 the slot is the handle's.
            if !unsafe { (header.vtable.joiner_will_wake)(self.header, cx.waker()) } {
                self.set_joiner(Some(cx.waker().clone()));
            }
        } else {
            assert!(
                coop::current_task() != Some(self.header.cast()),
                "task {} awaits its own handle: it would wait for itself for ever",
                header.id
            );
            self.set_joiner(Some(cx.waker().clone()));
        }
        if header.state.set_join_waker().is_err() {
            // The slot stayed the handle's: its waker would only keep another task's memory.
            self.set_joiner(None);
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn set_joiner(&self, waker: Option<Waker>) {
        // SAFETY: the vtable was made for this task; every caller has seen that the slot is the handle's (rule 5).
        let old = unsafe { (self.header().vtable.set_joiner)(self.header, waker) };
        drop(old);
    }

    /// The value of a task that has ended with one, which stays.
    pub(crate) fn value(&mut self) -> Option<&T> {
        if !self.is_finished() {
            return None;
        }
        // SAFETY: the vtable was made for this task, whose value is of type T; COMPLETE was seen, so by rule 4 the outcome is
        // the handle's.
        let value = unsafe { (self.header().vtable.value)(self.header) };
        // SAFETY: it points to a T inside the task, which the handle's reference keeps alive; nobody else looks at the outcome, and it is
        // taken or dropped by `&mut` to the handle only, which is borrowed as long as this is.
        value.map(|value| unsafe { value.cast::<T>().as_ref() })
    }

    fn take_output(&mut self) -> Result<T, JoinError> {
        let mut output: Option<Result<T, JoinError>> = None;
        // SAFETY: the vtable was made for this task, whose outcome is of type T; COMPLETE was seen, so by rule 4
        // the outcome is the handle's; `output` has the type that the function writes.
        unsafe { (self.header().vtable.take_output)(self.header, NonNull::from(&mut output).cast()) };
        output.expect("`JoinHandle` polled after it gave its outcome")
    }
}

impl<T> Drop for JoinRef<T> {
    fn drop(&mut self) {
        let header = self.header();
        if header.state.drop_join_fast() {
            return;
        }
        let action = header.state.drop_join();
        if action.output && header.cold().is_some() {
            // SAFETY: as the next.
            unsafe { (header.vtable.unseen)(self.header) };
        }
        if action.output {
            // SAFETY: the vtable was made for this task; the state says that the outcome is the handle's.
            unsafe { (header.vtable.drop_output)(self.header) };
        }
        if action.waker {
            self.set_joiner(None);
        }
        drop_ref(self.header);
    }
}

impl<T> fmt::Debug for JoinRef<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} spawned at {}", self.id(), self.location())
    }
}

/// A reference that can only abort.
pub(crate) struct AbortRef(NonNull<Header>);

// SAFETY: only the state word and things written once are reached through it.
unsafe impl Send for AbortRef {}
// SAFETY: as above.
unsafe impl Sync for AbortRef {}

impl AbortRef {
    fn header(&self) -> &Header {
        // SAFETY: this reference keeps the task alive.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn abort(&self) {
        abort(self.0);
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.header().state.is_complete()
    }

    pub(crate) fn id(&self) -> Id {
        self.header().id
    }

    pub(crate) fn location(&self) -> &'static Location<'static> {
        self.header().location
    }

    /// The task's cold part, if it has one.
    pub(crate) fn cold(&self) -> Option<&Cold> {
        self.header().cold()
    }

    /// The task's cold part, which it gets by this; nothing for a blocking job.
    pub(crate) fn cold_or_new(&self) -> Option<&Cold> {
        cold_of(self.header())
    }

    /// Wakes the task, for nothing.
    pub(crate) fn wake(&self) {
        if self.header().state.wake_by_ref() == Wake::Submit {
            // SAFETY: the vtable was made for this task; Submit made this thread the owner of the runnable.
            unsafe { (self.header().vtable.schedule)(self.0) };
        }
    }
}

impl PartialEq for AbortRef {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

/// The task that this thread polls.
pub(crate) fn current() -> Option<AbortRef> {
    let header = coop::current_task()?.cast::<Header>();
    // SAFETY: it is alive for as long as it is polled, which is at least as long as this call.
    unsafe { header.as_ref() }.state.ref_inc();
    Some(AbortRef(header))
}

/// The id of the task that this thread polls.
pub(crate) fn current_id() -> Option<Id> {
    let header = coop::current_task()?.cast::<Header>();
    // SAFETY: as in `current`.
    Some(unsafe { header.as_ref() }.id)
}

/// The cold part of the task that this thread polls, as `f` sees it.
#[inline]
pub(crate) fn with_current_cold<R>(f: impl FnOnce(&Cold) -> R) -> Option<R> {
    let header = coop::current_task()?.cast::<Header>();
    // SAFETY: as in `current`.
    unsafe { header.as_ref() }.cold().map(f)
}

/// Whether this thread polls a task that has no cold part.
#[inline]
pub(crate) fn is_current_plain() -> bool {
    coop::current_task().is_some_and(|task| {
        // SAFETY: as in `current`.
        let header = unsafe { task.cast::<Header>().as_ref() };
        // Relaxed: what the task itself did not make is nothing that it could inherit from.
        header.cold.load(Ordering::Relaxed).is_null()
    })
}

/// As [`with_current_cold`], of a task that gets one by this. Nothing in a blocking job.
pub(crate) fn with_current_cold_or_new<R>(f: impl FnOnce(&Cold) -> R) -> Option<R> {
    let header = coop::current_task()?.cast::<Header>();
    // SAFETY: as in `current`.
    cold_of(unsafe { header.as_ref() }).map(f)
}

fn cold_of(header: &Header) -> Option<&Cold> {
    if !header.vtable.waits {
        return None;
    }
    if header.cold().is_none() {
        let new = Box::into_raw(Box::new(Cold::new(None)));
        // Release: whoever finds the pointer, in `Header::cold`, finds what it points to.
        let placed = header
            .cold
            .compare_exchange(std::ptr::null_mut(), new, Ordering::Release, Ordering::Relaxed);
        if placed.is_err() {
            // SAFETY: it came out of a box just now, and nobody else has seen it.
            drop(unsafe { Box::from_raw(new) });
        }
    }
    header.cold()
}

impl Clone for AbortRef {
    fn clone(&self) -> Self {
        self.header().state.ref_inc();
        Self(self.0)
    }
}

impl Drop for AbortRef {
    fn drop(&mut self) {
        drop_ref(self.0);
    }
}

/// Marks a task that stands in a list as aborted. If that made a runnable the caller hands it to the scheduler, after the list's lock.
///
/// # Safety
///
/// The task is alive.
pub(super) unsafe fn abort_listed(header: NonNull<Header>) -> Option<Runnable> {
    // SAFETY: the caller's promise.
    match unsafe { header.as_ref() }.state.abort() {
        Wake::Submit => Some(Runnable(header)),
        _ => None,
    }
}

/// Wakes a task that stands in a list, for nothing. As [`abort_listed`].
///
/// # Safety
///
/// The task is alive.
pub(super) unsafe fn wake_listed(header: NonNull<Header>) -> Option<Runnable> {
    // SAFETY: the caller's promise.
    match unsafe { header.as_ref() }.state.wake_by_ref() {
        Wake::Submit => Some(Runnable(header)),
        _ => None,
    }
}

/// Which task it is that stands in a list, and where it was spawned.
///
/// # Safety
///
/// The task is alive.
pub(super) unsafe fn describe_listed(header: NonNull<Header>) -> (Id, &'static Location<'static>) {
    // SAFETY: the caller's promise.
    let header = unsafe { header.as_ref() };
    (header.id, header.location)
}

/// A reference to a task that stands in a list.
///
/// # Safety
///
/// The task is alive.
pub(super) unsafe fn refer_listed(header: NonNull<Header>) -> AbortRef {
    // SAFETY: the caller's promise; the reference is the new one's.
    unsafe { header.as_ref() }.state.ref_inc();
    AbortRef(header)
}

fn abort(header: NonNull<Header>) {
    // SAFETY: the caller has a reference.
    let task = unsafe { header.as_ref() };
    if task.state.abort() == Wake::Submit {
        // SAFETY: the vtable was made for this task; Submit made this thread the owner of the runnable.
        unsafe { (task.vtable.schedule)(header) };
    }
}

fn drop_ref(header: NonNull<Header>) {
    // SAFETY: the caller has a reference, which it gives up here.
    let task = unsafe { header.as_ref() };
    if task.state.ref_dec() {
        let dealloc = task.vtable.dealloc;
        // SAFETY: the vtable was made for this task, and that was the last reference (rule 7).
        unsafe { dealloc(header) };
    }
}

static WAKER: RawWakerVTable = RawWakerVTable::new(waker_clone, waker_wake, waker_wake_by_ref, waker_drop);

/// # Safety (of the four)
///
/// `data` is the header of a task, and the waker that it comes from has a reference to it.
unsafe fn waker_clone(data: *const ()) -> RawWaker {
    // SAFETY: the waker's reference keeps the task alive.
    unsafe { &*data.cast::<Header>() }.state.ref_inc();
    RawWaker::new(data, &WAKER)
}

unsafe fn waker_wake(data: *const ()) {
    let header = header_of(data);
    // SAFETY: the waker's reference keeps the task alive up to the transition.
    let task = unsafe { header.as_ref() };
    let vtable = task.vtable;
    match task.state.wake_by_val() {
        Wake::Done => {}
        // SAFETY: the vtable was made for this task; Submit made this thread the owner of the runnable.
        Wake::Submit => unsafe { (vtable.schedule)(header) },
        // SAFETY: the vtable was made for this task, and that was the last reference (rule 7).
        Wake::Dealloc => unsafe { (vtable.dealloc)(header) },
    }
}

unsafe fn waker_wake_by_ref(data: *const ()) {
    let header = header_of(data);
    if coop::leave_own_wake(header.cast()) {
        return;
    }
    // SAFETY: the waker's reference keeps the task alive.
    let task = unsafe { header.as_ref() };
    if task.state.wake_by_ref() == Wake::Submit {
        // SAFETY: the vtable was made for this task; Submit made this thread the owner of the runnable.
        unsafe { (task.vtable.schedule)(header) };
    }
}

unsafe fn waker_drop(data: *const ()) {
    drop_ref(header_of(data));
}

fn header_of(data: *const ()) -> NonNull<Header> {
    NonNull::new(data.cast_mut().cast::<Header>()).expect("a waker's data is a task")
}

// The functions of the vtable. For all of them: `header` is the header of a `Cell<F, S>` that is alive.

/// # Safety
///
/// `header` is the header of a `Cell<F, S>` that stays alive during `'a`.
unsafe fn cell<'a, F: Future, S>(header: NonNull<Header>) -> &'a Cell<F, S> {
    // SAFETY: the caller's promise; the header is the first field of a `repr(C)` struct.
    unsafe { header.cast::<Cell<F, S>>().as_ref() }
}

/// # Safety
///
/// `header` is the header of a `Cell<F, S>`, and the caller gives up its runnable.
unsafe fn run<F: Future + 'static, S: Schedule>(header: NonNull<Header>) {
    // SAFETY: a task with a runnable is alive, and stays so until this function has stored the outcome and dropped
    // the life's reference, or has seen Idle.
    let task = unsafe { cell::<F, S>(header) };
    let start = task.header.state.start_poll();
    if task.header.cold().is_some() {
        // SAFETY: `header` is this task's, `start_poll` has set RUNNING, and nothing follows.
        return unsafe { run_cold::<F, S>(header, start) };
    }
    let outcome = match start {
        Start::Cancel => cancel(task),
        Start::Poll => match poll(task, header) {
            Ok(outcome) => outcome,
            // SAFETY: as above.
            Err(paused) if task.header.cold().is_some() => {
                // SAFETY: as above.
                return unsafe { end_cold::<F, S>(header, Err(paused), false) };
            }
            Err(paused) => match task.header.state.end_pending(paused.woken) {
                Pending::Idle => return,
                Pending::Reschedule => return task.home.clone().reschedule(Runnable(header)),
                Pending::Cancel => cancel(task),
            },
        },
    };
    if task.header.cold().is_some() {
        // SAFETY: as above.
        return unsafe { end_cold::<F, S>(header, Ok(outcome), false) };
    }
    // SAFETY: `header` is this task's, `start_poll` has set RUNNING, and nothing follows.
    unsafe { finish::<F, S, false>(header, outcome) };
}

/// As [`run`], for a task with a root scope.
///
/// # Safety
///
/// `header` is the header of a `Cell<F, S>`; RUNNING is set by the caller, which does not touch the task again.
#[cold]
unsafe fn run_cold<F: Future + 'static, S: Schedule>(header: NonNull<Header>, start: Start) {
    // SAFETY: the caller's promise; RUNNING keeps the task alive.
    let task = unsafe { cell::<F, S>(header) };
    let cold = task.header.cold().expect("the caller has seen it");
    let _watching = cold.watch(task.header.id, task.header.location);
    if cold.is_finishing() {
        // SAFETY: the caller's promise.
        return unsafe { clean_up::<F, S>(header) };
    }
    listen(header, cold);
    let cancelled = cold.root().is_cancelled();
    let outcome = match start {
        Start::Cancel => Ok(cancel(task)),
        // Not entered: only the child of a group has a right to its first steps.
        Start::Poll if cancelled && !cold.is_child() && !task.header.state.is_started() => Ok(cancel(task)),
        Start::Poll => poll_cold(task, header),
    };
    if matches!(outcome, Ok(Stage::Cancelled)) && !task.header.state.is_started() {
        cold.never_ran();
    }
    // SAFETY: the caller's promise.
    unsafe { end_cold::<F, S>(header, outcome, cancelled) };
}

/// What follows a poll of a task with a root scope.
///
/// # Safety
///
/// As [`run_cold`].
#[cold]
unsafe fn end_cold<F: Future + 'static, S: Schedule>(
    header: NonNull<Header>,
    outcome: Result<Stage<F>, Paused>,
    cancelled: bool,
) {
    // SAFETY: the caller's promise; RUNNING keeps the task alive.
    let task = unsafe { cell::<F, S>(header) };
    let cold = task.header.cold().expect("the caller has seen it");
    let key = coop::with_task(header.cast(), coop::current_key);
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(_) if cold.root().must_drop(cancelled, key) => cancel(task),
        Err(paused) => {
            listen(header, cold);
            let waker = lend_waker(header);
            coop::with_task(header.cast(), || cold.poll_cleanups(&mut Context::from_waker(&waker)));
            match task.header.state.end_pending(paused.woken) {
                Pending::Idle => return,
                Pending::Reschedule => return task.home.clone().reschedule(Runnable(header)),
                Pending::Cancel => cancel(task),
            }
        }
    };
    cold.finishing();
    task.stage.with_mut(|stage| {
        // SAFETY: rule 4: RUNNING makes the stage this thread's; it holds `Taken`, which has nothing to drop.
        unsafe { stage.write(outcome) }
    });
    // SAFETY: the caller's promise.
    unsafe { clean_up::<F, S>(header) };
}

/// Runs what a task left behind in its root scope; its future is gone, and its outcome is stored.
///
/// # Safety
///
/// As [`run_cold`].
unsafe fn clean_up<F: Future + 'static, S: Schedule>(header: NonNull<Header>) {
    // SAFETY: the caller's promise; RUNNING keeps the task alive.
    let task = unsafe { cell::<F, S>(header) };
    let cold = task.header.cold().expect("the caller has seen it");
    listen(header, cold);
    let waker = lend_waker(header);
    loop {
        task.header.state.forgive();
        let heir = ambient::heir();
        let is_last = heir.is_some();
        // Nobody polls this task again: what is left has an heir, or one poll, where there is a runtime for it, and is dropped.
        if is_last && (cold.bequeath(heir.flatten()) || filch_timer::Handle::try_current().is_none()) {
            break;
        }
        let polled = coop::with_task(header.cast(), || cold.poll_end(&mut Context::from_waker(&waker)));
        if polled.is_ready() || is_last {
            break;
        }
        match task.header.state.end_pending(false) {
            Pending::Idle => return,
            Pending::Reschedule => return task.home.clone().reschedule(Runnable(header)),
            // It was aborted again, which took the wake that may have come with it.
            Pending::Cancel => {}
        }
    }
    let outcome = task.stage.with_mut(|stage| {
        // SAFETY: rule 4, as above.
        std::mem::replace(unsafe { &mut *stage }, Stage::Taken)
    });
    let outcome = match (outcome, cold.root().take_panic()) {
        (Stage::Panicked(first), second) => {
            drop_quietly(second);
            Stage::Panicked(first)
        }
        (outcome, Some(payload)) => {
            drop_quietly(outcome);
            Stage::Panicked(Box::new(payload))
        }
        (outcome, None) => outcome,
    };
    let outcome = match outcome {
        Stage::Panicked(payload) => match cold.give_panic(*payload) {
            Some(payload) => Stage::Panicked(Box::new(payload)),
            None => Stage::Failed,
        },
        outcome => outcome,
    };
    if let Stage::Cancelled = outcome {
        cold.set_cancelled();
    }
    // SAFETY: the caller's promise.
    unsafe { finish_cold::<F, S>(header, outcome) };
}

/// Gives the root scope the task's waker, once. Only while RUNNING, so the task ends it later.
fn listen(header: NonNull<Header>, cold: &Cold) {
    if cold.wants_waker() {
        // SAFETY: RUNNING keeps the task alive; the reference is the new waker's.
        unsafe { header.as_ref() }.state.ref_inc();
        // SAFETY: the data is a task's header, to which the waker has a reference.
        let waker = unsafe { Waker::from_raw(RawWaker::new(header.as_ptr().cast_const().cast(), &WAKER)) };
        cold.root().register(&waker);
    }
}

/// A waker without a reference of its own. Only for as long as RUNNING is set.
fn lend_waker(header: NonNull<Header>) -> ManuallyDrop<Waker> {
    // SAFETY: the waker is only lent: RUNNING keeps the task alive, and ManuallyDrop keeps
    // the waker from giving up a reference that it does not have.
    ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(header.as_ptr().cast_const().cast(), &WAKER)) })
}

/// As [`poll`], in one place for all that is cold.
#[cold]
#[inline(never)]
fn poll_cold<F: Future + 'static, S: Schedule>(task: &Cell<F, S>, header: NonNull<Header>) -> Result<Stage<F>, Paused> {
    poll(task, header)
}

/// The poll gave `Pending`.
struct Paused {
    /// The task has woken itself, and only this thread knows.
    woken: bool,
}

/// Polls the future; if that was its last poll, drops it and returns what comes of it. RUNNING is set.
#[inline(always)]
fn poll<F: Future + 'static, S: Schedule>(task: &Cell<F, S>, header: NonNull<Header>) -> Result<Stage<F>, Paused> {
    let waker = lend_waker(header);
    let mut cx = Context::from_waker(&waker);
    // For the destructor, too.
    let _entered = coop::enter_task(header.cast());
    let polled = catch_unwind(|| {
        task.stage.with_mut(|stage| {
            // SAFETY: rule 4: RUNNING makes the stage this thread's.
            let stage = unsafe { &mut *stage };
            let Stage::Running(future) = stage else {
                unreachable!("a task without its future was run")
            };
            // SAFETY: the future stands in the task's allocation, which does not move, until it is dropped in place.
            unsafe { Pin::new_unchecked(future) }.poll(&mut cx)
        })
    });
    match polled {
        Ok(Poll::Pending) => Err(Paused {
            woken: coop::has_woken_itself(),
        }),
        Ok(Poll::Ready(output)) => {
            coop::renew();
            Ok(match take_future(task) {
                Ok(()) => Stage::Finished(output),
                Err(payload) => {
                    // The value is lost to the panic of the future's destructor; its own must not add another.
                    drop_quietly(output);
                    Stage::Panicked(Box::new(payload))
                }
            })
        }
        Err(payload) => {
            coop::renew();
            if let Err(second) = take_future(task) {
                drop_quietly(second);
            }
            Ok(Stage::Panicked(Box::new(payload)))
        }
    }
}

/// Drops the future of an aborted task. RUNNING is set.
fn cancel<F: Future, S>(task: &Cell<F, S>) -> Stage<F> {
    match drop_future(task) {
        Ok(()) => Stage::Cancelled,
        Err(payload) => Stage::Panicked(Box::new(payload)),
    }
}

/// The task, as `coop` knows it.
fn ptr<F: Future, S>(task: &Cell<F, S>) -> coop::TaskPtr {
    NonNull::from(&task.header).cast()
}

#[inline(never)]
fn drop_future<F: Future, S>(task: &Cell<F, S>) -> Result<(), Box<dyn Any + Send>> {
    coop::with_task(ptr(task), || take_future(task))
}

/// Drops the future in place. RUNNING is set.
#[inline(always)]
fn take_future<F: Future, S>(task: &Cell<F, S>) -> Result<(), Box<dyn Any + Send>> {
    catch_unwind(|| {
        task.stage.with_mut(|stage| {
            // SAFETY: rule 4: RUNNING makes the stage this thread's. The assignment drops the future in place.
            unsafe { *stage = Stage::Taken }
        })
    })
}

/// As [`finish`], in one place for all that is cold.
///
/// # Safety
///
/// As [`finish`].
#[cold]
#[inline(never)]
unsafe fn finish_cold<F: Future + 'static, S: Schedule>(header: NonNull<Header>, outcome: Stage<F>) {
    // SAFETY: the caller's promise.
    unsafe { finish::<F, S, true>(header, outcome) };
}

/// Publishes the outcome and gives up the reference of the task's life. Only a task with a cold part may be watched.
///
/// # Safety
///
/// `header` is the header of a `Cell<F, S>`; RUNNING is set by the caller, which does not touch the task again.
#[inline(always)]
unsafe fn finish<F: Future + 'static, S: Schedule, const COLD: bool>(header: NonNull<Header>, outcome: Stage<F>) {
    // SAFETY: the caller's promise. (No reference to the task is a parameter here, since the task may be freed before this returns.)
    let task = unsafe { cell::<F, S>(header) };
    let ended = match &outcome {
        Stage::Panicked(_) | Stage::Failed => Ended::Panicked,
        Stage::Cancelled => Ended::Cancelled,
        Stage::Finished(_) | Stage::Running(_) | Stage::Taken => Ended::Finished,
    };
    task.stage.with_mut(|stage| {
        // SAFETY: rule 4: RUNNING still makes the stage this thread's; it holds `Taken`, which has nothing to drop.
        unsafe { stage.write(outcome) }
    });
    task.home.clone().release(header, ended);
    let completed = task.header.state.complete();
    if !completed.join {
        if COLD {
            // SAFETY: as the next.
            unsafe { unseen::<F, S>(header) };
        }
        // SAFETY: `header` is this task's; nobody waits for the outcome, so by rule 4 it is this thread's.
        unsafe { drop_output::<F, S>(header) };
    } else if completed.waker {
        let waker = task.joiner.with_mut(|joiner| {
            // SAFETY: rule 5: JOIN_WAKER was set at completion.
            unsafe { (*joiner).take() }
        });
        // A foreign waker may panic; the task is complete all the same.
        if let Err(payload) = catch_unwind(|| waker.map(Waker::wake)) {
            drop_quietly(payload);
        }
    }
    if let Some(cold) = task.header.cold() {
        // Last of all: when the group ends, its children's handles have their outcomes.
        cold.ended();
    }
    drop_ref(header);
}

/// # Safety
///
/// `header` is the header of a `Cell<F, S>`, and the caller owns its runnable and gives it up.
unsafe fn schedule<F: Future + 'static, S: Schedule>(header: NonNull<Header>) {
    // SAFETY: a task with a runnable is alive until the runnable is run, and the home outlives the live task.
    let task = unsafe { cell::<F, S>(header) };
    task.home.clone().schedule(Runnable(header));
}

/// # Safety
///
/// `header` is the header of a `Cell<F, S>` that is alive; the outcome is the caller's (rule 4); `output` points
/// to an `Option<Result<F::Output, JoinError>>` that is `None`.
unsafe fn take_output<F: Future + 'static, S: Schedule>(header: NonNull<Header>, output: NonNull<()>) {
    // SAFETY: the caller's promise.
    let task = unsafe { cell::<F, S>(header) };
    let stage = task.stage.with_mut(|stage| {
        // SAFETY: the caller's promise: the outcome is its own.
        std::mem::replace(unsafe { &mut *stage }, Stage::Taken)
    });
    let result = match stage {
        Stage::Finished(value) => Some(Ok(value)),
        stage => stage.into_error(&task.header).map(Err),
    };
    // SAFETY: the caller's promise on the type behind `output`; what is there is `None`, which has nothing to drop.
    unsafe {
        output
            .cast::<Option<Result<F::Output, JoinError>>>()
            .as_ptr()
            .write(result)
    };
}

/// # Safety
///
/// As `take_output`, but `output` points to an `Option<Result<T, JoinError>>`.
unsafe fn take_child_output<T, F: Future<Output = Option<T>> + 'static, S: Schedule>(
    header: NonNull<Header>,
    output: NonNull<()>,
) {
    // SAFETY: the caller's promise.
    let task = unsafe { cell::<F, S>(header) };
    let stage = task.stage.with_mut(|stage| {
        // SAFETY: the caller's promise: the outcome is its own.
        std::mem::replace(unsafe { &mut *stage }, Stage::Taken)
    });
    let result = match stage {
        Stage::Finished(Some(value)) => Some(Ok(value)),
        Stage::Finished(None) => Some(Err(JoinError::failed(task.header.id))),
        stage => stage.into_error(&task.header).map(Err),
    };
    // SAFETY: as in `take_output`.
    unsafe { output.cast::<Option<Result<T, JoinError>>>().as_ptr().write(result) };
}

/// # Safety
///
/// `header` is the header of a `Cell<F, S>` that is alive; the outcome is the caller's (rule 4). What it gives points to an `F::Output`.
unsafe fn value<F: Future + 'static, S: Schedule>(header: NonNull<Header>) -> Option<NonNull<()>> {
    // SAFETY: the caller's promise.
    let task = unsafe { cell::<F, S>(header) };
    task.stage.with_mut(|stage| {
        // SAFETY: the caller's promise: the outcome is its own.
        match unsafe { &mut *stage } {
            Stage::Finished(value) => Some(NonNull::from(value).cast()),
            _ => None,
        }
    })
}

/// # Safety
///
/// As `value`, but what it gives points to a `T`.
unsafe fn child_value<T, F: Future<Output = Option<T>> + 'static, S: Schedule>(
    header: NonNull<Header>,
) -> Option<NonNull<()>> {
    // SAFETY: the caller's promise.
    let task = unsafe { cell::<F, S>(header) };
    task.stage.with_mut(|stage| {
        // SAFETY: the caller's promise: the outcome is its own.
        match unsafe { &mut *stage } {
            Stage::Finished(Some(value)) => Some(NonNull::from(value).cast()),
            _ => None,
        }
    })
}

/// # Safety
///
/// `header` is the header of a `Cell<F, S>` that is alive; the slot is the caller's (rule 5).
unsafe fn set_joiner<F: Future + 'static, S: Schedule>(header: NonNull<Header>, waker: Option<Waker>) -> Option<Waker> {
    // SAFETY: the caller's promise.
    let task = unsafe { cell::<F, S>(header) };
    task.joiner.with_mut(|joiner| {
        // SAFETY: the caller's promise: the slot is its own.
        std::mem::replace(unsafe { &mut *joiner }, waker)
    })
}

/// # Safety
///
/// As `set_joiner`.
unsafe fn joiner_will_wake<F: Future + 'static, S: Schedule>(header: NonNull<Header>, waker: &Waker) -> bool {
    // SAFETY: the caller's promise.
    let task = unsafe { cell::<F, S>(header) };
    task.joiner.with(|joiner| {
        // SAFETY: the caller's promise: the slot is its own.
        unsafe { &*joiner }
            .as_ref()
            .is_some_and(|joiner| joiner.will_wake(waker))
    })
}

/// # Safety
///
/// `header` is the header of a `Cell<F, S>` that is alive; the outcome is the caller's (rule 4).
unsafe fn drop_output<F: Future + 'static, S: Schedule>(header: NonNull<Header>) {
    // SAFETY: the caller's promise.
    let task = unsafe { cell::<F, S>(header) };
    let stage = task.stage.with_mut(|stage| {
        // SAFETY: the caller's promise: the outcome is its own.
        match unsafe { &mut *stage } {
            // It has no destructor that would have to run as this task.
            Stage::Finished(_) if !std::mem::needs_drop::<F::Output>() => None,
            stage => Some(std::mem::replace(stage, Stage::Taken)),
        }
    });
    if let Some(stage) = stage {
        coop::with_task(header.cast(), || drop_quietly(stage));
    }
}

/// Says so if an outcome that nobody has seen is a panic.
///
/// # Safety
///
/// As `drop_output`.
unsafe fn unseen<F: Future + 'static, S: Schedule>(header: NonNull<Header>) {
    // SAFETY: the caller's promise.
    let task = unsafe { cell::<F, S>(header) };
    task.stage.with(|stage| {
        // SAFETY: the caller's promise: the outcome is its own.
        if let (Stage::Panicked(payload), Some(cold)) = (unsafe { &*stage }, task.header.cold()) {
            cold.unseen(payload);
        }
    });
}

/// # Safety
///
/// `header` is the header of a `Cell<F, S>`, and no reference to it is left.
unsafe fn dealloc<F: Future + 'static, S: Schedule>(header: NonNull<Header>) {
    let cell = header.cast::<Cell<F, S>>();
    // SAFETY: the caller's promise makes this the only use of the cell.
    let task = unsafe { &mut *cell.as_ptr() };
    task.header.state.assert_exclusive();
    // What loom cannot see by itself: that freeing is an access to everything in the task.
    task.stage.with_mut(|_| ());
    task.joiner.with_mut(|_| ());
    if let Some(cold) = NonNull::new(task.header.cold.load(Ordering::Relaxed)) {
        free_cold(cold);
    }
    // SAFETY: `make` placed the cell, and this is its last use.
    if let Err(payload) = catch_unwind(|| unsafe { memory::free(cell) }) {
        drop_quietly(payload);
    }
}

#[cold]
fn free_cold(cold: NonNull<Cold>) {
    // SAFETY: rule 8: it came out of a box, and nobody can reach the task any more: its only caller is `dealloc`.
    drop_quietly(unsafe { Box::from_raw(cold.as_ptr()) });
}
