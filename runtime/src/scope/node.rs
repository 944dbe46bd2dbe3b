//! The tree of cancel scopes.
//!
//! Every scope, shield, group and clean-up is a [`Node`], and so is the root scope of each task that uses any of them. A node knows its parent;
//! a parent knows its nodes only to wake them. Whether a node is cancelled is never copied downwards: it is read upwards, from the node to the
//! first shield. So a cancel is one counter that goes up, and to withdraw it is the same counter going down.
//!
//! ```text
//! task (root) ── scope ── group ──────── child task (root) ── scope
//!                  └─ shield (a cancel from above ends here) ── scope
//! ```
//!
//! **No wake of a cancel is lost.** Whoever waits first leaves its waker under its node's lock and then reads the counters upwards. Whoever cancels first raises
//! the counter and then takes the wakers of each node below, under that node's lock. Of the two lock sections
//! one is first: either the canceller finds the waker, or the waiter sees the counter.

use crate::coop::TaskKey;
use crate::scope::reason::Reason;
use crate::shim::{AtomicBool, AtomicUsize, Bug, Mutex, Ordering, catch_unwind, drop_quietly, seeded};
use filch_timer::Instant;
use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::Duration;

/// A future that cleans up.
pub(crate) type CleanupFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a panic carries.
pub(crate) type Payload = Box<dyn Any + Send>;

/// How a node stands to what is around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A scope inside a task.
    Scope,
    /// As a scope, but a cancel from above stops here.
    Shield,
    /// As a shield, and what is inside holds nothing around it: whoever runs it waits for it anyway.
    Cleanup,
    /// The root of a task, or of a future in `block_on`: holds end here.
    Root,
}

/// One scope.
pub(crate) struct Node {
    parent: Option<Arc<Node>>,
    kind: Kind,
    /// The number under which the parent knows this node.
    place: u64,
    /// Cancels in force.
    requests: AtomicUsize,
    /// What is inside this node, in the same task, and must not be dropped by a cancel: shields, and scopes that are ending.
    holds: AtomicUsize,
    /// The code inside, in the same task, has been told of the cancel: it ends at its next wait.
    heard: AtomicBool,
    /// The scope has something to say even if it is cancelled from outside.
    insists: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Why this node was cancelled first.
    reason: Option<Reason>,
    /// The task inside whose poll it was.
    canceller: Option<TaskKey>,
    deadline: Option<Instant>,
    /// Of whoever polls the scope's body. Shared, for a waker is foreign code, which is not cloned under the lock.
    waker: Option<Arc<Waker>>,
    /// Of those inside who wait to hear of a cancel.
    listeners: BTreeMap<u64, Waker>,
    kids: BTreeMap<u64, Weak<Node>>,
    /// The next free number for a listener or a kid.
    next: u64,
    /// Tasks that have to end before the scope ends.
    children: usize,
    /// One of them was alive when the scope was cancelled from around.
    cut: bool,
    /// Clean-ups that have not begun, in the order in which they run.
    cleanups: VecDeque<Cleanup>,
    /// Clean-ups that run: one of this scope's own, and what scopes that were dropped inside left behind.
    running: Vec<CleanupFuture>,
    /// Whether one of this scope's own is among those that run (or in the hands of whoever polls them).
    own_runs: bool,
    /// The first panic of a clean-up.
    panic: Option<Payload>,
    ended: bool,
}

/// A clean-up that waits for its turn.
pub(crate) struct Cleanup {
    pub(crate) future: CleanupFuture,
    /// How long it may take.
    pub(crate) within: Duration,
}

/// What is left to do in a scope.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Nothing: the scope has ended.
    Nothing,
    /// Tasks or clean-ups.
    Something,
}

impl Node {
    pub(crate) fn new(parent: Option<Arc<Node>>, kind: Kind, deadline: Option<Instant>) -> Arc<Self> {
        let place = parent.as_ref().map_or(0, |parent| parent.state.lock().number());
        let node = Arc::new(Self {
            parent,
            kind,
            place,
            requests: AtomicUsize::new(0),
            holds: AtomicUsize::new(0),
            heard: AtomicBool::new(false),
            insists: AtomicBool::new(false),
            state: Mutex::new(State {
                deadline,
                ..State::default()
            }),
        });
        if let Some(parent) = &node.parent {
            parent.state.lock().kids.insert(place, Arc::downgrade(&node));
        }
        node
    }

    /// A cancel from above stops here.
    fn is_shield(&self) -> bool {
        matches!(self.kind, Kind::Shield | Kind::Cleanup)
    }

    pub(crate) fn parent(&self) -> Option<&Arc<Node>> {
        self.parent.as_ref()
    }

