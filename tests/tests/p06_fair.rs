//! P6: tasks that are ready cannot starve each other, sockets, timers or what comes from outside. How long the others wait is
//! counted in polls: a look at inbox and driver every 61 polls at most, three tasks in a row out of the slot, 128 ready operations in
//! one poll.

use filch::net::{UnixDatagram, UnixStream};
use filch::runtime::Runtime;
use filch::sync::Notify;
use filch::task::{JoinHandle, JoinSet, yield_now};
use filch::time::{Duration, sleep};
use filch_tests::{Gate, current, multi, within};
use std::future::{Future, poll_fn};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Between two looks at inbox and driver.
const LOOK: usize = 61;

/// What else may stand between: those in the queue, and the polls of the slot before it.
const SMALL: usize = 12;

/// Operations that are ready in one poll. The next one ends it, and is done after the others have had their turn.
const BUDGET: usize = 128;

/// What keeps a worker busy until it is to stop, with the number of its polls so far.
#[derive(Default)]
struct Noise {
    polls: AtomicUsize,
    quiet: AtomicBool,
}

impl Noise {
    fn lasts(&self) -> bool {
        !self.quiet.load(Ordering::SeqCst)
    }

    fn polls(&self) -> usize {
        self.polls.load(Ordering::SeqCst)
    }

    /// Spawns a part of the noise.
    fn spawn(self: &Arc<Self>, part: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let (noise, mut part) = (self.clone(), Box::pin(part));
        filch::spawn(poll_fn(move |cx| {
            noise.polls.fetch_add(1, Ordering::SeqCst);
            part.as_mut().poll(cx)
        }))
    }
}

/// Two tasks that wake each other out of the slot, for ever.
async fn ping_pong(noise: Arc<Noise>) {
    let ends = Arc::new([Notify::new(), Notify::new()]);
    let tasks = [0, 1].map(|own| {
        let (ends, part) = (ends.clone(), noise.clone());
        noise.spawn(async move {
            while part.lasts() {
                ends[1 - own].notify_one();
                ends[own].notified().await;
            }
            ends[1 - own].notify_one();
        })
    });
    for task in tasks {
        task.await.expect("no panic");
    }
}

/// Three tasks that do nothing but yield.
async fn yielding(noise: Arc<Noise>) {
    let tasks = [0; 3].map(|_| {
        let part = noise.clone();
        noise.spawn(async move {
            while part.lasts() {
                yield_now().await;
            }
        })
    });
    for task in tasks {
        task.await.expect("no panic");
    }
}

/// Makes noise on the only worker, in one of two kinds.
async fn make(noise: Arc<Noise>, kind: usize) {
    match kind {
        0 => ping_pong(noise).await,
        _ => yielding(noise).await,
    }
}

/// The polls of noise that went before `quiet` was done, which ends the noise.
fn polls_before<F>(runtime: &Runtime, kind: usize, quiet: F) -> usize
where
    F: Future<Output = ()> + Send + 'static,
{
    let noise: Arc<Noise> = Arc::default();
    runtime.block_on(async {
        filch::spawn(async move {
            let counted = noise.clone();
            let quiet = filch::spawn(async move {
                quiet.await;
                counted.quiet.store(true, Ordering::SeqCst);
                counted.polls()
            });
            make(noise, kind).await;
            quiet.await.expect("no panic")
        })
        .await
        .expect("no panic")
    })
}

/// Both kinds of noise, on one worker and on the current thread.
fn everywhere(test: impl Fn(&Runtime, usize)) {
    for runtime in [multi(1), current()] {
        for kind in [0, 1] {
            for _ in 0..5 {
                test(&runtime, kind);
            }
        }
    }
}

#[test]
fn a_spawned_task_has_its_turn() {
    within(|| {
        everywhere(|runtime, kind| {
            let polls = polls_before(runtime, kind, yield_now());
            assert!(polls <= SMALL, "{polls} polls went before");
        });
    });
}

#[test]
fn a_queue_is_served_between_tasks_of_the_slot() {
    within(|| {
        everywhere(|runtime, kind| {
            let polls = polls_before(runtime, kind, async {
                for _ in 0..50 {
                    yield_now().await;
                }
            });
            // Each of its turns comes after three of the slot and one that the slot displaced, or after the other yielding ones.
            assert!(polls <= 51 * 5 + SMALL, "{polls} polls went before");
        });
    });
}

