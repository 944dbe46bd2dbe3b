//! A table of values under tokens that do not come back: a pure data structure.
//!
//! A token is a slot's index and the slot's generation. A slot that is emptied counts its generation up, so a token
//! that somebody still holds - an event that the kernel had already queued - finds nothing instead of the slot's next
//! owner.

use crate::sync::{Bug, seeded};

/// The low bits of a token are the index, the rest is the generation.
const INDEX_BITS: u32 = if usize::BITS == 64 { 32 } else { 20 };
const INDEX_MASK: usize = (1 << INDEX_BITS) - 1;

pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    /// Indices of the empty slots; the last one emptied is the next one used, while it is warm.
    free: Vec<usize>,
}

struct Slot<T> {
    generation: usize,
    value: Option<T>,
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Slab<T> {
        Slab {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Stores `value` and names it, or gives it back if the table is full.
    pub(crate) fn insert(&mut self, value: T) -> Result<usize, T> {
        let index = match self.free.pop() {
            Some(index) => index,
            // The last index stays unused, so no token equals `usize::MAX`, which callers may use for themselves.
            None if self.slots.len() >= INDEX_MASK => return Err(value),
            None => {
                self.slots.push(Slot {
                    generation: 0,
                    value: None,
                });
                self.slots.len() - 1
            }
        };
        let slot = &mut self.slots[index];
        slot.value = Some(value);
        Ok(slot.generation << INDEX_BITS | index)
    }

    pub(crate) fn get(&self, token: usize) -> Option<&T> {
        let slot = self.slots.get(token & INDEX_MASK)?;
        if slot.generation != token >> INDEX_BITS && !seeded(Bug::TokenWithoutGeneration) {
            return None;
        }
        slot.value.as_ref()
    }

    pub(crate) fn remove(&mut self, token: usize) -> Option<T> {
        let index = token & INDEX_MASK;
        let slot = self
            .slots
            .get_mut(index)
            .filter(|slot| slot.generation == token >> INDEX_BITS)?;
        let value = slot.value.take()?;
        slot.generation = (slot.generation + 1) & (usize::MAX >> INDEX_BITS);
        self.free.push(index);
        Some(value)
    }

    /// Everything that is stored, and an empty table.
    pub(crate) fn take_all(&mut self) -> Vec<T> {
        let live = (0..self.slots.len()).filter_map(|index| {
            let token = self.slots[index].generation << INDEX_BITS | index;
            self.remove(token)
        });
        live.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_does_not_come_back_with_its_slot() {
        let mut slab = Slab::new();
        let first = slab.insert("first").unwrap();
        assert_eq!(slab.get(first), Some(&"first"));
        assert_eq!(slab.remove(first), Some("first"));
        let second = slab.insert("second").unwrap();
        assert_eq!(first & INDEX_MASK, second & INDEX_MASK, "the slot is used again");
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get(second), Some(&"second"));
    }

    #[test]
    fn the_generation_wraps_within_its_bits() {
        let mut slab = Slab::new();
        let token = slab.insert(1).unwrap();
        slab.remove(token);
        slab.slots[0].generation = usize::MAX >> INDEX_BITS;
        let last = slab.insert(2).unwrap();
        assert_eq!(slab.remove(last), Some(2));
        assert_eq!(slab.insert(3).unwrap(), 0);
    }

    #[test]
    fn taking_all_empties_the_table_and_keeps_old_tokens_dead() {
        let mut slab = Slab::new();
        let tokens: Vec<usize> = (0..3).map(|n| slab.insert(n).unwrap()).collect();
        slab.remove(tokens[1]);
        assert_eq!(slab.take_all(), [0, 2]);
        assert!(tokens.iter().all(|&token| slab.get(token).is_none()));
        assert!(slab.take_all().is_empty());
    }

    #[test]
    fn agrees_with_a_map_of_everything() {
        use std::collections::HashMap;
        let mut slab = Slab::new();
        let mut live: HashMap<usize, u32> = HashMap::new();
        let mut dead: Vec<usize> = Vec::new();
        let mut random = 0x2545_F491_4F6C_DD1D_u64;
        for step in 0..4_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let pick = live.keys().min_by_key(|&&token| token as u64 ^ random).copied();
            match pick {
                Some(token) if random % 3 == 0 => {
                    assert_eq!(slab.remove(token), live.remove(&token));
                    dead.push(token);
                }
                _ => {
                    let token = slab.insert(step).unwrap();
                    assert!(!dead.contains(&token), "token {token} was used before");
                    assert!(live.insert(token, step).is_none());
                }
            }
            assert!(live.iter().all(|(&token, value)| slab.get(token) == Some(value)));
        }
    }
}
