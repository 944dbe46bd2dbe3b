//! Callbacks: functions that a runtime calls, soon or at a time.

use filch::Runner;
use filch::runtime::{Builder, CallHandle, CancelOutcome, Handle, Runtime, StopReason};
use filch::sync::oneshot;
use filch::task::{spawn_blocking, yield_now};
use filch::time::{Instant, sleep};
use filch_tests::{Gate, Log, MANY, OnDrop, current, everywhere, lock, multi, panics, within};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Waits until all callbacks that were scheduled before, without a time, are over.
async fn behind() {
    let (tell, told) = oneshot::channel();
    filch::call_soon(move || tell.send(()).expect("somebody waits"));
    told.await.expect("it is called");
}

/// A flag, and what raises it when it is dropped.
fn dropped() -> (Arc<AtomicBool>, OnDrop<impl FnMut() + Send + 'static>) {
    let flag = Arc::new(AtomicBool::new(false));
    let raise = flag.clone();
    (flag, OnDrop(move || raise.store(true, Ordering::SeqCst)))
}

// --- callbacks: order --------------------------------------------------------------------------------------------------------

#[test]
fn callbacks_come_in_the_order_of_the_calls_and_one_at_a_time() {
    everywhere(|| async {
        // More than a poll's budget.
        const N: usize = 300;
        let (log, busy) = (Log::new(), Arc::new(AtomicBool::new(false)));
        for number in 0..N {
            let (log, busy) = (log.clone(), busy.clone());
            filch::call_soon(move || {
                assert!(!busy.swap(true, Ordering::SeqCst), "two at a time");
                log.push(number);
                busy.store(false, Ordering::SeqCst);
            });
        }
        behind().await;
        assert_eq!(log.get(), (0..N).collect::<Vec<_>>());
    });
}

#[test]
fn a_callback_is_never_called_inside_the_call() {
    within(|| {
        for runtime in [current(), multi(1)] {
            let log = runtime.block_on(async {
                filch::spawn(async {
                    let log = Log::new();
                    let inside = log.clone();
                    filch::call_soon(move || inside.push("called"));
                    log.push("scheduled");
                    behind().await;
                    log.get()
                })
                .await
            });
            assert_eq!(log.unwrap(), ["scheduled", "called"]);
        }
    });
}

/// What a callback schedules has its turn after the other tasks that were ready then.
#[test]
fn a_callback_of_a_callback_waits_for_the_next_turn() {
    within(|| {
        for runtime in [current(), multi(1)] {
            let log = Log::new();
            let (first, second, third) = (log.clone(), log.clone(), log.clone());
            runtime.block_on(async move {
                let (tell, told) = oneshot::channel();
                filch::call_soon(move || {
                    first.push("callback");
                    filch::spawn(async move { second.push("task") });
                    filch::call_soon(move || {
                        third.push("callback's callback");
                        tell.send(()).unwrap();
                    });
                });
                told.await.unwrap();
            });
            assert_eq!(log.get(), ["callback", "task", "callback's callback"]);
        }
    });
}

#[test]
fn times_are_kept_in_order() {
    everywhere(|| async {
        let (log, begin) = (Log::new(), Instant::now());
        for seconds in [3, 1, 2, 1] {
            let log = log.clone();
            filch::call_later(Duration::from_secs(seconds), move || {
                log.push((seconds, begin.elapsed().as_secs()));
            });
        }
        let (tell, told) = oneshot::channel();
        let last = filch::call_at(begin + Duration::from_secs(4), move || tell.send(()).unwrap());
        assert_eq!(last.when(), Some(begin + Duration::from_secs(4)));
        assert!(last.is_pending());
        told.await.unwrap();
        assert!(!last.is_pending());
        assert_eq!(log.get(), [(1, 1), (1, 1), (2, 2), (3, 3)]);
    });
}

#[test]
fn of_equal_times_the_first_call_comes_first() {
    everywhere(|| async {
        let (log, time) = (Log::new(), Instant::now() + ms(5));
        for number in 0..10 {
            let log = log.clone();
            filch::call_at(time, move || log.push(number));
        }
        sleep(ms(6)).await;
        behind().await;
        assert_eq!(log.get(), (0..10).collect::<Vec<_>>());
    });
}

