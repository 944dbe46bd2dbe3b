//! Structured concurrency under attack: what a program does that wishes it ill, or does not know better.

use filch::group::{Failure, Group, GroupError};
use filch::time::{Instant, sleep};
use filch::{scope, task};
use filch_tests::{Log, OnDrop, begun, everywhere, within};
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Wrong;

type Outcome<T> = Result<T, GroupError<Wrong>>;

#[test]
fn a_destructor_that_panics_in_a_dropped_scope_loses_no_clean_up() {
    everywhere(|| async {
        let log = Log::new();
        let inside = log.clone();
        let task = filch::spawn(async move {
            let said = inside.clone();
            let mut dropped = Box::pin(scope(async |_| {
                let _cleanup = filch::defer(async move {
                    sleep(ms(1)).await;
                    said.push("cleaned up");
                });
                let _bomb = OnDrop(|| std::panic::panic_any(7_u8));
                pending::<()>().await;
            }));
            assert!(filch_tests::poll_once(dropped.as_mut()).await.is_pending());
            drop(dropped);
        });
        let payload = task.await.unwrap_err().into_panic();
        assert_eq!(payload.downcast_ref::<u8>(), Some(&7));
        assert_eq!(log.get(), ["cleaned up"]);
    });
}

#[test]
fn a_destructor_that_panics_in_a_dropped_shield_holds_nobody_for_ever() {
    everywhere(|| async {
        let ended = scope(async |outer| {
            let mut shielded = Box::pin(filch::shield(async {
                let _bomb = OnDrop(|| panic!("a destructor's panic"));
                pending::<()>().await;
            }));
            assert!(filch_tests::poll_once(shielded.as_mut()).await.is_pending());
            filch_tests::panics(|| drop(shielded));
            outer.cancel();
            pending::<()>().await;
        });
        assert_eq!(ended.await, None);
    });
}

/// Spawns a future into `spawn` that has something to clean up as soon as it is dropped.
fn deferring(log: &Arc<Log<&'static str>>) -> impl Future<Output = Result<(), Wrong>> + Send + use<> {
    let said = log.clone();
    let guard = OnDrop(move || {
        let said = said.clone();
        drop(filch::defer(async move {
            task::yield_now().await;
            said.push("cleaned up");
        }));
    });
    async move {
        let _guard = guard;
        pending().await
    }
}

#[test]
fn a_refused_child_leaves_its_clean_up_to_whoever_spawned_it() {
    everywhere(|| async {
        let log = Log::new();
        let outcome: Outcome<()> = filch::group(async |group| {
            group.cancel();
            let refused = group.spawn(deferring(&log));
            assert!(refused.is_finished(), "it is dropped here");
            assert!(refused.await.unwrap_err().is_cancelled());
            Ok(())
        })
        .await;
        outcome.unwrap();
        assert_eq!(log.get(), ["cleaned up"]);
    });
}

#[test]
fn a_task_that_a_closed_runtime_refuses_leaves_its_clean_up_to_whoever_spawned_it() {
    everywhere(|| async {
        let closed = filch_tests::current();
        let handle = closed.handle().clone();
        closed.shutdown_background();
        let log = Log::new();
        scope(async |_| {
            let refused = handle.spawn(deferring(&log));
            assert!(refused.is_finished(), "it is dropped here");
            assert!(refused.await.unwrap_err().is_cancelled());
        })
        .await;
        assert_eq!(log.get(), ["cleaned up"]);
        // Where there is nobody to leave it to, it is dropped.
        let lost = deferring(&log);
        let refused = std::thread::spawn(move || handle.spawn(lost)).join().unwrap();
        assert!(refused.is_finished());
        assert_eq!(log.get(), ["cleaned up"]);
    });
}

#[test]
fn a_spawn_outside_of_a_runtime_panics_and_leaves_the_group_alone() {
    within(|| {
        filch_tests::multi(2).block_on(async {
            let outcome: Outcome<()> = filch::group(async |group| {
                let outside = group.clone();
                let thread = std::thread::spawn(move || outside.spawn(async { Ok(()) }));
                assert!(thread.join().is_err());
                assert_eq!(group.len(), 0);
                Ok(())
            })
            .await;
            outcome.unwrap();
        });
    });
}

