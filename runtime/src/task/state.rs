//! The state word of a task: one atomic, no unsafe code, and every transition says what its caller has to do next.
//!
//! # The protocol
//!
//! One allocation: a header, the future (later its outcome), and the waker of whoever awaits the handle. All that happens to
//! a task is a transition of one word, here; all unsafe steps stand in [`raw`](super::raw), with the rules of
//! who may touch which field when.
//!
//! ```text
//!             spawn                 start_poll                      ready, panic
//!   (new) ----------> SCHEDULED ------------------> RUNNING ---------------------------> COMPLETE
//!                          ^                        |  |  ^
//!               wake,      |                        |  +--+ end_pending, woken during the poll: RUNNING stays,
//!               abort      +------ (idle) <---------+       and goes with the runnable to the next start_poll
//!                                          end_pending
//!
//!   CANCELLED is set: the next start_poll or end_pending drops the future
//! ```
//!
//! A task that has clean-ups left when its future is gone stays RUNNING, SCHEDULED or idle, as if it were polled, until they have run; `forgive` takes
//! back what an abort means meanwhile.
//!
//! | SCHEDULED | RUNNING | COMPLETE | the task |
//! |---|---|---|---|
//! | 0 | 0 | 0 | idle: it waits for a wake |
//! | 1 | 0 | 0 | exactly one runnable exists, in a queue, a slot, an inbox, or in the hands of who is moving it |
//! | 0 | 1 | 0 | a worker polls it, or drops its future; or it was woken during its poll and exactly one runnable exists |
//! | 1 | 1 | 0 | as above, and it was woken since: the worker queues it again, or, if it is queued, its next poll comes after that wake |
//! | any | 0 | 1 | it has ended; a wake sets a bit that means nothing any more |
//! | any | 1 | 1 | impossible: completion clears one and sets the other in a single step |
//!
//! - **A wake** sets SCHEDULED, always with release, also when it is set already: the poll that follows sees what the waker's thread
//!   did before. Who sets it on an idle task makes the runnable.
//! - **The end of a poll** clears RUNNING in the same exchange that looks at SCHEDULED and CANCELLED, so neither a wake nor an
//!   abort can fall between the look and the change.
//! - **A task that was woken during its poll** never becomes idle: the worker queues it again, with RUNNING set, and the next `start_poll` finds that. No wake and no abort
//!   can make a second runnable meanwhile, and none is missed: they set their bits, and `start_poll`, or the end of the poll after it, looks at those. So a task that has
//!   woken itself, which its own thread knows without the word, is queued and polled again without an exchange: what one poll wrote, the next one sees by the queue.
//! - **An abort** sets CANCELLED and SCHEDULED together. The future is dropped by the worker that runs the task next, never inside the abort; if the
//!   poll that was going on ends the task by itself, the abort comes too late and means nothing.
//! - **Completion** is one exchange, which also tells whether anyone waits for the outcome, and so who drops it.
//! - **The slot of the join waker** is the handle's while JOIN_WAKER is clear and the completing worker's once it completes with the bit set. The handle
//!   that gives the slot away looks at COMPLETE in the same exchange, so it is woken, or it sees the outcome.
//! - **References**: the life of the task holds one until the outcome is published, the handle one, each waker one. A runnable needs none:
//!   a task that has one is not complete. Waking by value gives the waker's reference up in the same exchange.

use crate::shim::{AtomicUsize, Bug, KnownBit, Ordering, exclusive, fence, seeded};

/// A runnable of this task exists (in a queue, in a slot, on its way there), or, together with `RUNNING`, the task was
/// woken during its poll and will be queued again at the end of it, or since it was queued again. Set by wakes and aborts, cleared by the start of a
/// poll, and by the end of one after which the task is queued again. Whoever sets it on an idle task owns the one runnable.
const SCHEDULED: usize = 1 << 0;
/// A worker owns the future: it polls it, drops it, or stores its output; or the runnable of a task that was woken during its poll does. Set by the start of a poll, cleared
/// by the end of one after which nobody owns it. Excludes every other access to the future.
const RUNNING: usize = 1 << 1;
/// The future is gone and the outcome is stored. Set once, by the worker that cleared `RUNNING`, and never cleared. From then
/// on the outcome belongs to the handle if `JOIN` was set at that moment.
const COMPLETE: usize = 1 << 2;
/// Somebody asked for the end of the task. Set by aborts, never cleared. The next start or end of a poll drops the future.
const CANCELLED: usize = 1 << 3;
/// The `JoinHandle` exists and takes the outcome. Cleared by its drop, if that comes before completion.
const JOIN: usize = 1 << 4;
/// The slot of the join waker belongs to the worker that will complete the task. While it is clear the slot belongs to the handle.
const JOIN_WAKER: usize = 1 << 5;
/// A poll of the task has given `Pending`. Never cleared.
const STARTED: usize = 1 << 6;
/// References count from here: one for the life of the task until its outcome is stored, one for the `JoinHandle`, one
/// for each waker and each `AbortHandle`. A runnable has none of its own: a task that has one is not complete.
const REF: usize = 1 << 7;

