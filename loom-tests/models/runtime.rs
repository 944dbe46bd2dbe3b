//! A whole runtime, as a program has it: its threads, with the watcher's, its beginning, `block_on`, and its end.

use super::harness::model;
use super::support::{Counts, Output, Socket, counted, outcome};
use crate::blocking::ThreadConfig;
use crate::handle::Handle;
use crate::rt::Runtime;
use crate::scheduler::gate::ALL;
use crate::scheduler::worker;
use crate::settings::Settings;
use crate::shim::UnsafeCell;
use crate::task::JoinHandle;
use crate::task::raw::Plain;
use filch_io::{Interest, Kind, Ready, Registered};
use loom::thread;
use std::future::poll_fn;
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
// Read when all threads are gone: no part of what is explored.
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn start(multi_thread: bool, workers: usize) -> Runtime {
    start_with(multi_thread, workers, false)
}

/// As a runner starts it.
fn gated(workers: usize) -> Runtime {
    start_with(true, workers, true)
}

fn start_with(multi_thread: bool, workers: usize, gated: bool) -> Runtime {
    let threads = ThreadConfig {
        name: Arc::new(String::new),
        stack_size: None,
        on_start: None,
        on_stop: None,
    };
    let settings = Settings {
        multi_thread,
        workers,
        max_blocking_threads: 1,
        keep_alive: Duration::MAX,
        deterministic: None,
        // The machine's time is nothing that a model could explore.
        start_paused: !multi_thread,
        threads,
        gated,
        debug: None,
    };
    Runtime::start(settings).expect("threads and fake kernels")
}

pub(super) fn runtime(workers: usize) -> Runtime {
    start(true, workers)
}

/// Spawns as a program would, a future that no program could: it is not `Send`.
#[track_caller]
fn spawn(handle: &Handle, counts: &Arc<Counts>) -> JoinHandle<Output> {
    spawn_by(handle, counted(counts, |_| true))
}

#[track_caller]
pub(super) fn spawn_by<F: Future + 'static>(handle: &Handle, future: F) -> JoinHandle<F::Output> {
    worker::spawn(&handle.inner().shared, Plain::new(future, Location::caller()))
}

#[test]
fn block_on_returns_when_its_task_is_done() {
    model("block_on_returns_when_its_task_is_done", Some(2), || {
        let runtime = runtime(1);
        let counts = Counts::new();
        let task = spawn(runtime.handle(), &counts);
        assert_eq!(runtime.block_on(task).expect("a value").read(), 7);
        drop(runtime);
        assert_eq!(counts.future_drops(), 1);
    });
}

#[test]
fn several_workers_end_together() {
    model("several_workers_end_together", Some(1), || {
        let runtime = runtime(2);
        let counts = Counts::new();
        let task = spawn(runtime.handle(), &counts);
        drop(runtime);
        let polled = counts.polls() == 1;
        assert_eq!(outcome(task).is_ok(), polled);
        assert_eq!(counts.future_drops(), 1);
        assert_eq!(counts.output_drops(), usize::from(polled));
    });
}

#[test]
fn a_spawn_beside_the_shutdown_runs_or_is_cancelled() {
    model("a_spawn_beside_the_shutdown_runs_or_is_cancelled", Some(2), || {
        let runtime = runtime(1);
        let counts = Counts::new();
        let spawner = thread::spawn({
            let (handle, counts) = (runtime.handle().clone(), counts.clone());
            move || spawn(&handle, &counts)
        });
        drop(runtime);
        let task = spawner.join().expect("joined");
        let polled = counts.polls() == 1;
        assert_eq!(outcome(task).is_ok(), polled);
        assert_eq!(counts.future_drops(), 1);
    });
}

/// As above, with a lane: its driver comes with the task, and may be refused.
#[test]
fn a_spawn_onto_a_lane_beside_the_shutdown_runs_or_is_cancelled() {
    let name = "a_spawn_onto_a_lane_beside_the_shutdown_runs_or_is_cancelled";
    model(name, Some(2), || {
        let runtime = runtime(1);
        let (lane, counts) = (runtime.lane(), Counts::new());
        let spawner = thread::spawn({
            let (lane, counts) = (lane.clone(), counts.clone());
            move || lane.spawn_at(counted(&counts, |_| true), Location::caller())
        });
        drop(runtime);
        let task = spawner.join().expect("joined");
        let polled = counts.polls() == 1;
        assert_eq!(outcome(task).is_ok(), polled);
        assert_eq!((counts.future_drops(), lane.len()), (1, 0));
    });
}

/// Whoever waits outside for a task that waits for nothing is told of its end.
#[test]
fn who_waits_elsewhere_is_told_of_the_end() {
    model("who_waits_elsewhere_is_told_of_the_end", Some(2), || {
        let runtime = runtime(1);
        let counts = Counts::new();
        let guest = thread::spawn({
            let (handle, counts) = (runtime.handle().clone(), counts.clone());
            move || {
                let task = worker::spawn(
                    &handle.inner().shared,
                    Plain::new(counted(&counts, |_| false), Location::caller()),
                );
                handle.block_on(task)
            }
        });
        drop(runtime);
        let result = guest.join().expect("joined");
        assert!(result.is_err_and(|error| error.is_cancelled()));
        assert_eq!(counts.future_drops(), 1);
    });
}

