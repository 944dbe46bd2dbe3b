//! P7: a worker that is stuck in a long poll delays only the task that it polls. Its queue, its slot, its sockets and its timers are served
//! by another worker.
//!
//! Each test blocks a worker, inside a poll, until the thing has happened that belongs to this worker: it was spawned, woken or
//! registered from inside that same poll, right before, so it cannot belong to another. If nobody came to help, the poll
//! would never end. (A current_thread runtime has nobody who could.)

use filch::net::UnixStream;
use filch::runtime::Runtime;
use filch::sync::Notify;
use filch::task::yield_now;
use filch::time::{Duration, Instant, sleep};
use filch_tests::{Gate, OnDrop, eventually, lock, multi, within};
use std::collections::HashSet;
use std::future::{Future, pending, poll_fn};
use std::io::Write;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

/// Calls `pending` each time that its future waits.
struct Waits<F, P> {
    future: Pin<Box<F>>,
    pending: P,
}

impl<F: Future, P: FnMut() + Unpin> Future for Waits<F, P> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let result = self.future.as_mut().poll(cx);
        if result.is_pending() {
            (self.pending)();
        }
        result
    }
}

fn waits<F: Future, P: FnMut() + Unpin>(future: F, pending: P) -> Waits<F, P> {
    Waits {
        future: Box::pin(future),
        pending,
    }
}

/// Blocks a worker in a poll until what `begin`, which runs inside of that poll, makes has opened the gate.
fn stuck_until(runtime: &Runtime, begin: impl FnOnce(Arc<Gate>) + Send + 'static) {
    let task = runtime.spawn(async move {
        let gate = Gate::new();
        begin(gate.clone());
        gate.wait();
    });
    runtime.block_on(task).expect("somebody helps")
}

fn rescues(runtime: &Runtime) -> usize {
    let metrics = runtime.metrics();
    (0..metrics.num_workers())
        .map(|worker| metrics.worker_rescue_count(worker))
        .sum()
}

/// The stuck worker, in many rounds: who helps is met asleep, searching, or about to sleep.
const ROUNDS: usize = 30;

#[test]
fn its_queue_is_served() {
    within(|| {
        let runtime = multi(2);
        for round in 0..ROUNDS {
            // One task alone is no surplus: only the watcher announces it.
            let count = 1 + round % 3;
            let left = Arc::new(AtomicUsize::new(count));
            stuck_until(&runtime, move |gate| {
                for _ in 0..count {
                    let (gate, left) = (gate.clone(), left.clone());
                    filch::spawn(async move {
                        if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                            gate.open();
                        }
                    });
                }
            });
        }
    });
}

#[test]
fn its_slot_is_served() {
    within(|| {
        let runtime = multi(2);
        for _ in 0..ROUNDS {
            let (notify, idle) = (Arc::new(Notify::new()), Gate::new());
            let (notified, waiting) = (notify.clone(), idle.clone());
            let gate = Gate::new();
            let opens = gate.clone();
            runtime.spawn(waits(
                async move {
                    notified.notified().await;
                    opens.open();
                },
                move || waiting.open(),
            ));
            idle.wait();
            stuck_until(&runtime, move |own| {
                // Woken inside of a poll, so it goes to this worker's slot.
                notify.notify_one();
                gate.wait();
                own.open();
            });
        }
    });
}

#[test]
fn its_sockets_are_served() {
    within(|| {
        let runtime = multi(2);
        for _ in 0..ROUNDS {
            stuck_until(&runtime, |gate| {
                let (near, mut far) = std::os::unix::net::UnixStream::pair().expect("a pair");
                near.set_nonblocking(true).expect("an ordinary socket");
                // Registered here, so with this worker's reactor.
                let near = UnixStream::from_std(near).expect("a registration");
                let read = async move {
                    near.readable().await.expect("a byte");
                    gate.open();
                };
                // Written only when somebody already waits for it.
                filch::spawn(waits(read, move || far.write_all(b"x").expect("there is room")));
            });
        }
        assert!(rescues(&runtime) > 0, "nobody else could turn the reactor");
    });
}

#[test]
fn its_timers_are_served() {
    within(|| {
        let runtime = multi(2);
        for _ in 0..ROUNDS {
            stuck_until(&runtime, |gate| {
                // Made here, so it is this worker's timer, whoever polls it.
                let timer = sleep(Duration::from_millis(2));
                filch::spawn(async move {
                    timer.await;
                    gate.open();
                });
            });
        }
        assert!(rescues(&runtime) > 0, "nobody else could turn the timers");
    });
}

