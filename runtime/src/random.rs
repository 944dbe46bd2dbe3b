//! Random numbers for choices that need no secret: which branch `select!` asks first, and all choices of a simulation.

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// SplitMix64 (Steele, Lea, Flood 2014): every seed is a good one, zero included.
#[derive(Debug)]
pub(crate) struct Random(Cell<u64>);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    pub(crate) fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.0.set(state);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is not zero. The bias is below `limit` / 2^64.
    pub(crate) fn below(&self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }

    /// As [`below`](Self::below), for indices.
    pub(crate) fn index(&self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// True with the given probability.
    pub(crate) fn chance(&self, probability: f64) -> bool {
        // 53 bits are what an f64 holds exactly.
        const ONE: f64 = (1u64 << 53) as f64;
        probability > 0.0 && ((self.next() >> 11) as f64) < probability * ONE
    }
}

thread_local! {
    /// `None` until the first draw. What it gives is nobody's protocol: it is std's in every build.
    static THREAD: Cell<Option<u64>> = const { Cell::new(None) };
}

/// A number below `limit`, which is not zero, from this thread's generator.
#[allow(unreachable_pub, reason = "for the code that `select!` makes")]
pub fn below(limit: u32) -> u32 {
    let draw = |thread: &Cell<Option<u64>>| {
        let random = Random::new(thread.get().unwrap_or_else(entropy));
        let number = random.below(u64::from(limit)) as u32;
        thread.set(Some(random.0.get()));
        number
    };
    // On a thread whose locals are gone the first is as good as any.
    THREAD.try_with(draw).unwrap_or(0)
}

/// This thread draws from `seed` on until the guard is dropped.
pub(crate) fn seed_thread(seed: u64) -> Seeded {
    Seeded(THREAD.try_with(|thread| thread.replace(Some(seed))).ok().flatten())
}

/// From [`seed_thread`]: holds what was before.
#[derive(Debug)]
pub(crate) struct Seeded(Option<u64>);

impl Seeded {
    /// Where the generator stands now.
    pub(crate) fn state(&self) -> u64 {
        THREAD.try_with(Cell::get).ok().flatten().unwrap_or(0)
    }
}

impl Drop for Seeded {
    fn drop(&mut self) {
        let _ = THREAD.try_with(|thread| thread.set(self.0));
    }
}

/// std keys its hash maps with random numbers of the system; one such key is a seed.
fn entropy() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_gives_every_number() {
        for seed in [0, 1, u64::MAX] {
            let random = Random::new(seed);
            let mut seen = [0; 5];
            for _ in 0..1_000 {
                seen[random.index(5)] += 1;
            }
            assert!(seen.iter().all(|&count| count > 100), "seed {seed}: {seen:?}");
        }
    }

    #[test]
    fn chances_keep_their_limits() {
        let random = Random::new(1);
        assert!((0..1_000).all(|_| !random.chance(0.0)));
        assert!((0..1_000).all(|_| random.chance(1.0)));
        let half = (0..10_000).filter(|_| random.chance(0.5)).count();
        assert!((4_000..6_000).contains(&half), "{half}");
    }

    #[test]
    fn a_seeded_thread_repeats_itself_and_goes_back() {
        let draw = || {
            let _seeded = seed_thread(7);
            [below(1000), below(1000), below(1000)]
        };
        assert_eq!(draw(), draw());
    }
}
