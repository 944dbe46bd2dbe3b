//! One end of a stream: its buffers, and what read, write and readiness make of them. It knows no other end.
//!
//! # The life of an end
//!
//! | | begins | goes on |
//! |---|---|---|
//! | `Connecting` | by connecting | `SynAck`: `Open`. `Reset`: closed, with the error "refused" |
//! | `HalfOpen` | when a listener gets a `Syn` | `Ack`: `Queued`. `Reset`: it is gone |
//! | `Queued` | | accepted: `Open` |
//! | `Open` | a pair begins here | |
//!
//! # The buffer
//!
//! Rule 1: there is one buffer for each direction, of [`CAPACITY`] bytes. What was written and not read, under way or
//! arrived, is in it. `credit` is how much of it the writer may still fill.
//!
//! Rule 2: what is read frees room that the writer does not know of yet: `owed`. It is told in one message when a quarter
//! of the buffer is owed, and that message travels like any other. So a writer that waits for a third of the buffer is
//! always told in the end: if it has less, and all was read, then two thirds are owed.
//!
//! Rule 3: errors are noted at the socket, and taken by whoever meets them first, as in Linux.

use std::collections::VecDeque;
use std::time::Instant;

use rustix::io::Errno;

use crate::sim::readiness::Look;

/// The bytes that one direction holds.
pub(crate) const CAPACITY: usize = 64 * 1024;

/// Free room from which on a writer is told that it can write: Linux wants a third.
const WRITABLE: usize = CAPACITY / 3;

/// Freed room from which on the writer hears of it.
const WORTH_TELLING: usize = CAPACITY / 4;

/// What travels to an end.
#[derive(Debug)]
pub(crate) enum Segment {
    /// The listener's end answers the one that connects.
    SynAck,
    /// The end that connected has seen the answer.
    Ack,
    Data(Vec<u8>),
    /// No more data will come.
    Fin,
    /// The connection is gone.
    Reset,
    /// So much room is free again.
    Window(usize),
    /// A Unix peer is gone; did it leave data unread?
    Gone {
        unread: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Connecting,
    HalfOpen { listener: u64 },
    Queued,
    Open,
}

#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) phase: Phase,
    /// TCP, with its rules of errors, or Unix?
    pub(crate) is_tcp: bool,
    /// The other end, once it exists. It may have gone since.
    pub(crate) peer: Option<u64>,
    /// What is under way to this end, with when it arrives and its place among all that is under way.
    pub(crate) arriving: VecDeque<(Instant, u64, Segment)>,
    /// The first of `arriving` met a partition: all of it waits for the repair.
    pub(crate) held: bool,
    /// A message to a peer that is gone is under way; what comes back is a reset.
    pub(crate) answered_by_reset: bool,
    unread: VecDeque<u8>,
    owed: usize,
    credit: usize,
    /// The writer met the end of the room, and wants to know when there is some.
    wants_room: bool,
    /// Nothing more arrives after `unread`.
    pub(crate) read_ended: bool,
    /// This end has closed its writing direction.
    pub(crate) write_ended: bool,
    /// Reset, refused, or the Unix peer is gone: nothing goes either way.
    pub(crate) closed: bool,
    pub(crate) error: Option<Errno>,
}

impl Stream {
    pub(crate) fn new(is_tcp: bool, phase: Phase, peer: Option<u64>) -> Stream {
        Stream {
            phase,
            is_tcp,
            peer,
            arriving: VecDeque::new(),
            held: false,
            answered_by_reset: false,
            unread: VecDeque::new(),
            owed: 0,
            credit: CAPACITY,
            wants_room: false,
            read_ended: false,
            write_ended: false,
            closed: false,
            error: None,
        }
    }

    pub(crate) fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// When the first of what is under way arrives.
    pub(crate) fn first_arrival(&self) -> Option<(Instant, u64)> {
        self.arriving.front().map(|(time, order, _)| (*time, *order))
    }

    /// Data arrived.
    pub(crate) fn receive(&mut self, data: &[u8]) {
        self.unread.extend(data);
    }

