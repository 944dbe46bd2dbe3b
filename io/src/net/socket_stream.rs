//! Streams and listeners, of the system or simulated: their operations.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::os::unix::net::SocketAddr as UnixAddr;
use std::path::Path;

use socket2::{Domain, SockRef, Type};

use crate::current::Handle;
use crate::net::socket::{Socket, spare, spare_for};
use crate::sim::name::Name;
use crate::sim::network::Network;
use crate::sim::socket::Socket as End;

/// As many connections as may wait for the sockets that do not say how many; the network has a limit of its own.
const BACKLOG: usize = usize::MAX;

/// Bytes in both directions.
impl<R: AsFd> Socket<R>
where
    for<'a> &'a R: Read + Write,
{
    #[inline]
    pub(crate) fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::System(socket) => (&mut &*socket).read(buf),
            Socket::Simulated(socket) => socket.end().read(buf),
        }
    }

    /// Reads into memory that need not be initialised: the first `n` bytes of it are, after `Ok(n)`, and nothing that is not
    /// initialised is written to it.
    #[inline]
    pub(crate) fn read_uninit(&self, buf: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
        match self {
            Socket::System(socket) => SockRef::from(socket).recv(buf),
            Socket::Simulated(socket) => socket.end().read_uninit(buf),
        }
    }

    pub(crate) fn read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        match self {
            Socket::System(socket) => (&mut &*socket).read_vectored(bufs),
            Socket::Simulated(socket) => socket.end().read_vectored(bufs),
        }
    }

    #[inline]
    pub(crate) fn write(&self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Socket::System(socket) => (&mut &*socket).write(buf),
            Socket::Simulated(socket) => socket.end().write_vectored(&[IoSlice::new(buf)]),
        }
    }

    pub(crate) fn write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Socket::System(socket) => (&mut &*socket).write_vectored(bufs),
            Socket::Simulated(socket) => socket.end().write_vectored(bufs),
        }
    }

    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        self.either(
            |socket| SockRef::from(socket).shutdown(Shutdown::Write),
            End::shutdown_write,
        )
    }
}

impl Socket<mio::net::TcpStream> {
    /// Begins to connect.
    pub(crate) fn connect(handle: &Handle, address: SocketAddr) -> io::Result<Self> {
        let Some(network) = handle.network() else {
            return mio::net::TcpStream::connect(address).map(Socket::System);
        };
        let spare = spare_for(address, Type::STREAM)?;
        let end = End::tcp(network, address.is_ipv4());
        end.connect(address)?;
        Ok(Socket::simulated(spare, end))
    }

    pub(crate) fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::System(socket) => socket.peek(buf),
            Socket::Simulated(socket) => socket.end().peek(buf),
        }
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.either(mio::net::TcpStream::local_addr, End::local_addr)
    }

    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.either(mio::net::TcpStream::peer_addr, End::peer_addr)
    }
}

impl Socket<mio::net::TcpListener> {
    pub(crate) fn bind(handle: &Handle, address: SocketAddr) -> io::Result<Self> {
        let Some(network) = handle.network() else {
            return mio::net::TcpListener::bind(address).map(Socket::System);
        };
        let spare = spare_for(address, Type::STREAM)?;
        let end = End::tcp(network, address.is_ipv4());
        end.bind(address)?;
        end.listen(BACKLOG)?;
        Ok(Socket::simulated(spare, end))
    }

    pub(crate) fn accept(&self) -> io::Result<(Socket<mio::net::TcpStream>, SocketAddr)> {
        match self {
            Socket::System(socket) => {
                let (stream, address) = socket.accept()?;
                Ok((Socket::System(stream), address))
            }
            Socket::Simulated(socket) => {
                socket.end().can_accept()?;
                // Before the connection is taken: if there is no descriptor for it, it stays where it is.
                let spare = spare_for(socket.end().local_addr()?, Type::STREAM)?;
                let end = socket.end().accept()?;
                let address = end.remote_addr()?;
                Ok((Socket::simulated(spare, end), address))
            }
        }
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.either(mio::net::TcpListener::local_addr, End::local_addr)
    }
}

