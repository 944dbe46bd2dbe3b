//! How well is uneven work shared? `cargo bench --bench uneven`.

use filch_benches::count::Counting;
use filch_benches::question::{Case, ONCE, Row, Run, Target, ask};
use filch_benches::work::inside;
use filch_benches::{Rt, WORKERS, all};
use std::hint::black_box;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const TASKS: u32 = 20_000;

fn uneven<R: Rt>(run: &mut Run) {
    let runtime = R::start(WORKERS);
    run.time_rounds("uneven", TASKS as usize, 1, 5, || {
        inside(&runtime, async {
            let work = |i: u32| {
                R::spawn(async move {
                    let steps = if i % 97 == 0 { 40 * 500 } else { 500 };
                    (0..steps).fold(i, |sum, step: u32| black_box(sum.wrapping_mul(31).wrapping_add(step)))
                })
            };
            let tasks: Vec<_> = (0..TASKS).map(work).collect();
            for task in tasks {
                black_box(task.await);
            }
        })
    });
}

fn main() {
    ask(
        "uneven",
        &[Case {
            name: "uneven",
            rows: &[Row {
                name: "uneven",
                unit: "ns",
                what: "20,000 tasks that compute, one in 97 forty times as long; per task",
                target: Some(Target::Most(0.85)),
            }],
            contenders: all!(uneven),
            base: "tokio",
            points: ONCE,
            full: false,
            drive: None,
        }],
    );
}