/// The foreign thread acts, then counts; the task counts when it finds out. So what is between is at most the wait.
fn assert_seen_soon<F>(what: &str, runtime: &Runtime, kind: usize, setup: impl FnOnce(Arc<Gate>) -> (F, Act))
where
    F: Future<Output = ()> + Send + 'static,
{
    let noise: Arc<Noise> = Arc::default();
    let acted = Arc::new(AtomicUsize::new(usize::MAX));
    let begun = Gate::new();
    let (quiet, act) = {
        let _inside = runtime.enter();
        setup(begun.clone())
    };
    let (counted, mark, handle) = (noise.clone(), acted.clone(), runtime.handle().clone());
    let outside = std::thread::spawn(move || {
        begun.wait();
        act(&handle);
        mark.store(counted.polls(), Ordering::SeqCst);
    });
    let (counted, mark) = (noise.clone(), acted.clone());
    let waited = runtime.block_on(async {
        filch::spawn(async move {
            let noise = counted.clone();
            let watcher = filch::spawn(async move {
                quiet.await;
                let now = counted.polls();
                // If the other thread has not come to mark it yet, there was no wait at all.
                let waited = now.saturating_sub(mark.load(Ordering::SeqCst));
                counted.quiet.store(true, Ordering::SeqCst);
                waited
            });
            make(noise, kind).await;
            watcher.await.expect("no panic")
        })
        .await
        .expect("no panic")
    });
    outside.join().expect("no panic");
    assert!(waited <= LOOK + SMALL, "{what} has waited for {waited} polls");
}

type Act = Box<dyn FnOnce(&filch::runtime::Handle) + Send>;

#[test]
fn a_socket_is_seen() {
    within(|| {
        everywhere(|runtime, kind| {
            assert_seen_soon("a byte", runtime, kind, |begun| {
                let (near, mut far) = std::os::unix::net::UnixStream::pair().expect("a pair");
                near.set_nonblocking(true).expect("an ordinary socket");
                let near = UnixStream::from_std(near).expect("a registration");
                let quiet = async move {
                    begun.open();
                    near.readable().await.expect("a byte");
                };
                let act: Act = Box::new(move |_| far.write_all(b"x").expect("there is room"));
                (quiet, act)
            });
        });
    });
}

#[test]
fn a_timer_is_seen() {
    within(|| {
        everywhere(|runtime, kind| {
            assert_seen_soon("a timer", runtime, kind, |begun| {
                let quiet = async move {
                    // The clock begins to count before the other thread does.
                    let timer = sleep(Duration::from_millis(1));
                    begun.open();
                    timer.await;
                };
                // Deadlines are rounded up by less than 66 microseconds.
                let act: Act = Box::new(|_| std::thread::sleep(Duration::from_micros(1100)));
                (quiet, act)
            });
        });
    });
}

#[test]
fn what_comes_from_outside_is_seen() {
    within(|| {
        everywhere(|runtime, kind| {
            let (spawned, wakes) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
            assert_seen_soon("a wake from outside", runtime, kind, |begun| {
                let wake = wakes.clone();
                let quiet = async move {
                    begun.open();
                    wakes.notified().await;
                };
                let act: Act = Box::new(move |_| wake.notify_one());
                (quiet, act)
            });
            assert_seen_soon("a spawn from outside", runtime, kind, |begun| {
                let spawn = spawned.clone();
                let quiet = async move {
                    begun.open();
                    spawned.notified().await;
                };
                let act: Act = Box::new(move |handle| drop(handle.spawn(async move { spawn.notify_one() })));
                (quiet, act)
            });
        });
    });
}

/// The future of `block_on` is never done and always awake: tasks, sockets, timers and the outside have their turn all the same.
#[test]
fn the_future_of_block_on_starves_nobody() {
    within(|| {
        let runtime = current();
        runtime.block_on(async {
            let (near, mut far) = std::os::unix::net::UnixStream::pair().expect("a pair");
            near.set_nonblocking(true).expect("an ordinary socket");
            let near = UnixStream::from_std(near).expect("a registration");
            let (handle, outside) = (runtime.handle().clone(), Arc::new(Notify::new()));
            let seen = outside.clone();
            let all = [
                filch::spawn(async { yield_now().await }),
                filch::spawn(async { sleep(Duration::from_millis(1)).await }),
                filch::spawn(async move { near.readable().await.expect("a byte") }),
                filch::spawn(async move { seen.notified().await }),
            ];
            let thread = std::thread::spawn(move || {
                far.write_all(b"x").expect("there is room");
                handle.spawn(async move { outside.notify_one() });
                // The other end stays open until its byte is read.
                far
            });
            while !all.iter().all(JoinHandle::is_finished) {
                yield_now().await;
            }
            drop(thread.join().expect("no panic"));
        });
    });
}

