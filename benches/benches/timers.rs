//! What do timers cost? `cargo bench --bench timers`.

use filch_benches::count::{Counting, cpu_seconds};
use filch_benches::question::{Case, ONCE, Row, Run, Target, ask};
use filch_benches::work::inside;
use filch_benches::{Rt, WORKERS, all};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn timeouts<R: Rt>(run: &mut Run) {
    let runtime = R::start(WORKERS);
    run.time("timeout", 10_000, || {
        inside(&runtime, async {
            for _ in 0..10_000 {
                R::timeout(Duration::from_secs(30), R::yield_now())
                    .await
                    .expect("in time");
            }
        })
    });
}

fn sleeps<R: Rt>(run: &mut Run) {
    let count: u32 = if run.counts { 50_000 } else { 500_000 };
    let runtime = R::start(WORKERS);
    let begin = cpu_seconds();
    let all = runtime.spawn_on(async move {
        let one = |i: u32| {
            R::spawn(async move {
                let time = Duration::from_micros(200_000 + u64::from(i % 18_000) * 100);
                let begin = Instant::now();
                R::sleep(time).await;
                begin.elapsed().saturating_sub(time).as_nanos() as f64
            })
        };
        let tasks: Vec<_> = (0..count).map(one).collect();
        let mut late = 0.0;
        for task in tasks {
            late += task.await;
        }
        late / f64::from(count) / 1e3
    });
    let late = runtime.block_on(all);
    run.operations = f64::from(count);
    run.cpu = Some((cpu_seconds() - begin, f64::from(count)));
    run.say("sleeps_late", late);
}

fn main() {
    ask(
        "timers",
        &[
            Case {
                name: "timeout",
                rows: &[Row {
                    name: "timeout",
                    unit: "ns",
                    what: "a timeout of 30 s around a yield, dropped; each",
                    target: Some(Target::Most(0.4)),
                }],
                contenders: all!(timeouts),
                base: "tokio",
                points: ONCE,
                full: false,
                drive: None,
            },
            Case {
                name: "sleeps",
                rows: &[
                    Row {
                        name: "sleeps",
                        unit: "ns CPU",
                        what: "500,000 sleeps of 0.2 to 2 s at once, 18,000 different deadlines; processor time per sleep",
                        target: Some(Target::Most(0.4)),
                    },
                    Row {
                        name: "sleeps_late",
                        unit: "us",
                        what: "how much later than asked for these sleeps end; the mean",
                        target: Some(Target::Figure(1_000.0)),
                    },
                ],
                contenders: all!(sleeps),
                base: "tokio",
                points: ONCE,
                full: false,
                drive: None,
            },
        ],
    );
}
