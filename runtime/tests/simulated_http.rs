//! hyper, unchanged, in the deterministic runtime: its servers and clients over the simulated network, under many seeds.

use filch::hyper::{Executor, Timer};
use filch::net::{TcpListener, TcpStream};
use filch::runtime::Handle;
use filch::sim::{Sim, Slack};
use filch::time::{Duration, sleep, timeout};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::net::SocketAddr;

const MS: Duration = Duration::from_millis(1);

fn sim() -> Sim {
    Handle::current().sim().expect("this is a deterministic runtime")
}

/// Everything that is legal at once.
fn trouble() {
    sim().set_slack(
        Slack::default()
            .late_timers(2 * MS)
            .late_readiness(3 * MS)
            .short_io(0.3)
            .spurious_wakes(0.05)
            .steals(0.5),
    );
    sim().network().set_latency(MS, 20 * MS);
}

/// Answers with the path and the body, after a while that the path names.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request
        .into_body()
        .collect()
        .await
        .expect("the whole request")
        .to_bytes();
    let wait = path.trim_start_matches('/').parse().unwrap_or(0);
    sleep(MS * wait).await;
    let text = format!("{path} {}", String::from_utf8_lossy(&body));
    Ok(Response::new(Full::new(text.into())))
}

async fn serve() -> SocketAddr {
    let listener = TcpListener::bind("10.0.0.1:80").await.unwrap();
    let address = listener.local_addr().unwrap();
    filch::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            filch::spawn(async move {
                let mut server = auto::Builder::new(Executor::new());
                server
                    .http1()
                    .timer(Timer::new())
                    .header_read_timeout(Duration::from_secs(30));
                server.http2().timer(Timer::new());
                // A client that goes away is its own affair.
                let _ = server.serve_connection(stream, service_fn(answer)).await;
            });
        }
    });
    address
}

async fn text(response: Response<Incoming>) -> String {
    let body = response
        .into_body()
        .collect()
        .await
        .expect("the whole answer")
        .to_bytes();
    String::from_utf8(body.to_vec()).expect("text")
}

fn request(address: SocketAddr, path: u32, body: &str) -> Request<Full<Bytes>> {
    Request::post(format!("http://{address}/{path}"))
        .header("host", address.to_string())
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .expect("a request")
}

#[filch::test(deterministic, worker_threads = 3, seeds = 0..30)]
async fn http1() {
    trouble();
    let address = serve().await;
    let mut clients = Vec::new();
    for client in 0..3 {
        clients.push(filch::spawn(async move {
            let stream = TcpStream::connect(address).await.unwrap();
            let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
            filch::spawn(connection);
            for number in 0..5 {
                let body = "x".repeat(client * 1_000 + number);
                let response = sender
                    .send_request(request(address, number as u32, &body))
                    .await
                    .unwrap();
                assert_eq!(text(response).await, format!("/{number} {body}"));
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    assert!(sim().is_deterministic());
}

#[filch::test(deterministic, worker_threads = 2, seeds = 0..30)]
async fn http2_with_requests_at_once() {
    trouble();
    let address = serve().await;
    let stream = TcpStream::connect(address).await.unwrap();
    let builder = hyper::client::conn::http2::Builder::new(Executor::new());
    let (sender, connection) = builder.handshake(stream).await.unwrap();
    filch::spawn(connection);
    let requests: Vec<_> = (0..8u32)
        .map(|number| {
            let mut sender = sender.clone();
            filch::spawn(async move {
                let response = sender.send_request(request(address, 8 - number, "y")).await.unwrap();
                text(response).await
            })
        })
        .collect();
    for (number, answer) in (0..8u32).zip(requests) {
        assert_eq!(answer.await.unwrap(), format!("/{} y", 8 - number));
    }
}

#[filch::test(deterministic, seeds = 0..10)]
async fn a_reset_and_a_partition_are_errors_of_the_client() {
    trouble();
    let address = serve().await;
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    filch::spawn(connection);
    let cut = filch::spawn(async move {
        sleep(100 * MS).await;
        assert_eq!(sim().network().reset(address), 1);
    });
    let broken = sender.send_request(request(address, 1_000, "z")).await;
    assert!(broken.is_err());
    cut.await.unwrap();

    sim().network().partition([127, 0, 0, 1].into(), [10, 0, 0, 1].into());
    sim().network().partition(address.ip(), address.ip());
    let connected = timeout(Duration::from_secs(3_600), TcpStream::connect(address)).await;
    assert!(connected.is_err(), "nothing passes");
}
