//! P9: a panic in a task stays in that task's `JoinHandle`. A panic in a waker, a destructor or a hook harms nobody else: no worker, thread or
//! runtime is lost by it.

use filch::runtime::{Builder, Runtime};
use filch::task::{JoinSet, spawn_blocking, yield_now};
use filch::time::{Duration, sleep};
use filch_tests::{Gate, OnDrop, current, eventually, multi, panics, paused, text, within};
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};

/// Panics when it is dropped.
fn bomb() -> OnDrop<impl FnMut() + Send + Sync + 'static> {
    OnDrop(|| panic!("a bomb"))
}

/// A payload whose own destructor panics.
struct BombPayload;

impl Drop for BombPayload {
    fn drop(&mut self) {
        panic!("a payload's bomb");
    }
}

/// The runtime still does all that it should, on every worker.
fn assert_well(runtime: &Runtime) {
    let workers = runtime.metrics().num_workers();
    runtime.block_on(async {
        // As many tasks as there are workers meet, so each worker polls one; on the current thread they take turns.
        let here = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..workers)
            .map(|_| {
                let here = here.clone();
                filch::spawn(async move {
                    here.fetch_add(1, Ordering::SeqCst);
                    eventually("every worker is well", || here.load(Ordering::SeqCst) == workers);
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
        sleep(Duration::from_micros(100)).await;
        assert_eq!(spawn_blocking(|| 5).await.expect("no panic"), 5);
    });
}

fn everywhere(test: impl Fn(&Runtime)) {
    for runtime in [multi(1), multi(2), current(), paused()] {
        test(&runtime);
        assert_well(&runtime);
    }
}

#[test]
fn a_panic_stays_in_its_handle() {
    within(|| {
        everywhere(|runtime| {
            let error = runtime
                .block_on(runtime.spawn(async { panic!("a text") }))
                .expect_err("it panics");
            assert!(error.is_panic() && !error.is_cancelled());
            assert!(
                error.to_string().contains("panicked") && error.to_string().contains("a text"),
                "{error}"
            );
            assert!(format!("{error:?}").contains("a text"));
            assert_eq!(text(&*error.into_panic()), "a text");
            let number = 3;
            let task = runtime.spawn(async move {
                yield_now().await;
                panic!("number {number}")
            });
            let error = runtime.block_on(task).expect_err("it panics");
            assert_eq!(text(&*error.try_into_panic().expect("a panic")), "number 3");
            let task = runtime.spawn(async { std::panic::panic_any(17_u8) });
            let error = runtime.block_on(task).expect_err("it panics");
            assert!(error.to_string().contains("panicked"), "{error}");
            assert_eq!(error.into_panic().downcast_ref(), Some(&17_u8));
            let error = runtime
                .block_on(runtime.spawn_blocking(|| panic!("blocking")))
                .expect_err("it panics");
            assert_eq!(text(&*error.into_panic()), "blocking");
        });
    });
}

#[test]
fn an_error_that_is_no_panic_has_no_payload() {
    within(|| {
        let runtime = current();
        let task = runtime.spawn(pending::<()>());
        task.abort();
        let error = runtime.block_on(task).expect_err("aborted");
        let error = error.try_into_panic().expect_err("no panic");
        assert!(error.to_string().contains("cancelled"), "{error}");
        let (message, _) = panics(|| error.into_panic());
        assert!(message.contains("did not panic"), "{message}");
    });
}

#[test]
fn nobody_has_to_look() {
    within(|| {
        everywhere(|runtime| {
            for _ in 0..20 {
                drop(runtime.spawn(async { panic!("nobody looks") }));
                drop(runtime.spawn_blocking(|| panic!("nobody looks")));
            }
            runtime.block_on(async {
                sleep(Duration::from_millis(1)).await;
            });
        });
    });
}

#[test]
fn a_future_that_panics_when_it_is_dropped() {
    within(|| {
        everywhere(|runtime| {
            // After its last poll: the value is lost to the panic.
            let guard = bomb();
            let task = runtime.spawn(Finished(Some(guard)));
            assert_eq!(
                text(&*runtime.block_on(task).expect_err("a bomb").into_panic()),
                "a bomb"
            );
            // When it is aborted.
            let guard = bomb();
            let task = runtime.spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            });
            task.abort();
            assert_eq!(
                text(&*runtime.block_on(task).expect_err("a bomb").into_panic()),
                "a bomb"
            );
            // When it panics in a poll, and then again in the drop of what is left of the future.
            let task = runtime.spawn(Panicking(bomb()));
            assert_eq!(
                text(&*runtime.block_on(task).expect_err("a panic").into_panic()),
                "in the poll"
            );
        });
    });
}

/// Is ready at once, and is dropped with its guard afterwards.
struct Finished<T>(Option<T>);

impl<T: Unpin> Future for Finished<T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

/// Panics in its poll, and, if it holds a bomb, in its drop.
struct Panicking<T>(T);

impl<T: Unpin> Future for Panicking<T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        panic!("in the poll");
    }
}

