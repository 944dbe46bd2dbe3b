//! The deterministic runtime: it finds races, repeats itself, and says when nothing can happen any more.

use filch::runtime::{Builder, Handle, Runtime};
use filch::sim::{Sim, Slack};
use filch::time::{Instant, sleep, sleep_until};
use filch_tests::within;
use std::collections::BTreeSet;
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn runtime(seed: u64) -> Runtime {
    Builder::new_multi_thread().deterministic(seed).build().unwrap()
}

fn sim() -> Sim {
    Handle::current().sim().expect("this is a deterministic runtime")
}

/// How many of 100 seeds make `found` true.
fn finds(found: impl Fn(u64) -> bool) -> usize {
    (0..100).filter(|&seed| found(seed)).count()
}

/// Ten times over, two tasks add one by `read; yield_now; write`.
#[test]
fn a_lost_update_is_found() {
    let found = finds(|seed| {
        runtime(seed).block_on(async {
            let sum = Arc::new(AtomicU32::new(0));
            let add = |sum: Arc<AtomicU32>| async move {
                for _ in 0..10 {
                    let before = sum.load(Ordering::Relaxed);
                    filch::task::yield_now().await;
                    sum.store(before + 1, Ordering::Relaxed);
                }
            };
            let tasks = [filch::spawn(add(sum.clone())), filch::spawn(add(sum.clone()))];
            for task in tasks {
                task.await.unwrap();
            }
            sum.load(Ordering::Relaxed) < 20
        })
    });
    assert!(found >= 90, "only {found} of 100 seeds lost an update");
}

/// One task writes 5 ms after its read, the other starts its read at 6 ms: ten times over. True if an update was lost.
fn close_by(seed: u64, slack: Slack) -> bool {
    let runtime = Builder::new_multi_thread()
        .deterministic(seed)
        .slack(slack)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut lost = false;
        for _ in 0..10 {
            let (sum, begin) = (Arc::new(AtomicU32::new(0)), Instant::now());
            let slow = sum.clone();
            let slow = filch::spawn(async move {
                let before = slow.load(Ordering::Relaxed);
                sleep_until(begin + 5 * MS).await;
                slow.store(before + 1, Ordering::Relaxed);
            });
            let late = sum.clone();
            let late = filch::spawn(async move {
                sleep_until(begin + 6 * MS).await;
                let before = late.load(Ordering::Relaxed);
                filch::task::yield_now().await;
                late.store(before + 1, Ordering::Relaxed);
            });
            slow.await.unwrap();
            late.await.unwrap();
            lost |= sum.load(Ordering::Relaxed) < 2;
        }
        lost
    })
}

#[test]
fn late_timers_find_what_exact_ones_hide() {
    assert_eq!(
        finds(|seed| close_by(seed, Slack::default())),
        0,
        "without slack 5 ms come before 6 ms"
    );
    let found = finds(|seed| close_by(seed, Slack::default().late_timers(5 * MS)));
    assert!(found >= 90, "only {found} of 100 seeds lost an update");
}

/// A program with some of everything. Gives what it saw, and the hash of its steps.
fn program(seed: u64) -> (String, u64) {
    let runtime = Builder::new_multi_thread()
        .deterministic(seed)
        .worker_threads(3)
        .slack(Slack::default().late_timers(MS).spurious_wakes(0.05))
        .build()
        .unwrap();
    let seen = Arc::new(Mutex::new(String::new()));
    let (log, handle) = (seen.clone(), runtime.handle().clone());
    runtime.block_on(async move {
        let begin = Instant::now();
        let note = move |what: &str| {
            let text = format!("{what} at {:?}; ", begin.elapsed());
            log.lock().unwrap().push_str(&text);
        };
        let (sender, mut receiver) = filch::sync::mpsc::channel(2);
        let mut set = filch::task::JoinSet::new();
        for number in 0..5u32 {
            let (sender, note) = (sender.clone(), note.clone());
            set.spawn(async move {
                sleep(MS * (number % 3)).await;
                note(&format!("{number} slept"));
                let doubled = filch::task::spawn_blocking(move || number * 2).await.unwrap();
                sender.send(doubled).await.unwrap();
                filch::task::yield_now().await;
                note(&format!("{number} ends"));
            });
        }
        drop(sender);
        let aborted = filch::spawn(pending::<()>());
        while let Some(number) = receiver.recv().await {
            note(&format!("got {number}"));
        }
        aborted.abort();
        assert!(aborted.await.unwrap_err().is_cancelled());
        while let Some(ended) = set.join_next().await {
            ended.unwrap();
        }
    });
    let trace = handle.sim().unwrap().trace();
    drop(runtime);
    let seen = seen.lock().unwrap().clone();
    (seen, trace)
}

