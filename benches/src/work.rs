//! What several questions have the runtimes do. Each function runs inside a task.

use crate::Rt;
use futures_channel::{mpsc, oneshot};
use std::time::{Duration, Instant};

/// Runs a future in a task, so that it is on a worker; how long it took.
pub fn inside<R: Rt, F: Future<Output = ()> + Send + 'static>(runtime: &R, future: F) -> Duration {
    let task = runtime.spawn_on(async move {
        let begin = Instant::now();
        future.await;
        begin.elapsed()
    });
    runtime.block_on(task)
}

/// Spawns tasks, and joins them.
pub async fn spawn<R: Rt>(count: u32) {
    let tasks: Vec<_> = (0..count).map(|i| R::spawn(async move { i })).collect();
    for task in tasks {
        task.await;
    }
}

/// Tasks that yield.
pub async fn yields<R: Rt>(tasks: u32, times: u32) {
    let yielding = |_| {
        R::spawn(async move {
            for _ in 0..times {
                R::yield_now().await;
            }
        })
    };
    let tasks: Vec<_> = (0..tasks).map(yielding).collect();
    for task in tasks {
        task.await;
    }
}

/// Pairs of tasks that answer each other over oneshots: three tasks for each pair.
///
/// # Panics
///
/// If a runtime loses a message.
pub async fn ping_pong<R: Rt>(pairs: u32) {
    let (done, mut ends) = mpsc::unbounded();
    for _ in 0..pairs {
        let done = done.clone();
        R::detach(R::spawn(async move {
            let (ping, pinged) = oneshot::channel();
            let (pong, ponged) = oneshot::channel();
            R::detach(R::spawn(async move {
                pinged.await.expect("a ping");
                pong.send(()).expect("it waits");
            }));
            R::detach(R::spawn(async move {
                ping.send(()).expect("it waits");
                ponged.await.expect("a pong");
                done.unbounded_send(()).expect("it counts");
            }));
        }));
    }
    drop(done);
    for _ in 0..pairs {
        ends.recv().await.expect("an end");
    }
}