/// From inside a callback, so that all are there before the first of them is due.
#[test]
fn times_in_the_past_keep_their_order() {
    everywhere(|| async {
        let log = Log::new();
        let (tell, told) = oneshot::channel();
        let inside = log.clone();
        filch::call_soon(move || {
            let now = Instant::now();
            for before in [1, 3, 2] {
                let log = inside.clone();
                filch::call_at(now - ms(before), move || log.push(before));
            }
            filch::call_at(now, move || tell.send(()).unwrap());
        });
        told.await.unwrap();
        assert_eq!(log.get(), [3, 2, 1]);
    });
}

/// The task that calls sleeps for the later one by then.
#[test]
fn an_earlier_time_may_come_later() {
    everywhere(|| async {
        let log = Log::new();
        let (one, other) = (log.clone(), log.clone());
        let begin = Instant::now();
        filch::call_later(Duration::from_secs(100), move || one.push(100));
        sleep(ms(1)).await;
        filch::call_later(Duration::from_secs(10), move || other.push(10));
        sleep(Duration::from_secs(11)).await;
        behind().await;
        assert_eq!(log.get(), [10]);
        sleep(Duration::from_secs(100)).await;
        behind().await;
        assert_eq!(log.get(), [10, 100]);
        assert!(begin.elapsed() < Duration::from_secs(112));
    });
}

#[test]
fn a_delay_without_end_does_no_harm() {
    everywhere(|| async {
        let far = filch::call_later(Duration::MAX, || unreachable!("nobody lives to see it"));
        behind().await;
        assert_eq!(far.cancel(), CancelOutcome::Cancelled);
    });
}

#[test]
fn foreign_threads_call_in_order() {
    within(|| {
        for runtime in [current(), multi(1), multi(4)] {
            let (log, stop) = (Log::new(), Gate::new());
            let threads: Vec<_> = (0..4)
                .map(|thread| {
                    let (handle, log, stop) = (runtime.handle().clone(), log.clone(), stop.clone());
                    thread::spawn(move || {
                        for number in 0..200 {
                            let log = log.clone();
                            handle.call_soon(move || log.push((thread, number)));
                        }
                        handle.call_soon(move || stop.open());
                    })
                })
                .collect();
            // Of a current_thread runtime somebody has to be there.
            let wait = runtime.spawn_blocking(move || (0..4).for_each(|_| stop.wait()));
            runtime.block_on(wait).unwrap();
            for thread in threads {
                thread.join().unwrap();
            }
            let log = log.get();
            assert_eq!(log.len(), 800);
            for thread in 0..4 {
                let own: Vec<_> = log
                    .iter()
                    .filter(|(from, _)| *from == thread)
                    .map(|(_, n)| *n)
                    .collect();
                assert_eq!(own, (0..200).collect::<Vec<_>>());
            }
        }
    });
}

// --- callbacks: fairness -----------------------------------------------------------------------------------------------------

/// Calls itself until it is told to stop.
fn again(stop: Arc<AtomicBool>, schedule: fn(Box<dyn FnOnce() + Send>)) {
    schedule(Box::new(move || {
        if !stop.load(Ordering::SeqCst) {
            again(stop, schedule);
        }
    }));
}

const SOON: fn(Box<dyn FnOnce() + Send>) = |f| drop(filch::call_soon(f));
const PAST: fn(Box<dyn FnOnce() + Send>) = |f| drop(filch::call_at(Instant::now() - ms(5), f));

#[test]
fn callbacks_without_end_let_tasks_run() {
    everywhere(|| async {
        for schedule in [SOON, PAST] {
            let stop = Arc::new(AtomicBool::new(false));
            again(stop.clone(), schedule);
            let task = filch::spawn(async {
                for _ in 0..20 {
                    yield_now().await;
                }
            });
            task.await.unwrap();
            stop.store(true, Ordering::SeqCst);
        }
    });
}

#[test]
fn callbacks_without_end_let_each_other_run() {
    everywhere(|| async {
        for (one, other) in [(SOON, PAST), (PAST, SOON)] {
            let stop = Arc::new(AtomicBool::new(false));
            again(stop.clone(), one);
            behind().await;
            let (tell, told) = oneshot::channel();
            other(Box::new(move || tell.send(()).unwrap()));
            told.await.unwrap();
            stop.store(true, Ordering::SeqCst);
        }
    });
}

#[test]
fn many_callbacks_of_one_turn_let_tasks_run() {
    within(|| {
        for runtime in [current(), multi(1)] {
            let count = Arc::new(AtomicUsize::new(0));
            let so_far = runtime.block_on(async move {
                let (tell, told) = oneshot::channel();
                filch::call_soon(move || {
                    for _ in 0..MANY {
                        let count = count.clone();
                        filch::call_soon(move || {
                            count.fetch_add(1, Ordering::SeqCst);
                        });
                    }
                    filch::spawn(async move {
                        // Behind the first part of the turn.
                        yield_now().await;
                        yield_now().await;
                        tell.send(count.load(Ordering::SeqCst)).unwrap();
                    });
                });
                told.await.unwrap()
            });
            assert!(so_far < MANY, "all {so_far} were called before");
        }
    });
}

