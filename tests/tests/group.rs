//! Groups: no child outlives them, and no error is lost.

use filch::group::{Failure, GroupError};
use filch::time::{Instant, sleep};
use filch::{scope, task};
use filch_tests::everywhere;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Wrong(u32);

type Log = Arc<Mutex<Vec<&'static str>>>;

struct OnDrop(Log, &'static str);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.lock().unwrap().push(self.1);
    }
}

fn errors(error: &GroupError<Wrong>) -> Vec<u32> {
    error.errors().map(|wrong| wrong.0).collect()
}

#[test]
fn children_run_in_parallel_and_are_waited_for() {
    everywhere(|| async {
        let begin = Instant::now();
        let done = Arc::new(AtomicUsize::new(0));
        let sum = filch::group(async |group| {
            for _ in 0..10 {
                let done = done.clone();
                group.spawn(async move {
                    sleep(ms(10)).await;
                    done.fetch_add(1, Ordering::Relaxed);
                    Ok::<_, Wrong>(())
                });
            }
            let value = group.spawn(async { Ok(7) });
            assert_eq!(group.len(), 11);
            Ok(value.await.unwrap())
        });
        assert_eq!(sum.await.unwrap(), 7);
        assert_eq!(done.load(Ordering::Relaxed), 10);
        assert!(begin.elapsed() >= ms(10) && begin.elapsed() < ms(12));
    });
}

#[test]
fn the_first_error_cancels_the_others_and_the_body() {
    everywhere(|| async {
        let log = Log::default();
        let begin = Instant::now();
        let failed = Mutex::new(None);
        let outcome = filch::group(async |group| {
            let inside = log.clone();
            group.spawn(async move {
                let _dropped = OnDrop(inside.clone(), "sibling dropped");
                let _cleanup = filch::defer(async move {
                    sleep(ms(5)).await;
                    inside.lock().unwrap().push("sibling cleaned up");
                });
                pending::<Result<(), _>>().await
            });
            let _dropped = OnDrop(log.clone(), "body dropped");
            *failed.lock().unwrap() = Some(group.spawn(async {
                sleep(ms(1)).await;
                Err::<(), _>(Wrong(1))
            }));
            pending::<Result<(), Wrong>>().await
        });
        let error = outcome.await.unwrap_err();
        let handle = failed.lock().unwrap().take().unwrap();
        assert!(handle.is_finished());
        let said = handle.await.unwrap_err();
        assert!(said.is_failed() && !said.is_cancelled());
        assert_eq!(errors(&error), [1]);
        assert_eq!(error.reason().unwrap().kind(), scope::ReasonKind::Failure);
        let mut said = log.lock().unwrap().clone();
        said.sort_unstable();
        assert_eq!(said, ["body dropped", "sibling cleaned up", "sibling dropped"]);
        assert!(begin.elapsed() >= ms(6), "the clean-up is waited for");
    });
}

#[test]
fn all_errors_are_collected() {
    everywhere(|| async {
        let outcome = filch::group(async |group| {
            for n in 1..=3 {
                group.spawn(async move {
                    // Errors come from clean-up as well: each hears of the cancel and fails.
                    if n > 1 {
                        filch::cancelled().await;
                    } else {
                        sleep(ms(1)).await;
                    }
                    Err::<(), _>(Wrong(n))
                });
            }
            filch::cancelled().await;
            Err::<(), _>(Wrong(4))
        });
        let error = outcome.await.unwrap_err();
        assert!(matches!(error.first(), Some(Failure::Error(Wrong(1)))));
        let mut all = errors(&error);
        all.sort_unstable();
        assert_eq!(all, [1, 2, 3, 4]);
    });
}

#[test]
fn a_panic_travels_like_an_error() {
    everywhere(|| async {
        let outcome = filch::group(async |group| {
            let handle = group.spawn(async {
                if true {
                    std::panic::panic_any(7_u8);
                }
                Ok::<_, Wrong>(())
            });
            assert!(handle.await.unwrap_err().is_failed());
            pending::<Result<(), _>>().await
        });
        let mut failures = outcome.await.unwrap_err().into_failures();
        let Some(Failure::Panic(panic)) = failures.pop() else {
            panic!("there is a panic")
        };
        assert_eq!(panic.into_payload().downcast_ref::<u8>(), Some(&7));
    });
}

#[test]
fn a_panic_of_the_body_waits_for_the_children() {
    everywhere(|| async {
        let log = Log::default();
        let inside = log.clone();
        let task = filch::spawn(async move {
            let _: Result<(), GroupError<Wrong>> = filch::group(async |group| {
                let dropped = OnDrop(inside, "child dropped");
                group.spawn(async move {
                    let _dropped = dropped;
                    pending::<Result<(), _>>().await
                });
                std::panic::panic_any(7_u8)
            })
            .await;
        });
        let payload = task.await.unwrap_err().into_panic();
        assert_eq!(payload.downcast_ref::<u8>(), Some(&7));
        assert_eq!(*log.lock().unwrap(), ["child dropped"]);
    });
}