/// All of it at once, many times over, and the other worker has its own work: tasks that only yield, so that it never looks around for want
/// of work.
#[test]
fn by_a_worker_that_is_busy_itself() {
    within(|| {
        let runtime = multi(2);
        for _ in 0..5 {
            let quiet = Arc::new(AtomicBool::new(false));
            let (noise, end) = (quiet.clone(), quiet.clone());
            stuck_until(&runtime, move |gate| {
                for _ in 0..3 {
                    let noise = noise.clone();
                    filch::spawn(async move {
                        while !noise.load(Ordering::Relaxed) {
                            yield_now().await;
                        }
                    });
                }
                let left = Arc::new(AtomicUsize::new(30));
                for _ in 0..10 {
                    let (near, mut far) = std::os::unix::net::UnixStream::pair().expect("a pair");
                    near.set_nonblocking(true).expect("an ordinary socket");
                    let near = UnixStream::from_std(near).expect("a registration");
                    let timer = sleep(Duration::from_millis(1));
                    let parts = [0; 3].map(|_| {
                        let (gate, left) = (gate.clone(), left.clone());
                        OnDrop(move || {
                            if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                                gate.open();
                            }
                        })
                    });
                    let [first, second, third] = parts;
                    filch::spawn(waits(
                        async move {
                            let _part = first;
                            near.readable().await.expect("a byte");
                        },
                        move || far.write_all(b"x").expect("there is room"),
                    ));
                    filch::spawn(async move {
                        let _part = second;
                        timer.await;
                    });
                    filch::spawn(async move { drop(third) });
                }
            });
            end.store(true, Ordering::Relaxed);
        }
    });
}

/// While one worker is stuck, the other takes what comes from outside, and its own things go on as ever.
#[test]
fn the_rest_of_the_runtime_goes_on() {
    within(|| {
        let runtime = multi(2);
        let (inside, leave) = (Gate::new(), Gate::new());
        let gates = (inside.clone(), leave.clone());
        let stuck = runtime.spawn(async move {
            gates.0.open();
            gates.1.wait();
        });
        inside.wait();
        runtime.block_on(async {
            for _ in 0..100 {
                filch::spawn(async {
                    sleep(Duration::from_micros(100)).await;
                    let (mut near, mut far) = UnixStream::pair().expect("a pair");
                    far.write_all(b"x").await.expect("there is room");
                    near.read_exact(&mut [0]).await.expect("a byte");
                    filch::spawn(yield_now()).await.expect("no panic");
                })
                .await
                .expect("no panic");
            }
        });
        assert!(!stuck.is_finished());
        leave.open();
        runtime.block_on(stuck).expect("no panic");
    });
}

/// A destructor that takes its time is as good as a poll that does.
#[test]
fn also_when_it_is_stuck_in_a_destructor() {
    within(|| {
        let runtime = multi(2);
        for _ in 0..5 {
            let (timer_fires, over) = (Gate::new(), Gate::new());
            let (fires, ends) = (timer_fires.clone(), over.clone());
            let slow = OnDrop(move || {
                let (timer, fires) = (sleep(Duration::from_millis(1)), fires.clone());
                filch::spawn(async move {
                    timer.await;
                    fires.open();
                });
                timer_fires.wait();
                ends.open();
            });
            let begun = Gate::new();
            let begins = begun.clone();
            let task = runtime.spawn(async move {
                let _slow = slow;
                begins.open();
                pending::<()>().await;
            });
            begun.wait();
            task.abort();
            over.wait();
        }
    });
}

/// Workers take turns in being stuck, and then two are stuck at a time, with a third that is free.
#[test]
fn whichever_worker_is_stuck() {
    within(|| {
        let runtime = multi(3);
        for _ in 0..ROUNDS {
            stuck_until(&runtime, |gate| {
                let timer = sleep(Duration::from_micros(500));
                filch::spawn(async move {
                    timer.await;
                    yield_now().await;
                    gate.open();
                });
            });
        }
        for _ in 0..ROUNDS {
            let inner = Gate::new();
            let opens = inner.clone();
            stuck_until(&runtime, move |gate| {
                filch::spawn(async move {
                    let timer = sleep(Duration::from_micros(500));
                    filch::spawn(async move {
                        timer.await;
                        opens.open();
                    });
                    inner.wait();
                    gate.open();
                });
            });
        }
    });
}

/// A socket that was served by another worker is not forgotten when its own worker is free again.
#[test]
fn afterwards_the_worker_serves_itself_again() {
    within(|| {
        let runtime = multi(2);
        let read = Arc::new(AtomicUsize::new(0));
        let (near, mut far) = std::os::unix::net::UnixStream::pair().expect("a pair");
        near.set_nonblocking(true).expect("an ordinary socket");
        let mut first = far.try_clone().expect("a descriptor");
        let count = read.clone();
        stuck_until(&runtime, move |gate| {
            let mut near = UnixStream::from_std(near).expect("a registration");
            filch::spawn(async move {
                let mut waited = waits(async { near.readable().await }, || {
                    first.write_all(b"x").expect("there is room")
                });
                (&mut waited).await.expect("a byte");
                drop(waited);
                drop(first);
                while near.read(&mut [0]).await.expect("no error") == 1 {
                    count.fetch_add(1, Ordering::Release);
                    gate.open();
                }
            });
        });
        for expected in 2..20 {
            far.write_all(b"x").expect("there is room");
            eventually("the byte is read", || read.load(Ordering::Acquire) == expected);
        }
        drop(far);
        eventually("the task ends", || runtime.metrics().num_alive_tasks() == 0);
    });
}

