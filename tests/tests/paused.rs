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
