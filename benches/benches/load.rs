//! How long does a message take at a fixed load? `cargo bench --bench load -- --full`.
//!
//! An open loop: messages are due at their times, whether or not those before were answered, and their time counts from when they were due. The client spins, so one processor is its own.

use filch_benches::count::Counting;
use filch_benches::echo::{drive_at, serve};
use filch_benches::question::{Case, Contender, Driven, Measurement, Row, Run, ask};
use filch_benches::{Rt, WORKERS, all};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn echo<R: Rt>(run: &mut Run) {
    serve::<R>(run, WORKERS);
}

fn client(child: &mut Measurement, rate: usize) -> Driven {
    drive_at(
        child,
        64,
        rate,
        Duration::from_secs(2),
        ["load_p50", "load_p99", "load_p999"],
    )
}

fn main() {
    const fn row(name: &'static str, what: &'static str) -> Row {
        Row {
            name,
            unit: "us",
            what,
            target: None,
        }
    }
    let contenders: &[Contender] = all!(echo);
    ask(
        "load",
        &[Case {
            name: "load",
            rows: &const {
                [
                    row(
                        "load_p50",
                        "echo over 64 connections at so many messages a second, open loop; the median",
                    ),
                    row("load_p99", "the 99th percentile of these"),
                    row("load_p999", "the 99.9th percentile of these"),
                ]
            },
            contenders,
            base: "tokio",
            points: &[1_000, 5_000, 20_000, 50_000],
            full: true,
            drive: Some(client),
        }],
    );
}
