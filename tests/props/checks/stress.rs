//! The real deque with real threads: what the models only mock.

use crate::shim::deque::{Local, Steal};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// An owner that pushes `values` numbers in bursts and pops some of them, and `thieves` that steal in batches: every number comes out once. Gives how
/// many were stolen.
///
/// # Panics
///
/// If a number comes out twice or never, or if one thief gets numbers of one batch out of order.
pub fn deque(values: usize, thieves: usize, burst: usize) -> usize {
    let local = Local::new();
    let seen: Vec<AtomicUsize> = (0..values).map(|_| AtomicUsize::new(0)).collect();
    let (done, stolen) = (AtomicBool::new(false), AtomicUsize::new(0));
    let take = |value: usize| {
        assert_eq!(seen[value].fetch_add(1, Ordering::Relaxed), 0, "{value} came out twice");
    };
    thread::scope(|scope| {
        for _ in 0..thieves {
            let stealer = local.stealer();
            let (done, stolen, take) = (&done, &stolen, &take);
            scope.spawn(move || {
                let own = Local::new();
                // Read before the attempt: the last push comes before it is set.
                loop {
                    let last = done.load(Ordering::Acquire);
                    match stealer.steal_batch(&own, 64) {
                        Steal::Success => {
                            let mut before = None;
                            while let Some(value) = own.pop() {
                                assert!(before.is_none_or(|before| before < value), "a batch out of order");
                                before = Some(value);
                                take(value);
                                stolen.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                        Steal::Retry => {}
                        Steal::Empty if last => break,
                        Steal::Empty => thread::yield_now(),
                    }
                }
            });
        }
        let mut next = 0;
        while next < values {
            for _ in 0..burst.min(values - next) {
                local.push(next);
                next += 1;
            }
            for _ in 0..burst / 2 {
                local.pop().into_iter().for_each(take);
            }
        }
        while let Some(value) = local.pop() {
            take(value);
        }
        done.store(true, Ordering::Release);
    });
    let missing = seen.iter().filter(|seen| seen.load(Ordering::Relaxed) != 1).count();
    assert_eq!(missing, 0, "{missing} numbers never came out");
    stolen.into_inner()
}

/// A thief that takes one number after the other from an owner that puts back as much: neither hinders the other for ever.
///
/// # Panics
///
/// If a number is lost.
pub fn lone_thief(values: usize) {
    let local = Local::new();
    let (stealer, own) = (local.stealer(), Local::new());
    let (mut pushed, mut taken) = (0, 0);
    thread::scope(|scope| {
        let thief = scope.spawn(move || {
            let mut taken = 0;
            while taken < values {
                match stealer.steal_batch(&own, 1) {
                    Steal::Success => taken += std::iter::from_fn(|| own.pop()).count(),
                    Steal::Retry => std::hint::spin_loop(),
                    Steal::Empty => thread::yield_now(),
                }
            }
            taken
        });
        while !thief.is_finished() {
            if local.len() < 4 {
                local.push(pushed);
                pushed += 1;
            } else if pushed % 3 == 0 {
                taken += usize::from(local.pop().is_some());
            } else {
                thread::yield_now();
            }
        }
        taken += thief.join().expect("the thief ends");
    });
    taken += std::iter::from_fn(|| local.pop()).count();
    assert_eq!(pushed, taken);
}
