//! What if there are many more workers than processors? `cargo bench --bench workers`.

use filch_benches::count::Counting;
use filch_benches::echo::{drive, serve};
use filch_benches::question::{Case, Contender, Driven, Measurement, ONCE, Row, Run, Target, ask};
use filch_benches::work::{self, inside};
use filch_benches::{Filch, Rt, Smol, Tokio, WORKERS};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MANY: usize = 64;

fn spawn<R: Rt, const N: usize>(run: &mut Run) {
    let runtime = R::start(N);
    run.time("spawn_64", 10_000, || inside(&runtime, work::spawn::<R>(10_000)));
}

fn yields<R: Rt, const N: usize>(run: &mut Run) {
    let runtime = R::start(N);
    run.time("yield_64", 200_000, || inside(&runtime, work::yields::<R>(200, 1_000)));
}

fn ping_pong<R: Rt, const N: usize>(run: &mut Run) {
    let runtime = R::start(N);
    run.time("ping_pong_64", 1_000, || inside(&runtime, work::ping_pong::<R>(1_000)));
}

fn echo<R: Rt, const N: usize>(run: &mut Run) {
    serve::<R>(run, N);
}

fn client(child: &mut Measurement, _: usize) -> Driven {
    drive(child, 128, Duration::from_secs(2), "echo_64_p99")
}

/// Every runtime with many workers, and filch with two.
macro_rules! many {
    ($run:ident) => {
        &[
            Contender {
                name: "filch",
                run: $run::<Filch, MANY>,
            },
            Contender {
                name: "tokio",
                run: $run::<Tokio, MANY>,
            },
            Contender {
                name: "smol",
                run: $run::<Smol, MANY>,
            },
            Contender {
                name: "filch, 2 workers",
                run: $run::<Filch, WORKERS>,
            },
        ]
    };
}

const fn row(name: &'static str, unit: &'static str, what: &'static str) -> Row {
    Row {
        name,
        unit,
        what,
        target: Some(Target::Most(1.0)),
    }
}

fn main() {
    let case = |name, rows, contenders, drive| Case {
        name,
        rows,
        contenders,
        base: "tokio",
        points: ONCE,
        full: false,
        drive,
    };
    const SPAWN: &[Row] = &[row(
        "spawn_64",
        "ns",
        "spawn 10,000 tasks and join them, 64 workers; per task",
    )];
    const YIELD: &[Row] = &[row(
        "yield_64",
        "ns",
        "200 tasks yield 1,000 times each, 64 workers; per yield",
    )];
    const PING_PONG: &[Row] = &[row(
        "ping_pong_64",
        "ns",
        "1,000 pairs over oneshots, 64 workers; per pair",
    )];
    const ECHO: &[Row] = &[row(
        "echo_64",
        "ns CPU",
        "echo over 128 connections, 64 workers; processor time per message",
    )];
    ask(
        "workers",
        &[
            case("spawn_64", SPAWN, many!(spawn), None),
            case("yield_64", YIELD, many!(yields), None),
            case("ping_pong_64", PING_PONG, many!(ping_pong), None),
            case("echo_64", ECHO, many!(echo), Some(client)),
        ],
    );
}