/// Tasks and a future of `block_on` that are always awake take turns: the future is not starved either.
#[test]
fn tasks_do_not_starve_the_future_of_block_on() {
    within(|| {
        current().block_on(async {
            let noise: Arc<Noise> = Arc::default();
            let tasks = [
                filch::spawn(ping_pong(noise.clone())),
                filch::spawn(yielding(noise.clone())),
            ];
            for _ in 0..100 {
                yield_now().await;
            }
            noise.quiet.store(true, Ordering::SeqCst);
            for task in tasks {
                task.await.expect("no panic");
            }
        });
    });
}

/// A task whose operations are always ready never waits by itself: the budget makes it. Counts its operations until another task has its turn.
async fn operations_before_another(greedy: impl AsyncFn() + Send + 'static) -> usize {
    // The first ones may have to wait, for sockets that the reactor has not heard of.
    for _ in 0..2 * BUDGET {
        greedy().await;
    }
    yield_now().await;
    let (mut count, other) = (0, Arc::new(AtomicBool::new(false)));
    let flag = other.clone();
    filch::spawn(async move { flag.store(true, Ordering::SeqCst) });
    while !other.load(Ordering::SeqCst) {
        greedy().await;
        count += 1;
        assert!(count < 100 * BUDGET, "nothing makes it yield");
    }
    count
}

/// On each kind of runtime, in a task and in the future of `block_on`.
macro_rules! on_every_kind {
    ($greedy:expr) => {
        within(|| {
            // Two charges for each count, where something is both sent and received.
            let check = |count: usize| {
                assert!(
                    (BUDGET / 2..=BUDGET + 1).contains(&count),
                    "{count} operations went before"
                )
            };
            for runtime in [multi(1), current()] {
                let task = async { operations_before_another($greedy).await };
                check(runtime.block_on(async { filch::spawn(task).await.expect("no panic") }));
            }
            // On a multi_thread runtime another thread polls it, and nothing waits behind.
            check(current().block_on(async { operations_before_another($greedy).await }));
        })
    };
}

#[test]
fn datagrams_that_are_always_ready_use_up_the_budget() {
    on_every_kind!({
        let (near, far) = UnixDatagram::pair().expect("a pair");
        async move || {
            near.send(b"x").await.expect("there is room");
            far.recv(&mut [0; 8]).await.expect("it is there");
        }
    });
}

#[test]
fn timers_that_are_always_due_use_up_the_budget() {
    on_every_kind!(async || sleep(Duration::ZERO).await);
}

#[test]
fn tasks_that_have_ended_use_up_the_budget() {
    within(|| {
        for runtime in [multi(1), current()] {
            runtime.block_on(async {
                let parent = filch::spawn(async {
                    let mut set: JoinSet<()> = (0..1000).map(|_| async {}).collect();
                    let handles: Vec<_> = (0..1000).map(|_| filch::spawn(async {})).collect();
                    // They all end.
                    for _ in 0..4 {
                        yield_now().await;
                    }
                    let other = Arc::new(AtomicBool::new(false));
                    let flag = other.clone();
                    filch::spawn(async move { flag.store(true, Ordering::SeqCst) });
                    let mut joined = 0;
                    while let Some(result) = set.join_next().await {
                        result.expect("no panic");
                        joined += usize::from(!other.load(Ordering::SeqCst));
                    }
                    let other = Arc::new(AtomicBool::new(false));
                    let flag = other.clone();
                    filch::spawn(async move { flag.store(true, Ordering::SeqCst) });
                    let mut awaited = 0;
                    for handle in handles {
                        handle.await.expect("no panic");
                        awaited += usize::from(!other.load(Ordering::SeqCst));
                    }
                    (joined, awaited)
                });
                let (joined, awaited) = parent.await.expect("no panic");
                assert!(
                    joined <= BUDGET + 1 && awaited <= BUDGET + 1,
                    "{joined} and {awaited} in one poll"
                );
            });
        }
    });
}

#[test]
fn a_stream_that_is_always_ready_uses_up_the_budget() {
    on_every_kind!({
        let (near, far) = UnixStream::pair().expect("a pair");
        // Crate tokio's own, which charges nothing: only the stream is counted.
        let (near, far) = (tokio::sync::Mutex::new(near), tokio::sync::Mutex::new(far));
        async move || {
            near.lock().await.write_all(b"xy").await.expect("there is room");
            far.lock().await.read_exact(&mut [0; 2]).await.expect("it is there");
        }
    });
}
