//! Cancel scopes: levels, deadlines, shields, clean-ups.

use filch::time::{Instant, sleep};
use filch::{scope, task};
use filch_tests::{begun, everywhere};
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<&'static str>>>);

impl Log {
    fn say(&self, what: &'static str) {
        self.0.lock().unwrap().push(what);
    }

    fn said(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().clone()
    }

    fn on_drop(&self, what: &'static str) -> OnDrop {
        OnDrop(self.clone(), what)
    }
}

struct OnDrop(Log, &'static str);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.say(self.1);
    }
}

#[test]
fn a_scope_gives_its_bodys_value() {
    everywhere(|| async {
        assert_eq!(scope(async |_| 7).await, Some(7));
        let slept = scope(async |scope| {
            sleep(ms(5)).await;
            assert!(!scope.is_cancelled());
            8
        });
        assert_eq!(slept.await, Some(8));
    });
}

#[test]
fn a_deadline_ends_the_body_where_it_waits() {
    everywhere(|| async {
        let log = Log::default();
        let begin = Instant::now();
        let ended = filch::move_on_after(ms(10), async |scope| {
            let _dropped = log.on_drop("dropped");
            assert_eq!(scope.deadline(), Some(begin + ms(10)));
            sleep(ms(1000)).await;
            log.say("never");
        });
        assert_eq!(ended.await, None);
        assert_eq!(log.said(), ["dropped"]);
        assert!(begin.elapsed() < ms(12), "{:?}", begin.elapsed());
    });
}

#[test]
fn a_deadline_in_the_past_lets_the_body_begin() {
    everywhere(|| async {
        let log = Log::default();
        let ended = filch::move_on_after(Duration::ZERO, async |_| {
            log.say("begun");
            task::yield_now().await;
            log.say("never");
        });
        assert_eq!(ended.await, None);
        assert_eq!(log.said(), ["begun"]);
        assert_eq!(filch::fail_after(Duration::ZERO, async |_| 7).await, Ok(7));
    });
}

#[test]
fn a_deadline_can_be_moved() {
    everywhere(|| async {
        let begin = Instant::now();
        let ended = filch::move_on_after(ms(10), async |scope| {
            scope.set_deadline(Some(Instant::now() + ms(50)));
            sleep(ms(30)).await;
            scope.set_deadline(None);
            sleep(ms(100)).await;
            scope.set_deadline(Some(Instant::now()));
            sleep(ms(1)).await;
            unreachable!("the deadline is now");
        });
        let ended: Option<()> = ended.await;
        assert_eq!(ended, None);
        assert!(begin.elapsed() >= ms(130) && begin.elapsed() < ms(132));
    });
}

#[test]
fn a_clone_cancels_from_anywhere_and_says_why() {
    everywhere(|| async {
        let log = Log::default();
        let outcome = scope(async |scope| {
            let stop = scope.clone();
            let canceller = filch::spawn(async move {
                assert!(stop.cancel_with("enough"));
                assert!(!stop.cancel(), "it is cancelled already");
                stop.reason().unwrap()
            });
            let _dropped = log.on_drop("dropped");
            let reason = filch::cancelled().await;
            assert_eq!(reason.text(), Some("enough"));
            assert_eq!(reason.kind(), scope::ReasonKind::Requested);
            assert!(reason.by().is_some());
            log.say("heard");
            drop(canceller);
            pending::<()>().await;
        });
        assert_eq!(outcome.await, None);
        assert_eq!(log.said(), ["heard", "dropped"]);
    });
}

#[test]
fn a_value_that_is_there_beats_the_cancel() {
    everywhere(|| async {
        let outcome = scope(async |scope| {
            let (sender, receiver) = filch::sync::oneshot::channel();
            sender.send(7).unwrap();
            scope.cancel();
            // Ready at once, so this is no place where it could be cancelled.
            receiver.await.unwrap()
        });
        assert_eq!(outcome.await, Some(7));
        // Woken with a value and cancelled by another task in one go.
        let outcome = scope(async |scope| {
            let (sender, receiver) = filch::sync::oneshot::channel();
            let stop = scope.clone();
            filch::spawn(async move {
                sender.send(8).unwrap();
                stop.cancel();
            });
            let value = receiver.await.unwrap();
            assert_eq!(value, 8);
            value
        });
        assert_eq!(outcome.await, Some(8));
    });
}

#[test]
fn a_cancel_is_a_level() {
    everywhere(|| async {
        let log = Log::default();
        let inside = log.clone();
        let task = begun(|begun| async move {
            begun.send(()).unwrap();
            filch::cancelled().await;
            inside.say("ignored once");
            task::yield_now().await;
            inside.say("never");
        })
        .await;
        assert!(task.cancel());
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.said(), ["ignored once"]);
    });
}

