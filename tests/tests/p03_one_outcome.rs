//! P3: cancel and completion race to exactly one outcome, and everybody sees the same one. A future is dropped exactly once, and by whom is
//! known: a worker; the thread that drives or drops a current_thread runtime; the spawning thread if the runtime is already shut
//! down. Never the thread that calls `abort` or `wake`. The handle resolves only after the drop.

use filch::sync::oneshot;
use filch::task::{AbortHandle, yield_now};
use filch_tests::{Gate, Log, OnDrop, current, eventually, multi, within};
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll};

/// A future that logs the thread that drops it.
struct Logged<F> {
    future: Pin<Box<F>>,
    drops: Arc<Log<std::thread::Thread>>,
}

impl<F> Logged<F> {
    fn new(drops: &Arc<Log<std::thread::Thread>>, future: F) -> Self {
        Self {
            future: Box::pin(future),
            drops: drops.clone(),
        }
    }
}

impl<F: Future> Future for Logged<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.future.as_mut().poll(cx)
    }
}

impl<F> Drop for Logged<F> {
    fn drop(&mut self) {
        self.drops.push(std::thread::current());
    }
}

fn drops() -> Arc<Log<std::thread::Thread>> {
    Log::new()
}

/// Where the one drop was: the name of the thread, and whether it was this one.
#[track_caller]
fn the_drop(drops: &Log<std::thread::Thread>) -> (String, bool) {
    let drops = drops.get();
    assert_eq!(drops.len(), 1, "a future is dropped exactly once");
    let here = drops[0].id() == std::thread::current().id();
    (drops[0].name().unwrap_or_default().to_string(), here)
}

const WORKER: &str = "filch-worker";

#[test]
fn a_future_that_ends_is_dropped_by_a_worker_before_its_handle_resolves() {
    within(|| {
        let (runtime, drops) = (multi(2), drops());
        let task = runtime.spawn(Logged::new(&drops, async { 7 }));
        let seen = drops.clone();
        let (value, dropped) = runtime.block_on(async move { (task.await.expect("no panic"), seen.get().len()) });
        assert_eq!((value, dropped), (7, 1));
        assert_eq!(the_drop(&drops), (WORKER.to_string(), false));
    });
}

/// The destructor takes its time; neither the handle nor `is_finished` may be earlier.
#[test]
fn the_handle_resolves_after_a_slow_destructor() {
    within(|| {
        for abort in [false, true] {
            let runtime = multi(2);
            let (entered, leave, over) = (Gate::new(), Gate::new(), Arc::new(AtomicBool::new(false)));
            let (gates, flag) = ((entered.clone(), leave.clone()), over.clone());
            let slow = OnDrop(move || {
                gates.0.open();
                gates.1.wait();
                flag.store(true, Ordering::Release);
            });
            let task = runtime.spawn(async move {
                let _slow = slow;
                if abort {
                    pending::<()>().await;
                }
            });
            if abort {
                task.abort();
            }
            entered.wait();
            assert!(!task.is_finished(), "the destructor is still running");
            leave.open();
            let result = runtime.block_on(task);
            assert!(
                over.load(Ordering::Acquire),
                "the handle has resolved before the drop was over"
            );
            assert_eq!(result.is_err(), abort);
        }
    });
}

#[test]
fn abort_drops_nothing_itself() {
    within(|| {
        let (runtime, drops) = (multi(1), drops());
        let (begun, begin) = oneshot::channel();
        let task = runtime.spawn(Logged::new(&drops, async move {
            begun.send(()).expect("the test waits");
            pending::<()>().await;
        }));
        runtime.block_on(begin).expect("it begins");
        // The only worker is kept busy, so that nobody but this thread could drop it now.
        let (busy, free) = (Gate::new(), Gate::new());
        let gates = (busy.clone(), free.clone());
        let blocker = runtime.spawn(async move {
            gates.0.open();
            gates.1.wait();
        });
        busy.wait();
        task.abort();
        task.abort();
        assert!(drops.get().is_empty(), "abort has dropped the future");
        assert!(!task.is_finished());
        free.open();
        let error = runtime.block_on(task).expect_err("aborted");
        assert!(error.is_cancelled());
        assert_eq!(the_drop(&drops), (WORKER.to_string(), false));
        runtime.block_on(blocker).expect("no panic");
    });
}

