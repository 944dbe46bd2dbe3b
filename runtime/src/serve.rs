//! Servers: a listener, and a task for each connection.
//!
//! A server is a scope, as a group is: its body accepts, its children are the connections. All the waiting is the scope's: for the connections that go on when
//! nothing is accepted any more, and for those that it cancels because it is closed, cancelled or dropped (see `scope/driven.rs`). What a [`ServerHandle`] can do goes
//! past the server's future, so it works whoever polls that, or drops it.

use crate::connections::{BackOff, Connection, Connections, Served};
use crate::coop;
use crate::handle::Handle;
use crate::scope::driven::Driven;
use crate::scope::node::{Kind, Node};
use crate::scope::{self, Reason, ReasonKind};
use crate::task::cold::Cold;
use crate::task::raw;
use filch_io::net::{AcceptError, Listener};
use filch_timer::timeout;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

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
    Serve {
        open: Open {
            listener: Some(listener),
            connections: Connections::new(),
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
            connections: self.open.connections.clone(),
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

/// A way to close a server, and to look at it, from any thread. From [`Serve::handle`]. Dropping it means nothing.
#[derive(Clone)]
pub struct ServerHandle {
    connections: Arc<Connections>,
}

impl ServerHandle {
    /// Accepts no more. The connections go on; when the last of them has ended the server is closed.
    ///
    /// After this has returned, no connection is taken that was not taken before: one that comes out of the listener's queue in that moment is closed.
    pub fn stop_accepting(&self) {
        self.connections.stop();
    }

    /// Accepts no more, and asks the connections to end: they are [cancelled](mod@crate::scope). Those that are left after `grace` are [aborted](Self::abort).
    /// `Duration::MAX` is for ever.
    ///
    /// Returns at once; [`closed`](Self::closed) waits. A second call can shorten the grace.
    #[track_caller]
    pub fn close(&self, grace: Duration) {
        let reason = closing(Location::caller());
        let began = self.connections.stop();
        self.connections.cancel(reason);
        let Some(runtime) = began else { return };
        let connections = self.connections.clone();
        // A task beside the server, which would be in nobody's way if it were forgotten: it ends with the server.
        runtime.spawn(async move {
            if timeout(grace, connections.closed().wait()).await.is_err() {
                connections.abort();
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
        self.connections.stop();
        self.connections.abort();
        self.connections.cancel(reason);
    }

    /// Waits until the server accepts no more, its listener is closed, and no connection is left: whether that has come about already or is still to come, and whoever brings it about.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the wait is dropped.
    pub async fn closed(&self) {
        self.connections.closed().wait().await;
    }

    /// How many connections there are now.
    pub fn connections(&self) -> usize {
        self.connections.count()
    }
}

fn closing(location: &'static Location<'static>) -> Reason {
    scope::requested(Some("the server closes"), location)
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle")
            .field("connections", &self.connections())
            .field("closed", &self.connections.closed().is_set())
            .finish_non_exhaustive()
    }
}

/// The listener, as long as it is there.
struct Open<L> {
    listener: Option<L>,
    connections: Arc<Connections>,
}

impl<L> Drop for Open<L> {
    fn drop(&mut self) {
        // First the socket: whoever waits for the end of the server may want its address.
        self.listener = None;
        self.connections.shut();
    }
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
    let (connections, location) = (server.open.connections.clone(), server.location);
    connections.begin(&node, &runtime);
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
        Some(Ok(())) | None => Ok(connections.served()),
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
            let turn = self.open.connections.poll_turn(self.limit, &mut self.back_off, cx);
            let (Some(()), Some(listener)) = (ready!(turn), &self.open.listener) else {
                return Poll::Ready(Ok(()));
            };
            match ready!(listener.poll_accept(cx)) {
                Ok((stream, peer)) => self.begin(stream, peer),
                Err(error) => match AcceptError::of(&error) {
                    AcceptError::Lost => {}
                    AcceptError::Scarce => {
                        self.back_off = Some(self.open.connections.back_off());
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
        let connections = &self.open.connections;
        let Some(number) = connections.admit() else { return };
        let family = Arc::new(Connection {
            connections: connections.clone(),
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
        connections.keep(number, task.abort_handle());
    }
}