/// One task's state word, and what the holder of its runnable knows of it.
#[derive(Debug)]
pub(crate) struct State(AtomicUsize, KnownBit);

/// What a worker does with the runnable that it took.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Poll the future.
    Poll,
    /// Drop the future: the task was aborted.
    Cancel,
}

/// What a worker does after a poll that gave `Pending`.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pending {
    /// Nothing: whoever wakes the task next has it from here on.
    Idle,
    /// Queue the task again: it was woken during its poll.
    Reschedule,
    /// Drop the future: the task was aborted during its poll.
    Cancel,
}

/// What the worker does after it stored the outcome.
#[must_use]
#[derive(Debug)]
pub(crate) struct Completed {
    /// The handle takes the outcome; otherwise the worker drops it.
    pub(crate) join: bool,
    /// A waker waits in the slot; it is the worker's to take.
    pub(crate) waker: bool,
}

/// What a waker does after it marked the task.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// Nothing.
    Done,
    /// Hand the one runnable to the scheduler.
    Submit,
    /// Free the task: the waker was the last reference.
    Dealloc,
}

/// What the handle does on its drop.
#[must_use]
#[derive(Debug)]
pub(crate) struct DropJoin {
    /// The outcome is there and belongs to the handle: drop it.
    pub(crate) output: bool,
    /// The slot belongs to the handle: drop the waker in it.
    pub(crate) waker: bool,
}

/// The task is complete.
#[derive(Debug)]
pub(crate) struct Complete;

impl State {
    /// References that a task may have: as many as fit, and half of the word to spare for those that are counted at the same time.
    pub(crate) const MAX_REFS: usize = isize::MAX as usize / REF;

    /// A task with its first runnable, and the references of its handle and its own life.
    const INITIAL: usize = Self::initial(2);

    const fn initial(refs: usize) -> usize {
        SCHEDULED | JOIN | (refs * REF)
    }

    pub(crate) fn new() -> Self {
        Self::with_refs(2)
    }

    /// As [`new`](Self::new), with so many references.
    pub(crate) fn with_refs(count: usize) -> Self {
        Self(AtomicUsize::new(Self::initial(count)), KnownBit::new())
    }

    /// The holder of the runnable begins to run the task.
    #[inline]
    pub(crate) fn start_poll(&self) -> Start {
        // Whether RUNNING is set is this thread's to say: it holds the runnable.
        let before = if !self.1.take(&self.0, RUNNING) {
            // Acquire: what every waker released, and what the poll before released in `end_pending`. Nobody needs to see what came before this: the end
            // of the poll releases it.
            self.0.fetch_xor(SCHEDULED | RUNNING, Ordering::Acquire)
        } else if self.0.load(Ordering::Relaxed) & SCHEDULED == 0 {
            // It was woken during its poll, and nothing has come since. What comes only now, the end of this poll finds.
            return Start::Poll;
        } else {
            let order = if seeded(Bug::RequeuedNoAcquire) {
                Ordering::Relaxed
            } else {
                Ordering::Acquire
            };
            // Acquire: what the wakers and aborters since the last poll released.
            self.0.fetch_and(!SCHEDULED, order)
        };
        debug_assert_eq!(
            before & (SCHEDULED | COMPLETE),
            SCHEDULED,
            "a runnable must be the only one"
        );
        if before & CANCELLED != 0 && !seeded(Bug::CancelIgnored) {
            Start::Cancel
        } else {
            Start::Poll
        }
    }