#[test]
fn a_start_that_comes_too_late_says_so() {
    everywhere(|| async {
        let kept = Mutex::new(None);
        let outcome: Outcome<()> = filch::group(async |group| {
            *kept.lock().unwrap() = Some(group.clone());
            Ok(())
        })
        .await;
        outcome.unwrap();
        let group: Group<Wrong> = kept.into_inner().unwrap().unwrap();
        let late = filch::spawn(async move { group.start::<(), _, _>(async |_| pending().await).await });
        let error = late.await.unwrap_err();
        assert!(error.to_string().contains("group"), "{error}");
    });
}

#[test]
fn a_start_from_elsewhere_does_not_outlive_the_groups_cancel() {
    everywhere(|| async {
        // In a shield the cancel of the group does not reach whoever waits; in another task neither.
        let outcome: Outcome<()> = filch::group(async |group| {
            let elsewhere = group.clone();
            let other = filch::spawn(async move { elsewhere.start::<(), _, _>(async |_| pending().await).await });
            task::yield_now().await;
            while group.is_empty() {
                task::yield_now().await;
            }
            group.cancel();
            let error = filch::shield(other).await.unwrap_err();
            assert!(error.to_string().contains("cancelled"), "{error}");
            Ok(())
        })
        .await;
        outcome.unwrap();
    });
}

/// A waker that does something when it is woken, and when it is cloned.
struct Evil {
    woken: fn(),
}

impl Wake for Evil {
    fn wake(self: Arc<Self>) {
        (self.woken)();
    }
}

#[test]
fn a_waker_that_panics_stops_no_child() {
    everywhere(|| async {
        let outcome: Outcome<()> = filch::group(async |group| {
            for sets in [true, false] {
                let evil = Waker::from(Arc::new(Evil {
                    woken: || panic!("a waker's panic"),
                }));
                let (go, goes) = filch::sync::oneshot::channel();
                let mut start = Box::pin(group.start(async move |started| {
                    goes.await.unwrap();
                    if sets {
                        started.set(());
                    }
                    Ok(())
                }));
                assert!(start.as_mut().poll(&mut Context::from_waker(&evil)).is_pending());
                go.send(()).unwrap();
                while !group.is_empty() {
                    task::yield_now().await;
                }
                if sets {
                    assert_eq!(start.await, Ok(()));
                }
            }
            Ok(())
        })
        .await;
        outcome.unwrap();
    });
}

#[test]
fn the_end_of_a_deep_tree_is_no_deep_recursion() {
    within(|| {
        fn deeper(
            depth: usize,
            last: filch::sync::oneshot::Sender<Group<()>>,
        ) -> Pin<Box<dyn Future<Output = Result<(), ()>> + Send>> {
            Box::pin(async move {
                let (inner_last, send) = match depth {
                    0 => (None, Some(last)),
                    _ => (Some(last), None),
                };
                let outcome = filch::group(async |group| {
                    if let Some(last) = send {
                        let _ = last.send(group.clone());
                    }
                    if let Some(last) = inner_last {
                        group.spawn(deeper(depth - 1, last));
                    }
                    Ok::<_, ()>(())
                });
                outcome.await.map_err(drop)
            })
        }
        filch_tests::multi(2).block_on(async {
            let (last, lasts) = filch::sync::oneshot::channel();
            filch::spawn(deeper(3000, last)).await.unwrap().unwrap();
            // It keeps all that is around it.
            let innermost = lasts.await.unwrap();
            let thread = std::thread::Builder::new().stack_size(64 << 10);
            thread.spawn(move || drop(innermost)).unwrap().join().unwrap();
        });
    });
}

#[test]
fn who_holds_a_scope_elsewhere_does_not_hold_it_for_ever() {
    everywhere(|| async {
        // The shield belongs to this task's scope, and is dropped by another.
        let ended = scope(async |outer| {
            let (give, takes) = filch::sync::oneshot::channel::<Pin<Box<dyn Future<Output = ()> + Send>>>();
            let (end, ends) = filch::sync::oneshot::channel::<()>();
            let other = filch::spawn(async move {
                let shielded = takes.await.unwrap();
                ends.await.unwrap();
                drop(shielded);
            });
            let mut shielded: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(filch::shield(pending()));
            assert!(filch_tests::poll_once(pin!(&mut shielded)).await.is_pending());
            give.send(shielded).ok().unwrap();
            let stop = outer.clone();
            filch::spawn(async move {
                stop.cancel();
                sleep(ms(5)).await;
                end.send(()).unwrap();
                other.await.unwrap();
            });
            pending::<()>().await;
        });
        assert_eq!(ended.await, None);
    });
}

