//! Channels and locks on filch's runtime: `filch::sync`, crate tokio's own, async-lock, async-channel and flume: `cargo bench --bench sync`.

use filch_benches::WORKERS;
use filch_benches::count::Counting;
use filch_benches::question::{Case, Contender, ONCE, Row, ask};
use std::future::Future;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `once` on a runtime of filch's, once to warm up and once for the figure: nanoseconds per operation, of which there are `count`.
fn figure<F>(count: usize, once: impl Fn() -> F) -> f64
where
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = filch::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .build()
        .expect("a runtime");
    let run = || {
        let task = once();
        let begin = Instant::now();
        runtime.block_on(async { filch::spawn(task).await.expect("the task") });
        begin.elapsed()
    };
    run();
    run().as_nanos() as f64 / count as f64
}

/// One task that does `$operation` over and over.
macro_rules! alone {
    ($state:ident = $make:expr => $operation:expr) => {{
        const COUNT: usize = 300_000;
        figure(COUNT, || async {
            let $state = $make;
            for _ in 0..COUNT {
                $operation;
            }
        })
    }};
}

/// 16 tasks that share a mutex.
macro_rules! sixteen {
    ($make:expr) => {{
        const EACH: usize = 10_000;
        figure(16 * EACH, || async {
            let mutex = Arc::new($make);
            let tasks: Vec<_> = (0..16)
                .map(|_| {
                    let mutex = mutex.clone();
                    filch::spawn(async move {
                        for _ in 0..EACH {
                            *mutex.lock().await += 1;
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.expect("a task");
            }
            assert_eq!(*mutex.lock().await, 16 * EACH);
        })
    }};
}

/// `$senders` tasks send to one task.
macro_rules! to_one {
    ($senders:expr, $make:expr, $sender:ident, $receiver:ident, $value:ident => $send:expr, $recv:expr) => {{
        const COUNT: usize = 200_000;
        let senders = $senders;
        figure(COUNT, move || async move {
            #[allow(unused_mut, reason = "some receive through a shared reference")]
            let ($sender, mut $receiver) = $make;
            for _ in 0..senders {
                let $sender = $sender.clone();
                filch::spawn(async move {
                    for $value in 0..COUNT / senders {
                        $send;
                    }
                });
            }
            for _ in 0..COUNT / senders * senders {
                black_box($recv);
            }
        })
    }};
}

/// Four tasks send to four others.
macro_rules! to_four {
    ($make:expr, $sender:ident, $receiver:ident, $value:ident => $send:expr, $recv:expr) => {{
        const EACH: usize = 50_000;
        figure(4 * EACH, || async {
            let ($sender, $receiver) = $make;
            let tasks: Vec<_> = (0..4)
                .map(|_| {
                    let $sender = $sender.clone();
                    filch::spawn(async move {
                        for $value in 0..EACH {
                            $send;
                        }
                    });
                    let $receiver = $receiver.clone();
                    filch::spawn(async move {
                        for _ in 0..EACH {
                            black_box($recv);
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.expect("a task");
            }
        })
    }};
}

fn filch_queue() -> (filch::sync::Queue<usize>, filch::sync::Queue<usize>) {
    let queue = filch::sync::Queue::bounded(64);
    (queue.clone(), queue)
}

fn to_one(senders: usize, who: &str) -> f64 {
    match who {
        "tokio" => {
            to_one!(senders, tokio::sync::mpsc::channel(64), tx, rx, i => tx.send(i).await.expect("open"), rx.recv().await.expect("open"))
        }
        "filch" => {
            to_one!(senders, filch::sync::mpsc::channel(64), tx, rx, i => tx.send(i).await.expect("open"), rx.recv().await.expect("open"))
        }
        "filch channel" => {
            to_one!(senders, filch::sync::channel(64), tx, rx, i => tx.send(i).await.expect("open"), rx.recv().await.expect("open"))
        }
        "filch queue" => {
            to_one!(senders, filch_queue(), tx, rx, i => tx.put(i).await.expect("open"), *rx.get().await.expect("open"))
        }
        "flume" => {
            to_one!(senders, flume::bounded(64), tx, rx, i => tx.send_async(i).await.expect("open"), rx.recv_async().await.expect("open"))
        }
        "async-channel" => {
            to_one!(senders, async_channel::bounded(64), tx, rx, i => tx.send(i).await.expect("open"), rx.recv().await.expect("open"))
        }
        _ => panic!("nobody is called {who}"),
    }
}

fn measure(case: &str, who: &str) -> f64 {
    match (case, who) {
        ("mutex_free", "tokio") => alone!(mutex = tokio::sync::Mutex::new(0) => *mutex.lock().await += 1),
        ("mutex_free", "filch") => alone!(mutex = filch::sync::Mutex::new(0) => *mutex.lock().await += 1),
        ("mutex_free", "async-lock") => alone!(mutex = async_lock::Mutex::new(0) => *mutex.lock().await += 1),
        ("mutex_16", "tokio") => sixteen!(tokio::sync::Mutex::new(0)),
        ("mutex_16", "filch") => sixteen!(filch::sync::Mutex::new(0)),
        ("mutex_16", "async-lock") => sixteen!(async_lock::Mutex::new(0)),
        ("semaphore", "tokio") => alone!(semaphore = tokio::sync::Semaphore::new(1) => drop(semaphore.acquire().await)),
        ("semaphore", "filch") => alone!(semaphore = filch::sync::Semaphore::new(1) => drop(semaphore.acquire().await)),
        ("semaphore", "async-lock") => {
            alone!(semaphore = async_lock::Semaphore::new(1) => drop(semaphore.acquire().await))
        }
        ("semaphore", "filch limiter") => {
            alone!(limiter = filch::sync::CapacityLimiter::new(1) => drop(limiter.borrow().await))
        }
        ("oneshot", "tokio") => alone!(_nothing = () => {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            sender.send(1).expect("open");
            black_box(receiver.await.expect("sent"));
        }),
        ("oneshot", "filch") => alone!(_nothing = () => {
            let (sender, receiver) = filch::sync::oneshot::channel();
            sender.send(1).expect("open");
            black_box(receiver.await.expect("sent"));
        }),
        ("channel_1", who) => to_one(1, who),
        ("channel_100", who) => to_one(100, who),
        ("channel_4x4", "async-channel") => {
            to_four!(async_channel::bounded(64), tx, rx, i => tx.send(i).await.expect("open"), rx.recv().await.expect("open"))
        }
        ("channel_4x4", "flume") => {
            to_four!(flume::bounded(64), tx, rx, i => tx.send_async(i).await.expect("open"), rx.recv_async().await.expect("open"))
        }
        ("channel_4x4", "filch channel") => {
            to_four!(filch::sync::channel(64), tx, rx, i => tx.send(i).await.expect("open"), rx.recv().await.expect("open"))
        }
        ("channel_4x4", "filch queue") => {
            to_four!(filch_queue(), tx, rx, i => tx.put(i).await.expect("open"), *rx.get().await.expect("open"))
        }
        ("rendezvous", "flume") => {
            to_one!(1, flume::bounded(0), tx, rx, i => tx.send_async(i).await.expect("open"), rx.recv_async().await.expect("open"))
        }
        ("rendezvous", "filch channel") => {
            to_one!(1, filch::sync::channel(0), tx, rx, i => tx.send(i).await.expect("open"), rx.recv().await.expect("open"))
        }
        _ => panic!("there is no {case} of {who}"),
    }
}

/// The contenders of a case; the first is what the others are compared with.
macro_rules! contenders {
    ($case:literal: $($who:literal),+) => {
        &[$(Contender {
            name: $who,
            run: |run| run.say($case, measure($case, $who)),
        }),+]
    };
}

const fn row(name: &'static str, what: &'static str) -> Row {
    Row {
        name,
        unit: "ns",
        what,
        target: None,
    }
}

fn main() {
    let case = |base, rows: &'static [Row], contenders| Case {
        name: rows[0].name,
        rows,
        contenders,
        base,
        points: ONCE,
        full: false,
        drive: None,
    };
    ask(
        "sync",
        &[
            case(
                "tokio",
                const { &[row("mutex_free", "lock and unlock, one task; each")] },
                contenders!("mutex_free": "tokio", "filch", "async-lock"),
            ),
            case(
                "tokio",
                const { &[row("mutex_16", "16 tasks lock and unlock one mutex; each")] },
                contenders!("mutex_16": "tokio", "filch", "async-lock"),
            ),
            case(
                "tokio",
                const { &[row("semaphore", "take and give back a permit, one task; each")] },
                contenders!("semaphore": "tokio", "filch", "async-lock", "filch limiter"),
            ),
            case(
                "tokio",
                const { &[row("oneshot", "make a channel, send and receive, one task; each")] },
                contenders!("oneshot": "tokio", "filch"),
            ),
            case(
                "tokio",
                const { &[row("channel_1", "one sender, one receiver, room for 64; per value")] },
                contenders!("channel_1": "tokio", "filch", "filch channel", "filch queue", "flume", "async-channel"),
            ),
            case(
                "tokio",
                const { &[row("channel_100", "100 senders, one receiver, room for 64; per value")] },
                contenders!("channel_100": "tokio", "filch", "filch channel", "filch queue", "flume", "async-channel"),
            ),
            case(
                "async-channel",
                const { &[row("channel_4x4", "4 senders, 4 receivers, room for 64; per value")] },
                contenders!("channel_4x4": "async-channel", "flume", "filch channel", "filch queue"),
            ),
            case(
                "flume",
                const { &[row("rendezvous", "one sender, one receiver, no room; per value")] },
                contenders!("rendezvous": "flume", "filch channel"),
            ),
        ],
    );
}
