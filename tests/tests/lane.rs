//! Lanes: one task at a time, first in, first out, whatever the number of workers and wherever the tasks were spawned.

use filch::runtime::{Builder, Runtime};
use filch::sync::oneshot;
use filch::task::yield_now;
use filch::time::{Instant, sleep};
use filch::{Lane, task::JoinHandle};
use filch_tests::{Gate, Log, OnDrop, current, eventually, lock, multi, within};
use std::collections::HashSet;
use std::future::{pending, poll_fn};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Wake, Waker};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

const WORKERS: [usize; 4] = [1, 2, 4, 8];

/// With a clock that stands; 0 workers mean a current_thread runtime.
fn paused(workers: usize) -> Runtime {
    let mut builder = match workers {
        0 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder
        .worker_threads(workers.max(1))
        .start_paused(true)
        .build()
        .expect("a runtime")
}

// --- the example that lanes are for ------------------------------------------------------------------------------------------

type Story = Arc<Log<(String, Duration)>>;

/// C1 sleeps for a second, C2 for two.
fn tell(lane: &Lane, begin: Instant, story: &Story) -> Vec<JoinHandle<()>> {
    let tell = |(name, seconds)| {
        let story = story.clone();
        lane.spawn(async move {
            story.push((format!("{name}: start"), begin.elapsed()));
            sleep(SECOND * seconds).await;
            story.push((format!("{name}: stop"), begin.elapsed()));
        })
    };
    [("C1", 1), ("C2", 2)].map(tell).into()
}

#[track_caller]
fn assert_told(story: &Story) {
    let expected = [("C1: start", 0), ("C2: start", 0), ("C1: stop", 1), ("C2: stop", 2)];
    let expected = expected.map(|(text, seconds)| (text.to_string(), SECOND * seconds));
    assert_eq!(story.get(), expected);
}

async fn all(tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        task.await.expect("no panic");
    }
}

/// A thousand runs for each number of workers and each place.
fn thousand(run: impl Fn(&Runtime, &Story) + Send + 'static) {
    within(move || {
        for workers in [0].into_iter().chain(WORKERS) {
            let runtime = paused(workers);
            for _ in 0..1_000 {
                let story = Log::new();
                run(&runtime, &story);
                assert_told(&story);
            }
        }
    });
}

#[test]
fn c1_and_c2_spawned_before_the_run() {
    thousand(|runtime, story| {
        let begin = runtime.block_on(async { Instant::now() });
        // Time stands as long as nobody is in `block_on`.
        let tasks = tell(&runtime.lane(), begin, story);
        runtime.block_on(all(tasks));
    });
}

#[test]
fn c1_and_c2_spawned_by_main() {
    thousand(|runtime, story| {
        runtime.block_on(async { all(tell(&filch::lane(), Instant::now(), story)).await });
    });
}

#[test]
fn c1_and_c2_spawned_by_a_task() {
    thousand(|runtime, story| {
        let story = story.clone();
        runtime.block_on(async {
            let task = filch::spawn(async move { all(tell(&filch::lane(), Instant::now(), &story)).await });
            task.await.expect("no panic");
        });
    });
}

#[test]
fn c1_and_c2_spawned_by_a_foreign_thread() {
    thousand(|runtime, story| {
        runtime.block_on(async {
            let (lane, begin) = (filch::lane(), Instant::now());
            // Main blocks until the thread has spawned both: a sleeping main would let time pass between the two.
            let tasks = std::thread::scope(|scope| scope.spawn(|| tell(&lane, begin, story)).join());
            all(tasks.expect("no panic")).await;
        });
    });
}

