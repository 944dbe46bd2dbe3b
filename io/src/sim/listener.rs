//! A listener: who waits to be accepted, and who waits to be let in.

use std::collections::{BTreeSet, VecDeque};

use crate::sim::readiness::Look;

/// More than so many never wait to be accepted, whatever was asked for: Linux's `net.core.somaxconn`.
const LONGEST_BACKLOG: usize = 4096;

#[derive(Debug)]
pub(crate) struct Listener {
    backlog: usize,
    /// Ends that can be accepted.
    pub(crate) queue: VecDeque<u64>,
    /// Ends that were answered and have not heard of the other end again. They count in the backlog.
    pub(crate) half_open: BTreeSet<u64>,
    /// Those that connect and found the backlog full. In Linux they would knock again every second or so.
    pub(crate) knocking: VecDeque<u64>,
}

impl Listener {
    pub(crate) fn new(backlog: usize) -> Listener {
        Listener {
            backlog: backlog.min(LONGEST_BACKLOG),
            queue: VecDeque::new(),
            half_open: BTreeSet::new(),
            knocking: VecDeque::new(),
        }
    }

    /// Nobody more is let in? Linux lets in one more than it was told.
    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() + self.half_open.len() > self.backlog
    }

    pub(crate) fn look(&self) -> Look {
        Look {
            readable: !self.queue.is_empty(),
            ..Look::default()
        }
    }
}