#[test]
fn a_seed_repeats_itself_and_others_differ() {
    let runs: Vec<_> = (0..200).map(program).collect();
    for (seed, run) in runs.iter().enumerate() {
        assert_eq!(*run, program(seed as u64), "seed {seed}");
    }
    let distinct: BTreeSet<_> = runs.iter().map(|(seen, _)| seen).collect();
    assert!(distinct.len() > 190, "only {} different runs of 200", distinct.len());
    let hashes: BTreeSet<_> = runs.iter().map(|(_, trace)| trace).collect();
    assert!(hashes.len() > 195, "only {} different hashes of 200", hashes.len());
}

/// Prints the hashes of 200 seeds; the test below runs this in processes of their own.
#[test]
fn print_hashes() {
    if std::env::var_os("FILCH_PRINT_HASHES").is_some() {
        for seed in 0..200 {
            println!("hash {seed} {:016x}", program(seed).1);
        }
    }
}

#[test]
fn two_processes_give_the_same_hashes() {
    let hashes = || -> Vec<String> {
        let this = std::env::current_exe().unwrap();
        let child = Command::new(this)
            .args(["--exact", "print_hashes", "--nocapture"])
            .env("FILCH_PRINT_HASHES", "1")
            .output()
            .unwrap();
        let text = String::from_utf8(child.stdout).unwrap();
        text.lines()
            .filter(|line| line.contains("hash "))
            .map(str::to_owned)
            .collect()
    };
    let (first, second) = (hashes(), hashes());
    assert_eq!(first.len(), 200);
    assert_eq!(first, second);
}

#[test]
fn a_day_of_sleep_takes_no_time_and_is_exact() {
    let runtime = runtime(1);
    let elapsed = runtime.block_on(async {
        let begin = Instant::now();
        let sleeps = (1..=24u32).map(|hour| filch::spawn(sleep(Duration::from_secs(3600) * hour)));
        for task in sleeps.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        begin.elapsed()
    });
    assert_eq!(elapsed, Duration::from_secs(24 * 3600));
    assert_eq!(runtime.handle().sim().unwrap().elapsed(), elapsed);
}

#[test]
fn who_yields_until_a_timer_has_fired_comes_to_an_end() {
    within(|| {
        runtime(1).block_on(async {
            let fired = Arc::new(AtomicUsize::new(0));
            let set = fired.clone();
            filch::spawn(async move {
                sleep(MS).await;
                set.store(1, Ordering::Relaxed);
            });
            while fired.load(Ordering::Relaxed) == 0 {
                filch::task::yield_now().await;
            }
        });
    });
}

fn message(run: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(run)).expect_err("it panics");
    match payload.downcast_ref::<&str>() {
        Some(text) => (*text).to_string(),
        None => payload.downcast_ref::<String>().expect("with a text").clone(),
    }
}

#[test]
fn a_deadlock_is_reported_with_the_places_of_those_who_wait() {
    let runtime = runtime(5);
    let text = message(|| {
        runtime.block_on(async {
            let (_never, receiver) = filch::sync::oneshot::channel::<()>();
            sleep(7 * MS).await;
            filch::spawn(async { drop(receiver.await) });
            filch::spawn(sleep(MS));
            pending::<()>().await;
        });
    });
    assert!(text.starts_with("deadlock"), "{text}");
    assert!(text.contains("seed 5") && text.contains("virtual time 8ms"), "{text}");
    assert_eq!(text.matches("deterministic.rs").count(), 1, "one task waits: {text}");
    // It can be used on: nothing was lost.
    runtime.block_on(async { filch::spawn(sleep(MS)).await.unwrap() });
}