/// Two hundred seeds, among other tasks that the generator mixes in.
#[test]
fn c1_and_c2_in_the_deterministic_runtime() {
    within(|| {
        for seed in 0..200 {
            let runtime = Builder::new_multi_thread()
                .worker_threads(1 + seed as usize % 4)
                .deterministic(seed)
                .build()
                .expect("a runtime");
            let story: Story = Log::new();
            runtime.block_on(async {
                for _ in 0..5 {
                    filch::spawn(async {
                        for _ in 0..10 {
                            yield_now().await;
                        }
                    });
                }
                all(tell(&filch::lane(), Instant::now(), &story)).await;
            });
            assert_told(&story);
            let sim = runtime.handle().sim().expect("a deterministic runtime");
            assert!(sim.is_deterministic(), "nothing foreign took part");
        }
    });
}

// --- order -------------------------------------------------------------------------------------------------------------------

fn runtimes() -> impl Iterator<Item = Runtime> {
    std::iter::once(current()).chain(WORKERS.map(multi))
}

#[test]
fn ten_thousand_tasks_start_in_order_and_go_on_in_order() {
    within(|| {
        for runtime in runtimes() {
            let log = Log::new();
            runtime.block_on(async {
                let lane = filch::lane();
                let tasks = (0..10_000).map(|number| {
                    let log = log.clone();
                    lane.spawn(async move {
                        log.push((0, number));
                        yield_now().await;
                        log.push((1, number));
                    })
                });
                all(tasks.collect()).await;
            });
            for round in 0..2 {
                let numbers = log.get().into_iter().filter(|(which, _)| *which == round);
                assert!(numbers.map(|(_, number)| number).eq(0..10_000), "round {round}");
            }
        }
    });
}

#[test]
fn two_that_yield_take_turns() {
    within(|| {
        for runtime in runtimes() {
            let log = Log::new();
            let entries = log.clone();
            runtime.block_on(async {
                // Both are there before either starts.
                let (lane, log) = (filch::lane(), entries);
                let inner = lane.clone();
                let outer = lane.spawn(async move {
                    let tasks = ["A", "B"].map(|name| {
                        let log = log.clone();
                        inner.spawn(async move {
                            for round in 1..=3 {
                                log.push(format!("{name}{round}"));
                                yield_now().await;
                            }
                        })
                    });
                    all(tasks.into()).await;
                });
                outer.await.expect("no panic");
            });
            assert_eq!(log.get(), ["A1", "B1", "A2", "B2", "A3", "B3"]);
        }
    });
}

/// Those that wait go on in the order of their wakes, not of their spawning.
#[test]
fn the_order_of_wakes_is_the_order_of_polls() {
    within(|| {
        for runtime in runtimes() {
            for round in 0..50 {
                let log = Log::new();
                runtime.block_on(async {
                    let lane = filch::lane();
                    let (mut senders, mut tasks) = (Vec::new(), Vec::new());
                    for number in 0..20 {
                        let (sender, receiver) = oneshot::channel::<()>();
                        senders.push((number, sender));
                        let log = log.clone();
                        tasks.push(lane.spawn(async move {
                            receiver.await.expect("it is sent");
                            log.push(number);
                        }));
                    }
                    // Behind all of them, so they wait now.
                    lane.spawn(async {}).await.expect("no panic");
                    senders.rotate_left(round % 20);
                    let (first, second) = senders.split_at_mut(10);
                    first.swap_with_slice(second);
                    let order: Vec<_> = senders.iter().map(|(number, _)| *number).collect();
                    for (_, sender) in senders {
                        sender.send(()).expect("it waits");
                    }
                    all(tasks).await;
                    assert_eq!(log.get(), order);
                });
            }
        }
    });
}

// --- one at a time -----------------------------------------------------------------------------------------------------------

/// Keeps a worker from its other tasks for a little.
fn compute() {
    for _ in 0..200 {
        std::hint::spin_loop();
    }
}