    /// The poll gave `Pending`; `woken` if the task has woken itself. After `Idle` the worker must not touch the task again.
    #[inline]
    pub(crate) fn end_pending(&self, woken: bool) -> Pending {
        let mut current = self.0.load(Ordering::Relaxed);
        if woken && current & (CANCELLED | STARTED) == STARTED {
            // An abort that this overlooks, `start_poll` or the next end of a poll finds.
            self.1.leave();
            return Pending::Reschedule;
        }
        loop {
            debug_assert_eq!(current & (RUNNING | COMPLETE), RUNNING);
            let (next, action) = if current & CANCELLED != 0 {
                // Still RUNNING: the future stays this worker's.
                (current & !SCHEDULED, Pending::Cancel)
            } else if woken || current & SCHEDULED != 0 && !seeded(Bug::LostWake) {
                // Still RUNNING: the future goes with the runnable.
                (current & !SCHEDULED | STARTED, Pending::Reschedule)
            } else {
                (current & !(RUNNING | SCHEDULED) | STARTED, Pending::Idle)
            };
            // Release: the next `start_poll` acquires what this poll wrote. Acquire: the future's destructor sees what an aborter
            // that came during the poll wrote, and the poll after `Reschedule` what a waker wrote (after `Idle` the next `start_poll` acquires it).
            match self
                .0
                .compare_exchange_weak(current, next, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => {
                    if action == Pending::Reschedule {
                        self.1.leave();
                    }
                    return action;
                }
                Err(now) => current = now,
            }
        }
    }

    /// The future is gone and the task still cleans up: an abort that is in force has done all it could. Only while RUNNING.
    pub(crate) fn forgive(&self) {
        // Relaxed: the future that an aborter wanted gone is gone.
        self.0.fetch_and(!CANCELLED, Ordering::Relaxed);
    }

    /// Whether a poll before this one has given `Pending`. Only while RUNNING.
    pub(crate) fn is_started(&self) -> bool {
        // Relaxed: set by the one that runs the task.
        self.0.load(Ordering::Relaxed) & STARTED != 0
    }

    /// The outcome is stored: publish it.
    pub(crate) fn complete(&self) -> Completed {
        let order = if seeded(Bug::CompleteRelaxed) {
            Ordering::Relaxed
        } else {
            Ordering::AcqRel
        };
        // Release: `is_complete` and `set_join_waker` acquire the outcome. Acquire: sees the waker that `set_join_waker`
        // released.
        let before = self.0.fetch_xor(RUNNING | COMPLETE, order);
        debug_assert_eq!(before & (RUNNING | COMPLETE), RUNNING);
        Completed {
            join: before & JOIN != 0,
            waker: before & JOIN_WAKER != 0,
        }
    }

    /// A waker is used and kept.
    #[inline]
    pub(crate) fn wake_by_ref(&self) -> Wake {
        if seeded(Bug::WakeNoRelease) && self.0.load(Ordering::Relaxed) & SCHEDULED != 0 {
            return Wake::Done;
        }
        // Release even if the task is already scheduled: the poll that follows must see what the waker's thread wrote. Acquire: matches
        // `end_pending`; the queues that the runnable goes to now write its link, which those that it came from have written.
        let before = self.0.fetch_or(SCHEDULED, Ordering::AcqRel);
        if before & (SCHEDULED | RUNNING | COMPLETE) == 0 {
            Wake::Submit
        } else {
            Wake::Done
        }
    }

