//! A whole runtime, as a program has it: its threads, with the watcher's, its beginning, `block_on`, and its end.

use super::harness::model;
use super::support::{Counts, Output, counted, outcome};
use crate::blocking::ThreadConfig;
use crate::handle::Handle;
use crate::rt::Runtime;
use crate::scheduler::worker;
use crate::settings::Settings;
use crate::task::JoinHandle;
use loom::thread;
use std::panic::Location;
use std::sync::Arc;
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
        max_blocking_threads: 1,
        keep_alive: Duration::MAX,
        start_paused: false,
        deterministic: None,
        threads,
    };
    Runtime::start(settings).expect("threads and fake kernels")
}

/// Spawns as a program would, a future that no program could: it is not `Send`.
#[track_caller]
fn spawn(handle: &Handle, counts: &Arc<Counts>) -> JoinHandle<Output> {
    worker::spawn(&handle.inner().shared, counted(counts, |_| true), Location::caller())
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