#[test]
fn never_two_at_a_time_while_thieves_are_at_work() {
    within(|| {
        for workers in WORKERS {
            let runtime = multi(workers);
            let threads = Arc::new(Mutex::new(HashSet::new()));
            runtime.block_on(async {
                let mut tasks = Vec::new();
                for _ in 0..6 {
                    let lane = filch::lane();
                    let busy = Arc::new(AtomicBool::new(false));
                    for _ in 0..60 {
                        let (busy, threads) = (busy.clone(), threads.clone());
                        tasks.push(lane.spawn(async move {
                            for round in 0..30 {
                                assert!(!busy.swap(true, Ordering::Relaxed), "two at a time");
                                compute();
                                lock(&threads).insert(std::thread::current().id());
                                busy.store(false, Ordering::Relaxed);
                                match round % 3 {
                                    0 => yield_now().await,
                                    1 => filch::spawn(async { compute() }).await.expect("no panic"),
                                    _ => sleep(Duration::from_micros(10)).await,
                                }
                            }
                        }));
                    }
                    tasks.push(filch::spawn(async {
                        for _ in 0..500 {
                            compute();
                            yield_now().await;
                        }
                    }));
                }
                all(tasks).await;
            });
            // On a busy machine a spare may have taken over.
            let spares = runtime.metrics().spare_takeover_count();
            assert!(lock(&threads).len() <= workers + spares);
        }
    });
}

/// A counter that every task reads and writes in two steps, without a lock.
#[test]
fn what_stands_between_two_awaits_is_atomic() {
    within(|| {
        for workers in WORKERS {
            let runtime = multi(workers);
            let sum = Arc::new(AtomicU32::new(0));
            runtime.block_on(async {
                let lane = filch::lane();
                let tasks = (0..300).map(|_| {
                    let sum = sum.clone();
                    lane.spawn(async move {
                        for _ in 0..20 {
                            let before = sum.load(Ordering::Relaxed);
                            compute();
                            sum.store(before + 1, Ordering::Relaxed);
                            yield_now().await;
                        }
                    })
                });
                let tasks = tasks.collect();
                // Something to steal, so that the lane moves.
                let noise = filch::spawn(async {
                    for _ in 0..2_000 {
                        drop(filch::spawn(async { compute() }));
                        yield_now().await;
                    }
                });
                all(tasks).await;
                noise.await.expect("no panic");
            });
            assert_eq!(sum.load(Ordering::Relaxed), 300 * 20);
        }
    });
}

/// A task of each of two lanes waits in its poll for the other.
#[test]
fn different_lanes_run_in_parallel() {
    within(|| {
        let runtime = multi(2);
        let (left, right) = (Gate::new(), Gate::new());
        runtime.block_on(async {
            let tasks = [(left.clone(), right.clone()), (right, left)].map(|(mine, other)| {
                filch::lane().spawn(async move {
                    mine.open();
                    other.wait();
                })
            });
            all(tasks.into()).await;
        });
    });
}

/// A lane is tied to no thread: while one worker is held up, another goes on with it.
#[test]
fn a_lane_moves_to_another_worker() {
    within(|| {
        let runtime = multi(2);
        runtime.block_on(async {
            let (lane, threads) = (filch::lane(), Arc::new(Mutex::new(HashSet::new())));
            let (seen, stop) = (threads.clone(), Arc::new(AtomicBool::new(false)));
            let over = stop.clone();
            let task = lane.spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    lock(&seen).insert(std::thread::current().id());
                    // Behind the lane in the queue: something that holds its worker up.
                    filch::spawn(async { std::thread::sleep(Duration::from_millis(3)) });
                    sleep(Duration::from_micros(100)).await;
                }
            });
            filch::task::spawn_blocking(move || eventually("the lane has moved", || lock(&threads).len() == 2))
                .await
                .expect("it moves");
            stop.store(true, Ordering::Relaxed);
            task.await.expect("no panic");
        });
    });
}

