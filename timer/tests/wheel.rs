//! The timing wheel as a pure data structure.

mod wheel_model;

use filch_timer::wheel::Wheel;
use proptest::prelude::*;
use wheel_model::{Op, When, check};

fn when() -> impl Strategy<Value = When> {
    prop_oneof![
        4 => (0..200_u64).prop_map(When::In),
        2 => (0..1_000_000_u64).prop_map(When::In),
        2 => (0..64_u32, 0..64_u64).prop_map(|(bit, more)| When::In((1 << bit) + more)),
        3 => (0..11_u32, 1..4_u64, -1..=1_i64)
            .prop_map(|(level, times, off)| When::Rotations { level, times, off }),
        1 => any::<u64>().prop_map(When::At),
        1 => (0..3_u64).prop_map(|below| When::At(u64::MAX - below)),
    ]
}

/// Time goes in small steps, so that a run does not arrive at the end of time at once.
fn step() -> impl Strategy<Value = When> {
    prop_oneof![
        5 => (0..100_u64).prop_map(When::In),
        3 => (0..40_u32).prop_map(|bit| When::In(1 << bit)),
        1 => (0..5_u32, 1..3_u64, -1..=1_i64)
            .prop_map(|(level, times, off)| When::Rotations { level, times, off }),
        1 => any::<u64>().prop_map(|tick| When::At(tick >> 8)),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => when().prop_map(Op::Insert),
        3 => any::<usize>().prop_map(Op::Remove),
        3 => (any::<usize>(), when()).prop_map(|(entry, when)| Op::Reset(entry, when)),
        5 => step().prop_map(Op::Turn),
        3 => Just(Op::TurnToNext),
        1 => Just(Op::Clear),
        2 => Just(Op::Trim),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn behaves_like_an_ordered_map(ops in prop::collection::vec(op(), 1..120)) {
        check(&ops);
    }

    #[test]
    fn many_entries_in_few_slots(
        deadlines in prop::collection::vec(0..100_000_u64, 1..300),
        step in 1..5_000_u64,
    ) {
        let mut ops: Vec<Op> = deadlines.into_iter().map(|ticks| Op::Insert(When::In(ticks))).collect();
        ops.extend((0..100_000 / step).map(|_| Op::Turn(When::In(step))));
        check(&ops);
    }
}

#[test]
fn an_entry_one_rotation_away_does_not_hide_a_nearer_one() {
    for level in 0..10 {
        let rotation = 1_u64 << (6 * (level + 1) - 2);
        // From the middle of a slot, where the far entry's slot has the number of the present one.
        for start in [0, 1, 5, rotation / 3, rotation - 1] {
            let mut wheel = Wheel::new();
            wheel.turn(start, |()| panic!("nothing is there"));
            wheel.insert(start + rotation, ());
            wheel.insert(start + rotation / 64 + 1, ());
            assert_eq!(
                wheel.next_turn(),
                Some(start + rotation / 64 + 1),
                "level {level}, start {start}"
            );
        }
    }
}

#[test]
fn the_end_of_time_is_an_ordinary_tick() {
    let mut wheel = Wheel::new();
    wheel.insert(u64::MAX, "last");
    wheel.insert(u64::MAX - 1, "last but one");
    assert_eq!(wheel.next_turn(), Some(u64::MAX - 1));
    let mut expired = Vec::new();
    wheel.turn(u64::MAX - 2, |name| expired.push(name));
    assert!(expired.is_empty());
    wheel.turn(u64::MAX - 1, |name| expired.push(name));
    assert_eq!(expired, ["last but one"]);
    wheel.turn(u64::MAX, |name| expired.push(name));
    wheel.insert(u64::MAX, "after the end");
    wheel.turn(u64::MAX, |name| expired.push(name));
    assert_eq!(expired, ["last but one", "last", "after the end"]);
}

#[test]
fn a_late_turn_fires_everything_at_once_and_in_order() {
    let mut wheel = Wheel::new();
    for entry in 0..10_000_u64 {
        wheel.insert(entry * 7919 % 10_007, entry * 7919 % 10_007);
    }
    let mut expired = Vec::new();
    wheel.turn(1 << 40, |deadline| expired.push(deadline));
    assert_eq!(expired.len(), 10_000);
    assert!(expired.is_sorted());
}

#[test]
fn a_far_deadline_is_reached_in_few_turns() {
    let mut wheel = Wheel::new();
    for entry in 0..100 {
        wheel.insert((1 << 50) + 12_345 + entry, entry);
    }
    let mut turns = 0;
    while wheel.len() == 100 {
        let next = wheel.next_turn().expect("there are entries");
        wheel.turn(next, |_| ());
        turns += 1;
    }
    assert!(turns <= 11, "{turns} turns");
}

#[test]
fn an_old_key_finds_nothing_in_a_reused_entry() {
    let mut wheel = Wheel::new();
    let old = wheel.insert(1, "old");
    wheel.turn(1, |_| ());
    let new = wheel.insert(2, "new");
    assert!(!wheel.reset(old, 9));
    assert_eq!(wheel.get_mut(old), None);
    assert_eq!(wheel.remove(old), None);
    assert_eq!(wheel.remove(new), Some("new"));
}
