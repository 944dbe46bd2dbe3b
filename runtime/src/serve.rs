//! Servers: a listener, and a task for each connection.
//!
//! A server is a scope, as a group is: its body accepts, its children are the connections. All the waiting is the scope's: for the connections that go on when
//! nothing is accepted any more, and for those that it cancels because it is closed, cancelled or dropped (see `scope/driven.rs`). What a [`ServerHandle`] can do goes
//! past the server's future, so it works whoever polls that, or drops it.

use crate::coop;
use crate::handle::Handle;
use crate::scope::driven::Driven;
use crate::scope::node::{Kind, Node, Payload};
use crate::scope::{self, Reason, ReasonKind};
use crate::shim::{Mutex, catch_unwind, drop_quietly};
use crate::sync::Event;
use crate::task::cold::{Cold, Family};
use crate::task::join::AbortHandle;
use crate::task::raw;
use filch_io::net::{AcceptError, Listener};
use filch_timer::{Sleep, sleep, timeout};
use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

/// Before the next attempt to accept, when the system has no descriptor or no memory for a connection; the end of one of the server's own ends the wait, too.
/// (asyncio waits for 1 s, Go from 5 ms up to 1 s.)
const BACK_OFF: Duration = Duration::from_millis(100);

/// Serves each connection of a listener with a task of its own, until the server is closed.
///
/// The server runs while this is awaited, and gives what it [has served](Served) when it accepts no more and its last connection has ended. [`handle`](Serve::handle)
/// gives the means to end it. To have it run by itself, spawn it: `filch::spawn(server.into_future())`.
///
/// The connections are inside the server's scope, as the children of a [group](fn@crate::group) are: its cancels, deadlines and values of task-local keys are theirs. A cancel of the server closes the
/// listener, cancels its connections and waits for them. The panic of a handler ends its connection and nothing else; the panic hook reports it, and [`Served::panicked`] counts it.
///
/// A shortage of file descriptors or memory ends nothing: the connections wait in the listener's queue, and are accepted when there is something to accept them with.
/// When the listener is closed, the connections in that queue are reset by the system. (One whose handshake ends in that very moment may look open to its client until it writes, on Linux.)
///
/// # Errors
///
/// If the listener cannot accept any more, for another reason than a shortage. The connections are cancelled then, and waited for.
///
/// # Cancel safety
///
/// Dropping the future closes the listener and cancels the connections; the scope around it waits for them. (asyncio's `start_server` and `serve_forever`.)
///
/// ```
/// use filch::net::{TcpListener, TcpStream, serve};
/// # filch::run(async {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let address = listener.local_addr()?;
/// let server = serve(listener, |mut stream: TcpStream, _peer| async move {
///     let mut question = [0; 5];
///     if stream.read_exact(&mut question).await.is_ok() {
///         let _ = stream.write_all(b"pong!").await;
///     }
/// });
/// let handle = server.handle();
/// let server = filch::spawn(server.limit(100).into_future());
///
/// let mut client = TcpStream::connect(address).await?;
/// client.write_all(b"ping?").await?;
/// client.read_exact(&mut [0; 5]).await?;
///
/// handle.close(std::time::Duration::from_secs(10));
/// assert_eq!(server.await??.connections(), 1);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[track_caller]
pub fn serve<L, H, F>(listener: L, handler: H) -> Serve<L, H>
where
    L: Listener,
    H: Fn(L::Stream, L::Addr) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            open: true,
            ..State::default()
        }),
        closed: Event::new(),
    });
    Serve {
        open: Open {
            listener: Some(listener),
            shared,
        },
        handler,
        limit: usize::MAX,
        location: Location::caller(),
    }
}

/// A server before it is awaited. From [`serve`].
#[must_use = "nothing is accepted before it is awaited"]
pub struct Serve<L: Listener, H> {
    open: Open<L>,
    handler: H,
    limit: usize,
    location: &'static Location<'static>,
}

