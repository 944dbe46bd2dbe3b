//! A Unix datagram socket.

use std::collections::{BTreeSet, VecDeque};

use rustix::io::Errno;

use crate::sim::name::Name;
use crate::sim::readiness::Look;

/// The longest datagram: what fits into Linux's `net.core.wmem_default`, less what the kernel keeps for itself.
pub(crate) const LONGEST: usize = 212_960;

/// Datagrams that wait before senders have to: Linux's `net.unix.max_dgram_qlen` is 10, and lets in one more.
const CAPACITY: usize = 11;

/// Two that are connected to each other, and who sends to himself, have the buffer alone as a limit: Linux's `net.core.wmem_default`, of which each
/// datagram takes 704 bytes more than it has.
const BUFFER: usize = 212_992;
const OVERHEAD: usize = 704;

/// A datagram that waits to be received.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) data: Vec<u8>,
    /// The sender's name, if it had one.
    pub(crate) source: Option<Name>,
    pub(crate) sender: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Local {
    pub(crate) peer: Option<u64>,
    inbox: VecDeque<Letter>,
    /// What `inbox` takes of the buffer.
    bytes: usize,
    /// Senders that found the inbox full.
    waiting: BTreeSet<u64>,
    pub(crate) read_ended: bool,
    pub(crate) write_ended: bool,
    pub(crate) error: Option<Errno>,
}

impl Local {
    /// Is there no room in the socket `id` for a datagram of `sender`?
    pub(crate) fn is_full(&self, id: u64, sender: u64) -> bool {
        let is_limited = self.peer != Some(sender) && id != sender;
        self.bytes >= BUFFER || (is_limited && self.inbox.len() >= CAPACITY)
    }

    /// Whoever has a peer takes datagrams of that peer only.
    pub(crate) fn takes_from(&self, sender: u64) -> bool {
        self.peer.is_none_or(|peer| peer == sender)
    }

    pub(crate) fn receive(&mut self, letter: Letter) {
        self.bytes += letter.data.len() + OVERHEAD;
        self.inbox.push_back(letter);
    }

    /// A sender found the inbox full.
    pub(crate) fn keep_waiting(&mut self, sender: u64) {
        self.waiting.insert(sender);
    }

    /// Who found the inbox full; they wait no more.
    pub(crate) fn take_waiting(&mut self) -> BTreeSet<u64> {
        std::mem::take(&mut self.waiting)
    }

    /// Throws away what was never received, and says whose it was.
    pub(crate) fn purge(&mut self) -> BTreeSet<u64> {
        self.bytes = 0;
        self.inbox.drain(..).map(|letter| letter.sender).collect()
    }

    /// The first datagram, which goes away if `take` says so. If there will be none any more, that is no news: as in Linux,
    /// where the socket is readable then, and has nothing to read.
    pub(crate) fn recv(&mut self, take: bool) -> Result<Letter, Errno> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        if !take {
            return self.inbox.front().cloned().ok_or(Errno::WOULDBLOCK);
        }
        let first = self.inbox.pop_front().ok_or(Errno::WOULDBLOCK)?;
        self.bytes -= first.data.len() + OVERHEAD;
        Ok(first)
    }

    /// What a look sees, if the peer has room.
    pub(crate) fn look(&self, peer_has_room: bool) -> Look {
        Look {
            readable: !self.inbox.is_empty() || self.read_ended,
            writable: peer_has_room,
            ended: self.read_ended,
            hung_up: self.read_ended && self.write_ended,
            error: self.error.is_some(),
        }
    }
}
