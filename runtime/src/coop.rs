//! The poll budget: how much ready work a task may do in one poll before it has to let others run.
//!
//! A task that always finds its sockets, timers and children ready would never give its thread back. So each poll
//! starts with a budget, and every operation of the runtime that is ready charges one unit. When nothing
//! is left the operation says `Pending` and wakes its task, which therefore goes to the end of the queue. (The idea is Tokio's.)
//!
//! The thread also remembers here which task it polls.

use crate::shim::{Bug, seeded, thread_local_const};
use std::cell::Cell;
use std::ptr::NonNull;
use std::task::{Context, Poll, ready};

/// A task as this file knows it: where its header stands.
pub(crate) type TaskPtr = NonNull<()>;

/// Tells the tasks that exist at one time apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TaskKey(usize);

/// Ready operations in one poll of a task. Tokio's figure.
pub(crate) const BUDGET: u8 = 128;

/// Outside of a task there is no budget: nobody waits behind.
const UNLIMITED: u8 = u8::MAX;

struct Current {
    budget: Cell<u8>,
    /// What this thread knows of wakes of the task by itself.
    own_wake: Cell<OwnWake>,
    task: Cell<Option<TaskPtr>>,
}

/// Whether a task that wakes itself in its own poll need only leave word here. Who polls the task asks at the end, and queues it again: no other thread has to see that wake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OwnWake {
    /// Nobody would ask.
    Unasked,
    /// It has not woken itself.
    None,
    Left,
}

thread_local_const! {
    static CURRENT: Current = Current {
        budget: Cell::new(UNLIMITED),
        own_wake: Cell::new(OwnWake::Unasked),
        task: Cell::new(None),
    }
}

/// Puts back what was there before, also when a poll panics.
pub(crate) struct Restore {
    budget: u8,
    own_wake: OwnWake,
    task: Option<TaskPtr>,
}

impl Drop for Restore {
    #[inline]
    fn drop(&mut self) {
        // A task may be dropped by a destructor of the thread's locals, when this one is gone already.
        let _ = CURRENT.try_with(|current| {
            current.budget.set(self.budget);
            current.own_wake.set(self.own_wake);
            current.task.set(self.task);
        });
    }
}

/// Holds what is to be put back; nothing on a thread whose locals are gone already.
pub(crate) type Entered = Option<Restore>;

#[inline]
fn enter(budget: u8, own_wake: OwnWake, task: Option<TaskPtr>) -> Entered {
    let before = CURRENT.try_with(|current| Restore {
        budget: current.budget.replace(budget),
        own_wake: current.own_wake.replace(own_wake),
        task: current.task.replace(task),
    });
    before.ok()
}

fn within<R>(budget: u8, task: Option<TaskPtr>, f: impl FnOnce() -> R) -> R {
    let _entered = enter(budget, OwnWake::Unasked, task);
    f()
}

/// From here to the drop of what it gives this thread polls a task, with a fresh budget. Whoever calls it asks [`has_woken_itself`] after the poll, and sees to the wake.
#[inline]
pub(crate) fn enter_task(task: TaskPtr) -> Entered {
    enter(BUDGET, OwnWake::None, Some(task))
}

/// A wake of `task`: true if this thread polls it and will ask for it, so that nothing else is to be done.
#[inline]
pub(crate) fn leave_own_wake(task: TaskPtr) -> bool {
    let left = CURRENT.try_with(|current| {
        let is_asked = current.task.get() == Some(task) && current.own_wake.get() != OwnWake::Unasked;
        if is_asked {
            current.own_wake.set(OwnWake::Left);
        }
        is_asked
    });
    left.unwrap_or(false)
}

/// Whether the task that this thread polls has woken itself.
#[inline]
pub(crate) fn has_woken_itself() -> bool {
    CURRENT
        .try_with(|current| current.own_wake.get() == OwnWake::Left)
        .is_ok_and(|left| left && !seeded(Bug::OwnWakeForgotten))
}

/// Runs a poll (or the drop of a future) as a task, with a fresh budget.
#[inline]
pub(crate) fn with_task<R>(task: TaskPtr, f: impl FnOnce() -> R) -> R {
    within(BUDGET, Some(task), f)
}

/// Gives what runs as a task a fresh budget.
#[inline]
pub(crate) fn renew() {
    let _ = CURRENT.try_with(|current| current.budget.set(BUDGET));
}

/// Runs a blocking job, which may poll futures by any executor's means: nobody waits behind it, so it is not to be held up.
pub(crate) fn without_budget<R>(f: impl FnOnce() -> R) -> R {
    within(UNLIMITED, current_task(), f)
}

/// Runs a poll of `block_on`'s own future, with a fresh budget.
pub(crate) fn with_budget<R>(f: impl FnOnce() -> R) -> R {
    within(BUDGET, None, f)
}

/// The task that this thread polls. It is alive for as long as the call of [`with_task`] that this is inside of.
#[inline]
pub(crate) fn current_task() -> Option<TaskPtr> {
    CURRENT.try_with(|current| current.task.get()).ok().flatten()
}

/// Which task this thread polls.
#[inline]
pub(crate) fn current_key() -> Option<TaskKey> {
    current_task().map(|task| TaskKey(task.addr().get()))
}

/// Charges one unit for an operation that is ready. `Pending` means that the budget is used up; the task is woken already.
#[inline]
pub(crate) fn charge(cx: &mut Context<'_>) -> Poll<()> {
    let left = CURRENT.try_with(|current| match current.budget.get() {
        0 => false,
        UNLIMITED => true,
        left => {
            current.budget.set(left - 1);
            true
        }
    });
    if left.unwrap_or(true) {
        Poll::Ready(())
    } else {
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Whether the task has used up its budget.
#[inline]
fn is_used_up() -> bool {
    CURRENT
        .try_with(|current| current.budget.get())
        .is_ok_and(|left| left == 0)
}

/// Charges one unit for what was done.
#[inline]
fn spend() {
    // What was done may have used up the rest by itself.
    let _ = CURRENT.try_with(|current| match current.budget.get() {
        0 | UNLIMITED => {}
        left => current.budget.set(left - 1),
    });
}

/// Polls an operation that may have to wait, and charges one unit if it is ready. If the budget is used up it is not asked; the task is woken already.
///
/// An operation that has to wait costs nothing: there is no refund.
#[inline]
pub(crate) fn poll_charged<R>(cx: &mut Context<'_>, operation: impl FnOnce(&mut Context<'_>) -> Poll<R>) -> Poll<R> {
    if is_used_up() {
        cx.waker().wake_by_ref();
        return Poll::Pending;
    }
    let output = ready!(operation(cx));
    spend();
    Poll::Ready(output)
}

/// What an operation gives without a wait, charged one unit; `None` if it gives nothing or the budget is used up: then it is to be polled.
#[inline]
#[allow(dead_code, reason = "the locks that ask first come with tokio-sync")]
pub(crate) fn charged_at_once<R>(operation: impl FnOnce() -> Option<R>) -> Option<R> {
    if is_used_up() {
        return None;
    }
    let output = operation()?;
    spend();
    Some(output)
}
