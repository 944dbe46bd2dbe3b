//! Four tasks that each compute for a second, and a ticker beside them, on two workers.
//!
//! On one event loop this takes four seconds, and the ticker is late by as much. Here two tasks compute on the workers; when the workers have been
//! stuck for 10 ms, spare threads take over the other two, and one more what the ticker's timer wakes. So the four share the machine's cores, and the ticker is
//! hardly late.
//!
//! ```text
//! cargo run --release -p filch --example busy
//! ```

use filch::time::{Duration, Instant, MissedTickBehavior, interval};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const TASKS: usize = 4;
const BUSY: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(100);

/// Computes until this thread has used so much time of a core.
fn compute() {
    let begin = cpu_time();
    let mut x = 1u64;
    while cpu_time() - begin < BUSY {
        for _ in 0..100_000 {
            x = std::hint::black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    }
}

/// What this thread has computed so far, as the system counts it.
#[cfg(target_os = "linux")]
fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or(0),
        u32::try_from(now.tv_nsec).unwrap_or(0),
    )
}

/// Elsewhere the time that passes has to do.
#[cfg(not(target_os = "linux"))]
fn cpu_time() -> Duration {
    use std::sync::OnceLock;
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    BEGIN.get_or_init(Instant::now).elapsed()
}

/// Counts its ticks and the worst lateness, until it is told that it is over.
async fn ticker(over: Arc<AtomicBool>) -> (u32, Duration) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut count, mut worst) = (0, Duration::ZERO);
    while !over.load(Ordering::Relaxed) {
        let due = ticks.tick().await;
        worst = worst.max(due.elapsed());
        count += 1;
    }
    (count, worst)
}

fn main() -> std::io::Result<()> {
    let runtime = filch::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    let over = Arc::new(AtomicBool::new(false));
    let begin = Instant::now();
    let (ticks, worst) = runtime.block_on(async {
        let ticker = filch::spawn(ticker(over.clone()));
        filch::gather((0..TASKS).map(|_| async { compute() })).await;
        println!("all: {:.2} s", begin.elapsed().as_secs_f64());
        over.store(true, Ordering::Relaxed);
        ticker.await.expect("it does not panic")
    });
    println!(
        "ticks: {ticks}, late by {:.1} ms at the worst",
        worst.as_secs_f64() * 1e3
    );
    println!("spares were called {} times", runtime.metrics().spare_takeover_count());
    Ok(())
}
