//! Datagram sockets, of the system or simulated: their operations.

use std::io;
#[cfg(feature = "tokio-io")]
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::os::unix::net::SocketAddr as UnixAddr;
use std::path::Path;

use socket2::{Domain, Type};
#[cfg(feature = "tokio-io")]
use socket2::{SockAddr, SockRef};

use crate::current::Handle;
use crate::net::socket::{Socket, spare, spare_for};
use crate::sim::name::Name;
use crate::sim::socket::Socket as End;
#[cfg(feature = "tokio-io")]
use crate::sim::socket::write_uninit;

impl Socket<mio::net::UdpSocket> {
    pub(crate) fn bind(handle: &Handle, address: SocketAddr) -> io::Result<Self> {
        let Some(network) = handle.network() else {
            return mio::net::UdpSocket::bind(address).map(Socket::System);
        };
        let spare = spare_for(address, Type::DGRAM)?;
        Ok(Socket::simulated(spare, End::udp(network, address)?))
    }

    pub(crate) fn connect(&self, address: SocketAddr) -> io::Result<()> {
        self.either(|socket| socket.connect(address), |end| end.set_peer(address))
    }

    pub(crate) fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.either(|socket| socket.send(buf), |end| end.send(buf, None))
    }

    pub(crate) fn send_to(&self, buf: &[u8], target: SocketAddr) -> io::Result<usize> {
        self.either(|socket| socket.send_to(buf, target), |end| end.send(buf, Some(target)))
    }

    pub(crate) fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::System(socket) => socket.recv(buf),
            Socket::Simulated(socket) => Ok(copy_from(socket.end().recv(true)?, buf).0),
        }
    }

    pub(crate) fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        match self {
            Socket::System(socket) => socket.recv_from(buf),
            Socket::Simulated(socket) => Ok(copy_from(socket.end().recv(true)?, buf)),
        }
    }

    pub(crate) fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::System(socket) => socket.peek(buf),
            Socket::Simulated(socket) => Ok(copy_from(socket.end().recv(false)?, buf).0),
        }
    }

    pub(crate) fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        match self {
            Socket::System(socket) => socket.peek_from(buf),
            Socket::Simulated(socket) => Ok(copy_from(socket.end().recv(false)?, buf)),
        }
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.either(mio::net::UdpSocket::local_addr, End::local_addr)
    }

    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.either(mio::net::UdpSocket::peer_addr, End::peer_addr)
    }
}

impl Socket<mio::net::UnixDatagram> {
    pub(crate) fn bind(handle: &Handle, path: &Path) -> io::Result<Self> {
        let Some(network) = handle.network() else {
            return mio::net::UnixDatagram::bind(path).map(Socket::System);
        };
        let spare = spare(Domain::UNIX, Type::DGRAM)?;
        let end = End::unix_datagram(network, Some(Name::of_path(path)?))?;
        Ok(Socket::simulated(spare, end))
    }

    pub(crate) fn unbound(handle: &Handle) -> io::Result<Self> {
        let Some(network) = handle.network() else {
            return mio::net::UnixDatagram::unbound().map(Socket::System);
        };
        let spare = spare(Domain::UNIX, Type::DGRAM)?;
        Ok(Socket::simulated(spare, End::unix_datagram(network, None)?))
    }

    pub(crate) fn pair(handle: &Handle) -> io::Result<(Self, Self)> {
        let Some(network) = handle.network() else {
            let (one, other) = mio::net::UnixDatagram::pair()?;
            return Ok((Socket::System(one), Socket::System(other)));
        };
        let spares = (spare(Domain::UNIX, Type::DGRAM)?, spare(Domain::UNIX, Type::DGRAM)?);
        let (one, other) = End::unix_datagram_pair(network);
        Ok((Socket::simulated(spares.0, one), Socket::simulated(spares.1, other)))
    }

    pub(crate) fn connect(&self, path: &Path) -> io::Result<()> {
        let simulated = |end: &End| end.set_unix_peer(&Name::of_path(path)?);
        self.either(|socket| socket.connect(path), simulated)
    }

    pub(crate) fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.either(|socket| socket.send(buf), |end| end.send_unix(buf, None))
    }

    pub(crate) fn send_to(&self, buf: &[u8], path: &Path) -> io::Result<usize> {
        let simulated = |end: &End| end.send_unix(buf, Some(&Name::of_path(path)?));
        self.either(|socket| socket.send_to(buf, path), simulated)
    }

    pub(crate) fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::System(socket) => socket.recv(buf),
            Socket::Simulated(socket) => Ok(copy_from(socket.end().recv_unix(true)?, buf).0),
        }
    }

    pub(crate) fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, UnixAddr)> {
        match self {
            Socket::System(socket) => socket.recv_from(buf),
            Socket::Simulated(socket) => Ok(copy_from(socket.end().recv_unix(true)?, buf)),
        }
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.either(|socket| socket.shutdown(how), |end| end.shutdown(how))
    }

    pub(crate) fn local_addr(&self) -> io::Result<UnixAddr> {
        self.either(mio::net::UnixDatagram::local_addr, End::local_name)
    }

    pub(crate) fn peer_addr(&self) -> io::Result<UnixAddr> {
        self.either(mio::net::UnixDatagram::peer_addr, End::peer_name)
    }
}

