//! TCP sockets before they connect or listen.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::current::Handle;
use crate::net::socket::Socket as Inner;
use crate::net::tcp_listener::TcpListener;
use crate::net::tcp_stream::TcpStream;
use crate::sim::socket::Socket as End;

/// A TCP socket that is not connected yet and does not listen yet: the time to set its options.
///
/// It can be made outside of a runtime, but for a [simulated](crate::sim) one it must be made inside.
///
/// ```no_run
/// # async fn example() -> std::io::Result<()> {
/// use filch_io::net::TcpSocket;
///
/// let socket = TcpSocket::new_v4()?;
/// socket.set_reuseport(true)?;
/// socket.bind(([127, 0, 0, 1], 8080).into())?;
/// let listener = socket.listen(1024)?;
/// # Ok(())
/// # }
/// ```
pub struct TcpSocket {
    inner: Socket,
    /// What it is in a simulated network, if it was made in the runtime of one.
    end: Option<End>,
}

impl TcpSocket {
    /// A socket for IPv4.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn new_v4() -> io::Result<TcpSocket> {
        TcpSocket::new(Domain::IPV4)
    }

    /// A socket for IPv6.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn new_v6() -> io::Result<TcpSocket> {
        TcpSocket::new(Domain::IPV6)
    }

    /// Takes over a socket that came as a stream of std but is not connected yet, or not for this program to know. It
    /// must be in non-blocking mode.
    pub fn from_std_stream(std_stream: std::net::TcpStream) -> TcpSocket {
        TcpSocket {
            inner: std_stream.into(),
            end: None,
        }
    }

    /// Gives the socket an address of this machine.
    ///
    /// # Errors
    ///
    /// Those of the system, `AddrInUse` for example.
    pub fn bind(&self, addr: SocketAddr) -> io::Result<()> {
        match &self.end {
            Some(end) => end.bind(addr),
            None => self.inner.bind(&addr.into()),
        }
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// Those of the system, `ConnectionRefused` for example.
    ///
    /// # Panics
    ///
    /// If it is polled outside of a runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, it gives the connection up.
    pub async fn connect(self, addr: SocketAddr) -> io::Result<TcpStream> {
        const IN_PROGRESS: i32 = rustix::io::Errno::INPROGRESS.raw_os_error();
        let begin = |_: &Handle| {
            if let Some(end) = self.end {
                end.connect(addr)?;
                return Ok(Inner::simulated(OwnedFd::from(self.inner).into(), end));
            }
            match self.inner.connect(&addr.into()) {
                Err(error) if error.raw_os_error() != Some(IN_PROGRESS) => Err(error),
                _ => Ok(Inner::System(OwnedFd::from(self.inner).into())),
            }
        };
        TcpStream::finish_connect(begin).await
    }

    /// Listens. `backlog` is how many connections may wait to be accepted; the system has a limit of its own.
    ///
    /// # Errors
    ///
    /// Those of the system.
    ///
    /// # Panics
    ///
    /// If this thread is not inside a runtime.
    #[track_caller]
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        let handle = Handle::current();
        if let Some(end) = self.end {
            end.listen(backlog as usize)?;
            return TcpListener::at(Inner::simulated(OwnedFd::from(self.inner).into(), end), handle);
        }
        self.inner.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        TcpListener::at(Inner::System(OwnedFd::from(self.inner).into()), handle)
    }

    /// The address of this end.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        if let Some(end) = &self.end {
            return end.local_addr();
        }
        let address = self.inner.local_addr()?.as_socket();
        address.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the socket's address is not one of IP"))
    }

    /// Takes the error that the socket has noted (`SO_ERROR`), if any.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.inner.take_error()
    }

    /// Are idle connections probed (`SO_KEEPALIVE`)?
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn keepalive(&self) -> io::Result<bool> {
        self.inner.keepalive()
    }

    /// Shall idle connections be probed (`SO_KEEPALIVE`)?
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_keepalive(&self, keepalive: bool) -> io::Result<()> {
        self.inner.set_keepalive(keepalive)
    }

    /// May the address be used although old connections of it linger (`SO_REUSEADDR`)?
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn reuseaddr(&self) -> io::Result<bool> {
        self.inner.reuse_address()
    }

    /// Allows the address to be used although old connections of it linger (`SO_REUSEADDR`).
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_reuseaddr(&self, reuseaddr: bool) -> io::Result<()> {
        self.inner.set_reuse_address(reuseaddr)
    }

    /// May several sockets have one address, and share what comes (`SO_REUSEPORT`)?
    ///
    /// # Errors
    ///
    /// Those of the system.
    #[cfg(not(any(target_os = "solaris", target_os = "illumos")))]
    pub fn reuseport(&self) -> io::Result<bool> {
        self.inner.reuse_port()
    }

    /// Allows several sockets to have one address, and to share what comes (`SO_REUSEPORT`).
    ///
    /// # Errors
    ///
    /// Those of the system.
    #[cfg(not(any(target_os = "solaris", target_os = "illumos")))]
    pub fn set_reuseport(&self, reuseport: bool) -> io::Result<()> {
        self.inner.set_reuse_port(reuseport)
    }

    /// The size of the send buffer in bytes (`SO_SNDBUF`); Linux tells twice of what was set.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn send_buffer_size(&self) -> io::Result<u32> {
        self.inner.send_buffer_size().map(saturate)
    }

    /// Sets the size of the send buffer in bytes (`SO_SNDBUF`).
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_send_buffer_size(&self, size: u32) -> io::Result<()> {
        self.inner.set_send_buffer_size(size as usize)
    }

    /// The size of the receive buffer in bytes (`SO_RCVBUF`); Linux tells twice of what was set.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn recv_buffer_size(&self) -> io::Result<u32> {
        self.inner.recv_buffer_size().map(saturate)
    }

    /// Sets the size of the receive buffer in bytes (`SO_RCVBUF`).
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_recv_buffer_size(&self, size: u32) -> io::Result<()> {
        self.inner.set_recv_buffer_size(size as usize)
    }

    /// How long closing waits for data that is not sent yet (`SO_LINGER`); `None`: it does not wait.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.inner.linger()
    }

    /// Sets [`linger`](Self::linger), in whole seconds. With a time above zero, *dropping the stream blocks the thread*
    /// for up to that time.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_linger(&self, dur: Option<Duration>) -> io::Result<()> {
        self.inner.set_linger(dur)
    }

    /// Makes closing throw away what is not sent yet and reset the connection.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.inner.set_linger(Some(Duration::ZERO))
    }

    /// Is small data sent at once (`TCP_NODELAY`)?
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.inner.tcp_nodelay()
    }

    /// Shall small data be sent at once, instead of waiting for more (`TCP_NODELAY`)?
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.inner.set_tcp_nodelay(nodelay)
    }

    /// The type of service of outgoing IPv4 packets (`IP_TOS`).
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn tos_v4(&self) -> io::Result<u32> {
        self.inner.tos_v4()
    }

    /// Sets the type of service of outgoing IPv4 packets (`IP_TOS`).
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_tos_v4(&self, tos: u32) -> io::Result<()> {
        self.inner.set_tos_v4(tos)
    }

    /// The traffic class of outgoing IPv6 packets (`IPV6_TCLASS`).
    ///
    /// # Errors
    ///
    /// Those of the system.
    #[cfg(any(
        target_os = "linux",
        target_os = "android",
        target_os = "freebsd",
        target_os = "macos"
    ))]
    pub fn tclass_v6(&self) -> io::Result<u32> {
        self.inner.tclass_v6()
    }

    /// Sets the traffic class of outgoing IPv6 packets (`IPV6_TCLASS`).
    ///
    /// # Errors
    ///
    /// Those of the system.
    #[cfg(any(
        target_os = "linux",
        target_os = "android",
        target_os = "freebsd",
        target_os = "macos"
    ))]
    pub fn set_tclass_v6(&self, tclass: u32) -> io::Result<()> {
        self.inner.set_tclass_v6(tclass)
    }

    /// The name of the network device that the socket is bound to (`SO_BINDTODEVICE`).
    ///
    /// # Errors
    ///
    /// Those of the system.
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "fuchsia"))]
    pub fn device(&self) -> io::Result<Option<Vec<u8>>> {
        self.inner.device()
    }

    /// Binds the socket to a network device (`SO_BINDTODEVICE`), or with `None` to none.
    ///
    /// # Errors
    ///
    /// Those of the system: it may need a privilege.
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "fuchsia"))]
    pub fn bind_device(&self, interface: Option<&[u8]>) -> io::Result<()> {
        self.inner.bind_device(interface)
    }

    fn new(domain: Domain) -> io::Result<TcpSocket> {
        let inner = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        inner.set_nonblocking(true)?;
        let handle = Handle::try_current();
        let network = handle.as_ref().and_then(Handle::network);
        let end = network.map(|network| End::tcp(network, domain == Domain::IPV4));
        Ok(TcpSocket { inner, end })
    }
}

impl From<OwnedFd> for TcpSocket {
    /// Takes over a descriptor, which must be that of a TCP socket in non-blocking mode.
    fn from(fd: OwnedFd) -> TcpSocket {
        TcpSocket {
            inner: fd.into(),
            end: None,
        }
    }
}

impl From<TcpSocket> for OwnedFd {
    fn from(socket: TcpSocket) -> OwnedFd {
        socket.inner.into()
    }
}

impl AsFd for TcpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl AsRawFd for TcpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}

impl fmt::Debug for TcpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

fn saturate(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}
