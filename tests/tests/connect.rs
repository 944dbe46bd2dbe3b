//! Connecting to hosts with several addresses.

use filch::net::{ConnectError, TcpListener, connect};
use filch::runtime::{Builder, Handle};
use filch::time::Instant;
use filch_tests::{multi, within};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// An address at which nobody listens.
async fn closed() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// In a deterministic runtime, where 127.0.0.2 is cut off from the caller: what is sent there waits for ever.
fn simulated<F: Future>(test: impl Fn() -> F + Send + Sync + 'static) {
    within(move || {
        for seed in 0..50 {
            let runtime = Builder::new_multi_thread().deterministic(seed).build().unwrap();
            runtime.block_on(async {
                let network = Handle::current().sim().unwrap().network().clone();
                network.partition(IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)));
                test().await;
            });
        }
    });
}

#[test]
fn a_name_is_resolved() {
    within(|| {
        multi(2).block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let stream = connect(("localhost", address.port())).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), address);
            assert_eq!(connect(address).await.unwrap().peer_addr().unwrap(), address);
        });
    });
}

#[test]
fn a_refusal_starts_the_next_attempt_at_once() {
    simulated(|| async {
        let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = open.local_addr().unwrap();
        let addresses = [closed().await, closed().await, address];
        let begin = Instant::now();
        let stream = connect(&addresses[..]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        assert!(begin.elapsed() < 100 * MS);
    });
}

#[test]
fn an_address_that_does_not_answer_holds_up_nobody() {
    simulated(|| async {
        let silent = TcpListener::bind("127.0.0.2:0").await.unwrap();
        let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (silent, address) = (silent.local_addr().unwrap(), open.local_addr().unwrap());
        let addresses = [silent, address];
        let begin = Instant::now();
        let stream = connect(&addresses[..]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        assert!(
            begin.elapsed() >= 250 * MS && begin.elapsed() < 300 * MS,
            "{:?}",
            begin.elapsed()
        );
        let begin = Instant::now();
        connect(&addresses[..]).happy_eyeballs(10 * MS).await.unwrap();
        assert!(
            begin.elapsed() >= 10 * MS && begin.elapsed() < 50 * MS,
            "{:?}",
            begin.elapsed()
        );
    });
}

#[test]
fn all_failures_are_told() {
    within(|| {
        multi(1).block_on(async {
            let addresses = [closed().await, closed().await];
            let error = connect(&addresses[..]).await.unwrap_err();
            let ConnectError::Failed(attempts) = &error else {
                panic!("{error}")
            };
            let tried: Vec<_> = attempts.iter().map(|(address, _)| *address).collect();
            assert_eq!(tried, addresses);
            let text = error.to_string();
            assert!(
                addresses.iter().all(|address| text.contains(&address.to_string())),
                "{text}"
            );
            assert_eq!(io::Error::from(error).kind(), io::ErrorKind::ConnectionRefused);

            let none: [SocketAddr; 0] = [];
            let error = connect(&none[..]).await.unwrap_err();
            assert!(matches!(error, ConnectError::Lookup(_)), "{error}");
            let error = connect("no.such.host.invalid:80").await.unwrap_err();
            assert!(matches!(error, ConnectError::Lookup(_)), "{error}");
        });
    });
}

#[test]
fn the_local_address_is_chosen() {
    within(|| {
        multi(1).block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let local: SocketAddr = "127.0.0.3:0".parse().unwrap();
            let stream = connect(listener.local_addr().unwrap()).local_addr(local).await.unwrap();
            assert_eq!(stream.local_addr().unwrap().ip(), local.ip());
            let other: SocketAddr = "[::1]:0".parse().unwrap();
            let error = connect(listener.local_addr().unwrap())
                .local_addr(other)
                .await
                .unwrap_err();
            assert!(matches!(error, ConnectError::Failed(attempts) if attempts.is_empty()));
        });
    });
}

#[test]
fn families_take_turns() {
    within(|| {
        multi(1).block_on(async {
            let port = closed().await.port();
            let four = |last| SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), port));
            let six = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port));
            let addresses = [four(1), four(2), six];
            let ConnectError::Failed(attempts) = connect(&addresses[..]).await.unwrap_err() else {
                panic!("they are tried")
            };
            let tried: Vec<_> = attempts.iter().map(|(address, _)| *address).collect();
            assert_eq!(tried, [four(1), six, four(2)]);
        });
    });
}
