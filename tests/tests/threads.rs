//! Threads that call into a runtime and wait for its tasks, and code that blocks.

use filch::runtime::{Builder, Handle};
use filch::scope::ReasonKind;
use filch::sync::CapacityLimiter;
use filch::task::{spawn_blocking, yield_now};
use filch::time::{Instant, sleep};
use filch_tests::{Gate, Log, OnDrop, current, eventually, everywhere, multi, panics, within};
use std::future::{IntoFuture, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Waits until somebody opens the gate, as a task.
async fn opened(gate: &Gate) {
    while !gate.try_wait() {
        sleep(ms(1)).await;
    }
}

// --- calls into a runtime ----------------------------------------------------------------------------------------------------

#[test]
fn threads_call_into_a_runtime() {
    within(|| {
        for workers in [1, 2, 8] {
            let runtime = multi(workers);
            let busy = Arc::new(AtomicBool::new(false));
            let threads: Vec<_> = (0..10)
                .map(|thread| {
                    let (handle, busy) = (runtime.handle().clone(), busy.clone());
                    thread::spawn(move || {
                        (0..50)
                            .map(|number| {
                                let busy = busy.clone();
                                let value = handle.call(move || {
                                    assert!(!busy.swap(true, Ordering::SeqCst), "two at a time");
                                    // It is inside the runtime.
                                    drop(filch::spawn(async {}));
                                    busy.store(false, Ordering::SeqCst);
                                    thread * number
                                });
                                value.unwrap()
                            })
                            .sum::<u32>()
                    })
                })
                .collect();
            for (thread, joined) in (0..).zip(threads) {
                assert_eq!(joined.join().unwrap(), thread * 49 * 25);
            }
        }
    });
}

#[test]
fn blocking_jobs_call_into_their_runtime() {
    within(|| {
        for runtime in [current(), multi(1), multi(4)] {
            let sum = runtime.block_on(async {
                let jobs = (0..10).map(|number| {
                    let handle = Handle::current();
                    spawn_blocking(move || handle.call(move || number).unwrap())
                });
                let mut sum = 0;
                for job in jobs.collect::<Vec<_>>() {
                    sum += job.await.unwrap();
                }
                sum
            });
            assert_eq!(sum, 45);
        }
    });
}

filch::task_local! {
    static SEEN: u32;
}

#[test]
fn a_call_sees_the_values_of_its_job() {
    within(|| {
        let seen = multi(1).block_on(SEEN.scope(7, async {
            let handle = Handle::current();
            spawn_blocking(move || handle.call(|| SEEN.try_get().ok()).unwrap()).await
        }));
        assert_eq!(seen.unwrap(), Some(7));
    });
}

#[test]
fn a_panic_of_a_call_is_raised_in_the_caller() {
    within(|| {
        let runtime = multi(1);
        let handle = runtime.handle().clone();
        let (text, _) = panics(|| handle.call(|| -> u32 { panic!("on purpose") }));
        assert_eq!(text, "on purpose");
        assert_eq!(handle.call(|| 7), Ok(7));
    });
}

#[test]
fn a_call_is_refused_where_tasks_are_polled() {
    within(|| {
        let runtime = multi(2);
        let handle = runtime.handle().clone();
        let again = handle.clone();
        let in_task = runtime.spawn(async move { panics(|| again.call(|| 7)).0 });
        let in_main = runtime.block_on(async { panics(|| handle.call(|| 7)) });
        let text = runtime.block_on(in_task).unwrap();
        assert!(text.starts_with("`Handle::call` was called on a thread that runs a filch runtime"));
        assert_eq!(text, in_main.0);
        assert!(in_main.1.unwrap().0.ends_with("threads.rs"), "the caller's line");
        // Nor from another runtime's.
        let other = multi(1);
        assert_eq!(other.block_on(async { panics(|| handle.call(|| 7)) }).0, text);
    });
}

/// There the jobs run on the one thread that there is.
#[test]
fn a_job_of_a_deterministic_runtime_can_neither_call_nor_join() {
    within(|| {
        let runtime = Builder::new_multi_thread().deterministic(7).build().unwrap();
        let texts = runtime.block_on(async {
            let (handle, task) = (Handle::current(), filch::spawn(async {}));
            let job = move || {
                let call = panics(|| handle.call(|| 7));
                let join = panics(|| task.join_blocking());
                [call.0, join.0]
            };
            spawn_blocking(job).await.unwrap()
        });
        for text in texts {
            assert!(
                text.contains("was called on a thread that runs a filch runtime"),
                "{text}"
            );
        }
    });
}

#[test]
fn a_call_waits_for_the_run() {
    within(|| {
        let mut runner = filch::Runner::new().unwrap();
        let (handle, called) = (runner.handle().clone(), Arc::new(AtomicBool::new(false)));
        let (calls, ready) = (called.clone(), Gate::new());
        let readies = ready.clone();
        let caller = thread::spawn(move || {
            readies.open();
            handle.call(move || calls.store(true, Ordering::SeqCst))
        });
        ready.wait();
        // Time enough for a worker that would call it.
        thread::sleep(ms(20));
        assert!(!called.load(Ordering::SeqCst));
        let seen = called.clone();
        runner
            .run(async move {
                while !seen.load(Ordering::SeqCst) {
                    sleep(ms(1)).await;
                }
            })
            .unwrap();
        assert_eq!(caller.join().unwrap(), Ok(()));
    });
}

/// The function's place is behind one that blocks, and the runtime ends.
#[test]
fn a_call_hears_of_the_end() {
    within(|| {
        let runtime = multi(1);
        let (begun, release) = (Gate::new(), Gate::new());
        let (begins, released) = (begun.clone(), release.clone());
        runtime.handle().call_soon(move || {
            begins.open();
            released.wait();
        });
        begun.wait();
        let handle = runtime.handle().clone();
        let called = Arc::new(AtomicBool::new(false));
        let (call, ready) = (called.clone(), Gate::new());
        let sent = ready.clone();
        let caller = thread::spawn(move || {
            sent.open();
            handle.call(move || call.store(true, Ordering::SeqCst))
        });
        ready.wait();
        // Time enough to come to the wait; if not, it is refused at once.
        thread::sleep(ms(10));
        runtime.shutdown_background();
        release.open();
        let error = caller.join().unwrap().unwrap_err();
        assert_eq!(
            error.to_string(),
            "the runtime was shut down before the function was called"
        );
        assert!(!called.load(Ordering::SeqCst));
    });
}

#[test]
fn a_call_after_the_end_is_an_error() {
    within(|| {
        for runtime in [current(), multi(1)] {
            let handle = runtime.handle().clone();
            drop(runtime);
            assert!(handle.call(|| 7).is_err());
        }
    });
}

/// Dropping a runtime waits for the job, which waits for the runtime.
#[test]
fn the_end_and_a_call_do_not_wait_for_each_other() {
    within(|| {
        for runtime in [current(), multi(1), multi(2)] {
            let (begun, go, told) = (Gate::new(), Gate::new(), Log::new());
            let (begins, goes, log) = (begun.clone(), go.clone(), told.clone());
            let handle = runtime.handle().clone();
            drop(runtime.spawn_blocking(move || {
                begins.open();
                goes.wait();
                // The runtime may or may not be closed by now.
                log.push(handle.call(|| 7));
            }));
            begun.wait();
            let closing = thread::spawn(move || drop(runtime));
            go.open();
            closing.join().unwrap();
            let told = told.get();
            assert_eq!(told.len(), 1);
            assert!(told[0].is_err() || told[0] == Ok(7));
        }
    });
}

// --- joins -------------------------------------------------------------------------------------------------------------------

#[test]
fn threads_join_tasks() {
    within(|| {
        for workers in [1, 2, 4, 8] {
            let runtime = multi(workers);
            let threads: Vec<_> = (0..10)
                .map(|_| {
                    let handle = runtime.handle().clone();
                    thread::spawn(move || {
                        let task = handle.spawn(async {
                            sleep(ms(1)).await;
                            42
                        });
                        task.join_blocking().unwrap()
                    })
                })
                .collect();
            for thread in threads {
                assert_eq!(thread.join().unwrap(), 42);
            }
        }
    });
}

#[test]
fn a_join_that_takes_too_long_gives_the_handle_back() {
    within(|| {
        let runtime = multi(1);
        let (tell, told) = filch::sync::oneshot::channel();
        let task = runtime.spawn(async { told.await.unwrap() });
        let Err(task) = task.join_blocking_timeout(Duration::ZERO) else {
            panic!("it has not ended")
        };
        let Err(task) = task.join_blocking_timeout(ms(5)) else {
            panic!("it has not ended")
        };
        assert!(!task.is_finished());
        tell.send(7).unwrap();
        let Ok(outcome) = task.join_blocking_timeout(Duration::MAX) else {
            panic!("there is time enough")
        };
        assert_eq!(outcome.unwrap(), 7);
        // One that waits meanwhile is woken by the end, not by its time.
        let task = runtime.spawn(async { sleep(ms(5)).await });
        assert!(task.join_blocking_timeout(Duration::from_secs(3600)).unwrap().is_ok());
    });
}

#[test]
fn a_join_tells_panics_and_cancels() {
    within(|| {
        let runtime = multi(1);
        let outcome: Result<(), _> = runtime.spawn(async { panic!("on purpose") }).join_blocking();
        let error = outcome.unwrap_err();
        assert_eq!(filch_tests::text(&*error.into_panic()), "on purpose");
        let task = runtime.spawn(pending::<()>());
        task.cancel_with("enough");
        let error = task.join_blocking().unwrap_err();
        assert_eq!(error.reason().unwrap().text(), Some("enough"));
    });
}

#[test]
fn a_join_hears_of_the_end_of_the_runtime() {
    within(|| {
        for runtime in [multi(1), multi(4), current()] {
            let (begun, gone) = (Gate::new(), Arc::new(AtomicBool::new(false)));
            let (begins, goes) = (begun.clone(), gone.clone());
            let guard = OnDrop(move || goes.store(true, Ordering::SeqCst));
            let task = runtime.spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            });
            let joiner = thread::spawn(move || {
                begins.open();
                let outcome = task.join_blocking();
                (outcome.unwrap_err().is_cancelled(), gone.load(Ordering::SeqCst))
            });
            begun.wait();
            // Time enough to come to the wait; if not, the handle is ready by then.
            thread::sleep(ms(5));
            drop(runtime);
            assert_eq!(joiner.join().unwrap(), (true, true));
        }
    });
}

