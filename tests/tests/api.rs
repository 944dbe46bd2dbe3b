//! The rest of the public face, each part used as its documentation says.

use filch::net::{TcpListener, TcpStream, UnixStream};
use filch::runtime::{Builder, Handle, Runtime, RuntimeFlavor};
use filch::sync::{Mutex, Notify, Semaphore, broadcast, mpsc, oneshot, watch};
use filch::task::{self, AbortHandle, JoinSet, spawn_blocking, yield_now};
use filch::time::{Duration, Instant, sleep, timeout};
use filch_tests::{Gate, Log, OnDrop, alone, current, eventually, multi, paused, poll_once, within};
use std::collections::HashSet;
use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

fn everywhere(test: impl Fn(&Runtime)) {
    for runtime in [multi(1), multi(2), current()] {
        test(&runtime);
    }
}

// Sets of tasks.

#[test]
fn a_set_gives_outcomes_as_they_come() {
    within(|| {
        paused().block_on(async {
            let mut set = JoinSet::default();
            assert!(set.is_empty());
            assert_eq!(format!("{set:?}"), "JoinSet { len: 0 }");
            assert!(set.join_next().await.is_none() && set.try_join_next().is_none());
            for seconds in [3, 1, 2] {
                set.spawn(async move {
                    sleep(Duration::from_secs(seconds)).await;
                    seconds
                });
            }
            assert_eq!(set.len(), 3);
            assert!(set.try_join_next().is_none());
            for expected in 1..=3 {
                assert_eq!(set.join_next().await.expect("one more").expect("no panic"), expected);
            }
            assert!(set.join_next().await.is_none() && set.is_empty());
            // It can be filled again.
            set.spawn(async { 4 });
            assert_eq!(set.join_all().await, [4]);
        });
    });
}

#[test]
fn a_set_of_all_kinds() {
    within(|| {
        everywhere(|runtime| {
            let other = multi(1);
            runtime.block_on(async {
                let mut set = JoinSet::new();
                let ids = [
                    set.spawn(async { 1 }).id(),
                    set.spawn_on(async { 2 }, other.handle()).id(),
                    set.spawn_blocking(|| 3).id(),
                    set.spawn_blocking_on(|| 4, other.handle()).id(),
                ];
                let mut values = [0; 4];
                while let Some(result) = set.join_next_with_id().await {
                    let (id, value) = result.expect("no panic");
                    let place = ids.iter().position(|known| *known == id).expect("one of them");
                    values[place] = value;
                }
                assert_eq!(values, [1, 2, 3, 4]);
                let set: JoinSet<usize> = (0..100).map(|number| async move { number }).collect();
                let mut all = set.join_all().await;
                all.sort_unstable();
                assert_eq!(all, (0..100).collect::<Vec<_>>());
            });
        });
    });
}

#[test]
fn a_set_ends_its_tasks() {
    within(|| {
        everywhere(|runtime| {
            runtime.block_on(async {
                let alive = Arc::new(AtomicUsize::new(0));
                let fill = |set: &mut JoinSet<()>| {
                    for _ in 0..10 {
                        alive.fetch_add(1, Ordering::SeqCst);
                        let alive = alive.clone();
                        let gone = OnDrop(move || {
                            alive.fetch_sub(1, Ordering::SeqCst);
                        });
                        set.spawn(async move {
                            let _gone = gone;
                            pending::<()>().await;
                        });
                    }
                };
                let mut set = JoinSet::new();
                fill(&mut set);
                set.shutdown().await;
                assert_eq!((alive.load(Ordering::SeqCst), set.len()), (0, 0));
                fill(&mut set);
                set.abort_all();
                assert_eq!(set.len(), 10);
                while let Some(result) = set.join_next().await {
                    assert!(result.expect_err("aborted").is_cancelled());
                }
                fill(&mut set);
                drop(set);
                while alive.load(Ordering::SeqCst) > 0 {
                    yield_now().await;
                }
            });
        });
    });
}