/// Receiving into memory that need not be initialised: of each function, the first `n` bytes of the memory are initialised after
/// `Ok(n)`, and nothing that is not initialised is written to it. The unsafe code of `buf` rests on that.
#[cfg(feature = "tokio-io")]
pub(crate) trait RecvUninit {
    fn recv_uninit(&self, memory: &mut [MaybeUninit<u8>]) -> io::Result<usize>;

    /// As `recv_uninit`, and leaves it there.
    fn peek_uninit(&self, memory: &mut [MaybeUninit<u8>]) -> io::Result<usize>;
}

#[cfg(feature = "tokio-io")]
impl RecvUninit for Socket<mio::net::TcpStream> {
    fn recv_uninit(&self, memory: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
        self.read_uninit(memory)
    }

    fn peek_uninit(&self, memory: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
        match self {
            Socket::System(socket) => SockRef::from(socket).peek(memory),
            Socket::Simulated(socket) => socket.end().peek_uninit(memory),
        }
    }
}

#[cfg(feature = "tokio-io")]
impl RecvUninit for Socket<mio::net::UdpSocket> {
    fn recv_uninit(&self, memory: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
        match self {
            Socket::System(socket) => SockRef::from(socket).recv(memory),
            Socket::Simulated(socket) => Ok(write_from(socket.end().recv(true)?, memory).0),
        }
    }

    fn peek_uninit(&self, memory: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
        match self {
            Socket::System(socket) => SockRef::from(socket).peek(memory),
            Socket::Simulated(socket) => Ok(write_from(socket.end().recv(false)?, memory).0),
        }
    }
}

#[cfg(feature = "tokio-io")]
impl Socket<mio::net::UdpSocket> {
    /// As [`RecvUninit::recv_uninit`], and says who sent it.
    pub(crate) fn recv_from_uninit(&self, memory: &mut [MaybeUninit<u8>]) -> io::Result<(usize, SocketAddr)> {
        match self {
            Socket::System(socket) => ip(SockRef::from(socket).recv_from(memory)?),
            Socket::Simulated(socket) => Ok(write_from(socket.end().recv(true)?, memory)),
        }
    }

    /// As [`recv_from_uninit`](Self::recv_from_uninit), and leaves it there.
    pub(crate) fn peek_from_uninit(&self, memory: &mut [MaybeUninit<u8>]) -> io::Result<(usize, SocketAddr)> {
        match self {
            Socket::System(socket) => ip(SockRef::from(socket).peek_from(memory)?),
            Socket::Simulated(socket) => Ok(write_from(socket.end().recv(false)?, memory)),
        }
    }
}

#[cfg(feature = "tokio-io")]
impl RecvUninit for Socket<mio::net::UnixDatagram> {
    fn recv_uninit(&self, memory: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
        match self {
            Socket::System(socket) => SockRef::from(socket).recv(memory),
            Socket::Simulated(socket) => Ok(write_from(socket.end().recv_unix(true)?, memory).0),
        }
    }

    fn peek_uninit(&self, memory: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
        match self {
            Socket::System(socket) => SockRef::from(socket).peek(memory),
            Socket::Simulated(socket) => Ok(write_from(socket.end().recv_unix(false)?, memory).0),
        }
    }
}

/// Copies a datagram to `buf`, as far as it fits; says how far, and whose it is.
fn copy_from<A>((data, source): (Vec<u8>, A), buf: &mut [u8]) -> (usize, A) {
    let len = data.len().min(buf.len());
    buf[..len].copy_from_slice(&data[..len]);
    (len, source)
}

/// As [`copy_from`], into memory that need not be initialised.
#[cfg(feature = "tokio-io")]
fn write_from<A>((data, source): (Vec<u8>, A), memory: &mut [MaybeUninit<u8>]) -> (usize, A) {
    let len = data.len().min(memory.len());
    write_uninit(memory, &data[..len]);
    (len, source)
}

#[cfg(feature = "tokio-io")]
fn ip((len, address): (usize, SockAddr)) -> io::Result<(usize, SocketAddr)> {
    let address = address.as_socket();
    let address = address.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a peer without an IP address"))?;
    Ok((len, address))
}
