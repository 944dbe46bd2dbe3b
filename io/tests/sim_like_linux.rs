//! The simulated network against the real one: each scenario runs over loopback and over the simulation, and what the program
//! saw - bytes, errors, ends, addresses - must be the same.
//!
//! It runs in the simulation a second time, with a latency and late readiness, which change nothing that these scenarios look at.

mod support;

use std::fmt::Debug;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use filch_io::Interest;
use filch_io::net::{TcpListener, TcpSocket, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream};
use support::simulated::Simulated;
use support::{Driver, join, poll_once};

/// What a scenario saw, line by line.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen(Vec<String>);

impl Seen {
    fn note(&mut self, what: &str, seen: impl Debug) {
        self.0.push(format!("{what}: {seen:?}"));
    }

    /// A result, with the system's number of an error.
    fn result<T: Debug>(&mut self, what: &str, result: io::Result<T>) {
        match result {
            Ok(value) => self.note(what, value),
            // Whether it was the readiness or the socket that said so is a question of time.
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.note(what, error.kind()),
            Err(error) => self.note(what, (error.kind(), error.raw_os_error())),
        }
    }

    /// Who it is, without the port, which differs.
    fn host(&mut self, what: &str, address: io::Result<SocketAddr>) {
        self.result(what, address.map(|address| address.ip()));
    }
}

/// Runs a scenario everywhere. It must have seen at least `least` things.
#[track_caller]
fn everywhere(least: usize, scenario: impl AsyncFn(&mut Seen)) {
    let real = at_once(least, &scenario);
    for seed in 0..4 {
        let simulated = Simulated::new(seed);
        simulated
            .network
            .set_latency(Duration::from_millis(1), Duration::from_millis(1));
        simulated.network.set_readiness_delay(Duration::from_millis(5));
        let mut seen = Seen::default();
        simulated.block_on(scenario(&mut seen));
        assert_eq!(seen, real, "left: simulated with latency and seed {seed}, right: real");
    }
}

/// As [`everywhere`], but only without latency: the scenario expects what is sent to have arrived.
#[track_caller]
fn at_once(least: usize, scenario: impl AsyncFn(&mut Seen)) -> Seen {
    let mut real = Seen::default();
    Driver::new(2).block_on(scenario(&mut real));
    assert!(real.0.len() >= least, "it saw too little: {real:#?}");

    let simulated = Simulated::new(1);
    let mut seen = Seen::default();
    simulated.block_on(scenario(&mut seen));
    assert_eq!(seen, real, "left: simulated, right: real");
    real
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, peer) = listener.accept().await.unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
    (client, server)
}

/// Reads to the end or an error, byte by byte; how much came and what ended it.
async fn drain(stream: &mut TcpStream) -> (Vec<u8>, io::Result<usize>) {
    let mut all = Vec::new();
    let mut byte = [0];
    loop {
        match stream.read(&mut byte).await {
            Ok(1) => all.push(byte[0]),
            end => return (all, end),
        }
    }
}

/// Waits until the peer's last message, whatever it was, has arrived.
async fn hung_up(stream: &TcpStream) {
    let mut wait = pin!(stream.ready(Interest::ERROR));
    poll_fn(|cx| wait.as_mut().poll(cx)).await.unwrap();
}

#[test]
fn half_closing_in_both_orders() {
    everywhere(9, async |seen| {
        let (mut client, mut server) = pair().await;
        client.write_all(b"question").await.unwrap();
        seen.result("shutdown", client.shutdown().await);
        seen.result("shutdown again", client.shutdown().await);
        seen.result("write after shutdown", client.write(b"x").await);
        let (data, end) = drain(&mut server).await;
        seen.note("server got", data);
        seen.result("and then", end);
        seen.result("the end stays", server.read(&mut [0; 4]).await);
        seen.result("the other way", server.write(b"answer").await);
        seen.host("peer of the one that reads on", client.peer_addr());
        drop(server);
        let (data, end) = drain(&mut client).await;
        seen.note("client got", data);
        seen.result("and then", end);
        seen.result("peer of what is over", client.peer_addr().map(drop));
        seen.host("own address of what is over", client.local_addr());
        seen.result("shutdown of what is over", client.shutdown().await);
        seen.result(
            "error",
            client.take_error().map(|error| error.map(|error| error.kind())),
        );
    });
}

#[test]
fn writing_to_a_peer_that_is_gone() {
    everywhere(6, async |seen| {
        let (mut client, server) = pair().await;
        drop(server);
        seen.result("read", client.read(&mut [0; 4]).await);
        seen.result("first write", client.write(b"a").await);
        // The answer to it is a reset.
        hung_up(&client).await;
        seen.result("second write", client.write(b"b").await);
        seen.result("third write", client.write(b"b").await);
        seen.result("read", client.read(&mut [0; 4]).await);
        seen.result("peer", client.peer_addr().map(drop));
    });
}

#[test]
fn a_reset_after_an_end_is_told_to_who_asks_for_the_error() {
    everywhere(2, async |seen| {
        let (mut client, server) = pair().await;
        drop(server);
        seen.result("read", client.read(&mut [0; 4]).await);
        seen.result("first write", client.write(b"a").await);
        hung_up(&client).await;
        seen.result(
            "error",
            client.take_error().map(|error| error.map(|error| error.kind())),
        );
        seen.result(
            "error again",
            client.take_error().map(|error| error.map(|error| error.kind())),
        );
        seen.result("read", client.read(&mut [0; 4]).await);
        seen.result("write", client.write(b"a").await);
    });
}