#[test]
fn a_join_is_refused_where_tasks_are_polled() {
    within(|| {
        let runtime = multi(2);
        let text = runtime.block_on(async {
            let in_task = filch::spawn(async {
                let one = panics(|| filch::spawn(async {}).join_blocking());
                let other = panics(|| filch::spawn(async {}).join_blocking_timeout(ms(1)));
                assert!(
                    other
                        .0
                        .starts_with("`JoinHandle::join_blocking_timeout` was called on a thread that runs")
                );
                one
            });
            let in_main = panics(|| filch::spawn(async {}).join_blocking());
            let in_task = in_task.await.unwrap();
            assert_eq!(in_main.0, in_task.0);
            assert!(in_task.1.unwrap().0.ends_with("threads.rs"), "the caller's line");
            in_main.0
        });
        assert!(text.starts_with("`JoinHandle::join_blocking` was called on a thread that runs a filch runtime"));
    });
}

/// The job and the task that it joins are cancelled by the same cancel.
#[test]
fn a_job_in_a_cancelled_scope_joins_what_was_cancelled_with_it() {
    within(|| {
        multi(2).block_on(async {
            let outcome = filch::group(async |group| {
                let child = group.spawn(async { pending::<Result<(), std::fmt::Error>>().await });
                let begun = Gate::new();
                let begins = begun.clone();
                let job = filch::blocking(move || {
                    begins.open();
                    child.join_blocking().unwrap_err().is_cancelled()
                });
                let mut job = job.into_future();
                assert!(filch_tests::poll_once(Pin::new(&mut job)).await.is_pending());
                opened(&begun).await;
                group.cancel();
                Ok(job.await)
            });
            assert!(outcome.await.unwrap());
        });
    });
}

