//! How long does a runtime that sleeps take to hear of something? `cargo bench --bench wake`.

use filch_benches::count::Counting;
use filch_benches::question::{Case, ONCE, Row, Run, Target, ask};
use filch_benches::stats::percentile;
use filch_benches::{Rt, WORKERS, all};
use futures_channel::mpsc;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A task waits for a message of a thread outside, which sends one when all has been still for a while.
fn wake<R: Rt>(run: &mut Run) {
    let count = if run.counts { 200 } else { 500 };
    let runtime = R::start(WORKERS);
    let (to, mut from) = mpsc::unbounded::<Instant>();
    let (back, times) = std::sync::mpsc::channel();
    R::detach(runtime.spawn_on(async move {
        while let Ok(sent) = from.recv().await {
            back.send(sent.elapsed()).expect("it counts");
        }
    }));
    let time = |_| {
        // More than a millisecond, and not in time with anything.
        std::thread::sleep(Duration::from_micros(1_337));
        to.unbounded_send(Instant::now()).expect("it receives");
        times.recv().expect("it answers").as_nanos() as f64 / 1e3
    };
    let times: Vec<f64> = (0..count).map(time).collect();
    run.operations = f64::from(count);
    run.say("wake", percentile(&times, 0.5));
}

fn main() {
    ask(
        "wake",
        &[Case {
            name: "wake",
            rows: &[Row {
                name: "wake",
                unit: "us",
                what: "from a thread's message to the task that waits for it, the runtime having been idle for more than a millisecond; the median of 500",
                target: Some(Target::Most(0.7)),
            }],
            contenders: all!(wake),
            base: "tokio",
            points: ONCE,
            full: false,
            drive: None,
        }],
    );
}