    /// A waker is used up: the wake and the drop of its reference are one step.
    pub(crate) fn wake_by_val(&self) -> Wake {
        let mut current = self.0.load(Ordering::Relaxed);
        loop {
            debug_assert!(current >= REF);
            let next = (current | SCHEDULED) - REF;
            // AcqRel: as in `wake_by_ref`, and as in `ref_dec`.
            match self
                .0
                .compare_exchange_weak(current, next, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) if current & (SCHEDULED | RUNNING | COMPLETE) == 0 => return Wake::Submit,
                Ok(_) if next < REF => return Wake::Dealloc,
                Ok(_) => return Wake::Done,
                Err(now) => current = now,
            }
        }
    }

    /// Asks for the end of the task.
    pub(crate) fn abort(&self) -> Wake {
        // AcqRel: as in `wake_by_ref`; here it is the future's destructor that sees. On a complete task both bits mean nothing.
        let before = self.0.fetch_or(CANCELLED | SCHEDULED, Ordering::AcqRel);
        if before & (SCHEDULED | RUNNING | COMPLETE) == 0 {
            Wake::Submit
        } else {
            Wake::Done
        }
    }

    /// Whether the outcome is stored.
    #[inline]
    pub(crate) fn is_complete(&self) -> bool {
        // Acquire: matches `complete`.
        self.0.load(Ordering::Acquire) & COMPLETE != 0
    }

    /// The handle left a waker in the slot and gives the slot away.
    pub(crate) fn set_join_waker(&self) -> Result<(), Complete> {
        let mut current = self.0.load(Ordering::Relaxed);
        loop {
            debug_assert_eq!(current & (JOIN | JOIN_WAKER), JOIN);
            if current & COMPLETE != 0 && !seeded(Bug::JoinNoRecheck) {
                if !seeded(Bug::SetJoinNoFence) {
                    // Acquire: matches `complete`, the outcome is read next.
                    fence(Ordering::Acquire);
                }
                return Err(Complete);
            }
            // Release: `complete` acquires the waker.
            match self
                .0
                .compare_exchange_weak(current, current | JOIN_WAKER, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return Ok(()),
                Err(now) => current = now,
            }
        }
    }

    /// The handle wants its slot back.
    pub(crate) fn unset_join_waker(&self) -> Result<(), Complete> {
        let mut current = self.0.load(Ordering::Relaxed);
        loop {
            if current & COMPLETE != 0 {
                if !seeded(Bug::UnsetJoinNoFence) {
                    // Acquire: as in `set_join_waker`.
                    fence(Ordering::Acquire);
                }
                return Err(Complete);
            }
            // Relaxed: what stands in the slot is the handle's own doing, and the worker touches it only if it completes with the bit set.
            match self
                .0
                .compare_exchange_weak(current, current & !JOIN_WAKER, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return Ok(()),
                Err(now) => current = now,
            }
        }
    }

    /// Whether the slot of the join waker is given away. Asked by the handle only, so the answer stays true until the handle changes it.
    pub(crate) fn has_join_waker(&self) -> bool {
        // Relaxed: only this thread sets and clears the bit.
        self.0.load(Ordering::Relaxed) & JOIN_WAKER != 0
    }

    /// The handle is dropped before anything else happened to the task: the common case of a detached spawn.
    #[inline]
    pub(crate) fn drop_join_fast(&self) -> bool {
        // Release: as in `ref_dec`.
        let next = (Self::INITIAL & !JOIN) - REF;
        self.0
            .compare_exchange(Self::INITIAL, next, Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }

    /// The handle is dropped. Its reference stays until `ref_dec`.
    pub(crate) fn drop_join(&self) -> DropJoin {
        let mut current = self.0.load(Ordering::Relaxed);
        loop {
            debug_assert!(current & JOIN != 0);
            if current & COMPLETE != 0 {
                if !seeded(Bug::DropJoinNoFence) {
                    // Acquire: matches `complete`, the outcome is dropped next.
                    fence(Ordering::Acquire);
                }
                return DropJoin {
                    output: true,
                    waker: false,
                };
            }
            let next = current & !(JOIN | JOIN_WAKER);
            // Relaxed: as in `unset_join_waker`; for the end of the task there is `ref_dec`.
            match self
                .0
                .compare_exchange_weak(current, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => {
                    return DropJoin {
                        output: false,
                        waker: true,
                    };
                }
                Err(now) => current = now,
            }
        }
    }

    /// One more reference.
    #[inline]
    pub(crate) fn ref_inc(&self) {
        // Relaxed: the new reference comes from one that exists.
        let before = self.0.fetch_add(REF, Ordering::Relaxed);
        if before / REF > Self::MAX_REFS {
            // So many clones can only be leaked ones; to wrap around would free the task under them.
            std::process::abort();
        }
    }

    /// One reference less; true if it was the last.
    #[inline]
    pub(crate) fn ref_dec(&self) -> bool {
        let order = if seeded(Bug::RefDecRelaxed) {
            Ordering::Relaxed
        } else {
            Ordering::AcqRel
        };
        // AcqRel: whoever frees the task has seen all that the other references did.
        let before = self.0.fetch_sub(REF, order);
        debug_assert!(before >= REF);
        before < 2 * REF
    }

    /// Called before the memory is given back: nobody else may be able to reach the task.
    pub(crate) fn assert_exclusive(&mut self) {
        let state = exclusive(&mut self.0);
        debug_assert!(
            state < REF && state & COMPLETE != 0,
            "a task was freed in state {state:#b}"
        );
    }
}