// --- blocking ----------------------------------------------------------------------------------------------------------------

#[test]
fn blocking_gives_the_value() {
    everywhere(|| async {
        assert_eq!(filch::blocking(|| 7).await, 7);
        let task = filch::spawn(async { filch::blocking(|| 8).await });
        assert_eq!(task.await.unwrap(), 8);
    });
}

#[test]
fn a_panic_of_blocking_is_raised_again() {
    everywhere(|| async {
        let task = filch::spawn(async { filch::blocking(|| panic!("on purpose")).await });
        let outcome: Result<(), _> = task.await;
        assert_eq!(filch_tests::text(&*outcome.unwrap_err().into_panic()), "on purpose");
    });
}

#[test]
fn blocking_sees_values_and_the_deadline() {
    everywhere(|| async {
        let deadline = Instant::now() + Duration::from_secs(7);
        let seen = SEEN.scope(7, async {
            filch::move_on_at(deadline, async |_| {
                filch::blocking(|| {
                    let value = SEEN.try_get().ok();
                    SEEN.set(8);
                    (value, filch::deadline(), filch::check_cancelled().is_ok())
                })
                .await
            })
            .await
        });
        assert_eq!(seen.await, Some((Some(7), Some(deadline), true)));
        assert_eq!(
            filch::blocking(|| (SEEN.try_get().ok(), filch::deadline())).await,
            (None, None)
        );
    });
}

