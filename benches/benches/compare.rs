//! filch against Tokio, case by case, in turns: `cargo bench --bench compare`.
//!
//! `cargo bench --bench compare -- spawn echo` runs only the cases whose names contain one of the words; `--rounds N` sets how often
//! each is run (7 by default). Every figure is a median over the rounds, the ratio the median of the ratios of each round.

use filch_benches::{Measurement, RUNTIMES, WORKERS, cpu_seconds, median, resident_bytes, wait_for_stop};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

/// Name, unit, what it is.
const CASES: [(&str, &str, &str); 13] = [
    ("spawn", "ns", "spawn 10,000 tasks from a task, join all; per task"),
    (
        "spawn_outside",
        "ns",
        "spawn 10,000 tasks from outside, join all; per task",
    ),
    ("spawn_join", "ns", "spawn and join one after the other; per task"),
    ("chain", "ns", "each task spawns the next; per task"),
    ("yield", "ns", "200 tasks yield 1,000 times each; per yield"),
    (
        "ping_pong",
        "ns",
        "1,000 pairs of tasks answer each other over oneshots; per pair",
    ),
    ("ring", "ns", "a token goes round 1,000 tasks; per hop"),
    ("timeout", "ns", "a timeout of 30 s around a yield, dropped; each"),
    (
        "sleeps",
        "ns CPU",
        "100,000 sleeps of 0.2 to 1 s at once; processor time per sleep",
    ),
    (
        "echo",
        "ns CPU",
        "TCP echo of 64 bytes over 128 connections; the server's processor time per message",
    ),
    (
        "parked_task",
        "bytes",
        "200,000 tasks that wait for ever, detached; resident memory per task",
    ),
    (
        "sleeping_task",
        "bytes",
        "200,000 sleeping tasks, detached; resident memory per task",
    ),
    ("start_stop", "ns", "start a runtime and shut it down"),
];