#[test]
fn a_set_lets_its_tasks_go() {
    within(|| {
        everywhere(|runtime| {
            runtime.block_on(async {
                let (done, mut set) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
                for round in 0..3 {
                    for _ in 0..5 {
                        let done = done.clone();
                        set.spawn(async move {
                            yield_now().await;
                            done.fetch_add(1, Ordering::SeqCst);
                        });
                    }
                    if round == 1 {
                        // Some of them have left word already.
                        let first = poll_fn(|cx| Poll::Ready(set.poll_join_next(cx))).await;
                        assert!(!matches!(first, Poll::Ready(None)));
                    }
                    set.detach_all();
                    assert!(set.is_empty() && set.join_next().await.is_none());
                }
                // What they say after that is nobody's business any more.
                set.spawn(async {});
                set.join_next().await.expect("one").expect("no panic");
                drop(set);
                while done.load(Ordering::SeqCst) < 15 {
                    yield_now().await;
                }
            });
        });
    });
}

/// Looking whether there is an outcome does not take away the promise to wake whoever waits.
#[test]
fn a_look_at_a_set_takes_no_wake_away() {
    within(|| {
        everywhere(|runtime| {
            runtime.block_on(async {
                let (send, receive) = oneshot::channel();
                let mut set = JoinSet::new();
                set.spawn(async move { receive.await.expect("a value") });
                let mut send = Some(send);
                let value = poll_fn(|cx| match set.poll_join_next_with_id(cx) {
                    Poll::Ready(result) => Poll::Ready(result),
                    Poll::Pending => {
                        assert!(set.try_join_next().is_none());
                        if let Some(send) = send.take() {
                            send.send(7).expect("the task waits");
                        }
                        Poll::Pending
                    }
                })
                .await;
                assert_eq!(value.expect("one").expect("no panic").1, 7);
            });
        });
    });
}

/// A wait that is dropped loses no outcome, whoever waits next.
#[test]
fn a_wait_for_a_set_can_be_given_up() {
    within(|| {
        everywhere(|runtime| {
            let mut set = JoinSet::new();
            for number in 0..50 {
                set.spawn_on(
                    async move {
                        for _ in 0..number % 5 {
                            yield_now().await;
                        }
                        number
                    },
                    runtime.handle(),
                );
            }
            let mut seen = HashSet::new();
            // Each wait is another task's.
            while !set.is_empty() {
                let (back, value) = runtime
                    .block_on(runtime.spawn(async move {
                        let value = poll_fn(|cx| Poll::Ready(set.poll_join_next(cx))).await;
                        (set, value)
                    }))
                    .expect("no panic");
                set = back;
                match value {
                    Poll::Ready(Some(value)) => assert!(seen.insert(value.expect("no panic"))),
                    Poll::Ready(None) => break,
                    Poll::Pending => {
                        if let Some(value) = runtime.block_on(set.join_next()) {
                            assert!(seen.insert(value.expect("no panic")));
                        }
                    }
                }
            }
            assert_eq!(seen.len(), 50);
        });
    });
}

// Handles of tasks, errors, ids.

#[test]
fn abort_handles() {
    within(|| {
        everywhere(|runtime| {
            let task = runtime.spawn(pending::<()>());
            let (first, second) = (task.abort_handle(), task.abort_handle().clone());
            assert!(first.id() == task.id() && second.id() == task.id());
            assert!(!first.is_finished() && !task.is_finished());
            assert!(format!("{first:?}").contains(&format!("{:?}", task.id())));
            drop(first);
            second.abort();
            assert!(runtime.block_on(task).expect_err("aborted").is_cancelled());
            assert!(second.is_finished());
            // Too late, and long after the task.
            second.abort();
            fn assert_traits<T: Send + Sync + Clone + std::panic::UnwindSafe>() {}
            assert_traits::<AbortHandle>();
        });
    });
}

#[test]
fn join_errors() {
    within(|| {
        let runtime = current();
        let task = runtime.spawn(pending::<()>());
        let id = task.id();
        task.abort();
        let error = runtime.block_on(task).expect_err("aborted");
        assert_eq!(error.id(), id);
        assert_eq!(error.to_string(), format!("task {id} was cancelled"));
        assert_eq!(format!("{error:?}"), format!("JoinError::Cancelled({id:?})"));
        assert!(std::io::Error::from(error).to_string().contains("cancelled"));
        let task = runtime.spawn(async { panic!("why") });
        let id = task.id();
        let error = runtime.block_on(task).expect_err("it panics");
        assert_eq!(error.to_string(), format!("task {id} panicked: why"));
        fn assert_traits<T: Send + Sync + std::error::Error + 'static>(_: &T) {}
        assert_traits(&error);
    });
}