#[test]
fn tasks_start_in_order_with_one_worker_and_in_any_with_two() {
    let order = |seed, workers| {
        let runtime = Builder::new_multi_thread()
            .deterministic(seed)
            .worker_threads(workers)
            .build()
            .unwrap();
        let started = Arc::new(Mutex::new(Vec::new()));
        let log = started.clone();
        runtime.block_on(async move {
            let spawner = filch::spawn(async move {
                for number in 0..6 {
                    let log = log.clone();
                    filch::spawn(async move { log.lock().unwrap().push(number) });
                }
            });
            spawner.await.unwrap();
            sleep(MS).await;
        });
        std::mem::take(&mut *started.lock().unwrap())
    };
    assert!((0..50).all(|seed| order(seed, 1) == [0, 1, 2, 3, 4, 5]));
    let orders: BTreeSet<_> = (0..50).map(|seed| order(seed, 2)).collect();
    assert!(orders.len() > 40, "only {} orders", orders.len());
}

#[test]
fn spurious_wakes_poll_who_was_not_woken() {
    let polls = |slack| {
        let runtime = Builder::new_multi_thread()
            .deterministic(3)
            .slack(slack)
            .build()
            .unwrap();
        let count = Arc::new(AtomicUsize::new(0));
        let polls = count.clone();
        runtime.block_on(async move {
            filch::spawn(poll_fn(move |_| {
                polls.fetch_add(1, Ordering::Relaxed);
                Poll::<()>::Pending
            }));
            for _ in 0..100 {
                filch::task::yield_now().await;
            }
        });
        count.load(Ordering::Relaxed)
    };
    assert_eq!(polls(Slack::default()), 1);
    assert!(polls(Slack::default().spurious_wakes(0.5)) > 10);
}

#[test]
fn a_panic_in_a_task_is_its_handles() {
    for seed in 0..1_000 {
        runtime(seed).block_on(async {
            let bad = filch::spawn(async {
                filch::task::yield_now().await;
                std::panic::resume_unwind(Box::new("planned"));
            });
            let good = filch::spawn(async {
                filch::task::yield_now().await;
                5
            });
            let payload = bad.await.unwrap_err().into_panic();
            assert_eq!(payload.downcast_ref(), Some(&"planned"), "seed {seed}");
            assert_eq!(good.await.unwrap(), 5);
        });
    }
}

#[test]
fn what_is_left_is_dropped_with_the_runtime() {
    let drops = Arc::new(AtomicUsize::new(0));
    let runtime = runtime(9);
    runtime.block_on(async {
        for _ in 0..10 {
            let count = OnDrop(drops.clone());
            filch::spawn(async move {
                let _count = count;
                pending::<()>().await;
            });
        }
        sleep(MS).await;
    });
    let handle = runtime.handle().clone();
    drop(runtime);
    assert_eq!(drops.load(Ordering::Relaxed), 10);
    let late = handle.spawn(async {});
    assert!(late.is_finished());
}

#[test]
fn a_wake_from_another_thread_is_told() {
    let runtime = runtime(1);
    let handle = runtime.handle().clone();
    runtime.block_on(async {
        sleep(MS).await;
        assert!(sim().is_deterministic());
        let place = Arc::new(Mutex::new(None::<Waker>));
        let seen = place.clone();
        let waits = filch::spawn(poll_fn(move |cx| {
            match seen.lock().unwrap().replace(cx.waker().clone()) {
                None => Poll::Pending,
                Some(_) => Poll::Ready(()),
            }
        }));
        sleep(MS).await;
        let waker = place.lock().unwrap().clone().unwrap();
        std::thread::spawn(move || waker.wake()).join().unwrap();
        waits.await.unwrap();
    });
    assert!(!handle.sim().unwrap().is_deterministic());
}

#[test]
fn the_clock_cannot_be_set_going() {
    let text = message(|| runtime(1).block_on(async { filch::time::resume() }));
    assert!(text.contains("deterministic runtime"), "{text}");
    runtime(1).block_on(async {
        let begin = Instant::now();
        filch::time::advance(3 * MS).await;
        assert_eq!(begin.elapsed(), 3 * MS);
    });
}

#[test]
fn ordinary_runtimes_have_no_simulation() {
    let runtime = Builder::new_current_thread().build().unwrap();
    assert!(runtime.handle().sim().is_none());
}

#[test]
#[should_panic(expected = "a probability is between 0 and 1, not 2")]
fn a_probability_beyond_one_is_refused() {
    let _ = Slack::default().spurious_wakes(2.0);
}

/// The attribute: one body, many seeds.
mod attribute {
    use super::*;

    static SEEDS: Mutex<Vec<u64>> = Mutex::new(Vec::new());

