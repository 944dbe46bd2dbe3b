//! The wheel against a slow, obviously right version of itself: an ordered map of (deadline, order of insertion).

use std::collections::{BTreeMap, HashMap};

use filch_timer::wheel::{Key, Wheel};

/// No step of time needs more turns than the wheel has levels.
const LEVELS: usize = 11;

/// What is done to a wheel.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Insert(When),
    /// Removes the entry with this number, modulo the number of entries ever made: also ones that are gone.
    Remove(usize),
    Reset(usize, When),
    Turn(When),
    /// Turns at the tick that the wheel itself names, until something expires.
    TurnToNext,
    Clear,
    Trim,
}

/// A tick, seen from the present one.
#[derive(Clone, Debug)]
pub(crate) enum When {
    At(u64),
    In(u64),
    /// This many whole rotations of the level, one tick less, exact, or one tick more.
    Rotations {
        level: u32,
        times: u64,
        off: i64,
    },
}

impl When {
    fn tick(&self, now: u64) -> u64 {
        match *self {
            When::At(tick) => tick,
            When::In(ticks) => now.saturating_add(ticks),
            When::Rotations { level, times, off } => {
                let rotation = 1_u64.checked_shl(6 * (level + 1) - 2).unwrap_or(u64::MAX);
                now.saturating_add(rotation.saturating_mul(times))
                    .saturating_add_signed(off)
            }
        }
    }
}

/// As [`check`], with operations made of bytes, for fuzzers.
#[allow(dead_code, reason = "for those who include this file elsewhere")]
pub(crate) fn check_bytes(bytes: &[u8]) {
    let mut bytes = bytes.iter().copied();
    let mut ops = Vec::new();
    while let Some(op) = read(&mut bytes) {
        ops.push(op);
    }
    check(&ops);
}

fn read(bytes: &mut impl Iterator<Item = u8>) -> Option<Op> {
    let op = bytes.next()?;
    Some(match op % 16 {
        0..=5 => Op::Insert(read_when(bytes)?),
        6 => Op::Remove(bytes.next()?.into()),
        7 | 8 => Op::Reset(bytes.next()?.into(), read_when(bytes)?),
        9..=11 => Op::Turn(read_when(bytes)?),
        12..=14 => Op::TurnToNext,
        _ if op > 250 => Op::Clear,
        _ if op > 220 => Op::Trim,
        _ => Op::Remove(bytes.next()?.into()),
    })
}

fn read_when(bytes: &mut impl Iterator<Item = u8>) -> Option<When> {
    let (kind, value) = (bytes.next()?, u64::from(bytes.next()?));
    Some(match kind % 8 {
        0..=2 => When::In(value),
        3 | 4 => When::In((1 << (kind / 8)) + value),
        5 | 6 => When::Rotations {
            level: u32::from(kind / 8) % 11,
            times: value % 3 + 1,
            off: [-1, 0, 1][value as usize / 3 % 3],
        },
        _ if value < 3 => When::At(u64::MAX - value),
        _ => When::In(value << (kind / 8)),
    })
}

/// Does `ops` to both, and panics at the first difference.
pub(crate) fn check(ops: &[Op]) {
    let mut pair = Pair::default();
    for op in ops {
        pair.apply(op);
        pair.compare();
    }
    pair.turn(u64::MAX);
    pair.compare();
    assert!(pair.wheel.is_empty());
}

#[derive(Default)]
struct Pair {
    wheel: Wheel<usize>,
    model: BTreeMap<(u64, usize), usize>,
    /// Of every entry ever made: its key, and its place in the model while it is there.
    keys: Vec<Key>,
    places: HashMap<usize, (u64, usize)>,
    order: usize,
    now: u64,
}

impl Pair {
    fn apply(&mut self, op: &Op) {
        match op {
            Op::Insert(when) => {
                let deadline = when.tick(self.now);
                let entry = self.keys.len();
                self.keys.push(self.wheel.insert(deadline, entry));
                self.place(entry, deadline);
            }
            Op::Remove(entry) => {
                let Some((entry, key)) = self.pick(*entry) else { return };
                let expected = self.unplace(entry).then_some(entry);
                assert_eq!(self.wheel.contains(key), expected.is_some());
                assert_eq!(self.wheel.get_mut(key).copied(), expected);
                assert_eq!(self.wheel.remove(key), expected);
                assert!(!self.wheel.contains(key));
            }
            Op::Reset(entry, when) => {
                let Some((entry, key)) = self.pick(*entry) else { return };
                let deadline = when.tick(self.now);
                let there = self.unplace(entry);
                assert_eq!(self.wheel.reset(key, deadline), there);
                if there {
                    self.place(entry, deadline);
                }
            }
            Op::Turn(when) => self.turn(when.tick(self.now)),
            Op::TurnToNext => {
                let before = self.model.len();
                for _ in 0..=LEVELS {
                    let Some(next) = self.wheel.next_turn() else { break };
                    self.turn(next);
                    if self.model.len() < before {
                        break;
                    }
                }
                assert!(
                    before == 0 || self.model.len() < before,
                    "turning when told to does not arrive"
                );
            }
            Op::Trim => {
                // Nobody notices; of the entries that are gone no key comes alive.
                self.wheel.trim();
                for (entry, key) in self.keys.iter().enumerate() {
                    assert_eq!(self.wheel.contains(*key), self.places.contains_key(&entry));
                }
            }
            Op::Clear => {
                let mut removed = Vec::new();
                self.wheel.clear(|entry| removed.push(entry));
                removed.sort_unstable();
                let mut expected: Vec<_> = self.model.values().copied().collect();
                expected.sort_unstable();
                assert_eq!(removed, expected);
                self.model.clear();
                self.places.clear();
            }
        }
    }

    fn turn(&mut self, now: u64) {
        self.now = self.now.max(now);
        let later = self.model.split_off(&(self.now.saturating_add(1), 0));
        let mut expected: Vec<_> = std::mem::replace(&mut self.model, later).into_values().collect();
        if self.now == u64::MAX {
            expected.extend(std::mem::take(&mut self.model).into_values());
        }
        let mut expired = Vec::new();
        self.wheel.turn(now, |entry| expired.push(entry));
        assert_eq!(expired, expected, "expired by tick {}", self.now);
        for entry in expired {
            self.places.remove(&entry);
        }
    }

    fn compare(&mut self) {
        assert_eq!(self.wheel.len(), self.model.len());
        assert_eq!(self.wheel.elapsed(), self.now);
        let earliest = self.model.keys().next().map(|(deadline, _)| *deadline);
        let next = self.wheel.next_turn();
        match (next, earliest) {
            (Some(next), Some(earliest)) => {
                assert!(
                    self.now <= next && next <= earliest,
                    "next is {next}, but {earliest} is due"
                );
                assert!(next > self.now || earliest == self.now, "a turn at {next} does nothing");
                if self.model.len() <= 8 {
                    assert_eq!(next, earliest, "the next of few is exact");
                }
            }
            _ => assert_eq!(next.is_some(), earliest.is_some()),
        }
    }

    /// What is overdue counts as due now.
    fn place(&mut self, entry: usize, deadline: u64) {
        let place = (deadline.max(self.now), self.order);
        self.order += 1;
        self.model.insert(place, entry);
        self.places.insert(entry, place);
    }

    fn unplace(&mut self, entry: usize) -> bool {
        self.places
            .remove(&entry)
            .is_some_and(|place| self.model.remove(&place).is_some())
    }

    fn pick(&self, entry: usize) -> Option<(usize, Key)> {
        let entry = entry.checked_rem(self.keys.len())?;
        Some((entry, self.keys[entry]))
    }
}
