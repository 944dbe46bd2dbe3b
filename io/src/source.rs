//! One source's readiness, and who waits for it.
//!
//! # The word
//!
//! Readiness is one atomic word, so that the path of an operation that is ready takes no lock:
//!
//! | bits | meaning |
//! |---|---|
//! | 0-5 | the [`Ready`] bits. Set by the reactor, cleared by the operation that met `WouldBlock` |
//! | 6 | `SHUTDOWN`: the reactor is gone, no bit will ever be set again. Never cleared |
//! | 8.. | the tick: counted up with every event, so that clearing can tell whether it clears what it saw |
//!
//! Rule 1: an operation looks at the word *before* its system call and clears with the tick it saw. If an event came in
//! between, the tick differs and nothing is cleared: the worst case is one more system call.
//!
//! Rule 2: closed directions stay. There is no way back from them, and no further edge would announce them.
//!
//! # The waiters
//!
//! Rule 3: whoever waits stores its waker under the lock and then looks at the word again, under the same lock. The
//! reactor sets the word first and takes the wakers under the lock afterwards. So either the reactor's lock section
//! comes later and takes the waker, or it came earlier and the second look sees its bits: no wake is lost.
//!
//! Rule 4: no waker is cloned, dropped or woken under the lock; wakers run foreign code.

use std::any::Any;
use std::task::Waker;

use crate::ready::{Interest, Ready};
use crate::sync::{AtomicUsize, Bug, Mutex, Ordering, seeded};

const SHUTDOWN: usize = 1 << 6;
const TICK_SHIFT: u32 = 8;
const TICK_ONE: usize = 1 << TICK_SHIFT;

/// What kind of source it is, as far as readiness cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A byte stream whose short reads and writes prove that the buffer is empty, or full. That is TCP. A Unix stream
    /// is not: a read stops early behind a message that carried file descriptors, though more data waits. Nor is TCP
    /// with TLS in the kernel, where a read stops at the end of a record.
    Stream,
    /// Datagrams. Errors belong to single datagrams and pass, so nothing is ever closed for good.
    Datagram,
    /// Anything else.
    Other,
}

/// Where a source came from, as the runtime remembers it: it is handed back when the source outlives the runtime.
pub type Origin = Box<dyn Any + Send>;

/// Whose waiter it is: a name within one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(u32);

impl Key {
    /// The one waiter of the `poll_read...` functions.
    pub(crate) const READER: Key = Key(0);
    /// The one waiter of the `poll_write...` functions.
    pub(crate) const WRITER: Key = Key(1);
    const FIRST_OF_FUTURES: u32 = 2;
}

/// What a look at a source saw.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// The bits that satisfy the interest of whoever looked.
    pub(crate) ready: Ready,
    /// The reactor is gone.
    pub(crate) shutdown: bool,
    tick: usize,
}

impl Seen {
    /// May an operation be tried? After shutdown always: its own answer is then the only news there is.
    pub(crate) fn may_try(&self) -> bool {
        !self.ready.is_empty() || self.shutdown
    }

    /// The same look at `ready` alone.
    #[allow(dead_code, reason = "sockets use it, and the model build has none")]
    pub(crate) fn only(&self, ready: Ready) -> Seen {
        Seen {
            ready: self.ready & ready,
            ..*self
        }
    }
}

pub(crate) struct Source {
    word: AtomicUsize,
    kind: Kind,
    waiters: Mutex<Waiters>,
}

struct Waiters {
    /// The first waiter that wants to read only, and the first that wants to write only: no allocation for these.
    reader: Option<Waiter>,
    writer: Option<Waiter>,
    /// All others.
    more: Vec<Waiter>,
    last_key: u32,
}

struct Waiter {
    waker: Waker,
    key: Key,
    wants: Ready,
}

impl Source {
    pub(crate) fn new(kind: Kind) -> Source {
        let waiters = Waiters {
            reader: None,
            writer: None,
            more: Vec::new(),
            last_key: Key::FIRST_OF_FUTURES,
        };
        Source {
            word: AtomicUsize::new(0),
            kind,
            waiters: Mutex::new(waiters),
        }
    }

    /// Does a read or write that moved less than it could prove that there is no more?
    ///
    /// A TCP read stops early in front of urgent data too. A stream that ever got some is tried until `WouldBlock`.
    #[inline]
    pub(crate) fn short_is_all(&self) -> bool {
        self.kind == Kind::Stream && self.look(Interest::PRIORITY).ready - Ready::CLOSED == Ready::EMPTY
    }

    /// What it is ready for now.
    #[inline]
    pub(crate) fn look(&self, interest: Interest) -> Seen {
        // Acquire: matches the Release in `set`, so what the reactor did before is visible.
        let word = self.word.load(Ordering::Acquire);
        Seen {
            ready: Ready::from_bits(word) & interest.satisfied_by(),
            shutdown: word & SHUTDOWN != 0,
            tick: word >> TICK_SHIFT,
        }
    }

    /// Takes back what `seen` saw, because the operation after it found nothing, unless an event came since.
    pub(crate) fn clear(&self, seen: Seen) {
        let mut gone = seen.ready;
        if !seeded(Bug::ClearRemovesClosed) {
            gone = gone - Ready::CLOSED;
        }
        let mut word = self.word.load(Ordering::Relaxed);
        while word >> TICK_SHIFT == seen.tick || seeded(Bug::ClearIgnoresTick) {
            // Relaxed: clearing publishes nothing; a later `look` pairs with the reactor's `set`, and every exchange
            // here continues the release sequence of that `set`.
            match self
                .word
                .compare_exchange_weak(word, word & !gone.bits(), Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(current) => word = current,
            }
        }
    }

