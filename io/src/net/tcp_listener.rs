//! TCP sockets that accept connections.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::task::{Context, Poll, ready};

use crate::current::Handle;
use crate::net::addr::{ToSocketAddrs, first_of, resolve};
use crate::net::socket::Socket;
use crate::net::stream::check_nonblocking;
use crate::net::tcp_stream::TcpStream;
use crate::ready::Interest;
use crate::registered::{Direction, Registered};
use crate::source::Kind;

/// A TCP socket that accepts connections.
///
/// Any number of tasks may accept from one listener. Accepted connections are dealt to the runtime's least loaded
/// worker.
pub struct TcpListener {
    io: Registered<Socket<mio::net::TcpListener>>,
    /// The runtime whose workers get the connections.
    handle: Handle,
    /// The worker that has the listener; it gets a connection when no other has less to do.
    place: usize,
}

impl TcpListener {
    /// Listens at `addr`; if it has several addresses, at the first one that can be bound. Port 0 asks for a free one.
    ///
    /// `SO_REUSEADDR` is set, so that a server can be started again at once, and 128 connections may wait to be accepted: whoever
    /// expects more in one moment should ask for a longer queue. [`TcpSocket`](crate::net::TcpSocket) gives both choices.
    ///
    /// # Errors
    ///
    /// The error of the last address that was tried, `AddrInUse` for example.
    ///
    /// # Panics
    ///
    /// If it is polled outside of a runtime.
    ///
    /// # Cancel safety
    ///
    /// Nothing is bound when it is dropped before it is done.
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<TcpListener> {
        let addresses = resolve(&addr).await?;
        let handle = Handle::current();
        let io = first_of(addresses, |address| {
            Socket::<mio::net::TcpListener>::bind(&handle, address)
        })?;
        TcpListener::at(io, handle)
    }

    /// Accepts a connection; waits if there is none.
    ///
    /// # Errors
    ///
    /// Those of the system. When file descriptors run out (`EMFILE`, `ENFILE`) the connection stays in the queue, and a
    /// later call finds it: wait a little, or free some, and call again.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: dropped before it is done, it has accepted nothing.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (io, address) = self.io.async_io(Interest::READABLE, |io| io.accept()).await?;
        Ok((self.deal(io)?, address))
    }

    /// Accepts a connection. Of all tasks that poll, the last is woken.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let (io, address) = ready!(self.io.poll_io(cx, Direction::Read, |io| io.accept()))?;
        Poll::Ready(self.deal(io).map(|stream| (stream, address)))
    }

    /// Takes over a listener of std. It must be in non-blocking mode.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is in blocking mode; and if it cannot be registered.
    ///
    /// # Panics
    ///
    /// If this thread is not inside a runtime.
    #[track_caller]
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        let handle = Handle::current();
        check_nonblocking(&listener)?;
        TcpListener::at(Socket::System(mio::net::TcpListener::from_std(listener)), handle)
    }

    /// Gives the listener back as one of std. It is in non-blocking mode.
    ///
    /// # Errors
    ///
    /// `Unsupported` if it is simulated.
    pub fn into_std(self) -> io::Result<std::net::TcpListener> {
        Ok(self.io.into_inner().into_system()?.into())
    }

    /// The address that it listens at.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }

    /// The hop limit of the connections' packets (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn ttl(&self) -> io::Result<u32> {
        self.io.get_ref().system().ttl()
    }

    /// Sets the hop limit of the connections' packets (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.io.get_ref().system().set_ttl(ttl)
    }

    pub(crate) fn at(io: Socket<mio::net::TcpListener>, handle: Handle) -> io::Result<TcpListener> {
        let place = handle.place();
        let io = Registered::at(io, Interest::READABLE, Kind::Other, &handle, place)?;
        Ok(TcpListener { io, handle, place })
    }

    fn deal(&self, io: Socket<mio::net::TcpStream>) -> io::Result<TcpStream> {
        TcpStream::at(io, &self.handle, self.handle.least_loaded(self.place))
    }
}

impl TryFrom<std::net::TcpListener> for TcpListener {
    type Error = io::Error;

    /// As [`TcpListener::from_std`].
    #[track_caller]
    fn try_from(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        TcpListener::from_std(listener)
    }
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.get_ref().as_fd()
    }
}

impl AsRawFd for TcpListener {
    fn as_raw_fd(&self) -> RawFd {
        self.io.get_ref().as_raw_fd()
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.io.fmt(f)
    }
}
