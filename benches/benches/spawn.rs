//! What does a task cost, from its spawn to its end? `cargo bench --bench spawn`.

use filch_benches::count::Counting;
use filch_benches::question::{Case, ONCE, Row, Run, Target, ask};
use filch_benches::work::{self, inside};
use filch_benches::{Rt, WORKERS, all};
use futures_channel::oneshot;
use std::hint::black_box;
use std::sync::mpsc;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const TASKS: u32 = 10_000;

fn many<R: Rt>(run: &mut Run) {
    let runtime = R::start(WORKERS);
    run.time("spawn", TASKS as usize, || inside(&runtime, work::spawn::<R>(TASKS)));
}

/// The memory of as many tasks, and nothing else.
fn memory(run: &mut Run) {
    run.time("spawn", TASKS as usize, || {
        let begin = Instant::now();
        let boxes: Vec<_> = (0..TASKS).map(|_| black_box(Box::new([0_u8; 128]))).collect();
        drop(boxes);
        begin.elapsed()
    });
}

fn outside<R: Rt>(run: &mut Run) {
    let runtime = R::start(WORKERS);
    run.time("spawn_outside", TASKS as usize, || {
        let begin = Instant::now();
        let tasks: Vec<_> = (0..TASKS).map(|i| runtime.spawn_on(async move { i })).collect();
        runtime.block_on(async {
            for task in tasks {
                task.await;
            }
        });
        begin.elapsed()
    });
}

/// The memory of as many tasks, which another thread writes to: this one allocates and frees, as it does where it spawns and joins.
fn shared_memory(run: &mut Run) {
    let (to, from) = mpsc::channel::<Vec<Box<[u8; 128]>>>();
    let (back, seen) = mpsc::channel();
    std::thread::spawn(move || {
        for mut boxes in from {
            for bytes in &mut boxes {
                bytes[0] = 1;
            }
            back.send(boxes).expect("it counts");
        }
    });
    run.time("spawn_outside", TASKS as usize, || {
        let begin = Instant::now();
        let boxes = (0..TASKS).map(|_| black_box(Box::new([0_u8; 128]))).collect();
        to.send(boxes).expect("it writes");
        drop(seen.recv().expect("it answers"));
        begin.elapsed()
    });
}

fn in_turn<R: Rt>(run: &mut Run) {
    let runtime = R::start(WORKERS);
    run.time("spawn_join", TASKS as usize, || {
        inside(&runtime, async {
            for i in 0..TASKS {
                R::spawn(async move { i }).await;
            }
        })
    });
}

fn chain<R: Rt>(run: &mut Run) {
    fn link<R: Rt>(left: u32, done: oneshot::Sender<()>) {
        R::detach(R::spawn(async move {
            if left == 0 {
                done.send(()).expect("it waits");
            } else {
                link::<R>(left - 1, done);
            }
        }));
    }
    let runtime = R::start(WORKERS);
    run.time("chain", TASKS as usize, || {
        inside(&runtime, async {
            let (done, end) = oneshot::channel();
            link::<R>(TASKS, done);
            end.await.expect("the chain ends");
        })
    });
}

fn main() {
    let case = |name, rows, contenders| Case {
        name,
        rows,
        contenders,
        base: "tokio",
        points: ONCE,
        full: false,
        drive: None,
    };
    ask(
        "spawn",
        &[
            case(
                "spawn",
                &[Row {
                    name: "spawn",
                    unit: "ns",
                    what: "spawn 10,000 tasks from a task, join all; per task (bare: malloc and free of 128 bytes)",
                    target: Some(Target::Most(0.33)),
                }],
                all!(many, memory),
            ),
            case(
                "spawn_outside",
                &[Row {
                    name: "spawn_outside",
                    unit: "ns",
                    what: "spawn 10,000 tasks from outside, join all; per task (bare: malloc and free of 128 bytes that another thread writes to)",
                    target: Some(Target::Most(0.33)),
                }],
                all!(outside, shared_memory),
            ),
            case(
                "spawn_join",
                &[Row {
                    name: "spawn_join",
                    unit: "ns",
                    what: "spawn and join one after the other; per task",
                    target: Some(Target::Most(0.6)),
                }],
                all!(in_turn),
            ),
            case(
                "chain",
                &[Row {
                    name: "chain",
                    unit: "ns",
                    what: "each task spawns the next; per task",
                    target: Some(Target::Most(0.6)),
                }],
                all!(chain),
            ),
        ],
    );
}