#[test]
fn a_hundred_thousand_clean_ups_let_others_run() {
    filch_tests::beside_another(|turn| async move {
        let count = Arc::new(AtomicUsize::new(0));
        let at_turn = Arc::new(AtomicUsize::new(0));
        scope(async |_| {
            for _ in 0..100_000 {
                let (count, at_turn, turn) = (count.clone(), at_turn.clone(), turn.clone());
                drop(filch::defer(async move {
                    let n = count.fetch_add(1, Ordering::Relaxed);
                    if !turn.load(Ordering::SeqCst) {
                        at_turn.store(n, Ordering::Relaxed);
                    }
                }));
            }
        })
        .await;
        assert_eq!(count.load(Ordering::Relaxed), 100_000, "each ran");
        assert!(
            at_turn.load(Ordering::Relaxed) < 10_000,
            "the other task waited for {at_turn:?} of them"
        );
    });
}

#[test]
fn a_local_set_that_is_dropped_outside_of_every_runtime_has_cancelled_its_tasks() {
    within(|| {
        let runtime = filch_tests::multi(1);
        let set = task::LocalSet::new();
        let log = Log::new();
        let said = log.clone();
        let task = Mutex::new(None);
        runtime.block_on(set.run_until(async {
            let (begun, begins) = filch::sync::oneshot::channel();
            *task.lock().unwrap() = Some(task::spawn_local(async move {
                let ready = said.clone();
                let _last = filch::defer(async move {
                    sleep(ms(1)).await;
                    said.push("never");
                });
                let _first = filch::defer(async move { ready.push("ready at once") });
                begun.send(()).unwrap();
                pending::<()>().await;
            }));
            begins.await.unwrap();
        }));
        drop(set);
        let task = task.into_inner().unwrap().unwrap();
        assert!(runtime.block_on(task).unwrap_err().is_cancelled());
        assert!(!log.get().contains(&"never"));
    });
}

#[test]
fn a_shield_in_a_clean_up_does_not_keep_the_body() {
    everywhere(|| async {
        let (held, is_gone) = filch::sync::oneshot::channel::<()>();
        let begin = Instant::now();
        let ended = scope(async |scope| {
            let _held = held;
            drop(filch::defer(async move {
                // It ends when the body is dropped.
                filch::shield(async { assert!(is_gone.await.is_err()) }).await;
            }));
            task::yield_now().await;
            scope.cancel();
            pending::<()>().await;
        });
        let ended = filch::time::timeout(ms(100), ended).await;
        assert_eq!(ended, Ok(None));
        assert!(begin.elapsed() < ms(50));
    });
}

/// Polls a future only when its own waker was woken, as `FuturesUnordered` does.
struct WhenWoken<F> {
    future: Pin<Box<F>>,
    flag: Arc<Flag>,
}

struct Flag {
    woken: AtomicBool,
    outer: Mutex<Waker>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        let outer = self.outer.lock().unwrap().clone();
        outer.wake();
    }
}

impl<F: Future> WhenWoken<F> {
    fn new(future: F) -> Self {
        let flag = Flag {
            woken: AtomicBool::new(true),
            outer: Mutex::new(Waker::noop().clone()),
        };
        Self {
            future: Box::pin(future),
            flag: Arc::new(flag),
        }
    }
}

impl<F: Future> Future for WhenWoken<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.flag.outer.lock().unwrap().clone_from(cx.waker());
        if !self.flag.woken.swap(false, Ordering::SeqCst) {
            return Poll::Pending;
        }
        let waker = Waker::from(self.flag.clone());
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

#[test]
fn a_cancel_that_is_taken_back_wakes_what_has_stopped_already() {
    everywhere(|| async {
        let task = filch::spawn(async {
            let me = task::current().unwrap();
            let mut stopped = pin!(WhenWoken::new(scope(async |_| pending::<()>().await)));
            assert!(filch_tests::poll_once(stopped.as_mut()).await.is_pending());
            // Within one poll of the task: the cancel stops the scope, and is taken back.
            me.cancel();
            assert!(filch_tests::poll_once(stopped.as_mut()).await.is_pending());
            assert_eq!(me.uncancel(), 0);
            stopped.await
        });
        let ended = filch::time::timeout(ms(1000), task).await.expect("it does not hang");
        assert_eq!(ended.unwrap(), None);
    });
}

