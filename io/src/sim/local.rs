//! A Unix datagram socket.

use std::collections::{BTreeSet, VecDeque};

use rustix::io::Errno;

use crate::sim::name::Name;
use crate::sim::readiness::Look;

/// The longest datagram: what fits into Linux's `net.core.wmem_default`, less what the kernel keeps for itself.
pub(crate) const LONGEST: usize = 212_960;

/// Datagrams that wait before senders have to: Linux's `net.unix.max_dgram_qlen` is 10, and lets in one more.
const CAPACITY: usize = 11;

#[derive(Debug, Default)]
pub(crate) struct Local {
    pub(crate) peer: Option<u64>,
    inbox: VecDeque<(Vec<u8>, Option<Name>)>,
    /// Senders that found the inbox full.
    pub(crate) waiting: BTreeSet<u64>,
    pub(crate) read_ended: bool,
    pub(crate) write_ended: bool,
}

impl Local {
    pub(crate) fn is_full(&self) -> bool {
        self.inbox.len() >= CAPACITY
    }

    /// Whoever has a peer takes datagrams of that peer only.
    pub(crate) fn takes_from(&self, sender: u64) -> bool {
        self.peer.is_none_or(|peer| peer == sender)
    }

    pub(crate) fn receive(&mut self, data: Vec<u8>, source: Option<Name>) {
        self.inbox.push_back((data, source));
    }

    /// The first datagram, which goes away if `take` says so; an empty one if there will be no more.
    pub(crate) fn recv(&mut self, take: bool) -> Result<(Vec<u8>, Option<Name>), Errno> {
        let first = if take {
            self.inbox.pop_front()
        } else {
            self.inbox.front().cloned()
        };
        match first {
            Some(first) => Ok(first),
            None if self.read_ended => Ok((Vec::new(), None)),
            None => Err(Errno::WOULDBLOCK),
        }
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
