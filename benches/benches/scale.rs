//! How does the cost of an operation grow? `cargo bench --bench scale -- --full`.

use filch_benches::count::Counting;
use filch_benches::question::{Case, Contender, Row, Run, ask};
use filch_benches::work::{self, inside};
use filch_benches::{Rt, WORKERS, all};
use futures_channel::mpsc;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often so many of something are done, so that a round takes some milliseconds.
fn times(size: usize) -> usize {
    (10_000 / size).max(1)
}

fn tasks<R: Rt>(run: &mut Run) {
    let (size, times) = (run.point, times(run.point));
    let count = u32::try_from(size).expect("a size");
    let runtime = R::start(WORKERS);
    run.time_rounds("tasks", size * times, 1, 5, || {
        inside(&runtime, async move {
            for _ in 0..times {
                work::spawn::<R>(count).await;
            }
        })
    });
}

/// So many timers at once, each armed and dropped by a task of its own.
fn timers<R: Rt>(run: &mut Run) {
    let (size, times) = (run.point, times(run.point));
    let runtime = R::start(WORKERS);
    run.time_rounds("timers", size * times, 1, 3, || {
        inside(&runtime, async move {
            for _ in 0..times {
                let arm = |i: usize| {
                    R::spawn(async move {
                        let mut sleep = pin!(R::sleep(Duration::from_secs(60 + i as u64 % 1_000)));
                        poll_fn(|cx| {
                            assert!(sleep.as_mut().poll(cx).is_pending(), "it has a minute at least");
                            Poll::Ready(())
                        })
                        .await;
                        // Until all are armed.
                        R::yield_now().await;
                    })
                };
                let all: Vec<_> = (0..size).map(arm).collect();
                for task in all {
                    task.await;
                }
            }
        })
    });
}

fn workers<R: Rt>(run: &mut Run) {
    let runtime = R::start(run.point);
    run.time_rounds("workers", 10_000, 2, 7, || inside(&runtime, work::spawn::<R>(10_000)));
}

fn producers<R: Rt>(run: &mut Run) {
    const VALUES: usize = 50_000;
    let producers = run.point;
    let runtime = R::start(WORKERS);
    run.time_rounds("many_producers", VALUES / producers * producers, 1, 5, || {
        inside(&runtime, async move {
            let (to, mut from) = mpsc::channel::<usize>(64);
            for _ in 0..producers {
                let mut to = to.clone();
                R::detach(R::spawn(async move {
                    for value in 0..VALUES / producers {
                        poll_fn(|cx| to.poll_ready(cx)).await.expect("it receives");
                        to.start_send(value).expect("there is room");
                    }
                }));
            }
            drop(to);
            while from.recv().await.is_ok() {}
        })
    });
}

fn main() {
    let case = |rows: &'static [Row], contenders: &'static [Contender], points| Case {
        name: rows[0].name,
        rows,
        contenders,
        base: "tokio",
        points,
        full: true,
        drive: None,
    };
    const fn row(name: &'static str, what: &'static str) -> Row {
        Row {
            name,
            unit: "ns",
            what,
            target: None,
        }
    }
    ask(
        "scale",
        &[
            case(
                &const { [row("tasks", "spawn so many tasks, join all; per task")] },
                all!(tasks),
                &[1, 10, 100, 1_000, 10_000, 100_000, 1_000_000],
            ),
            case(
                &const { [row("timers", "so many tasks arm a timer each and drop it; per task")] },
                all!(timers),
                &[1, 10, 100, 1_000, 10_000, 100_000, 1_000_000],
            ),
            case(
                &const {
                    [row(
                        "workers",
                        "spawn 10,000 tasks and join them, with so many workers; per task",
                    )]
                },
                all!(workers),
                &[1, 2, 4, 8, 16, 32, 64],
            ),
            case(
                &const {
                    [row(
                        "many_producers",
                        "so many tasks send into one channel with room for 64; per value",
                    )]
                },
                all!(producers),
                &[1, 2, 4, 8, 16],
            ),
        ],
    );
}