#[test]
fn the_end_of_a_runtime_waits_for_clean_ups_that_sleep() {
    for paused in [true, false] {
        for kind in ["current", "multi", "seed"] {
            let log = Log::new();
            let inside = log.clone();
            within(move || {
                let mut builder = match kind {
                    "current" => filch::runtime::Builder::new_current_thread(),
                    _ => filch::runtime::Builder::new_multi_thread(),
                };
                builder.worker_threads(if kind == "current" { 1 } else { 2 });
                match kind {
                    "seed" => builder.deterministic(1),
                    _ => builder.start_paused(paused),
                };
                let runtime = builder.build().unwrap();
                runtime.block_on(async {
                    begun(|begun| async move {
                        let endless = inside.clone();
                        let _second = filch::defer(async move {
                            let _dropped = OnDrop(move || endless.push("out of time"));
                            pending().await
                        })
                        .within(ms(5));
                        let _first = filch::defer(async move {
                            sleep(ms(5)).await;
                            inside.push("slept");
                        });
                        begun.send(()).unwrap();
                        pending::<()>().await;
                    })
                    .await;
                });
                drop(runtime);
            });
            assert_eq!(log.get(), ["slept", "out of time"], "{kind}, paused: {paused}");
        }
    }
}

#[test]
fn a_runtime_that_is_to_wait_for_nothing_waits_for_no_clean_up() {
    within(|| {
        for kind in ["current", "multi"] {
            let (end, ended) = std::sync::mpsc::channel::<()>();
            let runtime = match kind {
                "current" => filch_tests::current(),
                _ => filch_tests::multi(2),
            };
            runtime.block_on(async {
                begun(|begun| async move {
                    let _end = end;
                    let _cleanup = filch::defer(pending()).within(Duration::MAX);
                    begun.send(()).unwrap();
                    pending::<()>().await;
                })
                .await;
            });
            runtime.shutdown_background();
            assert!(ended.recv().is_err(), "{kind}: the body was dropped");
        }
    });
}

#[test]
fn clean_ups_within_clean_ups() {
    everywhere(|| async {
        let log = Log::new();
        let inside = log.clone();
        let task = begun(|begun| async move {
            let _cleanup = filch::defer(async move {
                let said = inside.clone();
                let _inner = filch::defer(async move {
                    sleep(ms(1)).await;
                    said.push("inner");
                });
                let cut = filch::move_on_after(ms(2), async |_| pending::<()>().await).await;
                assert_eq!(cut, None);
                let outcome: Outcome<u8> = filch::group(async |group| {
                    let child = group.spawn(async {
                        sleep(ms(1)).await;
                        Ok(1)
                    });
                    let failing = group.spawn(async { Ok(2) });
                    Ok(child.await.unwrap() + failing.await.unwrap())
                })
                .await;
                assert_eq!(outcome.unwrap(), 3);
                let failed: Outcome<()> = filch::group(async |group| {
                    group.spawn(async { Err::<(), _>(Wrong) });
                    pending().await
                })
                .await;
                assert!(matches!(failed.unwrap_err().first(), Some(Failure::Error(Wrong))));
                inside.push("outer");
            });
            begun.send(()).unwrap();
            pending::<()>().await;
        })
        .await;
        task.abort();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.get(), ["outer", "inner"]);
    });
}

#[test]
fn a_clean_up_cancels_its_own_scope() {
    everywhere(|| async {
        let log = Log::new();
        let ended = scope(async |scope| {
            let _dropped = OnDrop(|| log.push("dropped"));
            let stop = scope.clone();
            let said = log.clone();
            drop(filch::defer(async move {
                task::yield_now().await;
                assert!(stop.cancel_with("by a clean-up"));
                sleep(ms(1)).await;
                said.push("cleaned up");
            }));
            pending::<()>().await;
        });
        assert_eq!(ended.await, None);
        assert_eq!(log.get(), ["dropped", "cleaned up"]);
    });
}

#[test]
fn limits_that_no_clock_reaches() {
    everywhere(|| async {
        for limit in [
            Duration::MAX,
            Duration::from_secs(u64::MAX / 4),
            Duration::from_secs(1 << 60),
        ] {
            assert_eq!(
                filch::move_on_after(limit, async |_| sleep(ms(1)).await).await,
                Some(())
            );
            drop(filch::defer(sleep(ms(1))).within(limit));
            let shielded = filch::shield(filch::fail_after(limit, async |_| task::yield_now().await));
            assert_eq!(shielded.await, Ok(()));
        }
    });
}

