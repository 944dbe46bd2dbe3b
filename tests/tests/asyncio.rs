//! Behaviours that asyncio's own tests pin down, in filch's shape: kept, adapted, or asserted the other way round. docs/asyncio.md has the whole list.

use filch::runtime::Handle;
use filch::task::{self, Context, JoinError};
use filch::time::{Instant, sleep};
use filch_tests::{everywhere, multi, within};
use std::collections::BTreeSet;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn a_cancel_of_a_task_that_has_ended_says_so() {
    everywhere(|| async {
        let task = filch::spawn(async {});
        let seen = task.task();
        task.await.unwrap();
        assert!(!seen.cancel());
        assert!(seen.is_finished());
    });
}

#[test]
fn a_value_after_a_cancel_of_oneself_stands() {
    everywhere(|| async {
        let task = filch::spawn(async {
            task::current().unwrap().cancel();
            12
        });
        assert_eq!(task.await.unwrap(), 12);
    });
}

#[test]
fn who_hears_the_cancel_may_return_a_value() {
    everywhere(|| async {
        let (begun, begins) = filch::sync::oneshot::channel();
        let task = filch::spawn(async move {
            begun.send(()).unwrap();
            filch::cancelled().await;
            42
        });
        begins.await.unwrap();
        assert!(task.cancel());
        assert_eq!(task.await.unwrap(), 42);
    });
}

#[test]
fn a_task_and_the_one_it_awaits_are_both_cancelled() {
    everywhere(|| async {
        let (begun, begins) = filch::sync::oneshot::channel();
        let inner = filch::spawn(pending::<()>());
        let inner_ref = inner.task();
        let outer = filch::spawn(async move {
            begun.send(()).unwrap();
            inner.await
        });
        begins.await.unwrap();
        inner_ref.cancel();
        outer.cancel();
        // Whichever came first: the outer one has the inner one's end in its hands, or is cancelled itself.
        match outer.await {
            Ok(inner) => assert!(inner.unwrap_err().is_cancelled()),
            Err(error) => assert!(error.is_cancelled()),
        }
        while !inner_ref.is_finished() {
            sleep(ms(1)).await;
        }
    });
}

