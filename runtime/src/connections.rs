//! The connections of a server: how many there are, who may come, and who is told of the end of one, or of all.

use crate::coop;
use crate::handle::Handle;
use crate::scope::Reason;
use crate::scope::node::{Node, Payload};
use crate::shim::{Bug, Mutex, catch_unwind, drop_quietly, seeded};
use crate::sync::Event;
use crate::task::cold::Family;
use crate::task::join::AbortHandle;
use filch_timer::{Sleep, sleep};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

/// Before the next attempt to accept, when the system has no descriptor or no memory for a connection; the end of one of the server's own ends the wait, too.
/// (asyncio waits for 1 s, Go from 5 ms up to 1 s.)
const BACK_OFF: Duration = Duration::from_millis(100);

/// What a server has done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    connections: u64,
    panicked: u64,
}

impl Served {
    /// How many connections had a handler.
    pub fn connections(&self) -> u64 {
        self.connections
    }

    /// How many of these ended by a panic.
    pub fn panicked(&self) -> u64 {
        self.panicked
    }
}

/// What the server, its connections and its handles share.
pub(crate) struct Connections {
    state: Mutex<State>,
    closed: Event,
}

#[derive(Default)]
struct State {
    /// The listener is there.
    open: bool,
    /// No connection is taken any more.
    stopping: bool,
    /// Connections are aborted, those that begin meanwhile, too.
    aborted: bool,
    /// Why the server closes, if that was said before it began.
    early: Option<Reason>,
    /// The server's scope and its runtime, from its first poll on.
    begun: Option<(Arc<Node>, Handle)>,
    /// The connections, with the means to abort them as soon as their tasks exist.
    live: BTreeMap<u64, Option<AbortHandle>>,
    served: Served,
    /// Of the server, which accepts or waits.
    waker: Option<Waker>,
    /// How many connections have ended.
    ends: u64,
    /// The end of a connection is what the server waits for. Whoever ends takes it down and wakes.
    wants_end: bool,
}

