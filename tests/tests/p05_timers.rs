//! P5: a timer never fires early, timers fire in the order of their deadlines, and a cancelled one costs nothing later. How late one
//! may be is judged by order: some other thing waits for it, and would wait for ever. With a paused clock all of it is exact.

use filch::net::UnixStream;
use filch::runtime::{Builder, Runtime};
use filch::time::{Duration, Instant, interval, sleep, sleep_until, timeout};
use filch_tests::{Gate, Log, current, eventually, multi, paused, poll_once, within};
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const HOUR: Duration = Duration::from_secs(3600);

/// Timers that wait in all workers' wheels.
fn waiting(runtime: &Runtime) -> usize {
    let metrics = runtime.metrics();
    (0..metrics.num_workers())
        .map(|worker| metrics.worker_timers(worker))
        .sum()
}

#[test]
fn never_early() {
    within(|| {
        for runtime in [multi(1), multi(2), current()] {
            runtime.block_on(async {
                let tasks: Vec<_> = (0..300_u64)
                    .map(|number| {
                        filch::spawn(async move {
                            let wanted = Duration::from_micros(number * number * 37 % 30_000);
                            let begin = std::time::Instant::now();
                            match number % 3 {
                                0 => sleep(wanted).await,
                                1 => sleep_until(Instant::now() + wanted).await,
                                _ => assert!(timeout(wanted, pending::<()>()).await.is_err()),
                            }
                            assert!(begin.elapsed() >= wanted, "{wanted:?} were over too early");
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await.expect("not early");
                }
            });
        }
    });
}

#[test]
fn an_interval_is_never_early_either() {
    within(|| {
        multi(2).block_on(async {
            let begin = Instant::now();
            let mut ticks = interval(Duration::from_millis(2));
            for number in 0..20 {
                ticks.tick().await;
                assert!(begin.elapsed() >= Duration::from_millis(2) * number);
            }
        });
    });
}

/// A worker sleeps until its only timer, an hour away. Whoever arms an earlier one has to tell it.
#[test]
fn an_earlier_timer_is_not_slept_over() {
    within(|| {
        for runtime in [multi(1), multi(2)] {
            let workers = runtime.metrics().num_workers();
            for _ in 0..workers {
                runtime.spawn(async { sleep(HOUR).await });
            }
            eventually("the far timers are armed", || waiting(&runtime) == workers);
            // From outside: dealt to the workers in turn.
            for _ in 0..4 * workers {
                runtime.block_on(async { sleep(Duration::from_millis(1)).await });
            }
            runtime.block_on(async {
                let mut far = pin!(sleep(HOUR));
                assert!(poll_once(far.as_mut()).await.is_pending());
                far.as_mut().reset(Instant::now() + Duration::from_millis(1));
                far.await;
            });
        }
    });
}

/// One worker is inside a poll until the other's timer has fired: it does not need the first one.
#[test]
fn a_timer_fires_while_another_worker_is_busy() {
    within(|| {
        multi(2).block_on(async {
            for _ in 0..10 {
                let gate = Gate::new();
                let fires = gate.clone();
                let sleeper = filch::spawn(async move {
                    sleep(Duration::from_millis(2)).await;
                    fires.open();
                });
                filch::spawn(async move { gate.wait() })
                    .await
                    .expect("the timer fires meanwhile");
                sleeper.await.expect("no panic");
            }
        });
    });
}

#[test]
fn cancelled_timers_are_gone_at_once() {
    within(|| {
        for runtime in [multi(2), multi(1)] {
            let tasks: Vec<_> = (0..500)
                .map(|number| {
                    runtime.spawn(async move {
                        match number % 3 {
                            0 => sleep(HOUR).await,
                            1 => drop(timeout(HOUR, pending::<()>()).await),
                            _ => drop(interval(HOUR).tick().await),
                        }
                        pending::<()>().await;
                    })
                })
                .collect();
            // The first tick of an interval comes at once, and then it is dropped.
            eventually("the timers are armed", || waiting(&runtime) == 334);
            for task in tasks {
                task.abort();
                assert!(runtime.block_on(task).expect_err("aborted").is_cancelled());
            }
            assert_eq!(waiting(&runtime), 0);
        }
    });
}

/// A limit that is not reached leaves nothing behind, also when it was armed on another worker or dropped on a foreign thread.
#[test]
fn a_limit_that_is_not_needed_leaves_nothing() {
    within(|| {
        let runtime = multi(2);
        runtime.block_on(async {
            let tasks: Vec<_> = (0..200)
                .map(|_| {
                    filch::spawn(async {
                        for _ in 0..20 {
                            timeout(HOUR, filch::task::yield_now()).await.expect("in time");
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.expect("no panic");
            }
        });
        assert_eq!(waiting(&runtime), 0);
        let armed = runtime.block_on(async {
            let mut far = Box::pin(sleep(HOUR));
            assert!(poll_once(far.as_mut()).await.is_pending());
            [far]
        });
        assert_eq!(waiting(&runtime), 1);
        std::thread::spawn(move || drop(armed)).join().expect("no panic");
        assert_eq!(waiting(&runtime), 0);
    });
}

#[test]
fn all_that_is_due_fires_in_the_order_of_deadlines() {
    within(|| {
        let log = Log::new();
        let entries = log.clone();
        let runtime = paused();
        runtime.block_on(async {
            let begin = Instant::now();
            // All deadlines differ; 7919 is prime to 1000.
            let mut tasks = Vec::new();
            for number in 0..1000_u64 {
                let (entries, millis) = (entries.clone(), number * 7919 % 1000 * 17 + 1);
                tasks.push(filch::spawn(async move {
                    sleep_until(begin + Duration::from_millis(millis)).await;
                    entries.push(millis);
                }));
            }
            while waiting(&runtime) < 1000 {
                filch::task::yield_now().await;
            }
            // In one step over all of them.
            filch::time::advance(HOUR).await;
            for task in tasks {
                task.await.expect("no panic");
            }
        });
        let fired = log.get();
        assert!(fired.is_sorted());
        assert_eq!(fired.len(), 1000);
    });
}

#[test]
fn a_paused_clock_is_exact() {
    within(|| {
        let real = std::time::Instant::now();
        paused().block_on(async {
            let begin = Instant::now();
            for wanted in [
                Duration::from_nanos(1),
                Duration::from_micros(1),
                Duration::from_micros(65_537),
                Duration::from_secs(1),
                24 * 365 * HOUR,
            ] {
                let before = Instant::now();
                sleep(wanted).await;
                assert_eq!(before.elapsed(), wanted);
            }
            let log = Log::new();
            let tasks: Vec<_> = [300_u64, 100, 200]
                .into_iter()
                .map(|millis| {
                    let log = log.clone();
                    filch::spawn(async move {
                        let begin = Instant::now();
                        sleep(Duration::from_millis(millis)).await;
                        log.push((millis, begin.elapsed().as_millis()));
                    })
                })
                .collect();
            for task in tasks {
                task.await.expect("no panic");
            }
            assert_eq!(log.get(), [(100, 100), (200, 200), (300, 300)]);
            let mut ticks = filch::time::interval_at(Instant::now() + HOUR, HOUR);
            let before = Instant::now();
            for number in 1..10 {
                ticks.tick().await;
                assert_eq!(before.elapsed(), number * HOUR);
            }
            assert!(begin.elapsed() > 24 * 365 * HOUR);
        });
        assert!(real.elapsed() < HOUR, "the clock of the machine had no part in it");
    });
}

/// Time stands still while anything is left to do.
#[test]
fn a_paused_clock_waits_for_all_work() {
    within(|| {
        paused().block_on(async {
            let begin = Instant::now();
            let busy = filch::spawn(async {
                for _ in 0..1000 {
                    filch::task::yield_now().await;
                }
                Instant::now()
            });
            let limit = timeout(Duration::from_nanos(1), busy);
            assert_eq!(limit.await.expect("no time passes").expect("no panic"), begin);
        });
    });
}

#[test]
fn a_paused_clock_waits_for_blocking_jobs() {
    within(|| {
        paused().block_on(async {
            for _ in 0..200 {
                // Long enough for the runtime to fall asleep meanwhile.
                let job = filch::task::spawn_blocking(|| std::thread::sleep(Duration::from_micros(300)));
                timeout(HOUR, job).await.expect("no time passes").expect("no panic");
            }
        });
    });
}

/// A job that ends badly, and that nobody awaits, still lets go of the clock.
#[test]
fn a_paused_clock_goes_on_after_a_job_that_panics() {
    within(|| {
        paused().block_on(async {
            let (gate, begun) = (Gate::new(), Gate::new());
            let (wait, begins) = (gate.clone(), begun.clone());
            drop(filch::task::spawn_blocking(move || {
                begins.open();
                wait.wait();
                std::panic::resume_unwind(Box::new(()));
            }));
            begun.wait();
            std::thread::spawn(move || {
                // By then the runtime is asleep.
                std::thread::sleep(Duration::from_millis(30));
                gate.open();
            });
            sleep(HOUR).await;
        });
    });
}

/// A job that is aborted before it has begun lets go of the clock, too.
#[test]
fn a_paused_clock_goes_on_after_a_job_that_is_aborted() {
    within(|| {
        let mut builder = Builder::new_current_thread();
        let runtime = builder
            .start_paused(true)
            .max_blocking_threads(1)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let (gate, begun) = (Gate::new(), Gate::new());
            let (wait, begins) = (gate.clone(), begun.clone());
            // The only thread is busy, so the second job has to wait.
            drop(filch::task::spawn_blocking(move || {
                begins.open();
                wait.wait();
                std::panic::resume_unwind(Box::new(()));
            }));
            begun.wait();
            filch::task::spawn_blocking(|| ()).abort();
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(30));
                gate.open();
            });
            sleep(HOUR).await;
        });
    });
}

/// Looking up a name is a blocking job by itself.
#[test]
fn a_paused_clock_waits_for_name_resolution() {
    within(|| {
        paused().block_on(async {
            for _ in 0..20 {
                let lookup = timeout(HOUR, filch::net::lookup_host("localhost:80"));
                drop(lookup.await.expect("no time passes").expect("an address"));
            }
        });
    });
}

/// Sockets that wait do not hold the clock, and what is ready is seen before the clock jumps.
#[test]
fn a_paused_clock_looks_at_sockets_before_it_jumps() {
    within(|| {
        paused().block_on(async {
            let (near, mut far) = UnixStream::pair().expect("a pair");
            assert!(timeout(HOUR, near.readable()).await.is_err(), "nobody writes");
            far.write_all(b"x").await.expect("there is room");
            timeout(HOUR, near.readable())
                .await
                .expect("no time passes")
                .expect("it is there");
        });
    });
}

/// Timers that are armed, moved and cancelled by one worker while another fires them.
#[test]
fn arming_and_cancelling_across_workers() {
    within(|| {
        let runtime = multi(4);
        let fired = Arc::new(AtomicUsize::new(0));
        runtime.block_on(async {
            let tasks: Vec<_> = (0..64_u64)
                .map(|number| {
                    let fired = fired.clone();
                    filch::spawn(async move {
                        for round in 0..40 {
                            // Made here, perhaps fired, moved and dropped elsewhere.
                            let mut first = Box::pin(sleep(Duration::from_micros((number * 13 + round * 7) % 300)));
                            let _ = poll_once(first.as_mut()).await;
                            filch::task::yield_now().await;
                            match (number + round) % 3 {
                                0 => drop(first),
                                1 => {
                                    first.as_mut().reset(Instant::now() + Duration::from_micros(100));
                                    first.await;
                                }
                                _ => first.await,
                            }
                            fired.fetch_add(1, Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.expect("no panic");
            }
        });
        assert_eq!(fired.load(Ordering::Relaxed), 64 * 40);
        assert_eq!(waiting(&runtime), 0);
    });
}

/// A timer is polled by one task, then by another: the latter is woken.
#[test]
fn the_latest_task_that_polled_is_woken() {
    within(|| {
        for runtime in [multi(2), current()] {
            runtime.block_on(async {
                let mut timer = Box::pin(sleep(Duration::from_millis(3)));
                assert!(poll_once(timer.as_mut()).await.is_pending());
                let woken = Arc::new(AtomicBool::new(false));
                let flag = woken.clone();
                filch::spawn(async move {
                    timer.await;
                    flag.store(true, Ordering::Relaxed);
                })
                .await
                .expect("no panic");
                assert!(woken.load(Ordering::Relaxed));
            });
        }
    });
}