#[test]
fn who_cancels_itself_ends_at_its_next_wait() {
    everywhere(|| async {
        for yields in [true, false] {
            let log = Log::default();
            let inside = log.clone();
            let task = filch::spawn(async move {
                task::current().unwrap().cancel();
                inside.say("goes on");
                match yields {
                    true => task::yield_now().await,
                    false => sleep(Duration::from_secs(100)).await,
                }
                inside.say("never");
            });
            assert!(task.await.unwrap_err().is_cancelled());
            assert_eq!(log.said(), ["goes on"]);
        }
    });
}

#[test]
fn a_cancel_from_around_goes_through_what_is_inside() {
    everywhere(|| async {
        let log = Log::default();
        let outer = filch::move_on_after(ms(5), async |_| {
            let _outer = log.on_drop("outer body dropped");
            let inner = scope(async |_| {
                let _inner = log.on_drop("inner body dropped");
                let said = log.clone();
                let _cleanup = filch::defer(async move {
                    sleep(ms(3)).await;
                    said.say("inner cleaned up");
                });
                pending::<()>().await;
            })
            .await;
            log.say("never");
            inner
        });
        assert_eq!(outer.await, None);
        assert_eq!(
            log.said(),
            ["inner body dropped", "inner cleaned up", "outer body dropped"]
        );
    });
}

#[test]
fn of_two_deadlines_at_once_the_outer_one_counts() {
    everywhere(|| async {
        let deadline = Instant::now() + ms(5);
        let log = Log::default();
        let outer = filch::move_on_at(deadline, async |_| {
            let inner = filch::fail_at(deadline, async |_| sleep(ms(100)).await).await;
            log.say("never");
            inner
        });
        assert_eq!(outer.await, None);
        assert!(log.said().is_empty());
    });
}

#[test]
fn an_inner_deadline_is_the_inner_scopes_affair() {
    everywhere(|| async {
        let outer = filch::fail_after(ms(50), async |_| {
            let inner = filch::move_on_after(ms(5), async |_| sleep(ms(100)).await);
            assert_eq!(inner.await, None);
            sleep(ms(10)).await;
            "went on"
        });
        assert_eq!(outer.await, Ok("went on"));
    });
}

#[test]
fn a_deadline_is_inherited_up_to_a_shield() {
    everywhere(|| async {
        assert_eq!(filch::deadline(), None);
        let begin = Instant::now();
        filch::move_on_after(ms(50), async |_| {
            filch::move_on_after(ms(80), async |_| {
                assert_eq!(filch::deadline(), Some(begin + ms(50)));
                filch::shield(async { assert_eq!(filch::deadline(), None) }).await;
                filch::move_on_after(ms(20), async |_| {
                    assert_eq!(filch::deadline(), Some(begin + ms(20)));
                    let child = filch::group(async |group| {
                        let asked = group.spawn(async { Ok::<_, ()>(filch::deadline()) });
                        let job = task::spawn_blocking(filch::deadline);
                        Ok((asked.await.unwrap(), job.await.unwrap()))
                    });
                    let (child, job) = child.await.unwrap();
                    assert_eq!(child, Some(begin + ms(20)));
                    assert_eq!(job, Some(begin + ms(20)));
                    assert_eq!(filch::spawn(async { filch::deadline() }).await.unwrap(), None);
                })
                .await
            })
            .await
        })
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    });
}

#[test]
fn a_shield_is_waited_for() {
    everywhere(|| async {
        let log = Log::default();
        let begin = Instant::now();
        let outcome = filch::move_on_after(ms(5), async |_| {
            filch::shield(async {
                sleep(ms(20)).await;
                log.say("shielded");
            })
            .await;
            log.say("goes on to its next wait");
            task::yield_now().await;
            log.say("never");
        });
        assert_eq!(outcome.await, None);
        assert_eq!(log.said(), ["shielded", "goes on to its next wait"]);
        assert!(begin.elapsed() >= ms(20));
    });
}

#[test]
fn inside_a_shield_its_own_scopes_work() {
    everywhere(|| async {
        let outcome = scope(async |scope| {
            scope.cancel();
            filch::shield(filch::move_on_after(ms(5), async |_| pending::<()>().await)).await
        });
        assert_eq!(outcome.await, Some(None));
    });
}

