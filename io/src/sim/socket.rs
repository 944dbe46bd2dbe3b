//! A simulated socket, as its owner holds it: what a file descriptor is in a system.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::os::unix::net::SocketAddr as UnixAddr;

use rustix::io::Errno;

use crate::ready::Interest;
use crate::sim::entry::{Kind, Registration};
use crate::sim::name::Name;
use crate::sim::network::{Network, Queue};
use crate::sim::state::State;
use crate::sim::{connect, datagram, transfer, unix_datagram};

/// Dropping it closes it, as a descriptor does.
pub(crate) struct Socket {
    network: Network,
    id: u64,
}

/// Making sockets.
impl Socket {
    /// A TCP socket that neither listens nor connects yet.
    pub(crate) fn tcp(network: &Network, is_v4: bool) -> Socket {
        Socket::new(network, network.with(|state| state.open(Kind::Fresh { is_v4 })))
    }

    pub(crate) fn udp(network: &Network, address: SocketAddr) -> io::Result<Socket> {
        let id = network.with(|state| datagram::bind(state, address))?;
        Ok(Socket::new(network, id))
    }

    pub(crate) fn unix_listener(network: &Network, name: Name, backlog: usize) -> io::Result<Socket> {
        let id = network.with(|state| connect::listen_unix(state, name, backlog))?;
        Ok(Socket::new(network, id))
    }

    pub(crate) fn unix_stream(network: &Network, to: &Name) -> io::Result<Socket> {
        let id = network.with(|state| connect::connect_unix(state, to))?;
        Ok(Socket::new(network, id))
    }

    pub(crate) fn unix_stream_pair(network: &Network) -> (Socket, Socket) {
        let (one, other) = network.with(connect::pair);
        (Socket::new(network, one), Socket::new(network, other))
    }

    pub(crate) fn unix_datagram(network: &Network, name: Option<Name>) -> io::Result<Socket> {
        let id = network.with(|state| match name {
            Some(name) => unix_datagram::bind(state, name),
            None => Ok(unix_datagram::open(state)),
        })?;
        Ok(Socket::new(network, id))
    }

    pub(crate) fn unix_datagram_pair(network: &Network) -> (Socket, Socket) {
        let (one, other) = network.with(unix_datagram::pair);
        (Socket::new(network, one), Socket::new(network, other))
    }

    fn new(network: &Network, id: u64) -> Socket {
        Socket {
            network: network.clone(),
            id,
        }
    }
}

/// What all kinds have.
impl Socket {
    /// Its readiness goes to `queue` from now on.
    pub(crate) fn attach(&self, queue: &Queue, token: usize, interest: Interest) -> io::Result<()> {
        if !self.network.is(queue.network()) {
            let text = "this socket belongs to another simulated network than the runtime that it is used in";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let registration = Registration {
            reactor: queue.reactor(),
            token,
            interest,
        };
        self.act(|state, id| state.attach(id, registration))
    }

    pub(crate) fn detach(&self) {
        self.network.with(|state| state.detach(self.id));
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.act(|state, id| {
            let socket = state.socket(id).ok_or(Errno::BADF)?;
            let any = match socket.kind {
                Kind::Fresh { is_v4: false } => SocketAddr::from(([0_u16; 8], 0)),
                _ => SocketAddr::from(([0; 4], 0)),
            };
            Ok(socket.local.unwrap_or(any))
        })
    }

    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.act(|state, id| {
            let socket = state.socket(id).ok_or(Errno::BADF)?;
            let (remote, is_stream) = (socket.remote, matches!(socket.kind, Kind::Stream(_)));
            if is_stream && !transfer::has_peer(state, id) {
                return Err(Errno::NOTCONN);
            }
            remote.ok_or(Errno::NOTCONN)
        })
    }

    /// Whom it was connected to, be the connection over or not.
    pub(crate) fn remote_addr(&self) -> io::Result<SocketAddr> {
        self.act(|state, id| state.socket(id).and_then(|socket| socket.remote).ok_or(Errno::NOTCONN))
    }

    pub(crate) fn local_name(&self) -> io::Result<UnixAddr> {
        let name = self.act(|state, id| Ok(state.socket(id).ok_or(Errno::BADF)?.name.clone()))?;
        Name::address(name.as_ref())
    }

    pub(crate) fn peer_name(&self) -> io::Result<UnixAddr> {
        let name = self.act(|state, id| {
            let is_connected = state.local(id).is_none_or(|local| local.peer.is_some());
            let socket = state.socket(id).filter(|_| is_connected).ok_or(Errno::NOTCONN)?;
            Ok(socket.remote_name.clone())
        })?;
        Name::address(name.as_ref())
    }

    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        let error = self.act(|state, id| Ok(state.take_error(id)))?;
        Ok(error.map(io::Error::from))
    }

    /// Closes it. With `abort`, a connection is not ended but reset.
    pub(crate) fn close(&self, abort: bool) {
        self.network
            .with(|state| match state.socket(self.id).map(|socket| &socket.kind) {
                Some(Kind::Listener(_)) => connect::close_listener(state, self.id),
                Some(Kind::Stream(_)) => transfer::close(state, self.id, abort),
                Some(Kind::Local(_)) => unix_datagram::close(state, self.id),
                Some(Kind::Fresh { .. } | Kind::Udp(_)) => drop(state.remove(self.id)),
                None => {}
            });
    }

    fn act<R>(&self, f: impl FnOnce(&mut State, u64) -> Result<R, Errno>) -> io::Result<R> {
        Ok(self.network.with(|state| f(state, self.id))?)
    }
}