    /// The reactor's half: notes an event and hands over the wakers of those who wait for it.
    pub(crate) fn set(&self, ready: Ready, woken: &mut Vec<Waker>) {
        let ready = self.meaning(ready);
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let next = (word | ready.bits()).wrapping_add(TICK_ONE);
            // Release: matches the Acquire in `look`.
            match self
                .word
                .compare_exchange_weak(word, next, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => break,
                Err(current) => word = current,
            }
        }
        self.waiters.lock().take(ready, woken);
    }

    /// The reactor's half: no event will ever come again; everybody is woken to be told so.
    pub(crate) fn shut_down(&self, woken: &mut Vec<Waker>) {
        // Relaxed: nothing was done before that whoever sees the bit has to see; for those who wait the lock orders it (rule 3). As an
        // exchange it goes on with the release sequence of the `set` before.
        self.word.fetch_or(SHUTDOWN, Ordering::Relaxed);
        if !seeded(Bug::ShutdownWakesNobody) {
            self.waiters.lock().take(Ready::ALL, woken);
        }
    }

    /// Waits: stores `waker` as the waiter `key` until an event for `interest` comes, and gives `None`. If one came
    /// already, nothing is stored and that is the answer.
    pub(crate) fn wait(&self, key: Key, interest: Interest, waker: &Waker) -> Option<Seen> {
        let waiter = Waiter {
            waker: waker.clone(),
            key,
            wants: interest.satisfied_by(),
        };
        let mut waiters = self.waiters.lock();
        let replaced = waiters.put(waiter);
        // Rule 3: the second look.
        let seen = self.look(interest);
        let (removed, answer) = if seen.may_try() && !seeded(Bug::WaitWithoutRecheck) {
            (waiters.remove(key), Some(seen))
        } else {
            (None, None)
        };
        drop(waiters);
        drop((replaced, removed));
        answer
    }

    /// A name for a future that is going to wait.
    pub(crate) fn new_key(&self) -> Key {
        self.waiters.lock().new_key()
    }

    /// The waiter `key` does not wait any more.
    pub(crate) fn forget(&self, key: Key) {
        let removed = self.waiters.lock().remove(key);
        drop(removed);
    }

    /// How many wait. For tests.
    pub(crate) fn waiting(&self) -> usize {
        let waiters = self.waiters.lock();
        waiters.reader.iter().count() + waiters.writer.iter().count() + waiters.more.len()
    }

    /// What an event means for this kind of source.
    fn meaning(&self, ready: Ready) -> Ready {
        let mut meaning = ready;
        if self.kind == Kind::Datagram {
            // A refused datagram is reported as an error and as closed: let both directions look, and close nothing.
            if !(ready & (Ready::ERROR | Ready::CLOSED)).is_empty() {
                meaning |= Ready::READABLE | Ready::WRITABLE;
            }
            meaning = meaning - Ready::CLOSED;
        }
        meaning
    }
}

impl Waiters {
    /// Stores a waiter; the one it replaces is given back, to be dropped after the lock.
    fn put(&mut self, waiter: Waiter) -> Option<Waiter> {
        if let Some(old) = self.find(waiter.key) {
            return Some(std::mem::replace(old, waiter));
        }
        let slot = if waiter.wants == Interest::READABLE.satisfied_by() {
            &mut self.reader
        } else {
            &mut self.writer
        };
        let fits =
            waiter.wants == Interest::READABLE.satisfied_by() || waiter.wants == Interest::WRITABLE.satisfied_by();
        if fits && slot.is_none() {
            *slot = Some(waiter);
        } else {
            self.more.push(waiter);
        }
        None
    }

    fn find(&mut self, key: Key) -> Option<&mut Waiter> {
        let all = self.reader.iter_mut().chain(&mut self.writer).chain(&mut self.more);
        all.into_iter().find(|waiter| waiter.key == key)
    }

    fn remove(&mut self, key: Key) -> Option<Waiter> {
        let slot = [&mut self.reader, &mut self.writer].into_iter();
        let mut slot = slot.filter(|slot| slot.as_ref().is_some_and(|waiter| waiter.key == key));
        if let Some(slot) = slot.next() {
            return slot.take();
        }
        let index = self.more.iter().position(|waiter| waiter.key == key)?;
        Some(self.more.swap_remove(index))
    }

    /// Moves the wakers of all who want any of `ready` to `woken`.
    fn take(&mut self, ready: Ready, woken: &mut Vec<Waker>) {
        for slot in [&mut self.reader, &mut self.writer] {
            if slot.as_ref().is_some_and(|waiter| waiter.wants_any(ready)) {
                woken.extend(slot.take().map(|waiter| waiter.waker));
            }
        }
        let mut index = 0;
        while index < self.more.len() {
            if self.more[index].wants_any(ready) {
                woken.push(self.more.swap_remove(index).waker);
            } else {
                index += 1;
            }
        }
    }

    fn new_key(&mut self) -> Key {
        loop {
            self.last_key = self.last_key.wrapping_add(1).max(Key::FIRST_OF_FUTURES);
            let key = Key(self.last_key);
            // After four thousand million waits somebody may still wait under an old name.
            if self.find(key).is_none() {
                return key;
            }
        }
    }
}

impl Waiter {
    fn wants_any(&self, ready: Ready) -> bool {
        !(self.wants & ready).is_empty()
    }
}