/// A clean-up that the function leaves runs before the value is there.
#[test]
fn clean_ups_of_blocking_are_waited_for() {
    everywhere(|| async {
        let cleaned = Arc::new(AtomicBool::new(false));
        let cleans = cleaned.clone();
        filch::blocking(move || {
            let _later = filch::defer(async move {
                sleep(ms(1)).await;
                cleans.store(true, Ordering::SeqCst);
            });
        })
        .await;
        assert!(cleaned.load(Ordering::SeqCst));
    });
}

#[test]
fn a_cancelled_scope_waits_for_blocking() {
    within(|| {
        for runtime in [current(), multi(2)] {
            let log = Log::new();
            let (told, outer) = (log.clone(), log.clone());
            let outcome = runtime.block_on(filch::scope(async move |scope| {
                let scope = scope.clone();
                let value = filch::blocking(move || {
                    assert!(filch::check_cancelled().is_ok());
                    scope.cancel_with("enough");
                    let reason = filch::check_cancelled().unwrap_err().reason().text().map(String::from);
                    // Time enough for an awaiter that does not wait.
                    thread::sleep(ms(20));
                    told.push("over");
                    reason
                })
                .await;
                // The value is there, and the next wait ends it.
                assert_eq!(value.as_deref(), Some("enough"));
                outer.push("resumed");
                sleep(ms(1)).await;
                outer.push("resumed twice");
            }));
            log.push("after");
            assert!(outcome.is_none());
            assert_eq!(log.get(), ["over", "resumed", "after"]);
        }
    });
}

/// Of the task itself, which has no scope but its own.
#[test]
fn a_cancelled_task_waits_for_blocking() {
    within(|| {
        let runtime = multi(2);
        let (begun, over) = (Gate::new(), Arc::new(AtomicBool::new(false)));
        let (begins, ends) = (begun.clone(), over.clone());
        let task = runtime.spawn(async move {
            filch::blocking(move || {
                begins.open();
                while filch::check_cancelled().is_ok() {
                    thread::sleep(ms(1));
                }
                thread::sleep(ms(10));
                ends.store(true, Ordering::SeqCst);
                7
            })
            .await
        });
        begun.wait();
        task.cancel();
        // The task ends with the value: it comes to no other wait.
        assert_eq!(task.join_blocking().unwrap(), 7);
        assert!(over.load(Ordering::SeqCst));
    });
}

#[test]
fn a_shield_around_blocking_hears_nothing() {
    within(|| {
        let seen = multi(2).block_on(filch::scope(async |scope| {
            let scope = scope.clone();
            filch::shield(filch::blocking(move || {
                scope.cancel();
                filch::check_cancelled().is_ok()
            }))
            .await
        }));
        assert_eq!(seen, Some(true));
    });
}

#[test]
fn in_a_cancelled_scope_blocking_does_not_begin() {
    everywhere(|| async {
        for abandon in [false, true] {
            let began = Arc::new(AtomicBool::new(false));
            let begins = began.clone();
            let limiter = CapacityLimiter::new(1);
            let outcome = filch::scope(async |scope| {
                scope.cancel();
                filch::blocking(move || begins.store(true, Ordering::SeqCst))
                    .limiter(&limiter)
                    .abandon_on_cancel(abandon)
                    .await;
            });
            assert_eq!(outcome.await, None);
            // A job behind it.
            filch::blocking(|| ()).await;
            assert!(!began.load(Ordering::SeqCst));
            assert_eq!(limiter.borrowed(), 0);
        }
    });
}