/// A lane that always has something to do leaves time for others, for sockets and timers.
#[test]
fn a_lane_that_never_rests_starves_nobody() {
    within(|| {
        for runtime in [current(), multi(1), multi(2)] {
            runtime.block_on(async {
                let (lane, stop) = (filch::lane(), Arc::new(AtomicBool::new(false)));
                let tasks: Vec<_> = (0..3)
                    .map(|_| {
                        let stop = stop.clone();
                        lane.spawn(async move {
                            while !stop.load(Ordering::Relaxed) {
                                yield_now().await;
                            }
                        })
                    })
                    .collect();
                for _ in 0..20 {
                    filch::spawn(async {}).await.expect("no panic");
                    sleep(Duration::from_millis(1)).await;
                    filch::lane().spawn(async {}).await.expect("no panic");
                }
                stop.store(true, Ordering::Relaxed);
                all(tasks).await;
            });
        }
    });
}

// --- ends --------------------------------------------------------------------------------------------------------------------

#[test]
fn an_empty_lane_keeps_no_task_alive() {
    within(|| {
        for runtime in runtimes() {
            let lane = runtime.lane();
            for _ in 0..100 {
                runtime.block_on(async {
                    lane.spawn(async {}).await.expect("no panic");
                    // Its driver sees that next.
                    while filch::runtime::Handle::current().metrics().num_alive_tasks() > 0 {
                        yield_now().await;
                    }
                });
                assert!(lane.is_empty());
            }
            drop(runtime);
        }
    });
}

#[test]
fn tasks_run_on_when_the_last_lane_is_dropped() {
    within(|| {
        for runtime in runtimes() {
            runtime.block_on(async {
                let lane = filch::lane();
                let (sender, receiver) = oneshot::channel::<()>();
                let task = lane.spawn(async move { receiver.await.expect("it is sent") });
                lane.spawn(async {}).await.expect("no panic");
                drop(lane);
                yield_now().await;
                sender.send(()).expect("it waits");
                task.await.expect("no panic");
            });
        }
    });
}

#[test]
fn a_panic_leaves_the_others_alone() {
    within(|| {
        for runtime in runtimes() {
            runtime.block_on(async {
                let lane = filch::lane();
                let tasks: Vec<_> = (0..30)
                    .map(|number| {
                        lane.spawn(async move {
                            yield_now().await;
                            assert!(number % 3 != 0, "planned");
                            yield_now().await;
                            number
                        })
                    })
                    .collect();
                for (number, task) in tasks.into_iter().enumerate() {
                    match task.await {
                        Ok(value) => assert_eq!((value, number % 3 != 0), (number, true)),
                        Err(error) => assert!(error.is_panic() && number % 3 == 0),
                    }
                }
            });
        }
    });
}

/// An abort from outside drops the future on a thread of the runtime, in the lane's turn, and never inside the call.
#[test]
fn an_aborted_task_is_dropped_by_its_lane() {
    within(|| {
        for workers in WORKERS {
            let runtime = multi(workers);
            let (lane, dropped) = (runtime.lane(), Log::new());
            let tasks: Vec<_> = (0..100)
                .map(|_| {
                    let dropped = dropped.clone();
                    let guard = OnDrop(move || dropped.push(std::thread::current().id()));
                    lane.spawn(async move {
                        let _guard = guard;
                        pending::<()>().await;
                    })
                })
                .collect();
            for task in &tasks {
                task.abort();
            }
            for task in tasks {
                let error = runtime.block_on(task).expect_err("it never ends");
                assert!(error.is_cancelled());
            }
            assert_eq!(dropped.get().len(), 100);
            assert!(!dropped.get().contains(&std::thread::current().id()));
            assert!(lane.is_empty());
        }
    });
}

