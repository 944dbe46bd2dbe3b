//! Combinators: what is given, in which order, and that nothing outlives the call.

use filch::combine::When;
use filch::task::{self, JoinError, JoinHandle};
use filch::time::{Instant, sleep};
use filch_tests::everywhere;
use std::cell::Cell;
use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wrong(u32);

type Log = Arc<Mutex<Vec<&'static str>>>;

fn say(log: &Log, what: &'static str) {
    log.lock().unwrap().push(what);
}

fn said(log: &Log) -> Vec<&'static str> {
    let mut said = log.lock().unwrap().clone();
    said.sort_unstable();
    said
}

struct OnDrop(Log, &'static str);

impl Drop for OnDrop {
    fn drop(&mut self) {
        say(&self.0, self.1);
    }
}

/// Says that it is dropped, and cleans up for `cleanup` before it says that it is clean.
async fn forever<T>(log: Log, cleanup: Duration) -> T {
    let _dropped = OnDrop(log.clone(), "dropped");
    let _cleanup = filch::defer(async move {
        sleep(cleanup).await;
        say(&log, "clean");
    });
    pending().await
}

async fn after<T>(wait: u64, value: T) -> T {
    sleep(ms(wait)).await;
    value
}

/// What a future panics with.
async fn panic_of<F: Future>(future: F) -> Box<dyn std::any::Any + Send> {
    struct Catch<F>(F);
    impl<F: Future> Future for Catch<Pin<&mut F>> {
        type Output = Box<dyn std::any::Any + Send>;
        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
            match catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx).is_ready())) {
                Ok(false) => Poll::Pending,
                Ok(true) => panic!("it gave a value"),
                Err(payload) => Poll::Ready(payload),
            }
        }
    }
    Catch(pin!(future)).await
}

#[test]
fn gather_keeps_the_order_of_the_arguments() {
    everywhere(|| async {
        let begin = Instant::now();
        let outputs = filch::gather([3, 1, 2].map(|n| after(n, n))).await;
        assert_eq!(outputs, [3, 1, 2]);
        assert!(
            begin.elapsed() >= ms(3) && begin.elapsed() < ms(5),
            "they run at the same time"
        );
        assert!(filch::gather(Vec::<std::future::Ready<()>>::new()).await.is_empty());
        let handles = [1, 2].map(|n| filch::spawn(ready(n)));
        let outputs = filch::gather(handles).await;
        assert_eq!(outputs.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [1, 2]);
    });
}

#[test]
fn cancelling_the_gatherer_cancels_all_children() {
    everywhere(|| async {
        let log = Log::default();
        let inside = log.clone();
        let task = filch::spawn(async move {
            filch::gather((0..3).map(|_| forever::<()>(inside.clone(), ms(5)))).await;
        });
        sleep(ms(1)).await;
        assert!(said(&log).is_empty());
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(
            said(&log),
            ["clean", "clean", "clean", "dropped", "dropped", "dropped"],
            "children and their clean-ups come before the end of the task"
        );
    });
}

#[test]
fn children_of_a_gather_that_is_dropped_are_waited_for_around() {
    everywhere(|| async {
        let log = Log::default();
        let inside = log.clone();
        let task = filch::spawn(async move {
            let gather = filch::gather([forever::<()>(inside, ms(5))]);
            assert!(filch::time::timeout(ms(1), gather).await.is_err());
        });
        task.await.unwrap();
        assert_eq!(said(&log), ["clean", "dropped"]);
    });
}

#[test]
fn a_panic_is_raised_when_the_others_have_ended() {
    everywhere(|| async {
        let log = Log::default();
        let inside = log.clone();
        let children = (0..3).map(|n| {
            let log = inside.clone();
            async move {
                if n == 1 {
                    std::panic::panic_any(7_u8);
                }
                sleep(ms(5)).await;
                say(&log, "ran on");
            }
        });
        let payload = panic_of(filch::gather(children)).await;
        assert_eq!(payload.downcast_ref::<u8>(), Some(&7));
        assert_eq!(said(&log), ["ran on", "ran on"]);
    });
}

#[test]
fn a_child_that_cancels_itself_is_no_value() {
    everywhere(|| async {
        let child = async {
            task::current().unwrap().cancel();
            pending::<()>().await;
        };
        let payload = panic_of(filch::gather([child])).await;
        let text = payload.downcast_ref::<String>().unwrap();
        assert!(text.contains("gave no value"), "{text}");
    });
}

