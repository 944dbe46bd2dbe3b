//! What does a message from task to task cost? `cargo bench --bench messages`. The channels are futures-channel's, on every runtime.

use filch_benches::count::Counting;
use filch_benches::question::{Case, ONCE, Row, Run, Target, ask};
use filch_benches::work::{self, inside};
use filch_benches::{Rt, WORKERS, all};
use futures_channel::mpsc;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn ping_pong<R: Rt>(run: &mut Run) {
    let runtime = R::start(WORKERS);
    run.time("ping_pong", 1_000, || inside(&runtime, work::ping_pong::<R>(1_000)));
}

fn ring<R: Rt>(run: &mut Run) {
    let runtime = R::start(WORKERS);
    run.time("ring", 100_000, || {
        inside(&runtime, async {
            let (first, mut source) = mpsc::unbounded::<u32>();
            for _ in 1..1_000 {
                let (to, from) = mpsc::unbounded::<u32>();
                let mut input = std::mem::replace(&mut source, from);
                R::detach(R::spawn(async move {
                    while let Ok(token) = input.recv().await {
                        if to.unbounded_send(token).is_err() {
                            break;
                        }
                    }
                }));
            }
            for lap in 0..100 {
                first.unbounded_send(lap).expect("the ring stands");
                source.recv().await.expect("the token comes round");
            }
        })
    });
}

fn producers<R: Rt>(run: &mut Run) {
    const PRODUCERS: u32 = 100;
    const EACH: u32 = 1_000;
    let runtime = R::start(WORKERS);
    run.time("producers", (PRODUCERS * EACH) as usize, || {
        inside(&runtime, async {
            // A sender's own place comes on top of the room: one for each value that is there.
            let (to, mut from) = mpsc::channel::<u32>(64);
            for _ in 0..PRODUCERS {
                let mut to = to.clone();
                R::detach(R::spawn(async move {
                    for value in 0..EACH {
                        std::future::poll_fn(|cx| to.poll_ready(cx)).await.expect("it receives");
                        to.start_send(value).expect("there is room");
                    }
                }));
            }
            drop(to);
            for _ in 0..PRODUCERS * EACH {
                from.recv().await.expect("a value");
            }
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
        "messages",
        &[
            case(
                "ping_pong",
                &[Row {
                    name: "ping_pong",
                    unit: "ns",
                    what: "1,000 pairs of tasks answer each other over oneshots; per pair, with its three spawns",
                    target: Some(Target::Most(0.5)),
                }],
                all!(ping_pong),
            ),
            case(
                "ring",
                &[Row {
                    name: "ring",
                    unit: "ns",
                    what: "a token goes round 1,000 tasks; per hop",
                    target: Some(Target::Most(0.8)),
                }],
                all!(ring),
            ),
            case(
                "producers",
                &[Row {
                    name: "producers",
                    unit: "ns",
                    what: "100 tasks send 1,000 values each into one channel with room for 64; per value",
                    target: Some(Target::Most(0.8)),
                }],
                all!(producers),
            ),
        ],
    );
}
