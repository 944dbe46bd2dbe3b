//! P2: no wake is lost, whichever thread it comes from, also while a worker is about to park and while the runtime shuts down.
//!
//! The tests hand one token back and forth, so that a single lost wake stops everything, with a park of every worker in nearly
//! every round. What stops is a hang, which [`within`] turns into a failure.

use filch::sync::{Notify, mpsc, oneshot};
use filch_tests::{current, eventually, lock, multi, within};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Poll, Waker};

/// A foreign thread and a task throw a token to each other. The worker parks between, or is about to.
fn ping_pong_with_a_thread(runtime: &filch::runtime::Runtime, rounds: usize) {
    let (to_task, mut in_task) = mpsc::unbounded_channel();
    let (to_thread, in_thread) = channel();
    let task = async move {
        while let Some(round) = in_task.recv().await {
            to_thread.send(round).expect("the thread waits for this");
        }
    };
    let thread = std::thread::spawn(move || {
        for round in 0..rounds {
            to_task.send(round).expect("the task waits for this");
            assert_eq!(in_thread.recv(), Ok(round));
            // Some rounds meet a parked worker, some one that is just about to be.
            for _ in 0..(round % 64) * 8 {
                std::hint::spin_loop();
            }
        }
    });
    runtime.block_on(async {
        filch::spawn(task).await.expect("no panic");
    });
    thread.join().expect("no panic");
}

#[test]
fn between_a_thread_and_a_task_1_worker() {
    within(|| ping_pong_with_a_thread(&multi(1), 4000));
}

#[test]
fn between_a_thread_and_a_task_2_workers() {
    within(|| ping_pong_with_a_thread(&multi(2), 4000));
}

#[test]
fn between_a_thread_and_a_task_4_workers() {
    within(|| ping_pong_with_a_thread(&multi(4), 2000));
}

#[test]
fn between_a_thread_and_a_task_on_the_current_thread() {
    within(|| ping_pong_with_a_thread(&current(), 4000));
}

/// The future of `block_on` parks its thread by another way than workers do.
#[test]
fn of_the_future_of_block_on() {
    within(|| {
        for runtime in [multi(1), current()] {
            let (to_main, mut in_main) = mpsc::unbounded_channel();
            let (to_thread, in_thread) = channel();
            let thread = std::thread::spawn(move || {
                for round in 0..3000 {
                    to_main.send(round).expect("block_on waits for this");
                    assert_eq!(in_thread.recv(), Ok(round));
                }
            });
            runtime.block_on(async {
                while let Some(round) = in_main.recv().await {
                    to_thread.send(round).expect("the thread waits for this");
                }
            });
            thread.join().expect("no panic");
        }
    });
}

