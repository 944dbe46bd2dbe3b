//! A burst of tasks that one task spawns stays in its worker's queue, which has no bound; others steal from there, and none is lost.

use filch::runtime::Handle;
use filch_tests::{multi, within};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn a_million_tasks_stay_local_and_run_once() {
    const TASKS: usize = 1_000_000;
    within(|| {
        let runtime = multi(3);
        let ran = Arc::new(AtomicUsize::new(0));
        let count = ran.clone();
        let deepest = runtime.block_on(async move {
            let spawner = filch::spawn(async move {
                let metrics = Handle::current().metrics();
                let mut deepest = 0;
                for number in 0..TASKS {
                    let count = count.clone();
                    drop(filch::spawn(async move {
                        count.fetch_add(1, Ordering::Relaxed);
                    }));
                    if number % 1_000 == 0 {
                        assert_eq!(metrics.global_queue_depth(), 0, "a local spawn went to the inbox");
                        let queues = (0..3).map(|worker| metrics.worker_local_queue_depth(worker));
                        deepest = deepest.max(queues.max().unwrap_or(0));
                    }
                }
                deepest
            });
            spawner.await.unwrap()
        });
        // The end drops what has not run, so it is waited for.
        while ran.load(Ordering::Relaxed) < TASKS {
            std::thread::yield_now();
        }
        let metrics = runtime.metrics();
        assert!(deepest > 1_000, "a queue of {deepest} at the most is no burst");
        assert!((0..3).map(|worker| metrics.worker_steal_count(worker)).sum::<usize>() > 0);
        drop(runtime);
        assert_eq!(ran.load(Ordering::Relaxed), TASKS);
    });
}