#[test]
fn ids() {
    within(|| {
        everywhere(|runtime| {
            runtime.block_on(async {
                assert!(task::try_id().is_none(), "the future of block_on is no task");
                let dropped = Log::new();
                let mut seen = HashSet::new();
                for _ in 0..300 {
                    let log = dropped.clone();
                    let guard = OnDrop(move || log.push(task::try_id()));
                    let task = filch::spawn(async move {
                        let _guard = guard;
                        let first = task::id();
                        yield_now().await;
                        assert_eq!(first, task::id());
                        first
                    });
                    let id = task.id();
                    assert_eq!(task.await.expect("no panic"), id);
                    assert!(seen.insert(id), "an id was given twice");
                    assert_eq!(
                        dropped.get().last(),
                        Some(&Some(id)),
                        "the future is dropped as its task"
                    );
                }
                let job = spawn_blocking(task::try_id);
                let id = job.id();
                assert_eq!(job.await.expect("no panic"), Some(id));
                assert!(task::try_id().is_none());
            });
        });
    });
}

#[test]
fn a_handle_tells_where_its_task_was_spawned() {
    let runtime = current();
    let task = runtime.spawn(async {});
    assert!(format!("{task:?}").contains("api.rs"), "{task:?}");
}

// Handles of runtimes.

#[test]
fn entering_runtimes() {
    within(|| {
        let (first, second) = (multi(1), current());
        assert!(Handle::try_current().is_err());
        {
            let _first = first.enter();
            assert_eq!(Handle::current().runtime_flavor(), RuntimeFlavor::MultiThread);
            {
                let _second = second.handle().enter();
                assert_eq!(Handle::current().runtime_flavor(), RuntimeFlavor::CurrentThread);
            }
            assert_eq!(Handle::current().runtime_flavor(), RuntimeFlavor::MultiThread);
            let task = filch::spawn(async { 1 });
            // A socket and a timer of the runtime that this thread is inside of, awaited in another.
            let (mut near, mut far) = UnixStream::pair().expect("a pair");
            let timer = sleep(Duration::from_millis(1));
            let all = second.block_on(async move {
                timer.await;
                far.write_all(b"x").await.expect("there is room");
                near.read_exact(&mut [0]).await.expect("a byte");
                task.await.expect("no panic")
            });
            assert_eq!(all, 1);
        }
        assert!(Handle::try_current().is_err());
    });
}

#[test]
fn block_on_through_a_handle() {
    within(|| {
        let runtime = multi(2);
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let handle = runtime.handle().clone();
                std::thread::spawn(move || {
                    handle.block_on(async {
                        sleep(Duration::from_millis(1)).await;
                        filch::spawn(async move { number }).await.expect("no panic")
                    })
                })
            })
            .collect();
        for (number, thread) in threads.into_iter().enumerate() {
            assert_eq!(thread.join().expect("no panic"), number);
        }
        // On a current_thread runtime it drives nothing: another thread has to.
        let runtime = Arc::new(current());
        let (handle, stop) = (runtime.handle().clone(), Arc::new(Notify::new()));
        let (driver, stops) = (runtime.clone(), stop.clone());
        let drives = std::thread::spawn(move || driver.block_on(stops.notified()));
        let value = handle.block_on(async {
            sleep(Duration::from_millis(1)).await;
            filch::spawn(async { 5 }).await.expect("no panic")
        });
        stop.notify_one();
        drives.join().expect("no panic");
        assert_eq!(value, 5);
    });
}

/// Of several threads in `block_on` one drives; when it is done another goes on in its place, also if it ends by a panic.
#[test]
fn several_threads_share_a_current_thread_runtime() {
    within(|| {
        let runtime = Arc::new(current());
        for round in 0..50 {
            let background = Arc::new(AtomicUsize::new(0));
            let count = background.clone();
            let ticker = runtime.spawn(async move {
                loop {
                    count.fetch_add(1, Ordering::SeqCst);
                    yield_now().await;
                }
            });
            let threads: Vec<_> = (0..4)
                .map(|number| {
                    let runtime = runtime.clone();
                    std::thread::spawn(move || {
                        runtime.block_on(async move {
                            for _ in 0..(number * round) % 7 {
                                filch::spawn(yield_now()).await.expect("no panic");
                            }
                            sleep(Duration::from_micros(100 * number)).await;
                            if number == 2 {
                                std::panic::resume_unwind(Box::new("on purpose"));
                            }
                            filch::spawn(async move { number }).await.expect("no panic")
                        })
                    })
                })
                .collect();
            for (number, thread) in threads.into_iter().enumerate() {
                match thread.join() {
                    Ok(value) => assert_eq!(usize::try_from(value), Ok(number)),
                    Err(_) => assert_eq!(number, 2),
                }
            }
            assert!(background.load(Ordering::SeqCst) > 0);
            ticker.abort();
            let _ = runtime.block_on(ticker);
        }
    });
}

