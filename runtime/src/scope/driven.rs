//! What polls a scope: the body, then all that the scope has to wait for.
//!
//! A body ends by itself, by a panic, or because it is dropped: when the scope is cancelled and the body is still pending after
//! one more poll. After that the scope's clean-ups run, one after the other, and the tasks that belong to it are waited for; meanwhile
//! nothing around the scope drops it. A scope that was cancelled from outside never goes back into the code that awaits it: it stays
//! pending, and whatever is cancelled around it drops that code.

use crate::coop;
use crate::scope::ambient;
use crate::scope::node::{CleanupFuture, Kind, Left, Node, Payload};
use crate::scope::reason::{Reason, ReasonKind};
use crate::shim::{catch_unwind, drop_quietly};
use filch_timer::{Instant, Sleep, sleep_until};
use pin_project_lite::pin_project;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

pin_project! {
    /// The future of a scope. `None`: the scope was cancelled, and that was its own affair.
    pub(crate) struct Driven<F>
    where
        F: Future,
    {
        node: Arc<Node>,
        // Where the scope was made: where a deadline that passes comes from.
        location: &'static Location<'static>,
        holding: Holding,
        #[pin]
        body: Option<F>,
        phase: Phase<F::Output>,
        timer: Option<Pin<Box<Sleep>>>,
        // This scope has a hold on those around it.
        holds: bool,
    }

    impl<F> PinnedDrop for Driven<F>
    where
        F: Future,
    {
        fn drop(this: Pin<&mut Self>) {
            this.abandon();
        }
    }
}

/// When a scope keeps those around it from being dropped by a cancel.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holding {
    /// While it is ending.
    Ending,
    /// From the first poll on.
    Always,
}

enum Phase<T> {
    /// The body is there.
    Body,
    /// The body is gone, and this came of it.
    Ending(Outcome<T>),
    /// It was cancelled from outside and waits to be dropped.
    Stopped,
    Done,
}

enum Outcome<T> {
    Value(T),
    Cancelled,
    Panicked(Payload),
}

impl<F: Future> Driven<F> {
    /// `location` is where the scope was made.
    pub(crate) fn at(node: Arc<Node>, location: &'static Location<'static>, body: F) -> Self {
        Self {
            node,
            location,
            holding: Holding::Ending,
            body: Some(body),
            phase: Phase::Body,
            timer: None,
            holds: false,
        }
    }

    /// As [`at`](Self::at), behind a shield.
    #[track_caller]
    pub(crate) fn shield(parent: Option<Arc<Node>>, deadline: Option<Instant>, body: F) -> Self {
        let node = Node::new(parent, Kind::Shield, deadline);
        let mut driven = Self::at(node, Location::caller(), body);
        driven.holding = Holding::Always;
        driven
    }

    /// As [`shield`](Self::shield), for a clean-up of `scope`.
    #[track_caller]
    fn cleanup(scope: Arc<Node>, deadline: Option<Instant>, body: F) -> Self {
        Self::at(
            Node::new(Some(scope), Kind::Cleanup, deadline),
            Location::caller(),
            body,
        )
    }

    pub(crate) fn made_at(mut self, location: &'static Location<'static>) -> Self {
        self.location = location;
        self
    }

    /// It is dropped: what is left of the scope is left to the one around it.
    fn abandon(self: Pin<&mut Self>) {
        let mut this = self.project();
        if let Phase::Done = this.phase {
            return;
        }
        let node = this.node.clone();
        let reason = Reason::new(ReasonKind::Dropped, None, None, this.location);
        node.cancel(reason, None);
        let dropped = catch_unwind(|| ambient::with_node(&node, || this.body.set(None)));
        // A scope that has stopped may still have its waker here, which this takes.
        if node.try_end() == Left::Something && !node.parent().is_some_and(|parent| leave_to(parent, &node)) {
            // There is no scope around, for there is no task and no runtime: nobody could run it.
            node.end();
        }
        // Behind that: when those around are free to go, they have what was left to them.
        if std::mem::take(this.holds) {
            node.release_parents();
        }
        match dropped {
            Ok(()) => {}
            // A second panic would end the process.
            Err(payload) if std::thread::panicking() => drop_quietly(payload),
            Err(payload) => std::panic::resume_unwind(payload),
        }
    }
}

