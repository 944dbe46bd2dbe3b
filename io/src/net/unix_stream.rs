//! Unix streams.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::task::{Context, Poll};

use crate::current::Handle;
use crate::net::socket::Socket;
use crate::net::stream::{
    check_nonblocking, io_methods, read_methods, readable_methods, ready_methods, writable_methods, write_methods,
};
use crate::net::ucred::UCred;
use crate::ready::Interest;
use crate::registered::Registered;
use crate::source::Kind;

/// A connection between two ends on one machine.
///
/// Dropping it closes it at once.
pub struct UnixStream {
    io: Registered<Socket<mio::net::UnixStream>>,
}

impl UnixStream {
    /// Connects to the listener at `path`.
    ///
    /// # Errors
    ///
    /// Those of the system. `WouldBlock`: the listener's queue is full.
    ///
    /// # Panics
    ///
    /// If it is polled outside of a runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, it gives the connection up.
    pub async fn connect<P: AsRef<Path>>(path: P) -> io::Result<UnixStream> {
        UnixStream::finish_connect(|handle| Socket::connect_path(handle, path.as_ref())).await
    }

    /// Connects to the listener at `socket_addr`, which may have an abstract name.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Panics
    ///
    /// If it is polled outside of a runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, it gives the connection up.
    pub async fn connect_addr(socket_addr: &SocketAddr) -> io::Result<UnixStream> {
        UnixStream::finish_connect(|handle| Socket::connect_addr(handle, socket_addr)).await
    }

    /// Two ends that are connected to each other.
    ///
    /// # Errors
    ///
    /// Those of the system.
    ///
    /// # Panics
    ///
    /// If this thread is not inside a runtime.
    #[track_caller]
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let handle = Handle::current();
        let (one, other) = Socket::<mio::net::UnixStream>::pair(&handle)?;
        let one = UnixStream::at(one, &handle, handle.place())?;
        Ok((one, UnixStream::at(other, &handle, handle.place())?))
    }

    /// Takes over a connection of std. It must be in non-blocking mode.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is in blocking mode; and if it cannot be registered.
    ///
    /// # Panics
    ///
    /// If this thread is not inside a runtime.
    #[track_caller]
    pub fn from_std(stream: std::os::unix::net::UnixStream) -> io::Result<UnixStream> {
        let handle = Handle::current();
        check_nonblocking(&stream)?;
        let io = Socket::System(mio::net::UnixStream::from_std(stream));
        UnixStream::at(io, &handle, handle.place())
    }

    /// Gives the connection back as one of std. It is in non-blocking mode.
    ///
    /// # Errors
    ///
    /// `Unsupported` if it is simulated.
    pub fn into_std(self) -> io::Result<std::os::unix::net::UnixStream> {
        Ok(self.io.into_inner().into_system()?.into())
    }

    /// The address of this end.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }

    /// The address of the peer.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().peer_addr()
    }

    /// Who connected at the other end, or listened there.
    ///
    /// # Errors
    ///
    /// Those of the system.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn peer_cred(&self) -> io::Result<UCred> {
        let peer = self.io.get_ref().peer_cred()?;
        let pid = Some(peer.pid.as_raw_nonzero().get());
        Ok(UCred {
            uid: peer.uid.as_raw(),
            gid: peer.gid.as_raw(),
            pid,
        })
    }

    /// Takes the error that the socket has noted (`SO_ERROR`), if any.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.io.get_ref().take_error()
    }

    ready_methods!();
    readable_methods!();
    writable_methods!();
    read_methods!();
    write_methods!();
    io_methods!();

    /// Waits until something can be read, or the end of it. Of all tasks that poll for reading, the last is woken.
    ///
    /// # Errors
    ///
    /// If the runtime has been shut down.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_read_ready(cx)
    }

    /// Waits until something can be written. Of all tasks that poll for writing, the last is woken.
    ///
    /// # Errors
    ///
    /// If the runtime has been shut down.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_write_ready(cx)
    }

    pub(crate) fn registered(&self) -> &Registered<Socket<mio::net::UnixStream>> {
        &self.io
    }

    pub(crate) fn at(io: Socket<mio::net::UnixStream>, handle: &Handle, place: usize) -> io::Result<UnixStream> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        // Not `Kind::Stream`: see there.
        Ok(UnixStream {
            io: Registered::at(io, interest, Kind::Other, handle, place)?,
        })
    }

    async fn finish_connect(
        connect: impl FnOnce(&Handle) -> io::Result<Socket<mio::net::UnixStream>>,
    ) -> io::Result<UnixStream> {
        let stream = {
            let handle = Handle::current();
            UnixStream::at(connect(&handle)?, &handle, handle.place())?
        };
        stream.writable().await?;
        match stream.take_error()? {
            Some(error) => Err(error),
            None => Ok(stream),
        }
    }
}

impl TryFrom<std::os::unix::net::UnixStream> for UnixStream {
    type Error = io::Error;

    /// As [`UnixStream::from_std`].
    #[track_caller]
    fn try_from(stream: std::os::unix::net::UnixStream) -> io::Result<UnixStream> {
        UnixStream::from_std(stream)
    }
}

impl AsFd for UnixStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.get_ref().as_fd()
    }
}

impl AsRawFd for UnixStream {
    fn as_raw_fd(&self) -> RawFd {
        self.io.get_ref().as_raw_fd()
    }
}

impl fmt::Debug for UnixStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.io.fmt(f)
    }
}