// What a runtime counts.

#[test]
fn metrics() {
    within(|| {
        let runtime = multi(2);
        let metrics = runtime.metrics();
        assert_eq!(metrics.num_workers(), 2);
        assert_eq!((metrics.num_alive_tasks(), metrics.global_queue_depth()), (0, 0));
        let tasks: Vec<_> = (0..10).map(|_| runtime.spawn(pending::<()>())).collect();
        assert_eq!(metrics.num_alive_tasks(), 10);
        let all = |count: &dyn Fn(usize) -> usize| -> usize { (0..2).map(count).sum() };
        eventually("each is polled", || {
            all(&|worker| metrics.worker_poll_count(worker)) >= 10
        });
        eventually("both sleep", || all(&|worker| metrics.worker_park_count(worker)) >= 2);
        assert!(all(&|worker| metrics.worker_driver_turn_count(worker)) > 0);
        tasks.iter().for_each(task::JoinHandle::abort);
        eventually("all are gone", || metrics.num_alive_tasks() == 0);
        let inside = runtime.enter();
        let pair = UnixStream::pair().expect("a pair");
        assert_eq!(all(&|worker| metrics.worker_io_sources(worker)), 2);
        drop(pair);
        assert_eq!(all(&|worker| metrics.worker_io_sources(worker)), 0);
        drop(inside);
        // Tasks in the queue of a worker that does not get to them, and in the inbox.
        let runtime = multi(1);
        let metrics = runtime.metrics();
        let (begun, leave) = (Gate::new(), Gate::new());
        let gates = (begun.clone(), leave.clone());
        let busy = runtime.spawn(async move {
            let children: Vec<_> = (0..5).map(|_| filch::spawn(async {})).collect();
            gates.0.open();
            gates.1.wait();
            for child in children {
                child.await.expect("no panic");
            }
        });
        begun.wait();
        let outside: Vec<_> = (0..3).map(|_| runtime.spawn(async {})).collect();
        assert_eq!(metrics.worker_local_queue_depth(0), 5);
        assert_eq!(metrics.global_queue_depth(), 3);
        leave.open();
        runtime.block_on(async {
            busy.await.expect("no panic");
            for task in outside {
                task.await.expect("no panic");
            }
        });
        assert!(metrics.worker_slot_poll_count(0) <= metrics.worker_poll_count(0));
        assert!(format!("{metrics:?}").contains("num_workers"));
    });
}

// Macros.

#[test]
fn select_join_and_pin() {
    within(|| {
        paused().block_on(async {
            let fast = async {
                sleep(Duration::from_secs(1)).await;
                "fast"
            };
            let slow = sleep(Duration::from_secs(2));
            filch::pin!(slow);
            let first = filch::select! {
                name = fast => name,
                () = &mut slow => "slow",
            };
            assert_eq!(first, "fast");
            let begin = Instant::now();
            let (one, (), three) = filch::join!(async { 1 }, slow, async { 3 });
            assert_eq!((one, three, begin.elapsed()), (1, 3, Duration::from_secs(1)));
            let tried: Result<(i32, i32), &str> = filch::try_join!(async { Ok(1) }, async { Err("no") });
            assert_eq!(tried, Err("no"));
            let mut ended = 0;
            let mut ticks = filch::time::interval(Duration::from_secs(1));
            let deadline = sleep(Duration::from_millis(3500));
            filch::pin!(deadline);
            loop {
                filch::select! {
                    biased;
                    () = &mut deadline => break,
                    _ = ticks.tick() => ended += 1,
                }
            }
            assert_eq!(ended, 4);
        });
    });
}

fn flavor() -> (RuntimeFlavor, usize) {
    let handle = Handle::current();
    (handle.runtime_flavor(), handle.metrics().num_workers())
}

#[filch::test]
async fn a_test_is_current_thread() {
    assert_eq!(flavor(), (RuntimeFlavor::CurrentThread, 1));
    assert_eq!(filch::spawn(async { 1 }).await.expect("no panic"), 1);
}