impl<L: Listener, H> Serve<L, H> {
    /// At most so many connections at once. While there are as many, nothing is accepted: who comes waits in the listener's queue.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn limit(mut self, connections: usize) -> Self {
        assert!(connections > 0, "a server of no connections at all would serve nobody");
        self.limit = connections;
        self
    }

    /// A way to close the server, and to look at it.
    pub fn handle(&self) -> ServerHandle {
        ServerHandle {
            shared: self.open.shared.clone(),
        }
    }

    /// The address that the server listens at.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<L::Addr> {
        match &self.open.listener {
            Some(listener) => listener.local_addr(),
            None => unreachable!("the listener is there until the server is dropped"),
        }
    }
}

impl<L, H, F> IntoFuture for Serve<L, H>
where
    L: Listener,
    H: Fn(L::Stream, L::Addr) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    type Output = io::Result<Served>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(run(self))
    }
}

impl<L: Listener, H> fmt::Debug for Serve<L, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("listener", &self.open.listener)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

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

/// A way to close a server, and to look at it, from any thread. From [`Serve::handle`]. Dropping it means nothing.
#[derive(Clone)]
pub struct ServerHandle {
    shared: Arc<Shared>,
}

impl ServerHandle {
    /// Accepts no more. The connections go on; when the last of them has ended the server is closed.
    ///
    /// After this has returned, no connection is taken that was not taken before: one that comes out of the listener's queue in that moment is closed.
    pub fn stop_accepting(&self) {
        self.shared.stop();
    }

    /// Accepts no more, and asks the connections to end: they are [cancelled](mod@crate::scope). Those that are left after `grace` are [aborted](Self::abort).
    /// `Duration::MAX` is for ever.
    ///
    /// Returns at once; [`closed`](Self::closed) waits. A second call can shorten the grace.
    #[track_caller]
    pub fn close(&self, grace: Duration) {
        let reason = closing(Location::caller());
        let began = self.shared.stop();
        self.shared.cancel(reason);
        let Some(runtime) = began else { return };
        let shared = self.shared.clone();
        // A task beside the server, which would be in nobody's way if it were forgotten: it ends with the server.
        runtime.spawn(async move {
            if timeout(grace, shared.closed.wait()).await.is_err() {
                shared.abort();
            }
        });
    }

    /// Accepts no more, and [aborts](crate::task::JoinHandle::abort) the connections: their futures are dropped where they wait, and so their sockets closed, whatever was not sent yet.
    /// Deferred clean-ups still run.
    ///
    /// Returns at once; [`closed`](Self::closed) waits.
    #[track_caller]
    pub fn abort(&self) {
        let reason = closing(Location::caller());
        self.shared.stop();
        self.shared.abort();
        self.shared.cancel(reason);
    }

    /// Waits until the server accepts no more, its listener is closed, and no connection is left: whether that has come about already or is still to come, and whoever brings it about.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the wait is dropped.
    pub async fn closed(&self) {
        self.shared.closed.wait().await;
    }

    /// How many connections there are now.
    pub fn connections(&self) -> usize {
        self.shared.state.lock().live.len()
    }
}

fn closing(location: &'static Location<'static>) -> Reason {
    scope::requested(Some("the server closes"), location)
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle")
            .field("connections", &self.connections())
            .field("closed", &self.shared.closed.is_set())
            .finish_non_exhaustive()
    }
}

