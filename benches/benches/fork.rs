//! What do trees of tasks cost? `cargo bench --bench fork`.

use filch_benches::count::Counting;
use filch_benches::question::{Case, ONCE, Row, Run, Target, ask};
use filch_benches::work::inside;
use filch_benches::{Rt, WORKERS, all};
use std::future::Future;
use std::pin::Pin;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

type Sum = Pin<Box<dyn Future<Output = u64> + Send>>;

/// A million leaves under nodes of ten children, which sum up their numbers.
fn skynet<R: Rt>(run: &mut Run) {
    fn node<R: Rt>(number: u64, size: u64) -> Sum {
        Box::pin(async move {
            if size == 1 {
                return number;
            }
            let size = size / 10;
            let children: Vec<_> = (0..10).map(|i| R::spawn(node::<R>(number + i * size, size))).collect();
            let mut sum = 0;
            for child in children {
                sum += child.await;
            }
            sum
        })
    }
    let leaves = if run.counts { 10_000 } else { 1_000_000 };
    let runtime = R::start(WORKERS);
    let once = || {
        inside(&runtime, async move {
            assert_eq!(node::<R>(0, leaves).await, leaves * (leaves - 1) / 2);
        })
    };
    // A round is long enough.
    run.time_rounds("skynet", (leaves * 10 / 9) as usize, 1, 3, once);
}

/// Fibonacci's numbers, a task for each call.
fn fib<R: Rt>(run: &mut Run) {
    fn node<R: Rt>(n: u32) -> Sum {
        Box::pin(async move {
            if n < 2 {
                return u64::from(n);
            }
            let left = R::spawn(node::<R>(n - 1));
            let right = R::spawn(node::<R>(n - 2));
            left.await + right.await
        })
    }
    let runtime = R::start(WORKERS);
    let once = || {
        inside(&runtime, async {
            assert_eq!(node::<R>(24).await, 46_368);
        })
    };
    // Calls of fib(24): 2 fib(25) - 1, less the first, which is no task.
    run.time_rounds("fib", 150_048, 2, 7, once);
}

fn main() {
    ask(
        "fork",
        &[
            Case {
                name: "skynet",
                rows: &[Row {
                    name: "skynet",
                    unit: "ns",
                    what: "a million leaves, ten children for each node; per task",
                    target: Some(Target::Most(0.5)),
                }],
                contenders: all!(skynet),
                base: "tokio",
                points: ONCE,
                full: false,
                drive: None,
            },
            Case {
                name: "fib",
                rows: &[Row {
                    name: "fib",
                    unit: "ns",
                    what: "fib(24), a task for each call; per task",
                    target: Some(Target::Most(0.5)),
                }],
                contenders: all!(fib),
                base: "tokio",
                points: ONCE,
                full: false,
                drive: None,
            },
        ],
    );
}