#[filch::test(flavor = "multi_thread")]
async fn a_multi_thread_test_has_one_worker() {
    assert_eq!(flavor(), (RuntimeFlavor::MultiThread, 1));
}

#[filch::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_test_with_workers() {
    assert_eq!(flavor(), (RuntimeFlavor::MultiThread, 3));
}

#[filch::test(start_paused = true)]
async fn a_test_with_a_paused_clock() {
    let begin = Instant::now();
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(begin.elapsed(), Duration::from_secs(3600));
}

#[filch::test(crate = "filch", flavor = "current_thread", start_paused = false)]
async fn a_test_with_a_result() -> Result<(), std::io::Error> {
    UnixStream::pair()?;
    Ok(())
}

#[filch::test]
#[should_panic(expected = "as it should")]
async fn a_test_that_panics() {
    panic!("as it should");
}

#[filch::main(worker_threads = 2)]
async fn entry() -> (RuntimeFlavor, usize) {
    filch::spawn(pending::<()>());
    flavor()
}

#[filch::main(flavor = "current_thread", start_paused = true)]
async fn paused_entry() -> Result<Duration, task::JoinError> {
    let begin = Instant::now();
    filch::spawn(async { sleep(Duration::from_secs(60)).await }).await?;
    Ok(begin.elapsed())
}

#[test]
fn entries() {
    within(|| {
        assert_eq!(entry(), (RuntimeFlavor::MultiThread, 2));
        assert_eq!(paused_entry().expect("no panic"), Duration::from_secs(60));
    });
}

// Signals.

#[test]
fn signals() {
    alone("signals", || {
        use filch::signal::unix::{SignalKind, signal};
        use rustix::process::{Signal, getpid, kill_process};
        let raise = |signal| kill_process(getpid(), signal).expect("one's own process");
        for runtime in [multi(2), current()] {
            runtime.block_on(async {
                let mut first = signal(SignalKind::user_defined1()).expect("a listener");
                let mut second = signal(SignalKind::user_defined1()).expect("a listener");
                let mut other = signal(SignalKind::user_defined2()).expect("a listener");
                for _ in 0..3 {
                    raise(Signal::USR1);
                    assert_eq!(first.recv().await, Some(()));
                    assert_eq!(second.recv().await, Some(()));
                }
                assert!(
                    timeout(Duration::from_millis(1), other.recv()).await.is_err(),
                    "another signal"
                );
                // Several count as one, and a wait that was given up loses nothing.
                raise(Signal::USR2);
                raise(Signal::USR2);
                drop(Box::pin(other.recv()));
                assert_eq!(other.recv().await, Some(()));
                drop(second);
                raise(Signal::USR1);
                assert_eq!(first.recv().await, Some(()));
                // Ctrl-C, asked for by two tasks.
                let waiting: Vec<_> = (0..2).map(|_| filch::spawn(filch::signal::ctrl_c())).collect();
                while Handle::current().metrics().num_alive_tasks() > 0 {
                    // The listening begins with the first poll, so once may be too early; it ends nobody's process any more.
                    let mut begun = signal(SignalKind::interrupt()).expect("a listener");
                    raise(Signal::INT);
                    assert_eq!(begun.recv().await, Some(()));
                    yield_now().await;
                }
                for task in waiting {
                    task.await.expect("no panic").expect("a Ctrl-C");
                }
            });
        }
    });
}

/// Until a program listens, signals do what they always did: nothing of filch's handles them in a runtime's `block_on`. (`run` does something about Ctrl-C.)
#[test]
fn signals_end_a_program_that_does_not_listen() {
    const NAME: &str = "signals_end_a_program_that_does_not_listen";
    if filch_tests::is_child(NAME) {
        multi(1).block_on(async {
            // SIGINT itself may be ignored from the start, as it is for what a shell starts in the background; caught it must not be.
            let status = std::fs::read_to_string("/proc/self/status").expect("Linux says");
            let caught = status
                .lines()
                .find_map(|line| line.strip_prefix("SigCgt:"))
                .expect("there is that line");
            let caught = u64::from_str_radix(caught.trim(), 16).expect("a mask");
            assert_eq!(
                caught & (1 << (rustix::process::Signal::INT.as_raw() - 1)),
                0,
                "somebody handles Ctrl-C"
            );
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM)
                .expect("one's own process");
            pending::<()>().await;
        });
    }
    let output = filch_tests::child(NAME, &[]);
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(15));
}

