//! TCP connections.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;

use crate::current::Handle;
use crate::net::addr::{ToSocketAddrs, resolve};
use crate::net::socket::Socket;
use crate::net::stream::{
    check_nonblocking, io_methods, read_methods, readable_methods, ready_methods, writable_methods, write_methods,
};
use crate::ready::Interest;
use crate::registered::Registered;
use crate::source::Kind;

/// A TCP connection.
///
/// It is read and written with its own methods, or through the traits of the ecosystem, each behind a feature. Dropping
/// it closes it at once; what was written is still sent.
pub struct TcpStream {
    io: Registered<Socket<mio::net::TcpStream>>,
}

impl TcpStream {
    /// Connects to `addr`; if it has several addresses, to the first one that answers.
    ///
    /// # Errors
    ///
    /// The error of the last address that was tried.
    ///
    /// # Panics
    ///
    /// If it is polled outside of a runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, it gives the connection up.
    pub async fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<TcpStream> {
        let mut failed = None;
        for address in resolve(&addr).await? {
            match TcpStream::connect_to(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| io::ErrorKind::InvalidInput.into()))
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
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        let handle = Handle::current();
        check_nonblocking(&stream)?;
        let place = handle.place();
        TcpStream::at(Socket::System(mio::net::TcpStream::from_std(stream)), &handle, place)
    }

    /// Gives the connection back as one of std. It is in non-blocking mode.
    ///
    /// # Errors
    ///
    /// `Unsupported` if it is simulated.
    pub fn into_std(self) -> io::Result<std::net::TcpStream> {
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
    /// Those of the system: the peer may be gone.
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

    /// Reads what is there and leaves it there; waits if nothing is. `Ok(0)` is the end of the stream, if `buf` is not
    /// empty.
    ///
    /// # Errors
    ///
    /// Those of the system; and if it would have to wait although the runtime has been shut down.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: it takes nothing.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.io.async_io(Interest::READABLE, |io| io.peek(buf)).await
    }

    /// Is small data sent at once (`TCP_NODELAY`)?
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.io.get_ref().system().nodelay()
    }

    /// Shall small data be sent at once, instead of waiting for more (`TCP_NODELAY`)?
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.io.get_ref().system().set_nodelay(nodelay)
    }

    /// Are acknowledgements sent at once (`TCP_QUICKACK`)?
    ///
    /// # Errors
    ///
    /// Those of the system.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn quickack(&self) -> io::Result<bool> {
        SockRef::from(self).tcp_quickack()
    }

    /// Shall acknowledgements be sent at once (`TCP_QUICKACK`)? The system may fall back by itself later.
    ///
    /// # Errors
    ///
    /// Those of the system.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn set_quickack(&self, quickack: bool) -> io::Result<()> {
        SockRef::from(self).set_tcp_quickack(quickack)
    }

    /// How long closing waits for data that is not sent yet (`SO_LINGER`); `None`: it does not wait, and the data is sent in
    /// the background.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        SockRef::from(self).linger()
    }

    /// Sets [`linger`](Self::linger), in whole seconds. With a time above zero, *dropping the stream blocks the thread*
    /// for up to that time, and with it a worker.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_linger(&self, dur: Option<Duration>) -> io::Result<()> {
        SockRef::from(self).set_linger(dur)
    }

    /// Makes closing throw away what is not sent yet and reset the connection.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.set_linger(Some(Duration::ZERO))
    }

    /// The hop limit of outgoing packets (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn ttl(&self) -> io::Result<u32> {
        self.io.get_ref().system().ttl()
    }

    /// Sets the hop limit of outgoing packets (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.io.get_ref().system().set_ttl(ttl)
    }

    pub(crate) fn registered(&self) -> &Registered<Socket<mio::net::TcpStream>> {
        &self.io
    }

    pub(crate) fn at(io: Socket<mio::net::TcpStream>, handle: &Handle, place: usize) -> io::Result<TcpStream> {
        // Urgent data matters to how short reads are understood.
        let interest = Interest::READABLE | Interest::WRITABLE | Interest::PRIORITY;
        Ok(TcpStream {
            io: Registered::at(io, interest, Kind::Stream, handle, place)?,
        })
    }

    /// Registers a socket whose connecting was begun by `begin`, and waits for the end of that.
    pub(crate) async fn finish_connect(
        begin: impl FnOnce(&Handle) -> io::Result<Socket<mio::net::TcpStream>>,
    ) -> io::Result<TcpStream> {
        let stream = {
            let handle = Handle::current();
            let place = handle.place();
            TcpStream::at(begin(&handle)?, &handle, place)?
        };
        stream.writable().await?;
        match stream.take_error()? {
            Some(error) => Err(error),
            None => Ok(stream),
        }
    }

    async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::finish_connect(|handle| Socket::<mio::net::TcpStream>::connect(handle, address)).await
    }
}

impl TryFrom<std::net::TcpStream> for TcpStream {
    type Error = io::Error;

    /// As [`TcpStream::from_std`].
    #[track_caller]
    fn try_from(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        TcpStream::from_std(stream)
    }
}

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.get_ref().as_fd()
    }
}

impl AsRawFd for TcpStream {
    fn as_raw_fd(&self) -> RawFd {
        self.io.get_ref().as_raw_fd()
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.io.fmt(f)
    }
}
