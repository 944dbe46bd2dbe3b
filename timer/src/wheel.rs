//! A hierarchical timing wheel: a pure data structure over `u64` ticks. It knows no clock, no lock and no waker.
//!
//! # Shape
//!
//! Eleven levels. A slot of level 0 is one tick wide, and there are 16 of them; every other level has 64 slots, each as wide
//! as the whole level below. 4 + 10 * 6 bits are 64: every `u64` has its place, so there is no deadline that is too far
//! away and no level that wraps around.
//!
//! An entry stands on the level of the highest bit in which its deadline differs from `elapsed` (the tick up to which
//! everything has expired), in the slot that its deadline's own six bits name. Three things follow:
//!
//! - *ahead*: the entry's slot is always ahead of the slot that `elapsed` is in, on the same rotation. The lowest set bit
//!   of a level's occupancy word is therefore its first slot, without any rotation of the word. (A wheel whose slots may
//!   mean this rotation or the next can mistake an entry one full rotation away for the nearest one.)
//! - *sorted*: all entries of a level are due before all entries of the next one.
//! - *stable*: advancing `elapsed` without reaching an entry's slot leaves the entry where a fresh insertion would put it.
//!   So entries with equal deadlines meet in insertion order.
//!
//! When `elapsed` reaches a slot of an upper level, its entries are spread over the levels below ("cascade"): at most
//! ten times in an entry's life, on average far less.
//!
//! # What waits
//!
//! A new entry first stands in a list of its own and takes its place at the next [`turn`](Wheel::turn) or
//! [`next_turn`](Wheel::next_turn). Most timers of a server are time limits that are removed long before they are due, often before
//! the next turn: those cost one link and one unlink in a list whose end is warm in the cache.

use std::fmt;
use std::num::NonZeroU32;

/// Bits of a tick that one level resolves.
const BITS: u32 = 6;
/// Bits that level 0 leaves out, so that the levels' bits add up to those of a `u64`. It also puts a boundary between
/// levels at bit 16: deadlines that are multiples of 2¹⁶ never go below that level.
const UNUSED: u32 = 2;
const SLOTS: usize = 1 << BITS;
const LEVELS: usize = 11;
/// The number of the list of entries that have no place yet; the lists before it are the slots, level by level.
const WAITING: u16 = (LEVELS * SLOTS) as u16;
/// No entry.
const NIL: u32 = u32::MAX;
/// [`Wheel::next_turn`] reads the deadlines of a slot on an upper level if there are at most this many of them; otherwise the
/// slot's beginning, an early but safe answer, is cheaper than the truth.
const FEW: usize = 8;
/// A wheel with fewer entries than this, used or not, is never [sparse](Wheel::is_sparse): it is not worth a look.
const SMALL: usize = 4096;
/// So few entries that a look for each of them is no waste.
const HANDFUL: usize = 16;

/// The name of an entry of a [`Wheel`]: its index, and which of the index's successive users it is.
///
/// A key outlives its entry harmlessly: once the entry has expired or was removed, no operation finds anything under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    index: u32,
    generation: NonZeroU32,
}

impl Key {
    /// A key that never names an entry of any wheel, one for each `number`: a caller's way to say something else in the
    /// place of a key.
    pub(crate) const fn reserved(number: u32) -> Key {
        Key {
            index: NIL,
            generation: NonZeroU32::MIN.saturating_add(number),
        }
    }

    pub(crate) const fn is_reserved(self) -> bool {
        self.index == NIL
    }
}

/// A hierarchical timing wheel. See the [module](self).
///
/// # Examples
///
/// ```
/// use filch_timer::wheel::Wheel;
///
/// let mut wheel = Wheel::new();
/// wheel.insert(70, "later");
/// let gone = wheel.insert(5, "cancelled");
/// wheel.insert(3, "soon");
/// assert_eq!(wheel.remove(gone), Some("cancelled"));
///
/// let mut expired = Vec::new();
/// wheel.turn(69, |name| expired.push(name));
/// assert_eq!(expired, ["soon"]);
/// assert_eq!(wheel.next_turn(), Some(70));
/// ```
pub struct Wheel<T> {
    /// Everything due up to and including this tick has expired.
    elapsed: u64,
    /// Per level, which slots have entries.
    occupied: [u64; LEVELS],
    /// Per list, its first entry or NIL. Lists are circular: the first entry's `prev` is the last one. On the heap, so that
    /// no wheel is ever built on a stack.
    heads: Box<[u32]>,
    entries: Vec<Entry<T>>,
    /// The first of the free entries, which are chained by `next`.
    free: u32,
    len: usize,
    /// Entries that were freed since the last [`trim`](Wheel::trim).
    freed: usize,
    /// Half as many entries as there were at the last [`trim`](Wheel::trim).
    few: usize,
    /// The entry that was the last one then, or NIL. When it is freed it waits for the next trim: given out again at once, it would hold everything before it for ever.
    end: u32,
    /// The generation at which the next new index begins: after those of every index that was given back.
    born: NonZeroU32,
}