#[test]
fn the_first_error_cancels_the_rest_and_waits_for_them() {
    everywhere(|| async {
        let log = Log::default();
        let begin = Instant::now();
        let inside = log.clone();
        let outcome = filch::try_gather((0..4).map(|n| {
            let log = inside.clone();
            async move {
                match n {
                    // The error of somebody who was cancelled because of it is not reported again.
                    0 => {
                        filch::cancelled().await;
                        Err(Wrong(0))
                    }
                    1 => after(1, Err(Wrong(1))).await,
                    _ => forever::<Result<u32, Wrong>>(log, ms(5)).await,
                }
            }
        }));
        assert_eq!(outcome.await, Err(Wrong(1)));
        assert_eq!(said(&log), ["clean", "clean", "dropped", "dropped"]);
        assert!(begin.elapsed() >= ms(6));
        let fine = filch::try_gather([2, 1].map(|n| after(n, Ok::<_, Wrong>(n))));
        assert_eq!(fine.await, Ok(vec![2, 1]));
    });
}

#[test]
fn a_panic_among_those_that_can_fail_cancels_the_rest() {
    everywhere(|| async {
        let log = Log::default();
        let inside = log.clone();
        let children = (0..2).map(|n| {
            let log = inside.clone();
            async move {
                if n == 1 {
                    sleep(ms(1)).await;
                    std::panic::panic_any(7_u8);
                }
                forever::<Result<(), Wrong>>(log, ms(5)).await
            }
        });
        let payload = panic_of(filch::try_gather(children)).await;
        assert_eq!(payload.downcast_ref::<u8>(), Some(&7));
        assert_eq!(said(&log), ["clean", "dropped"]);
    });
}

#[test]
fn an_error_is_not_lost_to_a_cancel_from_around() {
    everywhere(|| async {
        let seen = Arc::new(Mutex::new(None));
        let inside = seen.clone();
        let task = filch::spawn(async move {
            let log = Log::default();
            let fails = async { Err::<(), _>(Wrong(1)) };
            let slow = forever(log, ms(5));
            let children: [Pin<Box<dyn Future<Output = _> + Send>>; 2] = [Box::pin(fails), Box::pin(slow)];
            let outcome = filch::try_gather(children).await;
            *inside.lock().unwrap() = Some(outcome);
            task::yield_now().await;
            unreachable!("the cancel is not lost either");
        });
        sleep(ms(2)).await;
        task.cancel();
        let outcome: Result<(), JoinError> = task.await;
        assert!(outcome.unwrap_err().is_cancelled());
        assert_eq!(*seen.lock().unwrap(), Some(Err(Wrong(1))));
    });
}

#[test]
fn cancelling_a_gather_of_shields_leaves_the_work_alone() {
    everywhere(|| async {
        let log = Log::default();
        let inside = log.clone();
        let task = filch::spawn(async move {
            filch::gather((0..2).map(|_| {
                let log = inside.clone();
                async move {
                    let within = log.clone();
                    filch::shield(async move {
                        sleep(ms(5)).await;
                        say(&within, "work done");
                    })
                    .await;
                    task::yield_now().await;
                    say(&log, "never");
                }
            }))
            .await;
        });
        sleep(ms(1)).await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(said(&log), ["work done", "work done"]);
    });
}

#[test]
fn a_panic_comes_through_two_shields_once() {
    everywhere(|| async {
        let children = (0..2).map(|n| {
            filch::shield(filch::shield(async move {
                assert!(n == 0, "number {n}");
                n
            }))
        });
        let mut outcomes = filch::gather_settled(children).await.into_iter();
        assert_eq!(outcomes.next().unwrap().unwrap(), 0);
        let payload = outcomes.next().unwrap().unwrap_err().into_panic();
        assert_eq!(payload.downcast_ref::<String>().unwrap(), "number 1");
        assert!(outcomes.next().is_none());
    });
}