impl Socket<mio::net::UnixStream> {
    pub(crate) fn connect_path(handle: &Handle, path: &Path) -> io::Result<Self> {
        match handle.network() {
            Some(network) => Self::connect_name(network, &Name::of_path(path)?),
            None => mio::net::UnixStream::connect(path).map(Socket::System),
        }
    }

    pub(crate) fn connect_addr(handle: &Handle, address: &UnixAddr) -> io::Result<Self> {
        match handle.network() {
            Some(network) => Self::connect_name(network, &Name::of(address)?),
            None => mio::net::UnixStream::connect_addr(address).map(Socket::System),
        }
    }

    pub(crate) fn pair(handle: &Handle) -> io::Result<(Self, Self)> {
        let Some(network) = handle.network() else {
            let (one, other) = mio::net::UnixStream::pair()?;
            return Ok((Socket::System(one), Socket::System(other)));
        };
        let spares = (spare(Domain::UNIX, Type::STREAM)?, spare(Domain::UNIX, Type::STREAM)?);
        let (one, other) = End::unix_stream_pair(network);
        Ok((Socket::simulated(spares.0, one), Socket::simulated(spares.1, other)))
    }

    fn connect_name(network: &Network, name: &Name) -> io::Result<Self> {
        let spare = spare(Domain::UNIX, Type::STREAM)?;
        Ok(Socket::simulated(spare, End::unix_stream(network, name)?))
    }

    /// Who is at the other end: in a simulated network, this process.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn peer_cred(&self) -> io::Result<rustix::net::UCred> {
        match self {
            Socket::System(socket) => Ok(rustix::net::sockopt::socket_peercred(socket)?),
            Socket::Simulated(_) => {
                let (one, _other) = mio::net::UnixStream::pair()?;
                Ok(rustix::net::sockopt::socket_peercred(&one)?)
            }
        }
    }

    pub(crate) fn local_addr(&self) -> io::Result<UnixAddr> {
        self.either(mio::net::UnixStream::local_addr, End::local_name)
    }

    pub(crate) fn peer_addr(&self) -> io::Result<UnixAddr> {
        self.either(mio::net::UnixStream::peer_addr, End::peer_name)
    }
}

impl Socket<mio::net::UnixListener> {
    pub(crate) fn bind_path(handle: &Handle, path: &Path) -> io::Result<Self> {
        match handle.network() {
            Some(network) => Self::bind_name(network, Name::of_path(path)?),
            None => mio::net::UnixListener::bind(path).map(Socket::System),
        }
    }

    pub(crate) fn bind_addr(handle: &Handle, address: &UnixAddr) -> io::Result<Self> {
        match handle.network() {
            Some(network) => Self::bind_name(network, Name::of(address)?),
            None => mio::net::UnixListener::bind_addr(address).map(Socket::System),
        }
    }

    pub(crate) fn accept(&self) -> io::Result<(Socket<mio::net::UnixStream>, UnixAddr)> {
        match self {
            Socket::System(socket) => {
                let (stream, address) = socket.accept()?;
                Ok((Socket::System(stream), address))
            }
            Socket::Simulated(socket) => {
                socket.end().can_accept()?;
                // Before the connection is taken, as above.
                let spare = spare(Domain::UNIX, Type::STREAM)?;
                let end = socket.end().accept()?;
                let address = end.peer_name()?;
                Ok((Socket::simulated(spare, end), address))
            }
        }
    }

    pub(crate) fn local_addr(&self) -> io::Result<UnixAddr> {
        self.either(mio::net::UnixListener::local_addr, End::local_name)
    }

    fn bind_name(network: &Network, name: Name) -> io::Result<Self> {
        let spare = spare(Domain::UNIX, Type::STREAM)?;
        Ok(Socket::simulated(spare, End::unix_listener(network, name, BACKLOG)?))
    }
}
