//! Readiness and tokens against slow models of themselves, driven by bytes. Every check panics at the first difference.

use crate::ready::{Interest, Ready};
use crate::slab::Slab;
use crate::source::{Key, Kind, Seen, Source};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

const EVENTS: [Ready; 6] = [
    Ready::READABLE,
    Ready::WRITABLE,
    Ready::READ_CLOSED,
    Ready::WRITE_CLOSED,
    Ready::PRIORITY,
    Ready::ERROR,
];

const INTERESTS: [Interest; 4] = [
    Interest::READABLE,
    Interest::WRITABLE,
    Interest::PRIORITY,
    Interest::ERROR,
];

/// One source's bits and waiters: events, looks, clears with what older looks saw, waits, waits that are given up, and the end.
///
/// # Panics
///
/// At the first difference.
pub fn readiness(bytes: &[u8]) {
    let mut bytes = bytes.iter().copied();
    let datagram = bytes.next().is_some_and(|byte| byte % 2 == 1);
    let source = Source::new(if datagram { Kind::Datagram } else { Kind::Stream });
    let (mut bits, mut events, mut down) = (Ready::EMPTY, 0usize, false);
    // Looks that were made: what they saw, and after how many events.
    let mut looks: Vec<(Seen, usize)> = Vec::new();
    let mut keys = vec![Key::READER, Key::WRITER];
    // Who waits: for what, and how often its waker should have been woken.
    let mut waiting: BTreeMap<usize, Ready> = BTreeMap::new();
    let mut wakers: Vec<(Arc<Count>, usize)> = Vec::new();
    let mut waker_of: BTreeMap<usize, usize> = BTreeMap::new();
    while let (Some(op), Some(value)) = (bytes.next(), bytes.next()) {
        let value = usize::from(value);
        match op % 6 {
            0 => {
                let event = EVENTS[value % EVENTS.len()];
                let mut told = event;
                if datagram {
                    // An error of a datagram is news for both directions, and closes none.
                    if event == Ready::ERROR || event == Ready::READ_CLOSED || event == Ready::WRITE_CLOSED {
                        told |= Ready::READABLE | Ready::WRITABLE;
                    }
                    told = told - Ready::CLOSED;
                }
                let mut woken = Vec::new();
                source.set(event, &mut woken);
                woken.into_iter().for_each(Waker::wake);
                bits |= told;
                events += 1;
                wake(&mut waiting, &mut wakers, &waker_of, |wants| !(wants & told).is_empty());
            }
            1 => {
                let interest = INTERESTS[value % INTERESTS.len()];
                let seen = source.look(interest);
                assert_eq!(seen.ready, bits & interest.satisfied_by());
                assert_eq!((seen.shutdown, seen.may_try()), (down, down || !seen.ready.is_empty()));
                looks.push((seen, events));
            }
            2 => {
                let Some(&(seen, then)) = looks.get(value % looks.len().max(1)) else {
                    continue;
                };
                source.clear(seen);
                if then == events {
                    bits = bits - (seen.ready - Ready::CLOSED);
                }
            }
            3 => {
                let interest = INTERESTS[value / 8 % 2];
                if value % 3 == 0 && keys.len() < 12 {
                    keys.push(source.new_key());
                }
                let place = value % keys.len();
                let counter = Arc::new(Count(AtomicUsize::new(0)));
                wakers.push((counter.clone(), 0));
                let answer = source.wait(keys[place], interest, &Waker::from(counter));
                let now = bits & interest.satisfied_by();
                assert_eq!(answer.is_some(), down || !now.is_empty());
                if let Some(seen) = answer {
                    assert_eq!(seen.ready, now);
                    waiting.remove(&place);
                } else {
                    waiting.insert(place, interest.satisfied_by());
                    waker_of.insert(place, wakers.len() - 1);
                }
            }
            4 => {
                let place = value % keys.len();
                source.forget(keys[place]);
                waiting.remove(&place);
            }
            _ if value % 16 == 0 && !down => {
                let mut woken = Vec::new();
                source.shut_down(&mut woken);
                woken.into_iter().for_each(Waker::wake);
                down = true;
                wake(&mut waiting, &mut wakers, &waker_of, |_| true);
            }
            _ => {}
        }
        assert_eq!(source.waiting(), waiting.len());
        for (index, (counter, expected)) in wakers.iter().enumerate() {
            assert_eq!(counter.0.load(Ordering::Relaxed), *expected, "wakes of waiter {index}");
            // A waker that does not wait any more is held by nobody.
            let held = waiting.keys().any(|place| waker_of[place] == index);
            assert_eq!(
                Arc::strong_count(counter),
                1 + usize::from(held),
                "clones of waiter {index}"
            );
        }
    }
}

fn wake(
    waiting: &mut BTreeMap<usize, Ready>,
    wakers: &mut [(Arc<Count>, usize)],
    waker_of: &BTreeMap<usize, usize>,
    wants: impl Fn(Ready) -> bool,
) {
    waiting.retain(|place, interest| {
        let woken = wants(*interest);
        wakers[waker_of[place]].1 += usize::from(woken);
        !woken
    });
}

/// The table of sources: a token finds its own value or nothing, whoever has the slot now.
///
/// # Panics
///
/// At the first difference.
pub fn slab(bytes: &[u8]) {
    let mut bytes = bytes.iter().copied();
    let mut slab = Slab::new();
    let mut model: HashMap<usize, usize> = HashMap::new();
    let (mut tokens, mut made) = (Vec::new(), 0);
    while let (Some(op), Some(value)) = (bytes.next(), bytes.next()) {
        let token = tokens.get(usize::from(value) % tokens.len().max(1)).copied();
        match (op % 8, token) {
            (0..=3, _) => {
                let token = slab.insert(made).expect("it is not full");
                assert!(!tokens.contains(&token), "token {token:#x} was given out before");
                assert_ne!(token, usize::MAX);
                tokens.push(token);
                model.insert(token, made);
                made += 1;
            }
            (4 | 5, Some(token)) => assert_eq!(slab.remove(token), model.remove(&token)),
            (6, Some(token)) => assert_eq!(slab.get(token), model.get(&token)),
            (7, _) if value == 0 => {
                let mut all = slab.take_all();
                all.sort_unstable();
                let mut expected: Vec<usize> = model.drain().map(|(_, value)| value).collect();
                expected.sort_unstable();
                assert_eq!(all, expected);
            }
            _ => {}
        }
        for token in &tokens {
            assert_eq!(slab.get(*token), model.get(token));
        }
    }
}