#[test]
fn dropping_with_unread_data_resets() {
    everywhere(7, async |seen| {
        let (mut client, mut server) = pair().await;
        server.write_all(b"unread").await.unwrap();
        client.readable().await.unwrap();
        client.write_all(b"last words").await.unwrap();
        server.readable().await.unwrap();
        drop(client);
        hung_up(&server).await;
        let (data, end) = drain(&mut server).await;
        seen.note("what came before", data);
        seen.result("and then", end);
        seen.result("read again", server.read(&mut [0; 4]).await);
        seen.result("write", server.write(b"x").await);
        seen.result("peer", server.peer_addr().map(drop));
        seen.host("own", server.local_addr());
        seen.result("shutdown", server.shutdown().await);
    });
}

#[test]
fn the_error_of_a_reset_is_met_once() {
    everywhere(8, async |seen| {
        for order in 0..3 {
            let (client, mut server) = pair().await;
            client.set_zero_linger().unwrap();
            drop(client);
            hung_up(&server).await;
            for step in 0..4 {
                match (order + step) % 3 {
                    0 => seen.result("read", server.read(&mut [0; 4]).await),
                    1 => seen.result("write", server.write(b"x").await),
                    _ => seen.result(
                        "error",
                        server.take_error().map(|error| error.map(|error| error.kind())),
                    ),
                }
            }
        }
    });
}

#[test]
fn a_half_closed_connection_is_reset() {
    everywhere(6, async |seen| {
        // Here it is a broken pipe, since the end was seen before.
        let (mut client, mut server) = pair().await;
        client.shutdown().await.unwrap();
        seen.result("the end", server.read(&mut [0; 4]).await);
        client.set_zero_linger().unwrap();
        drop(client);
        hung_up(&server).await;
        seen.result("read", server.read(&mut [0; 4]).await);
        seen.result("write", server.write(b"x").await);
        seen.result("write", server.write(b"x").await);

        // And with the writing direction closed on the other side.
        let (client, mut server) = pair().await;
        server.shutdown().await.unwrap();
        client.readable().await.unwrap();
        client.set_zero_linger().unwrap();
        drop(client);
        hung_up(&server).await;
        seen.result("write", server.write(b"x").await);
        seen.result("read", server.read(&mut [0; 4]).await);
        seen.result("read", server.read(&mut [0; 4]).await);
    });
}

#[test]
fn nothing_read_and_nothing_written() {
    everywhere(6, async |seen| {
        let (mut client, mut server) = pair().await;
        client.writable().await.unwrap();
        seen.result("write nothing", client.try_write(b""));
        client.write_all(b"a").await.unwrap();
        server.readable().await.unwrap();
        seen.result("read nothing of something", server.try_read(&mut []));
        seen.result("read", server.try_read(&mut [0; 4]));
        seen.result("read nothing of nothing", server.try_read(&mut []));
        client.shutdown().await.unwrap();
        seen.result("write nothing after the end", client.try_write(b""));
        seen.result("read", server.read(&mut [0; 4]).await);
        seen.result("read nothing after the end", server.try_read(&mut []));
    });
}

#[test]
fn refused() {
    everywhere(5, async |seen| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        seen.result("connect to nobody", TcpStream::connect(address).await.map(drop));
        let bound = TcpSocket::new_v4().unwrap();
        bound.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let quiet = bound.local_addr().unwrap();
        seen.result(
            "connect to who does not listen",
            TcpStream::connect(quiet).await.map(drop),
        );
        seen.result("port zero", TcpStream::connect(("127.0.0.1", 0)).await.map(drop));
        seen.result("bind twice", bound.bind("127.0.0.1:0".parse().unwrap()));
        seen.result(
            "bind to the other family",
            TcpSocket::new_v4().unwrap().bind("[::1]:0".parse().unwrap()),
        );
        let other = TcpSocket::new_v4().unwrap().connect("[::1]:80".parse().unwrap()).await;
        seen.result("connect to the other family", other.map(drop));
    });
}

#[test]
fn the_same_address_twice() {
    everywhere(8, async |seen| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "0.0.0.0", "127.0.0.2"] {
            seen.result(host, TcpListener::bind((host, port)).await.map(drop));
        }
        seen.result("udp", UdpSocket::bind(("127.0.0.1", port)).await.map(drop));
        let (client, server) = {
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            (client, listener.accept().await.unwrap().0)
        };
        drop(listener);
        let again = TcpListener::bind(("127.0.0.1", port)).await;
        seen.result("while a connection lives", again.map(drop));
        drop((client, server));
        let any = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let port = any.local_addr().unwrap().port();
        for host in ["127.0.0.1", "0.0.0.0", "127.0.0.2"] {
            seen.result(host, TcpListener::bind((host, port)).await.map(drop));
        }
        let one = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = one.local_addr().unwrap().port();
        for host in ["127.0.0.1", "0.0.0.0", "127.0.0.2"] {
            seen.result(host, UdpSocket::bind((host, port)).await.map(drop));
        }
    });
}