#[test]
fn what_is_kept_beyond_its_task_does_no_harm() {
    everywhere(|| async {
        let log = Log::new();
        let said = log.clone();
        let (guard, kept, group) = filch::spawn(async move {
            let guard = filch::defer(async move { said.push("never") });
            let kept = Mutex::new(None);
            scope(async |scope| *kept.lock().unwrap() = Some(scope.clone())).await;
            let group = Mutex::new(None);
            let outcome: Outcome<()> = filch::group(async |inner| {
                *group.lock().unwrap() = Some(inner.clone());
                Ok(())
            })
            .await;
            outcome.unwrap();
            (
                guard,
                kept.into_inner().unwrap().unwrap(),
                group.into_inner().unwrap().unwrap(),
            )
        })
        .await
        .unwrap();
        drop(guard);
        assert!(!kept.cancel() && !kept.is_cancelled());
        kept.set_deadline(Some(Instant::now()));
        assert!(!group.cancel() && group.is_empty());
        assert!(group.spawn(async { Ok(()) }).await.unwrap_err().is_cancelled());
        sleep(ms(1)).await;
        assert!(log.get().is_empty(), "nobody is left to run it");
    });
}

#[test]
fn a_deadline_moves_while_it_fires() {
    within(|| {
        filch_tests::multi(2).block_on(async {
            for round in 0..500 {
                let outcome = filch::move_on_after(Duration::from_micros(round), async |scope| {
                    let mover = scope.clone();
                    let thread = std::thread::spawn(move || {
                        for n in 0..50 {
                            mover.set_deadline((n % 2 == 0).then(|| Instant::now() + Duration::from_micros(20)));
                        }
                        mover.set_deadline(Some(Instant::now()));
                    });
                    let _join = OnDrop({
                        let mut thread = Some(thread);
                        move || thread.take().unwrap().join().unwrap()
                    });
                    pending::<()>().await;
                })
                .await;
                assert_eq!(outcome, None);
            }
        });
    });
}

