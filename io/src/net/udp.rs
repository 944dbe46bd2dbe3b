//! UDP.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::task::{Context, Poll};

use socket2::SockRef;

use crate::current::Handle;
use crate::net::addr::{ToSocketAddrs, first_of, resolve};
use crate::net::datagram::datagram_methods;
use crate::net::socket::Socket;
use crate::net::stream::{check_nonblocking, io_methods, ready_methods};
use crate::ready::Interest;
use crate::registered::{Direction, Registered};
use crate::source::Kind;

/// A UDP socket.
///
/// Any number of tasks may send and receive at the same time with the async methods; of those that use the `poll_...`
/// methods, the last one in each direction is woken.
///
/// ```no_run
/// # async fn example() -> std::io::Result<()> {
/// use filch_io::net::UdpSocket;
///
/// let socket = UdpSocket::bind("127.0.0.1:9000").await?;
/// let mut buf = [0; 2048];
/// loop {
///     let (len, peer) = socket.recv_from(&mut buf).await?;
///     socket.send_to(&buf[..len], peer).await?;
/// }
/// # }
/// ```
pub struct UdpSocket {
    io: Registered<Socket<mio::net::UdpSocket>>,
}

impl UdpSocket {
    /// A socket at `addr`; if it has several addresses, at the first one that can be bound. Port 0 asks for a free one.
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
    /// Nothing is bound when it is dropped before it is done.
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<UdpSocket> {
        let addresses = resolve(&addr).await?;
        let handle = Handle::current();
        let io = first_of(addresses, |address| {
            Socket::<mio::net::UdpSocket>::bind(&handle, address)
        })?;
        UdpSocket::at(io, &handle)
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
    pub fn from_std(socket: std::net::UdpSocket) -> io::Result<UdpSocket> {
        let handle = Handle::current();
        check_nonblocking(&socket)?;
        UdpSocket::at(Socket::System(mio::net::UdpSocket::from_std(socket)), &handle)
    }

    /// Gives the socket back as one of std. It is in non-blocking mode.
    ///
    /// # Errors
    ///
    /// `Unsupported` if it is simulated.
    pub fn into_std(self) -> io::Result<std::net::UdpSocket> {
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

    /// The address of the connected peer.
    ///
    /// # Errors
    ///
    /// `NotConnected` if there is none, and those of the system.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().peer_addr()
    }

    /// Sets the peer that [`send`](Self::send) sends to and that [`recv`](Self::recv) takes datagrams from. If `addr` has
    /// several addresses, it is the first one that can be set; nothing is sent to find out whether it is there.
    ///
    /// # Errors
    ///
    /// The error of the last address that was tried.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, it has changed nothing.
    pub async fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<()> {
        first_of(resolve(&addr).await?, |address| self.io.get_ref().connect(address))
    }

    ready_methods!();
    datagram_methods!();
    io_methods!();

    /// Sends a datagram to `target` and says how many bytes it has; waits if there is no room. Of several addresses, it is
    /// the first.
    ///
    /// # Errors
    ///
    /// Those of the system; and if it would have to wait although the runtime has been shut down.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: dropped before it is done, it has sent nothing.
    pub async fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], target: A) -> io::Result<usize> {
        let address = resolve(&target).await?.next().ok_or(io::ErrorKind::InvalidInput)?;
        self.io
            .async_io(Interest::WRITABLE, |io| io.send_to(buf, address))
            .await
    }

    /// As [`send_to`](Self::send_to). Of all tasks that poll for sending, the last is woken.
    ///
    /// # Errors
    ///
    /// As [`send_to`](Self::send_to).
    pub fn poll_send_to(&self, cx: &mut Context<'_>, buf: &[u8], target: SocketAddr) -> Poll<io::Result<usize>> {
        self.io.poll_io(cx, Direction::Write, |io| io.send_to(buf, target))
    }

    /// As [`send_to`](Self::send_to), without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is no room, and those of the system.
    pub fn try_send_to(&self, buf: &[u8], target: SocketAddr) -> io::Result<usize> {
        self.io.try_io(Interest::WRITABLE, |io| io.send_to(buf, target))
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

    /// As [`recv`](Self::recv), and leaves the datagram there.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: it takes nothing.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.io.async_io(Interest::READABLE, |io| io.peek(buf)).await
    }

    /// As [`peek`](Self::peek), without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is none, and those of the system.
    pub fn try_peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.io.try_io(Interest::READABLE, |io| io.peek(buf))
    }

    /// As [`recv_from`](Self::recv_from), and leaves the datagram there.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](Self::recv_from).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: it takes nothing.
    pub async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io.async_io(Interest::READABLE, |io| io.peek_from(buf)).await
    }

    /// As [`peek_from`](Self::peek_from), without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is none, and those of the system.
    pub fn try_peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io.try_io(Interest::READABLE, |io| io.peek_from(buf))
    }

    /// Who sent the next datagram; waits if there is none. The datagram stays there.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](Self::recv_from).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: it takes nothing.
    pub async fn peek_sender(&self) -> io::Result<SocketAddr> {
        self.io.async_io(Interest::READABLE, sender).await
    }

    /// As [`peek_sender`](Self::peek_sender). Of all tasks that poll for receiving, the last is woken.
    ///
    /// # Errors
    ///
    /// As [`peek_sender`](Self::peek_sender).
    pub fn poll_peek_sender(&self, cx: &mut Context<'_>) -> Poll<io::Result<SocketAddr>> {
        self.io.poll_io(cx, Direction::Read, sender)
    }

    /// As [`peek_sender`](Self::peek_sender), without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is none, and those of the system.
    pub fn try_peek_sender(&self) -> io::Result<SocketAddr> {
        self.io.try_io(Interest::READABLE, sender)
    }

    /// May datagrams be sent to a broadcast address (`SO_BROADCAST`)?
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn broadcast(&self) -> io::Result<bool> {
        self.io.get_ref().system().broadcast()
    }

    /// Allows datagrams to be sent to a broadcast address (`SO_BROADCAST`).
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_broadcast(&self, on: bool) -> io::Result<()> {
        self.io.get_ref().system().set_broadcast(on)
    }

    /// Do own multicast datagrams come back (`IP_MULTICAST_LOOP`)?
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        self.io.get_ref().system().multicast_loop_v4()
    }

    /// Shall own multicast datagrams come back (`IP_MULTICAST_LOOP`)?
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_multicast_loop_v4(&self, on: bool) -> io::Result<()> {
        self.io.get_ref().system().set_multicast_loop_v4(on)
    }

    /// The hop limit of multicast datagrams (`IP_MULTICAST_TTL`).
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        self.io.get_ref().system().multicast_ttl_v4()
    }

    /// Sets the hop limit of multicast datagrams (`IP_MULTICAST_TTL`).
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_multicast_ttl_v4(&self, ttl: u32) -> io::Result<()> {
        self.io.get_ref().system().set_multicast_ttl_v4(ttl)
    }

    /// Do own multicast datagrams come back (`IPV6_MULTICAST_LOOP`)?
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        self.io.get_ref().system().multicast_loop_v6()
    }

    /// Shall own multicast datagrams come back (`IPV6_MULTICAST_LOOP`)?
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_multicast_loop_v6(&self, on: bool) -> io::Result<()> {
        self.io.get_ref().system().set_multicast_loop_v6(on)
    }

    /// The hop limit of outgoing datagrams (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn ttl(&self) -> io::Result<u32> {
        self.io.get_ref().system().ttl()
    }

    /// Sets the hop limit of outgoing datagrams (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.io.get_ref().system().set_ttl(ttl)
    }

    /// The type of service of outgoing IPv4 datagrams (`IP_TOS`).
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn tos_v4(&self) -> io::Result<u32> {
        SockRef::from(self).tos_v4()
    }

    /// Sets the type of service of outgoing IPv4 datagrams (`IP_TOS`).
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_tos_v4(&self, tos: u32) -> io::Result<()> {
        SockRef::from(self).set_tos_v4(tos)
    }

    /// The name of the network device that the socket is bound to (`SO_BINDTODEVICE`).
    ///
    /// # Errors
    ///
    /// Those of the system.
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "fuchsia"))]
    pub fn device(&self) -> io::Result<Option<Vec<u8>>> {
        SockRef::from(self).device()
    }

    /// Binds the socket to a network device (`SO_BINDTODEVICE`), or with `None` to none.
    ///
    /// # Errors
    ///
    /// Those of the system: it may need a privilege.
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "fuchsia"))]
    pub fn bind_device(&self, interface: Option<&[u8]>) -> io::Result<()> {
        SockRef::from(self).bind_device(interface)
    }

    /// Joins a multicast group at the interface with the given address (unspecified: the system chooses).
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn join_multicast_v4(&self, multiaddr: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.io
            .get_ref()
            .only_system("multicast")?
            .join_multicast_v4(&multiaddr, &interface)
    }

    /// Joins a multicast group at the interface with the given index (0: the system chooses).
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn join_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.io
            .get_ref()
            .only_system("multicast")?
            .join_multicast_v6(multiaddr, interface)
    }

    /// Leaves a multicast group.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn leave_multicast_v4(&self, multiaddr: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.io
            .get_ref()
            .only_system("multicast")?
            .leave_multicast_v4(&multiaddr, &interface)
    }

    /// Leaves a multicast group.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn leave_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.io
            .get_ref()
            .only_system("multicast")?
            .leave_multicast_v6(multiaddr, interface)
    }

    /// Takes the error that the socket has noted (`SO_ERROR`), if any.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.io.get_ref().take_error()
    }

    pub(crate) fn registered(&self) -> &Registered<Socket<mio::net::UdpSocket>> {
        &self.io
    }

    fn at(io: Socket<mio::net::UdpSocket>, handle: &Handle) -> io::Result<UdpSocket> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        Ok(UdpSocket {
            io: Registered::at(io, interest, Kind::Datagram, handle, handle.place())?,
        })
    }
}

impl TryFrom<std::net::UdpSocket> for UdpSocket {
    type Error = io::Error;

    /// As [`UdpSocket::from_std`].
    #[track_caller]
    fn try_from(socket: std::net::UdpSocket) -> io::Result<UdpSocket> {
        UdpSocket::from_std(socket)
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.get_ref().as_fd()
    }
}

impl AsRawFd for UdpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.io.get_ref().as_raw_fd()
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.io.fmt(f)
    }
}

fn sender(io: &Socket<mio::net::UdpSocket>) -> io::Result<SocketAddr> {
    io.peek_from(&mut []).map(|(_, address)| address)
}