#[test]
fn gather_settled_gives_all_that_becomes_of_them() {
    everywhere(|| async {
        let outcomes = filch::gather_settled((0..4).map(|n| async move {
            match n {
                1 => std::panic::panic_any(7_u8),
                2 => {
                    task::current().unwrap().cancel_with("enough");
                    pending().await
                }
                _ => after(5, n).await,
            }
        }));
        let mut outcomes = outcomes.await;
        assert_eq!(outcomes.len(), 4);
        assert_eq!(*outcomes[0].as_ref().unwrap(), 0);
        assert_eq!(*outcomes[3].as_ref().unwrap(), 3);
        assert_eq!(
            outcomes[2].as_ref().unwrap_err().reason().unwrap().text(),
            Some("enough")
        );
        let payload = outcomes.swap_remove(1).unwrap_err().into_panic();
        assert_eq!(payload.downcast_ref::<u8>(), Some(&7));
    });
}

fn fails() -> JoinHandle<u32> {
    let task = filch::spawn(pending());
    task.abort();
    task
}

#[test]
fn wait_for_the_first_for_the_first_error_and_for_all() {
    everywhere(|| async {
        let begin = Instant::now();
        let tasks = [3, 1, 2].map(|n| filch::spawn(after(n * 10, n)));
        let ids: Vec<_> = tasks.iter().map(JoinHandle::id).collect();
        let first = filch::wait(tasks.into(), When::First).await;
        assert!(begin.elapsed() < ms(15));
        assert_eq!(first.done.len(), 1);
        assert_eq!(first.done[0].id(), ids[1]);
        let pending: Vec<_> = first.pending.iter().map(JoinHandle::id).collect();
        assert_eq!(pending, [ids[0], ids[2]], "in the order of the arguments");
        let all = filch::wait(first.pending, When::All).await;
        assert!(begin.elapsed() >= ms(30) && all.pending.is_empty());
        let mut values = Vec::new();
        for task in all.done {
            values.push(task.await.unwrap());
        }
        assert_eq!(values, [3, 2]);
        assert!(
            filch::wait(Vec::<JoinHandle<()>>::new(), When::First)
                .await
                .done
                .is_empty()
        );
    });
}

#[test]
fn wait_for_the_first_error() {
    everywhere(|| async {
        let begin = Instant::now();
        // A value does not end it, a failure does.
        let tasks = vec![filch::spawn(after(100, 1)), filch::spawn(ready(2)), fails()];
        sleep(ms(1)).await;
        let ended = filch::wait(tasks, When::FirstError).await;
        assert!(begin.elapsed() < ms(50));
        assert_eq!(ended.pending.len(), 1);
        assert!(ended.done.into_iter().last().unwrap().await.unwrap_err().is_cancelled());
        let tasks = vec![
            filch::spawn(after(100, Ok(1))),
            filch::spawn(after(1, Ok(2))),
            filch::spawn(after(2, Err(Wrong(1)))),
        ];
        let mut ended = filch::wait_first_error(tasks).await;
        assert!(begin.elapsed() < ms(50));
        assert_eq!((ended.done.len(), ended.pending.len()), (2, 1));
        assert_eq!(ended.done.remove(0).await.unwrap(), Ok(2));
        assert_eq!(ended.done.remove(0).await.unwrap(), Err(Wrong(1)));
        // A child of a group that fails has no value; without a failure it waits for all.
        let tasks = vec![filch::spawn(ready(1)), filch::spawn(after(5, 2))];
        assert_eq!(filch::wait(tasks, When::FirstError).await.done.len(), 2);
        let outcome = filch::group(async |group| {
            let slow = group.spawn(after(1000, Ok(())));
            let failed = group.spawn(after(1, Err(Wrong(2))));
            let ended = filch::shield(filch::wait(vec![slow, failed], When::FirstError)).await;
            assert!(ended.done.iter().all(JoinHandle::is_finished) && !ended.done.is_empty());
            Ok(())
        });
        assert_eq!(outcome.await.unwrap_err().errors().next(), Some(&Wrong(2)));
    });
}

#[test]
fn cancelling_a_wait_leaves_its_tasks_running() {
    everywhere(|| async {
        let log = Log::default();
        let inside = log.clone();
        let task = filch::spawn(async move { say(&inside, after(5, "ran on").await) });
        let watcher = task.task();
        let waits = filch::spawn(filch::wait(vec![task], When::All));
        sleep(ms(1)).await;
        waits.cancel();
        assert!(waits.await.is_err());
        sleep(ms(10)).await;
        assert!(watcher.is_finished());
        assert_eq!(said(&log), ["ran on"]);
    });
}