/// Several foreign threads wake and spawn at the same time, while workers search, park and wake each other.
#[test]
fn from_many_threads_at_once() {
    within(|| {
        let runtime = multi(4);
        let arrived = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (handle, arrived) = (runtime.handle().clone(), arrived.clone());
                std::thread::spawn(move || {
                    for round in 0..500 {
                        let (sender, receiver) = oneshot::channel();
                        let task = handle.spawn({
                            let arrived = arrived.clone();
                            async move {
                                receiver.await.expect("the thread sends");
                                arrived.fetch_add(1, Ordering::Relaxed);
                            }
                        });
                        if round % 3 == 0 {
                            std::thread::yield_now();
                        }
                        sender.send(()).expect("the task waits");
                        handle.block_on(task).expect("no panic");
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("no panic");
        }
        assert_eq!(arrived.load(Ordering::Relaxed), 2000);
    });
}

/// A burst from outside, then silence: nothing of it may be left lying in the inbox while everybody sleeps.
#[test]
fn of_a_burst_into_a_sleeping_runtime() {
    within(|| {
        for workers in [1, 2, 4] {
            let runtime = multi(workers);
            for round in 0..200 {
                let done = Arc::new(AtomicUsize::new(0));
                let count = 1 + round % 7;
                for _ in 0..count {
                    let done = done.clone();
                    runtime.spawn(async move {
                        done.fetch_add(1, Ordering::Release);
                    });
                }
                eventually("every task of the burst has run", || {
                    done.load(Ordering::Acquire) == count
                });
            }
        }
    });
}

/// Tasks on different workers wake each other, so that wakes come out of polls and go to parked workers.
#[test]
fn between_tasks_on_a_ring() {
    within(|| {
        for workers in [1, 2, 4] {
            let runtime = multi(workers);
            runtime.block_on(async {
                const TASKS: usize = 8;
                const LAPS: usize = 300;
                let stations: Arc<Vec<Notify>> = Arc::new((0..TASKS).map(|_| Notify::new()).collect());
                let tasks: Vec<_> = (0..TASKS)
                    .map(|own| {
                        let stations = stations.clone();
                        filch::spawn(async move {
                            for _ in 0..LAPS {
                                stations[own].notified().await;
                                stations[(own + 1) % TASKS].notify_one();
                            }
                        })
                    })
                    .collect();
                stations[0].notify_one();
                for task in tasks {
                    task.await.expect("no panic");
                }
            });
        }
    });
}

/// A wake from a thread races with the end of the poll that stored the waker.
#[test]
fn between_the_look_and_the_end_of_a_poll() {
    within(|| {
        let runtime = multi(2);
        for round in 0..1000 {
            let flag = Arc::new(AtomicBool::new(false));
            let slot: Arc<Mutex<Option<Waker>>> = Arc::default();
            let (seen, stored) = (flag.clone(), slot.clone());
            let task = runtime.spawn(std::future::poll_fn(move |cx| {
                *lock(&stored) = Some(cx.waker().clone());
                // The other thread may raise the flag and wake right here.
                for _ in 0..round % 50 {
                    std::hint::spin_loop();
                }
                if seen.load(Ordering::Acquire) {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            }));
            let waker = loop {
                if let Some(waker) = lock(&slot).clone() {
                    break waker;
                }
                std::thread::yield_now();
            };
            flag.store(true, Ordering::Release);
            waker.wake();
            runtime.block_on(task).expect("no panic");
        }
    });
}

/// The wake is over before the poll that it comes during is.
#[test]
fn during_a_poll() {
    within(|| {
        let runtime = multi(2);
        let mut polls = 0;
        let task = runtime.spawn(std::future::poll_fn(move |cx| {
            polls += 1;
            if polls == 1 {
                let waker = cx.waker().clone();
                std::thread::spawn(move || waker.wake()).join().expect("no panic");
                Poll::Pending
            } else {
                Poll::Ready(polls)
            }
        }));
        assert_eq!(runtime.block_on(task).expect("no panic"), 2);
    });
}

/// While a runtime shuts down, threads go on waking, aborting and spawning. Every future is dropped and the end is reached.
#[test]
fn during_shutdown() {
    within(|| {
        for round in 0..60 {
            let runtime = if round % 4 == 0 {
                current()
            } else {
                multi(1 + round % 3)
            };
            let alive = Arc::new(AtomicUsize::new(0));
            let wakers: Arc<Mutex<Vec<Waker>>> = Arc::default();
            let task = |alive: &Arc<AtomicUsize>, wakers: &Arc<Mutex<Vec<Waker>>>| {
                alive.fetch_add(1, Ordering::Relaxed);
                let (alive, wakers) = (alive.clone(), wakers.clone());
                let gone = filch_tests::OnDrop(move || {
                    alive.fetch_sub(1, Ordering::Release);
                });
                std::future::poll_fn(move |cx| {
                    let _ = &gone;
                    let mut wakers = lock(&wakers);
                    if wakers.len() < 100 {
                        wakers.push(cx.waker().clone());
                    }
                    Poll::<()>::Pending
                })
            };
            for _ in 0..20 {
                runtime.spawn(task(&alive, &wakers));
            }
            let begin = Arc::new(Barrier::new(4));
            let stop = Arc::new(AtomicBool::new(false));
            let threads: Vec<_> = (0..3)
                .map(|kind| {
                    let (begin, stop, handle) = (begin.clone(), stop.clone(), runtime.handle().clone());
                    let (alive, wakers) = (alive.clone(), wakers.clone());
                    std::thread::spawn(move || {
                        begin.wait();
                        while !stop.load(Ordering::Relaxed) {
                            match kind {
                                0 => lock(&wakers).iter().for_each(Waker::wake_by_ref),
                                1 => drop(lock(&wakers).pop().map(Waker::wake)),
                                _ => handle.spawn(task(&alive, &wakers)).abort(),
                            }
                            std::thread::yield_now();
                        }
                    })
                })
                .collect();
            begin.wait();
            for _ in 0..round * 20 {
                std::hint::spin_loop();
            }
            drop(runtime);
            stop.store(true, Ordering::Relaxed);
            for thread in threads {
                thread.join().expect("no panic");
            }
            assert_eq!(alive.load(Ordering::Acquire), 0, "a future has outlived its runtime");
        }
    });
}

/// A task that waits for the outcome of one that the shutdown ends is woken by it, or ended itself.
#[test]
fn of_those_who_wait_outside_for_a_task_that_shutdown_ends() {
    within(|| {
        for round in 0..50 {
            let runtime = multi(1 + round % 2);
            let task = runtime.spawn(std::future::pending::<()>());
            let (other, begun) = (current(), Arc::new(Barrier::new(2)));
            let waiting = begun.clone();
            let waiter = std::thread::spawn(move || {
                waiting.wait();
                other.block_on(task)
            });
            begun.wait();
            drop(runtime);
            assert!(
                waiter
                    .join()
                    .expect("no panic")
                    .expect_err("it was ended")
                    .is_cancelled()
            );
        }
    });
}