/// The end of the runtime drops the tasks of its lanes, those that wait and those that are ready; later spawns are cancelled.
#[test]
fn the_end_of_the_runtime_ends_its_lanes() {
    within(|| {
        for runtime in runtimes() {
            let lanes: Vec<_> = (0..10).map(|_| runtime.lane()).collect();
            let dropped = Arc::new(AtomicUsize::new(0));
            let mut tasks = Vec::new();
            for lane in &lanes {
                for number in 0..10 {
                    let (count, again) = (dropped.clone(), lane.clone());
                    let guard = OnDrop(move || {
                        count.fetch_add(1, Ordering::Relaxed);
                        // Refused: the lane is closed.
                        drop(again.spawn(async {}));
                    });
                    tasks.push(lane.spawn(async move {
                        let _guard = guard;
                        if number % 2 == 0 {
                            loop {
                                yield_now().await;
                            }
                        }
                        pending::<()>().await;
                    }));
                }
            }
            runtime.block_on(async { sleep(Duration::from_millis(1)).await });
            drop(runtime);
            assert_eq!(dropped.load(Ordering::Relaxed), 100);
            assert!(lanes.iter().all(Lane::is_empty));
            let late = lanes[0].spawn(async {});
            let other = current();
            for task in tasks.into_iter().chain([late]) {
                assert!(task.is_finished());
                assert!(other.block_on(task).expect_err("it is over").is_cancelled());
            }
        }
    });
}

/// Wakers of a lane's tasks outlive everything.
#[test]
fn wakes_after_the_end_mean_nothing() {
    within(|| {
        for runtime in runtimes() {
            let wakers = Log::new();
            let lane = runtime.lane();
            for _ in 0..10 {
                let wakers = wakers.clone();
                lane.spawn(poll_fn(move |cx| {
                    wakers.push(cx.waker().clone());
                    Poll::<()>::Pending
                }));
            }
            runtime.block_on(async { lane.spawn(async {}).await.expect("no panic") });
            drop(runtime);
            drop(lane);
            assert_eq!(wakers.get().len(), 10);
            wakers.get().into_iter().for_each(Waker::wake);
        }
    });
}

/// Threads spawn onto, wake and abort what is in a lane while its runtime ends: each future is dropped once, each handle resolves.
#[test]
fn spawns_wakes_and_aborts_beside_the_end() {
    within(|| {
        for round in 0..150 {
            let runtime = multi(1 + round % 3);
            let (lane, dropped) = (runtime.lane(), Arc::new(AtomicUsize::new(0)));
            let threads: Vec<_> = (0..3)
                .map(|_| {
                    let (lane, dropped) = (lane.clone(), dropped.clone());
                    std::thread::spawn(move || {
                        let place = Arc::new(Mutex::new(None::<Waker>));
                        let mut handles = Vec::new();
                        for number in 0..60 {
                            let (count, place) = (dropped.clone(), place.clone());
                            let wakers = place.clone();
                            let guard = OnDrop(move || {
                                count.fetch_add(1, Ordering::Relaxed);
                            });
                            handles.push(lane.spawn(async move {
                                let _guard = guard;
                                poll_fn(move |cx| {
                                    *lock(&place) = Some(cx.waker().clone());
                                    Poll::<()>::Pending
                                })
                                .await;
                            }));
                            let waker = lock(&wakers).clone();
                            if let Some(waker) = waker {
                                waker.wake();
                            }
                            if number % 3 == 0 {
                                handles[number / 2].abort();
                            }
                        }
                        handles
                    })
                })
                .collect();
            std::thread::sleep(Duration::from_micros(50 * (round as u64 % 20)));
            drop(runtime);
            let other = current();
            for thread in threads {
                for handle in thread.join().expect("no panic") {
                    assert!(other.block_on(handle).expect_err("they never end").is_cancelled());
                }
            }
            assert_eq!(dropped.load(Ordering::Relaxed), 180);
        }
    });
}

// --- the deterministic runtime -----------------------------------------------------------------------------------------------

