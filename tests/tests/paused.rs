//! The paused clock of a multi_thread runtime: it jumps when everybody sleeps, and not a moment earlier.

use filch::runtime::{Builder, Runtime};
use filch::sync::mpsc;
use filch::task::spawn_blocking;
use filch::time::{Instant, interval, sleep, timeout};
use filch_tests::within;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn paused(workers: usize) -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(workers)
        .start_paused(true)
        .build()
        .expect("a runtime")
}

/// Tasks hand a number around, each sleeping before it passes it on: the virtual times are exact, however the threads interleave.
async fn relay() {
    let begin = Instant::now();
    let (mut senders, mut receivers) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let (sender, receiver) = mpsc::channel::<u32>(1);
        senders.push(sender);
        receivers.push(receiver);
    }
    let mut tasks = Vec::new();
    for (place, mut receiver) in receivers.into_iter().enumerate() {
        let next = senders[(place + 1) % 4].clone();
        tasks.push(filch::spawn(async move {
            while let Some(number) = receiver.recv().await {
                assert_eq!(begin.elapsed(), SECOND * number);
                sleep(SECOND).await;
                if number == 20 || next.send(number + 1).await.is_err() {
                    break;
                }
            }
        }));
    }
    // Somebody who would be woken much later is always there: a jump too far shows.
    let far = filch::spawn(sleep(SECOND * 1_000));
    senders[0].send(0).await.unwrap();
    drop(senders);
    for task in tasks {
        timeout(SECOND * 100, task).await.map(Result::unwrap).unwrap_or(());
    }
    far.abort();
}

#[test]
fn virtual_times_are_exact_for_any_number_of_workers() {
    within(|| {
        for workers in [1, 2, 3, 4, 8] {
            for _ in 0..20 {
                let runtime = paused(workers);
                runtime.block_on(async { filch::spawn(relay()).await.unwrap() });
                runtime.block_on(relay());
            }
        }
    });
}

#[test]
fn bytes_on_their_way_through_a_socket_hold_the_clock() {
    within(|| {
        let runtime = paused(2);
        runtime.block_on(async {
            let begin = Instant::now();
            let (mut here, mut there) = filch::net::UnixStream::pair().unwrap();
            let echo = filch::spawn(async move {
                let mut byte = [0];
                while let Ok(1) = there.read(&mut byte).await {
                    there.write_all(&byte).await.unwrap();
                }
            });
            let far = filch::spawn(sleep(SECOND * 1_000));
            for number in 0..1_000u32 {
                here.write_all(&[number as u8]).await.unwrap();
                let mut byte = [0];
                here.read_exact(&mut byte).await.unwrap();
                assert_eq!(byte, [number as u8]);
            }
            assert_eq!(begin.elapsed(), Duration::ZERO);
            drop(here);
            echo.await.unwrap();
            far.await.unwrap();
            assert_eq!(begin.elapsed(), SECOND * 1_000);
        });
    });
}

#[test]
fn blocking_jobs_hold_the_clock() {
    within(|| {
        let runtime = paused(2);
        runtime.block_on(async {
            let begin = Instant::now();
            let job = spawn_blocking(|| std::thread::sleep(Duration::from_millis(30)));
            let slept = filch::spawn(async move {
                sleep(SECOND).await;
                begin.elapsed()
            });
            job.await.unwrap();
            assert_eq!(begin.elapsed(), Duration::ZERO);
            assert_eq!(slept.await.unwrap(), SECOND);
        });
    });
}