#[test]
fn a_wake_drops_nothing_itself() {
    within(|| {
        let (runtime, drops) = (multi(1), drops());
        let (wakers, waker) = std::sync::mpsc::channel();
        let task = runtime.spawn(Logged::new(
            &drops,
            poll_fn(move |cx| {
                wakers.send(cx.waker().clone()).expect("the test waits");
                Poll::<()>::Pending
            }),
        ));
        let waker = waker.recv().expect("it is polled");
        let (busy, free) = (Gate::new(), Gate::new());
        let gates = (busy.clone(), free.clone());
        runtime.spawn(async move {
            gates.0.open();
            gates.1.wait();
        });
        busy.wait();
        task.abort();
        waker.wake_by_ref();
        waker.wake();
        assert!(drops.get().is_empty(), "a wake has dropped the future");
        free.open();
        assert!(runtime.block_on(task).expect_err("aborted").is_cancelled());
        assert_eq!(the_drop(&drops), (WORKER.to_string(), false));
    });
}

#[test]
fn an_aborted_task_that_has_not_begun_is_never_entered() {
    within(|| {
        for runtime in [multi(1), current()] {
            let entered = Arc::new(AtomicBool::new(false));
            let flag = entered.clone();
            let result = runtime.block_on(async {
                filch::spawn(async move {
                    let flag = flag.clone();
                    let inner = filch::spawn(async move { flag.store(true, Ordering::Relaxed) });
                    inner.abort();
                    inner.await
                })
                .await
                .expect("no panic")
            });
            assert!(result.expect_err("aborted").is_cancelled());
            assert!(!entered.load(Ordering::Relaxed));
        }
    });
}

#[test]
fn an_abort_during_the_last_poll_comes_too_late() {
    within(|| {
        let runtime = multi(1);
        let (inside, leave) = (Gate::new(), Gate::new());
        let gates = (inside.clone(), leave.clone());
        let task = runtime.spawn(async move {
            gates.0.open();
            gates.1.wait();
            "its own end"
        });
        inside.wait();
        task.abort();
        leave.open();
        assert_eq!(runtime.block_on(task).expect("the value stands"), "its own end");
    });
}

#[test]
fn a_task_that_aborts_itself_ends_where_it_waits_next() {
    within(|| {
        for runtime in [multi(2), current()] {
            let steps = Log::new();
            let log = steps.clone();
            let (send, receive) = oneshot::channel::<AbortHandle>();
            let task = runtime.spawn(async move {
                let own = receive.await.expect("the handle comes");
                own.abort();
                log.push("after the abort");
                yield_now().await;
                log.push("after the wait");
            });
            send.send(task.abort_handle()).expect("the task waits");
            assert!(runtime.block_on(task).expect_err("aborted").is_cancelled());
            assert_eq!(steps.get(), ["after the abort"]);
        }
    });
}

/// On a current_thread runtime: by the thread that drives it, or that drops it.
#[test]
fn on_the_current_thread_the_driving_thread_drops() {
    within(|| {
        let (runtime, drops) = (current(), drops());
        let task = runtime.spawn(Logged::new(&drops, pending::<()>()));
        let abort = task.abort_handle();
        std::thread::spawn(move || abort.abort()).join().expect("no panic");
        assert!(drops.get().is_empty(), "nobody drives it yet");
        assert!(runtime.block_on(task).expect_err("aborted").is_cancelled());
        assert!(the_drop(&drops).1, "this thread drives");
    });
    within(|| {
        let (runtime, drops) = (current(), drops());
        let task = runtime.spawn(Logged::new(&drops, pending::<()>()));
        runtime.block_on(yield_now());
        drop(runtime);
        assert!(the_drop(&drops).1, "this thread drops the runtime");
        assert!(current().block_on(task).expect_err("it was ended").is_cancelled());
    });
}

#[test]
fn the_end_of_a_runtime_drops_leftovers_on_a_worker() {
    within(|| {
        for polled in [false, true] {
            let (runtime, drops) = (multi(2), drops());
            let task = runtime.spawn(Logged::new(&drops, pending::<()>()));
            if polled {
                let metrics = runtime.metrics();
                eventually("it is polled", || {
                    (0..2).map(|i| metrics.worker_poll_count(i)).sum::<usize>() > 0
                });
            }
            drop(runtime);
            assert_eq!(the_drop(&drops), (WORKER.to_string(), false));
            assert!(task.is_finished());
        }
    });
}

