//! Traps that others fell into, so far as they concern what is here. Most have a number in Tokio's list of issues.
//!
//! Not here: the wheel's wrap and the race of its inserts and cancels (P5 and the timer's own tests), a lost wake (P2), and the generator of random
//! numbers with a seed of zero (#8078), whose seeds cannot be seen from outside.

use filch::runtime::{Builder, Handle, Runtime};
use filch::sync::{Mutex, Notify, oneshot};
use filch::task::yield_now;
use filch::time::{Duration, Instant, sleep};
use filch_tests::{Gate, alone, current, eventually, lock, multi, paused, poll_once, within};
use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Poll, Waker};

fn sum(runtime: &Runtime, count: impl Fn(&filch::runtime::RuntimeMetrics, usize) -> usize) -> usize {
    let metrics = runtime.metrics();
    (0..metrics.num_workers()).map(|worker| count(&metrics, worker)).sum()
}

fn steals(runtime: &Runtime) -> usize {
    sum(runtime, filch::runtime::RuntimeMetrics::worker_steal_count)
}

fn parks(runtime: &Runtime) -> usize {
    sum(runtime, filch::runtime::RuntimeMetrics::worker_park_count)
}

fn rescues(runtime: &Runtime) -> usize {
    sum(runtime, filch::runtime::RuntimeMetrics::worker_rescue_count)
}

/// Two tasks that wake each other belong to one worker. To wake another worker for each of their wakes costs more than all else (#8065).
#[test]
fn ping_pong_wakes_no_other_worker() {
    within(|| {
        const ROUNDS: usize = 20_000;
        let runtime = multi(2);
        runtime.block_on(async {
            filch::spawn(async {
                let ends = Arc::new([Notify::new(), Notify::new()]);
                let tasks = [0, 1].map(|own| {
                    let ends = ends.clone();
                    filch::spawn(async move {
                        for _ in 0..ROUNDS {
                            ends[own].notified().await;
                            ends[1 - own].notify_one();
                        }
                    })
                });
                ends[0].notify_one();
                for task in tasks {
                    task.await.expect("no panic");
                }
            })
            .await
            .expect("no panic");
        });
        let (parks, steals, rescues) = (parks(&runtime), steals(&runtime), rescues(&runtime));
        // A few at the begin, and some where the machine takes the processor away.
        assert!(
            parks + steals + rescues < ROUNDS / 20,
            "{parks} parks, {steals} steals and {rescues} rescues in {ROUNDS} rounds"
        );
    });
}

