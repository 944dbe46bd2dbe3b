//! The deterministic runtime, attacked: what could decide besides the seed, and what could make it hang or end wrongly.

use filch::runtime::{Builder, Runtime};
use filch::sim::Slack;
use filch::task::JoinSet;
use filch::time::{Instant, sleep, timeout};
use filch_tests::within;
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn runtime(seed: u64) -> Runtime {
    Builder::new_multi_thread().deterministic(seed).build().unwrap()
}

/// What ten runs of `program` under one seed give, each on a thread of its own.
fn repeated<R: Send + 'static>(program: impl Fn() -> R + Send + Sync + 'static) -> Vec<R> {
    let program = Arc::new(program);
    let run = |_| {
        let program = program.clone();
        std::thread::spawn(move || program()).join().unwrap()
    };
    (0..10).map(run).collect()
}

#[track_caller]
fn assert_same<R: PartialEq + std::fmt::Debug>(runs: &[R]) {
    for run in runs {
        assert_eq!(run, &runs[0]);
    }
}

/// Notes when it is dropped.
struct Note(u32, Arc<Mutex<Vec<u32>>>);

impl Drop for Note {
    fn drop(&mut self) {
        self.1.lock().unwrap().push(self.0);
    }
}

#[test]
fn a_set_that_is_dropped_ends_its_tasks_as_the_seed_says() {
    assert_same(&repeated(|| {
        let order = Arc::new(Mutex::new(Vec::new()));
        let runtime = runtime(3);
        runtime.block_on(async {
            let mut set = JoinSet::new();
            for number in 0..20 {
                let note = Note(number, order.clone());
                set.spawn(async move {
                    pending::<()>().await;
                    drop(note);
                });
            }
            sleep(MS).await;
            drop(set);
            sleep(MS).await;
        });
        let seen = order.lock().unwrap().clone();
        assert_eq!(seen.len(), 20);
        (seen, runtime.handle().sim().unwrap().trace())
    }));
}

#[test]
fn outputs_that_nobody_takes_are_dropped_in_one_order() {
    assert_same(&repeated(|| {
        let order = Arc::new(Mutex::new(Vec::new()));
        runtime(3).block_on(async {
            let mut set = JoinSet::new();
            for number in 0..20 {
                let note = Note(number, order.clone());
                set.spawn(async move { note });
            }
            sleep(MS).await;
        });
        let seen = order.lock().unwrap().clone();
        assert_eq!(seen.len(), 20);
        seen
    }));
}

#[test]
fn the_order_in_which_one_step_wakes_does_not_matter() {
    // The watch channel wakes its receivers in an order that it draws from a generator of its own.
    assert_same(&repeated(|| {
        let runtime = runtime(3);
        let order = Arc::new(Mutex::new(Vec::new()));
        runtime.block_on(async {
            let (sender, receiver) = filch::sync::watch::channel(0);
            for number in 0..20 {
                let (mut receiver, order) = (receiver.clone(), order.clone());
                filch::spawn(async move {
                    receiver.changed().await.unwrap();
                    order.lock().unwrap().push(number);
                });
            }
            sleep(MS).await;
            sender.send(1).unwrap();
            sleep(MS).await;
        });
        let seen = order.lock().unwrap().clone();
        assert_eq!(seen.len(), 20);
        (seen, runtime.handle().sim().unwrap().trace())
    }));
}

#[test]
fn the_thread_that_spawns_from_outside_does_not_matter() {
    assert_same(&repeated(|| {
        let runtime = Builder::new_multi_thread()
            .deterministic(3)
            .worker_threads(3)
            .slack(Slack::default().spurious_wakes(0.3))
            .build()
            .unwrap();
        for _ in 0..10 {
            runtime.spawn(pending::<()>());
        }
        runtime.block_on(async {
            for _ in 0..100 {
                filch::task::yield_now().await;
            }
        });
        runtime.handle().sim().unwrap().trace()
    }));
}