#[test]
fn a_wait_has_a_limit() {
    everywhere(|| async {
        let tasks = vec![filch::spawn(after(1, 1)), filch::spawn(after(100, 2))];
        let ended = filch::wait(tasks, When::All).timeout(ms(5)).await;
        assert_eq!((ended.done.len(), ended.pending.len()), (1, 1));
        // With no time at all it says what there is.
        let ended = filch::wait(ended.pending, When::All).timeout(Duration::ZERO).await;
        assert_eq!(ended.done.len(), 0);
        assert_eq!(ended.pending.into_iter().next().unwrap().await.unwrap(), 2);
    });
}

#[test]
fn as_completed_can_be_left_and_taken_up_again() {
    everywhere(|| async {
        let tasks = [4, 2, 1, 3].map(|n| filch::spawn(after(n * 5, n)));
        let ids = tasks.each_ref().map(JoinHandle::id);
        let mut order = Vec::new();
        let mut tasks = filch::as_completed(tasks);
        for _ in 0..2 {
            let task = tasks.next().await.unwrap();
            assert!(task.is_finished());
            let place = ids.iter().position(|id| *id == task.id()).unwrap();
            let value = task.await.unwrap();
            assert_eq!([4, 2, 1, 3][place], value, "the original handle");
            order.push(value);
        }
        // A wait that is given up loses nothing.
        assert!(filch::time::timeout(ms(1), tasks.next()).await.is_err());
        assert_eq!(tasks.len(), 2);
        while let Some(task) = tasks.next().await {
            order.push(task.await.unwrap());
        }
        assert_eq!(order, [1, 2, 3, 4]);
        // Also when nobody asked in between.
        let mut tasks = filch::as_completed([4, 2, 1, 3].map(|n| filch::spawn(after(n * 5, n))));
        sleep(ms(100)).await;
        let mut order = Vec::new();
        while let Some(task) = tasks.next().await {
            order.push(task.await.unwrap());
        }
        assert_eq!(order, [1, 2, 3, 4]);
    });
}

#[test]
fn the_first_wins_and_the_others_are_waited_for() {
    everywhere(|| async {
        let log = Log::default();
        let inside = log.clone();
        let first = filch::race((0..3).map(|n| {
            let log = inside.clone();
            async move {
                if n == 1 {
                    return after(1, n).await;
                }
                forever(log, ms(5)).await
            }
        }));
        assert_eq!(first.await, 1);
        assert_eq!(said(&log), ["clean", "clean", "dropped", "dropped"]);
    });
}

#[test]
fn a_race_has_one_winner() {
    everywhere(|| async {
        let ended = Arc::new(AtomicUsize::new(0));
        let begins = Arc::new(filch::sync::Barrier::new(4));
        let racers = (0..4).map(|n| {
            let (ended, begins) = (ended.clone(), begins.clone());
            async move {
                begins.wait().await;
                ended.fetch_add(1, Ordering::Relaxed);
                n
            }
        });
        let winner = filch::race(racers).await;
        assert!((0..4).contains(&winner));
        assert!(ended.load(Ordering::Relaxed) >= 1);
    });
}

/// Others that give a value when the winner cancels them come too late.
#[test]
fn who_ends_by_the_winners_cancel_has_not_won() {
    everywhere(|| async {
        let winner = filch::race((0..3).map(|n| async move {
            match n {
                1 => sleep(ms(1)).await,
                _ => drop(filch::cancelled().await),
            }
            n
        }));
        assert_eq!(winner.await, 1);
    });
}

#[test]
fn a_race_can_end_by_a_panic() {
    everywhere(|| async {
        let log = Log::default();
        let inside = log.clone();
        let racers = (0..2).map(|n| {
            let log = inside.clone();
            async move {
                if n == 1 {
                    sleep(ms(1)).await;
                    std::panic::panic_any(7_u8);
                }
                forever::<()>(log, ms(5)).await;
            }
        });
        let payload = panic_of(filch::race(racers)).await;
        assert_eq!(payload.downcast_ref::<u8>(), Some(&7));
        assert_eq!(said(&log), ["clean", "dropped"]);
    });
}

type Start = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = Result<&'static str, Wrong>> + Send>> + Send>;