    /// The cancelled node that this one is under, which may be itself.
    fn cancelled_at(&self) -> Option<&Node> {
        let mut node = self;
        loop {
            // Acquire: matches the Release in `cancel`; the reason is behind the lock, what came before the cancel is seen.
            if node.requests.load(Ordering::Acquire) > 0 {
                return Some(node);
            }
            if node.is_shield() {
                return None;
            }
            node = node.parent.as_deref()?;
        }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled_at().is_some()
    }

    /// Whether a cancel comes from around the scope: then it is not the scope's to catch.
    pub(crate) fn is_cancelled_outside(&self) -> bool {
        !self.is_shield() && self.parent.as_ref().is_some_and(|parent| parent.is_cancelled())
    }

    /// Whether this very scope was cancelled.
    pub(crate) fn is_cancelled_itself(&self) -> bool {
        // Relaxed: whether the deadline still matters.
        self.requests.load(Ordering::Relaxed) > 0
    }

    /// Why the scope, or one around it, is cancelled.
    pub(crate) fn reason(&self) -> Option<Reason> {
        self.cancelled_at().and_then(|node| node.state.lock().reason.clone())
    }

    /// Whether a body that gave `Pending` is to be dropped. `before`: the scope was cancelled when the poll began. `task`: who is polled.
    pub(crate) fn must_drop(&self, before: bool, task: Option<TaskKey>) -> bool {
        let Some(node) = self.cancelled_at() else {
            // If it was told of one, that was taken back.
            self.heard.store(false, Ordering::Relaxed);
            return false;
        };
        // Relaxed: holds change inside this task's polls, or, see `release_parents`, with a wake behind them.
        if self.holds.load(Ordering::Relaxed) > 0 && !seeded(Bug::ShieldIgnored) {
            return false;
        }
        // A cancel that came during the poll from elsewhere wakes the task: what it waits for may be there by then.
        before || self.heard.load(Ordering::Relaxed) || (task.is_some() && node.state.lock().canceller == task)
    }

    /// Why the scope is cancelled, for the code inside, which from now on counts as told.
    pub(crate) fn tell(&self) -> Option<Reason> {
        let cancelled = self.cancelled_at()?;
        let reason = cancelled.state.lock().reason.clone()?;
        let mut node = self;
        loop {
            // Relaxed: only this task's polls look.
            node.heard.store(!seeded(Bug::HeardForgotten), Ordering::Relaxed);
            match node.parent.as_deref() {
                // What is around the cancelled scope was not told of anything.
                Some(parent) if node.kind != Kind::Root && !std::ptr::eq(node, cancelled) => node = parent,
                _ => return Some(reason),
            }
        }
    }

    /// Cancels the scope; true if it was not yet. The first reason stays.
    pub(crate) fn cancel(self: &Arc<Self>, reason: Reason, canceller: Option<TaskKey>) -> bool {
        let first = {
            let mut state = self.state.lock();
            if state.ended {
                return false;
            }
            // Relaxed: written under the lock only.
            let before = self.requests.load(Ordering::Relaxed);
            if before == 0 {
                state.reason = Some(reason);
                state.canceller = canceller;
            }
            if !seeded(Bug::CancelWakesFirst) {
                // Release: matches the Acquire in `cancelled_at`.
                self.requests.store(before + 1, Ordering::Release);
            }
            before == 0
        };
        self.wake_all();
        if seeded(Bug::CancelWakesFirst) {
            self.requests.fetch_add(1, Ordering::Release);
        }
        first
    }

    /// Takes one cancel back; returns how many are left.
    pub(crate) fn uncancel(self: &Arc<Self>) -> usize {
        let left = {
            let mut state = self.state.lock();
            let left = self.requests.load(Ordering::Relaxed).saturating_sub(1);
            if left == 0 {
                state.reason = None;
                state.canceller = None;
            }
            // Relaxed: nothing comes with it.
            self.requests.store(left, Ordering::Relaxed);
            left
        };
        if left == 0 {
            // Whoever stopped because of it goes on.
            self.wake_all();
        }
        left
    }

    /// How many cancels are in force.
    pub(crate) fn cancelling(&self) -> usize {
        // Relaxed: no more than a number.
        self.requests.load(Ordering::Relaxed)
    }

    /// Wakes everybody in this scope and below, the innermost first.
    fn wake_all(self: &Arc<Self>) {
        let mut wakers = Vec::new();
        let mut nodes = vec![self.clone()];
        while let Some(node) = nodes.pop() {
            let mut state = node.state.lock();
            wakers.extend(state.waker.clone());
            wakers.extend(std::mem::take(&mut state.listeners).into_values().map(Arc::new));
            let first = nodes.len();
            nodes.extend(state.kids.values().filter_map(Weak::upgrade));
            drop(state);
            // Without the lock: the last reference to a kid takes it to leave its parent.
            let kids = nodes.split_off(first);
            nodes.extend(kids.into_iter().filter(|kid| !kid.is_shield()));
        }
        for waker in wakers.into_iter().rev() {
            wake(Some(waker));
        }
    }