/// Two workers and four tasks at one lock: who is woken has the lock only for a moment, and to steal it back and forth costs four times the work.
#[test]
fn tasks_at_one_lock_are_not_stolen_all_the_time() {
    within(|| {
        const ROUNDS: usize = 5000;
        let runtime = multi(2);
        let total = Arc::new(Mutex::new(0));
        runtime.block_on(async {
            let tasks: Vec<_> = (0..4)
                .map(|_| {
                    let total = total.clone();
                    filch::spawn(async move {
                        for _ in 0..ROUNDS {
                            let mut total = total.lock().await;
                            *total += 1;
                            // With the lock in hand, so that the others queue up for it.
                            yield_now().await;
                            drop(total);
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.expect("no panic");
            }
            assert_eq!(*total.lock().await, 4 * ROUNDS);
        });
        let steals = steals(&runtime);
        assert!(steals < 4 * ROUNDS / 4, "{steals} steals in {} rounds", 4 * ROUNDS);
    });
}

/// The write calls of this process so far, of which an unpark is one (to an eventfd). `None` on systems that do not count them.
fn write_calls() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/io").ok()?;
    text.lines().find_map(|line| line.strip_prefix("syscw: "))?.parse().ok()
}

#[track_caller]
fn assert_few_writes(before: Option<u64>, after: Option<u64>) {
    match (before, after) {
        (Some(before), Some(after)) => assert!(after - before < 50, "{} writes", after - before),
        _ => println!("skipped: this system does not count write calls"),
    }
}

/// A worker that is awake need not be told that there is something in the inbox.
#[test]
fn a_push_to_a_worker_that_is_awake_writes_nothing() {
    alone("a_push_to_a_worker_that_is_awake_writes_nothing", || {
        const PUSHES: usize = 5000;
        // One that sleeps is told, which shows that the count counts.
        let (asleep, before) = (multi(1), write_calls());
        for _ in 0..10 {
            std::thread::sleep(Duration::from_millis(2));
            asleep.block_on(asleep.spawn(async {})).expect("no panic");
        }
        assert!(before.is_none() || write_calls() > before);
        for runtime in [multi(1), current()] {
            let (ended, arrived) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
            let (stop, begun) = (ended.clone(), Gate::new());
            let begins = begun.clone();
            let busy = runtime.spawn(async move {
                begins.open();
                while !stop.load(Ordering::SeqCst) {
                    yield_now().await;
                }
            });
            let handle = runtime.handle().clone();
            let pusher = std::thread::spawn(move || {
                begun.wait();
                let before = write_calls();
                for _ in 0..PUSHES {
                    let arrived = arrived.clone();
                    handle.spawn(async move {
                        arrived.fetch_add(1, Ordering::SeqCst);
                    });
                }
                eventually("all have run", || arrived.load(Ordering::SeqCst) == PUSHES);
                let after = write_calls();
                ended.store(true, Ordering::SeqCst);
                (before, after)
            });
            runtime.block_on(busy).expect("no panic");
            let (before, after) = pusher.join().expect("no panic");
            assert_few_writes(before, after);
        }
    });
}

/// Nor that there is an earlier timer: each of these is the earliest so far.
#[test]
fn arming_timers_on_a_worker_that_is_awake_writes_nothing() {
    alone("arming_timers_on_a_worker_that_is_awake_writes_nothing", || {
        const TIMERS: u64 = 5000;
        for runtime in [multi(1), current()] {
            let task = runtime.spawn(async {
                let (begin, mut timers) = (Instant::now(), Vec::new());
                let before = write_calls();
                for number in 0..TIMERS {
                    let mut timer = Box::pin(filch::time::sleep_until(begin + Duration::from_secs(10_000 - number)));
                    assert!(poll_once(timer.as_mut()).await.is_pending());
                    timers.push(timer);
                    yield_now().await;
                }
                (before, write_calls())
            });
            let (before, after) = runtime.block_on(task).expect("no panic");
            assert_few_writes(before, after);
        }
    });
}

/// A timer is reset inside another runtime than its own (#8169): it stays where it is, and fires.
#[test]
fn a_timer_that_is_reset_in_another_runtime_fires() {
    within(|| {
        for (home, away) in [(multi(1), multi(1)), (current(), multi(2)), (multi(2), current())] {
            let home = Arc::new(home);
            let inside = home.enter();
            let mut timer = Box::pin(sleep(Duration::from_secs(3600)));
            drop(inside);
            // Somebody turns the timers of a current_thread runtime.
            let (driver, stop) = (home.clone(), Arc::new(Notify::new()));
            let stops = stop.clone();
            let drives = std::thread::spawn(move || driver.block_on(stops.notified()));
            away.block_on(async {
                assert!(poll_once(timer.as_mut()).await.is_pending());
                timer.as_mut().reset(Instant::now() + Duration::from_millis(2));
                timer.as_mut().await;
                timer.as_mut().reset(Instant::now() + Duration::from_millis(1));
                filch::spawn(timer).await.expect("no panic");
            });
            stop.notify_one();
            drives.join().expect("no panic");
            // The other one has nothing of it.
            assert_eq!(sum(&away, filch::runtime::RuntimeMetrics::worker_timers), 0);
            assert_eq!(sum(&home, filch::runtime::RuntimeMetrics::worker_timers), 0);
        }
    });
}

/// The waker of a task, kept by a stranger, used and dropped when all else is gone.
#[test]
fn wakers_that_outlive_the_runtime() {
    within(|| {
        for make in [current, || multi(2)] {
            let runtime = make();
            let kept: Arc<std::sync::Mutex<Vec<Waker>>> = Arc::default();
            let tasks: Vec<_> = (0..10)
                .map(|_| {
                    let kept = kept.clone();
                    runtime.spawn(poll_fn(move |cx| {
                        lock(&kept).push(cx.waker().clone());
                        Poll::<()>::Pending
                    }))
                })
                .collect();
            let main = kept.clone();
            runtime.block_on(async {
                poll_fn(|cx| {
                    lock(&main).push(cx.waker().clone());
                    Poll::Ready(())
                })
                .await;
                for _ in 0..20 {
                    yield_now().await;
                }
            });
            eventually("all are polled", || lock(&kept).len() == 11);
            drop(runtime);
            let wakers = std::mem::take(&mut *lock(&kept));
            for waker in &wakers {
                waker.wake_by_ref();
                assert!(waker.clone().will_wake(waker));
            }
            std::thread::spawn(move || wakers.into_iter().for_each(Waker::wake))
                .join()
                .expect("no panic");
            for task in tasks {
                assert!(current().block_on(task).expect_err("it was ended").is_cancelled());
            }
        }
    });
}

/// Wakes, aborts and spawns when its thread ends, after the thread's other locals are gone.
struct AtTheEnd(Box<dyn FnMut()>);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        (self.0)();
    }
}

thread_local! {
    static AT_THE_END: RefCell<Vec<AtTheEnd>> = const { RefCell::new(Vec::new()) };
}

fn at_the_end(f: impl FnMut() + 'static) {
    AT_THE_END.with(|list| list.borrow_mut().push(AtTheEnd(Box::new(f))));
}

#[test]
fn wakes_and_spawns_from_a_thread_that_ends() {
    within(|| {
        for runtime in [multi(2), current()] {
            let (notify, ran) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
            let (send, receive) = oneshot::channel();
            let aborted = runtime.spawn(pending::<()>());
            let (handle, abort) = (runtime.handle().clone(), aborted.abort_handle());
            let (wakes, count) = (notify.clone(), ran.clone());
            let thread = std::thread::spawn(move || {
                // First of all, so that it ends last.
                let mut send = Some(send);
                at_the_end(move || {
                    wakes.notify_one();
                    abort.abort();
                    if let Some(send) = send.take() {
                        send.send(3).expect("somebody waits");
                    }
                    let count = count.clone();
                    drop(handle.spawn(async move {
                        count.fetch_add(1, Ordering::SeqCst);
                    }));
                    drop(handle.spawn_blocking(|| ()));
                    assert!(Handle::try_current().is_err());
                });
                // The runtime's own locals come into being, and go before.
                current().block_on(async { filch::spawn(yield_now()).await.expect("no panic") });
            });
            runtime.block_on(async {
                notify.notified().await;
                assert_eq!(receive.await, Ok(3));
                assert!(aborted.await.expect_err("aborted").is_cancelled());
                while ran.load(Ordering::SeqCst) == 0 {
                    yield_now().await;
                }
            });
            thread.join().expect("no panic");
        }
    });
}

/// The same on the threads of the runtime itself: locals of a worker and of a blocking thread are destroyed at its end.
#[test]
fn wakes_and_spawns_from_a_worker_that_ends() {
    within(|| {
        let (other, ran) = (current(), Arc::new(AtomicUsize::new(0)));
        let runtime = multi(2);
        let (own, foreign) = (runtime.handle().clone(), other.handle().clone());
        let prepare = {
            let ran = ran.clone();
            move || {
                let (own, foreign, ran) = (own.clone(), foreign.clone(), ran.clone());
                at_the_end(move || {
                    // One's own runtime takes nothing any more, the other does.
                    drop(own.spawn(async { unreachable!("the runtime is shut down") }));
                    let ran = ran.clone();
                    drop(foreign.spawn(async move {
                        ran.fetch_add(1, Ordering::SeqCst);
                    }));
                });
            }
        };
        let in_job = prepare.clone();
        runtime.block_on(async {
            filch::spawn(async move { prepare() }).await.expect("no panic");
            filch::task::spawn_blocking(in_job).await.expect("no panic");
        });
        drop(runtime);
        other.block_on(async {
            while ran.load(Ordering::SeqCst) < 2 {
                yield_now().await;
            }
        });
    });
}

/// `block_on` itself, from a thread whose locals are gone: it cannot say which runtime it is inside of, but it must not bring the process down.
#[test]
fn block_on_from_a_thread_that_ends() {
    within(|| {
        let done = Arc::new(AtomicUsize::new(0));
        let count = done.clone();
        std::thread::spawn(move || {
            at_the_end(move || {
                for runtime in [current(), multi(1)] {
                    let value = runtime.block_on(runtime.spawn(async { 1 })).expect("no panic");
                    count.fetch_add(value, Ordering::SeqCst);
                }
            });
            current().block_on(yield_now());
        })
        .join()
        .expect("no panic");
        assert_eq!(done.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn a_hundred_runtimes_in_one_process() {
    within(|| {
        let runtimes: Vec<_> = (0..100)
            .map(|number| if number % 2 == 0 { current() } else { multi(1) })
            .collect();
        let handles: Vec<_> = runtimes.iter().map(|runtime| runtime.handle().clone()).collect();
        // A chain through all of them.
        let (send, mut receive) = oneshot::channel();
        send.send(0).expect("the first link");
        for handle in &handles {
            let (next, link) = oneshot::channel();
            let before = std::mem::replace(&mut receive, link);
            handle.spawn(async move {
                let count: usize = before.await.expect("the link before");
                next.send(count + 1).expect("the link behind");
            });
        }
        let links = loop {
            // A current_thread runtime goes on only while somebody drives it.
            for runtime in &runtimes {
                runtime.block_on(async {
                    sleep(Duration::from_micros(1)).await;
                    filch::spawn(yield_now()).await.expect("no panic");
                });
            }
            if let Ok(links) = receive.try_recv() {
                break links;
            }
        };
        assert_eq!(links, 100);
        // The last begun ends first, and some in the middle.
        let mut runtimes = runtimes;
        while !runtimes.is_empty() {
            drop(runtimes.swap_remove(runtimes.len() / 2));
        }
    });
}

/// Threads spawn onto a runtime that shuts down: each task runs, or is dropped and says so (see P2 for the wakes).
#[test]
fn spawn_during_shutdown() {
    within(|| {
        for round in 0..40 {
            let runtime = if round % 3 == 0 { current() } else { multi(2) };
            let begun = Arc::new(std::sync::Barrier::new(3));
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    let (handle, begun) = (runtime.handle().clone(), begun.clone());
                    std::thread::spawn(move || {
                        begun.wait();
                        let tasks: Vec<_> = (0..100).map(|_| handle.spawn(async { yield_now().await })).collect();
                        let jobs: Vec<_> = (0..10).map(|_| handle.spawn_blocking(|| ())).collect();
                        (tasks, jobs)
                    })
                })
                .collect();
            begun.wait();
            for _ in 0..round * 30 {
                std::hint::spin_loop();
            }
            drop(runtime);
            for thread in threads {
                let (tasks, jobs) = thread.join().expect("no panic");
                for task in tasks.into_iter().chain(jobs) {
                    if let Err(error) = current().block_on(task) {
                        assert!(error.is_cancelled(), "{error}");
                    }
                }
            }
        }
    });
}

/// Threads of the blocking pool that leave, and jobs that come at that very moment (#8056).
#[test]
fn a_blocking_pool_that_always_shrinks_loses_no_job() {
    within(|| {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(4)
            .thread_keep_alive(Duration::from_micros(50))
            .build()
            .expect("a runtime");
        let done = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..3)
            .map(|number| {
                let (handle, done) = (runtime.handle().clone(), done.clone());
                std::thread::spawn(move || {
                    for round in 0..200 {
                        let done = done.clone();
                        let job = handle.spawn_blocking(move || {
                            done.fetch_add(1, Ordering::SeqCst);
                        });
                        if (round + number) % 3 == 0 {
                            handle.block_on(job).expect("no panic");
                        }
                        std::thread::sleep(Duration::from_micros(round % 80));
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("no panic");
        }
        eventually("every job has run", || done.load(Ordering::SeqCst) == 600);
        eventually("all threads leave", || runtime.metrics().num_blocking_threads() == 0);
    });
}

/// After much parking and waking every worker can still be woken, all at the same time (#8372).
#[test]
fn no_sleeper_is_forgotten() {
    within(|| {
        let runtime = multi(4);
        for round in 0..100 {
            // A storm of wakes from outside and inside, then quiet.
            for _ in 0..round % 20 {
                runtime.spawn(async {
                    for _ in 0..3 {
                        filch::spawn(yield_now());
                    }
                });
            }
            let here = Arc::new(AtomicUsize::new(0));
            let tasks: Vec<_> = (0..4)
                .map(|_| {
                    let here = here.clone();
                    runtime.spawn(async move {
                        here.fetch_add(1, Ordering::SeqCst);
                        eventually("all four are awake", || here.load(Ordering::SeqCst) == 4);
                    })
                })
                .collect();
            for task in tasks {
                runtime.block_on(task).expect("no panic");
            }
        }
    });
}

/// A runtime, and the wheel of its timers, is not built on the stack (#8093).
#[test]
fn a_runtime_is_built_on_a_small_stack() {
    within(|| {
        let thread = std::thread::Builder::new().stack_size(64 * 1024).spawn(|| {
            for runtime in [current(), multi(2), paused()] {
                runtime.block_on(async { sleep(Duration::from_micros(1)).await });
            }
        });
        thread.expect("a thread").join().expect("it suffices");
    });
}

/// Hooks that use the runtime whose threads they are called on (#7835: a hook that schedules work).
#[test]
fn hooks_that_spawn() {
    within(|| {
        // A hook that keeps a handle of its own runtime keeps all of it for ever, so the handle is taken back at the end.
        let (ran, known) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(std::sync::Mutex::new(None::<Handle>)),
        );
        let hook = || {
            let (ran, known) = (ran.clone(), known.clone());
            move || {
                // The first threads begin before anybody has a handle; the last end after the last task.
                let handle = lock(&known).clone();
                if let Some(handle) = handle {
                    let ran = ran.clone();
                    drop(handle.spawn(async move {
                        ran.fetch_add(1, Ordering::SeqCst);
                    }));
                    drop(handle.spawn_blocking(|| ()));
                }
            }
        };
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_keep_alive(Duration::ZERO)
            .on_thread_start(hook())
            .build()
            .expect("a runtime");
        *lock(&known) = Some(runtime.handle().clone());
        runtime.block_on(async { filch::task::spawn_blocking(|| ()).await.expect("no panic") });
        eventually("what a hook spawned has run", || ran.load(Ordering::SeqCst) > 0);
        drop(runtime);
        let handle = lock(&known).take();
        drop(handle);
        let stops = known.clone();
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .on_thread_stop(move || {
                let handle = lock(&stops).clone();
                if let Some(handle) = handle {
                    drop(handle.spawn(async {}));
                    drop(handle.spawn_blocking(|| ()));
                }
            })
            .build()
            .expect("a runtime");
        *lock(&known) = Some(runtime.handle().clone());
        runtime.block_on(async { filch::task::spawn_blocking(|| ()).await.expect("no panic") });
        drop(runtime);
        let handle = lock(&known).take();
        drop(handle);
    });
}

/// A future of 64 KiB is moved by every function that spawns it; without optimisation each of these has room for it on the stack.
#[test]
fn large_futures_leave_room_on_the_stack() {
    async fn large() -> u8 {
        let mut kept = [1; 64 * 1024];
        kept[7] = std::hint::black_box(7);
        yield_now().await;
        std::hint::black_box(&kept)[7]
    }
    const STACK: usize = 1280 * 1024;
    within(|| {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_stack_size(STACK)
            .build()
            .expect("a runtime");
        // Each in a task of its own, for the room in a poll adds up.
        let tasks = [
            runtime.spawn(async { filch::spawn(large()).await.expect("no panic") }),
            runtime.spawn(async { filch::lane().spawn(large()).await.expect("no panic") }),
            runtime.spawn(async {
                let named = filch::task::Builder::new().name("large");
                named.spawn(large()).await.expect("no panic")
            }),
            runtime.spawn(async {
                let group = filch::group(async |group| {
                    let child = group.spawn(async { Ok::<_, String>(large().await) });
                    Ok(child.await.expect("no panic"))
                });
                group.await.expect("no error")
            }),
            runtime.spawn(async { filch::gather([large()]).await[0] }),
        ];
        for task in tasks {
            assert_eq!(runtime.block_on(task).expect("no panic"), 7);
        }
        let local = std::thread::Builder::new().stack_size(STACK).spawn(|| {
            let set = filch::task::LocalSet::new();
            let task = set.spawn_local(large());
            assert_eq!(set.block_on(&current(), task).expect("no panic"), 7);
        });
        local.expect("a thread").join().expect("no panic");
    });
}

/// A reactor for each of many workers would find few events at a time and wake a thread for each: with more workers than processors, accepted sockets are dealt
/// to one reactor for every two processors.
#[test]
fn more_workers_than_processors_share_few_reactors() {
    const CONNECTIONS: usize = 32;
    within(|| {
        let processors = std::thread::available_parallelism().expect("the system knows").get();
        let runtime = multi(processors + 4);
        let accepted = runtime.spawn(async {
            let listener = filch::net::TcpListener::bind("127.0.0.1:0")
                .await
                .expect("a port is free");
            let address = listener.local_addr().expect("it is bound");
            let mut kept = Vec::new();
            for _ in 0..CONNECTIONS {
                let client = std::net::TcpStream::connect(address).expect("it listens");
                kept.push((client, listener.accept().await.expect("a connection")));
            }
            // Not the listener: it is at home where its task ran.
            drop(listener);
            kept
        });
        let kept = runtime.block_on(accepted).expect("no panic");
        let metrics = runtime.metrics();
        let sources: Vec<_> = (0..metrics.num_workers())
            .map(|worker| metrics.worker_io_sources(worker))
            .collect();
        let dealt = processors.div_ceil(2);
        assert_eq!(sources[..dealt].iter().sum::<usize>(), CONNECTIONS, "{sources:?}");
        let even = CONNECTIONS.div_ceil(dealt);
        assert!(sources.iter().all(|&count| count <= even + 1), "{sources:?}");
        drop(kept);
    });
}