#[test]
fn time_stands_while_nobody_is_in_block_on() {
    within(|| {
        let runtime = paused(2);
        let ticks = Arc::new(AtomicU32::new(0));
        let count = ticks.clone();
        let begin = runtime.block_on(async move {
            filch::spawn(async move {
                let mut every = interval(SECOND);
                loop {
                    every.tick().await;
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
            sleep(SECOND * 10).await;
            Instant::now()
        });
        assert!((10..=11).contains(&ticks.load(Ordering::Relaxed)));
        std::thread::sleep(Duration::from_millis(50));
        let now = runtime.block_on(async { Instant::now() });
        assert_eq!(now, begin);
    });
}

#[test]
fn two_threads_in_block_on_both_count() {
    within(|| {
        let runtime = Arc::new(paused(2));
        let begin = runtime.block_on(async { Instant::now() });
        let other = {
            let runtime = runtime.clone();
            std::thread::spawn(move || {
                runtime.block_on(async {
                    for _ in 0..50 {
                        sleep(SECOND).await;
                    }
                })
            })
        };
        runtime.block_on(async {
            for _ in 0..50 {
                sleep(SECOND).await;
            }
        });
        other.join().unwrap();
        // One may have begun when the other had slept already, but each second is slept by somebody.
        let passed = runtime.block_on(async move { begin.elapsed() });
        assert!((SECOND * 50..=SECOND * 100).contains(&passed), "{passed:?}");
    });
}

#[test]
fn the_clock_can_run_again_and_be_moved_by_hand() {
    within(|| {
        let runtime = paused(3);
        runtime.block_on(async {
            let begin = Instant::now();
            filch::time::advance(SECOND).await;
            assert_eq!(begin.elapsed(), SECOND);
            filch::time::resume();
            let sleeper = filch::spawn(sleep(Duration::from_millis(5)));
            sleep(Duration::from_millis(10)).await;
            sleeper.await.unwrap();
            let real = begin.elapsed();
            assert!(real > SECOND && real < SECOND * 30, "{real:?}");
            filch::time::pause();
            let stopped = Instant::now();
            filch::spawn(sleep(SECOND * 3_600)).await.unwrap();
            let slept = stopped.elapsed();
            assert!(slept >= SECOND * 3_600 && slept < SECOND * 3_601, "{slept:?}");
        });
    });
}

#[filch::test(flavor = "multi_thread", worker_threads = 2, start_paused = true)]
async fn the_attribute_takes_it() {
    let begin = Instant::now();
    filch::spawn(sleep(SECOND)).await.unwrap();
    assert_eq!(begin.elapsed(), SECOND);
}

#[test]
#[should_panic(expected = "start_paused(true)")]
fn a_runtime_that_was_not_built_for_it_cannot_be_paused() {
    let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    runtime.block_on(async { filch::time::pause() });
}

/// Sleeps, and sees that exactly so much time has passed.
async fn exactly(duration: Duration) {
    let begin = Instant::now();
    sleep(duration).await;
    assert_eq!(begin.elapsed(), duration);
}

/// A blocking job takes no time.
async fn job() {
    let begin = Instant::now();
    spawn_blocking(|| std::hint::black_box((0..1_000).sum::<u32>()))
        .await
        .unwrap();
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

#[test]
fn every_sleep_is_exact_whatever_comes_from_elsewhere() {
    within(|| {
        for workers in [1, 2, 3, 5] {
            let runtime = Arc::new(paused(workers));
            let threads: Vec<_> = (0..3u32)
                .map(|number| {
                    let runtime = runtime.clone();
                    std::thread::spawn(move || {
                        for round in 0..150u32 {
                            let duration = SECOND * (1 + (number * 31 + round * 7) % 11);
                            match (number + round) % 3 {
                                0 => runtime.block_on(exactly(duration)),
                                1 => runtime.handle().block_on(async move {
                                    exactly(duration).await;
                                    filch::spawn(exactly(duration / 3)).await.unwrap();
                                    job().await;
                                }),
                                _ => {
                                    // Nobody of these waits: it comes from outside.
                                    let tasks = [runtime.spawn(exactly(duration)), runtime.spawn(job())];
                                    runtime.block_on(async {
                                        for task in tasks {
                                            task.await.unwrap();
                                        }
                                    });
                                }
                            }
                        }
                    })
                })
                .collect();
            for thread in threads {
                thread.join().unwrap();
            }
        }
    });
}

#[test]
fn a_panic_in_block_on_is_counted_out() {
    within(|| {
        let runtime = paused(2);
        for round in 0..20 {
            let run = std::panic::AssertUnwindSafe(|| {
                runtime.block_on(async {
                    if round % 2 == 0 {
                        sleep(SECOND).await;
                    }
                    std::panic::resume_unwind(Box::new(round));
                })
            });
            assert!(std::panic::catch_unwind(run).is_err());
            runtime.block_on(exactly(SECOND));
        }
    });
}

#[test]
fn who_stands_waits_and_does_not_spin() {
    within(|| {
        let runtime = paused(3);
        let parks = || {
            (0..3)
                .map(|worker| runtime.metrics().worker_park_count(worker))
                .sum::<usize>()
        };
        runtime.block_on(async { exactly(SECOND).await });
        runtime.spawn(async { sleep(SECOND).await });
        runtime.spawn(async { sleep(SECOND * 2).await });
        // Nobody is in `block_on`.
        std::thread::sleep(Duration::from_millis(20));
        let before = parks();
        std::thread::sleep(Duration::from_millis(50));
        assert!(parks() - before <= 3, "{} parks", parks() - before);
        // A job holds the clock.
        let (go, wait) = std::sync::mpsc::channel::<()>();
        runtime.block_on(async {
            let job = spawn_blocking(move || wait.recv());
            let far = filch::spawn(sleep(SECOND * 3));
            spawn_blocking(|| std::thread::sleep(Duration::from_millis(20)))
                .await
                .unwrap();
            let before = parks();
            spawn_blocking(|| std::thread::sleep(Duration::from_millis(50)))
                .await
                .unwrap();
            assert!(parks() - before <= 20, "{} parks", parks() - before);
            go.send(()).unwrap();
            job.await.unwrap().unwrap();
            far.await.unwrap();
        });
    });
}

#[test]
fn a_job_that_waits_in_block_on_lets_time_pass() {
    within(|| {
        let runtime = paused(2);
        runtime.block_on(async {
            let begin = Instant::now();
            let handle = filch::runtime::Handle::current();
            let other = filch::spawn(exactly(SECOND * 2));
            spawn_blocking(move || handle.block_on(exactly(SECOND))).await.unwrap();
            assert_eq!(begin.elapsed(), SECOND);
            other.await.unwrap();
            assert_eq!(begin.elapsed(), SECOND * 2);
            job().await;
        });
    });
}

#[test]
fn a_runtime_that_ends_tells_who_waits_in_block_on_elsewhere() {
    within(|| {
        for round in 0..100u32 {
            let runtime = paused(1 + round as usize % 3);
            let handle = runtime.handle().clone();
            let (started, start) = std::sync::mpsc::channel();
            let guest = std::thread::spawn(move || {
                let run = std::panic::AssertUnwindSafe(|| {
                    handle.block_on(async {
                        started.send(()).unwrap();
                        loop {
                            sleep(SECOND).await;
                        }
                    })
                });
                assert!(std::panic::catch_unwind(run).is_err());
            });
            start.recv().unwrap();
            runtime.spawn(async { sleep(SECOND * 1_000_000_000).await });
            if round % 2 == 0 {
                drop(runtime);
            } else {
                runtime.shutdown_background();
            }
            guest.join().unwrap();
        }
    });
}

#[test]
fn the_clock_is_stopped_and_set_going_from_other_threads() {
    within(|| {
        let runtime = Arc::new(paused(2));
        let handle = runtime.handle().clone();
        let other = std::thread::spawn(move || {
            let _inside = handle.enter();
            for _ in 0..200 {
                filch::time::resume();
                std::thread::yield_now();
                filch::time::pause();
                handle.block_on(filch::time::advance(Duration::from_millis(1)));
            }
        });
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let runtime = runtime.clone();
                std::thread::spawn(move || {
                    runtime.block_on(async {
                        for _ in 0..200 {
                            let begin = Instant::now();
                            filch::spawn(sleep(SECOND)).await.unwrap();
                            assert!(begin.elapsed() >= SECOND);
                        }
                    })
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        other.join().unwrap();
    });
}

#[test]
fn a_clock_that_runs_again_is_noticed_by_who_sleeps() {
    within(|| {
        let runtime = paused(2);
        let (fired, fires) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            sleep(Duration::from_millis(5)).await;
            fired.send(()).unwrap();
        });
        let timers = || {
            (0..2)
                .map(|worker| runtime.metrics().worker_timers(worker))
                .sum::<usize>()
        };
        filch_tests::eventually("the timer is armed", || timers() == 1);
        // Long enough for the worker to be asleep; if it is not, the test sees less.
        std::thread::sleep(Duration::from_millis(20));
        let _inside = runtime.enter();
        filch::time::resume();
        fires.recv().unwrap();
    });
}
