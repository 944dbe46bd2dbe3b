//! What does it cost to let the others run? `cargo bench --bench switch`.

use filch_benches::count::Counting;
use filch_benches::question::{Case, ONCE, Row, Run, Target, ask};
use filch_benches::work::{self, inside};
use filch_benches::{Rt, WORKERS, all};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn yields<R: Rt>(run: &mut Run) {
    let runtime = R::start(WORKERS);
    run.time("yield", 200_000, || inside(&runtime, work::yields::<R>(200, 1_000)));
}

fn main() {
    ask(
        "switch",
        &[Case {
            name: "yield",
            rows: &[Row {
                name: "yield",
                unit: "ns",
                what: "200 tasks yield 1,000 times each; per yield",
                target: Some(Target::Most(0.6)),
            }],
            contenders: all!(yields),
            base: "tokio",
            points: ONCE,
            full: false,
            drive: None,
        }],
    );
}
