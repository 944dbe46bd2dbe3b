//! How long does a byte wait for its task while the worker of its socket is stuck in a long poll, and another worker is free? `cargo bench --bench stuck`.
//!
//! A task registers a socket and then another one polls for 50 ms without a pause; a byte arrives 3 to 45 ms into that poll. What counts is the time from
//! the byte's sending to the poll of the task that reads it.

use filch_benches::count::Counting;
use filch_benches::question::{Case, ONCE, Row, Run, Target, ask};
use filch_benches::stats::{Random, percentile};
use filch_benches::{Rt, Stream, WORKERS, all};
use std::io::Write;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const POLL: Duration = Duration::from_millis(50);

fn stuck<R: Rt>(run: &mut Run) {
    let count = if run.counts { 20 } else { 100 };
    let runtime = R::start(WORKERS);
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let time = |_| {
        let delay = Duration::from_micros(3_000 + random.draw() % 42_000);
        runtime.block_on(runtime.spawn_on(one::<R>(delay)))
    };
    let times: Vec<f64> = (0..count).map(time).collect();
    run.operations = f64::from(count);
    run.say("stuck_p50", percentile(&times, 0.5));
    run.say("stuck_p99", percentile(&times, 0.99));
}

/// One byte: its time in milliseconds.
async fn one<R: Rt>(delay: Duration) -> f64 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let mut writer = std::net::TcpStream::connect(address).expect("it listens");
    writer.set_nodelay(true).expect("TCP has it");
    let (accepted, _) = listener.accept().expect("it connected");
    // Registered here and now, so with the worker that is about to be stuck (where a runtime has reactors per worker).
    let stream = R::adopt(accepted).expect("a reactor takes it");
    let stuck = R::spawn(async {
        let begin = Instant::now();
        while begin.elapsed() < POLL {
            std::hint::spin_loop();
        }
    });
    let sender = std::thread::spawn(move || {
        std::thread::sleep(delay);
        let sent = Instant::now();
        writer.write_all(b"x").expect("the socket takes a byte");
        (sent, writer)
    });
    stream.readable().await.expect("it becomes readable");
    let seen = Instant::now();
    stuck.await;
    let (sent, _writer) = sender.join().expect("it sends");
    seen.duration_since(sent).as_nanos() as f64 / 1e6
}

fn main() {
    ask(
        "stuck",
        &[Case {
            name: "stuck",
            rows: &[
                Row {
                    name: "stuck_p50",
                    unit: "ms",
                    what: "a byte for a task whose worker is in a poll of 50 ms, the other one free; the median of 100",
                    target: None,
                },
                Row {
                    name: "stuck_p99",
                    unit: "ms",
                    what: "the 99th percentile of these",
                    target: Some(Target::Figure(2.0)),
                },
            ],
            contenders: all!(stuck),
            base: "tokio",
            points: ONCE,
            full: false,
            drive: None,
        }],
    );
}
