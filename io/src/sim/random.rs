//! The two things that make a run repeatable: the one generator of random numbers, and the trace of what happened.

use std::time::Duration;

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): a counter and a mixing
/// function, so every seed is as good as any other, zero too.
#[derive(Debug)]
pub(crate) struct Random {
    state: u64,
}

/// FNV-1a over 64 bits: its offset and its prime are those of the reference (Fowler, Noll, Vo).
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
}

impl Random {
    pub(crate) const fn new(seed: u64) -> Random {
        Random { state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not zero.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        // The upper half of the product is below `end`; how uneven that is no test of a program can notice.
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// Does something happen that has this probability? Draws nothing if that is certain.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        // The upper 53 bits are a fraction that an f64 holds exactly, at least 0 and below 1.
        probability > 0.0 && (probability >= 1.0 || ((self.next() >> 11) as f64 / (1_u64 << 53) as f64) < probability)
    }

    /// A time from `min` to `max`, both included. Draws nothing if they are equal.
    pub(crate) fn between(&mut self, min: Duration, max: Duration) -> Duration {
        if min == max {
            return min;
        }
        let span = u64::try_from((max - min).as_nanos()).unwrap_or(u64::MAX);
        min + Duration::from_nanos(self.below(span.saturating_add(1)))
    }
}

impl Trace {
    pub(crate) const fn new() -> Trace {
        Trace {
            hash: 0xCBF2_9CE4_8422_2325,
        }
    }

    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        // The first numbers of seed 1234567, from the public-domain reference implementation (Vigna, splitmix64.c).
        let mut random = Random::new(1_234_567);
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        assert_eq!([random.next(), random.next(), random.next()], expected);
    }

    #[test]
    fn the_trace_is_fnv_1a() {
        let mut trace = Trace::new();
        assert_eq!(trace.hash(), 0xCBF2_9CE4_8422_2325);
        trace.bytes(b"foobar");
        assert_eq!(trace.hash(), 0x8594_4171_F739_67E8);
    }

    #[test]
    fn draws_stay_within_their_bounds_and_reach_them() {
        let mut random = Random::new(0);
        let mut seen = [false; 4];
        let (min, max) = (Duration::from_nanos(7), Duration::from_nanos(10));
        for _ in 0..200 {
            let drawn = random.between(min, max);
            assert!(drawn >= min && drawn <= max);
            seen[(drawn - min).as_nanos() as usize] = true;
        }
        assert_eq!(seen, [true; 4]);
        let hits = (0..1_000).filter(|_| random.chance(0.25)).count();
        assert!((150..350).contains(&hits), "{hits}");
        assert!(!(0..100).any(|_| random.chance(0.0)) && (0..100).all(|_| random.chance(1.0)));
        assert_eq!(random.between(min, min), min);
        random.between(Duration::ZERO, Duration::MAX);
    }
}