struct Entry<T> {
    deadline: u64,
    /// `None`: the entry is free.
    value: Option<T>,
    next: u32,
    prev: u32,
    /// Counts the users of this index, from 1; an index whose count is used up is never given out again.
    generation: NonZeroU32,
    /// The list that the entry stands in.
    list: u16,
}

/// The earliest occupied slot.
struct First {
    level: usize,
    list: u16,
    /// The slot's first tick.
    start: u64,
}

impl<T> Wheel<T> {
    /// An empty wheel at tick 0.
    #[must_use]
    pub fn new() -> Self {
        Wheel {
            elapsed: 0,
            occupied: [0; LEVELS],
            heads: vec![NIL; LEVELS * SLOTS + 1].into_boxed_slice(),
            entries: Vec::new(),
            free: NIL,
            len: 0,
            freed: 0,
            few: 0,
            end: NIL,
            born: NonZeroU32::MIN,
        }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The tick of the latest turn.
    #[must_use]
    pub fn elapsed(&self) -> u64 {
        self.elapsed
    }

    /// Adds an entry that expires in the first turn at or after `deadline`; one whose deadline has passed expires in the
    /// next turn. O(1).
    ///
    /// # Panics
    ///
    /// If there are 2³² - 1 entries already.
    pub fn insert(&mut self, deadline: u64, value: T) -> Key {
        let index = self.allocate(deadline, value);
        self.link(WAITING, index);
        self.len += 1;
        Key {
            index,
            generation: self.entry(index).generation,
        }
    }

    /// Takes an entry out. O(1). `None` if it has expired or was removed before.
    #[inline]
    pub fn remove(&mut self, key: Key) -> Option<T> {
        self.find(key)?;
        self.unlink(key.index);
        self.release(key.index)
    }

    /// Gives an entry another deadline, and with it a place behind the entries of the same deadline. O(1). Tells whether
    /// the entry is still there.
    pub fn reset(&mut self, key: Key, deadline: u64) -> bool {
        if self.find(key).is_none() {
            return false;
        }
        self.unlink(key.index);
        self.entry(key.index).deadline = deadline;
        self.link(WAITING, key.index);
        true
    }

    /// Whether the entry is still there.
    #[must_use]
    pub fn contains(&self, key: Key) -> bool {
        self.entries.get(key.index as usize).is_some_and(|entry| entry.is(key))
    }

    /// The entry's value, if it is still there.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.find(key)?.value.as_mut()
    }

    /// Expires every entry whose deadline is at or before `now`, in the order of deadlines, and of insertion among equal
    /// ones. A `now` before the latest turn's counts as that one.
    ///
    /// Takes time for what expires and what cascades, not for the ticks that pass. If `expired` panics, entries that are due
    /// by the same tick may be lost.
    pub fn turn(&mut self, now: u64, mut expired: impl FnMut(T)) {
        self.place();
        let now = now.max(self.elapsed);
        while let Some(first) = self.first() {
            if first.start > now {
                break;
            }
            self.elapsed = first.start;
            self.spread(first.list, &mut expired);
        }
        self.elapsed = now;
    }

    /// The tick at which to turn next: never after the earliest deadline. It is that deadline itself unless the entries
    /// nearest to it are many and far away; then it is a tick at which they come nearer, at most one such tick per level.
    pub fn next_turn(&mut self) -> Option<u64> {
        self.place();
        let first = self.first()?;
        if first.level == 0 {
            return Some(first.start);
        }
        let head = self.head(first.list)?;
        let (mut index, mut earliest) = (head, u64::MAX);
        for _ in 0..FEW {
            let entry = self.entry(index);
            earliest = earliest.min(entry.deadline);
            index = entry.next;
            if index == head {
                return Some(earliest);
            }
        }
        Some(first.start)
    }

    /// Removes every entry, in no particular order.
    pub fn clear(&mut self, mut removed: impl FnMut(T)) {
        for index in 0..self.entries.len() as u32 {
            if self.entry(index).value.is_some() {
                self.unlink(index);
                if let Some(value) = self.release(index) {
                    removed(value);
                }
            }
        }
    }

