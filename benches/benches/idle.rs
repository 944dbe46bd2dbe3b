//! What does a runtime cost that has nothing to do, and what does it keep of a burst? `cargo bench --bench idle`.

use filch_benches::count::{Counting, count_bytes, cpu_seconds, live_bytes, resident_bytes, trim, waits};
use filch_benches::echo::room;
use filch_benches::question::{Case, Driven, Measurement, ONCE, Row, Run, Target, ask_rounds};
use filch_benches::{Rt, Stream, WORKERS, all};
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CONNECTIONS: usize = 10_000;
const SLEEPERS: usize = 10_000;
const BURST: usize = 1_000_000;
const SETTLE: Duration = Duration::from_secs(1);

/// The server's half. The other ends of its connections are the parent's.
fn idle<R: Rt>(run: &mut Run) {
    let connections = room(CONNECTIONS);
    let length = Duration::from_secs(if run.counts { 1 } else { 10 });
    let waiting = Arc::new(AtomicUsize::new(0));
    let runtime = R::start(WORKERS);
    let count = waiting.clone();
    let begun = runtime.spawn_on(async move {
        let (listener, address) = R::listen().await.expect("a port is free");
        R::detach(R::spawn(async move {
            for _ in 0..connections {
                let mut stream = R::accept(&listener).await.expect("it accepts");
                let count = count.clone();
                R::detach(R::spawn(async move {
                    // The client waits for it, so that the queue of what is to be accepted never overflows.
                    stream.write_all(b"!").await.expect("there is room for a byte");
                    count.fetch_add(1, Ordering::Relaxed);
                    // The end of the client is the end of the measurement.
                    let _ = stream.read(&mut [0; 64]).await;
                    count.fetch_sub(1, Ordering::Relaxed);
                }));
            }
            for _ in 0..SLEEPERS {
                let count = count.clone();
                R::detach(R::spawn(async move {
                    count.fetch_add(1, Ordering::Relaxed);
                    R::sleep(Duration::from_secs(3_600)).await;
                    count.fetch_sub(1, Ordering::Relaxed);
                }));
            }
        }));
        address.port()
    });
    println!("{}", runtime.block_on(begun));
    until(&waiting, connections + SLEEPERS);
    std::thread::sleep(SETTLE);
    let (before, begin) = (waits(), cpu_seconds());
    std::thread::sleep(length);
    let (seconds, after) = (cpu_seconds() - begin, waits());
    assert_eq!(
        waiting.load(Ordering::Relaxed),
        connections + SLEEPERS,
        "all are still waiting"
    );
    // The parent keeps its ends until it hears something.
    println!("{connections}");
    let woken = |(thread, count): (&String, &u64)| count - before.get(thread).unwrap_or(&0);
    run.cpu = Some((seconds, 1.0));
    run.say("idle_cpu", seconds / length.as_secs_f64() * 100.0);
    run.say("idle_wakeups", after.iter().map(woken).sum::<u64>() as f64);
    run.say("idle_open", connections as f64);
}

