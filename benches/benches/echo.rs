//! What does a message over a socket cost the server? `cargo bench --bench echo`.

use filch_benches::count::Counting;
use filch_benches::echo::{drive, room, serve, serve_bare};
use filch_benches::question::{Case, Contender, Driven, Measurement, ONCE, Row, Run, Target, ask, is_full};
use filch_benches::{Filch, Rt, Smol, Tokio, WORKERS};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CONNECTIONS: usize = 128;

const CONTENDERS: &[Contender] = &[
    Contender {
        name: "filch",
        run: echo::<Filch>,
    },
    Contender {
        name: "tokio",
        run: echo::<Tokio>,
    },
    Contender {
        name: "smol",
        run: echo::<Smol>,
    },
    Contender {
        name: "bare",
        run: |run| serve_bare(run, 1),
    },
    Contender {
        name: "bare, two threads",
        run: |run| serve_bare(run, 2),
    },
];

fn echo<R: Rt>(run: &mut Run) {
    serve::<R>(run, WORKERS);
}

fn client(child: &mut Measurement, _: usize) -> Driven {
    drive(child, CONNECTIONS, Duration::from_secs(2), "echo_p99")
}

fn sized(child: &mut Measurement, connections: usize) -> Driven {
    drive(child, connections, Duration::from_secs(2), "echo_connections_p99")
}

/// How many connections the curve has.
const SIZES: &[usize] = &[1, 10, 100, 1_000, 10_000];

fn main() {
    let most = room(10_000);
    let sizes = &SIZES[..SIZES.iter().filter(|size| **size <= most).count()];
    if is_full() && sizes.len() < SIZES.len() {
        println!(
            "echo_connections: some sizes are left out, since this process may have {most} connections only (ulimit -n)"
        );
    }
    ask(
        "echo",
        &[
            Case {
                name: "echo",
                rows: &[
                    Row {
                        name: "echo",
                        unit: "ns CPU",
                        what: "TCP echo of 64 bytes over 128 connections; the server's processor time per message (bare: an epoll loop on one thread)",
                        target: Some(Target::Most(1.0)),
                    },
                    Row {
                        name: "echo_p99",
                        unit: "us",
                        what: "the 99th percentile of the same messages, there and back, each connection having one on its way",
                        target: Some(Target::Most(1.0)),
                    },
                ],
                contenders: CONTENDERS,
                base: "tokio",
                points: ONCE,
                full: false,
                drive: Some(client),
            },
            Case {
                name: "echo_connections",
                rows: &[Row {
                    name: "echo_connections",
                    unit: "ns CPU",
                    what: "echo over so many connections; the server's processor time per message",
                    target: None,
                }],
                contenders: CONTENDERS,
                base: "tokio",
                points: sizes,
                full: true,
                drive: Some(sized),
            },
        ],
    );
}
