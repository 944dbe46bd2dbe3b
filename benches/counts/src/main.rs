//! What `.ci/counts` has valgrind count: `counts OPERATION TIMES` does one thing so many times, on one thread.
//!
//! It must build against the commit that `benches/COUNTS.md` names, too: only what has long been there is used.

use filch::net::UnixStream;
use filch::runtime::Builder;
use filch::task::yield_now;
use filch::time::{sleep, timeout};
use std::future::poll_fn;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

/// The operations that are counted.
const OPERATIONS: &[&str] = &[
    "spawn",
    "spawn_join",
    "yield",
    "wake",
    "join",
    "timer",
    "timer_kept",
    "ready",
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [operation, times] = words.as_slice() else {
        OPERATIONS.iter().for_each(|operation| println!("{operation}"));
        return;
    };
    let times: usize = times.parse().expect("a number");
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let operation = operation.clone();
    runtime.block_on(async {
        let task = filch::spawn(async move {
            match &*operation {
                "spawn" => spawn(times).await,
                "spawn_join" => spawn_join(times).await,
                "yield" => yields(times).await,
                "wake" => wake(times).await,
                "join" => join(times).await,
                "timer" => timer(times).await,
                "timer_kept" => timer_kept(times).await,
                "ready" => ready(times).await,
                other => panic!("there is no operation {other}"),
            }
        });
        task.await.expect("it ends");
    });
}

/// Spawned by the hundred, detached, and run.
async fn spawn(times: usize) {
    for _ in 0..times / 100 {
        for i in 0..100 {
            drop(filch::spawn(async move { black_box(i) }));
        }
        yield_now().await;
    }
}

async fn spawn_join(times: usize) {
    for _ in 0..times {
        filch::spawn(async { black_box(1) }).await.expect("it ends");
    }
}

async fn yields(times: usize) {
    for _ in 0..times {
        yield_now().await;
    }
}

/// One task that waits, and one that wakes it by a waker of its own: a wake by reference, and a poll.
async fn wake(times: usize) {
    let (slot, over) = (
        Arc::new(std::sync::Mutex::new(None::<Waker>)),
        Arc::new(AtomicBool::new(false)),
    );
    let (place, ends) = (slot.clone(), over.clone());
    let sleeper = filch::spawn(poll_fn(move |cx| {
        if ends.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        let mut place = place.lock().expect("no panic");
        if place.is_none() {
            *place = Some(cx.waker().clone());
        }
        Poll::Pending
    }));
    yield_now().await;
    let waker = slot.lock().expect("no panic").clone().expect("it was polled");
    for _ in 0..times {
        waker.wake_by_ref();
        yield_now().await;
    }
    over.store(true, Ordering::Relaxed);
    waker.wake();
    sleeper.await.expect("it ends");
}

/// Handles of tasks that have ended.
async fn join(times: usize) {
    for _ in 0..times / 100 {
        let tasks: Vec<_> = (0..100).map(|i| filch::spawn(async move { black_box(i) })).collect();
        yield_now().await;
        for task in tasks {
            task.await.expect("it ends");
        }
    }
}

/// Armed around a yield and dropped.
async fn timer(times: usize) {
    for _ in 0..times {
        timeout(Duration::from_secs(30), yield_now()).await.expect("in time");
    }
}

/// Armed, kept beyond a turn, so that the wheel has it, and dropped.
async fn timer_kept(times: usize) {
    for _ in 0..times / 100 {
        let mut sleeps: Vec<_> = (0..100).map(|i| Box::pin(sleep(Duration::from_secs(30 + i)))).collect();
        poll_fn(|cx| {
            for sleep in &mut sleeps {
                let _ = black_box(std::future::Future::poll(sleep.as_mut(), cx));
            }
            Poll::Ready(())
        })
        .await;
        // As many as there may be between two turns of the driver.
        for _ in 0..62 {
            yield_now().await;
        }
    }
}

/// A byte over a socket and back: each time the reader waits, the reactor hears of it, the reader is woken and reads. Two of these for each operation.
async fn ready(times: usize) {
    async fn read(stream: &UnixStream) {
        loop {
            stream.readable().await.expect("it is open");
            if stream.try_read(&mut [0]).is_ok() {
                return;
            }
        }
    }
    let (left, right) = UnixStream::pair().expect("a pair");
    left.writable().await.expect("it is open");
    right.writable().await.expect("it is open");
    let answers = filch::spawn(async move {
        for _ in 0..times {
            read(&right).await;
            right.try_write(b"x").expect("there is room");
        }
    });
    for _ in 0..times {
        left.try_write(b"x").expect("there is room");
        read(&left).await;
    }
    answers.await.expect("it ends");
}