    /// Leaves the waker of whoever polls the body.
    pub(crate) fn register(&self, waker: &Waker) {
        let is_known = |state: &State| state.waker.as_ref().is_some_and(|old| old.will_wake(waker));
        if is_known(&self.state.lock()) {
            return;
        }
        let new = Arc::new(waker.clone());
        let old = self.state.lock().waker.replace(new);
        drop(old);
    }

    /// Leaves the waker of somebody who wants to hear of a cancel, under the number of an earlier call if there was one.
    pub(crate) fn listen(&self, number: Option<u64>, waker: &Waker) -> u64 {
        let waker = waker.clone();
        let mut state = self.state.lock();
        let number = number.unwrap_or_else(|| state.number());
        let old = state.listeners.insert(number, waker);
        drop(state);
        drop(old);
        number
    }

    pub(crate) fn unlisten(&self, number: u64) {
        let old = self.state.lock().listeners.remove(&number);
        drop(old);
    }

    /// Something inside must not be dropped by a cancel from around it.
    pub(crate) fn hold_parents(&self) {
        for node in self.held() {
            node.holds.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes [`hold_parents`](Self::hold_parents) back. Another task than theirs may do that, for futures can be moved: so a scope that is
    /// cancelled is woken. As with cancels, of two lock sections one is first: either this one's, and a canceller
    /// that finds the waker afterwards wakes a poll that sees the hold gone, or the canceller's, and its cancel is seen here.
    pub(crate) fn release_parents(&self) {
        for node in self.held() {
            if node.holds.fetch_sub(1, Ordering::Relaxed) == 1 {
                let waker = node.state.lock().waker.clone();
                if node.is_cancelled() {
                    wake(waker);
                }
            }
        }
    }

    /// The scopes around this one that it can hold.
    fn held(&self) -> impl Iterator<Item = &Node> {
        fn around(node: &Node) -> Option<&Node> {
            match node.kind {
                Kind::Root | Kind::Cleanup => None,
                Kind::Scope | Kind::Shield => node.parent.as_deref(),
            }
        }
        std::iter::successors(around(self), |node| around(node))
    }

    /// The scope has something to say even if it is cancelled from outside.
    pub(crate) fn insist(&self) {
        // Relaxed: whoever asks has seen that the last child ended, under the lock; what it has to say is behind a lock of its own.
        self.insists.store(true, Ordering::Relaxed);
    }

    pub(crate) fn insists(&self) -> bool {
        self.insists.load(Ordering::Relaxed)
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.state.lock().deadline
    }

    /// Moves the deadline; whoever polls the scope looks at it again.
    pub(crate) fn set_deadline(&self, deadline: Option<Instant>) {
        let waker = {
            let mut state = self.state.lock();
            state.deadline = deadline;
            state.waker.clone()
        };
        wake(waker);
    }

    /// The earliest deadline of this scope and those around it, up to a shield.
    pub(crate) fn effective_deadline(&self) -> Option<Instant> {
        let mut node = self;
        let mut earliest = None;
        loop {
            if let Some(deadline) = node.deadline() {
                earliest = Some(earliest.map_or(deadline, |earliest: Instant| earliest.min(deadline)));
            }
            if node.is_shield() {
                return earliest;
            }
            match node.parent.as_deref() {
                Some(parent) => node = parent,
                None => return earliest,
            }
        }
    }

    /// A task that has to end before the scope does. False if the scope has ended.
    pub(crate) fn add_child(&self) -> bool {
        let mut state = self.state.lock();
        if !state.ended {
            state.children += 1;
        }
        !state.ended
    }

    /// One of those tasks has ended.
    pub(crate) fn child_ended(&self) {
        let cut = self.is_cancelled_outside();
        let waker = {
            let mut state = self.state.lock();
            state.children -= 1;
            state.cut |= cut;
            if state.children == 0 && !seeded(Bug::LastChildInSilence) {
                state.waker.clone()
            } else {
                None
            }
        };
        wake(waker);
    }

    /// Whether a cancel from around found the scope waiting for such tasks.
    pub(crate) fn is_cut(&self) -> bool {
        let outside = self.is_cancelled_outside();
        let mut state = self.state.lock();
        state.cut |= outside && state.children > 0;
        state.cut
    }

    /// How many of those tasks are left.
    pub(crate) fn children(&self) -> usize {
        self.state.lock().children
    }

    /// Queues a clean-up here, or around if this scope has ended. Gives it back if there is no such scope.
    pub(crate) fn push_cleanup(&self, cleanup: Cleanup) -> Result<(), Cleanup> {
        self.leave(cleanup, |state, cleanup| state.cleanups.push_back(cleanup))
    }

    /// Takes over what a scope inside left behind when it was dropped.
    pub(crate) fn adopt(&self, future: CleanupFuture) -> Result<(), CleanupFuture> {
        self.leave(future, |state, future| state.running.push(future))
    }

    fn leave<T>(&self, thing: T, put: impl FnOnce(&mut State, T)) -> Result<(), T> {
        let mut node = self;
        loop {
            let mut state = node.state.lock();
            if !state.ended {
                put(&mut state, thing);
                let waker = state.waker.clone();
                drop(state);
                wake(waker);
                return Ok(());
            }
            drop(state);
            match node.parent.as_deref() {
                Some(parent) => node = parent,
                None => return Err(thing),
            }
        }
    }

    /// Whether there is a [`next_cleanup`](Self::next_cleanup).
    pub(crate) fn has_next_cleanup(&self) -> bool {
        let state = self.state.lock();
        !state.own_runs && !state.cleanups.is_empty()
    }

    /// The next clean-up of this scope's own, if none runs.
    pub(crate) fn next_cleanup(&self) -> Option<Cleanup> {
        let mut state = self.state.lock();
        if state.own_runs {
            return None;
        }
        let next = state.cleanups.pop_front();
        state.own_runs = next.is_some();
        next
    }

    /// The clean-up of this scope's own that ran is over.
    pub(crate) fn cleanup_ended(&self) {
        self.state.lock().own_runs = false;
    }

    /// The clean-ups that run, to be polled and given back with [`put_running`](Self::put_running).
    pub(crate) fn take_running(&self) -> Vec<CleanupFuture> {
        std::mem::take(&mut self.state.lock().running)
    }

    /// Gives back those that still run. True if nothing came meanwhile that was not polled yet.
    pub(crate) fn put_running(&self, mut futures: Vec<CleanupFuture>) -> bool {
        let mut state = self.state.lock();
        let nothing_new = state.running.is_empty() && (state.own_runs || state.cleanups.is_empty());
        state.running.append(&mut futures);
        nothing_new
    }

    /// A clean-up panicked.
    pub(crate) fn panicked(&self, payload: Payload) {
        let surplus = {
            let mut state = self.state.lock();
            match state.panic {
                None => {
                    state.panic = Some(payload);
                    None
                }
                Some(_) => Some(payload),
            }
        };
        drop_quietly(surplus);
    }

    pub(crate) fn take_panic(&self) -> Option<Payload> {
        self.state.lock().panic.take()
    }

    /// Whether nothing can enter it any more.
    pub(crate) fn is_ended(&self) -> bool {
        self.state.lock().ended
    }

    /// Whether there are clean-ups to be polled.
    pub(crate) fn has_cleanups(&self) -> bool {
        let state = self.state.lock();
        !(state.cleanups.is_empty() && state.running.is_empty())
    }

    /// Ends the scope if nothing is left to do: nothing can enter it any more.
    pub(crate) fn try_end(&self) -> Left {
        let mut state = self.state.lock();
        let over = state.children == 0 && state.cleanups.is_empty() && state.running.is_empty() && !state.own_runs;
        if !over {
            return Left::Something;
        }
        state.ended = true;
        let waker = state.waker.take();
        drop(state);
        drop(waker);
        Left::Nothing
    }

    /// Ends the scope whatever is left, which is dropped.
    pub(crate) fn end(&self) {
        let (waker, cleanups, running) = {
            let mut state = self.state.lock();
            state.ended = true;
            (
                state.waker.take(),
                std::mem::take(&mut state.cleanups),
                std::mem::take(&mut state.running),
            )
        };
        drop_quietly((waker, cleanups, running));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let mut around = self.leave_parent();
        // One after the other: a tree may be deeper than a stack.
        while let Some(mut node) = around.and_then(Arc::into_inner) {
            around = node.leave_parent();
        }
    }
}

impl Node {
    fn leave_parent(&mut self) -> Option<Arc<Node>> {
        let parent = self.parent.take()?;
        let kid = parent.state.lock().kids.remove(&self.place);
        drop(kid);
        Some(parent)
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// A foreign waker may panic: that stops nobody else from being woken.
fn wake(waker: Option<Arc<Waker>>) {
    let Some(waker) = waker else { return };
    if let Err(payload) = catch_unwind(|| waker.wake_by_ref()) {
        drop_quietly(payload);
    }
    drop_quietly(waker);
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("kind", &self.kind)
            .field("cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}