impl Connections {
    /// Of a server whose listener is there.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                open: true,
                ..State::default()
            }),
            closed: Event::new(),
        })
    }

    /// Set once: the listener is gone, and so is the last connection.
    pub(crate) fn closed(&self) -> &Event {
        &self.closed
    }

    /// How many there are now.
    pub(crate) fn count(&self) -> usize {
        self.state.lock().live.len()
    }

    /// What was done so far.
    pub(crate) fn served(&self) -> Served {
        self.state.lock().served
    }

    /// The server begins, inside of `node`.
    pub(crate) fn begin(&self, node: &Arc<Node>, runtime: &Handle) {
        let early = {
            let mut state = self.state.lock();
            state.begun = Some((node.clone(), runtime.clone()));
            state.early.take()
        };
        if let Some(reason) = early {
            node.cancel(reason, coop::current_key());
        }
    }

    /// No connection is taken any more. Gives the runtime, if the server has begun and is not closed.
    pub(crate) fn stop(&self) -> Option<Handle> {
        let (waker, runtime) = {
            let mut state = self.state.lock();
            state.stopping = true;
            let runtime = state.begun.as_ref().map(|(_, runtime)| runtime.clone());
            (
                state.waker.take(),
                runtime.filter(|_| state.open || !state.live.is_empty()),
            )
        };
        wake(waker);
        runtime
    }

    /// Cancels the connections, and the server.
    pub(crate) fn cancel(&self, reason: Reason) {
        let node = {
            let mut state = self.state.lock();
            match &state.begun {
                Some((node, _)) => node.clone(),
                None => {
                    let old = state.early.replace(reason);
                    drop(state);
                    drop(old);
                    return;
                }
            }
        };
        node.cancel(reason, coop::current_key());
    }

    pub(crate) fn abort(&self) {
        let live: Vec<_> = {
            let mut state = self.state.lock();
            state.aborted = true;
            state.live.values().flatten().cloned().collect()
        };
        live.iter().for_each(AbortHandle::abort);
    }

    /// Whether a connection may be accepted now: `None` if none ever will. `back_off`: what the server waits for before it tries again.
    pub(crate) fn poll_turn(
        &self,
        limit: usize,
        back_off: &mut Option<BackOff>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<()>> {
        let waker = cx.waker().clone();
        let (old, full, ends) = {
            let mut state = self.state.lock();
            if state.stopping {
                return Poll::Ready(None);
            }
            let full = state.live.len() >= limit;
            state.wants_end = full || back_off.is_some();
            (state.waker.replace(waker), full, state.ends)
        };
        drop(old);
        if full {
            return Poll::Pending;
        }
        if let Some(waits) = back_off {
            if waits.ends == ends {
                ready!(waits.sleep.as_mut().poll(cx));
            }
            *back_off = None;
        }
        Poll::Ready(Some(()))
    }

    /// There are not the means to accept: what the server waits for.
    pub(crate) fn back_off(&self) -> BackOff {
        BackOff {
            sleep: Box::pin(sleep(BACK_OFF)),
            ends: self.state.lock().ends,
        }
    }

    /// A connection is there: its number, unless none is taken any more.
    pub(crate) fn admit(&self) -> Option<u64> {
        let mut state = self.state.lock();
        if state.stopping {
            return None;
        }
        let number = state.served.connections;
        state.served.connections += 1;
        state.live.insert(number, None);
        Some(number)
    }

    /// Its task is there.
    pub(crate) fn keep(&self, number: u64, task: AbortHandle) {
        let surplus = {
            let mut state = self.state.lock();
            let aborted = state.aborted && !seeded(Bug::BeginsUnaborted);
            match state.live.get_mut(&number) {
                // It comes too late for whoever aborted all of them.
                Some(_) if aborted => Some(task),
                Some(place) => place.replace(task),
                // It has ended already.
                None => Some(task),
            }
        };
        if let Some(task) = surplus {
            task.abort();
        }
    }

    /// It has ended.
    pub(crate) fn ended(&self, number: u64) {
        let (task, waker, last) = {
            let mut state = self.state.lock();
            let task = state.live.remove(&number);
            state.ends += 1;
            let waker = match std::mem::take(&mut state.wants_end) {
                true => state.waker.take(),
                false => None,
            };
            (task, waker, !state.open && state.live.is_empty())
        };
        drop(task);
        wake(waker);
        if last {
            self.closed.set();
        }
    }

    /// The listener is gone.
    pub(crate) fn shut(&self) {
        let early = seeded(Bug::ShutLooksFirst).then(|| self.count() == 0);
        let (waker, last) = {
            let mut state = self.state.lock();
            state.open = false;
            state.stopping = true;
            (state.waker.take(), early.unwrap_or(state.live.is_empty()))
        };
        drop(waker);
        if last {
            self.closed.set();
        }
    }
}

/// A foreign waker may panic: that is no affair of who ends, or closes.
fn wake(waker: Option<Waker>) {
    if let Err(payload) = catch_unwind(|| waker.map(Waker::wake)) {
        drop_quietly(payload);
    }
}

/// What a server waits for when it lacks the means to accept: its time, or the end of a connection.
pub(crate) struct BackOff {
    sleep: Pin<Box<Sleep>>,
    /// How many had ended before.
    ends: u64,
}

/// The family of one connection.
pub(crate) struct Connection {
    pub(crate) connections: Arc<Connections>,
    pub(crate) node: Arc<Node>,
    pub(crate) number: u64,
}

impl Family for Connection {
    fn panicked(&self, payload: Payload) {
        self.connections.state.lock().served.panicked += 1;
        drop_quietly(payload);
    }

    fn ended(&self) {
        self.connections.ended(self.number);
    }

    fn node(&self) -> &Arc<Node> {
        &self.node
    }
}