    #[filch::test(deterministic, seeds = 10..15)]
    async fn runs_under_each_seed() {
        let mut seeds = SEEDS.lock().unwrap();
        let alone = std::env::var_os("FILCH_SEED").is_some();
        assert!(alone || sim().seed() == 10 + seeds.len() as u64);
        assert_eq!(Handle::current().metrics().num_workers(), 2);
        seeds.push(sim().seed());
    }

    #[filch::test(deterministic, seeds = 7, flavor = "current_thread")]
    async fn takes_a_number_and_a_flavor() -> Result<(), std::io::Error> {
        assert_eq!(Handle::current().metrics().num_workers(), 1);
        sleep(MS).await;
        Ok(())
    }

    /// Fails under every seed that is divisible by 4, when it is asked to: the test below runs it in a process of its own.
    #[filch::test(deterministic, worker_threads = 3, seeds = 1..=100)]
    async fn fails_when_asked() {
        assert_eq!(Handle::current().metrics().num_workers(), 3);
        filch::spawn(pending::<()>());
        sleep(2 * MS).await;
        let asked = std::env::var_os("FILCH_TEST_FAILS").is_some();
        assert!(!asked || sim().seed() % 4 != 0, "planned");
    }

    fn child(seed: Option<&str>) -> (bool, String) {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "attribute::fails_when_asked", "--nocapture"]);
        child
            .env("FILCH_TEST_FAILS", "1")
            .env_remove("FILCH_SEED")
            .env_remove("RUST_BACKTRACE");
        if let Some(seed) = seed {
            child.env("FILCH_SEED", seed);
        }
        let output = child.output().unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }

    #[test]
    fn a_failure_names_its_seed_and_the_variable_repeats_it() {
        let (passed, text) = child(None);
        assert!(!passed);
        assert!(
            text.contains("failed under seed 4") && text.contains("FILCH_SEED=4"),
            "{text}"
        );
        assert!(
            text.contains("virtual time 2ms") && text.contains("alive: task"),
            "{text}"
        );
        assert_eq!(text.matches("failed under seed").count(), 1, "{text}");

        assert!(child(Some("5")).0);
        let trace = |text: &str| text.split("trace ").nth(1).map(|rest| rest[..16].to_owned());
        let (passed, again) = child(Some("4"));
        assert!(!passed);
        assert!(trace(&text).is_some());
        assert_eq!(trace(&again), trace(&text));

        let (passed, text) = child(Some("four"));
        assert!(!passed);
        assert!(text.contains("FILCH_SEED must be a number"), "{text}");
    }
}

/// Sockets of the simulated network, used as everywhere.
mod sockets {
    use super::*;
    use filch::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
    use std::io::ErrorKind;
    use std::net::IpAddr;