#[test]
fn spawn_after_the_end_drops_inside_spawn() {
    within(|| {
        for runtime in [multi(1), current()] {
            let (handle, drops) = (runtime.handle().clone(), drops());
            drop(runtime);
            let task = handle.spawn(Logged::new(&drops, async { 1 }));
            assert!(the_drop(&drops).1, "spawn drops it here and now");
            assert!(task.is_finished());
            assert!(current().block_on(task).expect_err("never begun").is_cancelled());
        }
    });
}

/// The race itself: several threads abort at the moment in which the task ends by itself.
#[test]
fn abort_against_completion() {
    within(|| {
        let runtime = multi(2);
        let (mut ended, mut aborted) = (0, 0);
        for round in 0..1500 {
            let dropped = Arc::new(AtomicUsize::new(0));
            let count = dropped.clone();
            let guard = OnDrop(move || {
                count.fetch_add(1, Ordering::Release);
            });
            let output = Arc::new(AtomicUsize::new(0));
            let count = output.clone();
            let task = runtime.spawn(async move {
                let _guard = guard;
                for _ in 0..round % 3 {
                    yield_now().await;
                }
                OnDrop(move || {
                    count.fetch_add(1, Ordering::Release);
                })
            });
            let begin = Arc::new(Barrier::new(2));
            let (abort, at) = (task.abort_handle(), begin.clone());
            let thread = std::thread::spawn(move || {
                at.wait();
                abort.abort();
                abort.is_finished()
            });
            begin.wait();
            for _ in 0..(round * 7) % 400 {
                std::hint::spin_loop();
            }
            task.abort();
            let result = runtime.block_on(task);
            assert_eq!(
                dropped.load(Ordering::Acquire),
                1,
                "exactly once, and before the handle resolves"
            );
            thread.join().expect("no panic");
            match result {
                Ok(value) => {
                    assert_eq!(output.load(Ordering::Acquire), 0);
                    drop(value);
                    assert_eq!(
                        output.load(Ordering::Acquire),
                        1,
                        "the value is dropped by whoever has it"
                    );
                    ended += 1;
                }
                Err(error) => {
                    assert!(error.is_cancelled());
                    assert_eq!(output.load(Ordering::Acquire), 0, "an aborted task has no value");
                    aborted += 1;
                }
            }
            assert_eq!(dropped.load(Ordering::Acquire), 1);
        }
        assert_eq!(ended + aborted, 1500);
    });
}

/// The handle is dropped at the moment in which the task ends: the output is dropped exactly once all the same.
#[test]
fn drop_of_the_handle_against_completion() {
    within(|| {
        let runtime = multi(2);
        for round in 0..1500 {
            let outputs = Arc::new(AtomicUsize::new(0));
            let count = outputs.clone();
            let task = runtime.spawn(async move {
                if round % 2 == 0 {
                    yield_now().await;
                }
                OnDrop(move || {
                    count.fetch_add(1, Ordering::Release);
                })
            });
            for _ in 0..(round * 11) % 600 {
                std::hint::spin_loop();
            }
            drop(task);
            eventually("the output is dropped", || outputs.load(Ordering::Acquire) > 0);
            assert_eq!(outputs.load(Ordering::Acquire), 1);
        }
    });
}

/// The task that waits for a handle gives up at the moment in which the outcome comes, and somebody else asks afterwards.
#[test]
fn a_wait_that_is_given_up_leaves_the_outcome_where_it_is() {
    within(|| {
        let runtime = multi(2);
        runtime.block_on(async {
            for round in 0..500 {
                let mut task = filch::spawn(async move {
                    for _ in 0..round % 4 {
                        yield_now().await;
                    }
                    round
                });
                let first = filch::spawn(async move {
                    let given_up = poll_fn(|cx| Poll::Ready(Pin::new(&mut task).poll(cx))).await;
                    (given_up, task)
                });
                let (early, task) = first.await.expect("no panic");
                match early {
                    Poll::Ready(value) => assert_eq!(value.expect("no panic"), round),
                    Poll::Pending => assert_eq!(task.await.expect("no panic"), round),
                }
            }
        });
    });
}
