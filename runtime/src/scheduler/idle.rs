//! Who sleeps, who searches, and who is woken.
//!
//! ```text
//! running    bit clear
//! searching  bit clear, holds the token (at most one worker)
//! parked     bit set; whoever clears the bit owes the worker an unpark, and gives it the token
//! ```
//!
//! There are no counts that could drift from the bits: one bit for each worker, and one token for the right to search other
//! workers' queues. Work that is *announced* (the inbox, a worker reported as stuck) is never left to sleepers:
//!
//! ```text
//! pusher:  push;             fence;  no bit set?  -> nobody sleeps
//!                                    token taken? -> leave it to the searcher
//!                                    some bit set -> take token, clear bit, unpark
//! worker:  set bit, [give token back];  fence;  look at all announced work again -> park, or take the bit back
//! ```
//!
//! Why nothing is lost: of the pusher's fence and the worker's fence one comes first. If the worker's does,
//! the pusher sees the bit, or a bit that is clear because somebody else woke the worker since. If the pusher's does,
//! the worker's second look sees the push. A pusher that leaves its work to a searcher has read the token as taken, so its
//! fence comes before the one that the searcher runs after giving the token back, and the searcher's next
//! look ([`Idle::release`] and [`Idle::announce`] demand one) sees the push. A pusher that takes the token and then finds nobody to wake gives it back
//! and, behind another fence, looks at the bits again, for a pusher that left work to *it* meanwhile, and a worker
//! that went to sleep then.
//!
//! So the fences alone carry the work, and token and bits are relaxed, with one exception: whoever clears a worker's bit hands it the token.
//! The worker's later `0` must come after the claimer's `1` in the token's modification order, or the `1` would stay and nobody
//! search again. Clearing the bit releases, and taking note of it acquires.
//!
//! Work that a worker puts into its own queue is not announced: no fence is paid for it, and a sleeper can be overlooked.
//! Its owner will run it, and if the owner is stuck the watcher announces it.
//!
//! One searcher at a time: trials elsewhere with more of them lost 11 %. One wake for each decision, and the woken one
//! that finds more than it can run wakes the next.

use crate::shim::{AtomicUsize, Bug, Ordering, fence, seeded};
use crossbeam_utils::CachePadded;

const BITS: usize = usize::BITS as usize;

#[derive(Debug)]
pub(crate) struct Idle {
    /// Bit `i % BITS` of word `i / BITS`: worker `i` is parked or about to park.
    parked: Box<[CachePadded<AtomicUsize>]>,
    /// 1: somebody searches, or was woken to search.
    token: CachePadded<AtomicUsize>,
}

impl Idle {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            parked: (0..workers.div_ceil(BITS))
                .map(|_| CachePadded::new(AtomicUsize::new(0)))
                .collect(),
            token: CachePadded::new(AtomicUsize::new(0)),
        }
    }

    /// Chooses who is to look for work that was just announced. The caller unparks that worker.
    #[must_use]
    pub(crate) fn notify(&self) -> Option<usize> {
        if !seeded(Bug::NotifyNoFence) {
            // Between the push and the look at token and bits; matches the one in `announce`, and the one that follows `release`.
            fence(Ordering::SeqCst);
        }
        self.elect()
    }

    /// As [`notify`](Self::notify), for work in the caller's own queue: without the fence, so it can overlook a sleeper.
    #[must_use]
    #[inline]
    pub(crate) fn notify_hint(&self) -> Option<usize> {
        self.elect()
    }

    /// Takes the token and clears a bit.
    #[inline]
    fn elect(&self) -> Option<usize> {
        // Nobody sleeps: nobody can sleep over the work, and the token stays where it is.
        match self.is_anyone_parked() {
            true => self.elect_sleeper(),
            false => None,
        }
    }

    #[inline(never)]
    fn elect_sleeper(&self) -> Option<usize> {
        loop {
            if !self.try_search() {
                return None;
            }
            if let Some(worker) = self.claim() {
                return Some(worker);
            }
            // Relaxed: the fence that follows orders it.
            self.token.store(0, Ordering::Relaxed);
            if seeded(Bug::TokenNoRescan) {
                return None;
            }
            if !seeded(Bug::GiveBackNoFence) {
                // Between giving the token back and the look at the bits; matches the one of a pusher that read the token as taken.
                fence(Ordering::SeqCst);
            }
            if !self.is_anyone_parked() {
                return None;
            }
        }
    }

    /// Clears the bit of some parked worker.
    fn claim(&self) -> Option<usize> {
        for (index, word) in self.parked.iter().enumerate() {
            let mut seen = word.load(Ordering::Relaxed);
            while seen != 0 {
                let bit = seen.trailing_zeros() as usize;
                // Release: matches the Acquire in `retract`, so that the worker has the token after this thread had it.
                seen = word.fetch_and(!(1 << bit), Ordering::Release);
                if seen & (1 << bit) != 0 {
                    return Some(index * BITS + bit);
                }
            }
        }
        None
    }

    /// Takes the right to search.
    pub(crate) fn try_search(&self) -> bool {
        // A look first: the token is usually taken when many want it. Relaxed: the right to search carries no data, and an exchange comes after
        // what it reads.
        self.token.load(Ordering::Relaxed) == 0
            && self
                .token
                .compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// A searcher found work and gives the token back. It then looks at announced work again, and calls [`notify`](Self::notify) if there is some.
    pub(crate) fn release(&self) {
        // Relaxed: the fence that follows orders it.
        self.token.store(0, Ordering::Relaxed);
        if !seeded(Bug::ReleaseNoFence) {
            // Between giving the token back and the look at announced work; matches the one in `notify`.
            fence(Ordering::SeqCst);
        }
    }

    /// Worker `worker` is about to park. It then looks at all announced work once more, and parks only if there is none.
    pub(crate) fn announce(&self, worker: usize, searching: bool) {
        // Relaxed, both: the fence that follows orders them.
        self.word(worker).fetch_or(1 << (worker % BITS), Ordering::Relaxed);
        if searching {
            self.token.store(0, Ordering::Relaxed);
        }
        if !seeded(Bug::IdleNoFence) {
            // Between the bit (and the token) and the last look at announced work; matches the one in `notify`.
            fence(Ordering::SeqCst);
        }
    }

    /// Worker `worker` does not park, or has woken up. True: it was chosen meanwhile, an unpark is on its way or has come, and it holds the token.
    #[must_use]
    pub(crate) fn retract(&self, worker: usize) -> bool {
        let bit = 1 << (worker % BITS);
        // Acquire: matches the Release in `claim`.
        self.word(worker).fetch_and(!bit, Ordering::Acquire) & bit == 0
    }

    /// Whether worker `worker` is parked. A look from outside, true only for the moment.
    pub(crate) fn is_parked(&self, worker: usize) -> bool {
        self.word(worker).load(Ordering::Relaxed) & (1 << (worker % BITS)) != 0
    }

    /// Whether any worker is parked. As [`is_parked`](Self::is_parked).
    #[inline]
    pub(crate) fn is_anyone_parked(&self) -> bool {
        self.parked.iter().any(|word| word.load(Ordering::Relaxed) != 0)
    }

    fn word(&self, worker: usize) -> &AtomicUsize {
        &self.parked[worker / BITS]
    }
}
