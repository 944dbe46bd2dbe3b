//! What does a task weigh? `cargo bench --bench memory`.

use filch_benches::count::{Counting, resident_bytes};
use filch_benches::question::{Case, ONCE, Row, Run, Target, ask};
use filch_benches::{Rt, WORKERS, all};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const TASKS: u32 = 500_000;

fn parked<R: Rt>(run: &mut Run) {
    memory::<R>(run, "parked_task", || R::detach(R::spawn(std::future::pending::<()>())));
}

fn sleeping<R: Rt>(run: &mut Run) {
    memory::<R>(run, "sleeping_task", || {
        R::detach(R::spawn(R::sleep(Duration::from_secs(1_000))))
    });
}

fn memory<R: Rt>(run: &mut Run, row: &str, one: impl Fn() + Send + 'static) {
    let runtime = R::start(WORKERS);
    let measured = runtime.spawn_on(async move {
        for _ in 0..1_000 {
            one();
        }
        let before = resident_bytes();
        for i in 0..TASKS {
            one();
            if i % 1_000 == 0 {
                R::yield_now().await;
            }
        }
        // Until each was polled for the first time.
        R::sleep(Duration::from_millis(300)).await;
        resident_bytes() - before
    });
    let bytes = runtime.block_on(measured);
    run.operations = f64::from(TASKS);
    run.say(row, bytes / f64::from(TASKS));
}

fn main() {
    ask(
        "memory",
        &[
            Case {
                name: "parked_task",
                rows: &[Row {
                    name: "parked_task",
                    unit: "bytes",
                    what: "500,000 tasks that wait for ever, detached; resident memory per task",
                    target: Some(Target::Figure(112.0)),
                }],
                contenders: all!(parked),
                base: "tokio",
                points: ONCE,
                full: false,
                drive: None,
            },
            Case {
                name: "sleeping_task",
                rows: &[Row {
                    name: "sleeping_task",
                    unit: "bytes",
                    what: "500,000 tasks that sleep, detached; resident memory per task",
                    target: Some(Target::Figure(200.0)),
                }],
                contenders: all!(sleeping),
                base: "tokio",
                points: ONCE,
                full: false,
                drive: None,
            },
        ],
    );
}