#[test]
fn an_output_that_panics_when_it_is_dropped() {
    within(|| {
        everywhere(|runtime| {
            // By the worker, since there is no handle.
            drop(runtime.spawn(async { bomb() }));
            drop(runtime.spawn_blocking(bomb));
            // By the drop of the handle, which keeps the panic to itself.
            let task = runtime.spawn(async { bomb() });
            let other = task.abort_handle();
            runtime.block_on(async { yield_now().await });
            if runtime.metrics().num_workers() > 1 {
                eventually("it ends", || other.is_finished());
            }
            drop(task);
            // A payload that panics when it is dropped, with and without somebody who looks at it.
            drop(runtime.spawn(async { std::panic::panic_any(BombPayload) }));
            let task = runtime.spawn(async { std::panic::panic_any(BombPayload) });
            std::mem::forget(runtime.block_on(task).expect_err("it panics").into_panic());
        });
    });
}

/// A closure that was never run panics when it is dropped.
#[test]
fn a_job_that_panics_when_it_is_dropped() {
    within(|| {
        let mut builder = Builder::new_current_thread();
        let runtime = builder.max_blocking_threads(1).build().expect("a runtime");
        let (inside, leave) = (Gate::new(), Gate::new());
        let gates = (inside.clone(), leave.clone());
        runtime.spawn_blocking(move || {
            gates.0.open();
            gates.1.wait();
        });
        inside.wait();
        let guard = bomb();
        let job = runtime.spawn_blocking(move || drop(guard));
        job.abort();
        let guard = bomb();
        drop(runtime.spawn_blocking(move || drop(guard)));
        leave.open();
        assert_eq!(
            text(&*runtime.block_on(job).expect_err("a bomb").into_panic()),
            "a bomb"
        );
        assert_well(&runtime);
        let handle = runtime.handle().clone();
        drop(runtime);
        let guard = bomb();
        drop(handle.spawn_blocking(move || drop(guard)));
        let guard = bomb();
        drop(handle.spawn(async move { drop(guard) }));
    });
}

/// Leftovers of a runtime that ends.
#[test]
fn the_end_of_a_runtime_survives_bombs() {
    within(|| {
        for runtime in [multi(1), multi(2), current()] {
            let ended = Arc::new(AtomicUsize::new(0));
            for number in 0..20 {
                let (guard, count) = (bomb(), ended.clone());
                let gone = OnDrop(move || {
                    count.fetch_add(1, Ordering::SeqCst);
                });
                runtime.spawn(async move {
                    let (_gone, _guard) = (gone, guard);
                    if number % 2 == 0 {
                        sleep(Duration::from_secs(3600)).await;
                    }
                    pending::<()>().await;
                });
            }
            runtime.block_on(yield_now());
            drop(runtime);
            assert_eq!(ended.load(Ordering::SeqCst), 20);
        }
    });
}

/// A waker that panics when it is used.
struct BombWaker;

impl Wake for BombWaker {
    fn wake(self: Arc<Self>) {
        panic!("a waker's bomb");
    }
}

fn poll_with<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

#[test]
fn a_waker_that_panics() {
    within(|| {
        everywhere(|runtime| {
            // Woken by the driver: a timer, and a socket. In one batch with others that are not to suffer.
            let waker = Waker::from(Arc::new(BombWaker));
            runtime.block_on(async {
                let until = filch::time::Instant::now() + Duration::from_millis(2);
                let neighbours: Vec<_> = (0..5).map(|_| filch::spawn(filch::time::sleep_until(until))).collect();
                let mut timer = Box::pin(filch::time::sleep_until(until));
                assert!(poll_with(timer.as_mut(), &waker).is_pending());
                let (near, mut far) = filch::net::UnixStream::pair().expect("a pair");
                let mut readable = Box::pin(near.readable());
                assert!(poll_with(readable.as_mut(), &waker).is_pending());
                far.write_all(b"x").await.expect("there is room");
                for neighbour in neighbours {
                    neighbour.await.expect("no panic");
                }
                readable.await.expect("it is there");
                timer.await;
            });
            // Woken by a task that ends.
            let mut task = runtime.spawn(async {
                yield_now().await;
                1
            });
            // It may have ended before this poll; then there is no waker to be woken.
            let first = poll_with(Pin::new(&mut task), &waker);
            runtime.block_on(async {
                for _ in 0..5 {
                    yield_now().await;
                }
            });
            let value = match first {
                Poll::Ready(value) => value,
                Poll::Pending => runtime.block_on(task),
            };
            assert_eq!(value.expect("its own panic it is not"), 1);
            // Woken by a task that shutdown ends: see below. Woken by the end of a blocking job.
            let mut job = runtime.spawn_blocking(|| std::thread::sleep(Duration::from_millis(1)));
            if poll_with(Pin::new(&mut job), &waker).is_pending() {
                runtime.block_on(job).expect("its own panic it is not");
            }
        });
    });
}