/// TCP before it is connected, and listeners.
impl Socket {
    pub(crate) fn bind(&self, address: SocketAddr) -> io::Result<()> {
        self.act(|state, id| connect::bind(state, id, address))
    }

    pub(crate) fn listen(&self, backlog: usize) -> io::Result<()> {
        self.act(|state, id| connect::listen(state, id, backlog))
    }

    pub(crate) fn connect(&self, address: SocketAddr) -> io::Result<()> {
        self.act(|state, id| connect::connect(state, id, address))
    }

    /// Is there anything to accept? `WouldBlock` if not.
    pub(crate) fn can_accept(&self) -> io::Result<()> {
        self.act(connect::can_accept)
    }

    pub(crate) fn accept(&self) -> io::Result<Socket> {
        let accepted = self.act(connect::accept)?;
        Ok(Socket::new(&self.network, accepted))
    }
}

/// Streams.
impl Socket {
    pub(crate) fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        self.act(|state, id| {
            transfer::read(state, id, buf.len(), |bytes| {
                buf[filled..filled + bytes.len()].copy_from_slice(bytes);
                filled += bytes.len();
            })
        })
    }

    /// As [`read`](Self::read), into memory that need not be initialised: the first `n` bytes of it are, after `Ok(n)`.
    pub(crate) fn read_uninit(&self, buf: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
        let mut filled = 0;
        self.act(|state, id| {
            transfer::read(state, id, buf.len(), |bytes| {
                write_uninit(&mut buf[filled..], bytes);
                filled += bytes.len();
            })
        })
        .map(|_| filled)
    }

    pub(crate) fn read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let all = bufs.iter().map(|buf| buf.len()).sum();
        let mut places = bufs.iter_mut().flat_map(|buf| buf.iter_mut());
        self.act(|state, id| {
            transfer::read(state, id, all, |bytes| {
                places.by_ref().zip(bytes).for_each(|(place, byte)| *place = *byte);
            })
        })
    }

    pub(crate) fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        self.act(|state, id| {
            transfer::peek(state, id, buf.len(), |bytes| {
                buf[filled..filled + bytes.len()].copy_from_slice(bytes);
                filled += bytes.len();
            })
        })
    }

    /// As [`read_uninit`](Self::read_uninit), and leaves all there.
    #[cfg(feature = "tokio-io")]
    pub(crate) fn peek_uninit(&self, buf: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
        let mut filled = 0;
        self.act(|state, id| {
            transfer::peek(state, id, buf.len(), |bytes| {
                write_uninit(&mut buf[filled..], bytes);
                filled += bytes.len();
            })
        })
        .map(|_| filled)
    }

    pub(crate) fn write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.act(|state, id| transfer::write(state, id, bufs))
    }

    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        self.act(transfer::shutdown_write)
    }
}

/// UDP.
impl Socket {
    pub(crate) fn set_peer(&self, address: SocketAddr) -> io::Result<()> {
        refuse_many(address)?;
        self.act(|state, id| datagram::connect(state, id, address))
    }

    pub(crate) fn send(&self, buf: &[u8], to: Option<SocketAddr>) -> io::Result<usize> {
        to.map_or(Ok(()), refuse_many)?;
        self.act(|state, id| datagram::send(state, id, buf, to))
    }

    /// The first datagram and who sent it; it goes away if `take` says so.
    pub(crate) fn recv(&self, take: bool) -> io::Result<(Vec<u8>, SocketAddr)> {
        self.act(|state, id| datagram::recv(state, id, take))
    }
}

/// Unix datagrams.
impl Socket {
    pub(crate) fn set_unix_peer(&self, name: &Name) -> io::Result<()> {
        self.act(|state, id| unix_datagram::connect(state, id, name))
    }

    pub(crate) fn send_unix(&self, buf: &[u8], to: Option<&Name>) -> io::Result<usize> {
        self.act(|state, id| unix_datagram::send(state, id, buf, to))
    }

    /// The first datagram and who sent it; it goes away if `take` says so.
    pub(crate) fn recv_unix(&self, take: bool) -> io::Result<(Vec<u8>, UnixAddr)> {
        let (data, name) = self.act(|state, id| unix_datagram::recv(state, id, take))?;
        Ok((data, Name::address(name.as_ref())?))
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let (read, write) = match how {
            Shutdown::Read => (true, false),
            Shutdown::Write => (false, true),
            Shutdown::Both => (true, true),
        };
        self.act(|state, id| unix_datagram::shutdown(state, id, read, write))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.close(false);
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulated")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

fn refuse_many(address: SocketAddr) -> io::Result<()> {
    if connect::is_for_many(address) {
        let text = "multicast and broadcast are not simulated";
        return Err(io::Error::new(io::ErrorKind::Unsupported, text));
    }
    Ok(())
}

/// Copies `bytes` to the beginning of `memory`, which is long enough.
pub(crate) fn write_uninit(memory: &mut [MaybeUninit<u8>], bytes: &[u8]) {
    for (place, byte) in memory[..bytes.len()].iter_mut().zip(bytes) {
        place.write(*byte);
    }
}