fn start<F>(future: F) -> Start
where
    F: Future<Output = Result<&'static str, Wrong>> + Send + 'static,
{
    Box::new(move || Box::pin(future))
}

#[test]
fn the_second_starts_when_the_first_is_slow() {
    everywhere(|| async {
        let begin = Instant::now();
        let log = Log::default();
        let starts = [
            start(forever(log.clone(), ms(5))),
            start(after(1, Ok("second"))),
            start(async { unreachable!("there was a winner by then") }),
        ];
        assert_eq!(filch::race_staggered(starts, ms(10)).await, Ok(("second", 1)));
        assert_eq!(said(&log), ["clean", "dropped"], "the loser is waited for");
        assert!(begin.elapsed() >= ms(16) && begin.elapsed() < ms(19));
    });
}

#[test]
fn the_next_starts_at_once_when_the_one_before_fails() {
    everywhere(|| async {
        let begin = Instant::now();
        let starts = [
            start(ready(Err(Wrong(1)))),
            start(after(1, Err(Wrong(2)))),
            start(ready(Ok("third"))),
        ];
        assert_eq!(filch::race_staggered(starts, ms(1000)).await, Ok(("third", 2)));
        assert!(begin.elapsed() < ms(10));
        let starts = [start(after(5, Err(Wrong(1)))), start(ready(Err(Wrong(2))))];
        assert_eq!(
            filch::race_staggered(starts, ms(1)).await,
            Err(vec![Wrong(1), Wrong(2)]),
            "in the order of the arguments"
        );
        assert_eq!(
            filch::race_staggered([start(ready(Ok("only")))], ms(1)).await,
            Ok(("only", 0))
        );
        assert_eq!(filch::race_staggered(Vec::<Start>::new(), ms(1)).await, Err(vec![]));
    });
}

#[test]
fn two_that_win_at_once_are_one_winner() {
    everywhere(|| async {
        let begin = Arc::new(filch::sync::Barrier::new(2));
        let ended = Arc::new(AtomicUsize::new(0));
        let starts = ["one", "two"].map(|name| {
            let (begin, ended) = (begin.clone(), ended.clone());
            let gone = filch_tests::OnDrop(move || {
                ended.fetch_add(1, Ordering::SeqCst);
            });
            start(async move {
                let _gone = gone;
                begin.wait().await;
                Ok(name)
            })
        });
        let (name, index) = filch::race_staggered(starts, ms(1)).await.unwrap();
        assert_eq!(name, ["one", "two"][index]);
        assert_eq!(ended.load(Ordering::SeqCst), 2, "the other has ended, too");
    });
}