// --- callbacks: cancelling ---------------------------------------------------------------------------------------------------

#[test]
fn a_cancelled_callback_is_never_called() {
    everywhere(|| async {
        for later in [false, true] {
            let (gone, guard) = dropped();
            let called = Arc::new(AtomicBool::new(false));
            let call = called.clone();
            let kept = move || {
                let _guard = &guard;
                call.store(true, Ordering::SeqCst);
            };
            // From inside a callback, so that it has had no turn yet.
            let (tell, told) = oneshot::channel();
            filch::call_soon(move || {
                let call = match later {
                    true => filch::call_later(Duration::from_secs(1), kept),
                    false => filch::call_soon(kept),
                };
                assert_eq!(call.cancel(), CancelOutcome::Cancelled);
                assert!(gone.load(Ordering::SeqCst), "it is dropped by the cancel");
                assert_eq!(call.cancel(), CancelOutcome::Cancelled);
                assert!(!call.is_pending());
                tell.send(()).unwrap();
            });
            told.await.unwrap();
            sleep(Duration::from_secs(2)).await;
            behind().await;
            assert!(!called.load(Ordering::SeqCst));
        }
    });
}

#[test]
fn a_callback_that_ran_is_not_cancelled() {
    everywhere(|| async {
        let call = filch::call_soon(|| ());
        behind().await;
        assert_eq!(call.cancel(), CancelOutcome::AlreadyRan);
    });
}

#[test]
fn dropping_the_handle_cancels_nothing() {
    everywhere(|| async {
        let (tell, told) = oneshot::channel();
        drop(filch::call_later(ms(1), move || tell.send(7).unwrap()));
        assert_eq!(told.await, Ok(7));
    });
}

#[test]
fn a_callback_may_cancel_itself_and_others() {
    everywhere(|| async {
        let own = Arc::new(Mutex::new(None::<CallHandle>));
        let (place, outcomes) = (own.clone(), Log::new());
        let told = outcomes.clone();
        // The outer one holds the others up until they are both there.
        filch::call_soon(move || {
            let inside = place.clone();
            let other = Arc::new(Mutex::new(None::<CallHandle>));
            let (to_other, log) = (other.clone(), told.clone());
            let call = filch::call_soon(move || {
                for handle in [&inside, &to_other] {
                    log.push(lock(handle).take().unwrap().cancel());
                }
            });
            *lock(&place) = Some(call);
            let late = told.clone();
            *lock(&other) = Some(filch::call_soon(move || late.push(CancelOutcome::Running)));
        });
        behind().await;
        behind().await;
        assert_eq!(outcomes.get(), [CancelOutcome::AlreadyRan, CancelOutcome::Cancelled]);
    });
}

/// Afterwards it touches nothing any more.
#[test]
fn cancelling_a_callback_that_runs_waits_for_it() {
    within(|| {
        for runtime in [multi(1), multi(2), current()] {
            let (begun, release) = (Gate::new(), Gate::new());
            let over = Arc::new(AtomicBool::new(false));
            let (begins, released, ends) = (begun.clone(), release.clone(), over.clone());
            let call = runtime.handle().call_soon(move || {
                begins.open();
                released.wait();
                ends.store(true, Ordering::SeqCst);
            });
            let canceller = runtime.spawn_blocking(move || {
                begun.wait();
                let late = thread::spawn(move || {
                    // Time enough for a cancel that does not wait.
                    thread::sleep(ms(20));
                    release.open();
                });
                let outcome = call.cancel();
                let was_over = over.load(Ordering::SeqCst);
                late.join().unwrap();
                (outcome, was_over)
            });
            assert_eq!(runtime.block_on(canceller).unwrap(), (CancelOutcome::AlreadyRan, true));
        }
    });
}

#[test]
fn a_thread_that_polls_tasks_does_not_wait_for_a_callback() {
    within(|| {
        let runtime = multi(2);
        let (begun, release) = (Gate::new(), Gate::new());
        let (begins, released) = (begun.clone(), release.clone());
        let call = runtime.handle().call_soon(move || {
            begins.open();
            released.wait();
        });
        begun.wait();
        let (from_main, from_task) = runtime.block_on(async {
            let again = call.clone();
            let task = filch::spawn(async move { again.cancel() });
            (call.cancel(), task.await.unwrap())
        });
        assert_eq!((from_main, from_task), (CancelOutcome::Running, CancelOutcome::Running));
        release.open();
        assert_eq!(call.cancel(), CancelOutcome::AlreadyRan);
    });
}