#[test]
fn a_blocking_job_runs_or_is_cancelled_by_the_end() {
    model("a_blocking_job_runs_or_is_cancelled_by_the_end", Some(2), || {
        let runtime = runtime(1);
        let ran = Arc::new(AtomicUsize::new(0));
        let job = runtime.spawn_blocking({
            let ran = ran.clone();
            move || ran.fetch_add(1, Ordering::Relaxed)
        });
        drop(runtime);
        let result = outcome(job);
        assert_eq!(ran.load(Ordering::Relaxed), usize::from(result.is_ok()));
    });
}

/// The only timer lies an hour ahead, and a job runs: the clock jumps when the job is over and whoever awaits it was woken, not before.
#[test]
fn a_paused_clock_does_not_jump_over_a_job() {
    model("a_paused_clock_does_not_jump_over_a_job", Some(2), || {
        let runtime = start(false, 1);
        runtime.block_on(async {
            let mut job = pin!(crate::task::spawn_blocking(|| ()));
            let mut sleep = pin!(filch_timer::sleep(Duration::from_secs(3600)));
            poll_fn(|cx| {
                // The timer first: if both are there at once, it came too early.
                assert!(sleep.as_mut().poll(cx).is_pending(), "time jumped over a job");
                job.as_mut().poll(cx)
            })
            .await
            .expect("a job that ran");
            sleep.await;
        });
    });
}

fn socket(runtime: &Runtime) -> Registered<Socket> {
    let _inside = runtime.enter();
    Registered::new(Socket(None), Interest::READABLE, Kind::Other).expect("a runtime that is open")
}

/// From the kernel's event to the task that waits for it, and from there to `block_on`.
#[test]
fn an_event_of_a_socket_is_not_slept_over() {
    model("an_event_of_a_socket_is_not_slept_over", Some(1), || {
        let runtime = runtime(1);
        let io = socket(&runtime);
        let line = io.get_ref().0.clone().expect("it is registered");
        let kernel = thread::spawn(move || line.edge(Ready::READABLE));
        let wait = async move { io.readiness(Interest::READABLE).await };
        let task = worker::spawn(&runtime.handle().inner().shared, Plain::new(wait, Location::caller()));
        let ready = runtime.block_on(task).expect("no panic").expect("an open runtime");
        assert_eq!(ready, Ready::READABLE);
        kernel.join().expect("joined");
    });
}

/// One socket at each of two reactors, waited for outside: both waits end with the runtime.
#[test]
fn sockets_of_all_reactors_are_told_of_the_end() {
    model("sockets_of_all_reactors_are_told_of_the_end", Some(1), || {
        let runtime = runtime(2);
        let sockets = [socket(&runtime), socket(&runtime)];
        let handle = runtime.handle().clone();
        let guest = thread::spawn(move || {
            let waits = sockets.each_ref().map(|io| io.readiness(Interest::READABLE));
            handle.block_on(async {
                for wait in waits {
                    assert!(wait.await.is_err(), "readiness that nobody reported");
                }
            });
        });
        drop(runtime);
        guest.join().expect("joined");
    });
}

/// Before the first run, between two runs, and behind the last nobody polls. A cell that the task writes to stands for what it works on.
#[test]
fn between_two_runs_nobody_polls() {
    model("between_two_runs_nobody_polls", Some(2), || {
        let runtime = gated(1);
        let (counts, cell) = (Counts::new(), loom::sync::Arc::new(UnsafeCell::new(0)));
        let (work, mut again) = (cell.clone(), true);
        let task = counted(&counts, move |cx| {
            // SAFETY: loom reports it if somebody reads at the same time.
            work.with_mut(|work| unsafe { *work += 1 });
            if std::mem::replace(&mut again, false) {
                cx.waker().wake_by_ref();
            }
            false
        });
        let task = worker::spawn(&runtime.handle().inner().shared, Plain::new(task, Location::caller()));
        // SAFETY: as above; and so does loom what comes at the same time as this.
        let look = || cell.with(|work| unsafe { *work });
        assert_eq!(look(), 0);
        runtime.block_on_within(ALL, async {});
        let polls = look();
        assert_eq!(polls, counts.polls());
        drop(runtime);
        assert!(outcome(task).is_err());
        assert_eq!((counts.polls(), counts.future_drops()), (polls, 1));
    });
}

/// A worker that is on its way to sleep when the run ends stands aside, and takes part in the next run.
#[test]
fn a_sleeper_stands_aside() {
    model("a_sleeper_stands_aside", Some(1), || {
        let runtime = gated(1);
        runtime.block_on_within(ALL, async {});
        let counts = Counts::new();
        let task = spawn(runtime.handle(), &counts);
        assert_eq!(counts.polls(), 0);
        assert_eq!(runtime.block_on_within(ALL, task).expect("a value").read(), 7);
        drop(runtime);
    });
}

/// Whoever waits for the last task to end is told, also when that task came last.
#[test]
fn the_end_of_the_last_task_is_told() {
    model("the_end_of_the_last_task_is_told", Some(1), || {
        let runtime = gated(1);
        let (first, second) = (Counts::new(), Counts::new());
        let (handle, counts) = (runtime.handle().clone(), second.clone());
        let task = counted(&first, move |_| {
            drop(spawn(&handle, &counts));
            true
        });
        drop(worker::spawn(
            &runtime.handle().inner().shared,
            Plain::new(task, Location::caller()),
        ));
        let shared = runtime.handle().inner().shared.clone();
        runtime.block_on_within(ALL, poll_fn(|cx| shared.poll_idle(cx)));
        shared.stop_watching();
        assert_eq!((first.output_drops(), second.output_drops()), (1, 1));
        drop(runtime);
    });
}
