//! An HTTP server, versions 1.1 and 2, by hyper: `cargo run --release -p filch --features hyper --example http`.
//!
//! It shows what a server needs besides its answers: limits on connections and on silence, trouble that it survives, and an end
//! that lets the requests in flight finish.
//!
//! - **Silence.** A connection that has not sent the head of a request in time is cut off, whatever it sends instead. Later, hyper's own
//!   limits hold: one on reading a head (HTTP/1, so on waiting for the next request too), and pings (HTTP/2). Bodies have no limit.
//! - **The limit on connections.** Those beyond it wait in the listener's backlog until one ends.
//! - **The end.** Ctrl-C closes the listener and tells all connections to finish. When the grace period is over `main` returns, and
//!   [`filch::run`] drops what is left.

use filch::hyper::{Executor, Timer};
use filch::net::{TcpListener, TcpStream};
use filch::runtime::Handle;
use filch::signal::unix::{SignalKind, signal};
use filch::sync::Semaphore;
use filch::time::{Duration, sleep, timeout};
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const USAGE: &str = "\
usage: http [--port N] [--max-connections N] [--header-timeout SECONDS] [--grace SECONDS]

  --port             where to listen on 127.0.0.1 (7878); 0: any free port
  --max-connections  how many connections to serve at the same time (10000)
  --header-timeout   how long a client may take to send the head of a request (10)
  --grace            how long requests in flight may go on after Ctrl-C (10)";

/// `/sleep/{ms}` sleeps no longer than this.
const LONGEST_SLEEP_MS: u64 = 60_000;

/// How much is read of a body that nobody wants.
const UNWANTED_BODY: usize = 64 * 1024;

/// The pause after a failed accept: long enough for some file descriptors to become free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the server has done, for `/stats` and for the last words. Nothing is decided by these numbers: they are relaxed.
static REQUESTS: AtomicUsize = AtomicUsize::new(0);
static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// A body that is at hand, or the request's own, sent back.
type Body = Either<Full<Bytes>, Incoming>;

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--help") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("http: {problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match filch::run(serve(&options)) {
        Ok(aborted) => {
            let (requests, connections) = (count(&REQUESTS), count(&CONNECTIONS));
            println!("served {requests} requests on {connections} connections; {aborted} connections aborted");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!(
                "http: cannot serve at 127.0.0.1:{}: {error} (--port 0 takes any free port)",
                options.port
            );
            ExitCode::FAILURE
        }
    }
}

/// Serves until Ctrl-C, then lets connections finish. Returns how many did not in time.
async fn serve(options: &Options) -> io::Result<usize> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
    let mut interrupts = signal(SignalKind::interrupt())?;
    println!("http://{}", listener.local_addr()?);

    let graceful = Arc::new(GracefulShutdown::new());
    let accepting = filch::spawn(accept(listener, options.clone(), graceful.clone()));
    interrupts.recv().await;

    // Once the task has ended its listener is closed, and no connection can come to be that is not told to finish.
    accepting.abort();
    let _ = accepting.await;
    println!("finishing {} connections; Ctrl-C again to stop at once", count(&OPEN));
    let graceful = Arc::into_inner(graceful).expect("the other owner was the task that accepts");
    let finished = filch::select! {
        finished = timeout(options.grace, graceful.shutdown()) => finished.is_ok(),
        _ = interrupts.recv() => std::process::exit(130),
    };
    Ok(if finished { 0 } else { count(&OPEN) })
}

