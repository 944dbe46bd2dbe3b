//! How late does a timer come where all workers compute? `cargo bench --bench late`.

use filch_benches::count::Counting;
use filch_benches::question::{Case, ONCE, Row, Run, Target, ask};
use filch_benches::stats::percentile;
use filch_benches::{Rt, WORKERS, all};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SLEEP: Duration = Duration::from_micros(500);
const SLICE: Duration = Duration::from_millis(2);

/// Computes for a while without a pause.
fn slice() {
    let begin = Instant::now();
    while begin.elapsed() < SLICE {
        std::hint::spin_loop();
    }
}

fn late<R: Rt>(run: &mut Run) {
    let count = if run.counts { 50 } else { 300 };
    let runtime = R::start(WORKERS);
    let over = Arc::new(AtomicBool::new(false));
    for _ in 0..4 {
        let over = over.clone();
        R::detach(runtime.spawn_on(async move {
            while !over.load(Ordering::Relaxed) {
                slice();
                R::yield_now().await;
            }
        }));
    }
    let times = runtime.spawn_on(async move {
        let mut times = Vec::new();
        for _ in 0..count {
            let begin = Instant::now();
            R::sleep(SLEEP).await;
            times.push(begin.elapsed().as_nanos() as f64 / 1e3);
        }
        times
    });
    let times = runtime.block_on(times);
    over.store(true, Ordering::Relaxed);
    run.operations = f64::from(count);
    run.say("late_p99", percentile(&times, 0.99));
}

/// The least that is possible without breaking into a slice: threads that look at the clock between two slices, and do nothing else.
fn bare(run: &mut Run) {
    let count = if run.counts { 50 } else { 300 };
    // When the sleep began, and how long those before took; whoever finds it over begins the next one.
    let sleep = Mutex::new((Instant::now(), Vec::new()));
    std::thread::scope(|threads| {
        let work = || {
            loop {
                slice();
                let mut sleep = sleep.lock().expect("nobody panics");
                let (begin, times) = &mut *sleep;
                if times.len() == count {
                    return;
                }
                let time = begin.elapsed();
                if time >= SLEEP {
                    times.push(time.as_nanos() as f64 / 1e3);
                    *begin = Instant::now();
                }
            }
        };
        for _ in 0..WORKERS {
            threads.spawn(work);
        }
    });
    let (_, times) = sleep.into_inner().expect("nobody panics");
    run.operations = times.len() as f64;
    run.say("late_p99", percentile(&times, 0.99));
}

fn main() {
    ask(
        "late",
        &[Case {
            name: "late",
            rows: &[Row {
                name: "late_p99",
                unit: "us",
                what: "a sleep of 500 us while 4 tasks compute in slices of 2 ms; the 99th percentile of 300 (bare: two threads that look at the clock between two slices)",
                target: Some(Target::Most(0.5)),
            }],
            contenders: all!(late, bare),
            base: "tokio",
            points: ONCE,
            full: false,
            drive: None,
        }],
    );
}