/// Nobody is stuck for long, so nobody is called: rescue is for emergencies.
#[test]
fn short_polls_call_nobody() {
    within(|| {
        let runtime = multi(2);
        runtime.block_on(async {
            for _ in 0..200 {
                filch::spawn(yield_now()).await.expect("no panic");
            }
            let mut left = 1000;
            filch::spawn(poll_fn(move |cx| {
                left -= 1;
                cx.waker().wake_by_ref();
                if left == 0 { Poll::Ready(()) } else { Poll::Pending }
            }))
            .await
            .expect("no panic");
        });
        // A machine whose cores are all taken can make any poll long.
        assert!(rescues(&runtime) <= 50, "{} rescues", rescues(&runtime));
    });
}

/// A worker whose tasks have been very short keeps a few to itself. When those turn out to take long, if not so long that the worker counts as stuck, another one comes.
#[test]
fn what_takes_longer_than_it_used_to_is_shared() {
    within(|| {
        let runtime = multi(2);
        let attempt = || {
            let threads = Arc::new(Mutex::new(HashSet::new()));
            let test = runtime.spawn({
                let threads = threads.clone();
                async move {
                    // Long enough for some looks of the watcher.
                    let begin = Instant::now();
                    while begin.elapsed() < Duration::from_millis(20) {
                        for _ in 0..1_000 {
                            yield_now().await;
                        }
                    }
                    let compute = |_| {
                        let threads = threads.clone();
                        filch::spawn(async move {
                            let begin = Instant::now();
                            while lock(&threads).len() < 2 && begin.elapsed() < Duration::from_micros(200) {
                                std::hint::spin_loop();
                            }
                            lock(&threads).insert(std::thread::current().id());
                        })
                    };
                    // Fewer than such a worker shares by itself.
                    let tasks: Vec<_> = (0..120).map(compute).collect();
                    for task in tasks {
                        task.await.expect("no panic");
                    }
                }
            });
            runtime.block_on(test).expect("no panic");
            lock(&threads).len()
        };
        // On a busy machine the watcher may come too late.
        let most = (0..5).map(|_| attempt()).find(|threads| *threads == 2);
        assert_eq!(most, Some(2), "one worker did it all");
    });
}

/// Some tasks that are spawned together after a pause, again and again.
async fn batches(count: usize, tasks: usize, task: impl Fn() + Clone + Send + 'static) {
    for _ in 0..count {
        sleep(Duration::from_millis(1)).await;
        let spawned: Vec<_> = (0..tasks)
            .map(|_| {
                let task = task.clone();
                filch::spawn(async move { task() })
            })
            .collect();
        for task in spawned {
            task.await.expect("no panic");
        }
    }
}

/// A worker that parks so often that the watcher never sees it run from one look to the next finds out by itself that its tasks take long now, and shares two of them.
#[test]
fn who_parks_often_learns_that_tasks_take_long() {
    within(|| {
        let runtime = multi(2);
        let threads = Arc::new(Mutex::new(HashSet::new()));
        let test = runtime.spawn({
            let threads = threads.clone();
            async move {
                // Short ones, until the watcher has looked some times.
                let begin = Instant::now();
                while begin.elapsed() < Duration::from_millis(20) {
                    for _ in 0..1_000 {
                        yield_now().await;
                    }
                }
                // Three of 0.2 ms are over before the watcher has looked twice.
                let compute = {
                    let threads = threads.clone();
                    move || {
                        let begin = Instant::now();
                        while begin.elapsed() < Duration::from_micros(200) {
                            std::hint::spin_loop();
                        }
                        lock(&threads).insert(std::thread::current().id());
                    }
                };
                for _ in 0..50 {
                    lock(&threads).clear();
                    batches(10, 3, compute.clone()).await;
                    if lock(&threads).len() == 2 {
                        break;
                    }
                }
            }
        });
        runtime.block_on(test).expect("no panic");
        assert_eq!(lock(&threads).len(), 2, "one worker did it all");
    });
}

/// A few tasks that are over in no time wake nobody, once their worker knows that.
#[test]
fn few_short_tasks_wake_no_other_worker() {
    const BATCHES: usize = 200;
    within(|| {
        let runtime = multi(2);
        let attempt = || {
            let parks = || -> usize { (0..2).map(|worker| runtime.metrics().worker_park_count(worker)).sum() };
            runtime
                .block_on(runtime.spawn(batches(50, 4, || ())))
                .expect("no panic");
            let before = parks();
            runtime
                .block_on(runtime.spawn(batches(BATCHES, 4, || ())))
                .expect("no panic");
            parks() - before
        };
        // The one that sleeps between the batches parks once for each. A worker that is woken for tasks parks again. A busy machine makes short tasks long.
        let least = (0..10).map(|_| attempt()).find(|parks| *parks < BATCHES + BATCHES / 2);
        assert!(least.is_some(), "another worker was woken for each batch");
    });
}