async fn accept(listener: TcpListener, options: Options, graceful: Arc<GracefulShutdown>) {
    let mut http = auto::Builder::new(Executor::new());
    let patience = options.header_timeout;
    http.http1().timer(Timer::new()).header_read_timeout(patience);
    let mut http2 = http.http2();
    http2.timer(Timer::new());
    http2.keep_alive_interval(patience).keep_alive_timeout(patience);
    let http = Arc::new(http);
    let places = Arc::new(Semaphore::new(options.max_connections));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (http, watcher) = (http.clone(), graceful.watcher());
                filch::spawn(async move {
                    let _place = place;
                    connection(stream, &http, watcher, patience).await;
                });
            }
            Err(error) => {
                eprintln!("http: accept: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection to its end. How long it may take to come up with its first request is up to our `patience`: hyper waits
/// without a limit for the bytes that tell the version of HTTP.
async fn connection(stream: TcpStream, http: &auto::Builder<Executor>, watcher: Watcher, patience: Duration) {
    let _open = Open::new();
    // Fails only if the peer has gone; reading will tell.
    let _ = stream.set_nodelay(true);
    let begun = AtomicBool::new(false);
    let service = service_fn(|request| {
        begun.store(true, Ordering::Relaxed);
        async { Ok::<_, Infallible>(answer(request).await) }
    });
    let mut connection = pin!(watcher.watch(http.serve_connection(stream, service)));
    // Errors are the peer's doing: it went away, or what it sent is not HTTP. There is nobody to tell.
    if timeout(patience, connection.as_mut()).await.is_err() && begun.load(Ordering::Relaxed) {
        let _ = connection.await;
    }
}

/// Counts a connection for as long as it lives.
struct Open;

impl Open {
    fn new() -> Self {
        CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        OPEN.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The answer to a request.
async fn answer(request: Request<Incoming>) -> Response<Body> {
    REQUESTS.fetch_add(1, Ordering::Relaxed);
    let (head, body) = request.into_parts();
    if head.uri.path() == "/echo" && matches!(head.method, Method::POST | Method::PUT) {
        return response(StatusCode::OK, "application/octet-stream", Either::Right(body));
    }
    // Nobody wants the body, but there are clients (curl with HTTP/2) that take an answer for a failure while they still send.
    let _ = Limited::new(body, UNWANTED_BODY).collect().await;
    let mut response = route(head.method.as_str(), head.uri.path()).await;
    if head.method == Method::HEAD {
        // hyper leaves the body out by itself over HTTP/1 only.
        if let Some(length) = response.body().size_hint().exact() {
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
        *response.body_mut() = Either::Left(Full::default());
    }
    response
}

async fn route(method: &str, path: &str) -> Response<Body> {
    match (path, method) {
        ("/", "GET" | "HEAD") => text(StatusCode::OK, "hello from filch\n"),
        ("/stats", "GET" | "HEAD") => response(StatusCode::OK, "application/json", Either::Left(Full::from(stats()))),
        ("/" | "/stats", _) => not_allowed("GET, HEAD"),
        ("/echo", _) => not_allowed("POST, PUT"),
        _ => match (path.strip_prefix("/sleep/"), method) {
            (Some(ms), "GET" | "HEAD") => match ms.parse() {
                Ok(ms) if ms <= LONGEST_SLEEP_MS => {
                    sleep(Duration::from_millis(ms)).await;
                    text(StatusCode::OK, "slept\n")
                }
                _ => text(StatusCode::BAD_REQUEST, "say how many milliseconds, at most 60000\n"),
            },
            (Some(_), _) => not_allowed("GET, HEAD"),
            (None, _) => text(StatusCode::NOT_FOUND, "there is /, /echo, /sleep/{ms} and /stats\n"),
        },
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    let body = Either::Left(Full::new(Bytes::from_static(text.as_bytes())));
    response(status, "text/plain; charset=utf-8", body)
}

fn not_allowed(allowed: &'static str) -> Response<Body> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "this method is not for this path\n");
    let allowed = HeaderValue::from_static(allowed);
    response.headers_mut().insert(ALLOW, allowed);
    response
}

fn response(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// What the runtime and the server count, as JSON.
fn stats() -> String {
    let metrics = Handle::current().metrics();
    let workers: Vec<String> = (0..metrics.num_workers())
        .map(|worker| {
            format!(
                r#"{{"polls":{},"parks":{},"steals":{},"rescues":{},"turns":{},"io_sources":{},"timers":{}}}"#,
                metrics.worker_poll_count(worker),
                metrics.worker_park_count(worker),
                metrics.worker_steal_count(worker),
                metrics.worker_rescue_count(worker),
                metrics.worker_driver_turn_count(worker),
                metrics.worker_io_sources(worker),
                metrics.worker_timers(worker),
            )
        })
        .collect();
    format!(
        r#"{{"workers":[{}],"alive_tasks":{},"inbox":{},"blocking_threads":{},"connections":{{"open":{},"served":{}}},"requests":{}}}"#,
        workers.join(","),
        metrics.num_alive_tasks(),
        metrics.global_queue_depth(),
        metrics.num_blocking_threads(),
        count(&OPEN),
        count(&CONNECTIONS),
        count(&REQUESTS),
    ) + "\n"
}

fn count(counter: &AtomicUsize) -> usize {
    counter.load(Ordering::Relaxed)
}

#[derive(Debug, Clone)]
struct Options {
    port: u16,
    max_connections: usize,
    header_timeout: Duration,
    grace: Duration,
}

impl Options {
    /// Reads `--name value` pairs. The error says what is wrong with them.
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            port: 7878,
            max_connections: 10_000,
            header_timeout: Duration::from_secs(10),
            grace: Duration::from_secs(10),
        };
        while let Some(name) = arguments.next() {
            let value = arguments.next();
            let number = |range: RangeInclusive<u32>| match value.as_deref().map(str::parse) {
                Some(Ok(number)) if range.contains(&number) => Ok(number),
                _ => Err(format!(
                    "{name} takes a number from {} to {}",
                    range.start(),
                    range.end()
                )),
            };
            match &*name {
                "--port" => options.port = number(0..=65_535)? as u16,
                "--max-connections" => options.max_connections = number(1..=1_000_000)? as usize,
                "--header-timeout" => options.header_timeout = Duration::from_secs(number(1..=86_400)?.into()),
                "--grace" => options.grace = Duration::from_secs(number(0..=86_400)?.into()),
                _ => return Err(format!("there is no {name}")),
            }
        }
        Ok(options)
    }
}