#[test]
fn addresses_of_both_ends() {
    everywhere(12, async |seen| {
        let any = TcpListener::bind("0.0.0.0:0").await.unwrap();
        seen.host("listener", any.local_addr());
        let port = any.local_addr().unwrap().port();
        for host in ["127.0.0.1", "127.0.0.2", "0.0.0.0"] {
            let client = TcpStream::connect((host, port)).await.unwrap();
            let (server, peer) = any.accept().await.unwrap();
            seen.host("client", client.local_addr());
            seen.host("its peer", client.peer_addr());
            seen.host("server", server.local_addr());
            seen.host("its peer", server.peer_addr());
            assert_eq!(peer, client.local_addr().unwrap());
            assert_eq!(
                (server.local_addr().unwrap().port(), client.peer_addr().unwrap().port()),
                (port, port)
            );
        }
        for own in ["0.0.0.0:0", "127.0.0.3:0"] {
            let socket = TcpSocket::new_v4().unwrap();
            seen.host("before", socket.local_addr());
            socket.bind(own.parse().unwrap()).unwrap();
            seen.host("bound", socket.local_addr());
            let own = socket.local_addr().unwrap();
            let client = socket.connect(([127, 0, 0, 1], port).into()).await.unwrap();
            seen.host("connected", client.local_addr());
            assert_eq!(client.local_addr().unwrap().port(), own.port());
            let (_server, peer) = any.accept().await.unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
        }
    });
}

#[test]
fn ipv6() {
    everywhere(4, async |seen| {
        let Ok(listener) = TcpListener::bind("[::]:0").await else {
            // A machine without it.
            (0..4).for_each(|_| seen.note("no IPv6", ()));
            return;
        };
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect(("::1", port)).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        seen.host("listener", listener.local_addr());
        seen.host("client", client.local_addr());
        seen.host("server", server.local_addr());
        let one = UdpSocket::bind("[::1]:0").await.unwrap();
        let other = UdpSocket::bind("[::]:0").await.unwrap();
        other.send_to(b"abc", one.local_addr().unwrap()).await.unwrap();
        let mut buf = [0; 8];
        let (len, peer) = one.recv_from(&mut buf).await.unwrap();
        seen.note(
            "udp",
            (len, peer.ip(), peer.port() == other.local_addr().unwrap().port()),
        );
    });
}

#[test]
fn what_happened_before_the_accept() {
    everywhere(6, async |seen| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"early").await.unwrap();
        drop(client);
        let (mut server, _) = listener.accept().await.unwrap();
        let (data, end) = drain(&mut server).await;
        seen.note("of who left", data);
        seen.result("and then", end);

        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"early").await.unwrap();
        client.set_zero_linger().unwrap();
        drop(client);
        let (mut server, peer) = listener.accept().await.unwrap();
        seen.note("of who was reset", peer.ip());
        hung_up(&server).await;
        let (data, end) = drain(&mut server).await;
        seen.note("it", data);
        seen.result("and then", end);

        let mut client = TcpStream::connect(address).await.unwrap();
        drop(listener);
        seen.result("of a listener that is gone", client.read(&mut [0; 4]).await);
        seen.result("again", client.read(&mut [0; 4]).await);
        seen.result("write", client.write(b"x").await);
    });
}

#[test]
fn halves_dropped_in_every_order() {
    everywhere(7, async |seen| {
        for write_first in [true, false] {
            for forget in [true, false] {
                let (client, mut server) = pair().await;
                let (reading, mut writing) = client.into_split();
                writing.write_all(b"abc").await.unwrap();
                server.read_exact(&mut [0; 3]).await.unwrap();
                let mut writing = Some(writing);
                if write_first {
                    let writing = writing.take().unwrap();
                    if forget {
                        writing.forget()
                    } else {
                        drop(writing)
                    }
                    let mut buf = [0; 4];
                    let mut read = pin!(server.read(&mut buf));
                    if forget {
                        seen.note("open still", poll_once(read.as_mut()).is_pending());
                        drop(reading);
                    }
                    seen.result("end", read.await);
                } else {
                    drop(reading);
                    seen.note("open still", poll_once(pin!(server.read(&mut [0; 4]))).is_pending());
                    if forget {
                        writing.take().unwrap().forget();
                    } else {
                        drop(writing.take());
                    }
                    seen.result("end", server.read(&mut [0; 4]).await);
                }
            }
        }
    });
}

#[test]
fn a_writer_that_fills_the_buffer_waits_and_goes_on() {
    const TOTAL: usize = 6 << 20;
    everywhere(3, async |seen| {
        let (mut client, mut server) = pair().await;
        let mut sent = 0;
        let chunk: Vec<u8> = (0..251).cycle().take(100_000).collect();
        client.writable().await.unwrap();
        let full = loop {
            match client.try_write(&chunk[sent % 251..]) {
                Ok(more) => sent += more,
                Err(error) => break error,
            }
        };
        seen.note("full", full.kind());
        assert!(sent < TOTAL, "{sent}");
        let write = async {
            while sent < TOTAL {
                let begin = sent % 251;
                let end = chunk.len().min(begin + TOTAL - sent);
                sent += client.write(&chunk[begin..end]).await.unwrap();
            }
            client.shutdown().await.unwrap();
        };
        let read = async {
            let mut received = 0;
            let mut buf = vec![0; 70_000];
            loop {
                let read = server.read(&mut buf).await.unwrap();
                if read == 0 {
                    return received;
                }
                let is_right = |(place, byte): (usize, &u8)| usize::from(*byte) == (received + place) % 251;
                assert!(buf[..read].iter().enumerate().all(is_right), "at {received}");
                received += read;
            }
        };
        let ((), received) = join(write, read).await;
        seen.note("received", received);
        seen.result("read after all", server.read(&mut [0; 4]).await);
    });
}

