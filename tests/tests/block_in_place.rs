//! `block_in_place`: another thread takes over the worker of a task that blocks.

use filch::runtime::{Builder, Handle, Runtime};
use filch::sync::Notify;
use filch::task::{LocalSet, block_in_place, spawn_blocking, yield_now};
use filch::time::{Duration, Instant, sleep};
use filch_tests::{Gate, Holdings, OnDrop, alone, current, eventually, everywhere, lock, multi, panics, text, within};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};

const ROUNDS: usize = 100;

/// One worker, whose task blocks until another task of that worker has run: from its queue, its slot, its timers. By spares alone each round would take
/// one of them at least; a machine that is slow may call some.
#[test]
fn everything_else_of_the_worker_goes_on() {
    within(|| {
        let runtime = multi(1);
        let task = runtime.spawn(async {
            for _ in 0..ROUNDS {
                let (queued, woken, timed) = (Gate::new(), Gate::new(), Gate::new());
                let notify = Arc::new(Notify::new());
                let (opens, notified, begun) = (woken.clone(), notify.clone(), Gate::new());
                let begins = begun.clone();
                filch::spawn(async move {
                    begins.open();
                    notified.notified().await;
                    opens.open();
                });
                yield_now().await;
                begun.wait();
                let opens = queued.clone();
                filch::spawn(async move { opens.open() });
                let opens = timed.clone();
                filch::spawn(async move {
                    sleep(Duration::from_millis(1)).await;
                    opens.open();
                });
                notify.notify_one();
                block_in_place(|| {
                    queued.wait();
                    woken.wait();
                    timed.wait();
                });
            }
        });
        runtime.block_on(task).expect("no panic");
        assert!(runtime.metrics().spare_takeover_count() < ROUNDS);
    });
}

/// What the task does in the rest of that poll, and in those that follow, is as ever.
#[test]
fn the_task_goes_on_as_before() {
    within(|| {
        for workers in [1, 2] {
            let runtime = multi(workers);
            let task = runtime.spawn(async {
                let id = filch::task::id();
                let mut sum = 0;
                for n in 0..50 {
                    let text = n.to_string();
                    // It borrows, and gives a value.
                    sum += block_in_place(|| text.parse::<i32>().expect("a number"));
                    let child = filch::spawn(async move { n });
                    yield_now().await;
                    sum += child.await.expect("no panic");
                    sleep(Duration::from_micros(10)).await;
                    assert_eq!(filch::task::id(), id);
                }
                sum
            });
            assert_eq!(runtime.block_on(task).expect("no panic"), 50 * 49);
        }
    });
}

/// A hundred tasks that meet inside: each of them needs a thread of its own.
#[test]
fn as_many_as_there_are_threads() {
    within(|| {
        let runtime = multi(2);
        let all = Arc::new(Barrier::new(100));
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let all = all.clone();
                runtime.spawn(async move {
                    block_in_place(|| all.wait());
                    yield_now().await;
                })
            })
            .collect();
        for task in tasks {
            runtime.block_on(task).expect("no panic");
        }
    });
}

/// Where no thread can take over, the function is called all the same.
#[test]
fn without_a_thread_to_take_over() {
    within(|| {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(1)
            .build()
            .expect("a runtime");
        let ran = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..40)
            .map(|_| {
                let ran = ran.clone();
                runtime.spawn(async move {
                    block_in_place(|| std::thread::sleep(Duration::from_millis(2)));
                    ran.fetch_add(1, Ordering::SeqCst);
                })
            })
            .collect();
        for task in tasks {
            runtime.block_on(task).expect("no panic");
        }
        assert_eq!(ran.load(Ordering::SeqCst), 40);
    });
}

#[test]
fn a_panic_ends_the_task() {
    within(|| {
        let runtime = multi(1);
        let task = runtime.spawn(async { block_in_place(|| panic!("blocked too long")) });
        let error = runtime.block_on(task).expect_err("a panic");
        assert_eq!(text(&*error.into_panic()), "blocked too long");
        runtime
            .block_on(runtime.spawn(yield_now()))
            .expect("the runtime goes on");
    });
}

#[test]
fn inside_one_may_block_on() {
    within(|| {
        let runtime = multi(1);
        let task = runtime.spawn(async {
            block_in_place(|| {
                // Nested, and into the same runtime.
                block_in_place(|| {
                    Handle::current().block_on(async {
                        sleep(Duration::from_millis(1)).await;
                        filch::spawn(async { 1 }).await.expect("no panic")
                    })
                }) + current().block_on(async { filch::spawn(async { 2 }).await.expect("no panic") })
            })
        });
        assert_eq!(runtime.block_on(task).expect("no panic"), 3);
        // Afterwards the thread is one that polls tasks again.
        let task = runtime.spawn(async {
            block_in_place(|| ());
            panics(|| Handle::current().block_on(async {})).0
        });
        assert!(
            runtime
                .block_on(task)
                .expect("caught")
                .contains("on a thread that runs a filch runtime already")
        );
    });
}