#[test]
fn a_child_that_is_cancelled_alone_disturbs_nobody() {
    everywhere(|| async {
        let outcome = filch::group(async |group| {
            let doomed = group.spawn(pending::<Result<(), Wrong>>());
            let other = group.spawn(async {
                sleep(ms(5)).await;
                Ok(7)
            });
            doomed.cancel_with("not needed");
            let error = doomed.await.unwrap_err();
            assert_eq!(error.reason().unwrap().text(), Some("not needed"));
            let aborted = group.spawn(pending::<Result<(), Wrong>>());
            aborted.abort();
            assert!(aborted.await.unwrap_err().is_cancelled());
            Ok(other.await.unwrap())
        });
        assert_eq!(outcome.await.unwrap(), 7);
    });
}

#[test]
fn a_started_child_reaches_its_first_wait() {
    everywhere(|| async {
        let log = Log::default();
        let outcome = filch::group(async |group| {
            let inside = log.clone();
            group.spawn(async move {
                inside.lock().unwrap().push("begun");
                sleep(ms(1000)).await;
                inside.lock().unwrap().push("never");
                Ok::<(), Wrong>(())
            });
            group.cancel();
            // Too late for this one.
            let refused = group.spawn::<(), _>(async { unreachable!("it was spawned into a cancelled group") });
            assert!(refused.await.unwrap_err().is_cancelled());
            Ok(7)
        });
        assert_eq!(outcome.await.unwrap(), 7, "a body that is done gives its value");
        assert_eq!(*log.lock().unwrap(), ["begun"]);
    });
}

#[test]
fn a_cancelled_group_without_errors_says_so() {
    everywhere(|| async {
        let outcome = filch::group(async |group| {
            let stop = group.clone();
            group.spawn(async move {
                sleep(ms(1)).await;
                stop.cancel();
                Ok(())
            });
            pending::<Result<(), Wrong>>().await
        });
        let error = outcome.await.unwrap_err();
        assert!(error.is_cancelled() && error.first().is_none());
        assert_eq!(error.reason().unwrap().kind(), scope::ReasonKind::Requested);
    });
}

#[test]
fn the_hydra_ends() {
    everywhere(|| async {
        fn head(group: filch::group::Group<Wrong>, heads: Arc<AtomicUsize>) {
            let inside = group.clone();
            group.spawn(async move {
                let number = heads.fetch_add(1, Ordering::Relaxed);
                task::yield_now().await;
                if number == 50 {
                    return Err(Wrong(50));
                }
                head(inside.clone(), heads.clone());
                head(inside, heads);
                Ok(())
            });
        }
        let heads = Arc::new(AtomicUsize::new(0));
        let outcome = filch::group(async |group| {
            head(group.clone(), heads.clone());
            Ok::<_, Wrong>(())
        });
        assert_eq!(errors(&outcome.await.unwrap_err()), [50]);
    });
}

#[test]
fn a_deadline_around_reaches_the_children() {
    everywhere(|| async {
        let log = Log::default();
        let begin = Instant::now();
        let outcome = filch::move_on_after(ms(5), async |_| {
            let inner = filch::group(async |group| {
                for _ in 0..3 {
                    let inside = log.clone();
                    group.spawn(async move {
                        let _dropped = OnDrop(inside, "child dropped");
                        pending::<Result<(), Wrong>>().await
                    });
                }
                // Every child has begun before the time is up.
                sleep(ms(1)).await;
                Ok(())
            });
            drop(inner.await);
            log.lock().unwrap().push("never");
        });
        assert_eq!(outcome.await, None);
        assert_eq!(*log.lock().unwrap(), ["child dropped"; 3]);
        assert!(begin.elapsed() < ms(7));
    });
}

#[test]
fn an_error_and_a_cancel_together() {
    everywhere(|| async {
        let seen = Arc::new(Mutex::new(None));
        let inside = seen.clone();
        let task = filch::spawn(async move {
            let outcome = filch::group(async |group| {
                group.spawn(async {
                    filch::cancelled().await;
                    Err::<(), _>(Wrong(1))
                });
                sleep(ms(1)).await;
                task::current().unwrap().cancel();
                pending::<Result<(), Wrong>>().await
            });
            let outcome = outcome.await;
            *inside.lock().unwrap() = Some(errors(&outcome.unwrap_err()));
            task::yield_now().await;
            unreachable!("the cancel is not lost");
        });
        let outcome: Result<(), task::JoinError> = task.await;
        assert!(outcome.unwrap_err().is_cancelled());
        assert_eq!(*seen.lock().unwrap(), Some(vec![1]));
    });
}