/// A cancel that is taken back while the function has not begun.
#[test]
fn blocking_begins_when_the_cancel_is_taken_back() {
    everywhere(|| async {
        let task = filch::spawn(async {
            let me = filch::task::current().unwrap();
            me.cancel();
            let mut job = filch::blocking(|| 7).into_future();
            assert!(filch_tests::poll_once(Pin::new(&mut job)).await.is_pending());
            me.uncancel();
            job.await
        });
        assert_eq!(task.await.unwrap(), 7);
    });
}

#[test]
fn blocking_that_is_abandoned_runs_on_with_its_token() {
    within(|| {
        for runtime in [current(), multi(2)] {
            let limiter = CapacityLimiter::new(1);
            let (begun, release) = (Gate::new(), Gate::new());
            let (begins, released) = (begun.clone(), release.clone());
            let results = Arc::new(AtomicUsize::new(0));
            let (dropped, log) = (results.clone(), Log::new());
            let told = log.clone();
            let borrowed = limiter.clone();
            runtime.block_on(async move {
                let stop = Log::new();
                let scope_of = stop.clone();
                let work = filch::scope(async |scope| {
                    scope_of.push(scope.clone());
                    filch::blocking(move || {
                        begins.open();
                        released.wait();
                        let reason = filch::check_cancelled().unwrap_err().reason().kind();
                        told.push(reason);
                        OnDrop(move || {
                            dropped.fetch_add(1, Ordering::SeqCst);
                        })
                    })
                    .limiter(&borrowed)
                    .abandon_on_cancel(true)
                    .await;
                    unreachable!("it was abandoned")
                });
                let canceller = filch::spawn(async move {
                    opened(&begun).await;
                    stop.get()[0].cancel();
                });
                // The function has not returned: it waits for the gate.
                assert_eq!(work.await, None::<()>);
                canceller.await.unwrap();
                assert_eq!(borrowed.borrowed(), 1);
                release.open();
            });
            eventually("the token comes back", || limiter.borrowed() == 0);
            eventually("the value is dropped", || results.load(Ordering::SeqCst) == 1);
            assert_eq!(log.get(), [ReasonKind::Requested]);
        }
    });
}

type Waiting = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A runtime with one thread for jobs, in which the first one blocks.
fn one_job_at_a_time() -> (filch::runtime::Runtime, Arc<Gate>) {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(1)
        .build()
        .unwrap();
    let (begun, release) = (Gate::new(), Gate::new());
    let (begins, released) = (begun.clone(), release.clone());
    drop(runtime.spawn_blocking(move || {
        begins.open();
        released.wait();
    }));
    begun.wait();
    (runtime, release)
}

/// `end` ends the wait for a function that is queued; gives whether the function was called.
fn called_after<F: Future<Output = ()>>(abandon: bool, end: impl FnOnce(Waiting, Arc<Gate>) -> F) -> bool {
    let (runtime, release) = one_job_at_a_time();
    let (called, limiter) = (Arc::new(AtomicBool::new(false)), CapacityLimiter::new(1));
    let call = called.clone();
    let job = filch::blocking(move || call.store(true, Ordering::SeqCst))
        .limiter(&limiter)
        .abandon_on_cancel(abandon);
    let opens = release.clone();
    let inside = runtime.enter();
    let job = job.into_future();
    drop(inside);
    runtime.block_on(async {
        end(job, opens).await;
        release.open();
        // A job behind it.
        filch::blocking(|| ()).await;
    });
    assert_eq!(limiter.borrowed(), 0);
    called.load(Ordering::SeqCst)
}

/// Cancels what waits for the job, as soon as that is queued.
async fn cancelled(job: Waiting, release: Arc<Gate>) {
    let outcome = filch::scope(async |scope| {
        let mut job = job;
        assert!(filch_tests::poll_once(Pin::new(&mut job)).await.is_pending());
        scope.cancel();
        // For those who wait for it.
        release.open();
        job.await;
    });
    outcome.await;
}