#[test]
fn elsewhere_the_function_is_just_called() {
    assert_eq!(block_in_place(|| 1), 1);
    within(|| {
        let runtime = multi(1);
        assert_eq!(runtime.block_on(async { block_in_place(|| 2) }), 2);
        let job = runtime.spawn_blocking(|| block_in_place(|| 3));
        assert_eq!(runtime.block_on(job).expect("no panic"), 3);
        let job = current().block_on(async { spawn_blocking(|| block_in_place(|| 4)).await });
        assert_eq!(job.expect("no panic"), 4);
    });
}

#[test]
fn where_nobody_could_take_over_it_panics() {
    within(|| {
        let message = panics(|| current().block_on(async { block_in_place(|| ()) })).0;
        assert!(message.contains("current_thread"), "{message}");
        let message = panics(|| LocalSet::new().block_on(&multi(1), async { block_in_place(|| ()) })).0;
        assert!(message.contains("LocalSet"), "{message}");
    });
}

#[test]
fn the_deterministic_runtime_calls_it() {
    everywhere(|| async {
        if Handle::current().runtime_flavor() == filch::runtime::RuntimeFlavor::CurrentThread {
            return;
        }
        let tasks = (0..4).map(|n| filch::spawn(async move { block_in_place(|| n) }));
        let mut sum = 0;
        for task in tasks.collect::<Vec<_>>() {
            sum += task.await.expect("no panic");
        }
        assert_eq!(sum, 6);
    });
}

/// A lane's other tasks wait, those of other lanes do not.
#[test]
fn other_lanes_go_on() {
    within(|| {
        let runtime = multi(1);
        let (here, there) = (runtime.lane(), runtime.lane());
        let (gate, log) = (Gate::new(), Arc::new(Mutex::new(Vec::new())));
        let (opens, logs) = (gate.clone(), log.clone());
        let blocks = here.spawn(async move {
            there.spawn(async move { opens.open() });
            block_in_place(|| gate.wait());
            lock(&logs).push("blocks");
        });
        let logs = log.clone();
        let waits = here.spawn(async move { lock(&logs).push("waits") });
        runtime.block_on(async {
            blocks.await.expect("no panic");
            waits.await.expect("no panic");
        });
        assert_eq!(*lock(&log), ["blocks", "waits"]);
    });
}

#[test]
fn paused_time_stands() {
    within(|| {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let begin = Instant::now();
            let timer = filch::spawn(sleep(Duration::from_secs(60)));
            let task = filch::spawn(async move {
                block_in_place(|| std::thread::sleep(Duration::from_millis(30)));
                assert!(begin.elapsed().is_zero(), "time has jumped");
                // Still in the same poll.
                std::thread::sleep(Duration::from_millis(30));
                assert!(begin.elapsed().is_zero(), "time has jumped");
            });
            task.await.expect("no panic");
            timer.await.expect("no panic");
            assert_eq!(begin.elapsed().as_secs(), 60);
        });
    });
}

/// When a run ends, nobody is in a poll, whoever its worker is now.
#[test]
fn a_run_waits_for_the_poll() {
    within(|| {
        let mut runner = Builder::new_multi_thread()
            .worker_threads(2)
            .build_runner()
            .expect("a runtime");
        for _ in 0..5 {
            let left = Arc::new(AtomicUsize::new(0));
            let leaves = left.clone();
            runner
                .run(async move {
                    let begun = Gate::new();
                    let begins = begun.clone();
                    filch::spawn(async move {
                        begins.open();
                        block_in_place(|| std::thread::sleep(Duration::from_millis(30)));
                        std::thread::sleep(Duration::from_millis(10));
                        leaves.store(1, Ordering::SeqCst);
                    });
                    begun.wait();
                })
                .expect("no interrupt");
            assert_eq!(left.load(Ordering::SeqCst), 1, "the poll goes on");
        }
    });
}