#[test]
fn a_group_that_is_merely_dropped_is_waited_for_by_what_is_around() {
    everywhere(|| async {
        let log = Log::default();
        let inside = log.clone();
        let task = filch::spawn(async move {
            let group = filch::group(async |group| {
                let inside = inside.clone();
                group.spawn(async move {
                    let _cleanup = filch::defer(async move {
                        sleep(ms(5)).await;
                        inside.lock().unwrap().push("cleaned up");
                    });
                    pending::<Result<(), Wrong>>().await
                });
                sleep(ms(1)).await;
                pending::<Result<(), Wrong>>().await
            });
            assert!(filch::time::timeout(ms(2), group).await.is_err());
            7
        });
        assert_eq!(task.await.unwrap(), 7);
        assert_eq!(*log.lock().unwrap(), ["cleaned up"]);
    });
}

#[test]
fn nested_groups_give_nested_errors() {
    everywhere(|| async {
        let outer = filch::group(async |_| {
            let inner = filch::group(async |group| {
                group.spawn(async { Err::<(), _>(Wrong(1)) });
                Ok::<_, Wrong>(())
            });
            let error = inner.await.unwrap_err();
            assert!(!scope::is_cancelled(), "an inner failure is handled here");
            Err::<(), _>(error)
        });
        let error = outer.await.unwrap_err();
        let inner = error.errors().next().unwrap();
        assert_eq!(errors(inner), [1]);
        // An error outside ends the group inside, silently.
        let outer = filch::group(async |group| {
            group.spawn(async {
                filch::group(async |group| {
                    group.spawn(pending::<Result<(), Wrong>>());
                    Ok(())
                })
                .await
                .map_err(|_| Wrong(2))
            });
            group.spawn(async {
                sleep(ms(1)).await;
                Err::<(), _>(Wrong(1))
            });
            Ok(())
        });
        assert_eq!(errors(&outer.await.unwrap_err()), [1]);
    });
}

#[test]
fn start_waits_until_the_child_is_ready() {
    everywhere(|| async {
        let outcome = filch::group(async |group| {
            let begin = Instant::now();
            let port = group.start(async move |started| {
                sleep(ms(5)).await;
                started.set(80_u16);
                sleep(ms(5)).await;
                Ok::<_, Wrong>(())
            });
            assert_eq!(port.await?, 80);
            assert_eq!(group.len(), 1);
            assert!(begin.elapsed() < ms(7));
            // A failure before that is the caller's affair.
            let failed = group.start::<(), _, _>(async |_| Err(Wrong(3)));
            assert_eq!(failed.await, Err(Wrong(3)));
            // Whoever does not wait for it ends it.
            let given_up = group.start::<(), _, _>(async |_| pending().await);
            assert!(filch::time::timeout(ms(1), given_up).await.is_err());
            // A failure after that is the group's.
            let ready = group.start(async |started| {
                started.set(());
                sleep(ms(1)).await;
                Err(Wrong(4))
            });
            ready.await?;
            pending::<Result<(), Wrong>>().await
        });
        assert_eq!(errors(&outcome.await.unwrap_err()), [4]);
    });
}

#[test]
fn start_raises_the_childs_panic() {
    everywhere(|| async {
        let task = filch::spawn(filch::group(async |group| {
            group
                .start::<(), _, _>(async |_| {
                    if true {
                        std::panic::panic_any(7_u8);
                    }
                    Ok::<_, Wrong>(())
                })
                .await
        }));
        let payload = task.await.unwrap_err().into_panic();
        assert_eq!(payload.downcast_ref::<u8>(), Some(&7));
        let task = filch::spawn(filch::group(async |group| {
            group.start::<(), _, _>(async |_| Ok::<_, Wrong>(())).await
        }));
        let error = task.await.unwrap_err();
        assert!(error.to_string().contains("without `Started::set`"), "{error}");
    });
}

#[test]
fn a_hundred_thousand_children() {
    filch_tests::within(|| {
        filch_tests::multi(2).block_on(async {
            let outcome = filch::group(async |group| {
                let handles: Vec<_> = (0..100_000_u64)
                    .map(|n| group.spawn(async move { Ok::<_, Wrong>(n) }))
                    .collect();
                let mut sum = 0;
                for handle in handles {
                    sum += handle.await.unwrap();
                }
                Ok(sum)
            });
            assert_eq!(outcome.await.unwrap(), 99_999 * 50_000);
        });
    });
}

#[test]
fn a_child_that_is_cancelled_with_the_body_is_no_news_to_it() {
    everywhere(|| async {
        let outcome = filch::fail_after(ms(5), async |_| {
            filch::group(async |group| {
                let child = group.spawn(pending::<Result<(), Wrong>>());
                // Whether the child ends before the body is polled or after: the time was up, and that is all.
                child.await.map_err(|_| Wrong(1))
            })
            .await
        });
        assert!(outcome.await.is_err(), "a time-out became an error of the group");
    });
}