#[test]
fn a_function_that_was_abandoned_before_it_began_never_does() {
    within(|| {
        assert!(!called_after(true, async |job, release| {
            let outcome = filch::scope(async |scope| {
                let mut job = job;
                assert!(filch_tests::poll_once(Pin::new(&mut job)).await.is_pending());
                scope.cancel();
                job.await;
            });
            assert_eq!(outcome.await, None);
            release.open();
        }));
    });
}

#[test]
fn a_function_that_is_not_abandoned_begins_though_its_scope_is_cancelled() {
    within(|| assert!(called_after(false, cancelled)));
}

#[test]
fn a_function_whose_future_is_dropped_before_it_began_never_does() {
    within(|| {
        for abandon in [false, true] {
            assert!(!called_after(abandon, async |mut job, _| {
                assert!(filch_tests::poll_once(Pin::new(&mut job)).await.is_pending());
            }));
        }
    });
}

/// By a plain drop, which no scope knows of, and by the abort of the task.
#[test]
fn a_function_is_told_that_its_future_was_dropped() {
    within(|| {
        for abort in [false, true] {
            let runtime = multi(2);
            let (begun, told) = (Gate::new(), Log::new());
            let (begins, begins_again, log) = (begun.clone(), begun.clone(), told.clone());
            let task = runtime.spawn(async move {
                let job = filch::blocking(move || {
                    begins.open();
                    while let Ok(()) = filch::check_cancelled() {
                        thread::sleep(ms(1));
                    }
                    log.push(filch::check_cancelled().unwrap_err().reason().kind());
                });
                match abort {
                    true => job.await,
                    false => {
                        let mut job = job.into_future();
                        assert!(filch_tests::poll_once(Pin::new(&mut job)).await.is_pending());
                        opened(&begins_again).await;
                        drop(job);
                    }
                }
            });
            if abort {
                begun.wait();
                task.abort();
            }
            eventually("the function hears of it", || told.get() == [ReasonKind::Dropped]);
            drop(runtime);
        }
    });
}

#[test]
fn a_limiter_limits() {
    within(|| {
        let runtime = multi(2);
        let limiter = CapacityLimiter::new(2);
        let (busy, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        runtime.block_on(async {
            let jobs: Vec<_> = (0..20)
                .map(|_| {
                    let (busy, most, limiter) = (busy.clone(), most.clone(), limiter.clone());
                    filch::spawn(async move {
                        let work = || {
                            let (busy, most) = (busy.clone(), most.clone());
                            let job = filch::blocking(move || {
                                let now = busy.fetch_add(1, Ordering::SeqCst) + 1;
                                most.fetch_max(now, Ordering::SeqCst);
                                thread::sleep(ms(1));
                                busy.fetch_sub(1, Ordering::SeqCst);
                            });
                            job.limiter(&limiter).into_future()
                        };
                        // Two functions of one task are two borrowers.
                        filch::join!(work(), work());
                    })
                })
                .collect();
            for job in jobs {
                job.await.unwrap();
            }
            // Whoever has the value finds the token given back.
            filch::blocking(|| ()).limiter(&limiter).await;
            assert_eq!(limiter.borrowed(), 0);
        });
        assert!(most.load(Ordering::SeqCst) <= 2);
    });
}

#[test]
fn a_wait_for_a_token_can_be_cancelled() {
    everywhere(|| async {
        let limiter = CapacityLimiter::new(0);
        let outcome = filch::move_on_after(ms(1), async |_| {
            filch::blocking(|| unreachable!("there is no token"))
                .limiter(&limiter)
                .await
        });
        let outcome: Option<()> = outcome.await;
        assert_eq!(outcome, None);
        assert_eq!(limiter.stats().waiting, 0);
    });
}

#[test]
fn blocking_after_the_end_of_the_pool_panics() {
    within(|| {
        let runtime = multi(1);
        let handle = runtime.handle().clone();
        drop(runtime);
        let other = multi(1);
        let text = other.block_on(async {
            let inside = handle.enter();
            let job = filch::blocking(|| ()).into_future();
            drop(inside);
            filch::spawn(job).await.unwrap_err()
        });
        let text = filch_tests::text(&*text.into_panic());
        assert!(text.contains("could not begin"), "{text}");
        assert!(text.contains("threads.rs"), "{text}");
        let (text, _) = panics(|| filch::blocking(|| ()).into_future());
        assert!(text.starts_with("there is no filch runtime"), "{text}");
        other.block_on(yield_now());
    });
}
