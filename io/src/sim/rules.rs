//! What the network does to what passes through it: the knobs, and who is cut off from whom.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use crate::sim::random::Random;

/// The knobs. All are off in the beginning.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) latency: (Duration, Duration),
    pub(crate) short_io: f64,
    pub(crate) readiness_delay: Duration,
    pub(crate) loss: f64,
    /// Pairs between which nothing passes, the smaller address first.
    cut: BTreeSet<(IpAddr, IpAddr)>,
}

impl Rules {
    /// How long the next segment or datagram is under way.
    pub(crate) fn draw_latency(&self, random: &mut Random) -> Duration {
        random.between(self.latency.0, self.latency.1)
    }

    /// How many of `bytes` an operation on a stream moves: all, or now and then a part, at least one.
    pub(crate) fn draw_part(&self, random: &mut Random, bytes: usize) -> usize {
        if bytes > 1 && random.chance(self.short_io) {
            1 + random.below(bytes as u64 - 1) as usize
        } else {
            bytes
        }
    }

    pub(crate) fn cut(&mut self, a: IpAddr, b: IpAddr) {
        self.cut.insert((a.min(b), a.max(b)));
    }

    pub(crate) fn mend(&mut self, a: IpAddr, b: IpAddr) {
        self.cut.remove(&(a.min(b), a.max(b)));
    }

    pub(crate) fn is_cut(&self, a: IpAddr, b: IpAddr) -> bool {
        self.cut.contains(&(a.min(b), a.max(b)))
    }
}
