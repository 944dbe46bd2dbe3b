//! Unix datagrams.

use std::fmt;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::task::{Context, Poll};

use crate::current::Handle;
use crate::net::datagram::datagram_methods;
use crate::net::socket::Socket;
use crate::net::stream::{check_nonblocking, io_methods, ready_methods};
use crate::ready::Interest;
use crate::registered::{Direction, Registered};
use crate::source::Kind;

/// A socket for datagrams within one machine. They arrive whole, in order, and none is lost.
///
/// Any number of tasks may send and receive at the same time with the async methods.
pub struct UnixDatagram {
    io: Registered<Socket<mio::net::UnixDatagram>>,
}

impl UnixDatagram {
    /// A socket at `path`, where nothing may be yet. Dropping it leaves the file behind.
    ///
    /// # Errors
    ///
    /// Those of the system.
    ///
    /// # Panics
    ///
    /// If this thread is not inside a runtime.
    #[track_caller]
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixDatagram> {
        let handle = Handle::current();
        UnixDatagram::at(Socket::<mio::net::UnixDatagram>::bind(&handle, path.as_ref())?, &handle)
    }

    /// A socket without an address: it can send, and be answered by those that it is connected to.
    ///
    /// # Errors
    ///
    /// Those of the system.
    ///
    /// # Panics
    ///
    /// If this thread is not inside a runtime.
    #[track_caller]
    pub fn unbound() -> io::Result<UnixDatagram> {
        let handle = Handle::current();
        UnixDatagram::at(Socket::unbound(&handle)?, &handle)
    }

    /// Two sockets that are connected to each other.
    ///
    /// # Errors
    ///
    /// Those of the system.
    ///
    /// # Panics
    ///
    /// If this thread is not inside a runtime.
    #[track_caller]
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let handle = Handle::current();
        let (one, other) = Socket::<mio::net::UnixDatagram>::pair(&handle)?;
        Ok((UnixDatagram::at(one, &handle)?, UnixDatagram::at(other, &handle)?))
    }

    /// Takes over a socket of std. It must be in non-blocking mode.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is in blocking mode; and if it cannot be registered.
    ///
    /// # Panics
    ///
    /// If this thread is not inside a runtime.
    #[track_caller]
    pub fn from_std(datagram: std::os::unix::net::UnixDatagram) -> io::Result<UnixDatagram> {
        let handle = Handle::current();
        check_nonblocking(&datagram)?;
        UnixDatagram::at(Socket::System(mio::net::UnixDatagram::from_std(datagram)), &handle)
    }

    /// Gives the socket back as one of std. It is in non-blocking mode.
    ///
    /// # Errors
    ///
    /// `Unsupported` if it is simulated.
    pub fn into_std(self) -> io::Result<std::os::unix::net::UnixDatagram> {
        Ok(self.io.into_inner().into_system()?.into())
    }

    /// Sets the peer that [`send`](Self::send) sends to and that [`recv`](Self::recv) takes datagrams from.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn connect<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        self.io.get_ref().connect(path.as_ref())
    }

    ready_methods!();
    datagram_methods!();
    io_methods!();

    /// Sends a datagram to the socket at `target`; waits if there is no room.
    ///
    /// # Errors
    ///
    /// Those of the system; and if it would have to wait although the runtime has been shut down.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: dropped before it is done, it has sent nothing.
    pub async fn send_to<P: AsRef<Path>>(&self, buf: &[u8], target: P) -> io::Result<usize> {
        self.io
            .async_io(Interest::WRITABLE, |io| io.send_to(buf, target.as_ref()))
            .await
    }

    /// As [`send_to`](Self::send_to). Of all tasks that poll for sending, the last is woken.
    ///
    /// # Errors
    ///
    /// As [`send_to`](Self::send_to).
    pub fn poll_send_to<P: AsRef<Path>>(&self, cx: &mut Context<'_>, buf: &[u8], target: P) -> Poll<io::Result<usize>> {
        self.io
            .poll_io(cx, Direction::Write, |io| io.send_to(buf, target.as_ref()))
    }

    /// As [`send_to`](Self::send_to), without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is no room, and those of the system.
    pub fn try_send_to<P: AsRef<Path>>(&self, buf: &[u8], target: P) -> io::Result<usize> {
        self.io
            .try_io(Interest::WRITABLE, |io| io.send_to(buf, target.as_ref()))
    }

    /// Receives a datagram and says how many bytes it has and who sent it; waits if there is none. What does not fit into
    /// `buf` is lost.
    ///
    /// # Errors
    ///
    /// Those of the system; and if it would have to wait although the runtime has been shut down.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: dropped before it is done, it has received nothing.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io.async_io(Interest::READABLE, |io| io.recv_from(buf)).await
    }

    /// As [`recv_from`](Self::recv_from), without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is none, and those of the system.
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io.try_io(Interest::READABLE, |io| io.recv_from(buf))
    }

    /// The address of this end.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }

    /// The address of the connected peer.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().peer_addr()
    }

    /// Takes the error that the socket has noted (`SO_ERROR`), if any.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.io.get_ref().take_error()
    }

    /// Closes one direction, or both.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.io.get_ref().shutdown(how)
    }

    pub(crate) fn registered(&self) -> &Registered<Socket<mio::net::UnixDatagram>> {
        &self.io
    }

    fn at(io: Socket<mio::net::UnixDatagram>, handle: &Handle) -> io::Result<UnixDatagram> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        Ok(UnixDatagram {
            io: Registered::at(io, interest, Kind::Datagram, handle, handle.place())?,
        })
    }
}

impl TryFrom<std::os::unix::net::UnixDatagram> for UnixDatagram {
    type Error = io::Error;

    /// As [`UnixDatagram::from_std`].
    #[track_caller]
    fn try_from(datagram: std::os::unix::net::UnixDatagram) -> io::Result<UnixDatagram> {
        UnixDatagram::from_std(datagram)
    }
}

impl AsFd for UnixDatagram {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.get_ref().as_fd()
    }
}

impl AsRawFd for UnixDatagram {
    fn as_raw_fd(&self) -> RawFd {
        self.io.get_ref().as_raw_fd()
    }
}

impl fmt::Debug for UnixDatagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.io.fmt(f)
    }
}
