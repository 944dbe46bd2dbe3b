//! What a task may wait for ([`Interest`]) and what a source is ready for ([`Ready`]).

use std::fmt;
use std::ops::{BitAnd, BitAndAssign, BitOr, BitOrAssign, Sub};

const READABLE: u8 = 1;
const WRITABLE: u8 = 1 << 1;
const READ_CLOSED: u8 = 1 << 2;
const WRITE_CLOSED: u8 = 1 << 3;
const PRIORITY: u8 = 1 << 4;
const ERROR: u8 = 1 << 5;

/// The kinds of readiness that somebody waits for.
///
/// Combine them with `|`: `Interest::READABLE | Interest::WRITABLE`. An interest is never empty.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Interest(u8);

impl Interest {
    /// Something can be read, or the reading direction is closed.
    pub const READABLE: Interest = Interest(READABLE);
    /// Something can be written, or the writing direction is closed.
    pub const WRITABLE: Interest = Interest(WRITABLE);
    /// Something urgent can be read (`EPOLLPRI`; Linux and Android only, elsewhere it never comes).
    pub const PRIORITY: Interest = Interest(PRIORITY);
    /// The source reports an error.
    pub const ERROR: Interest = Interest(ERROR);

    /// Does it include reading?
    pub const fn is_readable(self) -> bool {
        self.0 & READABLE != 0
    }

    /// Does it include writing?
    pub const fn is_writable(self) -> bool {
        self.0 & WRITABLE != 0
    }

    /// Does it include urgent data?
    pub const fn is_priority(self) -> bool {
        self.0 & PRIORITY != 0
    }

    /// Does it include errors?
    pub const fn is_error(self) -> bool {
        self.0 & ERROR != 0
    }

    /// Both together; the same as `|`, for constants.
    #[must_use = "this gives the sum and changes nothing"]
    pub const fn add(self, other: Interest) -> Interest {
        Interest(self.0 | other.0)
    }

    /// What is left of this interest without `other`, or `None` if that is nothing.
    #[must_use = "this gives the rest and changes nothing"]
    pub fn remove(self, other: Interest) -> Option<Interest> {
        let rest = self.0 & !other.0;
        (rest != 0).then_some(Interest(rest))
    }

    /// The readiness that satisfies this interest.
    pub(crate) fn satisfied_by(self) -> Ready {
        let mut bits = self.0;
        if bits & (READABLE | PRIORITY) != 0 {
            bits |= READ_CLOSED;
        }
        if bits & WRITABLE != 0 {
            bits |= WRITE_CLOSED;
        }
        Ready(bits)
    }
}

impl BitOr for Interest {
    type Output = Interest;

    fn bitor(self, other: Interest) -> Interest {
        self.add(other)
    }
}

impl BitOrAssign for Interest {
    fn bitor_assign(&mut self, other: Interest) {
        *self = *self | other;
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_names(self.0, f)
    }
}

/// What a source was last known to be ready for.
///
/// It is a hint: an operation may still find that it would block, because somebody else was faster.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ready(u8);

impl Ready {
    /// Ready for nothing.
    pub const EMPTY: Ready = Ready(0);
    /// Something can be read.
    pub const READABLE: Ready = Ready(READABLE);
    /// Something can be written.
    pub const WRITABLE: Ready = Ready(WRITABLE);
    /// Nothing more will arrive: the peer closed its writing direction, or the connection is gone.
    pub const READ_CLOSED: Ready = Ready(READ_CLOSED);
    /// Nothing more can be sent.
    pub const WRITE_CLOSED: Ready = Ready(WRITE_CLOSED);
    /// Something urgent can be read.
    pub const PRIORITY: Ready = Ready(PRIORITY);
    /// The source reports an error.
    pub const ERROR: Ready = Ready(ERROR);
    /// Everything.
    pub const ALL: Ready = Ready(READABLE | WRITABLE | READ_CLOSED | WRITE_CLOSED | PRIORITY | ERROR);

    /// Bits that stay once they are set: there is no way back from closed.
    pub(crate) const CLOSED: Ready = Ready(READ_CLOSED | WRITE_CLOSED);

    /// Ready for nothing?
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Would a read find data, or the end of it?
    pub fn is_readable(self) -> bool {
        self.0 & (READABLE | READ_CLOSED) != 0
    }

    /// Would a write find room, or an error?
    pub fn is_writable(self) -> bool {
        self.0 & (WRITABLE | WRITE_CLOSED) != 0
    }

    /// Is the reading direction closed?
    pub fn is_read_closed(self) -> bool {
        self.0 & READ_CLOSED != 0
    }

    /// Is the writing direction closed?
    pub fn is_write_closed(self) -> bool {
        self.0 & WRITE_CLOSED != 0
    }

    /// Is there something urgent to read?
    pub fn is_priority(self) -> bool {
        self.0 & PRIORITY != 0
    }

    /// Does the source report an error?
    pub fn is_error(self) -> bool {
        self.0 & ERROR != 0
    }

    /// The bits, as they stand in a source's word.
    pub(crate) const fn bits(self) -> usize {
        self.0 as usize
    }

    /// Readiness from the bits of a source's word; other bits are left out.
    pub(crate) const fn from_bits(bits: usize) -> Ready {
        Ready((bits & Ready::ALL.bits()) as u8)
    }
}

impl BitOr for Ready {
    type Output = Ready;

    fn bitor(self, other: Ready) -> Ready {
        Ready(self.0 | other.0)
    }
}

impl BitOrAssign for Ready {
    fn bitor_assign(&mut self, other: Ready) {
        self.0 |= other.0;
    }
}

impl BitAnd for Ready {
    type Output = Ready;

    fn bitand(self, other: Ready) -> Ready {
        Ready(self.0 & other.0)
    }
}

impl BitAndAssign for Ready {
    fn bitand_assign(&mut self, other: Ready) {
        self.0 &= other.0;
    }
}

impl Sub for Ready {
    type Output = Ready;

    fn sub(self, other: Ready) -> Ready {
        Ready(self.0 & !other.0)
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_names(self.0, f)
    }
}

fn write_names(bits: u8, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let names = [
        (READABLE, "READABLE"),
        (WRITABLE, "WRITABLE"),
        (READ_CLOSED, "READ_CLOSED"),
        (WRITE_CLOSED, "WRITE_CLOSED"),
        (PRIORITY, "PRIORITY"),
        (ERROR, "ERROR"),
    ];
    let mut separator = "";
    for (bit, name) in names {
        if bits & bit != 0 {
            write!(f, "{separator}{name}")?;
            separator = " | ";
        }
    }
    if bits == 0 { f.write_str("EMPTY") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interest_is_satisfied_by_its_closed_direction() {
        assert_eq!(Interest::READABLE.satisfied_by(), Ready::READABLE | Ready::READ_CLOSED);
        assert_eq!(Interest::WRITABLE.satisfied_by(), Ready::WRITABLE | Ready::WRITE_CLOSED);
        assert_eq!(Interest::ERROR.satisfied_by(), Ready::ERROR);
    }

    #[test]
    fn removing_the_last_part_leaves_nothing() {
        let both = Interest::READABLE | Interest::WRITABLE;
        assert_eq!(both.remove(Interest::WRITABLE), Some(Interest::READABLE));
        assert_eq!(Interest::READABLE.remove(both), None);
    }

    #[test]
    fn names() {
        assert_eq!(format!("{:?}", Ready::EMPTY), "EMPTY");
        assert_eq!(
            format!("{:?}", Ready::READABLE | Ready::READ_CLOSED),
            "READABLE | READ_CLOSED"
        );
    }
}