    /// A server that echoes to any number of clients, and a client that sends `bytes` in odd portions. What came back.
    async fn echo(bytes: usize) -> Vec<u8> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = filch::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                filch::spawn(async move {
                    let mut buf = [0; 100];
                    loop {
                        match stream.read(&mut buf).await.unwrap() {
                            0 => break,
                            count => stream.write_all(&buf[..count]).await.unwrap(),
                        }
                    }
                });
            }
        });
        let (mut read, mut write) = TcpStream::connect(address).await.unwrap().into_split();
        let writer = filch::spawn(async move {
            for number in 0..bytes {
                write.write_all(&[number as u8]).await.unwrap();
                if number % 7 == 0 {
                    filch::task::yield_now().await;
                }
            }
        });
        let (mut back, mut buf) = (Vec::new(), [0; 64]);
        while back.len() < bytes {
            let count = read.read(&mut buf).await.unwrap();
            assert!(count > 0);
            back.extend_from_slice(&buf[..count]);
        }
        writer.await.unwrap();
        server.abort();
        back
    }

    #[filch::test(deterministic, worker_threads = 3, seeds = 0..200)]
    async fn nothing_is_lost_whatever_the_network_does() {
        sim().set_slack(
            Slack::default()
                .late_timers(MS)
                .late_readiness(3 * MS)
                .short_io(0.5)
                .spurious_wakes(0.1)
                .steals(0.8),
        );
        sim().network().set_latency(MS, 5 * MS);
        let back = echo(300).await;
        let sent: Vec<u8> = (0..300).map(|number| number as u8).collect();
        assert_eq!(back, sent);
        assert!(sim().elapsed() >= 4 * MS, "two ways there and back");
        assert!(sim().is_deterministic());
    }

    #[test]
    fn the_hash_knows_the_network() {
        let run = |seed| {
            let runtime = runtime(seed);
            let sim = runtime.handle().sim().unwrap();
            sim.set_slack(Slack::default().late_readiness(MS).short_io(0.3));
            sim.network().set_latency(MS, 9 * MS);
            assert_eq!(runtime.block_on(echo(100)).len(), 100);
            (sim.trace(), sim.elapsed(), sim.steps())
        };
        let runs: Vec<_> = (0..50).map(run).collect();
        assert_eq!(runs, (0..50).map(run).collect::<Vec<_>>());
        assert_eq!(runs.iter().collect::<BTreeSet<_>>().len(), 50);
    }

    #[filch::test(deterministic, seeds = 0..20)]
    async fn a_partition_is_overcome_by_patience_and_noticed_by_a_timeout() {
        let (here, there): (IpAddr, IpAddr) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        let listener = TcpListener::bind((there, 80)).await.unwrap();
        let mut client = TcpStream::connect((there, 80)).await.unwrap();
        let (mut server, peer) = listener.accept().await.unwrap();
        assert_eq!(peer.ip(), here);
        sim().network().partition(here, there);
        client.write_all(b"hello").await.unwrap();
        let mut text = [0; 5];
        let waited = filch::time::timeout(Duration::from_secs(60), server.read_exact(&mut text)).await;
        assert!(waited.is_err());
        sim().network().repair(here, there);
        server.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"hello");

        assert_eq!(sim().network().reset(peer), 1);
        assert_eq!(
            client.read(&mut text).await.unwrap_err().kind(),
            ErrorKind::ConnectionReset
        );
        assert_eq!(
            server.read(&mut text).await.unwrap_err().kind(),
            ErrorKind::ConnectionReset
        );
    }

    #[filch::test(deterministic, seeds = 0..20)]
    async fn datagrams_and_unix_sockets() {
        let (one, two) = (
            UdpSocket::bind("127.0.0.1:0").await.unwrap(),
            UdpSocket::bind("127.0.0.1:0").await.unwrap(),
        );
        one.send_to(b"ping", two.local_addr().unwrap()).await.unwrap();
        let mut buf = [0; 8];
        let (count, from) = two.recv_from(&mut buf).await.unwrap();
        assert_eq!((&buf[..count], from), (&b"ping"[..], one.local_addr().unwrap()));

        let (mut left, mut right) = UnixStream::pair().unwrap();
        filch::spawn(async move { left.write_all(b"pong").await });
        right.read_exact(&mut buf[..4]).await.unwrap();
        assert_eq!(&buf[..4], b"pong");
    }

    #[filch::test(deterministic, seeds = 1)]
    async fn what_is_real_is_refused() {
        let real = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        real.set_nonblocking(true).unwrap();
        assert_eq!(UdpSocket::from_std(real).unwrap_err().kind(), ErrorKind::Unsupported);
        let name = TcpStream::connect("example.invalid:80").await.unwrap_err();
        assert_eq!(name.kind(), ErrorKind::Unsupported);
        let listener = TcpListener::bind("localhost:0").await.unwrap();
        assert!(listener.local_addr().unwrap().ip().is_loopback());
        assert_eq!(
            filch::signal::ctrl_c().await.unwrap_err().kind(),
            ErrorKind::Unsupported
        );
    }

    #[test]
    fn who_waits_for_a_socket_for_ever_is_in_a_deadlock() {
        let text = message(|| {
            runtime(1).block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                drop(listener.accept().await);
            });
        });
        assert!(text.starts_with("deadlock"), "{text}");
    }
}

#[test]
fn a_runtime_dropped_inside_async_code_says_why() {
    let outer = Builder::new_current_thread().build().unwrap();
    for outer in [outer, runtime(1)] {
        let inner = runtime(2);
        let dropped = Arc::new(AtomicUsize::new(0));
        let count = OnDrop(dropped.clone());
        inner.spawn(async move {
            let _count = count;
            pending::<()>().await;
        });
        let text = message(|| outer.block_on(async move { drop(inner) }));
        assert!(text.contains("was dropped inside a task or a `block_on`"), "{text}");
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
    }
}

struct OnDrop(Arc<AtomicUsize>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