// Channels and locks.

#[test]
fn channels_and_locks() {
    within(|| {
        everywhere(|runtime| {
            runtime.block_on(async {
                let (sender, mut receiver) = mpsc::channel(3);
                let (news, mut reader) = watch::channel(0);
                let (all, mut heard) = broadcast::channel(16);
                let (total, places) = (Arc::new(Mutex::new(0)), Arc::new(Semaphore::new(2)));
                let tasks: Vec<_> = (0..10)
                    .map(|number| {
                        let (sender, total, places) = (sender.clone(), total.clone(), places.clone());
                        filch::spawn(async move {
                            let _place = places.acquire().await.expect("open");
                            *total.lock().await += number;
                            sender.send(number).await.expect("somebody listens");
                        })
                    })
                    .collect();
                drop(sender);
                let mut sum = 0;
                while let Some(number) = receiver.recv().await {
                    sum += number;
                }
                for task in tasks {
                    task.await.expect("no panic");
                }
                assert_eq!((sum, *total.lock().await), (45, 45));
                let changed = filch::spawn(async move {
                    reader.changed().await.expect("the sender lives");
                    *reader.borrow()
                });
                filch::spawn(async move {
                    news.send(6).expect("somebody reads");
                    // It lives until it was read.
                    news.closed().await;
                });
                assert_eq!(changed.await.expect("no panic"), 6);
                all.send(8).expect("somebody listens");
                assert_eq!(heard.recv().await.expect("the sender lives"), 8);
            });
        });
    });
}

// Threads.

#[test]
fn the_blocking_pool_has_its_limit() {
    within(|| {
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(3)
            .build()
            .expect("a runtime");
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let jobs: Vec<_> = (0..30)
            .map(|_| {
                let (now, most) = (now.clone(), most.clone());
                runtime.spawn_blocking(move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(1));
                    now.fetch_sub(1, Ordering::SeqCst);
                })
            })
            .collect();
        for job in jobs {
            runtime.block_on(job).expect("no panic");
        }
        assert!(most.load(Ordering::SeqCst) <= 3);
        assert_eq!(runtime.metrics().num_blocking_threads(), 3);
        // As many as that may wait for each other.
        let barrier = Arc::new(std::sync::Barrier::new(3));
        let jobs = [0; 3].map(|_| {
            let barrier = barrier.clone();
            runtime.spawn_blocking(move || {
                barrier.wait();
            })
        });
        for job in jobs {
            runtime.block_on(job).expect("no panic");
        }
    });
}

#[test]
fn blocking_threads_are_used_again_and_go_in_the_end() {
    within(|| {
        let runtime = multi(1);
        let metrics = runtime.metrics();
        for _ in 0..50 {
            runtime.block_on(runtime.spawn_blocking(|| ())).expect("no panic");
            eventually("it waits for more", || metrics.num_idle_blocking_threads() == 1);
        }
        assert_eq!(metrics.num_blocking_threads(), 1);
        let runtime = Builder::new_current_thread()
            .thread_keep_alive(Duration::from_millis(1))
            .build()
            .expect("a runtime");
        for _ in 0..5 {
            runtime.block_on(runtime.spawn_blocking(|| ())).expect("no panic");
            eventually("it leaves", || runtime.metrics().num_blocking_threads() == 0);
        }
    });
}

#[test]
fn threads_have_names_and_hooks() {
    within(|| {
        let number = AtomicUsize::new(0);
        let (starts, stops) = (Log::new(), Log::new());
        let (up, down) = (starts.clone(), stops.clone());
        let own = || std::thread::current().name().map(String::from);
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name_fn(move || format!("own-{}", number.fetch_add(1, Ordering::SeqCst)))
            .on_thread_start(move || up.push(own()))
            .on_thread_stop(move || down.push(own()))
            .build()
            .expect("a runtime");
        let worker = runtime.block_on(runtime.spawn(async move { own() })).expect("no panic");
        let blocking = runtime.block_on(runtime.spawn_blocking(own)).expect("no panic");
        assert!(worker == Some("own-0".into()) || worker == Some("own-1".into()));
        assert_eq!(blocking, Some("own-2".into()));
        // The threads of the runtime itself, such as for names of hosts, run no hooks.
        let _ = runtime.block_on(filch::net::lookup_host("localhost:1")).map(drop);
        drop(runtime);
        let sorted = |log: Arc<Log<Option<String>>>| {
            let mut names: Vec<_> = log.get().into_iter().flatten().collect();
            names.sort();
            names
        };
        assert_eq!(sorted(starts), ["own-0", "own-1", "own-2"]);
        assert_eq!(sorted(stops), ["own-0", "own-1", "own-2"]);
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("plain")
            .build()
            .expect("a runtime");
        assert_eq!(
            runtime.block_on(runtime.spawn(async move { own() })).expect("no panic"),
            Some("plain".into())
        );
    });
}