/// Neither the runtime nor a paused clock waits for the time of a callback that was cancelled.
#[test]
fn a_cancelled_time_is_forgotten_at_once() {
    everywhere(|| async {
        let begin = Instant::now();
        let call = filch::call_later(Duration::from_secs(3600), || ());
        behind().await;
        assert_eq!(call.cancel(), CancelOutcome::Cancelled);
        while !Handle::current().tasks().is_empty() {
            yield_now().await;
        }
        assert!(begin.elapsed() < Duration::from_secs(1800));
    });
    within(|| {
        let mut runner = Runner::new().unwrap();
        let call = runner.handle().call_later(Duration::from_secs(3600), || ());
        let handle = runner.handle().clone();
        runner.spawn(async move {
            sleep(ms(2)).await;
            call.cancel();
            drop(handle);
        });
        assert_eq!(runner.run_until_idle(), StopReason::Idle);
    });
}

// --- callbacks: panics, values -----------------------------------------------------------------------------------------------

#[test]
fn a_panic_of_a_callback_stops_nothing() {
    everywhere(|| async {
        let log = Log::new();
        let (one, other) = (log.clone(), log.clone());
        filch::call_soon(move || one.push(1));
        let call = filch::call_soon(|| panic!("on purpose"));
        filch::call_soon(move || other.push(2));
        behind().await;
        assert_eq!(log.get(), [1, 2]);
        assert_eq!(call.cancel(), CancelOutcome::AlreadyRan);
    });
}

filch::task_local! {
    static SEEN: u32;
}

#[test]
fn callbacks_see_the_values_of_their_caller() {
    everywhere(|| async {
        let log = Log::new();
        for value in 1..=2 {
            let log = log.clone();
            SEEN.scope(value, async move {
                filch::call_soon(move || {
                    log.push(SEEN.try_get().ok());
                    // Nobody else's affair.
                    SEEN.set(value + 100);
                    log.push(SEEN.try_get().ok());
                });
            })
            .await;
        }
        let last = log.clone();
        filch::call_soon(move || last.push(SEEN.try_get().ok()));
        behind().await;
        assert_eq!(log.get(), [Some(1), Some(101), Some(2), Some(102), None]);
    });
}

#[test]
fn callbacks_belong_to_no_scope() {
    everywhere(|| async {
        let (tell, told) = oneshot::channel();
        filch::scope(async |scope| {
            scope.set_deadline(Some(Instant::now() + ms(1)));
            filch::call_later(ms(5), move || {
                tell.send((filch::deadline(), filch::scope::is_cancelled())).unwrap();
            });
        })
        .await;
        assert_eq!(told.await.unwrap(), (None, false));
    });
}

// --- callbacks: begin and end ------------------------------------------------------------------------------------------------

#[test]
fn callbacks_wait_for_the_run() {
    within(|| {
        for workers in [0, 1, 4] {
            let mut builder = match workers {
                0 => Builder::new_current_thread(),
                _ => Builder::new_multi_thread(),
            };
            let mut runner = builder.worker_threads(workers.max(1)).build_runner().unwrap();
            let log = Log::new();
            for (number, delay) in [(2, ms(3)), (1, ms(1))] {
                let log = log.clone();
                runner.handle().call_later(delay, move || log.push(number));
            }
            let first = log.clone();
            runner.handle().call_soon(move || first.push(0));
            // Time enough for a worker that would call them.
            thread::sleep(ms(20));
            assert!(log.get().is_empty());
            assert_eq!(runner.run_until_idle(), StopReason::Idle);
            assert_eq!(log.get(), [0, 1, 2]);
        }
    });
}

#[test]
fn callbacks_that_wait_at_the_end_are_dropped() {
    within(|| {
        for runtime in [multi(1), multi(4), current()] {
            let handle = runtime.handle().clone();
            let (gone, guard) = dropped();
            let call = handle.call_later(Duration::from_secs(3600), move || drop(guard));
            runtime.block_on(yield_now());
            drop(runtime);
            assert!(gone.load(Ordering::SeqCst));
            assert_eq!(call.cancel(), CancelOutcome::Dropped);
            let (gone, guard) = dropped();
            let late = handle.call_soon(move || drop(guard));
            assert!(gone.load(Ordering::SeqCst));
            assert_eq!(late.cancel(), CancelOutcome::Dropped);
        }
    });
}

