//! One socket in the network: its addresses, its reactor, and what it is.

use std::net::SocketAddr;
use std::time::Instant;

use crate::ready::Interest;
use crate::sim::listener::Listener;
use crate::sim::local::Local;
use crate::sim::name::Name;
use crate::sim::stream::Stream;
use crate::sim::udp::Udp;

/// When something is due, and its place among all that is due at the same time.
pub(crate) type Due = (Instant, u64);

/// A socket, as the network keeps it.
#[derive(Debug)]
pub(crate) struct Socket {
    /// Where its readiness goes.
    pub(crate) registration: Option<Registration>,
    pub(crate) told: Told,
    /// Its own address of IP, if it has one, and whether that stands in the table of addresses in its name.
    pub(crate) local: Option<SocketAddr>,
    pub(crate) owns_local: bool,
    pub(crate) remote: Option<SocketAddr>,
    /// The same for Unix.
    pub(crate) name: Option<Name>,
    pub(crate) owns_name: bool,
    pub(crate) remote_name: Option<Name>,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    /// A TCP socket that neither connects nor listens yet.
    Fresh {
        is_v4: bool,
    },
    Listener(Listener),
    Stream(Stream),
    Udp(Udp),
    Local(Local),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Registration {
    pub(crate) reactor: u64,
    pub(crate) token: usize,
    pub(crate) interest: Interest,
}

/// Does its reactor know that there is something to see?
#[derive(Debug, Clone, Copy)]
pub(crate) enum Told {
    No,
    /// It will be told then.
    Soon(Due),
    /// It stands in the reactor's queue.
    Yes,
}

impl Socket {
    pub(crate) fn new(kind: Kind) -> Socket {
        Socket {
            registration: None,
            told: Told::No,
            local: None,
            owns_local: false,
            remote: None,
            name: None,
            owns_name: false,
            remote_name: None,
            kind,
        }
    }
}