/// The end of a runtime waits for it, leaves no thread, and calls each hook as often as the other. (P8.)
#[test]
fn the_end_waits_for_it() {
    alone("the_end_waits_for_it", || {
        let before = Holdings::now();
        let (started, stopped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        for _ in 0..5 {
            let (starts, stops) = (started.clone(), stopped.clone());
            let runtime = Builder::new_multi_thread()
                .worker_threads(2)
                .on_thread_start(move || {
                    starts.fetch_add(1, Ordering::SeqCst);
                })
                .on_thread_stop(move || {
                    stops.fetch_add(1, Ordering::SeqCst);
                })
                .build()
                .expect("a runtime");
            let (begun, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            for _ in 0..6 {
                let (begins, ends) = (begun.clone(), over.clone());
                runtime.spawn(async move {
                    begins.fetch_add(1, Ordering::SeqCst);
                    block_in_place(|| std::thread::sleep(Duration::from_millis(20)));
                    ends.fetch_add(1, Ordering::SeqCst);
                });
            }
            eventually("all block", || begun.load(Ordering::SeqCst) == 6);
            drop(runtime);
            assert_eq!(over.load(Ordering::SeqCst), 6);
            assert_eq!(Holdings::now(), before);
        }
        assert_eq!(started.load(Ordering::SeqCst), stopped.load(Ordering::SeqCst));
    });
}

/// A task cannot wait for the end of its own runtime, not even there; it is told so instead of hanging.
#[test]
fn the_own_runtime_cannot_be_dropped_inside() {
    within(|| {
        let slot = Arc::new(Mutex::new(None::<Runtime>));
        let runtime = multi(1);
        let inside = slot.clone();
        let begun = Gate::new();
        let begins = begun.clone();
        let task = runtime.spawn(async move {
            begins.wait();
            block_in_place(|| panics(|| drop(lock(&inside).take())).0)
        });
        *lock(&slot) = Some(runtime);
        begun.open();
        let message = multi(1).block_on(task).expect("caught");
        assert!(message.contains("dropped inside a task"), "{message}");
    });
}

/// The thread that is to take over does not come: what the worker has is served as that of a stuck one.
#[test]
fn a_hook_that_blocks_as_a_thread_takes_over() {
    within(|| {
        for workers in [1, 2] {
            let (gate, threads) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
            let waits = gate.clone();
            let runtime = Builder::new_multi_thread()
                .worker_threads(workers)
                .on_thread_start(move || {
                    if threads.fetch_add(1, Ordering::SeqCst) == workers {
                        waits.wait();
                    }
                })
                .build()
                .expect("a runtime");
            let task = runtime.spawn(async move {
                let done = Gate::new();
                let opens = done.clone();
                filch::spawn(async move {
                    gate.open();
                    opens.open();
                });
                block_in_place(|| done.wait());
            });
            runtime.block_on(task).expect("no panic");
        }
    });
}

/// Tasks that block in place, get stuck, sleep, yield and spawn, so that workers change hands and spares come and go. `inside` counts those in a long poll, `dropped` those that are gone.
fn mixture(handle: &Handle, tasks: usize, inside: &Arc<AtomicUsize>, dropped: &Arc<AtomicUsize>) {
    for task in 0..tasks {
        let (inside, dropped) = (inside.clone(), dropped.clone());
        let part = OnDrop(move || {
            dropped.fetch_add(1, Ordering::SeqCst);
        });
        handle.spawn(async move {
            let _part = part;
            let long = |blocks: &dyn Fn()| {
                inside.fetch_add(1, Ordering::SeqCst);
                blocks();
                inside.fetch_sub(1, Ordering::SeqCst);
            };
            let pause = |ms| std::thread::sleep(Duration::from_millis(ms));
            for round in 0..3 {
                match (task + round) % 5 {
                    0 => long(&|| block_in_place(|| pause(3))),
                    1 => long(&|| pause(14)),
                    2 => sleep(Duration::from_millis(1)).await,
                    3 => yield_now().await,
                    _ => {
                        // A runtime that ends refuses it.
                        let _ = filch::spawn(yield_now()).await;
                        long(&|| block_in_place(|| ()));
                    }
                }
            }
        });
    }
}

/// Runs that follow each other quickly: between two of them nobody is in a poll, and in the end every task has come to its end.
#[test]
fn runs_end_at_any_moment() {
    within(|| {
        for workers in [1, 2] {
            let mut runner = Builder::new_multi_thread()
                .worker_threads(workers)
                .build_runner()
                .expect("a runtime");
            let (inside, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            for round in 0..40 {
                if round % 4 == 0 {
                    mixture(runner.handle(), 5, &inside, &dropped);
                }
                runner
                    .run(async move { sleep(Duration::from_millis(round % 15)).await })
                    .expect("no interrupt");
                assert_eq!(inside.load(Ordering::SeqCst), 0, "a poll goes on between two runs");
            }
            runner.run_until_idle();
            assert_eq!(dropped.load(Ordering::SeqCst), 50);
        }
    });
}

/// A runtime ends in every way at every moment: each task is dropped, and nothing is left.
#[test]
fn runtimes_end_at_any_moment() {
    alone("runtimes_end_at_any_moment", || {
        let before = Holdings::now();
        for moment in 0..40 {
            let runtime = Builder::new_multi_thread()
                .worker_threads(1 + moment % 3)
                .max_blocking_threads(1 + moment % 2)
                .thread_keep_alive(Duration::ZERO)
                .build()
                .expect("a runtime");
            let (inside, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            mixture(runtime.handle(), 12, &inside, &dropped);
            std::thread::sleep(Duration::from_millis(moment as u64 / 2));
            match moment % 4 {
                0 => drop(runtime),
                1 => runtime.shutdown_timeout(Duration::from_millis(5)),
                2 => runtime.shutdown_background(),
                _ => runtime.shutdown_timeout(Duration::from_secs(60)),
            }
            eventually("every task is dropped", || dropped.load(Ordering::SeqCst) == 12);
        }
        eventually("nothing is left", || Holdings::now() == before);
    });
}
