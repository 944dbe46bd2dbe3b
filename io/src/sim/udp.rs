//! A UDP socket.

use std::collections::VecDeque;
use std::net::SocketAddr;

use rustix::io::Errno;

use crate::sim::readiness::Look;

/// The longest datagram: 65,535 bytes less the headers of UDP and IPv4.
pub(crate) const LONGEST: usize = 65_507;

/// Bytes that wait to be received; what comes beyond is lost. Linux's `net.core.rmem_default`.
const CAPACITY: usize = 212_992;

#[derive(Debug, Default)]
pub(crate) struct Udp {
    inbox: VecDeque<(Vec<u8>, SocketAddr)>,
    bytes: usize,
    pub(crate) error: Option<Errno>,
}

impl Udp {
    /// A datagram arrived. Is there room for it?
    #[must_use = "if there is none, the datagram is lost and nobody is told"]
    pub(crate) fn receive(&mut self, data: Vec<u8>, source: SocketAddr) -> bool {
        let fits = self.bytes + data.len() <= CAPACITY;
        if fits {
            self.bytes += data.len();
            self.inbox.push_back((data, source));
        }
        fits
    }

    /// The first datagram, which goes away if `take` says so.
    pub(crate) fn recv(&mut self, take: bool) -> Result<(Vec<u8>, SocketAddr), Errno> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        if take {
            let (data, source) = self.inbox.pop_front().ok_or(Errno::WOULDBLOCK)?;
            self.bytes -= data.len();
            Ok((data, source))
        } else {
            self.inbox.front().cloned().ok_or(Errno::WOULDBLOCK)
        }
    }

    pub(crate) fn look(&self) -> Look {
        Look {
            readable: !self.inbox.is_empty(),
            writable: true,
            error: self.error.is_some(),
            ..Look::default()
        }
    }
}