    /// How many entries there is memory for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.entries.capacity()
    }

    /// Whether [`trim`](Wheel::trim) is worth its time: there is memory for many entries, few are there, and half of all were freed since the last look, or the
    /// one at the end has gone that held everything before it, and there are at most half as many as then, or a handful.
    ///
    /// So a caller that asks before each trim pays O(log n) at most for an entry that is removed or expires, n being how many there were at the same time, and a
    /// handful of looks more: a look that finds the end free gives something back, and new entries fill the gaps from the front.
    #[must_use]
    pub fn is_sparse(&self) -> bool {
        let made = self.entries.len();
        if made < SMALL || self.len > made / 4 {
            return false;
        }
        let end_is_free = || self.entries.last().is_some_and(|last| last.value.is_none());
        self.freed >= made / 2 || self.len <= self.few.max(HANDFUL) && end_is_free()
    }

    /// Gives back the memory behind the last entry, and has new entries fill the gaps from the front. O(all entries that were ever there at the same time).
    #[cold]
    pub fn trim(&mut self) {
        (self.freed, self.few) = (0, self.len / 2);
        // An index whose generations are used up stays, as a place that nobody has.
        let is_kept = |entry: &Entry<T>| entry.value.is_some() || entry.generation == NonZeroU32::MAX;
        let kept = self.entries.iter().rposition(is_kept).map_or(0, |last| last + 1);
        // No key of an index that goes finds who comes later under the same index.
        for entry in self.entries.drain(kept..) {
            self.born = self.born.max(entry.generation);
        }
        self.entries.shrink_to_fit();
        self.end = (kept as u32).wrapping_sub(1);
        self.free = NIL;
        for index in (0..kept).rev() {
            let entry = &mut self.entries[index];
            if !is_kept(entry) {
                entry.next = self.free;
                self.free = index as u32;
            }
        }
    }

    // Places.

    /// Gives every entry that waits its place.
    fn place(&mut self) {
        self.scatter(WAITING, |wheel, index, deadline| {
            wheel.link(wheel.slot_of(deadline), index)
        });
    }

    /// Empties the slot that `elapsed` has just reached: what is due expires, the rest moves to the levels below. They are
    /// empty, so nothing else is due before or with it.
    fn spread(&mut self, list: u16, expired: &mut impl FnMut(T)) {
        self.scatter(list, |wheel, index, deadline| {
            if deadline > wheel.elapsed {
                wheel.link(wheel.slot_of(deadline), index);
            } else if let Some(value) = wheel.release(index) {
                expired(value);
            }
        });
    }

    /// Empties a list, and hands over each of its entries with its deadline.
    fn scatter(&mut self, list: u16, mut take: impl FnMut(&mut Self, u32, u64)) {
        let Some(head) = self.head(list) else { return };
        self.heads[usize::from(list)] = NIL;
        self.mark(list, false);
        let mut index = head;
        loop {
            let entry = self.entry(index);
            let (next, deadline) = (entry.next, entry.deadline);
            take(self, index, deadline);
            if next == head {
                return;
            }
            index = next;
        }
    }

    /// The list that an entry with this deadline belongs into.
    fn slot_of(&self, deadline: u64) -> u16 {
        // What is overdue goes into the slot of the present tick, which no other deadline maps to.
        let deadline = deadline.max(self.elapsed);
        // `| 1`: a deadline that differs in nothing belongs on level 0 as well.
        let highest = u64::BITS - 1 - ((deadline ^ self.elapsed) | 1).leading_zeros();
        let level = (highest + UNUSED) / BITS;
        // Level 0 takes two bits too many here. They are those of `elapsed`, so they tell nothing and do no harm.
        let slot = (deadline >> shift(level)) & (SLOTS as u64 - 1);
        (level * SLOTS as u32) as u16 + slot as u16
    }

    fn first(&self) -> Option<First> {
        let level = self.occupied.iter().position(|&slots| slots != 0)?;
        let slot = self.occupied[level].trailing_zeros();
        // The bits above this level are those of `elapsed`; above the last level there are none.
        let above = shift(level as u32 + 1);
        let common = self.elapsed.checked_shr(above).map_or(0, |bits| bits << above);
        Some(First {
            level,
            list: (level * SLOTS) as u16 + slot as u16,
            start: common | (u64::from(slot) << shift(level as u32)),
        })
    }

    // Lists.

    fn head(&self, list: u16) -> Option<u32> {
        let head = self.heads[usize::from(list)];
        (head != NIL).then_some(head)
    }

    /// Sets or clears a slot's bit.
    fn mark(&mut self, list: u16, occupied: bool) {
        if list == WAITING {
            return;
        }
        let (level, slot) = (usize::from(list) / SLOTS, usize::from(list) % SLOTS);
        let bit = 1 << slot;
        if occupied {
            self.occupied[level] |= bit;
        } else {
            self.occupied[level] &= !bit;
        }
    }

    /// Appends an entry that stands in no list.
    fn link(&mut self, list: u16, index: u32) {
        let (prev, next) = match self.head(list) {
            Some(head) => {
                let tail = self.entry(head).prev;
                self.entry(head).prev = index;
                self.entry(tail).next = index;
                (tail, head)
            }
            None => {
                self.heads[usize::from(list)] = index;
                self.mark(list, true);
                (index, index)
            }
        };
        let entry = self.entry(index);
        entry.prev = prev;
        entry.next = next;
        entry.list = list;
    }

    fn unlink(&mut self, index: u32) {
        let entry = self.entry(index);
        let (prev, next, list) = (entry.prev, entry.next, entry.list);
        if next == index {
            self.heads[usize::from(list)] = NIL;
            self.mark(list, false);
            return;
        }
        self.entry(prev).next = next;
        self.entry(next).prev = prev;
        let head = &mut self.heads[usize::from(list)];
        if *head == index {
            *head = next;
        }
    }

    // The slab.

    fn entry(&mut self, index: u32) -> &mut Entry<T> {
        &mut self.entries[index as usize]
    }

    fn find(&mut self, key: Key) -> Option<&mut Entry<T>> {
        self.entries.get_mut(key.index as usize).filter(|entry| entry.is(key))
    }

    /// An entry in no list.
    fn allocate(&mut self, deadline: u64, value: T) -> u32 {
        if self.free != NIL {
            let index = self.free;
            let entry = self.entry(index);
            entry.deadline = deadline;
            entry.value = Some(value);
            self.free = entry.next;
            return index;
        }
        let index = self.entries.len();
        assert!(index < NIL as usize, "a wheel holds at most 2^32 - 1 timers");
        let (value, generation) = (Some(value), self.born);
        self.entries.push(Entry {
            deadline,
            value,
            next: NIL,
            prev: NIL,
            generation,
            list: WAITING,
        });
        index as u32
    }

    /// Frees an entry that stands in no list any more.
    fn release(&mut self, index: u32) -> Option<T> {
        let free = self.free;
        let waits = index == self.end;
        let entry = self.entry(index);
        let value = entry.value.take()?;
        // An index whose generations are used up is left out of the free list for good: 48 bytes per 2^32 timers are
        // cheaper than a key that finds somebody else's entry.
        if let Some(generation) = entry.generation.checked_add(1) {
            entry.generation = generation;
            if !waits {
                entry.next = free;
                self.free = index;
            }
        }
        self.len -= 1;
        self.freed += 1;
        Some(value)
    }
}

