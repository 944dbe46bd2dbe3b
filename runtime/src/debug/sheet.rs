//! One sheet of paper on which a thread, stopped by a signal, writes its own return addresses for somebody else.
//!
//! The word `state` holds one of these, with a number beside it:
//!
//! | state | number | who moves it on |
//! |---|---|---|
//! | IDLE | | who asks: to ASKED |
//! | ASKED | the thread that is asked | that thread: to WRITING; or who asked gives up: to IDLE |
//! | WRITING | the thread | that thread: to DONE |
//! | DONE | how many addresses there are | who asks reads them: to IDLE; or asks anew, if they came too late |
//!
//! The addresses belong to the thread while WRITING, and to whoever asks in all other states. Whoever asks does so alone: it holds a lock. The thread that is asked is inside a signal's
//! handler: it waits for nothing and allocates nothing.

use crate::shim::{AtomicUsize, Bug, Ordering, seeded};

const IDLE: usize = 0;
const ASKED: usize = 1;
const WRITING: usize = 2;
const DONE: usize = 3;

/// Bits of the state's name.
const BITS: u32 = 2;

const fn word(state: usize, number: usize) -> usize {
    state | number << BITS
}

pub(crate) struct Sheet {
    state: AtomicUsize,
    addresses: Box<[AtomicUsize]>,
}

impl Sheet {
    pub(crate) fn new(addresses: usize) -> Self {
        Self {
            state: AtomicUsize::new(IDLE),
            addresses: (0..addresses).map(|_| AtomicUsize::new(0)).collect(),
        }
    }

    /// Asks a thread, which is then to be sent the signal. False if the one that was asked before is still writing.
    pub(crate) fn ask(&self, thread: usize) -> bool {
        // Relaxed, both: only the one who asks comes here, and the signal follows, which no thread handles before it was sent.
        let before = self.state.load(Ordering::Relaxed);
        if before & WRITING != 0 && before & DONE != DONE {
            return false;
        }
        self.state.store(word(ASKED, thread), Ordering::Relaxed);
        true
    }

    /// The signal has come to `thread`. True if it is asked: then it writes, and [finishes](Self::finish).
    pub(crate) fn begin(&self, thread: usize) -> bool {
        // Relaxed: what is written now is read behind `finish`.
        self.state
            .compare_exchange(
                word(ASKED, thread),
                word(WRITING, thread),
                Ordering::Relaxed,
                Ordering::Relaxed,
            )
            .is_ok()
    }

    /// Writes an address in its place. False if there is no place for the next one.
    pub(crate) fn write(&self, place: usize, address: usize) -> bool {
        if let Some(slot) = self.addresses.get(place) {
            slot.store(address, Ordering::Relaxed);
        }
        place + 1 < self.addresses.len()
    }

    /// So many addresses were written.
    pub(crate) fn finish(&self, count: usize) {
        // Release: the addresses; matches the Acquire in `collect`.
        self.state.store(word(DONE, count), Ordering::Release);
    }

    /// What was written, if it is there.
    pub(crate) fn collect(&self) -> Option<Vec<usize>> {
        // Acquire: matches the Release in `finish`.
        let state = self.state.load(Ordering::Acquire);
        if state & DONE != DONE {
            return None;
        }
        let count = state >> BITS;
        let addresses = self.addresses.iter().take(count);
        let addresses = addresses.map(|slot| slot.load(Ordering::Relaxed)).collect();
        self.state.store(IDLE, Ordering::Relaxed);
        Some(addresses)
    }

    /// Asks no more. False if the thread has begun to write: it will be done in a moment.
    pub(crate) fn give_up(&self, thread: usize) -> bool {
        if seeded(Bug::GivesUpBlindly) {
            self.state.store(IDLE, Ordering::Relaxed);
            return true;
        }
        self.state
            .compare_exchange(word(ASKED, thread), IDLE, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
}