/// The same program for each runtime.
macro_rules! workloads {
    ($module:ident, $rt:ident, $($io:ident)::+) => {
        mod $module {
            use super::*;
            use futures_channel::{mpsc, oneshot};
            use $rt::runtime::{Builder, Runtime};
            use $rt::spawn;
            use $rt::task::yield_now;
            use $rt::time::{sleep, timeout};

            fn runtime() -> Runtime {
                Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build().expect("a runtime starts")
            }

            /// Runs a body in a task, so that it is on a worker, some rounds to warm up and some that count; the median time of a round.
            fn measure<F: Future<Output = ()> + Send + 'static>(operations: u32, body: impl Fn() -> F) -> f64 {
                let runtime = runtime();
                runtime.block_on(async {
                    let mut times = Vec::new();
                    for round in 0..13 {
                        let future = body();
                        let time = spawn(async move {
                            let begin = Instant::now();
                            future.await;
                            begin.elapsed()
                        });
                        let time = time.await.expect("the body ends");
                        if round >= 3 {
                            times.push(time.as_nanos() as f64 / f64::from(operations));
                        }
                    }
                    median(&times)
                })
            }

            pub(super) fn run(case: &str) {
                let result = match case {
                    "spawn" => measure(10_000, || async {
                        let tasks: Vec<_> = (0..10_000_u32).map(|i| spawn(async move { i })).collect();
                        for task in tasks {
                            task.await.expect("it ends");
                        }
                    }),
                    "spawn_outside" => spawn_outside(),
                    "spawn_join" => measure(10_000, || async {
                        for i in 0..10_000_u32 {
                            spawn(async move { i }).await.expect("it ends");
                        }
                    }),
                    "chain" => measure(10_000, || async {
                        let (done, end) = oneshot::channel();
                        link(10_000, done);
                        end.await.expect("the chain ends");
                    }),
                    "yield" => measure(200_000, || async {
                        let tasks: Vec<_> = (0..200)
                            .map(|_| {
                                spawn(async {
                                    for _ in 0..1_000 {
                                        yield_now().await;
                                    }
                                })
                            })
                            .collect();
                        for task in tasks {
                            task.await.expect("it ends");
                        }
                    }),
                    "ping_pong" => measure(1_000, || async {
                        let (done, mut ends) = mpsc::unbounded();
                        for _ in 0..1_000 {
                            let done = done.clone();
                            spawn(async move {
                                let (ping, pinged) = oneshot::channel();
                                let (pong, ponged) = oneshot::channel();
                                spawn(async move {
                                    pinged.await.expect("a ping");
                                    pong.send(()).expect("it waits");
                                });
                                spawn(async move {
                                    ping.send(()).expect("it waits");
                                    ponged.await.expect("a pong");
                                    done.unbounded_send(()).expect("it counts");
                                });
                            });
                        }
                        drop(done);
                        for _ in 0..1_000 {
                            next(&mut ends).await.expect("an end");
                        }
                    }),
                    "ring" => measure(100_000, || async {
                        let (first, mut source) = mpsc::unbounded::<u32>();
                        for _ in 1..1_000 {
                            let (to, from) = mpsc::unbounded::<u32>();
                            let mut input = std::mem::replace(&mut source, from);
                            spawn(async move {
                                while let Some(token) = next(&mut input).await {
                                    if to.unbounded_send(token).is_err() {
                                        break;
                                    }
                                }
                            });
                        }
                        for lap in 0..100 {
                            first.unbounded_send(lap).expect("the ring stands");
                            next(&mut source).await.expect("the token comes round");
                        }
                    }),
                    "timeout" => measure(10_000, || async {
                        for _ in 0..10_000 {
                            timeout(Duration::from_secs(30), yield_now()).await.expect("in time");
                        }
                    }),
                    "sleeps" => sleeps(),
                    "echo" => return echo(),
                    "parked_task" => memory(|| {
                        spawn(std::future::pending::<()>());
                    }),
                    "sleeping_task" => memory(|| {
                        spawn(sleep(Duration::from_secs(1_000)));
                    }),
                    "start_stop" => {
                        let mut times = Vec::new();
                        for _ in 0..50 {
                            let begin = Instant::now();
                            drop(runtime());
                            times.push(begin.elapsed().as_nanos() as f64);
                        }
                        median(&times)
                    }
                    other => panic!("there is no case {other}"),
                };
                println!("{result}");
            }

            fn link(left: u32, done: oneshot::Sender<()>) {
                spawn(async move {
                    if left == 0 {
                        done.send(()).expect("it waits");
                    } else {
                        link(left - 1, done);
                    }
                });
            }

            fn spawn_outside() -> f64 {
                let runtime = runtime();
                let mut times = Vec::new();
                for round in 0..13 {
                    let begin = Instant::now();
                    let tasks: Vec<_> = (0..10_000_u32).map(|i| runtime.spawn(async move { i })).collect();
                    runtime.block_on(async {
                        for task in tasks {
                            task.await.expect("it ends");
                        }
                    });
                    if round >= 3 {
                        times.push(begin.elapsed().as_nanos() as f64 / 10_000.0);
                    }
                }
                median(&times)
            }

            fn sleeps() -> f64 {
                const COUNT: u32 = 100_000;
                let runtime = runtime();
                let begin = cpu_seconds();
                runtime.block_on(async {
                    let all = spawn(async {
                        let tasks: Vec<_> = (0..COUNT)
                            .map(|i| spawn(sleep(Duration::from_micros(200_000 + u64::from(i % 8_000) * 100))))
                            .collect();
                        for task in tasks {
                            task.await.expect("it ends");
                        }
                    });
                    all.await.expect("it ends");
                });
                (cpu_seconds() - begin) * 1e9 / f64::from(COUNT)
            }

            fn memory(one: fn()) -> f64 {
                const COUNT: u32 = 200_000;
                let runtime = runtime();
                let (before, after) = runtime.block_on(async move {
                    let measured = spawn(async move {
                        for _ in 0..1_000 {
                            one();
                        }
                        let before = resident_bytes();
                        for i in 0..COUNT {
                            one();
                            if i % 1_000 == 0 {
                                yield_now().await;
                            }
                        }
                        sleep(Duration::from_millis(300)).await;
                        (before, resident_bytes())
                    });
                    measured.await.expect("it ends")
                });
                runtime.shutdown_background();
                (after - before) / f64::from(COUNT)
            }

            /// The server of the echo case: prints its port, and at the end the processor time it used.
            fn echo() {
                #[allow(unused_imports, reason = "filch's streams have these methods themselves")]
                use $($io)::+::{AsyncReadExt as _, AsyncWriteExt as _};
                let runtime = runtime();
                runtime.block_on(async {
                    let listener = $rt::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
                    println!("{}", listener.local_addr().expect("it is bound").port());
                    spawn(async move {
                        loop {
                            let (mut stream, _) = listener.accept().await.expect("it accepts");
                            stream.set_nodelay(true).expect("TCP has it");
                            spawn(async move {
                                let mut buffer = [0; 256];
                                loop {
                                    match stream.read(&mut buffer).await {
                                        Ok(0) | Err(_) => return,
                                        Ok(read) => {
                                            if stream.write_all(&buffer[..read]).await.is_err() {
                                                return;
                                            }
                                        }
                                    }
                                }
                            });
                        }
                    });
                });
                wait_for_stop();
                println!("{}", cpu_seconds());
                std::process::exit(0);
            }
        }
    };
}