#[test]
fn who_waits_for_room_hears_of_the_reset() {
    everywhere(1, async |seen| {
        let (client, mut server) = pair().await;
        let chunk = vec![0; 1 << 20];
        server.writable().await.unwrap();
        let mut write = pin!(async {
            loop {
                if let Err(error) = server.write_all(&chunk).await {
                    return error;
                }
            }
        });
        assert!(poll_once(write.as_mut()).is_pending());
        client.readable().await.unwrap();
        drop(client);
        seen.note("write", write.await.kind());
    });
}

#[test]
fn readiness_of_the_ends() {
    const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);
    at_once(5, async |seen| {
        let (mut client, mut server) = pair().await;
        server.writable().await.unwrap();
        seen.result("fresh", server.ready(BOTH).await);
        client.write_all(b"abc").await.unwrap();
        server.readable().await.unwrap();
        seen.result("with data", server.ready(BOTH).await);
        server.try_read(&mut [0; 8]).unwrap();
        server.try_read(&mut [0; 8]).unwrap_err();
        seen.result("without", server.ready(BOTH).await);
        client.shutdown().await.unwrap();
        server.readable().await.unwrap();
        seen.result("ended", server.ready(BOTH).await);
        server.shutdown().await.unwrap();
        server.ready(BOTH).await.unwrap();
        while !server.ready(BOTH).await.unwrap().is_write_closed() {
            yield_now().await;
        }
        seen.result("ended both ways", server.ready(BOTH).await);

        let (client, server) = pair().await;
        server.writable().await.unwrap();
        client.set_zero_linger().unwrap();
        drop(client);
        hung_up(&server).await;
        seen.result("reset", server.ready(BOTH | Interest::ERROR).await);
    });
}

/// Lets the reactors see what there is.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        std::thread::yield_now();
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn a_full_backlog_makes_who_connects_wait() {
    everywhere(4, async |seen| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let first = TcpStream::connect(address).await.unwrap();
        let second = TcpStream::connect(address).await.unwrap();
        // Linux lets in one more than it was told, and lets this one knock again after a second.
        let mut third = Box::pin(TcpStream::connect(address));
        seen.note("third waits", poll_once(third.as_mut()).is_pending());
        for client in [&first, &second] {
            let (_, peer) = listener.accept().await.unwrap();
            seen.note("accepted in order", peer == client.local_addr().unwrap());
        }
        let third = third.await.unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        seen.note("and then", peer == third.local_addr().unwrap());
    });
}

async fn udp() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

#[test]
fn datagrams_keep_their_boundaries() {
    everywhere(10, async |seen| {
        let (one, other) = (udp().await, udp().await);
        let target = one.local_addr().unwrap();
        for text in [&b"abc"[..], b"", b"defgh", b"ij"] {
            seen.result("send", other.send_to(text, target).await);
        }
        let mut buf = [0; 4];
        seen.result("peek", one.peek(&mut buf).await);
        let peer = one.peek_sender().await.unwrap();
        seen.note(
            "peek again",
            (
                one.peek_from(&mut buf).await.unwrap().0,
                peer == other.local_addr().unwrap(),
            ),
        );
        seen.result("recv", one.recv(&mut buf).await);
        seen.result("an empty one", one.recv(&mut buf).await);
        seen.result("one that is too long", one.recv(&mut buf).await);
        seen.note("of which this came", buf);
        seen.result("the rest of it is lost", one.recv(&mut buf).await);
        seen.result("no more", one.try_recv(&mut buf));
        seen.result("the longest", other.send_to(&[7; 65_507], target).await);
        seen.result("longer", other.send_to(&[7; 65_508], target).await);
        let mut much = vec![0; 70_000];
        seen.result("it came", one.recv(&mut much).await);
        seen.result("without a peer", other.send(b"x").await);
        seen.result("peer", other.peer_addr().map(drop));
        seen.result("to port zero", other.send_to(b"x", "127.0.0.1:0").await);
        seen.result("to the other family", other.send_to(b"x", "[::1]:80").await);
    });
}

