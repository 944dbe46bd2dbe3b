//! How long a byte waits for its task while the worker of its socket is stuck in a long poll and another worker is free:
//! `cargo bench --bench rescue`.
//!
//! A task registers a socket and then polls for 50 ms without a pause; a byte arrives 3 to 45 ms into that poll. What counts is the time from
//! the byte's sending to the poll of the task that reads it, which is another task on the same worker's reactor.

use filch_benches::{Measurement, RUNTIMES, WORKERS, percentile};
use std::io::Write;
use std::time::{Duration, Instant};

/// Bytes in all, in batches of this many in turns.
const BYTES: usize = 1_000;
const BATCH: usize = 100;
const POLL: Duration = Duration::from_millis(50);

macro_rules! workload {
    ($module:ident, $rt:ident) => {
        mod $module {
            use super::*;
            use $rt::net::{TcpListener, TcpStream};
            use $rt::runtime::Builder;

            pub(super) fn run(count: usize, mut seed: u64) {
                let runtime = Builder::new_multi_thread()
                    .worker_threads(WORKERS)
                    .enable_all()
                    .build()
                    .expect("a runtime starts");
                runtime.block_on(async move {
                    for _ in 0..count {
                        // Xorshift: 3 to 45 ms.
                        seed ^= seed << 13;
                        seed ^= seed >> 7;
                        seed ^= seed << 17;
                        let delay = Duration::from_micros(3_000 + seed % 42_000);
                        println!("{}", $rt::spawn(one(delay)).await.expect("it ends"));
                    }
                });
            }

            /// One byte: its time in microseconds.
            async fn one(delay: Duration) -> f64 {
                let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
                let address = listener.local_addr().expect("it is bound");
                listener.set_nonblocking(true).expect("it can");
                let listener = TcpListener::from_std(listener).expect("a reactor takes it");
                let mut writer = std::net::TcpStream::connect(address).expect("it listens");
                writer.set_nodelay(true).expect("TCP has it");
                let (accepted, _) = listener.accept().await.expect("it accepts");
                // Registered here and now, so with the worker that is about to be stuck (where a runtime has reactors per worker).
                let accepted = accepted.into_std().expect("it can be taken out");
                let reader = $rt::spawn(async move {
                    let stream = TcpStream::from_std(accepted).expect("a reactor takes it");
                    let ready = stream.readable();
                    // The first poll registers; then this worker is stuck, in a task of its own that queues behind.
                    let stuck = $rt::spawn(async {
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
                    ready.await.expect("it becomes readable");
                    let seen = Instant::now();
                    stuck.await.expect("it ends");
                    let (sent, _writer) = sender.join().expect("it sends");
                    seen.duration_since(sent).as_nanos() as f64 / 1_000.0
                });
                reader.await.expect("it ends")
            }
        }
    };
}

workload!(on_filch, filch);
workload!(on_tokio, tokio);

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let [child, runtime, seed] = words.as_slice()
        && child == "--child"
    {
        let seed = seed.parse().expect("a number");
        return match runtime.as_str() {
            "filch" => on_filch::run(BATCH, seed),
            "tokio" => on_tokio::run(BATCH, seed),
            other => panic!("there is no runtime {other}"),
        };
    }
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..BYTES / BATCH {
        let seed = (0x9E37_79B9_7F4A_7C15_u64 ^ round as u64).to_string();
        for (runtime, times) in RUNTIMES.iter().zip(&mut times) {
            let mut child = Measurement::start(&[runtime, &seed]);
            times.extend((0..BATCH).map(|_| child.number()));
            child.finish();
        }
    }
    println!(
        "{WORKERS} workers, polls of {} ms, {BYTES} bytes each, in turns\n",
        POLL.as_millis()
    );
    println!("| runtime | p50 ms | p99 ms | max ms |");
    println!("|---|---:|---:|---:|");
    for (runtime, times) in RUNTIMES.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        let ms = |part| percentile(times, part) / 1_000.0;
        println!("| {runtime} | {:.3} | {:.3} | {:.3} |", ms(0.5), ms(0.99), ms(1.0));
    }
}
