//! How many requests does a server of hyper's answer? `cargo bench --bench http -- --full`; needs wrk and h2load (Debian's packages wrk and nghttp2-client).

use filch_benches::count::{Counting, cpu_seconds};
use filch_benches::question::{
    Case, Contender, Driven, Measurement, ONCE, Row, Run, Target, ask, is_full, wait_for_stop,
};
use filch_benches::{Filch, Rt, Tokio, WORKERS};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::process::{Command, Stdio};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(b"Hello, world!\n"))))
}

fn on_filch(run: &mut Run) {
    let runtime = Filch::start(WORKERS);
    let begun = runtime.spawn_on(async {
        let (listener, address) = Filch::listen().await.expect("a port is free");
        Filch::detach(Filch::spawn(async move {
            loop {
                let stream = Filch::accept(&listener).await.expect("it accepts");
                Filch::detach(Filch::spawn(async move {
                    let http = auto::Builder::new(filch::hyper::Executor::new());
                    // A client that goes is no error here.
                    let _ = http.serve_connection(stream, service_fn(hello)).await;
                }));
            }
        }));
        address.port()
    });
    serve(run, runtime.block_on(begun));
}

fn on_tokio(run: &mut Run) {
    let runtime = Tokio::start(WORKERS);
    let begun = runtime.spawn_on(async {
        let (listener, address) = Tokio::listen().await.expect("a port is free");
        Tokio::detach(Tokio::spawn(async move {
            loop {
                let stream = Tokio::accept(&listener).await.expect("it accepts");
                Tokio::detach(Tokio::spawn(async move {
                    let http = auto::Builder::new(TokioExecutor::new());
                    // A client that goes is no error here.
                    let _ = http.serve_connection(TokioIo::new(stream), service_fn(hello)).await;
                }));
            }
        }));
        address.port()
    });
    serve(run, runtime.block_on(begun));
}

fn serve(run: &mut Run, port: u16) {
    println!("{port}");
    let begin = cpu_seconds();
    wait_for_stop();
    run.cpu = Some((cpu_seconds() - begin, 1.0));
}

/// Runs a client, and gives what it printed.
fn client(child: &mut Measurement, program: &str, words: &[&str]) -> String {
    let url = format!("http://127.0.0.1:{}/", child.number());
    let output = Command::new(program).args(words).arg(url).output();
    let output = output.unwrap_or_else(|error| panic!("{program} cannot be run ({error}): install it first"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The first number behind a word.
fn behind(text: &str, word: &str) -> f64 {
    let (_, rest) = text.split_once(word).unwrap_or_else(|| panic!("no {word:?} in {text}"));
    let rest = rest.trim_start();
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    rest[..end]
        .parse()
        .unwrap_or_else(|_| panic!("no number behind {word:?} in {text}"))
}

/// A time of wrk's, in microseconds.
fn time(text: &str, word: &str) -> f64 {
    let number = behind(text, word);
    let (_, rest) = text.split_once(word).expect("it was there");
    match rest
        .trim_start()
        .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
    {
        unit if unit.starts_with("us") => number,
        unit if unit.starts_with("ms") => number * 1e3,
        _ => number * 1e6,
    }
}

/// wrk, for so many connections; the rows are the rate and the 99th percentile.
fn wrk(child: &mut Measurement, connections: &str, rate: &'static str, late: &'static str) -> Driven {
    let text = client(child, "wrk", &["-t1", "-c", connections, "-d4", "--latency"]);
    assert!(!text.contains("Non-2xx"), "requests failed: {text}");
    Driven {
        operations: requests(&text),
        figures: vec![(rate, behind(&text, "Requests/sec:")), (late, time(&text, "99%"))],
    }
}

/// How many requests wrk made: the first word of the line that says so.
fn requests(text: &str) -> f64 {
    let line = text.lines().find(|line| line.contains(" requests in "));
    let number = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
    number.unwrap_or_else(|| panic!("wrk does not say how many requests: {text}"))
}

/// h2load, for so many connections with so many streams each.
fn h2load(child: &mut Measurement, connections: &str, streams: &str, rate: &'static str) -> Driven {
    let text = client(child, "h2load", &["-c", connections, "-m", streams, "-n", "200000"]);
    assert!(text.contains(" 200000 succeeded"), "requests failed: {text}");
    Driven {
        operations: 200_000.0,
        figures: vec![(
            rate,
            behind(text.split_once("finished in").map_or("", |(_, rest)| rest), ", "),
        )],
    }
}

/// Whether a client is installed; says what that costs if it is not, in the long programme.
fn is_there(program: &str, package: &str, protocol: &str) -> bool {
    if !is_full() {
        return true;
    }
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if let Err(error) = &found {
        println!("{protocol}: no figures, since `{program}` cannot be run ({error}); Debian's package is {package}");
    }
    found.is_ok()
}

const CONTENDERS: &[Contender] = &[
    Contender {
        name: "filch",
        run: on_filch,
    },
    Contender {
        name: "tokio",
        run: on_tokio,
    },
];

const fn rate(name: &'static str, what: &'static str, least: f64) -> Row {
    Row {
        name,
        unit: "requests/s",
        what,
        target: Some(Target::Least(least)),
    }
}

const fn late(name: &'static str, what: &'static str) -> Row {
    Row {
        name,
        unit: "us",
        what,
        target: Some(Target::Most(1.0)),
    }
}

fn main() {
    const HTTP1: &[Row] = &[
        rate("http1", "HTTP/1.1 through hyper, wrk -t1 -c64; more is better", 1.0),
        late("http1_p99", "the 99th percentile of these"),
    ];
    const FEW: &[Row] = &[
        rate("http1_few", "the same, -c4", 1.0),
        late("http1_few_p99", "the 99th percentile of these"),
    ];
    const MANY: &[Row] = &[
        rate("http1_many", "the same, -c512", 1.0),
        late("http1_many_p99", "the 99th percentile of these"),
    ];
    const HTTP2: &[Row] = &[rate(
        "http2",
        "HTTP/2 through hyper, h2load -c16 -m16; more is better",
        1.5,
    )];
    const ONE: &[Row] = &[rate("http2_few", "the same, -c1 -m16", 1.0)];
    let case = |rows: &'static [Row], drive| Case {
        name: rows[0].name,
        rows,
        contenders: CONTENDERS,
        base: "tokio",
        points: ONCE,
        full: true,
        drive: Some(drive),
    };
    let mut cases = Vec::new();
    if is_there("wrk", "wrk", "HTTP/1.1") {
        cases.push(case(HTTP1, |child, _| wrk(child, "64", "http1", "http1_p99")));
        cases.push(case(FEW, |child, _| wrk(child, "4", "http1_few", "http1_few_p99")));
        cases.push(case(MANY, |child, _| wrk(child, "512", "http1_many", "http1_many_p99")));
    }
    if is_there("h2load", "nghttp2-client", "HTTP/2") {
        cases.push(case(HTTP2, |child, _| h2load(child, "16", "16", "http2")));
        cases.push(case(ONE, |child, _| h2load(child, "1", "16", "http2_few")));
    }
    ask("http", &cases);
}
