//! A Unix datagram socket.

use std::collections::{BTreeSet, VecDeque};

use rustix::io::Errno;

use crate::sim::name::Name;
use crate::sim::readiness::Look;

/// The longest datagram: what fits into Linux's `net.core.wmem_default`, less what the kernel keeps for itself.
pub(crate) const LONGEST: usize = 212_960;

/// Datagrams that wait before senders have to: Linux's `net.unix.max_dgram_qlen` is 10, and lets in one more.
const CAPACITY: usize = 11;

/// Two that are connected to each other have the buffer alone as a limit: Linux's `net.core.wmem_default`, of which each
/// datagram takes 704 bytes more than it has.
const BUFFER: usize = 212_992;
const OVERHEAD: usize = 704;

#[derive(Debug, Default)]
pub(crate) struct Local {
    pub(crate) peer: Option<u64>,
    inbox: VecDeque<(Vec<u8>, Option<Name>)>,
    /// What `inbox` takes of the buffer.
    bytes: usize,
    /// Senders that found the inbox full.
    pub(crate) waiting: BTreeSet<u64>,
    pub(crate) read_ended: bool,
    pub(crate) write_ended: bool,
}

impl Local {
    /// Is there no room for a datagram of `sender`?
    pub(crate) fn is_full(&self, sender: u64) -> bool {
        self.bytes >= BUFFER || (self.inbox.len() >= CAPACITY && self.peer != Some(sender))
    }

    /// Whoever has a peer takes datagrams of that peer only.
    pub(crate) fn takes_from(&self, sender: u64) -> bool {
        self.peer.is_none_or(|peer| peer == sender)
    }

    pub(crate) fn receive(&mut self, data: Vec<u8>, source: Option<Name>) {
        self.bytes += data.len() + OVERHEAD;
        self.inbox.push_back((data, source));
    }

    /// The first datagram, which goes away if `take` says so. If there will be none any more, that is no news: as in Linux,
    /// where the socket is readable then, and has nothing to read.
    pub(crate) fn recv(&mut self, take: bool) -> Result<(Vec<u8>, Option<Name>), Errno> {
        if !take {
            return self.inbox.front().cloned().ok_or(Errno::WOULDBLOCK);
        }
        let first = self.inbox.pop_front().ok_or(Errno::WOULDBLOCK)?;
        self.bytes -= first.0.len() + OVERHEAD;
        Ok(first)
    }

    /// What a look sees, if the peer has room.
    pub(crate) fn look(&self, peer_has_room: bool) -> Look {
        Look {
            readable: !self.inbox.is_empty() || self.read_ended,
            writable: peer_has_room,
            ended: self.read_ended,
            hung_up: self.read_ended && self.write_ended,
            error: false,
        }
    }
}