#[test]
fn a_task_that_is_cancelled_twice_and_forgiven_once_ends() {
    everywhere(|| async {
        let task = filch::spawn(async {
            let me = task::current().unwrap();
            assert_eq!(me.cancelling(), 0);
            me.cancel();
            assert_eq!(me.cancelling(), 1);
            assert_eq!(me.uncancel(), 0);
            sleep(ms(1)).await;
            me.cancel();
            assert_eq!(me.cancelling(), 1);
            sleep(ms(1)).await;
            unreachable!("the second one counts");
        });
        let outcome: Result<(), JoinError> = task.await;
        assert!(outcome.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_task_that_awaits_itself_is_told() {
    everywhere(|| async {
        let place = Arc::new(Mutex::new(None::<task::JoinHandle<()>>));
        let inside = place.clone();
        let (told, tell) = filch::sync::oneshot::channel::<()>();
        let task = filch::spawn(async move {
            tell_await(tell).await;
            let me = inside.lock().unwrap().take().unwrap();
            drop(me.await);
        });
        let seen = task.task();
        *place.lock().unwrap() = Some(task);
        told.send(()).unwrap();
        while !seen.is_finished() {
            sleep(ms(1)).await;
        }
    });
    async fn tell_await(tell: filch::sync::oneshot::Receiver<()>) {
        tell.await.unwrap();
    }
}

#[test]
fn a_task_without_a_handle_completes() {
    everywhere(|| async {
        let done = Arc::new(AtomicUsize::new(0));
        for _ in 0..10 {
            let done = done.clone();
            drop(filch::spawn(async move {
                sleep(ms(1)).await;
                done.fetch_add(1, Ordering::Relaxed);
            }));
        }
        while done.load(Ordering::Relaxed) < 10 {
            sleep(ms(1)).await;
        }
    });
}

/// An error. (Text itself, `&'static str`, makes rustc lose its way when it is to prove that a group inside a task is `Send`.)
#[derive(Debug, PartialEq, Eq)]
struct Wrong(&'static str);

filch::task_local! {
    static SEEN: u32;
}

#[test]
fn tasks_that_share_a_context_see_each_others_values() {
    everywhere(|| async {
        let context = Context::new();
        let mut seen = Vec::new();
        for n in 1..=3 {
            let task = task::Builder::new().context(&context).spawn(async move {
                let before = SEEN.try_get().ok();
                SEEN.set(n);
                before
            });
            seen.push(task.await.unwrap());
        }
        assert_eq!(seen, [None, Some(1), Some(2)]);
        assert!(SEEN.try_get().is_err(), "it is no value of this one");
        assert_eq!(context.run(|| SEEN.get()), 3);
    });
}

#[test]
fn a_handled_failure_of_a_group_leaves_the_parent_alone() {
    everywhere(|| async {
        let task = filch::spawn(async {
            let failed = filch::group(async |group| {
                group.spawn(async { Err::<(), _>(Wrong("here")) });
                pending::<Result<(), _>>().await
            });
            assert_eq!(failed.await.unwrap_err().errors().collect::<Vec<_>>(), [&Wrong("here")]);
            assert_eq!(task::current().unwrap().cancelling(), 0);
            sleep(ms(1)).await;
            filch::checkpoint().await.is_ok()
        });
        assert!(task.await.unwrap());
    });
}

#[test]
fn the_cancel_from_outside_stays_when_an_inner_group_was_handled() {
    everywhere(|| async {
        let (begun, begins) = filch::sync::oneshot::channel();
        let reached = Arc::new(AtomicUsize::new(0));
        let inside = reached.clone();
        let task = filch::spawn(async move {
            let outer = filch::group(async |_| {
                let inner = filch::group(async |group| {
                    group.spawn(async {
                        filch::cancelled().await;
                        Err::<(), _>(Wrong("in its clean-up"))
                    });
                    begun.send(()).unwrap();
                    pending::<Result<(), _>>().await
                });
                // The error is seen here; the cancel is not lost by it.
                assert_eq!(
                    inner.await.unwrap_err().errors().collect::<Vec<_>>(),
                    [&Wrong("in its clean-up")]
                );
                inside.fetch_add(1, Ordering::Relaxed);
                sleep(ms(1)).await;
                inside.fetch_add(10, Ordering::Relaxed);
                Ok::<_, Wrong>(())
            });
            drop(outer.await);
            inside.fetch_add(100, Ordering::Relaxed);
        });
        begins.await.unwrap();
        // The child listens by then.
        sleep(ms(1)).await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(reached.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_child_that_fails_at_once_cancels_the_body_at_its_next_wait() {
    everywhere(|| async {
        let reached = Arc::new(AtomicUsize::new(0));
        let outcome = filch::group(async |group| {
            group.spawn(async { Err::<(), _>(Wrong("at once")) });
            reached.fetch_add(1, Ordering::Relaxed);
            pending::<()>().await;
            reached.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        assert!(outcome.await.is_err());
        assert_eq!(reached.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn five_short_sleeps_do_not_spin() {
    within(|| {
        let runtime = filch_tests::current();
        let turns = |runtime: &filch::runtime::Runtime| runtime.metrics().worker_driver_turn_count(0);
        runtime.block_on(async {
            for _ in 0..3 {
                task::yield_now().await;
            }
        });
        let before = turns(&runtime);
        runtime.block_on(async {
            for micros in [10, 100, 200, 500, 900] {
                sleep(Duration::from_micros(micros)).await;
            }
        });
        let spent = turns(&runtime) - before;
        assert!(spent <= 20, "{spent} turns");
    });
}

#[test]
fn ten_threads_list_exactly_their_tasks() {
    within(|| {
        let threads: Vec<_> = (0..10)
            .map(|_| {
                std::thread::spawn(|| {
                    multi(2).block_on(async {
                        let (begun, mut begins) = filch::sync::mpsc::channel(101);
                        let tasks: Vec<_> = (0..101)
                            .map(|_| {
                                let begun = begun.clone();
                                filch::spawn(async move {
                                    begun.send(()).await.unwrap();
                                    pending::<()>().await;
                                })
                            })
                            .collect();
                        for _ in 0..101 {
                            begins.recv().await.unwrap();
                        }
                        let expected: BTreeSet<_> = tasks.iter().map(|task| task.id().to_string()).collect();
                        let listed: Vec<_> = Handle::current().tasks();
                        assert_eq!(listed.len(), 101);
                        let found: BTreeSet<_> = listed.iter().map(|task| task.id().to_string()).collect();
                        assert_eq!(found, expected);
                        for task in listed {
                            assert!(task.location().file().ends_with("asyncio.rs"));
                            task.abort();
                        }
                        for task in tasks {
                            assert!(task.await.unwrap_err().is_cancelled());
                        }
                        assert!(Handle::current().tasks().is_empty());
                    });
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn tasks_of_lanes_are_listed_by_name() {
    everywhere(|| async {
        let lane = filch::lane();
        let task = task::Builder::new()
            .name("in a lane")
            .lane(&lane)
            .spawn(pending::<()>());
        let names: Vec<_> = Handle::current()
            .tasks()
            .iter()
            .filter_map(task::TaskRef::name)
            .collect();
        assert_eq!(names.len(), 1);
        assert_eq!(&*names[0], "in a lane");
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn ten_foreign_threads_get_their_answers() {
    within(|| {
        for workers in [1, 2, 4, 8] {
            let runtime = multi(workers);
            let threads: Vec<_> = (0..10)
                .map(|_| {
                    let handle = runtime.handle().clone();
                    std::thread::spawn(move || {
                        let task = handle.spawn(async {
                            sleep(ms(1)).await;
                            42
                        });
                        handle.block_on(task).unwrap()
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
fn an_outer_deadline_that_passed_while_the_inner_body_was_busy_counts_later() {
    within(|| {
        multi(2).block_on(async {
            let begin = Instant::now();
            let outcome = filch::move_on_after(ms(5), async |_| {
                let inner = filch::move_on_after(Duration::from_secs(100), async |_| {
                    std::thread::sleep(ms(20));
                });
                assert_eq!(inner.await, Some(()));
                sleep(Duration::from_secs(100)).await;
            });
            assert_eq!(outcome.await, None);
            assert!(begin.elapsed() < Duration::from_secs(50));
        });
    });
}

#[test]
fn the_list_names_tests_that_exist() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = std::fs::read_to_string(root.join("../docs/asyncio.md")).expect("the list");
    let rows: Vec<Vec<&str>> = list
        .lines()
        .filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit())
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), 60);
    for (number, row) in (1..).zip(&rows) {
        assert_eq!(row[0], number.to_string());
        assert!(["kept", "adapted", "opposite"].contains(&row[1]), "{row:?}");
        let names: Vec<_> = row[3].split('`').skip(1).step_by(2).collect();
        assert_eq!(names.is_empty(), row[3] == "later", "{row:?}");
        for name in names {
            let (file, test) = name.split_once(": ").expect("a file and a test");
            let source = std::fs::read_to_string(root.join(format!("tests/{file}.rs"))).expect("a file of tests");
            assert!(source.contains(&format!("#[test]\nfn {test}()")), "there is no {name}");
        }
    }
}