fn until(counter: &AtomicUsize, count: usize) {
    while counter.load(Ordering::Relaxed) < count {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The other ends.
fn connect(child: &mut Measurement, _: usize) -> Driven {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a port")]
    let port = child.number() as u16;
    let connect = |_| {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
        stream.read_exact(&mut [0]).expect("the server greets");
        stream
    };
    let streams: Vec<_> = (0..room(CONNECTIONS)).map(connect).collect();
    let connections = child.number();
    assert_eq!(connections, streams.len() as f64, "both have the same limit");
    Driven {
        operations: connections + SLEEPERS as f64,
        figures: Vec::new(),
    }
}

fn tasks<R: Rt>(run: &mut Run) {
    let rows = [
        "burst_tasks",
        "burst_tasks_rest",
        "burst_tasks_live",
        "burst_tasks_trimmed",
    ];
    burst::<R>(run, rows, |count, parts| {
        let parts = parts.clone();
        R::spawn(async move {
            for i in 0..count {
                let parts = parts.clone();
                R::detach(R::spawn(async move {
                    let told = parts.told.notified();
                    parts.begun.fetch_add(1, Ordering::Relaxed);
                    told.await;
                    parts.ended.fetch_add(1, Ordering::Relaxed);
                }));
                if i % 1_000 == 0 {
                    R::yield_now().await;
                }
            }
        })
    });
}

/// A thousand of them to a task, which waits for the first.
fn timers<R: Rt>(run: &mut Run) {
    let rows = [
        "burst_timers",
        "burst_timers_rest",
        "burst_timers_live",
        "burst_timers_trimmed",
    ];
    burst::<R>(run, rows, |count, parts| {
        let parts = parts.clone();
        R::spawn(async move {
            for _ in 0..count / 1_000 {
                let parts = parts.clone();
                R::detach(R::spawn(async move {
                    let told = parts.told.notified();
                    let sleep = |_| Box::pin(R::sleep(Duration::from_secs(3_600)));
                    let mut sleeps: Vec<_> = (0..1_000).map(sleep).collect();
                    std::future::poll_fn(|cx| {
                        for sleep in &mut sleeps {
                            assert!(sleep.as_mut().poll(cx).is_pending(), "an hour has passed");
                        }
                        std::task::Poll::Ready(())
                    })
                    .await;
                    parts.begun.fetch_add(1_000, Ordering::Relaxed);
                    told.await;
                    drop(sleeps);
                    parts.ended.fetch_add(1_000, Ordering::Relaxed);
                }));
            }
        })
    });
}

/// What the tasks of a burst share.
#[derive(Default)]
struct Parts {
    begun: AtomicUsize,
    told: Notify,
    ended: AtomicUsize,
}

/// Lets `begin` begin so many, and when all wait, lets them end: first a thousand to warm up, then the burst.
fn burst<R: Rt>(
    run: &mut Run,
    rows: [&str; 4],
    begin: impl Fn(usize, &Arc<Parts>) -> R::Task<()> + Send + Sync + 'static,
) {
    let runtime = R::start(WORKERS);
    let begin = Arc::new(begin);
    let once = |count: usize| {
        let parts = Arc::new(Parts::default());
        let (inside, begin) = (parts.clone(), begin.clone());
        let all = runtime.spawn_on(async move { begin(count, &inside).await });
        runtime.block_on(all);
        until(&parts.begun, count);
        // Until the timers have their places.
        std::thread::sleep(Duration::from_millis(100));
        parts.told.notify_waiters();
        until(&parts.ended, count);
        std::thread::sleep(SETTLE);
    };
    once(1_000);
    count_bytes();
    let before = resident_bytes();
    let count = if run.counts { 50_000 } else { BURST };
    once(count);
    let (live, after) = (live_bytes(), resident_bytes());
    let mib = f64::from(1 << 20);
    run.operations = count as f64;
    run.say(rows[0], after / before);
    run.say(rows[1], (after - before) / mib);
    run.say(rows[2], live as f64 / mib);
    if trim() {
        run.say(rows[3], resident_bytes() / before);
    }
}

fn main() {
    const fn rest(name: &'static str) -> Row {
        Row {
            name,
            unit: "MiB",
            what: "how much more that is than before",
            target: None,
        }
    }
    const fn live(name: &'static str) -> Row {
        Row {
            name,
            unit: "MiB",
            what: "the runtime's share of that: what it has allocated since and not freed; the rest is the allocator's",
            target: None,
        }
    }
    const fn trimmed(name: &'static str) -> Row {
        Row {
            name,
            unit: "times",
            what: "resident memory when the allocator was told to give back what nobody uses (malloc_trim), as a multiple of before",
            target: Some(Target::Figure(1.2)),
        }
    }
    ask_rounds(
        "idle",
        &[
            Case {
                name: "idle_cpu",
                rows: &[
                    Row {
                        name: "idle_cpu",
                        unit: "%",
                        what: "10,000 connections with a task each that reads, 10,000 tasks in a sleep of an hour: processor time over 10 s",
                        target: Some(Target::Figure(0.1)),
                    },
                    Row {
                        name: "idle_wakeups",
                        unit: "wake-ups",
                        what: "how often a thread of these was woken in the 10 s; no timer is due",
                        target: Some(Target::Figure(0.0)),
                    },
                    Row {
                        name: "idle_open",
                        unit: "connections",
                        what: "how many were open: fewer where the limit of descriptors wants it",
                        target: None,
                    },
                ],
                contenders: all!(idle),
                base: "tokio",
                points: ONCE,
                full: false,
                drive: Some(connect),
            },
            Case {
                name: "burst_tasks",
                rows: &const {
                    [
                        Row {
                            name: "burst_tasks",
                            unit: "times",
                            what: "1,000,000 tasks at once, then none: resident memory a second later, as a multiple of before",
                            target: None,
                        },
                        rest("burst_tasks_rest"),
                        live("burst_tasks_live"),
                        trimmed("burst_tasks_trimmed"),
                    ]
                },
                contenders: all!(tasks),
                base: "tokio",
                points: ONCE,
                full: false,
                drive: None,
            },
            Case {
                name: "burst_timers",
                rows: &const {
                    [
                        Row {
                            name: "burst_timers",
                            unit: "times",
                            what: "1,000,000 sleeps of an hour at once, then dropped: resident memory a second later, as a multiple of before",
                            target: None,
                        },
                        rest("burst_timers_rest"),
                        live("burst_timers_live"),
                        trimmed("burst_timers_trimmed"),
                    ]
                },
                contenders: all!(timers),
                base: "tokio",
                points: ONCE,
                full: false,
                drive: None,
            },
        ],
        1,
    );
}