/// What a step wakes together goes on in an order that the run's own history decides, not the order of a hash map.
#[test]
fn a_seed_repeats_what_lanes_do() {
    /// Wakes all of its wakers, in the order of a hash map.
    struct All(Mutex<std::collections::HashMap<usize, Waker>>);
    impl Wake for All {
        fn wake(self: Arc<Self>) {
            let wakers: Vec<_> = lock(&self.0).drain().collect();
            wakers.into_iter().for_each(|(_, waker)| waker.wake());
        }
    }
    let run = |seed| {
        let runtime = Builder::new_multi_thread()
            .deterministic(seed)
            .build()
            .expect("a runtime");
        let log = Log::new();
        runtime.block_on(async {
            let (lane, bell) = (filch::lane(), Arc::new(All(Mutex::default())));
            let tasks: Vec<_> = (0..12)
                .map(|number| {
                    let (log, bell) = (log.clone(), bell.clone());
                    lane.spawn(async move {
                        let mut rung = false;
                        poll_fn(|cx| match std::mem::replace(&mut rung, true) {
                            false => {
                                lock(&bell.0).insert(number, cx.waker().clone());
                                Poll::Pending
                            }
                            true => Poll::Ready(()),
                        })
                        .await;
                        log.push(number);
                    })
                })
                .collect();
            while lock(&bell.0).len() < 12 {
                yield_now().await;
            }
            Waker::from(bell).wake();
            all(tasks).await;
        });
        let sim = runtime.handle().sim().expect("a deterministic runtime");
        (log.get(), sim.trace(), sim.is_deterministic())
    };
    within(move || {
        for seed in 0..50 {
            let (order, trace, deterministic) = run(seed);
            assert!(deterministic);
            assert_eq!(order, (0..12).collect::<Vec<_>>());
            assert_eq!(run(seed), (order, trace, true), "seed {seed}");
        }
    });
}

/// A thread that is not the simulation's takes part in a lane: the run says that the seed did not decide everything.
#[test]
fn a_foreign_wake_of_a_lanes_task_is_noticed() {
    within(|| {
        let runtime = Builder::new_multi_thread().deterministic(1).build().expect("a runtime");
        runtime.block_on(async {
            let lane = filch::lane();
            let (sender, receiver) = oneshot::channel::<()>();
            let task = lane.spawn(async move { receiver.await.expect("it is sent") });
            let waits = lane.spawn(async { yield_now().await });
            waits.await.expect("no panic");
            // The lane's driver is awake, so the wake reaches the lane and nothing else.
            let busy = lane.spawn(async {
                for _ in 0..100 {
                    yield_now().await;
                }
            });
            std::thread::spawn(move || sender.send(()))
                .join()
                .expect("no panic")
                .expect("it waits");
            task.await.expect("no panic");
            busy.await.expect("no panic");
        });
        let sim = runtime.handle().sim().expect("a deterministic runtime");
        assert!(!sim.is_deterministic());
    });
}

/// A run ends while another thread makes lanes and gives each a task: it is refused, or what it shields goes on to its end.
#[test]
fn lanes_that_are_made_while_the_run_ends() {
    within(|| {
        for _ in 0..10 {
            let (begun, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let (begins, ends) = (begun.clone(), ended.clone());
            let mut maker = None;
            let made = &mut maker;
            filch::run(async move {
                // So many that their end takes a while.
                let lanes: Vec<_> = (0..3000).map(|_| filch::lane()).collect();
                lanes.iter().for_each(|lane| drop(lane.spawn(pending::<()>())));
                let handle = filch::runtime::Handle::current();
                let make = move || {
                    loop {
                        let (begins, ends) = (begins.clone(), ends.clone());
                        let task = handle.lane().spawn(async move {
                            begins.fetch_add(1, Ordering::SeqCst);
                            filch::shield(sleep(Duration::from_millis(2))).await;
                            ends.fetch_add(1, Ordering::SeqCst);
                        });
                        if task.is_finished() {
                            break;
                        }
                        std::thread::sleep(Duration::from_micros(30));
                    }
                };
                *made = Some(std::thread::spawn(make));
                sleep(Duration::from_millis(5)).await;
            });
            maker.expect("a thread").join().expect("no panic");
            assert_eq!(begun.load(Ordering::SeqCst), ended.load(Ordering::SeqCst));
        }
    });
}