/// The runtime is shut down while a callback runs: the rest of its turn is dropped.
#[test]
fn the_end_of_the_runtime_ends_a_turn() {
    within(|| {
        let runtime = multi(2);
        let (begun, release) = (Gate::new(), Gate::new());
        let (begins, released) = (begun.clone(), release.clone());
        let handle = runtime.handle().clone();
        let rest = Arc::new(Mutex::new(None::<CallHandle>));
        let place = rest.clone();
        // From inside a callback, so that both are in one turn.
        handle.call_soon(move || {
            filch::call_soon(move || {
                begins.open();
                released.wait();
            });
            *lock(&place) = Some(filch::call_soon(|| ()));
        });
        begun.wait();
        runtime.shutdown_background();
        release.open();
        let rest = lock(&rest).take().unwrap();
        while rest.is_pending() {
            thread::sleep(ms(1));
        }
        assert_eq!(rest.cancel(), CancelOutcome::Dropped);
    });
}

/// The callbacks that wait are a task, which somebody may abort.
#[test]
fn callbacks_go_on_after_their_task_was_aborted() {
    everywhere(|| async {
        let call = filch::call_later(Duration::from_secs(3600), || ());
        let tasks = Handle::current().tasks();
        assert_eq!(tasks.len(), 1);
        tasks[0].abort();
        while !tasks[0].is_finished() {
            yield_now().await;
        }
        assert_eq!(call.cancel(), CancelOutcome::Dropped);
        behind().await;
    });
}

/// The runtime is closed while a job runs, and a task waits for the job.
#[test]
fn the_late_result_of_a_job_touches_nothing() {
    fn try_with(close: fn(Runtime)) {
        for runtime in [multi(2), current()] {
            let (begun, release, ended) = (Gate::new(), Gate::new(), Gate::new());
            let handle = runtime.handle().clone();
            let (begins, released, ends, late) = (begun.clone(), release.clone(), ended.clone(), handle.clone());
            let resumed = Arc::new(AtomicBool::new(false));
            let (inside, results) = (resumed.clone(), Arc::new(AtomicUsize::new(0)));
            let dropped = results.clone();
            let (gone, guard) = self::dropped();
            let task = runtime.spawn(async move {
                let _guard = guard;
                let job = spawn_blocking(move || {
                    begins.open();
                    released.wait();
                    // Else nobody hears of its end.
                    assert_eq!(late.call_soon(|| ()).cancel(), CancelOutcome::Dropped);
                    assert!(late.spawn(async {}).is_finished());
                    ends.open();
                    OnDrop(move || {
                        dropped.fetch_add(1, Ordering::SeqCst);
                    })
                });
                drop(job.await);
                inside.store(true, Ordering::SeqCst);
            });
            runtime.block_on(async {
                while !begun.try_wait() {
                    sleep(ms(1)).await;
                }
            });
            close(runtime);
            while !task.is_finished() {
                thread::sleep(ms(1));
            }
            assert!(gone.load(Ordering::SeqCst));
            assert_eq!(results.load(Ordering::SeqCst), 0);
            release.open();
            ended.wait();
            filch_tests::eventually("the result is dropped", || results.load(Ordering::SeqCst) == 1);
            assert!(!resumed.load(Ordering::SeqCst));
        }
    }
    within(|| {
        try_with(Runtime::shutdown_background);
        try_with(|runtime| runtime.shutdown_timeout(ms(10)));
    });
}

/// Callbacks are called one after the other, so that call would never come.
#[test]
fn a_callback_that_blocks_in_place_cannot_call() {
    within(|| {
        let (runtime, other) = (multi(2), multi(1));
        let (own, foreign) = (runtime.handle().clone(), other.handle().clone());
        let (tell, told) = std::sync::mpsc::channel();
        runtime.handle().call_soon(move || {
            let message = panics(|| filch::task::block_in_place(|| own.call(|| ()))).0;
            let answer = filch::task::block_in_place(|| foreign.call(|| 7));
            tell.send((message, answer)).expect("somebody listens");
        });
        let (message, answer) = told.recv().expect("it is told");
        assert!(message.contains("inside a callback of the same runtime"), "{message}");
        assert_eq!(answer, Ok(7));
        // The callback is over.
        assert_eq!(runtime.handle().call(|| 8), Ok(8));
    });
}
