//! Two coroutines that wait at the same time: `cargo run -p filch --example c1_c2`.
//!
//! One takes 1 s, the other 2 s, both together 2 s: while one waits the other goes on.

use filch::time::{Duration, Instant, sleep};

fn main() {
    filch::run(async {
        let start = Instant::now();
        filch::join!(coroutine("c1", 1, start), coroutine("c2", 2, start));
        println!("both: {:.2} s", start.elapsed().as_secs_f64());
    });
}

async fn coroutine(name: &str, seconds: u64, start: Instant) {
    println!("{name}: start at {:.2} s", start.elapsed().as_secs_f64());
    sleep(Duration::from_secs(seconds)).await;
    println!("{name}: stop at {:.2} s", start.elapsed().as_secs_f64());
}