#[test]
fn a_waker_that_panics_at_the_end_of_a_runtime() {
    within(|| {
        for runtime in [multi(2), current()] {
            let waker = Waker::from(Arc::new(BombWaker));
            let inside = runtime.enter();
            let mut timer = Box::pin(sleep(Duration::from_secs(3600)));
            assert!(poll_with(timer.as_mut(), &waker).is_pending());
            let (near, _far) = filch::net::UnixStream::pair().expect("a pair");
            let mut readable = Box::pin(near.readable());
            assert!(poll_with(readable.as_mut(), &waker).is_pending());
            drop(inside);
            let mut task = runtime.spawn(pending::<()>());
            assert!(poll_with(Pin::new(&mut task), &waker).is_pending());
            drop(runtime);
            assert!(current().block_on(task).expect_err("it was ended").is_cancelled());
            assert!(current().block_on(readable).is_err());
        }
    });
}

/// A waker whose drop panics: where another takes its place the panic is the poller's, and when the task ends it is nobody's.
#[test]
fn a_waker_that_panics_when_it_is_dropped() {
    within(|| {
        everywhere(|runtime| {
            for replaced in [false, true] {
                let mut task = runtime.spawn(pending::<()>());
                let waker = Waker::from(Arc::new(DropBomb));
                assert!(poll_with(Pin::new(&mut task), &waker).is_pending());
                // From here on the task has the only one.
                drop(waker);
                if replaced {
                    let (message, _) = panics(|| poll_with(Pin::new(&mut task), Waker::noop()));
                    assert_eq!(message, "a drop's bomb");
                }
                let end = task.abort_handle();
                task.abort();
                runtime.block_on(async {
                    while !end.is_finished() {
                        yield_now().await;
                    }
                });
                assert!(runtime.block_on(task).expect_err("aborted").is_cancelled());
            }
        });
    });
}

/// A waker that panics when it is cloned.
fn no_clone() -> Waker {
    const VTABLE: RawWakerVTable = RawWakerVTable::new(|_| panic!("a clone's bomb"), |_| (), |_| (), |_| ());
    // SAFETY: its functions do not use the pointer, and any thread may call them.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &VTABLE)) }
}

/// A waker that cannot be cloned is its poller's trouble alone: what was asked is as before, and can be asked again.
#[test]
fn a_waker_that_panics_when_it_is_cloned() {
    within(|| {
        everywhere(|runtime| {
            fn bombs<F: Future>(future: Pin<&mut F>) {
                let (message, _) = panics(|| poll_with(future, &no_clone()).is_pending());
                assert_eq!(message, "a clone's bomb");
            }
            let gate = Arc::new(filch::sync::Notify::new());
            let opens = gate.clone();
            let mut task = runtime.spawn(async move { gate.notified().await });
            bombs(Pin::new(&mut task));
            opens.notify_one();
            runtime.block_on(task).expect("no panic");

            let (inside, leave) = (Gate::new(), Gate::new());
            let gates = (inside.clone(), leave.clone());
            let mut job = runtime.spawn_blocking(move || {
                gates.0.open();
                gates.1.wait();
            });
            inside.wait();
            bombs(Pin::new(&mut job));
            leave.open();
            runtime.block_on(job).expect("no panic");

            runtime.block_on(async {
                let mut timer = Box::pin(sleep(Duration::from_millis(1)));
                bombs(timer.as_mut());
                timer.await;
                let (near, mut far) = filch::net::UnixStream::pair().expect("a pair");
                // An async function is not polled again after its panic; the socket is asked again.
                bombs(Box::pin(near.readable()).as_mut());
                far.write_all(b"x").await.expect("there is room");
                near.readable().await.expect("it is there");
                let mut set = JoinSet::new();
                set.spawn(sleep(Duration::from_millis(1)));
                bombs(Box::pin(set.join_next()).as_mut());
                set.join_next().await.expect("one").expect("no panic");
            });
        });
    });
}

