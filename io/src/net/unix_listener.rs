//! Unix sockets that accept connections.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::task::{Context, Poll, ready};

use crate::current::Handle;
use crate::net::socket::Socket;
use crate::net::stream::check_nonblocking;
use crate::net::unix_path::BoundPath;
use crate::net::unix_stream::UnixStream;
use crate::ready::Interest;
use crate::registered::{Direction, Registered};
use crate::source::Kind;

/// A Unix socket that accepts connections.
///
/// Any number of tasks may accept from one listener. Accepted connections are dealt to the runtime's least loaded
/// worker. Dropping it leaves its file behind, unless [`cleanup`](UnixListener::cleanup) is on.
pub struct UnixListener {
    /// What is to be removed. It stands before the socket, and so is dropped before it.
    file: Option<BoundPath>,
    io: Registered<Socket<mio::net::UnixListener>>,
    /// The runtime whose workers get the connections.
    handle: Handle,
    /// The worker that has the listener; it gets a connection when no other has less to do.
    place: usize,
}

impl UnixListener {
    /// Listens at `path`, where nothing may be yet.
    ///
    /// # Errors
    ///
    /// Those of the system: `AddrInUse` if there is a file already.
    ///
    /// # Panics
    ///
    /// If this thread is not inside a runtime.
    #[track_caller]
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixListener> {
        let handle = Handle::current();
        UnixListener::at(Socket::bind_path(&handle, path.as_ref())?, handle)
    }

    /// Listens at `socket_addr`, which may have an abstract name.
    ///
    /// # Errors
    ///
    /// Those of the system.
    ///
    /// # Panics
    ///
    /// If this thread is not inside a runtime.
    #[track_caller]
    pub fn bind_addr(socket_addr: &SocketAddr) -> io::Result<UnixListener> {
        let handle = Handle::current();
        UnixListener::at(Socket::bind_addr(&handle, socket_addr)?, handle)
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
    pub fn from_std(listener: std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
        let handle = Handle::current();
        check_nonblocking(&listener)?;
        UnixListener::at(Socket::System(mio::net::UnixListener::from_std(listener)), handle)
    }

    /// Whether dropping the listener removes its file: not if this is never called, as with Tokio.
    ///
    /// The file is removed only if it is the one that is there while this is called: right after the bind, best. If its path has another file by then, of a server that took the place of
    /// this one, that stays. (asyncio's `cleanup_socket`, which is on by default.) Somebody who replaces the file in the very moment between the look and the removal is not noticed.
    ///
    /// An abstract name and a simulated socket have no file, and nothing happens. Nor is anything removed when the process is killed.
    ///
    /// # Errors
    ///
    /// If the file cannot be looked at. The listener is closed then, and the file is left.
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// let listener = filch_io::net::UnixListener::bind("/run/server.sock")?.cleanup(true)?;
    /// # drop(listener);
    /// # Ok(())
    /// # }
    /// ```
    pub fn cleanup(mut self, on: bool) -> io::Result<UnixListener> {
        if let Some(file) = self.file.take() {
            file.keep();
        }
        if let (true, Socket::System(socket)) = (on, self.io.get_ref()) {
            let address = socket.local_addr()?;
            self.file = address.as_pathname().map(BoundPath::at).transpose()?;
        }
        Ok(self)
    }

    /// Gives the listener back as one of std. It is in non-blocking mode, and its file is left when it is dropped.
    ///
    /// # Errors
    ///
    /// `Unsupported` if it is simulated.
    pub fn into_std(self) -> io::Result<std::os::unix::net::UnixListener> {
        if let Some(file) = self.file {
            file.keep();
        }
        Ok(self.io.into_inner().into_system()?.into())
    }

    /// Accepts a connection; waits if there is none.
    ///
    /// # Errors
    ///
    /// Those of the system. When file descriptors run out, the connection stays in the queue, and a later call finds it.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: dropped before it is done, it has accepted nothing.
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (io, address) = self.io.async_io(Interest::READABLE, |io| io.accept()).await?;
        Ok((self.deal(io)?, address))
    }

    /// Accepts a connection. Of all tasks that poll, the last is woken.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
        let (io, address) = ready!(self.io.poll_io(cx, Direction::Read, |io| io.accept()))?;
        Poll::Ready(self.deal(io).map(|stream| (stream, address)))
    }

    /// The address that it listens at.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }

    /// Takes the error that the socket has noted (`SO_ERROR`), if any.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.io.get_ref().take_error()
    }

    fn at(io: Socket<mio::net::UnixListener>, handle: Handle) -> io::Result<UnixListener> {
        let place = handle.place();
        let io = Registered::at(io, Interest::READABLE, Kind::Other, &handle, place)?;
        Ok(UnixListener {
            file: None,
            io,
            handle,
            place,
        })
    }

    fn deal(&self, io: Socket<mio::net::UnixStream>) -> io::Result<UnixStream> {
        UnixStream::at(io, &self.handle, self.handle.least_loaded(self.place))
    }
}

impl TryFrom<std::os::unix::net::UnixListener> for UnixListener {
    type Error = io::Error;

    /// As [`UnixListener::from_std`].
    #[track_caller]
    fn try_from(listener: std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
        UnixListener::from_std(listener)
    }
}

impl AsFd for UnixListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.get_ref().as_fd()
    }
}

impl AsRawFd for UnixListener {
    fn as_raw_fd(&self) -> RawFd {
        self.io.get_ref().as_raw_fd()
    }
}

impl fmt::Debug for UnixListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.io.fmt(f)
    }
}