#[test]
fn much_work_at_one_time_is_not_an_hour() {
    let worked = runtime(1).block_on(async {
        let work = async {
            for _ in 0..50_000 {
                filch::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(3600), work).await
    });
    assert!(worked.is_ok(), "50,000 polls took an hour");
}

#[test]
fn who_yields_until_some_time_comes_to_an_end() {
    within(|| {
        runtime(1).block_on(async {
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_secs(3600) {
                filch::task::yield_now().await;
            }
        });
    });
}

#[test]
fn foreign_threads_may_wake_and_spawn_while_the_runtime_ends() {
    within(|| {
        for round in 0..300 {
            let runtime = runtime(round);
            let handle = runtime.handle().clone();
            let place = Arc::new(Mutex::new(None));
            let seen = place.clone();
            let task = runtime.spawn(std::future::poll_fn(move |cx| {
                *seen.lock().unwrap() = Some(cx.waker().clone());
                std::task::Poll::<()>::Pending
            }));
            runtime.block_on(async { sleep(MS).await });
            let stop = Arc::new(AtomicBool::new(false));
            let (until, abort) = (stop.clone(), task.abort_handle());
            let ready = Arc::new(AtomicBool::new(false));
            let up = ready.clone();
            let waker = place.lock().unwrap().take().unwrap();
            let foreign = std::thread::spawn(move || {
                up.store(true, Ordering::Relaxed);
                let mut spawned = 0;
                while !until.load(Ordering::Relaxed) {
                    waker.wake_by_ref();
                    if spawned < 20 {
                        drop(handle.spawn(async {}));
                        spawned += 1;
                    }
                }
                abort.abort();
            });
            while !ready.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
            drop(runtime);
            assert!(task.is_finished());
            stop.store(true, Ordering::Relaxed);
            foreign.join().unwrap();
        }
    });
}

#[test]
fn a_guard_of_enter_may_be_held_across_waits() {
    for seed in 0..20 {
        let runtime = Builder::new_multi_thread()
            .deterministic(seed)
            .worker_threads(3)
            .build()
            .unwrap();
        let handle = runtime.handle().clone();
        runtime.block_on(async {
            filch::spawn(async {
                for _ in 0..10 {
                    filch::task::yield_now().await;
                }
            });
            let guard = handle.enter();
            for _ in 0..10 {
                sleep(MS).await;
                filch::spawn(sleep(MS)).await.unwrap();
            }
            drop(guard);
            sleep(MS).await;
        });
    }
}

#[test]
fn timers_may_be_later_than_any_time() {
    for late in [
        Duration::from_nanos(u64::MAX),
        Duration::MAX,
        Duration::from_nanos(u64::MAX - 1),
    ] {
        let runtime = Builder::new_multi_thread()
            .deterministic(1)
            .slack(Slack::default().late_timers(late).late_readiness(late))
            .build()
            .unwrap();
        runtime.block_on(async {
            for _ in 0..20 {
                filch::spawn(sleep(MS)).await.unwrap();
            }
        });
    }
}

#[test]
fn a_job_of_another_thread_is_told() {
    let runtime = runtime(1);
    let handle = runtime.handle().clone();
    let told = runtime.block_on(async {
        sleep(MS).await;
        let jobs = handle.clone();
        std::thread::spawn(move || drop(jobs.spawn_blocking(|| ())))
            .join()
            .unwrap();
        sleep(MS).await;
        !handle.sim().unwrap().is_deterministic()
    });
    assert!(told);
}

#[test]
fn a_thousand_workers() {
    let runtime = Builder::new_multi_thread()
        .deterministic(1)
        .worker_threads(1_000)
        .build()
        .unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let done = count.clone();
    runtime.block_on(async move {
        let mut set = JoinSet::new();
        for number in 0..500u32 {
            let done = done.clone();
            set.spawn(async move {
                sleep(MS * (number % 7)).await;
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
        while set.join_next().await.is_some() {}
    });
    assert_eq!(count.load(Ordering::Relaxed), 500);
}

#[test]
fn many_tasks_on_one_worker() {
    let runtime = Builder::new_current_thread().deterministic(1).build().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let done = count.clone();
    runtime.block_on(async move {
        let mut set = JoinSet::new();
        for _ in 0..100_000 {
            let done = done.clone();
            set.spawn(async move { done.fetch_add(1, Ordering::Relaxed) });
        }
        while set.join_next().await.is_some() {}
    });
    assert_eq!(count.load(Ordering::Relaxed), 100_000);
}

#[test]
fn two_threads_in_block_on_take_turns() {
    within(|| {
        for seed in 0..200 {
            let runtime = Arc::new(runtime(seed));
            let other = runtime.clone();
            let other = std::thread::spawn(move || {
                other.block_on(async {
                    for _ in 0..5 {
                        filch::spawn(sleep(MS)).await.unwrap();
                    }
                });
            });
            runtime.block_on(async {
                for _ in 0..5 {
                    filch::spawn(sleep(MS)).await.unwrap();
                }
            });
            other.join().unwrap();
            runtime.block_on(async { sleep(MS).await });
            assert_eq!(runtime.handle().sim().unwrap().elapsed(), 11 * MS);
        }
    });
}

#[test]
fn a_panic_in_block_on_leaves_a_runtime_that_works_and_ends() {
    within(|| {
        let runtime = runtime(1);
        let order = Arc::new(Mutex::new(Vec::new()));
        let handle = runtime.handle().clone();
        for round in 0..3 {
            let note = Note(round, order.clone());
            let handle = handle.clone();
            let run = std::panic::AssertUnwindSafe(|| {
                runtime.block_on(async move {
                    filch::spawn(async move {
                        pending::<()>().await;
                        drop(note);
                    });
                    let _guard = handle.enter();
                    sleep(MS).await;
                    std::panic::resume_unwind(Box::new(round));
                })
            });
            let payload = std::panic::catch_unwind(run).unwrap_err();
            assert_eq!(payload.downcast_ref(), Some(&round));
            assert!(filch::runtime::Handle::try_current().is_err());
        }
        assert_eq!(runtime.metrics().num_alive_tasks(), 3);
        runtime.block_on(async { filch::spawn(sleep(MS)).await.unwrap() });
        drop(runtime);
        assert_eq!(order.lock().unwrap().len(), 3);
    });
}

#[test]
fn a_guard_that_leaves_block_on_spoils_nothing() {
    within(|| {
        let runtime = runtime(1);
        let handle = runtime.handle().clone();
        // Not as its output: the compiler leaks what is being returned when a destructor panics meanwhile (Rust's issue 47949), and with it the runtime.
        let mut guard = None;
        let run = std::panic::AssertUnwindSafe(|| runtime.block_on(async { guard = Some(handle.enter()) }));
        assert!(std::panic::catch_unwind(run).is_err());
        let late = std::panic::AssertUnwindSafe(|| drop(guard));
        let _ = std::panic::catch_unwind(late);
        runtime.block_on(async { filch::spawn(sleep(MS)).await.unwrap() });
    });
}

#[test]
fn every_way_to_end_ends_all_tasks() {
    within(|| {
        let ends: [fn(Runtime); 4] = [
            drop,
            |runtime| runtime.shutdown_timeout(Duration::from_secs(5)),
            |runtime| runtime.shutdown_background(),
            |runtime| {
                // Within another simulation's step.
                let outer = Builder::new_current_thread().deterministic(1).build().unwrap();
                outer.block_on(async move {
                    filch::spawn(async move { runtime.shutdown_background() })
                        .await
                        .unwrap();
                    sleep(MS).await;
                });
            },
        ];
        for end in ends {
            for seed in 0..20 {
                let order = Arc::new(Mutex::new(Vec::new()));
                let runtime = runtime(seed);
                let handle = runtime.handle().clone();
                let notes = (0..10).map(|number| Note(number, order.clone())).collect::<Vec<_>>();
                runtime.block_on(async {
                    for (number, note) in notes.into_iter().enumerate() {
                        let handle = handle.clone();
                        if number % 2 == 0 {
                            handle.clone().spawn(async move {
                                let _again = SpawnsOnDrop(handle);
                                let _note = note;
                                sleep(MS * 1_000).await;
                            });
                        } else {
                            drop(handle.spawn_blocking(move || drop(note)));
                        }
                    }
                    filch::task::yield_now().await;
                });
                end(runtime);
                assert_eq!(order.lock().unwrap().len(), 10);
                assert_eq!(handle.metrics().num_alive_tasks(), 0);
            }
        }
    });
}

struct SpawnsOnDrop(filch::runtime::Handle);

impl Drop for SpawnsOnDrop {
    fn drop(&mut self) {
        drop(self.0.spawn(pending::<()>()));
        drop(self.0.spawn_blocking(|| ()));
    }
}

#[test]
fn jobs_spawn_abort_and_panic_as_the_seed_says() {
    assert_same(&repeated(|| {
        let runtime = runtime(11);
        let seen = runtime.block_on(async {
            let mut seen = Vec::new();
            for round in 0..20u32 {
                let job = filch::task::spawn_blocking(move || {
                    let task = filch::spawn(async move {
                        sleep(MS * (round % 3)).await;
                        round
                    });
                    let doomed = filch::task::spawn_blocking(|| 1);
                    doomed.abort();
                    assert!(round % 4 != 3, "planned");
                    (task, doomed)
                });
                let other = filch::task::spawn_blocking(|| 2);
                match job.await {
                    Ok((task, doomed)) => seen.push((task.await.unwrap(), doomed.await.is_err(), other.await.is_ok())),
                    Err(error) => assert!(error.is_panic() && round % 4 == 3),
                }
            }
            seen
        });
        (seen, runtime.handle().sim().unwrap().trace())
    }));
}

#[test]
fn a_deadlock_with_a_guard_held_is_reported_and_survived() {
    within(|| {
        let runtime = runtime(1);
        let handle = runtime.handle().clone();
        let run = std::panic::AssertUnwindSafe(|| {
            runtime.block_on(async {
                let _guard = handle.enter();
                sleep(MS).await;
                pending::<()>().await;
            })
        });
        assert!(std::panic::catch_unwind(run).is_err());
        assert!(filch::runtime::Handle::try_current().is_err());
        runtime.block_on(async { filch::spawn(sleep(MS)).await.unwrap() });
    });
}