#[test]
fn clean_ups_run_in_the_order_of_their_guards_drops() {
    everywhere(|| async {
        let log = Log::default();
        let inside = log.clone();
        let task = begun(|begun| async move {
            let (one, two) = (inside.clone(), inside.clone());
            let _first = filch::defer(async move {
                sleep(ms(1)).await;
                one.say("first");
            });
            let _second = filch::defer(async move {
                sleep(ms(5)).await;
                two.say("second");
            });
            begun.send(()).unwrap();
            pending::<()>().await;
        })
        .await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.said(), ["second", "first"], "and before the handle has its outcome");
    });
}

#[test]
fn a_clean_up_runs_beside_the_body_that_goes_on() {
    everywhere(|| async {
        let (done, is_done) = filch::sync::oneshot::channel();
        let task = filch::spawn(async move {
            drop(filch::defer(async move {
                sleep(ms(1)).await;
                done.send(()).unwrap();
            }));
            is_done.await.unwrap();
            7
        });
        assert_eq!(task.await.unwrap(), 7);
        // The same in `block_on`'s own future, and in a scope.
        let (done, is_done) = filch::sync::oneshot::channel();
        drop(filch::defer(async move {
            sleep(ms(1)).await;
            done.send(()).unwrap();
        }));
        is_done.await.unwrap();
    });
}

#[test]
fn a_clean_up_has_a_time_limit() {
    everywhere(|| async {
        let log = Log::default();
        let begin = Instant::now();
        let inside = log.clone();
        let ended = scope(async |_| {
            let (slow, quick) = (inside.clone(), inside.clone());
            let _quick = filch::defer(async move { quick.say("the next one") });
            let dropped = inside.on_drop("dropped");
            let _slow = filch::defer(async move {
                let _dropped = dropped;
                pending::<()>().await;
                slow.say("never");
            })
            .within(ms(10));
        });
        assert_eq!(ended.await, Some(()));
        assert_eq!(log.said(), ["dropped", "the next one"]);
        assert!(begin.elapsed() >= ms(10) && begin.elapsed() < ms(12));
        let begin = Instant::now();
        scope(async |_| drop(filch::defer(pending()))).await;
        assert!(begin.elapsed() >= scope::DEFAULT_CLEANUP && begin.elapsed() < scope::DEFAULT_CLEANUP + ms(2));
    });
}

#[test]
fn nothing_cancels_a_clean_up() {
    everywhere(|| async {
        let log = Log::default();
        let inside = log.clone();
        let task = begun(|begun| async move {
            let _cleanup = filch::defer(async move {
                assert!(filch::deadline().is_some(), "its own");
                assert!(!scope::is_cancelled());
                sleep(ms(5)).await;
                inside.say("cleaned up");
            });
            begun.send(()).unwrap();
            pending::<()>().await;
        })
        .await;
        let again = task.task();
        task.cancel();
        let waits = filch::spawn(async move { task.await.unwrap_err().is_cancelled() });
        for _ in 0..3 {
            sleep(ms(1)).await;
            again.abort();
            again.cancel();
        }
        assert!(waits.await.unwrap());
        assert_eq!(log.said(), ["cleaned up"]);
    });
}

#[test]
fn a_disarmed_clean_up_never_runs() {
    everywhere(|| async {
        let log = Log::default();
        let inside = log.clone();
        scope(async |_| filch::defer(async move { inside.say("never") }).disarm()).await;
        assert!(log.said().is_empty());
    });
}

#[test]
fn a_scope_that_is_merely_dropped_leaves_its_clean_ups_to_the_one_around_it() {
    everywhere(|| async {
        let log = Log::default();
        let outer = scope(async |_| {
            let said = log.clone();
            let inner = scope(async |_| {
                let _cleanup = filch::defer(async move {
                    sleep(ms(5)).await;
                    said.say("cleaned up");
                });
                pending::<()>().await;
            });
            assert!(filch::time::timeout(ms(1), inner).await.is_err());
            log.say("the outer body is done");
        });
        outer.await;
        assert_eq!(log.said(), ["the outer body is done", "cleaned up"]);
        // With no scope around it, the task.
        let inside = log.clone();
        let task = filch::spawn(async move {
            let inner = scope(async |_| {
                let _cleanup = filch::defer(async move {
                    sleep(ms(5)).await;
                    inside.say("by the task");
                });
                pending::<()>().await;
            });
            assert!(filch::time::timeout(ms(1), inner).await.is_err());
            7
        });
        assert_eq!(task.await.unwrap(), 7);
        assert_eq!(log.said()[2..], ["by the task"]);
    });
}