/// The lowest bit that a level resolves.
fn shift(level: u32) -> u32 {
    (level * BITS).saturating_sub(UNUSED)
}

impl<T> Entry<T> {
    fn is(&self, key: Key) -> bool {
        self.generation == key.generation && self.value.is_some()
    }
}

impl<T> Default for Wheel<T> {
    fn default() -> Self {
        Wheel::new()
    }
}

impl<T> fmt::Debug for Wheel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wheel")
            .field("elapsed", &self.elapsed)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    #[test]
    fn an_entry_is_small() {
        assert!(size_of::<Entry<Waker>>() <= 40);
        assert_eq!(size_of::<Option<Key>>(), 8);
    }

    #[test]
    fn a_used_up_index_is_not_given_out_again() {
        let mut wheel = Wheel::new();
        let first = wheel.insert(1, 'a');
        wheel.remove(first);
        wheel.entries[0].generation = NonZeroU32::MAX;
        let last = wheel.insert(1, 'b');
        assert_eq!(last.index, first.index);
        wheel.remove(last);
        let next = wheel.insert(1, 'c');
        assert_ne!(next.index, last.index);
        assert!(!wheel.contains(last) && !wheel.contains(Key::reserved(0)));
    }

    #[test]
    fn a_key_finds_nobody_who_came_after_a_trim() {
        let mut wheel = Wheel::new();
        let keys: Vec<Key> = (0..10).map(|tick| wheel.insert(tick, tick)).collect();
        for key in &keys[4..] {
            wheel.remove(*key);
        }
        // Used more often than the others.
        for _ in 0..3 {
            let key = wheel.insert(1, 1);
            wheel.remove(key);
        }
        wheel.remove(keys[1]);
        wheel.trim();
        assert_eq!((wheel.entries.len(), wheel.capacity()), (4, 4));
        // The gap first.
        let new: Vec<Key> = (20..40).map(|tick| wheel.insert(tick, tick)).collect();
        assert_eq!(new[0].index, keys[1].index);
        for (index, key) in keys.iter().enumerate() {
            assert_eq!(wheel.contains(*key), [0, 2, 3].contains(&index), "{index}");
        }
        assert!(new.iter().all(|key| wheel.contains(*key)));
    }

    #[test]
    fn a_trim_keeps_used_up_indices_unused() {
        let mut wheel = Wheel::new();
        let first = wheel.insert(1, 'a');
        wheel.entries[0].generation = NonZeroU32::MAX;
        let last = Key {
            generation: NonZeroU32::MAX,
            ..first
        };
        wheel.remove(last);
        wheel.trim();
        let next = wheel.insert(1, 'b');
        assert_ne!(next.index, last.index);
        assert!(!wheel.contains(last));
    }

    #[test]
    fn a_wheel_is_sparse_when_a_look_is_worth_it() {
        let mut wheel = Wheel::new();
        let stays = wheel.insert(7, 0);
        for _ in 0..2 {
            let keys: Vec<Key> = (0..2 * SMALL).map(|value| wheel.insert(1_000_000, value)).collect();
            let (last, first) = (keys[2 * SMALL - 1], &keys[..2 * SMALL - 1]);
            assert!(!wheel.is_sparse());
            for key in &first[200..] {
                wheel.remove(*key);
            }
            assert!(wheel.is_sparse());
            // For nothing: the end is in use.
            wheel.trim();
            assert!(wheel.capacity() > 2 * SMALL && !wheel.is_sparse());
            for key in &first[..190] {
                wheel.remove(*key);
            }
            assert!(!wheel.is_sparse(), "the end is still in use");
            wheel.remove(last);
            assert!(wheel.is_sparse());
            wheel.trim();
            assert_eq!(wheel.capacity(), 201);
            assert!(!wheel.is_sparse());
            for key in &first[190..] {
                wheel.remove(*key);
            }
            wheel.trim();
            assert_eq!(wheel.capacity(), 1);
        }
        assert!(wheel.contains(stays));
    }

    #[test]
    fn the_last_entry_of_a_burst_is_not_used_again_and_again() {
        let mut wheel = Wheel::new();
        let keys: Vec<Key> = (0..2 * SMALL).map(|value| wheel.insert(1_000_000, value)).collect();
        for key in &keys {
            wheel.remove(*key);
        }
        // Two timers one after the other, with a look in between, while one is there.
        for _ in 0..2 {
            let key = wheel.insert(1_000_000, 0);
            if wheel.is_sparse() {
                wheel.trim();
            }
            wheel.remove(key);
        }
        assert_eq!(wheel.capacity(), 1);
    }

    #[test]
    fn looks_are_rare_while_a_full_wheel_empties() {
        let mut wheel = Wheel::new();
        // From the end, so that each look finds something, and from the beginning, so that it finds nothing.
        for from_the_end in [true, false] {
            let mut keys: Vec<Key> = (0..64 * SMALL).map(|value| wheel.insert(1_000_000, value)).collect();
            if from_the_end {
                keys.reverse();
            }
            let mut looks = 0;
            for key in keys {
                wheel.remove(key);
                if wheel.is_sparse() {
                    wheel.trim();
                    looks += 1;
                }
            }
            assert!((1..=18 + HANDFUL).contains(&looks), "{looks} looks");
            assert!(wheel.capacity() <= SMALL, "{} entries are kept", wheel.capacity());
        }
    }

    #[test]
    fn what_is_removed_before_the_next_turn_has_no_place() {
        let mut wheel = Wheel::new();
        let key = wheel.insert(1_000_000, ());
        assert_eq!(wheel.occupied, [0; LEVELS]);
        wheel.remove(key);
        wheel.turn(10, |()| ());
        assert_eq!(wheel.occupied, [0; LEVELS]);
        wheel.insert(1_000_000, ());
        wheel.turn(11, |()| ());
        assert_ne!(wheel.occupied, [0; LEVELS]);
    }
}
