//! Task ids.

use std::cell::Cell;
use std::fmt;
use std::num::NonZeroU64;
// A plain counter that no protocol rests on: it is std's in every build.
use std::sync::atomic::{AtomicU64, Ordering};

/// An opaque number that tells a task from every other task of the process, ended ones included.
///
/// Ids say nothing about the order of spawning.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Id(NonZeroU64);

thread_local! {
    /// What the next id of this thread is made of; at the end of a block the block's end.
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

impl Id {
    /// Ids that a thread takes at a time, so that spawning does not meet on one counter.
    const BLOCK: u64 = 256;

    #[inline]
    pub(crate) fn next() -> Self {
        static NEXT_BLOCK: AtomicU64 = AtomicU64::new(0);
        NEXT.with(|next| {
            let mut id = next.get();
            if id % Self::BLOCK == 0 {
                // Relaxed: nothing but the number matters.
                id = NEXT_BLOCK.fetch_add(Self::BLOCK, Ordering::Relaxed);
            }
            next.set(id + 1);
            // The first number of all would be zero: ids start at one, so the whole block is shifted by one.
            Self(NonZeroU64::new(id + 1).unwrap_or(NonZeroU64::MIN))
        })
    }
}

impl Id {
    /// A number that grows by one with each id that this thread takes.
    #[inline]
    pub(crate) fn upcoming() -> u64 {
        NEXT.with(Cell::get)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({})", self.0)
    }
}