workloads!(on_filch, filch, filch::io);
workloads!(on_tokio, tokio, tokio::io);

async fn next<T>(stream: &mut futures_channel::mpsc::UnboundedReceiver<T>) -> Option<T> {
    stream.recv().await.ok()
}

/// The client of the echo case: all connections on this thread, each with one message on its way. Returns messages per run and its length.
fn echo_client(port: u16, connections: usize, length: Duration) -> u64 {
    let mut poll = mio::Poll::new().expect("an epoll");
    let mut events = mio::Events::with_capacity(connections);
    let mut streams = Vec::new();
    for token in 0..connections {
        let stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
        stream.set_nodelay(true).expect("TCP has it");
        stream.set_nonblocking(true).expect("it can");
        let mut stream = mio::net::TcpStream::from_std(stream);
        poll.registry()
            .register(&mut stream, mio::Token(token), mio::Interest::READABLE)
            .expect("epoll takes it");
        streams.push(stream);
    }
    let message = [b'x'; 64];
    let mut left = vec![message.len(); connections];
    for stream in &mut streams {
        stream.write_all(&message).expect("an empty socket takes 64 bytes");
    }
    let mut messages = 0;
    let end = Instant::now() + length;
    while Instant::now() < end {
        poll.poll(&mut events, Some(Duration::from_millis(100)))
            .expect("epoll waits");
        for event in &events {
            let token = event.token().0;
            let mut buffer = [0; 256];
            while let Ok(read) = streams[token].read(&mut buffer) {
                assert!(read > 0, "the server closed a connection");
                left[token] -= read;
                if left[token] == 0 {
                    messages += 1;
                    left[token] = message.len();
                    streams[token]
                        .write_all(&message)
                        .expect("an empty socket takes 64 bytes");
                }
            }
        }
    }
    messages
}

fn measure(runtime: &str, case: &str) -> f64 {
    let mut child = Measurement::start(&[runtime, case]);
    let result = if case == "echo" {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a port")]
        let port = child.number() as u16;
        let messages = echo_client(port, 128, Duration::from_millis(1_500));
        child.stop();
        child.number() * 1e9 / messages as f64
    } else {
        child.number()
    };
    child.finish();
    result
}

fn main() {
    let mut words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let [child, runtime, case] = words.as_slice()
        && child == "--child"
    {
        return match runtime.as_str() {
            "filch" => on_filch::run(case),
            "tokio" => on_tokio::run(case),
            other => panic!("there is no runtime {other}"),
        };
    }
    let mut rounds = 7;
    if let Some(place) = words.iter().position(|word| word == "--rounds") {
        words.remove(place);
        rounds = if place < words.len() {
            words.remove(place).parse().unwrap_or(rounds)
        } else {
            rounds
        };
    }
    println!("{WORKERS} workers each, {rounds} rounds in turns, medians; the system's allocator\n");
    println!("| case | unit | filch | Tokio | ratio (range) | what |");
    println!("|---|---|---:|---:|---:|---|");
    for (case, unit, what) in CASES {
        if !words.is_empty() && !words.iter().any(|word| case.contains(word.as_str())) {
            continue;
        }
        let mut figures: HashMap<&str, Vec<f64>> = HashMap::new();
        for round in 0..rounds {
            // Who begins changes from round to round.
            let mut order = RUNTIMES;
            order.rotate_left(round % 2);
            for runtime in order {
                figures.entry(runtime).or_default().push(measure(runtime, case));
            }
        }
        let (own, other) = (&figures["filch"], &figures["tokio"]);
        let ratios: Vec<f64> = own.iter().zip(other).map(|(own, other)| own / other).collect();
        let (low, high) = ratios
            .iter()
            .fold((f64::MAX, f64::MIN), |(low, high), r| (low.min(*r), high.max(*r)));
        println!(
            "| {case} | {unit} | {:.0} | {:.0} | {:.2} ({low:.2}-{high:.2}) | {what} |",
            median(own),
            median(other),
            median(&ratios),
        );
    }
}