/// A waker that panics when its last clone is dropped, which is also when it is used for the last time.
struct DropBomb;

impl Wake for DropBomb {
    fn wake(self: Arc<Self>) {}
}

impl Drop for DropBomb {
    fn drop(&mut self) {
        panic!("a drop's bomb");
    }
}

#[test]
fn hooks_that_panic() {
    within(|| {
        for mut builder in [Builder::new_multi_thread(), Builder::new_current_thread()] {
            let runtime = builder
                .worker_threads(2)
                .on_thread_start(|| panic!("a hook's bomb"))
                .on_thread_stop(|| std::panic::panic_any(BombPayload))
                .thread_keep_alive(Duration::from_millis(1))
                .build()
                .expect("a runtime");
            assert_well(&runtime);
            let metrics = runtime.metrics();
            eventually("the blocking thread goes", || metrics.num_blocking_threads() == 0);
            assert_well(&runtime);
        }
    });
}

/// The function that names threads is a hook, too: without a name there is no thread.
#[test]
fn a_name_function_that_panics() {
    within(|| {
        for good in 0..3 {
            let calls = AtomicUsize::new(0);
            let error = Builder::new_multi_thread()
                .worker_threads(3)
                .thread_name_fn(move || {
                    assert!(calls.fetch_add(1, Ordering::SeqCst) < good, "a name's bomb");
                    "named".into()
                })
                .build()
                .expect_err("a worker is missing");
            assert!(error.to_string().contains("thread_name_fn"), "{error}");
        }
    });
}

/// The same for the threads of the blocking pool: the handle has an error, and the pool goes on.
#[test]
fn a_name_function_that_panics_for_a_blocking_thread() {
    within(|| {
        let calls = AtomicUsize::new(0);
        let runtime = Builder::new_current_thread()
            .thread_name_fn(move || {
                assert!(calls.fetch_add(1, Ordering::SeqCst) != 0, "a name's bomb");
                "named".into()
            })
            .build()
            .expect("a runtime");
        assert!(runtime.block_on(runtime.spawn_blocking(|| 1)).is_err());
        assert_eq!(runtime.block_on(runtime.spawn_blocking(|| 2)).expect("no panic"), 2);
        assert_well(&runtime);
    });
}

#[test]
fn a_future_of_block_on_that_panics() {
    within(|| {
        everywhere(|runtime| {
            let (message, _) = panics(|| runtime.block_on(async { panic!("the caller's own") }));
            assert_eq!(message, "the caller's own");
            // The thread is not taken for one that still runs a runtime.
            assert_eq!(runtime.block_on(async { 1 }), 1);
            assert!(filch::runtime::Handle::try_current().is_err());
            assert!(filch::task::try_id().is_none());
        });
    });
}

#[test]
fn a_set_of_tasks_that_panic() {
    within(|| {
        everywhere(|runtime| {
            runtime.block_on(async {
                let mut set = JoinSet::new();
                for number in 0..10 {
                    set.spawn(async move {
                        assert!(number % 2 == 0, "odd");
                        number
                    });
                }
                let mut odd = 0;
                while let Some(result) = set.join_next().await {
                    odd += usize::from(result.is_err_and(|error| error.is_panic()));
                }
                assert_eq!(odd, 5);
                let set: JoinSet<()> = (0..3).map(|_| async { panic!("one of them") }).collect();
                let all = filch::spawn(set.join_all());
                assert_eq!(text(&*all.await.expect_err("it panics").into_panic()), "one of them");
            });
        });
    });
}

/// Panics on every second poll of many tasks do not cost the others any poll.
#[test]
fn many_panics_among_many_tasks() {
    within(|| {
        everywhere(|runtime| {
            let (left, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            runtime.block_on(async {
                let tasks: Vec<_> = (0..200)
                    .map(|number| {
                        let (left, done) = (left.clone(), done.clone());
                        let guard = OnDrop(move || {
                            left.fetch_add(1, Ordering::SeqCst);
                        });
                        filch::spawn(async move {
                            let _guard = guard;
                            for step in 0..10 {
                                yield_now().await;
                                if number % 4 == 0 && step == number % 10 {
                                    // Without the panic hook, which would fill the log.
                                    std::panic::resume_unwind(Box::new("quiet"));
                                }
                            }
                            done.fetch_add(1, Ordering::SeqCst);
                        })
                    })
                    .collect();
                for task in tasks {
                    let _ = task.await;
                }
            });
            assert_eq!((left.load(Ordering::SeqCst), done.load(Ordering::SeqCst)), (200, 150));
        });
    });
}
