//! P4: tasks that one task spawns start in the order of spawning, on one queue. With one worker, or on the current thread, that is the whole
//! order; with more, a thief may take older ones and start them elsewhere at the same time, but no worker ever starts a younger one
//! before an older one that it has too.

use filch::runtime::Runtime;
use filch::task::yield_now;
use filch_tests::{Gate, Log, current, multi, within};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::ThreadId;

/// The order in which `count` children of one task start, with the threads that start them.
fn starts(runtime: &Runtime, count: usize) -> Vec<(usize, ThreadId)> {
    let log = Log::new();
    let entries = log.clone();
    runtime.block_on(async move {
        filch::spawn(async move {
            let children: Vec<_> = (0..count)
                .map(|number| {
                    let entries = entries.clone();
                    filch::spawn(async move {
                        entries.push((number, std::thread::current().id()));
                        if number % 3 == 0 {
                            yield_now().await;
                        }
                    })
                })
                .collect();
            for child in children {
                child.await.expect("no panic");
            }
        })
        .await
        .expect("no panic");
    });
    log.get()
}

#[track_caller]
fn assert_exact(starts: &[(usize, ThreadId)], count: usize) {
    let numbers: Vec<_> = starts.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (0..count).collect::<Vec<_>>());
}

#[test]
fn one_worker_starts_them_in_order() {
    within(|| {
        let runtime = multi(1);
        for count in [1, 2, 3, 10, 62, 1000] {
            assert_exact(&starts(&runtime, count), count);
        }
    });
}

#[test]
fn the_current_thread_starts_them_in_order() {
    within(|| {
        let runtime = current();
        for count in [1, 2, 3, 10, 62, 1000] {
            assert_exact(&starts(&runtime, count), count);
        }
    });
}

/// The order in which 500 tasks start that the future of `block_on` spawns.
fn starts_from_block_on(runtime: &Runtime) -> Vec<usize> {
    let log = Log::new();
    runtime.block_on(async {
        let children: Vec<_> = (0..500)
            .map(|number| {
                let log = log.clone();
                filch::spawn(async move { log.push(number) })
            })
            .collect();
        for child in children {
            child.await.expect("no panic");
        }
    });
    log.get()
}

#[test]
fn what_block_on_spawns_on_the_current_thread_starts_in_order() {
    within(|| assert_eq!(starts_from_block_on(&current()), (0..500).collect::<Vec<_>>()));
}

/// On a multi_thread runtime it comes from outside, and the inbox says that it keeps the order of a thread.
#[test]
fn what_block_on_spawns_onto_one_worker_starts_in_order() {
    within(|| assert_eq!(starts_from_block_on(&multi(1)), (0..500).collect::<Vec<_>>()));
}

/// A child that is woken does not overtake siblings that have not begun, except through the slot, which holds woken tasks only.
#[test]
fn a_spawned_task_does_not_jump_the_queue() {
    within(|| {
        let runtime = multi(1);
        let log = Log::new();
        let entries = log.clone();
        runtime.block_on(async move {
            filch::spawn(async move {
                let mut children = Vec::new();
                for number in 0..4 {
                    let entries = entries.clone();
                    children.push(filch::spawn(async move {
                        entries.push(format!("{number} begins"));
                        let inner = entries.clone();
                        let grandchild = filch::spawn(async move { inner.push(format!("child of {number}")) });
                        grandchild.await.expect("no panic");
                    }));
                }
                for child in children {
                    child.await.expect("no panic");
                }
            })
            .await
            .expect("no panic");
        });
        let expected: Vec<_> = (0..4)
            .map(|number| format!("{number} begins"))
            .chain((0..4).map(|number| format!("child of {number}")))
            .collect();
        assert_eq!(log.get(), expected);
    });
}

/// Tasks that yield take turns: each goes behind all others.
#[test]
fn yielding_goes_behind_the_others() {
    within(|| {
        for runtime in [multi(1), current()] {
            let log = Log::new();
            let entries = log.clone();
            runtime.block_on(async move {
                filch::spawn(async move {
                    let children: Vec<_> = (0..5)
                        .map(|number| {
                            let entries = entries.clone();
                            filch::spawn(async move {
                                for lap in 0..10 {
                                    entries.push((lap, number));
                                    yield_now().await;
                                }
                            })
                        })
                        .collect();
                    for child in children {
                        child.await.expect("no panic");
                    }
                })
                .await
                .expect("no panic");
            });
            let expected: Vec<_> = (0..10)
                .flat_map(|lap| (0..5).map(move |number| (lap, number)))
                .collect();
            assert_eq!(log.get(), expected);
        }
    });
}

/// With several workers each queue is in order, and what a worker takes out of another's queue is older than what it leaves there. So a worker
/// goes back to an older task only with what it has just stolen.
#[test]
fn each_of_several_workers_starts_its_part_in_order() {
    within(|| {
        for workers in [2, 4] {
            let runtime = multi(workers);
            let metrics = runtime.metrics();
            let stolen = || -> usize {
                (0..workers)
                    .map(|worker| metrics.worker_steal_count(worker) + metrics.worker_rescue_count(worker))
                    .sum()
            };
            for _ in 0..50 {
                let before = stolen();
                let starts = starts(&runtime, 300);
                assert_eq!(starts.len(), 300);
                let mut latest: HashMap<ThreadId, usize> = HashMap::new();
                let mut back = 0;
                for (number, thread) in starts {
                    back += usize::from(latest.insert(thread, number).is_some_and(|before| number < before));
                }
                let stolen = stolen() - before;
                assert!(
                    back <= stolen,
                    "{back} steps back with {stolen} batches taken from others"
                );
            }
        }
    });
}

/// The order in which a thief starts 30 tasks, whose owner goes on with none of them.
fn starts_by_a_thief(runtime: &Runtime, spins: usize) -> Vec<usize> {
    let log = Log::new();
    let last = Gate::new();
    let (entries, gate) = (log.clone(), last.clone());
    runtime.block_on(async move {
        filch::spawn(async move {
            for _ in 0..spins {
                std::hint::spin_loop();
            }
            let left = Arc::new(AtomicUsize::new(30));
            for number in 0..30 {
                let (entries, gate, left) = (entries.clone(), gate.clone(), left.clone());
                filch::spawn(async move {
                    entries.push(number);
                    if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                        gate.open();
                    }
                });
            }
            // This worker starts none of them.
            last.wait();
        })
        .await
        .expect("no panic");
    });
    log.get()
}

/// A thief takes from the old end: while the owner is inside a long poll, another worker starts the oldest first.
#[test]
fn a_thief_starts_the_oldest_first() {
    within(|| assert_eq!(starts_by_a_thief(&multi(2), 0), (0..30).collect::<Vec<_>>()));
}

/// The same, over and over, so that the thief is met wherever it may be on its way into its sleep.
#[test]
fn a_thief_that_was_about_to_sleep_starts_the_oldest_first() {
    within(|| {
        let runtime = multi(2);
        for round in 0..3000 {
            assert_eq!(
                starts_by_a_thief(&runtime, round),
                (0..30).collect::<Vec<_>>(),
                "in round {round}"
            );
        }
    });
}
