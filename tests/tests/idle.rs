//! An idle runtime costs nothing: nobody is woken while nothing is due, and what a burst of timers took is given back.

use filch::net::UnixStream;
use filch::runtime::{Builder, Runtime};
use filch::time::{Duration, sleep};
use filch_tests::{alone, eventually, multi, poll_once};
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::os::unix;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

const HOUR: Duration = Duration::from_secs(3600);

/// The system's allocator, and how many bytes are allocated now.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;
static LIVE: AtomicI64 = AtomicI64::new(0);

// SAFETY: every call is passed on to the system's allocator as it is; the other functions of the trait are made of these two.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller's promise, and what is freed here was allocated there.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// How often each other thread of this process gave up its processor to wait: one that waits and is woken for nothing does so again.
fn waits() -> BTreeMap<String, u64> {
    let own = rustix::thread::gettid().as_raw_nonzero().to_string();
    let mut waits = BTreeMap::new();
    for thread in std::fs::read_dir("/proc/self/task").expect("/proc").flatten() {
        let status = std::fs::read_to_string(thread.path().join("status")).expect("its status");
        let line = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.expect("the system says it").trim().to_owned()
        };
        if thread.file_name().to_string_lossy() != own {
            let name = format!("{} {}", line("Name:"), line("Pid:"));
            waits.insert(name, line("voluntary_ctxt_switches:").parse().expect("a number"));
        }
    }
    waits
}

fn parks(runtime: &Runtime) -> usize {
    let metrics = runtime.metrics();
    (0..metrics.num_workers())
        .map(|worker| metrics.worker_park_count(worker))
        .sum()
}

/// Waits until nobody was woken for a tenth of a second, which must come, and then sees that nobody is for a second more.
fn assert_still(runtime: &Runtime) {
    let state = || (waits(), parks(runtime));
    let mut before = state();
    eventually("all are asleep", || {
        std::thread::sleep(Duration::from_millis(100));
        let now = state();
        std::mem::replace(&mut before, now) == before
    });
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(before, state(), "somebody was woken, and nothing was due");
}

/// Workers, watcher, and whoever else is there.
#[test]
fn nobody_is_woken_while_nothing_is_due() {
    alone("nobody_is_woken_while_nothing_is_due", || {
        const EACH: usize = 300;
        let runtime = multi(2);
        let begun = Arc::new(AtomicUsize::new(0));
        let mut peers = Vec::new();
        for _ in 0..EACH {
            let (own, peer) = unix::net::UnixStream::pair().expect("a pair");
            own.set_nonblocking(true).expect("it can");
            peers.push(peer);
            let (reads, sleeps) = (begun.clone(), begun.clone());
            runtime.spawn(async move {
                let mut own = UnixStream::from_std(own).expect("a reactor takes it");
                reads.fetch_add(1, Ordering::SeqCst);
                let read = own.read(&mut [0; 8]).await;
                panic!("nobody writes: {read:?}");
            });
            runtime.spawn(async move {
                sleeps.fetch_add(1, Ordering::SeqCst);
                sleep(HOUR).await;
            });
        }
        eventually("all wait", || begun.load(Ordering::SeqCst) == 2 * EACH);
        assert_still(&runtime);
        // What is counted counts.
        let before = (waits(), parks(&runtime));
        runtime.block_on(runtime.spawn(async {})).expect("no panic");
        eventually("it is seen", || waits() != before.0 && parks(&runtime) > before.1);
        assert_still(&runtime);
        drop(runtime);
        drop(peers);
    });
}

/// A hundred thousand timers at once have some megabytes, of which an idle runtime keeps nothing to speak of.
#[test]
fn the_memory_of_a_burst_of_timers_is_given_back() {
    alone("the_memory_of_a_burst_of_timers_is_given_back", || {
        const TIMERS: usize = 100_000;
        let current = || Builder::new_current_thread().enable_all().build().expect("a runtime");
        for runtime in [multi(2), current()] {
            // Once before, so that what is made only once is there.
            burst(&runtime, 100);
            let before = LIVE.load(Ordering::SeqCst);
            let most = burst(&runtime, TIMERS);
            assert!(
                most - before > 40 * TIMERS as i64,
                "{} bytes are no burst",
                most - before
            );
            // Whoever goes to sleep looks at its wheel; a current_thread runtime sleeps only in here.
            eventually("the memory is given back", || {
                runtime.block_on(async { sleep(Duration::from_millis(1)).await });

                LIVE.load(Ordering::SeqCst) - before < 64 * 1024
            });
        }
    });
}

/// Arms timers, drops them, and says how much memory there was in between.
fn burst(runtime: &Runtime, count: usize) -> i64 {
    let task = runtime.spawn(async move {
        let mut timers: Vec<_> = (0..count).map(|_| Box::pin(sleep(HOUR))).collect();
        for timer in &mut timers {
            assert!(poll_once(timer.as_mut()).await.is_pending());
        }
        // The timers have their places in the wheel.
        sleep(Duration::from_millis(1)).await;
        LIVE.load(Ordering::SeqCst)
    });
    runtime.block_on(task).expect("no panic")
}
