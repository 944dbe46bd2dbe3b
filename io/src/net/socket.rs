//! What is inside of every socket here: one of the system, through mio, or one of a simulated network.
//!
//! A simulated socket keeps one of the system beside it, of the right family and never connected: it is the descriptor that
//! the socket shows, and it remembers options. Data never meets it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use socket2::{Domain, SockRef, Type};

use crate::ready::Interest;
use crate::sim::socket::Socket as End;
use crate::sys::{Ports, Registers, Source, not_simulated};

/// A socket of mio's type `R`, or a simulated one of the same kind.
pub(crate) enum Socket<R: AsFd> {
    System(R),
    Simulated(Box<Simulated<R>>),
}

pub(crate) struct Simulated<R: AsFd> {
    spare: R,
    end: End,
}

impl<R: AsFd> Socket<R> {
    /// A simulated socket that shows `spare`, see [`spare`].
    pub(crate) fn simulated(spare: R, end: End) -> Socket<R> {
        Socket::Simulated(Box::new(Simulated { spare, end }))
    }

    /// The socket of the system, for its options: if this one is simulated, it is the one beside it.
    #[inline]
    pub(crate) fn system(&self) -> &R {
        match self {
            Socket::System(socket) => socket,
            Socket::Simulated(simulated) => &simulated.spare,
        }
    }

    /// Asks the system's socket, or the simulated one.
    #[inline]
    pub(crate) fn either<T>(
        &self,
        system: impl FnOnce(&R) -> io::Result<T>,
        simulated: impl FnOnce(&End) -> io::Result<T>,
    ) -> io::Result<T> {
        match self {
            Socket::System(socket) => system(socket),
            Socket::Simulated(socket) => simulated(&socket.end),
        }
    }

    /// The system's socket, unless this one is simulated; then it is closed.
    pub(crate) fn into_system(self) -> io::Result<OwnedFd>
    where
        OwnedFd: From<R>,
    {
        match self {
            Socket::System(socket) => Ok(socket.into()),
            Socket::Simulated(_) => {
                let text = "a simulated socket is none of the system, and cannot be made one";
                Err(io::Error::new(io::ErrorKind::Unsupported, text))
            }
        }
    }

    /// Takes the error that the socket has noted, if any.
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.either(|socket| SockRef::from(socket).take_error(), End::take_error)
    }

    /// Refuses what only the system's sockets can do.
    pub(crate) fn only_system(&self, what: &str) -> io::Result<&R> {
        match self {
            Socket::System(socket) => Ok(socket),
            Socket::Simulated(_) => {
                let text = format!("{what} is not simulated");
                Err(io::Error::new(io::ErrorKind::Unsupported, text))
            }
        }
    }
}

impl<R: AsFd> Simulated<R> {
    pub(crate) fn end(&self) -> &End {
        &self.end
    }
}

/// A socket of the system that a simulated one can show.
pub(crate) fn spare<R: From<OwnedFd>>(domain: Domain, ty: Type) -> io::Result<R> {
    let socket = socket2::Socket::new(domain, ty, None)?;
    socket.set_nonblocking(true)?;
    Ok(OwnedFd::from(socket).into())
}

/// As [`spare`], for IP.
pub(crate) fn spare_for<R: From<OwnedFd>>(address: SocketAddr, ty: Type) -> io::Result<R> {
    spare(Domain::for_address(address), ty)
}

impl<R: AsFd + mio::event::Source> Source for Socket<R> {}

impl<R: AsFd + mio::event::Source> Registers for Socket<R> {
    fn register(&mut self, ports: &Ports, token: usize, interest: Interest) -> io::Result<()> {
        match (self, ports) {
            (Socket::System(socket), _) => Registers::register(socket, ports, token, interest),
            (Socket::Simulated(socket), Ports::Simulated { queue, .. }) => socket.end.attach(queue, token, interest),
            (Socket::Simulated(_), Ports::System { .. }) => Err(not_simulated()),
        }
    }

    fn deregister(&mut self, ports: &Ports) -> io::Result<()> {
        match self {
            Socket::System(socket) => Registers::deregister(socket, ports),
            Socket::Simulated(socket) => {
                socket.end.detach();
                Ok(())
            }
        }
    }
}

impl<R: AsFd> AsFd for Socket<R> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.system().as_fd()
    }
}

impl<R: AsFd> AsRawFd for Socket<R> {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl<R: AsFd> Drop for Simulated<R> {
    fn drop(&mut self) {
        // The option is where all options are.
        let linger = SockRef::from(&self.spare).linger();
        self.end.close(matches!(linger, Ok(Some(Duration::ZERO))));
    }
}

impl<R: AsFd + fmt::Debug> fmt::Debug for Socket<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Socket::System(socket) => socket.fmt(f),
            Socket::Simulated(socket) => socket.end.fmt(f),
        }
    }
}
