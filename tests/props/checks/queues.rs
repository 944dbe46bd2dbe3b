//! The queues, by one thread, against ordinary lists. What several threads do to them is for models and stress tests.

use super::bytes::Bytes;
use crate::blocking::Nowhere;
use crate::scheduler::inbox::Inbox;
use crate::shim::deque::{Local, Steal};
use crate::task::JoinHandle;
use crate::task::raw::{self, Runnable};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::Location;
use std::rc::Rc;

/// A task that notes its number when it is run.
fn numbered(number: usize, ran: &Rc<RefCell<Vec<usize>>>) -> Runnable {
    let ran = ran.clone();
    let (task, join) = raw::new(
        async move { ran.borrow_mut().push(number) },
        Nowhere,
        Location::caller(),
    );
    drop(JoinHandle::new(join));
    task
}

/// The inbox gives each task once, in order, and a fair part at a time.
///
/// # Panics
///
/// At the first difference.
pub fn inbox(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let Some(workers) = bytes.below(9) else { return };
    let inbox = Inbox::new(workers + 1);
    // This thread has one shard, whichever it is, so the model is one list.
    let (mut model, mut made) = (VecDeque::new(), 0);
    // How many the chains have, the oldest first.
    let mut chains: VecDeque<usize> = VecDeque::new();
    let ran = Rc::default();
    while let Some(op) = bytes.next() {
        if op < 160 {
            for _ in 0..=op % 5 {
                inbox.push(numbered(made, &ran));
                model.push_back(made);
                made += 1;
                match chains.back_mut() {
                    Some(chain) if *chain < 64 => *chain += 1,
                    _ => chains.push_back(1),
                }
            }
        } else {
            let (Some(turn), Some(sharers)) = (bytes.next(), bytes.below(8)) else {
                break;
            };
            let mut batch = Vec::new();
            let found = inbox.take(usize::from(turn), sharers + 1, |task| batch.push(task));
            let part = model.len().div_ceil(sharers + 1).min(64);
            let first = chains.front().copied().unwrap_or(0);
            let expected = match model.len() {
                16.. if part > 1 => first,
                _ => part.min(first),
            };
            if let Some(chain) = chains.front_mut() {
                *chain -= expected;
            }
            chains.retain(|chain| *chain > 0);
            assert_eq!(found, expected > 0);
            assert_eq!(batch.len(), expected);
            batch.into_iter().for_each(Runnable::run);
            let expected: Vec<usize> = model.drain(..expected).collect();
            assert_eq!(ran.take(), expected);
        }
        assert_eq!(inbox.len(), model.len());
        assert_eq!(inbox.is_empty(), model.is_empty());
    }
    while inbox.take(0, 1, Runnable::run) {}
    assert_eq!(ran.take(), Vec::from(model));
}

/// The workers' queues, stolen from in all directions, give each value once and each victim's in order.
///
/// # Panics
///
/// At the first difference.
pub fn local_queue(bytes: &[u8]) {
    const WORKERS: usize = 3;
    let mut bytes = Bytes::new(bytes);
    let queues: [Local<usize>; WORKERS] = std::array::from_fn(|_| Local::new());
    let stealers = queues.each_ref().map(Local::stealer);
    let mut models: [VecDeque<usize>; WORKERS] = Default::default();
    let mut made = 0;
    while let Some(op) = bytes.next() {
        let worker = usize::from(op) % WORKERS;
        match op / 64 {
            0 | 1 => {
                for _ in 0..=op % 7 {
                    queues[worker].push(made);
                    models[worker].push_back(made);
                    made += 1;
                }
            }
            2 => assert_eq!(queues[worker].pop(), models[worker].pop_front()),
            _ => {
                let (Some(victim), Some(limit)) = (bytes.below(WORKERS), bytes.below(70)) else {
                    break;
                };
                if victim == worker {
                    continue;
                }
                let limit = limit + 1;
                let before = models[victim].len();
                match stealers[victim].steal_batch(&queues[worker], limit) {
                    Steal::Empty => assert_eq!(before, 0),
                    Steal::Retry => unreachable!("nobody else is there"),
                    Steal::Success => {
                        let stolen = queues[worker].len() - models[worker].len();
                        assert!(
                            stolen >= 1 && stolen <= limit && stolen <= before.div_ceil(2),
                            "{stolen} of {before}"
                        );
                        let taken: Vec<usize> = models[victim].drain(..stolen).collect();
                        models[worker].extend(taken);
                    }
                }
            }
        }
        for worker in 0..WORKERS {
            assert_eq!(queues[worker].len(), models[worker].len());
            assert_eq!(stealers[worker].is_empty(), models[worker].is_empty());
        }
    }
    for (queue, model) in queues.iter().zip(models) {
        let left: Vec<usize> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(left, Vec::from(model));
    }
}