#[test]
fn spawns_beside_the_groups_end() {
    within(|| {
        filch_tests::multi(2).block_on(async {
            for _ in 0..500 {
                let (ran, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
                let handle = filch::runtime::Handle::current();
                let mut thread = None;
                let outcome: Outcome<()> = filch::group(async |group| {
                    let group = group.clone();
                    let (ran, refused) = (ran.clone(), refused.clone());
                    thread = Some(std::thread::spawn(move || {
                        let _inside = handle.enter();
                        let mut children = Vec::new();
                        for _ in 0..20 {
                            let ran = ran.clone();
                            children.push(group.spawn(async move {
                                task::yield_now().await;
                                ran.fetch_add(1, Ordering::SeqCst);
                                Ok(())
                            }));
                        }
                        for child in children {
                            if handle.block_on(child).is_err() {
                                refused.fetch_add(1, Ordering::SeqCst);
                            }
                        }
                    }));
                    Ok(())
                })
                .await;
                outcome.unwrap();
                let at_end = ran.load(Ordering::SeqCst);
                task::spawn_blocking(move || thread.unwrap().join().unwrap())
                    .await
                    .unwrap();
                assert_eq!(ran.load(Ordering::SeqCst), at_end, "a child ran beyond its group");
                assert_eq!(at_end + refused.load(Ordering::SeqCst), 20);
            }
        });
    });
}

#[test]
fn a_scope_goes_from_task_to_task() {
    everywhere(|| async {
        let log = Log::new();
        let inside = log.clone();
        // Begun here, ended there; what it leaves is this scope's.
        let outer = scope(async |_| {
            let said = inside.clone();
            let mut moved = Box::pin(scope(async move |_| {
                let _cleanup = filch::defer(async move {
                    sleep(ms(1)).await;
                    said.push("cleaned up");
                });
                sleep(ms(1)).await;
                task::yield_now().await;
                7
            }));
            assert!(filch_tests::poll_once(pin!(&mut moved)).await.is_pending());
            filch::spawn(moved).await.unwrap()
        });
        assert_eq!(outer.await, Some(Some(7)));
        assert_eq!(log.get(), ["cleaned up"]);
    });
}

#[test]
fn a_body_that_never_waits_is_never_cut() {
    everywhere(|| async {
        let sum = filch::move_on_after(Duration::ZERO, async |scope| {
            scope.cancel();
            (0..1000_u64).sum::<u64>()
        });
        assert_eq!(sum.await, Some(499_500));
    });
}

#[test]
fn a_cancel_comes_while_the_body_is_dropped() {
    everywhere(|| async {
        let log = Log::new();
        let inside = log.clone();
        let outcome = scope(async |outer| {
            let stop = outer.clone();
            let inner = scope(async |inner| {
                let said = inside.clone();
                let _last = OnDrop(move || {
                    // From within the destructor of what is cancelled: everything around.
                    stop.cancel();
                    let said = said.clone();
                    drop(filch::defer(async move {
                        task::yield_now().await;
                        said.push("cleaned up");
                    }));
                });
                inner.cancel();
                pending::<()>().await;
            });
            assert_eq!(inner.await, None);
            unreachable!("the outer scope is cancelled");
        });
        assert_eq!(outcome.await, None::<()>);
        assert_eq!(log.get(), ["cleaned up"]);
    });
}

#[test]
fn a_thousand_nested_groups() {
    fn nest(
        depth: usize,
        alive: Arc<AtomicUsize>,
    ) -> Pin<Box<dyn Future<Output = Result<usize, GroupError<()>>> + Send>> {
        Box::pin(async move {
            let outcome = filch::group(async |group| {
                alive.fetch_add(1, Ordering::Relaxed);
                let alive = alive.clone();
                let _gone = OnDrop({
                    let alive = alive.clone();
                    move || {
                        alive.fetch_sub(1, Ordering::Relaxed);
                    }
                });
                if depth == 0 {
                    return pending().await;
                }
                group
                    .spawn(async move { nest(depth - 1, alive).await.map_err(drop) })
                    .await
                    .map_err(drop)
            });
            outcome.await
        })
    }
    within(|| {
        filch_tests::multi(2).block_on(async {
            let alive = Arc::new(AtomicUsize::new(0));
            let count = alive.clone();
            let task = filch::spawn(nest(1000, alive.clone()));
            while count.load(Ordering::Relaxed) < 1001 {
                sleep(ms(1)).await;
            }
            task.cancel();
            let _ = task.await;
            assert_eq!(alive.load(Ordering::Relaxed), 0);
        });
    });
}

#[test]
fn the_root_of_block_on_waits_for_its_clean_ups() {
    within(|| {
        for runtime in [filch_tests::multi(2), filch_tests::current(), filch_tests::paused()] {
            let log = Log::new();
            let said = log.clone();
            runtime.block_on(async {
                let _cleanup = filch::defer(async move {
                    sleep(ms(2)).await;
                    said.push("cleaned up");
                });
                task::yield_now().await;
            });
            assert_eq!(log.get(), ["cleaned up"]);
        }
    });
}

#[test]
fn a_foreign_executor_polls_a_scope() {
    let log = Log::new();
    let said = log.clone();
    let mut cx = Context::from_waker(Waker::noop());
    let mut body = pin!(scope(async |_| {
        drop(filch::defer(async move { said.push("cleaned up") }));
        poll_fn(|_| Poll::Ready(7)).await
    }));
    assert_eq!(body.as_mut().poll(&mut cx), Poll::Ready(Some(7)));
    assert_eq!(log.get(), ["cleaned up"]);
}

/// What a run leaves: a task whose shield waits for another leftover, blocks and spawns, and whose clean-up waits for a third; and a group in a lane.
#[test]
fn leftovers_that_need_each_other() {
    within(|| {
        let log = Log::new();
        let logs = log.clone();
        filch::run(async move {
            let told = filch::spawn(async {
                filch::cancelled().await;
                7
            });
            let waits = logs.clone();
            filch::spawn(async move {
                let never = filch::spawn(pending::<()>());
                let cleans = waits.clone();
                let _cleanup = filch::defer(async move {
                    let told = told.await.expect("it gives a value");
                    task::block_in_place(|| cleans.push(format!("cleaned up behind {told}")));
                });
                filch::shield(async {
                    sleep(ms(2)).await;
                    waits.push(format!("never: {}", never.await.is_err()));
                    waits.push(format!("blocking: {}", filch::blocking(|| 3).await));
                    waits.push(format!("refused: {}", filch::spawn(async {}).await.is_err()));
                })
                .await;
                pending::<()>().await;
            });
            let lane = filch::lane();
            lane.spawn(async move {
                let grouped = filch::group(async |group: &Group<Wrong>| {
                    let log = logs.clone();
                    group.spawn(async move {
                        filch::shield(sleep(ms(3))).await;
                        log.push("in a lane".to_string());
                        Ok(())
                    });
                    pending::<Result<(), Wrong>>().await
                });
                let _ = grouped.await;
            });
            sleep(ms(1)).await;
        });
        let mut log = log.get();
        log.sort();
        let expected = [
            "blocking: 3",
            "cleaned up behind 7",
            "in a lane",
            "never: true",
            "refused: true",
        ];
        assert_eq!(log, expected);
    });
}