#[test]
fn more_workers_than_a_word_has_bits() {
    within(|| {
        let runtime = multi(130);
        runtime.block_on(async {
            let tasks: Vec<_> = (0..2000)
                .map(|number| {
                    filch::spawn(async move {
                        yield_now().await;
                        number
                    })
                })
                .collect();
            for (number, task) in tasks.into_iter().enumerate() {
                assert_eq!(task.await.expect("no panic"), number);
            }
        });
        // All of them wait for each other, so every one was woken and polls.
        let here = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..130)
            .map(|_| {
                let here = here.clone();
                runtime.spawn(async move {
                    here.fetch_add(1, Ordering::SeqCst);
                    eventually("all 130 are here", || here.load(Ordering::SeqCst) == 130);
                })
            })
            .collect();
        for task in tasks {
            runtime.block_on(task).expect("no panic");
        }
    });
}

// What may be dropped halfway (P12).

#[test]
fn reads_and_accepts_that_are_given_up_lose_nothing() {
    within(|| {
        everywhere(|runtime| {
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
                let address = listener.local_addr().expect("an address");
                const BYTES: usize = 2000;
                let writer = filch::spawn(async move {
                    let mut stream = TcpStream::connect(address).await.expect("a connection");
                    for byte in 0..BYTES {
                        stream.write_all(&[(byte % 251) as u8]).await.expect("somebody reads");
                        if byte % 7 == 0 {
                            yield_now().await;
                        }
                    }
                });
                let mut peer = loop {
                    filch::select! {
                        biased;
                        accepted = listener.accept() => break accepted.expect("a connection").0,
                        () = yield_now() => {}
                    }
                };
                let mut seen = Vec::new();
                while seen.len() < BYTES {
                    let mut bytes = [0; 13];
                    filch::select! {
                        biased;
                        read = peer.read(&mut bytes) => {
                            let read = read.expect("no error");
                            assert!(read > 0, "the end came too early");
                            seen.extend_from_slice(&bytes[..read]);
                        }
                        () = yield_now() => {}
                    }
                }
                assert!(
                    seen.iter()
                        .enumerate()
                        .all(|(place, byte)| usize::from(*byte) == place % 251)
                );
                writer.await.expect("no panic");
            });
        });
    });
}

#[test]
fn waits_for_tasks_and_ticks_that_are_given_up_lose_nothing() {
    within(|| {
        paused().block_on(async {
            let mut task = filch::spawn(async {
                sleep(Duration::from_millis(9500)).await;
                3
            });
            let mut given_up = 0;
            let value = loop {
                match timeout(Duration::from_secs(1), &mut task).await {
                    Ok(value) => break value.expect("no panic"),
                    Err(_) => given_up += 1,
                }
            };
            assert_eq!((value, given_up), (3, 9));
            let mut ticks = filch::time::interval_at(Instant::now() + Duration::from_secs(5), Duration::from_secs(5));
            let mut given_up = 0;
            let begin = Instant::now();
            while timeout(Duration::from_secs(2), ticks.tick()).await.is_err() {
                given_up += 1;
            }
            assert_eq!((given_up, begin.elapsed()), (2, Duration::from_secs(5)));
        });
    });
}

/// A future that was polled in one runtime goes on in another.
#[test]
#[allow(clippy::async_yields_async, reason = "the future is to be awaited elsewhere")]
fn a_future_moves_between_runtimes() {
    within(|| {
        let (first, second) = (multi(1), current());
        let (send, receive) = oneshot::channel();
        let mut future = Box::pin(async move {
            let value: i32 = receive.await.expect("it is sent");
            value
        });
        let mut future = first.block_on(async move {
            assert!(poll_once(future.as_mut()).await.is_pending());
            future
        });
        std::thread::spawn(move || send.send(9).expect("somebody waits"));
        assert_eq!(second.block_on(future.as_mut()), 9);
    });
}