#[test]
fn a_panic_waits_for_the_clean_ups() {
    everywhere(|| async {
        let log = Log::default();
        let inside = log.clone();
        let task = filch::spawn(async move {
            scope(async |_| {
                let said = inside.clone();
                let _cleanup = filch::defer(async move {
                    sleep(ms(1)).await;
                    said.say("cleaned up");
                });
                if true {
                    std::panic::panic_any(7_u8);
                }
            })
            .await
        });
        let payload = task.await.unwrap_err().into_panic();
        assert_eq!(payload.downcast_ref::<u8>(), Some(&7));
        assert_eq!(log.said(), ["cleaned up"]);
    });
}

#[test]
fn a_panic_of_a_clean_up_comes_out_at_the_end() {
    everywhere(|| async {
        let log = Log::default();
        let inside = log.clone();
        let task = filch::spawn(async move {
            let _second = filch::defer(async move { inside.say("runs all the same") });
            let _first = filch::defer(async { std::panic::panic_any(7_u8) });
        });
        let payload = task.await.unwrap_err().into_panic();
        assert_eq!(payload.downcast_ref::<u8>(), Some(&7));
        assert_eq!(log.said(), ["runs all the same"]);
    });
}

#[test]
fn a_task_that_was_not_started_is_never_entered() {
    everywhere(|| async {
        let entered = Arc::new(AtomicUsize::new(0));
        let outcome = scope(async |_| {
            // The one worker that could start it is busy here, or the task has run: both are fine, but not both at once.
            let inside = entered.clone();
            let task = filch::spawn(async move {
                inside.fetch_add(1, Ordering::Relaxed);
                pending::<()>().await;
            });
            task.cancel_with("too early");
            task.await.unwrap_err()
        });
        let error = outcome.await.unwrap();
        assert_eq!(error.reason().unwrap().text(), Some("too early"));
    });
    let runtime = filch_tests::current();
    runtime.block_on(async {
        let task = filch::spawn(async { unreachable!("it was cancelled first") });
        task.cancel();
        let outcome: Result<(), task::JoinError> = task.await;
        assert!(outcome.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_cancel_that_is_taken_back_in_time_has_no_effect() {
    everywhere(|| async {
        let task = filch::spawn(async {
            let me = task::current().unwrap();
            me.cancel();
            assert_eq!(me.cancelling(), 1);
            me.cancel();
            assert_eq!(me.uncancel(), 1);
            assert_eq!(me.uncancel(), 0);
            sleep(ms(1)).await;
            assert!(filch::checkpoint().await.is_ok());
            42
        });
        assert_eq!(task.await.unwrap(), 42);
    });
}

#[test]
fn a_checkpoint_says_that_it_is_over() {
    everywhere(|| async {
        let task = begun(|begun| async move {
            begun.send(()).unwrap();
            let mut rounds = 0_u32;
            loop {
                if let Err(cancelled) = filch::checkpoint().await {
                    return (rounds, cancelled.reason().text().map(String::from));
                }
                rounds += 1;
            }
        })
        .await;
        task.cancel_with("stop");
        let (_, text) = task.await.unwrap();
        assert_eq!(text.as_deref(), Some("stop"));
    });
}

#[test]
fn abort_ends_a_task_inside_a_shield() {
    everywhere(|| async {
        let log = Log::default();
        let inside = log.clone();
        let task = begun(|begun| async move {
            let _dropped = inside.on_drop("dropped");
            begun.send(()).unwrap();
            filch::shield(pending::<()>()).await;
        })
        .await;
        task.cancel();
        sleep(ms(5)).await;
        assert!(!task.is_finished(), "a shield holds off a cancel");
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.said(), ["dropped"]);
    });
}

#[test]
fn names_and_places() {
    everywhere(|| async {
        let task = filch::spawn(async {
            let me = task::current().unwrap();
            assert_eq!(me.id(), task::id());
            me.set_name("the one");
            me.name()
        });
        assert!(task.location().file().ends_with("scope.rs"));
        assert_eq!(task.await.unwrap().as_deref(), Some("the one"));
        assert!(task::current().is_none(), "block_on's own future is no task");
    });
}

#[test]
fn the_end_of_the_runtime_waits_for_clean_ups() {
    for workers in [0, 1, 2, 4, 8] {
        let log = Log::default();
        let inside = log.clone();
        filch_tests::within(move || {
            let mut builder = match workers {
                0 => filch::runtime::Builder::new_current_thread(),
                _ => filch::runtime::Builder::new_multi_thread(),
            };
            let runtime = builder
                .worker_threads(workers.max(1))
                .start_paused(true)
                .build()
                .unwrap();
            runtime.block_on(async {
                let lane = filch::lane();
                for in_lane in [false, true] {
                    let (begun, begins) = filch::sync::oneshot::channel();
                    let inside = inside.clone();
                    let body = async move {
                        let _cleanup = filch::defer(async move {
                            task::yield_now().await;
                            inside.say(if in_lane { "lane" } else { "task" });
                        });
                        begun.send(()).unwrap();
                        pending::<()>().await;
                    };
                    match in_lane {
                        true => lane.spawn(body),
                        false => filch::spawn(body),
                    };
                    begins.await.unwrap();
                }
            });
            drop(runtime);
        });
        let mut said = log.said();
        said.sort_unstable();
        assert_eq!(said, ["lane", "task"], "{workers} workers");
    }
}

#[test]
fn a_lane_runs_its_tasks_clean_ups() {
    everywhere(|| async {
        let lane = filch::lane();
        let log = Log::default();
        let (begun, begins) = filch::sync::oneshot::channel();
        let inside = log.clone();
        let task = lane.spawn(async move {
            let said = inside.clone();
            let _cleanup = filch::defer(async move {
                sleep(ms(1)).await;
                said.say("cleaned up");
            });
            begun.send(()).unwrap();
            pending::<()>().await;
        });
        begins.await.unwrap();
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.said(), ["cleaned up"]);
    });
}

#[test]
fn a_local_set_that_is_dropped_leaves_its_clean_ups_to_whoever_drops_it() {
    everywhere(|| async {
        let log = Log::default();
        let inside = log.clone();
        scope(async |_| {
            let set = task::LocalSet::new();
            set.run_until(async {
                let (begun, begins) = filch::sync::oneshot::channel();
                task::spawn_local(async move {
                    let _cleanup = filch::defer(async move {
                        sleep(ms(1)).await;
                        inside.say("cleaned up");
                    });
                    begun.send(()).unwrap();
                    pending::<()>().await;
                });
                begins.await.unwrap();
            })
            .await;
            drop(set);
        })
        .await;
        assert_eq!(log.said(), ["cleaned up"]);
    });
}

filch::task_local! {
    static NUMBER: u32;
    static NAME: String;
}

#[test]
fn values_are_inherited() {
    everywhere(|| async {
        assert!(NUMBER.try_get().is_err());
        NUMBER
            .scope(7, async {
                assert_eq!(NUMBER.get(), 7);
                let seen = filch::spawn(async {
                    let before = NUMBER.get();
                    NUMBER.set(8);
                    let deeper = filch::spawn(async { NUMBER.get() }).await.unwrap();
                    let job = task::spawn_blocking(|| NUMBER.get()).await.unwrap();
                    let in_lane = filch::lane().spawn(async { NUMBER.get() }).await.unwrap();
                    (before, deeper, job, in_lane, NAME.try_get().is_err())
                });
                assert_eq!(seen.await.unwrap(), (7, 8, 8, 8, true));
                assert_eq!(NUMBER.get(), 7, "a task's own changes are its own");
                let child = filch::group(async |group| {
                    let child = NAME.sync_scope("n".into(), || {
                        group.spawn(async { Ok::<_, ()>((NUMBER.get(), NAME.get())) })
                    });
                    Ok(child.await.unwrap())
                });
                assert_eq!(child.await.unwrap(), (7, "n".to_string()));
            })
            .await;
        assert!(NUMBER.try_get().is_err());
        assert!(filch::spawn(async { NUMBER.try_get().is_err() }).await.unwrap());
    });
}

/// An async block that awaits what it has captured has room for it twice, and so doubles with each layer.
#[test]
fn layers_have_no_room_for_their_body_twice() {
    async fn body() -> u8 {
        let kept = std::hint::black_box([1; 4096]);
        task::yield_now().await;
        std::hint::black_box(&kept)[7]
    }
    const LAYER: usize = 256;
    let limit = Duration::from_secs(1);
    let plain = size_of_val(&body());
    assert!(plain < 4096 + LAYER, "{plain}");
    for layered in [
        size_of_val(&filch::shield(body())),
        size_of_val(&filch::wait_for(limit, body())),
        size_of_val(&scope(async |_| body().await)),
        size_of_val(&filch::move_on_after(limit, async |_| body().await)),
        size_of_val(&filch::fail_after(limit, async |_| body().await)),
        size_of_val(&filch::group(async |_| Ok::<_, String>(body().await))),
    ] {
        assert!(layered < plain + LAYER, "{layered}, the body alone {plain}");
    }
}