    /// Room was freed at the other end. Does the writer wait for it, and is it enough?
    #[must_use = "the writer must be told"]
    pub(crate) fn receive_room(&mut self, room: usize) -> bool {
        self.credit += room;
        let tell = self.wants_room && self.credit >= WRITABLE;
        self.wants_room &= !tell;
        tell
    }

    /// The connection is gone.
    pub(crate) fn receive_reset(&mut self) {
        self.error = Some(match (self.phase, self.read_ended) {
            (Phase::Connecting, _) => Errno::CONNREFUSED,
            (_, true) => Errno::PIPE,
            (_, false) => Errno::CONNRESET,
        });
        self.closed = true;
    }

    /// The Unix peer is gone.
    pub(crate) fn receive_gone(&mut self, unread: bool) {
        self.error = unread.then_some(Errno::CONNRESET);
        self.read_ended = true;
        self.closed = true;
    }

    /// How many of `bytes` can be read now; zero is the end.
    pub(crate) fn readable(&mut self, bytes: usize) -> Result<usize, Errno> {
        // TCP finds the end first, a Unix stream the error.
        let end_first = self.is_tcp && self.read_ended;
        if self.unread.is_empty() && !end_first {
            if let Some(error) = self.error.take() {
                return Err(error);
            }
            if !self.read_ended && !self.closed {
                return Err(Errno::WOULDBLOCK);
            }
        }
        Ok(bytes.min(self.unread.len()))
    }

    /// Copies the first `bytes` of what arrived, which are there.
    pub(crate) fn peek(&self, bytes: usize, mut copy: impl FnMut(&[u8])) {
        let (front, back) = self.unread.as_slices();
        let from_front = bytes.min(front.len());
        copy(&front[..from_front]);
        copy(&back[..bytes - from_front]);
    }

    /// Reads `bytes` of what arrived, which are there. If the writer should hear of the room now, it gives how much it is.
    #[must_use = "the writer must be told"]
    pub(crate) fn read(&mut self, bytes: usize, copy: impl FnMut(&[u8])) -> Option<usize> {
        self.peek(bytes, copy);
        self.unread.drain(..bytes);
        self.owed += bytes;
        (self.owed >= WORTH_TELLING).then(|| std::mem::take(&mut self.owed))
    }

    /// How many of `bytes` can be written now.
    pub(crate) fn writable(&mut self, bytes: usize) -> Result<usize, Errno> {
        if self.phase == Phase::Connecting && !self.closed {
            return Err(Errno::WOULDBLOCK);
        }
        // A Unix stream leaves its error to the reader.
        let error = if self.is_tcp { self.error.take() } else { None };
        if error.is_some() || self.write_ended || self.closed {
            return Err(error.unwrap_or(Errno::PIPE));
        }
        self.wants_room |= self.credit < bytes;
        match self.credit.min(bytes) {
            0 if bytes > 0 => Err(Errno::WOULDBLOCK),
            room => Ok(room),
        }
    }

    /// So many bytes, for which there was room, are sent.
    pub(crate) fn write(&mut self, bytes: usize) {
        self.credit -= bytes;
    }

    pub(crate) fn look(&self) -> Look {
        if self.phase == Phase::Connecting && !self.closed {
            return Look::default();
        }
        let ended = self.read_ended || self.closed;
        let write_ended = self.write_ended || self.closed;
        Look {
            readable: !self.unread.is_empty() || ended,
            writable: write_ended || self.credit >= WRITABLE,
            ended,
            hung_up: ended && write_ended,
            error: self.error.is_some(),
        }
    }

    /// Somebody was told that there is no room: he wants to hear when there is.
    pub(crate) fn note_no_room(&mut self) {
        self.wants_room = true;
    }

    /// All is thrown away, and both directions are closed.
    pub(crate) fn wreck(&mut self, error: Errno) {
        self.arriving.clear();
        self.held = false;
        self.unread.clear();
        self.error = Some(error);
        self.closed = true;
    }
}