#[test]
fn a_connected_socket_takes_from_its_peer_only() {
    everywhere(5, async |seen| {
        let (one, other, third) = (udp().await, udp().await, udp().await);
        let target = one.local_addr().unwrap();
        third.send_to(b"before", target).await.unwrap();
        one.readable().await.unwrap();
        one.connect(other.local_addr().unwrap()).await.unwrap();
        third.send_to(b"ignored", target).await.unwrap();
        other.send_to(b"heard", target).await.unwrap();
        let mut buf = [0; 16];
        seen.result("what was there", one.recv(&mut buf).await);
        seen.result("then", one.recv(&mut buf).await);
        seen.result("no more", one.try_recv(&mut buf));
        seen.result(
            "to another than the peer",
            one.send_to(b"abc", third.local_addr().unwrap()).await,
        );
        seen.result("it came", third.recv(&mut buf).await);
        let any = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        seen.host("before", any.local_addr());
        any.connect(("127.0.0.2", 9)).await.unwrap();
        seen.host("after", any.local_addr());
        seen.host("peer", any.peer_addr());
        let from = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        from.send_to(b"x", ("127.0.0.1", third.local_addr().unwrap().port()))
            .await
            .unwrap();
        seen.host("sender", third.recv_from(&mut buf).await.map(|(_, sender)| sender));
    });
}

#[test]
fn a_refused_datagram_is_an_error_once() {
    at_once(8, async |seen| {
        let (one, other) = (udp().await, udp().await);
        let target = other.local_addr().unwrap();
        drop(other);
        seen.result("not connected", one.send_to(b"x", target).await);
        seen.result("nobody is told", one.try_recv(&mut [0; 4]));
        one.connect(target).await.unwrap();
        for order in 0..3 {
            one.send(b"to nobody").await.unwrap();
            one.ready(Interest::ERROR).await.unwrap();
            match order {
                0 => seen.result("recv", one.recv(&mut [0; 4]).await),
                1 => seen.result("send", one.send(b"again").await),
                _ => seen.result("error", one.take_error().map(|error| error.map(|error| error.kind()))),
            }
            seen.result("recv again", one.try_recv(&mut [0; 4]));
            seen.result(
                "no error left",
                one.take_error().map(|error| error.map(|error| error.kind())),
            );
        }
        let other = UdpSocket::bind(target).await.unwrap();
        one.send(b"now").await.unwrap();
        seen.result("it is there", other.recv(&mut [0; 4]).await);
    });
}

/// A path that nobody else uses, removed at the end.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = NEXT.fetch_add(1, Ordering::Relaxed);
        Place(std::env::temp_dir().join(format!("filch-io-sim-{}-{name}", std::process::id())))
    }
}

