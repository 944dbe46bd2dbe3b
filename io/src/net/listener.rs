//! What TCP and Unix listeners have in common for those who accept in a loop.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use rustix::io::Errno;

use crate::net::tcp_listener::TcpListener;
use crate::net::tcp_stream::TcpStream;
use crate::net::unix_listener::UnixListener;
use crate::net::unix_stream::UnixStream;

mod sealed {
    #[expect(unnameable_types, reason = "that is what seals it")]
    pub trait Sealed {}

    impl Sealed for super::TcpListener {}
    impl Sealed for super::UnixListener {}
}

/// A socket that accepts connections: [`TcpListener`] and [`UnixListener`], and no other type.
pub trait Listener: sealed::Sealed + fmt::Debug + Send + Sync + 'static {
    /// A connection.
    type Stream: fmt::Debug + Send + 'static;

    /// Where a connection comes from.
    type Addr: fmt::Debug + Send + 'static;

    /// Accepts a connection. Of all tasks that poll, the last is woken.
    ///
    /// # Errors
    ///
    /// Those of the system; [`AcceptError`] says what to make of them.
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Self::Stream, Self::Addr)>>;

    /// The address that it listens at.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn local_addr(&self) -> io::Result<Self::Addr>;
}

impl Listener for TcpListener {
    type Stream = TcpStream;
    type Addr = SocketAddr;

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        self.poll_accept(cx)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;
    type Addr = std::os::unix::net::SocketAddr;

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, Self::Addr)>> {
        self.poll_accept(cx)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.local_addr()
    }
}

/// What an error of `accept` says to somebody who accepts in a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcceptError {
    /// The system lacks something, file descriptors for example, or forbids it for now. The connection waits in the queue: try again, but not at once.
    Scarce,
    /// One connection was lost before it was accepted. The next one may be there.
    Lost,
    /// The listener will not accept any more.
    Fatal,
}

impl AcceptError {
    /// What to make of `error`.
    pub fn of(error: &io::Error) -> AcceptError {
        let Some(errno) = Errno::from_io_error(error) else {
            return AcceptError::Fatal;
        };
        match errno {
            // NOSPC: the system's limit of descriptors in epolls. PERM: a security module, which may leave the connection where it is.
            Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::NOSPC | Errno::PERM => {
                AcceptError::Scarce
            }
            // The man page of Linux: errors of the network that the new connection has had already come out of accept.
            Errno::CONNABORTED
            | Errno::CONNRESET
            | Errno::INTR
            | Errno::NETDOWN
            | Errno::PROTO
            | Errno::NOPROTOOPT
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
            | Errno::NETUNREACH
            | Errno::OPNOTSUPP
            | Errno::TIMEDOUT => AcceptError::Lost,
            _ => AcceptError::Fatal,
        }
    }
}