/// What the server, its connections and its handles share.
struct Shared {
    state: Mutex<State>,
    /// Set once: the listener is gone, and so is the last connection.
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

impl Shared {
    /// The server begins, inside of `node`.
    fn begin(&self, node: &Arc<Node>, runtime: &Handle) {
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
    fn stop(&self) -> Option<Handle> {
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
    fn cancel(&self, reason: Reason) {
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

    fn abort(&self) {
        let live: Vec<_> = {
            let mut state = self.state.lock();
            state.aborted = true;
            state.live.values().flatten().cloned().collect()
        };
        live.iter().for_each(AbortHandle::abort);
    }

    /// Whether a connection may be accepted now: `None` if none ever will. `back_off`: what the server waits for before it tries again.
    fn poll_turn(&self, limit: usize, back_off: &mut Option<BackOff>, cx: &mut Context<'_>) -> Poll<Option<()>> {
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

    /// A connection is there: its number, unless none is taken any more.
    fn admit(&self) -> Option<u64> {
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
    fn keep(&self, number: u64, task: AbortHandle) {
        let surplus = {
            let mut state = self.state.lock();
            let aborted = state.aborted;
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
    fn ended(&self, number: u64) {
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
    fn shut(&self) {
        let (waker, last) = {
            let mut state = self.state.lock();
            state.open = false;
            state.stopping = true;
            (state.waker.take(), state.live.is_empty())
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

/// The listener, as long as it is there.
struct Open<L> {
    listener: Option<L>,
    shared: Arc<Shared>,
}

impl<L> Drop for Open<L> {
    fn drop(&mut self) {
        // First the socket: whoever waits for the end of the server may want its address.
        self.listener = None;
        self.shared.shut();
    }
}

/// What a server waits for when it lacks the means to accept: its time, or the end of a connection.
struct BackOff {
    sleep: Pin<Box<Sleep>>,
    /// How many had ended before.
    ends: u64,
}

/// The body of the server's scope.
struct Accepting<L, H> {
    open: Open<L>,
    handler: Arc<H>,
    limit: usize,
    location: &'static Location<'static>,
    node: Arc<Node>,
    runtime: Handle,
    back_off: Option<BackOff>,
}

async fn run<L, H, F>(server: Serve<L, H>) -> io::Result<Served>
where
    L: Listener,
    H: Fn(L::Stream, L::Addr) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = Handle::current();
    let node = Node::new(scope::current(), Kind::Scope, None);
    let (shared, location) = (server.open.shared.clone(), server.location);
    shared.begin(&node, &runtime);
    let mut accepting = Accepting {
        open: server.open,
        handler: Arc::new(server.handler),
        limit: server.limit,
        location,
        node: node.clone(),
        runtime,
        back_off: None,
    };
    let body = async move { poll_fn(|cx| accepting.poll(cx)).await };
    match Driven::at(node, location, body).await {
        Some(Err(error)) => Err(error),
        // Without a value it was closed while it waited.
        Some(Ok(())) | None => Ok(shared.state.lock().served),
    }
}

impl<L, H, F> Accepting<L, H>
where
    L: Listener,
    H: Fn(L::Stream, L::Addr) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    /// Accepts until it is told to stop, or cannot.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let turn = self.open.shared.poll_turn(self.limit, &mut self.back_off, cx);
            let (Some(()), Some(listener)) = (ready!(turn), &self.open.listener) else {
                return Poll::Ready(Ok(()));
            };
            match ready!(listener.poll_accept(cx)) {
                Ok((stream, peer)) => self.begin(stream, peer),
                Err(error) => match AcceptError::of(&error) {
                    AcceptError::Lost => {}
                    AcceptError::Scarce => {
                        self.back_off = Some(BackOff {
                            sleep: Box::pin(sleep(BACK_OFF)),
                            ends: self.open.shared.state.lock().ends,
                        });
                    }
                    _ => {
                        let reason = Reason::new(ReasonKind::Failure, None, raw::current_id(), self.location);
                        self.node.cancel(reason, coop::current_key());
                        return Poll::Ready(Err(error));
                    }
                },
            }
        }
    }

    /// Begins to serve a connection; closes it if the server was told to stop meanwhile.
    fn begin(&self, stream: L::Stream, peer: L::Addr) {
        if self.node.is_cancelled() {
            return;
        }
        let shared = &self.open.shared;
        let Some(number) = shared.admit() else { return };
        let family = Arc::new(Connection {
            shared: shared.clone(),
            node: self.node.clone(),
            number,
        });
        if !self.node.add_child() {
            unreachable!("a scope does not end before its body");
        }
        let handler = self.handler.clone();
        let child = async move {
            handler(stream, peer).await;
            Some(())
        };
        let task = self
            .runtime
            .spawn_child(child, Box::new(Cold::new(Some(family))), self.location);
        shared.keep(number, task.abort_handle());
    }
}

/// The family of one connection.
struct Connection {
    shared: Arc<Shared>,
    node: Arc<Node>,
    number: u64,
}

impl Family for Connection {
    fn panicked(&self, payload: Payload) {
        self.shared.state.lock().served.panicked += 1;
        drop_quietly(payload);
    }

    fn ended(&self) {
        self.shared.ended(self.number);
    }

    fn node(&self) -> &Arc<Node> {
        &self.node
    }
}