impl AsRef<std::path::Path> for Place {
    fn as_ref(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn unix_streams() {
    everywhere(14, async |seen| {
        let place = Place::new();
        seen.result("nobody there", UnixStream::connect(&place).await.map(drop));
        let listener = UnixListener::bind(&place).unwrap();
        seen.result("taken", UnixListener::bind(&place).map(drop));
        seen.result("taken too", UnixDatagram::bind(&place).map(drop));
        let mut client = UnixStream::connect(&place).await.unwrap();
        client.write_all(b"early").await.unwrap();
        let (mut server, peer) = listener.accept().await.unwrap();
        let is_place = |address: &filch_io::net::unix::SocketAddr| address.as_pathname() == Some(place.as_ref());
        seen.note(
            "unnamed",
            (peer.is_unnamed(), client.local_addr().unwrap().is_unnamed()),
        );
        seen.note(
            "named",
            (
                is_place(&client.peer_addr().unwrap()),
                is_place(&server.local_addr().unwrap()),
            ),
        );
        seen.note("its peer", server.peer_addr().unwrap().is_unnamed());
        let mut buf = [0; 8];
        seen.result("read", server.read(&mut buf).await);
        seen.note(
            "who",
            (
                client.peer_cred().unwrap() == server.peer_cred().unwrap(),
                client.peer_cred().unwrap().pid() == Some(std::process::id() as i32),
            ),
        );
        client.shutdown().await.unwrap();
        seen.result("write after the end", client.write(b"x").await);
        seen.result("end", server.read(&mut buf).await);
        seen.result("the other way", server.write(b"abc").await);
        drop(server);
        seen.result("read", client.read(&mut buf).await);
        seen.result("end", client.read(&mut buf).await);
        seen.result("shutdown", client.shutdown().await);

        let datagram = UnixDatagram::unbound().unwrap();
        seen.result("a datagram to a stream's name", datagram.send_to(b"x", &place).await);
        seen.result("and connecting it", datagram.connect(&place));
    });
}

#[test]
fn a_unix_peer_that_is_gone() {
    everywhere(12, async |seen| {
        // It had read all.
        let (mut one, mut other) = UnixStream::pair().unwrap();
        one.write_all(b"abc").await.unwrap();
        other.read_exact(&mut [0; 3]).await.unwrap();
        other.write_all(b"last").await.unwrap();
        drop(other);
        seen.result("write", one.write(b"x").await);
        let mut buf = [0; 8];
        seen.result("read", one.read(&mut buf).await);
        seen.result("end", one.read(&mut buf).await);
        seen.result("error", one.take_error().map(|error| error.map(|error| error.kind())));

        // It had not.
        let (mut one, mut other) = UnixStream::pair().unwrap();
        one.write_all(b"abc").await.unwrap();
        other.write_all(b"last").await.unwrap();
        drop(other);
        seen.result("write", one.write(b"x").await);
        seen.result("read", one.read(&mut buf).await);
        seen.result("reset", one.read(&mut buf).await);
        seen.result("end", one.read(&mut buf).await);

        // It was never accepted.
        let place = Place::new();
        let listener = UnixListener::bind(&place).unwrap();
        let mut client = UnixStream::connect(&place).await.unwrap();
        drop(listener);
        seen.result("read", client.read(&mut buf).await);
        seen.result("read again", client.read(&mut buf).await);
        seen.result("write", client.write(b"x").await);
        // What is empty.
        let (mut one, other) = UnixStream::pair().unwrap();
        one.writable().await.unwrap();
        seen.result("write nothing", one.try_write(b""));
        drop(other);
        seen.result("write nothing to nobody", one.write(b"").await);
        seen.result("read", one.read(&mut buf).await);
    });
}

#[test]
fn much_through_a_unix_stream() {
    const TOTAL: usize = 3 << 20;
    everywhere(1, async |seen| {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let data: Vec<u8> = (0..251).cycle().take(TOTAL).collect();
        let mut received = vec![0; TOTAL + 1];
        let write = async {
            one.write_all(&data).await.unwrap();
            drop(one);
        };
        let read = async {
            let mut all = 0;
            loop {
                match other.read(&mut received[all..]).await.unwrap() {
                    0 => return all,
                    read => all += read,
                }
            }
        };
        let ((), all) = join(write, read).await;
        seen.note("all", (all, received[..TOTAL] == data));
    });
}

#[test]
fn unix_datagrams() {
    everywhere(18, async |seen| {
        let place = Place::new();
        let unnamed = UnixDatagram::unbound().unwrap();
        seen.result("nobody there", unnamed.send_to(b"x", &place).await);
        seen.result("nobody to connect to", unnamed.connect(&place));
        seen.result("not connected", unnamed.send(b"x").await);
        seen.result("no peer", unnamed.peer_addr().map(drop));
        let one = UnixDatagram::bind(&place).unwrap();
        let is_place = |address: filch_io::net::unix::SocketAddr| address.as_pathname() == Some(place.as_ref());
        seen.result("own name", one.local_addr().map(is_place));
        seen.result("no name", unnamed.local_addr().map(|address| address.is_unnamed()));
        seen.result("send", unnamed.send_to(b"abcdef", &place).await);
        seen.result("send nothing", unnamed.send_to(b"", &place).await);
        let mut buf = [0; 4];
        seen.result(
            "recv",
            one.recv_from(&mut buf)
                .await
                .map(|(len, peer)| (len, peer.is_unnamed())),
        );
        seen.result("recv nothing", one.recv(&mut buf).await);
        seen.result("no more", one.try_recv(&mut buf));
        seen.result("connect", unnamed.connect(&place));
        seen.result("peer", unnamed.peer_addr().map(is_place));
        seen.result("send", unnamed.send(b"gh").await);
        seen.result("recv", one.recv(&mut buf).await);
        seen.result(
            "a stream to a datagram's name",
            UnixStream::connect(&place).await.map(drop),
        );

        let (left, right) = UnixDatagram::pair().unwrap();
        let third = Place::new();
        seen.result("send", left.send(b"abc").await);
        seen.result("recv", right.recv(&mut buf).await);
        seen.result("shutdown", left.shutdown(Shutdown::Write));
        seen.result("send after it", left.send(b"x").await);
        seen.result("the other way", right.send(b"x").await);
        seen.result("recv", left.recv(&mut buf).await);
        seen.result("shutdown", left.shutdown(Shutdown::Read));
        seen.result("readable", left.readable().await);
        seen.result("recv after it", left.try_recv(&mut buf));
        seen.result("to who does not listen", right.send(b"x").await);
        drop(left);
        seen.result("to who is gone", right.send(b"x").await);
        seen.result("and again", right.send(b"x").await);
        drop(third);

        // Who is connected takes from its peer only.
        let other_place = Place::new();
        let other = UnixDatagram::bind(&other_place).unwrap();
        other.connect(&place).unwrap();
        seen.result("not its peer", right.send_to(b"x", &other_place).await);
        seen.result("connect to it", right.connect(&other_place));
        seen.result("its peer", one.send_to(b"x", &other_place).await);
        seen.result("too long", one.send_to(&vec![0; 1 << 20], &other_place).await);
    });
}

#[test]
fn a_full_unix_datagram_queue_makes_senders_wait() {
    everywhere(3, async |seen| {
        let (one, other) = UnixDatagram::pair().unwrap();
        one.writable().await.unwrap();
        let mut sent = 0;
        let full = loop {
            match one.try_send(&[0; 64]) {
                Ok(_) => sent += 1,
                Err(error) => break error,
            }
        };
        // How many fit is set for the whole system.
        seen.note("full", full.kind());
        let send = async { one.send(b"last").await };
        let recv = async {
            let mut buf = [0; 128];
            for _ in 0..sent {
                assert_eq!(other.recv(&mut buf).await.unwrap(), 64);
            }
            other.recv(&mut buf).await
        };
        let (sent, received) = join(send, recv).await;
        seen.result("sent", sent);
        seen.result("received", received);
    });
}

#[test]
fn own_addresses_of_ip() {
    everywhere(1, async |seen| {
        let listener = TcpListener::bind(("127.1.2.3", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let elsewhere = TcpStream::connect(("127.0.0.1", port)).await;
        seen.result("elsewhere", elsewhere.map(drop));
        let client = TcpStream::connect(("127.1.2.3", port)).await.unwrap();
        let ips: [IpAddr; 2] = [client.local_addr().unwrap().ip(), client.peer_addr().unwrap().ip()];
        seen.note("there", ips);
    });
}

/// Two worlds in which events are taken by hand, so that both are in step: over loopback, what is sent has arrived when the
/// call returns.
mod at_random {
    use std::time::Instant;

    use filch_io::sim::Network;
    use filch_io::{Handle, Hooks, Reactor};

    use super::*;

    const ALL: Interest = Interest::READABLE.add(Interest::WRITABLE).add(Interest::ERROR);

    /// The same numbers for both.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, end: u64) -> u64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % end
        }

        fn length(&mut self) -> usize {
            [0, 1, 3, 100, 1_000][self.below(5) as usize]
        }
    }

    /// Where a scenario runs.
    struct World {
        reactor: Reactor,
        handle: Handle,
        /// How long it waits after each step for what is sent to have arrived.
        pace: Duration,
    }

    impl World {
        fn turn(&self) {
            std::thread::sleep(self.pace);
            self.reactor.turn(Some(Duration::ZERO), &mut Vec::new()).unwrap();
        }
    }

    /// Does what `seed` says on both ends of a stream; what it saw.
    macro_rules! run {
        ($seed:expr, $world:expr, $pair:expr, $linger:expr) => {{
            let (mut numbers, mut seen) = (Numbers($seed), Seen::default());
            let (one, other) = $pair;
            let mut ends = [Some(one), Some(other)];
            $world.turn();
            for _ in 0..24 {
                let (which, what) = (numbers.below(2) as usize, numbers.below(16));
                let length = numbers.length();
                let Some(end) = &mut ends[which] else {
                    continue;
                };
                let said = format!("{which} {what} {length}");
                match what {
                    0..=3 => seen.result(&format!("{said} write"), end.try_write(&vec![7; length])),
                    4..=7 => seen.result(&format!("{said} read"), end.try_read(&mut vec![0; length])),
                    8 => seen.result(&format!("{said} shutdown"), support::block_on(end.shutdown())),
                    9 => seen.result(
                        &format!("{said} error"),
                        end.take_error().map(|error| error.map(|error| error.kind())),
                    ),
                    10 => seen.result(&format!("{said} peer"), end.peer_addr().map(drop)),
                    11 => {
                        ends[which] = None;
                        seen.note(&said, "dropped");
                    }
                    12 => {
                        $linger(end);
                        ends[which] = None;
                        seen.note(&said, "reset");
                    }
                    _ => {
                        let mut ready = pin!(end.ready(ALL));
                        seen.note(&format!("{said} ready"), format!("{:?}", poll_once(ready.as_mut())));
                    }
                }
                $world.turn();
            }
            seen
        }};
    }

    fn real(pace: Duration) -> World {
        let reactor = Reactor::new().unwrap();
        let handle = Handle::new(vec![reactor.clone()], Hooks::default());
        World { reactor, handle, pace }
    }

    fn simulated() -> World {
        let network = Network::new(1, Instant::now());
        let reactor = Reactor::simulated(&network);
        let handle = Handle::simulated(network, vec![reactor.clone()], Hooks::default());
        let pace = Duration::ZERO;
        World { reactor, handle, pace }
    }

    fn tcp(seed: u64, world: &World) -> Seen {
        let _inside = world.handle.enter();
        let mut connect = Box::pin(pair());
        let ends = loop {
            if let Poll::Ready(ends) = poll_once(connect.as_mut()) {
                break ends;
            }
            world.turn();
        };
        // Else Linux keeps small data back until it hears of what it sent before.
        ends.0.set_nodelay(true).unwrap();
        ends.1.set_nodelay(true).unwrap();
        run!(seed, world, ends, |end: &TcpStream| end.set_zero_linger().unwrap())
    }

    fn unix(seed: u64, world: &World) -> Seen {
        let _inside = world.handle.enter();
        run!(seed, world, UnixStream::pair().unwrap(), |_: &UnixStream| ())
    }

    /// Three sockets that send to each other, be they there or not.
    fn udp_sockets(seed: u64, world: &World) -> Seen {
        let _inside = world.handle.enter();
        let (mut numbers, mut seen) = (Numbers(seed), Seen::default());
        // Ports that no other test is given, at an address that no other process uses.
        let [high, low] = (std::process::id() as u16).to_be_bytes();
        let address = |slot: usize| SocketAddr::from(([127, 77, high, low], 20_000 + slot as u16));
        let open = |slot: usize| support::block_on(UdpSocket::bind(address(slot)));
        let mut sockets = [0, 1, 2].map(|slot| Some(open(slot).unwrap()));
        world.turn();
        for _ in 0..30 {
            let (which, target, what) = (numbers.below(3) as usize, numbers.below(3) as usize, numbers.below(16));
            let length = numbers.length();
            let said = format!("{which} {what} {target} {length}");
            let Some(socket) = &sockets[which] else {
                if what < 8 {
                    sockets[which] = Some(open(which).unwrap());
                    world.turn();
                }
                continue;
            };
            let mut buf = vec![0; length];
            let known = |(length, sender): (usize, SocketAddr)| (length, sender.port(), sender.ip() == address(0).ip());
            match what {
                0..=3 => seen.result(&format!("{said} send to"), socket.try_send_to(&buf, address(target))),
                4 => seen.result(&format!("{said} send"), socket.try_send(&buf)),
                5..=8 => seen.result(&format!("{said} recv"), socket.try_recv_from(&mut buf).map(known)),
                9 => seen.result(&format!("{said} peek"), socket.try_peek_from(&mut buf).map(known)),
                10 => seen.result(
                    &format!("{said} connect"),
                    support::block_on(socket.connect(address(target))),
                ),
                11 => seen.result(
                    &format!("{said} peer"),
                    socket.peer_addr().map(|peer| peer == address(target)),
                ),
                12 => seen.result(
                    &format!("{said} error"),
                    socket.take_error().map(|error| error.map(|error| error.kind())),
                ),
                13 => {
                    sockets[which] = None;
                    seen.note(&said, "dropped");
                }
                _ => {
                    let mut ready = pin!(socket.ready(ALL));
                    seen.note(&format!("{said} ready"), format!("{:?}", poll_once(ready.as_mut())));
                }
            }
            world.turn();
        }
        seen
    }

    /// The same for Unix.
    fn unix_sockets(seed: u64, world: &World) -> Seen {
        let _inside = world.handle.enter();
        let (mut numbers, mut seen) = (Numbers(seed), Seen::default());
        let places = [Place::new(), Place::new(), Place::new()];
        let mut sockets = [0, 1, 2].map(|slot: usize| Some(UnixDatagram::bind(&places[slot]).unwrap()));
        world.turn();
        for _ in 0..60 {
            let (which, target, what) = (numbers.below(3) as usize, numbers.below(3) as usize, numbers.below(18));
            let length = numbers.length();
            let said = format!("{which} {what} {target} {length}");
            let Some(socket) = &sockets[which] else {
                if what < 8 {
                    sockets[which] = Some(UnixDatagram::bind(&places[which]).unwrap());
                    world.turn();
                }
                continue;
            };
            let mut buf = vec![0; length];
            let slot = |address: filch_io::net::unix::SocketAddr| {
                places
                    .iter()
                    .position(|place| address.as_pathname() == Some(place.as_ref()))
            };
            match what {
                0..=5 => {
                    let sent = socket.try_send_to(&buf, &places[target]);
                    let is_full = sent.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
                    seen.result(&format!("{said} send to"), sent);
                    if is_full {
                        // What it can send to others then is different on purpose.
                        return seen;
                    }
                }
                6 | 7 => {
                    // Which of the two comes first depends on the version of Linux.
                    let sent = socket.try_send(&buf).map_err(|error| match error.kind() {
                        ErrorKind::NotConnected => ErrorKind::BrokenPipe.into(),
                        ErrorKind::BrokenPipe => error.kind().into(),
                        _ => error,
                    });
                    seen.result(&format!("{said} send"), sent);
                }
                8..=10 => {
                    let received = socket
                        .try_recv_from(&mut buf)
                        .map(|(length, sender)| (length, slot(sender)));
                    seen.result(&format!("{said} recv"), received);
                }
                11 => seen.result(&format!("{said} connect"), socket.connect(&places[target])),
                12 => seen.result(&format!("{said} peer"), socket.peer_addr().map(slot)),
                13 => {
                    sockets[which] = None;
                    let _ = std::fs::remove_file(&places[which]);
                    seen.note(&said, "dropped");
                }
                // Not the reading direction: it stays readable then, and each of the sender's own attempts tells it so again.
                14 if target == 0 => seen.result(&format!("{said} shutdown"), socket.shutdown(Shutdown::Write)),
                _ => {
                    let mut ready = pin!(socket.ready(ALL));
                    seen.note(&format!("{said} ready"), format!("{:?}", poll_once(ready.as_mut())));
                }
            }
            world.turn();
        }
        seen
    }

    fn compare(scenario: fn(u64, &World) -> Seen) {
        let (quick, slow) = (real(Duration::ZERO), real(Duration::from_millis(10)));
        let network = simulated();
        let mut all = 0;
        for seed in 0..2_000 {
            let simulated = scenario(seed, &network);
            let mut real = scenario(seed, &quick);
            if real != simulated {
                // A very busy system may deliver after the call has returned: it is given time.
                real = scenario(seed, &slow);
            }
            all += real.0.len();
            let first = real
                .0
                .iter()
                .zip(&simulated.0)
                .position(|(real, simulated)| real != simulated);
            let upto = |seen: &Seen| seen.0[..=first.unwrap_or(seen.0.len() - 1)].join("\n");
            assert!(
                real == simulated,
                "seed {seed}\nreal:\n{}\n\nsimulated:\n{}",
                upto(&real),
                upto(&simulated)
            );
        }
        assert!(all > 20_000, "{all}");
    }

    #[test]
    fn tcp_streams() {
        compare(tcp);
    }

    #[test]
    fn unix_streams() {
        compare(unix);
    }

    #[test]
    fn udp() {
        compare(udp_sockets);
    }

    #[test]
    fn unix_datagrams() {
        compare(unix_sockets);
    }
}