impl<F: Future> Future for Driven<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let node = &*this.node;
        // Before anything is looked at: whoever changes it from here on wakes this.
        node.register(cx.waker());
        if let Phase::Body = this.phase {
            if *this.holding == Holding::Always && !std::mem::replace(this.holds, true) {
                node.hold_parents();
            }
            check_deadline(node, this.timer, this.location, cx);
            let cancelled = node.is_cancelled();
            let Some(body) = this.body.as_mut().as_pin_mut() else {
                unreachable!("a scope in its body has one")
            };
            let polled = catch_unwind(|| ambient::with_node(node, || body.poll(cx)));
            let outcome = match polled {
                Ok(Poll::Ready(value)) => Outcome::Value(value),
                Err(payload) => Outcome::Panicked(payload),
                Ok(Poll::Pending) if node.must_drop(cancelled, coop::current_key()) => Outcome::Cancelled,
                Ok(Poll::Pending) => {
                    if node.has_cleanups() {
                        poll_cleanups(node, cx);
                    }
                    return Poll::Pending;
                }
            };
            let dropped = catch_unwind(|| ambient::with_node(node, || this.body.set(None)));
            let outcome = match (outcome, dropped) {
                (outcome, Ok(())) => outcome,
                (Outcome::Panicked(first), Err(second)) => {
                    drop_quietly(second);
                    Outcome::Panicked(first)
                }
                (outcome, Err(payload)) => {
                    drop_quietly(outcome);
                    Outcome::Panicked(payload)
                }
            };
            if let Outcome::Panicked(_) = outcome {
                // Nobody waits for the children's results any more.
                node.cancel(
                    Reason::new(ReasonKind::Failure, Some("a panic"), None, this.location),
                    None,
                );
            }
            if !std::mem::replace(this.holds, true) {
                node.hold_parents();
            }
            *this.phase = Phase::Ending(outcome);
        }
        if let Phase::Ending(_) = this.phase {
            // A deadline holds for the children, too.
            check_deadline(node, this.timer, this.location, cx);
            let cut = node.is_cut();
            ready!(poll_end(node, cx));
            *this.timer = None;
            if std::mem::take(this.holds) {
                node.release_parents();
            }
            let Phase::Ending(outcome) = std::mem::replace(this.phase, Phase::Done) else {
                unreachable!("it was just looked at")
            };
            match (outcome, node.take_panic()) {
                (Outcome::Panicked(payload), second) => {
                    drop_quietly(second);
                    std::panic::resume_unwind(payload);
                }
                (outcome, Some(payload)) => {
                    drop_quietly(outcome);
                    std::panic::resume_unwind(payload);
                }
                // To wait for children is a place where the code around can be cancelled, whatever value the body gave.
                (Outcome::Value(value), None) if cut || node.is_cut() => {
                    drop_quietly(value);
                    *this.phase = Phase::Stopped;
                }
                (Outcome::Value(value), None) => return Poll::Ready(Some(value)),
                (Outcome::Cancelled, None) => *this.phase = Phase::Stopped,
            }
        }
        if let Phase::Stopped = this.phase {
            // The end of the scope took the waker. It is left again for a cancel that is taken back; else whatever is cancelled around drops this
            // after the poll.
            node.register(cx.waker());
            if node.is_cancelled_outside() && !node.insists() {
                return Poll::Pending;
            }
            node.end();
            *this.phase = Phase::Done;
            return Poll::Ready(None);
        }
        unreachable!("a scope was polled after its end")
    }
}

/// Cancels the scope if its deadline has passed; else sees to being woken then.
fn check_deadline(
    node: &Arc<Node>,
    timer: &mut Option<Pin<Box<Sleep>>>,
    location: &'static Location<'static>,
    cx: &mut Context<'_>,
) {
    if node.is_cancelled_itself() {
        return;
    }
    let Some(deadline) = node.deadline() else {
        *timer = None;
        return;
    };
    let now = Instant::now();
    if now < deadline {
        let timer = match timer {
            Some(timer) => {
                if timer.deadline() != deadline {
                    timer.as_mut().reset(deadline);
                }
                timer
            }
            None => timer.insert(Box::pin(sleep_until(deadline))),
        };
        // Without the poll budget's say: a deadline that passed is no work.
        if !timer.is_elapsed() && timer.as_mut().poll(cx).is_pending() {
            return;
        }
    }
    node.cancel(Reason::new(ReasonKind::Deadline, None, None, location), None);
}

/// Runs what a scope has to clean up: its own clean-ups, one at a time, and what scopes left that were dropped inside.
pub(crate) fn poll_cleanups(node: &Arc<Node>, cx: &mut Context<'_>) {
    let mut began = false;
    loop {
        let is_due = node.has_next_cleanup();
        // The first one is free, so that a body that uses up its budget stops no clean-up beside it.
        if is_due && std::mem::replace(&mut began, true) && coop::charge(cx).is_pending() {
            return;
        }
        let mut running = node.take_running();
        if let Some(next) = is_due.then(|| node.next_cleanup()).flatten() {
            let bounded = Driven::cleanup(node.clone(), limit(next.within), next.future);
            running.push(Box::pin(Own(bounded, node.clone())));
        }
        let mut pending = Vec::with_capacity(running.len());
        for mut future in running {
            match catch_unwind(|| future.as_mut().poll(cx)) {
                Ok(Poll::Pending) => pending.push(future),
                Ok(Poll::Ready(())) => drop_quietly(future),
                Err(payload) => {
                    drop_quietly(future);
                    node.panicked(payload);
                }
            }
        }
        if node.put_running(pending) {
            return;
        }
    }
}

/// When a clean-up's time is over that begins now. Outside of a runtime nobody watches the time.
fn limit(within: Duration) -> Option<Instant> {
    filch_timer::Handle::try_current()?;
    Instant::now().checked_add(within)
}

/// Runs all that is left to do in a scope whose body is gone.
pub(crate) fn poll_end(node: &Arc<Node>, cx: &mut Context<'_>) -> Poll<()> {
    if node.has_cleanups() {
        poll_cleanups(node, cx);
    }
    match node.try_end() {
        Left::Nothing => Poll::Ready(()),
        Left::Something => Poll::Pending,
    }
}

/// Leaves what is left to do in a scope that nobody polls any more to another one. False if that has ended.
pub(crate) fn leave_to(heir: &Arc<Node>, node: &Arc<Node>) -> bool {
    heir.adopt(Box::pin(Leftovers(node.clone()))).is_ok()
}

/// A clean-up of a scope's own; the next one begins when it is over, whatever became of it.
struct Own(Driven<CleanupFuture>, Arc<Node>);

impl Future for Own {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Out of time it is dropped: there is nothing more that could be done about it.
        Pin::new(&mut self.0).poll(cx).map(|_| ())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.1.cleanup_ended();
    }
}

/// What is left of a scope whose future was dropped.
struct Leftovers(Arc<Node>);

impl Future for Leftovers {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.register(cx.waker());
        ready!(poll_end(&self.0, cx));
        match self.0.take_panic() {
            Some(payload) => std::panic::resume_unwind(payload),
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Leftovers {
    fn drop(&mut self) {
        // Dropped before it was done, with the scope that had taken it over.
        self.0.end();
    }
}
