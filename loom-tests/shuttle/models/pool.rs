//! A whole runtime with three workers: spawns, wakes, aborts, foreign threads, blocking jobs, and the end in the middle of it all.

use super::harness::explore;
use crate::blocking::ThreadConfig;
use crate::handle::Handle;
use crate::rt::Runtime;
use crate::settings::Settings;
use crate::task::JoinHandle;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Condvar, Mutex};
use loom::thread;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

fn runtime(workers: usize) -> Runtime {
    let threads = ThreadConfig {
        name: Arc::new(String::new),
        stack_size: None,
        on_start: None,
        on_stop: None,
    };
    let settings = Settings {
        multi_thread: true,
        workers,
        max_blocking_threads: 2,
        keep_alive: Duration::MAX,
        start_paused: false,
        deterministic: None,
        threads,
        gated: false,
        debug: None,
    };
    Runtime::start(settings).expect("threads and fake kernels")
}

/// What became of the futures of one run. Plain counters: nothing waits for them.
#[derive(Default)]
struct Count {
    made: std::sync::atomic::AtomicUsize,
    dropped: std::sync::atomic::AtomicUsize,
}

impl Count {
    fn future(self: &Arc<Self>) -> Alive {
        self.made.fetch_add(1, Ordering::Relaxed);
        Alive(self.clone())
    }

    fn assert_all_dropped(&self) {
        let (made, dropped) = (self.made.load(Ordering::Relaxed), self.dropped.load(Ordering::Relaxed));
        assert_eq!(made, dropped, "{made} futures were made, {dropped} dropped");
    }
}

struct Alive(Arc<Count>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

async fn yield_now() {
    crate::task::yield_now().await;
}

/// A flag that a task waits for and anybody raises.
#[derive(Default)]
struct Flag(Mutex<(bool, Option<Waker>)>);

impl Flag {
    fn raise(&self) {
        let waker = {
            let mut state = self.0.lock().unwrap();
            state.0 = true;
            state.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    async fn wait(&self) {
        poll_fn(|cx| {
            let mut state = self.0.lock().unwrap();
            if state.0 {
                return Poll::Ready(());
            }
            state.1 = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Waits for a handle on a thread that is no worker.
fn wait<T>(handle: &Handle, task: JoinHandle<T>) -> Option<T> {
    handle.block_on(task).ok()
}

/// Tasks spawn tasks, wake each other and are woken by a foreign thread; everything comes to its end. A lost wake is a deadlock.
#[test]
fn everything_that_is_woken_runs() {
    explore("everything_that_is_woken_runs", || {
        let runtime = runtime(3);
        let (count, first, second) = (Arc::<Count>::default(), Arc::<Flag>::default(), Arc::<Flag>::default());
        let foreign = {
            let (first, handle, count) = (first.clone(), runtime.handle().clone(), count.clone());
            thread::spawn(move || {
                first.raise();
                let alive = count.future();
                let task = handle.spawn(async move {
                    let _alive = alive;
                    yield_now().await;
                });
                assert!(wait(&handle, task).is_some());
            })
        };
        let sum = runtime.block_on({
            let (count, first, second) = (count.clone(), first.clone(), second.clone());
            async move {
                let mut tasks = Vec::new();
                for number in 0..3 {
                    let (alive, first, second) = (count.future(), first.clone(), second.clone());
                    tasks.push(crate::spawn(async move {
                        let _alive = alive;
                        match number {
                            0 => {
                                first.wait().await;
                                second.raise();
                            }
                            1 => second.wait().await,
                            _ => yield_now().await,
                        }
                        crate::spawn(async move { number }).await.unwrap()
                    }));
                }
                let mut sum = 0;
                for task in tasks {
                    sum += task.await.unwrap();
                }
                sum
            }
        });
        assert_eq!(sum, 3);
        foreign.join().unwrap();
        drop(runtime);
        count.assert_all_dropped();
    });
}

/// Aborts from a task and from a foreign thread, against polls and completions, and the end of the runtime in the middle: each
/// handle gives one outcome, and each future is dropped once.
#[test]
fn aborts_and_the_end_leave_nothing() {
    explore("aborts_and_the_end_leave_nothing", || {
        let runtime = runtime(3);
        let count = Arc::<Count>::default();
        let mut tasks = Vec::new();
        for number in 0..4 {
            let (alive, count) = (count.future(), count.clone());
            tasks.push(runtime.spawn(async move {
                let _alive = alive;
                if number % 2 == 0 {
                    yield_now().await;
                }
                let alive = count.future();
                // Nobody awaits it: it ends, or the runtime ends it.
                crate::spawn(async move {
                    let _alive = alive;
                    yield_now().await;
                });
                number
            }));
        }
        let aborts: Vec<_> = tasks[..2].iter().map(JoinHandle::abort_handle).collect();
        let foreign = thread::spawn(move || aborts.iter().for_each(|task| task.abort()));
        let (handle, late) = (runtime.handle().clone(), count.future());
        let spawner = {
            let handle = handle.clone();
            thread::spawn(move || {
                let task = handle.spawn(async move {
                    let _late = late;
                    yield_now().await;
                    9
                });
                wait(&handle, task)
            })
        };
        let first = wait(&handle, tasks.remove(0));
        assert!(matches!(first, None | Some(0)));
        drop(runtime);
        foreign.join().unwrap();
        assert!(matches!(spawner.join().unwrap(), None | Some(9)));
        for (number, task) in (1..).zip(tasks) {
            assert!(task.is_finished());
            let outcome = wait(&handle, task);
            assert!(outcome.is_none() || outcome == Some(number));
        }
        count.assert_all_dropped();
    });
}

/// A worker whose task blocks its thread until its children have run: those that are queued are stolen. (The last one would be the watcher's, who does not
/// look by itself here.)
#[test]
fn a_busy_workers_queue_is_stolen() {
    explore("a_busy_workers_queue_is_stolen", || {
        let runtime = runtime(3);
        let ran = Arc::new((Mutex::new(0), Condvar::new()));
        let parent = runtime.spawn({
            let ran = ran.clone();
            async move {
                for _ in 0..4 {
                    let ran = ran.clone();
                    crate::spawn(async move {
                        *ran.0.lock().unwrap() += 1;
                        ran.1.notify_all();
                    });
                }
                let mut count = ran.0.lock().unwrap();
                while *count < 2 {
                    count = ran.1.wait(count).unwrap();
                }
            }
        });
        assert!(wait(runtime.handle(), parent).is_some());
        drop(runtime);
    });
}

/// Jobs of the blocking pool against its cap and against the end: each runs or is cancelled, once.
#[test]
fn jobs_run_or_are_cancelled() {
    explore("jobs_run_or_are_cancelled", || {
        let runtime = runtime(1);
        let (ran, count) = (Arc::new(AtomicUsize::new(0)), Arc::<Count>::default());
        let jobs: Vec<_> = (0..4)
            .map(|_| {
                let (ran, alive) = (ran.clone(), count.future());
                runtime.spawn_blocking(move || {
                    let _alive = alive;
                    ran.fetch_add(1, Ordering::Relaxed);
                })
            })
            .collect();
        let handle = runtime.handle().clone();
        let aborter = {
            let job = jobs[2].abort_handle();
            thread::spawn(move || job.abort())
        };
        drop(runtime);
        aborter.join().unwrap();
        let done = jobs.into_iter().filter_map(|job| wait(&handle, job)).count();
        assert_eq!(done, ran.load(Ordering::Relaxed));
        count.assert_all_dropped();
    });
}
