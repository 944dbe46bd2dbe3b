//! What does a runtime cost before it does anything? `cargo bench --bench start`.

use filch_benches::count::Counting;
use filch_benches::question::{Case, Contender, ONCE, Row, Run, Target, ask};
use filch_benches::{Rt, WORKERS, all};
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn start<R: Rt>(run: &mut Run) {
    const TIMES: usize = 20;
    run.time("start_stop", TIMES, || {
        let begin = Instant::now();
        for _ in 0..TIMES {
            R::start(WORKERS).stop();
        }
        begin.elapsed()
    });
}

/// As many threads as a runtime has workers, and nothing else.
fn threads(run: &mut Run) {
    const TIMES: usize = 20;
    run.time("start_stop", TIMES, || {
        let begin = Instant::now();
        for _ in 0..TIMES {
            let threads: Vec<_> = (0..WORKERS).map(|_| std::thread::spawn(|| ())).collect();
            for thread in threads {
                thread.join().expect("it does nothing");
            }
        }
        begin.elapsed()
    });
}

fn main() {
    let contenders: &[Contender] = all!(start, threads);
    ask(
        "start",
        &[Case {
            name: "start_stop",
            rows: &[Row {
                name: "start_stop",
                unit: "ns",
                what: "start a runtime with two workers and stop it (bare: start two threads and join them)",
                target: Some(Target::Most(0.5)),
            }],
            contenders,
            base: "tokio",
            points: ONCE,
            full: false,
            drive: None,
        }],
    );
}