#[test]
fn map_runs_so_many_at_a_time() {
    everywhere(|| async {
        let running = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let outputs = filch::map((0..10).rev(), 3, |n: u64| {
            let (running, most) = (running.clone(), most.clone());
            async move {
                let now = running.fetch_add(1, Ordering::Relaxed) + 1;
                most.fetch_max(now, Ordering::Relaxed);
                sleep(ms(n)).await;
                running.fetch_sub(1, Ordering::Relaxed);
                n
            }
        });
        assert_eq!(outputs.await, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
        assert_eq!(most.load(Ordering::Relaxed), 3);
    });
}

#[test]
fn a_panic_ends_a_map() {
    everywhere(|| async {
        let log = Log::default();
        let inside = log.clone();
        let payload = panic_of(filch::map(0..10, 2, |n| {
            let log = inside.clone();
            async move {
                if n == 1 {
                    std::panic::panic_any(7_u8);
                }
                assert!(n == 0, "no more are started");
                forever::<()>(log, ms(5)).await;
            }
        }))
        .await;
        assert_eq!(payload.downcast_ref::<u8>(), Some(&7));
        assert!(said(&log).is_empty() || said(&log) == ["clean", "dropped"]);
    });
}

#[test]
fn no_time_is_no_entry() {
    everywhere(|| async {
        let outcome = filch::wait_for(Duration::ZERO, async { unreachable!("it is never entered") });
        let outcome: Result<(), _> = outcome.await;
        assert!(outcome.is_err());
        // A task that has its value gives it.
        let task = filch::spawn(ready(7));
        sleep(ms(1)).await;
        assert_eq!(task.wait_for(Duration::ZERO).await.unwrap().unwrap(), 7);
        let task = filch::spawn(pending::<()>());
        assert!(task.wait_for(Duration::ZERO).await.is_err());
    });
}

#[test]
fn a_limit_waits_for_the_clean_up() {
    everywhere(|| async {
        let (log, begin) = (Log::default(), Instant::now());
        // Borrowed: it runs in this task.
        let borrowed = &log;
        let outcome = filch::wait_for(ms(1), async { forever::<()>(borrowed.clone(), ms(5)).await });
        assert!(outcome.await.is_err());
        assert_eq!(said(&log), ["clean", "dropped"]);
        assert!(begin.elapsed() >= ms(6));
        // A value that comes while it is being cancelled is a value.
        let outcome = filch::wait_for(ms(1), async {
            filch::cancelled().await;
            7
        });
        assert_eq!(outcome.await.unwrap(), 7);
        assert_eq!(filch::wait_for(ms(5), after(1, 8)).await.unwrap(), 8);
    });
}

#[test]
fn a_limit_on_a_task_waits_for_its_end() {
    everywhere(|| async {
        let log = Log::default();
        let task = filch::spawn(forever::<()>(log.clone(), ms(5)));
        assert!(task.wait_for(ms(1)).await.is_err());
        assert_eq!(said(&log), ["clean", "dropped"]);
        let task = filch::spawn(async {
            filch::cancelled().await;
            7
        });
        assert_eq!(task.wait_for(ms(1)).await.unwrap().unwrap(), 7);
        let task = filch::spawn(async {
            filch::cancelled().await;
            std::panic::panic_any(7_u8)
        });
        let outcome: Result<Result<(), _>, _> = task.wait_for(ms(1)).await;
        assert!(outcome.unwrap().unwrap_err().is_panic());
        // Who waits is dropped: so is the task.
        let log = Log::default();
        let task = filch::spawn(forever::<()>(log.clone(), ms(0)));
        assert!(filch::time::timeout(ms(1), task.wait_for(ms(100))).await.is_err());
        sleep(ms(1)).await;
        assert_eq!(said(&log), ["clean", "dropped"]);
    });
}

#[test]
fn a_cancel_beside_the_end_is_not_lost() {
    everywhere(|| async {
        // In the same moment the inner task has its value and the outer one is cancelled. Either is seen, and the cancel stays.
        let (tell, told) = filch::sync::oneshot::channel::<u32>();
        let seen = Arc::new(Mutex::new(None));
        let inside = seen.clone();
        let outer = filch::spawn(async move {
            let outcome = filch::wait_for(ms(1000), told).await;
            *inside.lock().unwrap() = Some(outcome.unwrap().unwrap());
            // If the cancel is lost this never ends.
            pending().await
        });
        sleep(ms(1)).await;
        tell.send(7).unwrap();
        outer.cancel();
        let outcome: Result<(), JoinError> = outer.await;
        assert!(outcome.unwrap_err().is_cancelled());
        assert_eq!(*seen.lock().unwrap(), Some(7), "a value that is there is given");
    });
}

#[test]
fn a_handle_detaches_or_cancels() {
    everywhere(|| async {
        let log = Log::default();
        for cancels in [true, false] {
            let inside = log.clone();
            let task = filch::spawn(async move {
                let _dropped = OnDrop(inside.clone(), "ended");
                sleep(ms(5)).await;
                say(&inside, "ran on");
            });
            let watched = task.task();
            let waits = filch::spawn(async move {
                match cancels {
                    true => task.cancel_on_drop().await,
                    false => task.detach_on_cancel().await,
                }
            });
            sleep(ms(1)).await;
            waits.cancel();
            drop(waits.await);
            sleep(ms(1)).await;
            assert_eq!(watched.is_finished(), cancels);
            sleep(ms(10)).await;
        }
        assert_eq!(said(&log), ["ended", "ended", "ran on"]);
        // One that gave its value has nothing to cancel, one that is taken back cancels nothing.
        assert_eq!(filch::spawn(ready(7)).cancel_on_drop().await.unwrap(), 7);
        let task = filch::spawn(after(1, 8)).cancel_on_drop();
        assert_eq!(task.detach_on_cancel().await.unwrap(), 8);
    });
}

filch::task_local! {
    static NAME: &'static str;
}

#[test]
fn functions_are_called_in_order_and_never_inside() {
    everywhere(|| async {
        let log: Arc<Mutex<Vec<u32>>> = Arc::default();
        let put = |n: u32| {
            let log = log.clone();
            move |outcome: &Result<u32, JoinError>| log.lock().unwrap().push(n + outcome.as_ref().unwrap())
        };
        let task = filch::spawn(after(1, 1))
            .on_done(put(10))
            .on_done(|_| panic!("on purpose"))
            .on_done(put(20));
        assert!(log.lock().unwrap().is_empty());
        sleep(ms(5)).await;
        assert_eq!(*log.lock().unwrap(), [11, 21]);
        assert!(task.is_finished());
        // Also for one that has ended, and not inside the call.
        let inline = Arc::new(Mutex::new(None));
        let (seen, late) = (inline.clone(), put(30));
        INSIDE.set(true);
        let task = task.on_done(move |outcome| {
            late(outcome);
            *seen.lock().unwrap() = Some(INSIDE.get());
        });
        INSIDE.set(false);
        assert_eq!(task.await.unwrap(), 1);
        assert_eq!(*inline.lock().unwrap(), Some(false));
        assert_eq!(*log.lock().unwrap(), [11, 21, 31]);
    });
}

thread_local! {
    /// This thread is inside a call that must not call back.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

#[test]
fn functions_see_the_values_of_where_they_were_registered() {
    everywhere(|| async {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let put = || {
            let seen = seen.clone();
            move |_: &Result<(), JoinError>| seen.lock().unwrap().push(NAME.try_get().ok())
        };
        let task = filch::spawn(sleep(ms(1)));
        let task = NAME.sync_scope("one", || task.on_done(put()));
        let task = NAME.sync_scope("two", || task.on_done(put()));
        task.on_done(put()).await.unwrap();
        assert_eq!(*seen.lock().unwrap(), [Some("one"), Some("two"), None]);
    });
}

#[test]
fn an_observed_task_can_be_dropped_or_cancelled() {
    everywhere(|| async {
        let log = Log::default();
        let inside = log.clone();
        drop(filch::spawn(after(1, ())).on_done(move |_| say(&inside, "called")));
        sleep(ms(5)).await;
        assert_eq!(said(&log), ["called"]);
        let inside = log.clone();
        let task = filch::spawn(pending::<()>()).on_done(move |outcome| {
            assert!(outcome.as_ref().is_err_and(JoinError::is_cancelled));
            say(&inside, "saw the cancel");
        });
        task.task().cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(said(&log), ["called", "saw the cancel"]);
    });
}

#[test]
fn a_shared_handle_is_awaited_by_many() {
    everywhere(|| async {
        let shared = filch::spawn(after(5, String::from("value"))).shared();
        let waits: Vec<_> = (0..50).map(|_| filch::spawn(shared.clone())).collect();
        // One that gives up takes nothing from the others.
        assert!(filch::time::timeout(ms(1), shared.clone()).await.is_err());
        for wait in waits {
            assert_eq!(wait.await.unwrap().unwrap(), "value");
        }
        let mut again = shared.clone();
        assert_eq!((&mut again).await.unwrap(), "value");
        assert_eq!(again.await.unwrap(), "value");
        assert_eq!(shared.await.unwrap(), "value");
        let failed = filch::spawn(async { panic!("on purpose") }).shared();
        let (one, two): (Result<(), _>, _) = (failed.clone().await, failed.await);
        assert!(one.as_ref().unwrap_err().is_panic());
        assert!(Arc::ptr_eq(&one.unwrap_err(), &two.unwrap_err()));
    });
}

#[test]
fn what_a_shutdown_leaves_of_an_observed_task_is_an_error() {
    filch_tests::within(|| {
        let runtime = filch_tests::multi(2);
        let called = Arc::new(AtomicUsize::new(0));
        let calls = called.clone();
        let inside = runtime.enter();
        let task = filch::spawn(pending::<()>()).on_done(move |_| {
            calls.fetch_add(1, Ordering::Relaxed);
        });
        drop(inside);
        drop(runtime);
        let outcome = filch_tests::multi(1).block_on(task);
        assert!(outcome.unwrap_err().is_cancelled());
        // It was called with the error, or dropped.
        assert_eq!(Arc::strong_count(&called), 1);
    });
}
