//! Connecting to a host that has several addresses.

use filch_io::net::{TcpSocket, TcpStream, ToSocketAddrs, lookup_host};
use filch_timer::{Instant, Sleep, sleep};
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Before the next address is tried beside the one that has not answered: RFC 8305 recommends 250 ms.
const DELAY: Duration = Duration::from_millis(250);

/// Connects to the first address of a host that answers.
///
/// The addresses are tried in the resolver's order, the families in turns; the next attempt starts when one fails, or has not answered after 250 ms, and those
/// under way go on. The first connection wins, the others are closed. (RFC 8305, "Happy Eyeballs"; asyncio's `create_connection` and Trio's `open_tcp_stream` do so.
/// [`TcpStream::connect`] tries one address after the other.)
///
/// # Errors
///
/// All attempts that failed, in a [`ConnectError`].
///
/// # Cancel safety
///
/// Dropping the future closes what is under way.
///
/// ```
/// # filch::run(async {
/// let listener = filch::net::TcpListener::bind("127.0.0.1:0").await?;
/// let address = listener.local_addr()?;
/// let stream = filch::net::connect(("localhost", address.port())).await?;
/// assert_eq!(stream.peer_addr()?.port(), address.port());
/// # Ok::<_, std::io::Error>(())
/// # }).unwrap();
/// ```
pub fn connect<'a, A: ToSocketAddrs + 'a>(host: A) -> Connect<'a, A> {
    Connect {
        host,
        lifetime: PhantomData,
        delay: DELAY,
        local: None,
    }
}

/// An attempt to connect, before it is awaited. From [`connect`].
#[derive(Debug)]
#[must_use = "nothing is tried before it is awaited"]
pub struct Connect<'a, A> {
    host: A,
    lifetime: PhantomData<&'a ()>,
    delay: Duration,
    local: Option<SocketAddr>,
}

impl<A: ToSocketAddrs> Connect<'_, A> {
    /// How long an address has before the next one is tried, too.
    pub fn happy_eyeballs(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The address to connect from. Addresses of the other family are not tried then.
    pub fn local_addr(mut self, address: SocketAddr) -> Self {
        self.local = Some(address);
        self
    }

    async fn run(self) -> Result<TcpStream, ConnectError> {
        let found = lookup_host(self.host).await.map_err(ConnectError::Lookup)?;
        let usable = found.filter(|address| self.local.is_none_or(|local| local.is_ipv4() == address.is_ipv4()));
        let mut race = Race {
            left: in_turns(usable.collect()).into_iter(),
            running: Vec::new(),
            failed: Vec::new(),
            timer: Box::pin(sleep(self.delay)),
            delay: self.delay,
            local: self.local,
        };
        poll_fn(|cx| race.poll(cx)).await
    }
}

impl<'a, A: ToSocketAddrs + Send + Sync + 'a> IntoFuture for Connect<'a, A> {
    type Output = Result<TcpStream, ConnectError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// The families in turns, beginning with that of the first address; each in its order.
fn in_turns(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .iter()
        .copied()
        .partition(|address| address.is_ipv4() == first_is_v4);
    let mut turns = Vec::with_capacity(addresses.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let before = turns.len();
        turns.extend(first.next());
        turns.extend(second.next());
        if turns.len() == before {
            return turns;
        }
    }
}

type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

struct Race {
    left: std::vec::IntoIter<SocketAddr>,
    running: Vec<(SocketAddr, Attempt)>,
    failed: Vec<(SocketAddr, io::Error)>,
    /// Since the latest attempt began.
    timer: Pin<Box<Sleep>>,
    delay: Duration,
    local: Option<SocketAddr>,
}

impl Race {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<TcpStream, ConnectError>> {
        loop {
            let mut index = 0;
            while let Some((_, attempt)) = self.running.get_mut(index) {
                match attempt.as_mut().poll(cx) {
                    Poll::Pending => index += 1,
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok(stream)),
                    Poll::Ready(Err(error)) => {
                        let (address, _) = self.running.remove(index);
                        self.failed.push((address, error));
                        self.start();
                    }
                }
            }
            if self.running.is_empty() {
                if self.start() {
                    continue;
                }
                return Poll::Ready(Err(ConnectError::Failed(std::mem::take(&mut self.failed))));
            }
            if self.left.as_slice().is_empty() || self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.start();
        }
    }

    /// Begins the next attempt, if there is an address left.
    fn start(&mut self) -> bool {
        let Some(address) = self.left.next() else { return false };
        let local = self.local;
        let attempt = async move {
            let Some(local) = local else {
                return TcpStream::connect(address).await;
            };
            let socket = match address {
                SocketAddr::V4(_) => TcpSocket::new_v4()?,
                SocketAddr::V6(_) => TcpSocket::new_v6()?,
            };
            socket.bind(local)?;
            socket.connect(address).await
        };
        self.running.push((address, Box::pin(attempt)));
        let next = Instant::now().checked_add(self.delay);
        if let Some(next) = next {
            self.timer.as_mut().reset(next);
        }
        true
    }
}

/// No address of a host could be connected to.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The name could not be resolved.
    Lookup(io::Error),
    /// Every attempt failed, in the order in which they did; none was made if the host has no usable address.
    Failed(Vec<(SocketAddr, io::Error)>),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lookup(error) => write!(f, "the host could not be looked up: {error}"),
            Self::Failed(attempts) if attempts.is_empty() => f.write_str("the host has no address that could be tried"),
            Self::Failed(attempts) => {
                f.write_str("no address answered:")?;
                for (number, (address, error)) in attempts.iter().enumerate() {
                    let comma = if number == 0 { "" } else { "," };
                    write!(f, "{comma} {address}: {error}")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ConnectError {}

impl From<ConnectError> for io::Error {
    /// Of the kind of the first failure.
    fn from(error: ConnectError) -> Self {
        let kind = match &error {
            ConnectError::Lookup(error) => error.kind(),
            ConnectError::Failed(attempts) => attempts
                .first()
                .map_or(io::ErrorKind::NotFound, |(_, error)| error.kind()),
        };
        Self::new(kind, error)
    }
}
