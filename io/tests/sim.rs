//! The simulated network: time, faults, repetition, and what it refuses. That it is like the real one, see `sim_like_linux`.

mod support;

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use filch_io::net::{TcpListener, TcpSocket, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream};
use filch_io::sim::Network;
use filch_io::unix::AsyncFd;
use filch_io::{Handle, Hooks, Interest, Kind, Reactor, Registered};
use support::simulated::{Simulated, Stuck};
use support::{Count, join, poll_once};

const MS: Duration = Duration::from_millis(1);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

async fn pair_at(address: &str) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(address).await.unwrap();
    let (client, server) = join(TcpStream::connect(listener.local_addr().unwrap()), listener.accept()).await;
    (client.unwrap(), server.unwrap().0)
}

async fn pair() -> (TcpStream, TcpStream) {
    pair_at("127.0.0.1:0").await
}

// Time.

#[test]
fn everything_takes_its_time_exactly() {
    let sim = Simulated::new(1);
    sim.network.set_latency(10 * MS, 10 * MS);
    fn is_for_any_thread<T: Send + Sync>(_: &T) {}
    is_for_any_thread(&sim.network);
    sim.block_on(async {
        let listener = TcpListener::bind("10.0.0.1:80").await.unwrap();
        let connect = async {
            let client = TcpStream::connect("10.0.0.1:80").await.unwrap();
            (client, sim.elapsed())
        };
        let accept = async {
            let server = listener.accept().await.unwrap().0;
            (server, sim.elapsed())
        };
        let ((mut client, connected), (mut server, accepted)) = join(connect, accept).await;
        assert_eq!(
            (connected, accepted),
            (20 * MS, 30 * MS),
            "there and back, and there again"
        );
        client.write_all(b"ping").await.unwrap();
        server.read_exact(&mut [0; 4]).await.unwrap();
        assert_eq!(sim.elapsed(), 40 * MS);
        server.write_all(b"pong").await.unwrap();
        drop(server);
        client.read_exact(&mut [0; 4]).await.unwrap();
        assert_eq!(client.read(&mut [0; 4]).await.unwrap(), 0);
        assert_eq!(sim.elapsed(), 50 * MS, "the end came with the data");
        drop((listener, client));
        let error = TcpStream::connect("10.0.0.1:80").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(sim.elapsed(), 70 * MS);
        let one = UdpSocket::bind("10.0.0.1:7").await.unwrap();
        one.send_to(b"x", "10.0.0.1:7").await.unwrap();
        one.recv(&mut [0; 4]).await.unwrap();
        assert_eq!(sim.elapsed(), 80 * MS);
        one.connect("10.0.0.2:7").await.unwrap();
        one.send(b"to nobody").await.unwrap();
        assert_eq!(
            one.recv(&mut [0; 4]).await.unwrap_err().kind(),
            ErrorKind::ConnectionRefused
        );
        assert_eq!(sim.elapsed(), 100 * MS);
        // Unix sockets know no latency.
        let (mut one, mut other) = UnixStream::pair().unwrap();
        one.write_all(b"x").await.unwrap();
        other.read_exact(&mut [0]).await.unwrap();
        assert_eq!(sim.elapsed(), 100 * MS);
    });
    assert_eq!(sim.network.next_due(), None, "nothing is left under way");
}

#[test]
fn what_is_due_is_known_and_time_does_not_go_back() {
    let start = Instant::now();
    let network = Network::new(1, start);
    network.set_latency(7 * MS, 7 * MS);
    let handle = Handle::simulated(network.clone(), vec![Reactor::simulated(&network)], Hooks::default());
    let _inside = handle.enter();
    let one = support::block_on(UdpSocket::bind("127.0.0.1:5")).unwrap();
    let reactor = &handle.reactors()[0];
    reactor.turn(None, &mut Vec::new()).unwrap();
    assert_eq!(network.next_due(), None);
    one.try_send_to(b"a", at("127.0.0.1:5")).unwrap();
    assert_eq!(network.next_due(), Some(start + 7 * MS));
    network.advance_to(start + 6 * MS);
    assert_eq!(network.next_due(), Some(start + 7 * MS));
    assert!(!reactor.has_events());
    network.advance_to(start + 9 * MS);
    assert_eq!(network.next_due(), None);
    assert!(reactor.has_events());
    network.advance_to(start);
    one.try_send_to(b"b", at("127.0.0.1:5")).unwrap();
    assert_eq!(network.next_due(), Some(start + 16 * MS));
}

#[test]
fn a_stream_keeps_its_order_and_datagrams_do_not() {
    let mut reordered = 0;
    for seed in 0..20 {
        let sim = Simulated::new(seed);
        sim.network.set_latency(MS, 20 * MS);
        sim.block_on(async {
            let (mut client, mut server) = pair().await;
            for byte in 0..50 {
                client.write_all(&[byte]).await.unwrap();
            }
            let mut all = [0; 50];
            server.read_exact(&mut all).await.unwrap();
            assert!(all.iter().enumerate().all(|(place, &byte)| place == usize::from(byte)));

            let one = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            for byte in 0..50 {
                other.send_to(&[byte], one.local_addr().unwrap()).await.unwrap();
            }
            let mut got = Vec::new();
            for _ in 0..50 {
                let mut byte = [0];
                one.recv(&mut byte).await.unwrap();
                got.push(byte[0]);
            }
            reordered += usize::from(!got.is_sorted());
            got.sort_unstable();
            assert!(got.into_iter().eq(0..50), "each came once");
        });
    }
    assert_eq!(reordered, 20);
}

#[test]
fn late_readiness_is_reordered_and_never_lost() {
    let mut orders = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let sim = Simulated::new(seed);
        sim.network.set_readiness_delay(10 * MS);
        let order = sim.block_on(async {
            let (mut a, mut b) = UnixStream::pair().unwrap();
            let (mut c, mut d) = UnixStream::pair().unwrap();
            a.write_all(b"x").await.unwrap();
            c.write_all(b"x").await.unwrap();
            let first = async {
                b.read_exact(&mut [0]).await.unwrap();
                sim.elapsed()
            };
            let second = async {
                d.read_exact(&mut [0]).await.unwrap();
                sim.elapsed()
            };
            let (first, second) = join(first, second).await;
            first.cmp(&second)
        });
        orders.insert(order);
    }
    assert!(orders.len() >= 2, "{orders:?}");
}

// Faults.

#[test]
fn short_reads_and_writes_move_every_byte_once() {
    const TOTAL: usize = 300_000;
    let mut operations = 0;
    for seed in 0..100 {
        let sim = Simulated::new(seed);
        sim.network.set_short_io(0.7);
        if seed % 2 == 0 {
            sim.network.set_latency(Duration::ZERO, 3 * MS);
            sim.network.set_readiness_delay(2 * MS);
        }
        sim.block_on(async {
            let (mut client, mut server) = pair().await;
            let data: Vec<u8> = (0..TOTAL).map(|place| (place % 251) as u8).collect();
            let write = async {
                client.write_all(&data).await.unwrap();
                client.shutdown().await.unwrap();
            };
            let mut received = Vec::new();
            let read = async {
                let mut buf = [0; 9_000];
                loop {
                    match server.read(&mut buf).await.unwrap() {
                        0 => break,
                        read => received.extend_from_slice(&buf[..read]),
                    }
                    operations += 1;
                }
            };
            join(write, read).await;
            assert!(received == data, "seed {seed}");
        });
    }
    assert!(
        operations > 100 * TOTAL / 9_000 * 3 / 2,
        "the reads were not short: {operations}"
    );
}

#[test]
fn an_address_can_be_cut_off_from_itself() {
    let sim = Simulated::new(1);
    let (mut client, mut server) = sim.block_on(pair_at("10.0.0.1:80"));
    let (mut near, mut far) = sim.block_on(pair_at("10.0.0.2:80"));
    sim.network.partition(ip("10.0.0.1"), ip("10.0.0.1"));
    sim.block_on(client.write_all(b"one")).unwrap();
    sim.block_on(near.write_all(b"two")).unwrap();
    let mut buf = [0; 3];
    assert_eq!(sim.run(server.read(&mut buf)).unwrap_err(), Stuck);
    sim.block_on(far.read_exact(&mut buf)).unwrap();
    sim.network.repair(ip("10.0.0.1"), ip("10.0.0.1"));
    sim.block_on(server.read_exact(&mut buf)).unwrap();
    assert_eq!(&buf, b"one");
}

#[test]
fn a_partition_lasts_until_the_repair() {
    let sim = Simulated::new(1);
    sim.network.set_latency(10 * MS, 10 * MS);
    let (a, b) = (ip("10.0.0.1"), ip("10.0.0.2"));
    let connect = async |to: &str| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(at("10.0.0.1:0")).unwrap();
        socket.connect(at(to)).await
    };
    let listener = sim.block_on(TcpListener::bind("10.0.0.2:80")).unwrap();
    let (client, server) = sim.block_on(join(connect("10.0.0.2:80"), listener.accept()));
    let (mut client, mut server) = (client.unwrap(), server.unwrap().0);
    let start = sim.elapsed();
    sim.block_on(client.write_all(b"one")).unwrap();
    sim.network.partition(b, a);
    sim.block_on(client.write_all(b"two")).unwrap();
    sim.block_on(server.write_all(b"back")).unwrap();
    sim.block_on(client.shutdown()).unwrap();
    let mut buf = [0; 16];
    assert_eq!(sim.run(server.read(&mut buf)).unwrap_err(), Stuck);
    assert_eq!(sim.run(client.read(&mut buf)).unwrap_err(), Stuck);
    let mut waiting = Box::pin(connect("10.0.0.2:80"));
    assert_eq!(sim.run(waiting.as_mut()).unwrap_err(), Stuck);
    assert_eq!(sim.run(listener.accept()).map(drop).unwrap_err(), Stuck);
    // Who is not cut off does not notice.
    let other = sim.block_on(TcpStream::connect("10.0.0.2:80")).unwrap();
    assert_eq!(sim.block_on(listener.accept()).unwrap().1, other.local_addr().unwrap());

    let cut = sim.elapsed();
    assert!(cut > start);
    sim.network.repair(a, b);
    sim.block_on(server.read_exact(&mut buf[..6])).unwrap();
    assert_eq!((&buf[..6], sim.elapsed()), (&b"onetwo"[..], cut + 10 * MS));
    assert_eq!(sim.block_on(server.read(&mut buf)).unwrap(), 0);
    sim.block_on(client.read_exact(&mut buf[..4])).unwrap();
    assert_eq!((&buf[..4], sim.elapsed()), (&b"back"[..], cut + 10 * MS));
    sim.block_on(waiting).unwrap();
    assert_eq!(sim.elapsed(), cut + 20 * MS);
}

#[test]
fn a_repair_makes_nothing_faster() {
    let sim = Simulated::new(1);
    let (mut client, mut server) = sim.block_on(pair_at("10.0.0.1:80"));
    let here = ip("10.0.0.1");
    sim.network.partition(here, here);
    sim.block_on(client.write_all(b"a")).unwrap();
    assert_eq!(sim.run(server.readable()).unwrap_err(), Stuck);
    sim.network.set_latency(100 * MS, 100 * MS);
    sim.block_on(client.write_all(b"b")).unwrap();
    sim.network.set_latency(10 * MS, 10 * MS);
    sim.network.repair(here, here);
    sim.block_on(server.read_exact(&mut [0])).unwrap();
    assert_eq!(sim.elapsed(), 10 * MS);
    sim.block_on(server.read_exact(&mut [0])).unwrap();
    assert_eq!(sim.elapsed(), 100 * MS, "this one was never held up");
}

#[test]
fn datagrams_are_lost_in_a_partition() {
    let sim = Simulated::new(1);
    sim.network.set_latency(10 * MS, 10 * MS);
    sim.block_on(async {
        let one = UdpSocket::bind("10.0.0.1:7").await.unwrap();
        let other = UdpSocket::bind("10.0.0.2:7").await.unwrap();
        let send = async |text: &[u8]| other.send_to(text, "10.0.0.1:7").await.unwrap();
        send(b"under way").await;
        sim.network.partition(ip("10.0.0.1"), ip("10.0.0.2"));
        send(b"cut").await;
        let mut time = sim.elapsed();
        // Another pair of addresses, as a clock.
        let third = UdpSocket::bind("10.0.0.3:7").await.unwrap();
        third.send_to(b"", "10.0.0.3:7").await.unwrap();
        third.recv(&mut []).await.unwrap();
        time += 10 * MS;
        assert_eq!(sim.elapsed(), time);
        // What is sent now is lost, though the repair comes before it would arrive.
        send(b"too early").await;
        sim.network.repair(ip("10.0.0.2"), ip("10.0.0.1"));
        send(b"after").await;
        let mut buf = [0; 16];
        assert_eq!(one.recv(&mut buf).await.unwrap(), 5, "none of the others");
    });
}

#[test]
fn datagrams_are_lost_as_probably_as_said() {
    let received = |seed, probability| {
        let sim = Simulated::new(seed);
        sim.network.set_loss(probability);
        sim.block_on(async {
            let one = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            for _ in 0..400 {
                other.send_to(b"x", one.local_addr().unwrap()).await.unwrap();
            }
            one.readable().await.ok().filter(|_| probability < 1.0)?;
            let mut count = 0;
            while one.try_recv(&mut [0]).is_ok() {
                count += 1;
            }
            Some(count)
        })
    };
    assert_eq!(received(1, 0.0), Some(400));
    let half = received(1, 0.5).unwrap();
    assert!((150..250).contains(&half), "{half}");
    assert_eq!(received(1, 0.5), Some(half), "the same seed loses the same");

    let sim = Simulated::new(1);
    sim.network.set_loss(1.0);
    let one = sim.block_on(UdpSocket::bind("127.0.0.1:0")).unwrap();
    sim.block_on(one.send_to(b"x", one.local_addr().unwrap())).unwrap();
    assert_eq!(sim.run(one.recv(&mut [0])).unwrap_err(), Stuck);
}

#[test]
fn a_reset_reaches_both_ends() {
    let sim = Simulated::new(1);
    sim.block_on(async {
        let listener = TcpListener::bind("10.0.0.1:80").await.unwrap();
        let mut ends = Vec::new();
        for _ in 0..3 {
            let client = TcpStream::connect("10.0.0.1:80").await.unwrap();
            ends.push((client, listener.accept().await.unwrap().0));
        }
        let waiting = TcpStream::connect("10.0.0.1:80").await.unwrap();
        let (mut other, mut other_server) = pair_at("10.0.0.2:80").await;
        ends[0].0.write_all(b"unread").await.unwrap();
        ends[0].1.readable().await.unwrap();
        // A client's address is that of one connection.
        assert_eq!(sim.network.reset(ends[0].0.local_addr().unwrap()), 1);
        let (client, server) = &mut ends[0];
        for end in [client, server] {
            assert_eq!(
                end.ready(Interest::ERROR).await.map(drop).map_err(|error| error.kind()),
                Ok(())
            );
            let error = end.read(&mut [0; 8]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "what was not read is gone");
            assert_eq!(end.read(&mut [0; 8]).await.unwrap(), 0);
            assert_eq!(end.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
            assert_eq!(end.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
        }
        // A listener's is that of all that it has accepted, and of those that wait to be.
        assert_eq!(
            sim.network.reset(at("10.0.0.1:80")),
            3,
            "the first one is reset already"
        );
        for (client, server) in &mut ends[1..] {
            assert_eq!(client.write(b"x").await.unwrap_err().kind(), ErrorKind::ConnectionReset);
            assert_eq!(
                server.read(&mut [0]).await.unwrap_err().kind(),
                ErrorKind::ConnectionReset
            );
        }
        drop(waiting);
        let (mut accepted, _) = listener.accept().await.unwrap();
        assert_eq!(
            accepted.read(&mut [0]).await.unwrap_err().kind(),
            ErrorKind::ConnectionReset
        );
        // The listener goes on, and others did not notice.
        assert_eq!(sim.network.reset(at("10.0.0.9:80")), 0);
        let client = TcpStream::connect("10.0.0.1:80").await.unwrap();
        assert_eq!(listener.accept().await.unwrap().1, client.local_addr().unwrap());
        other.write_all(b"x").await.unwrap();
        other_server.read_exact(&mut [0]).await.unwrap();
    });
}

#[test]
fn a_reset_takes_what_is_under_way_with_it() {
    let sim = Simulated::new(1);
    sim.network.set_latency(10 * MS, 10 * MS);
    let (mut client, mut server) = sim.block_on(pair());
    sim.block_on(client.write_all(b"under way")).unwrap();
    assert!(sim.network.next_due().is_some());
    assert_eq!(sim.network.reset(server.local_addr().unwrap()), 1);
    assert_eq!(sim.network.next_due(), None);
    let time = sim.elapsed();
    let error = sim.block_on(server.read(&mut [0; 16])).unwrap_err();
    assert_eq!((error.kind(), sim.elapsed()), (ErrorKind::ConnectionReset, time));
    drop((client, server));
    assert_eq!(
        sim.network.next_due(),
        None,
        "a connection that is gone has nothing to say"
    );
}

#[test]
fn a_connection_that_is_not_complete_can_be_reset() {
    let sim = Simulated::new(1);
    sim.network.set_latency(10 * MS, 10 * MS);
    let socket = || {
        let _inside = sim.enter();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(at("127.0.0.1:80")).unwrap();
        socket.listen(0).unwrap()
    };
    let listener = socket();
    // The client is connected; the listener has not heard of it again.
    let mut client = sim.block_on(TcpStream::connect("127.0.0.1:80")).unwrap();
    assert_eq!(sim.network.reset(client.local_addr().unwrap()), 1);
    let error = sim.block_on(client.read(&mut [0])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    // Its place in the backlog is free again: one fits.
    let client = sim.block_on(TcpStream::connect("127.0.0.1:80")).unwrap();
    let (_, peer) = sim.block_on(listener.accept()).unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
}

#[test]
fn who_gives_connecting_up_leaves_nothing_behind() {
    for wait in 0..4 {
        let sim = Simulated::new(1);
        sim.network.set_latency(10 * MS, 10 * MS);
        let listener = {
            let _inside = sim.enter();
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(at("127.0.0.1:80")).unwrap();
            socket.listen(0).unwrap()
        };
        {
            let _inside = sim.enter();
            let mut connect = Box::pin(TcpStream::connect("127.0.0.1:80"));
            assert!(poll_once(connect.as_mut()).is_pending());
            for _ in 0..wait {
                if let Some(due) = sim.network.next_due() {
                    sim.advance_to(due);
                }
                sim.turn();
            }
        }
        // If the client was told that it is connected, it can be accepted, and has ended; else it is as if it had never been.
        if wait < 2 {
            assert_eq!(sim.run(listener.accept()).map(drop), Err(Stuck), "after {wait} steps");
        } else {
            let (mut server, _) = sim.block_on(listener.accept()).unwrap();
            assert_eq!(sim.block_on(server.read(&mut [0])).unwrap(), 0);
        }
        let (client, server) = sim.block_on(join(TcpStream::connect("127.0.0.1:80"), listener.accept()));
        assert_eq!(client.unwrap().local_addr().unwrap(), server.unwrap().1);
    }
}

#[test]
fn a_full_backlog_lets_in_one_for_each_that_is_accepted() {
    let sim = Simulated::new(1);
    sim.network.set_latency(10 * MS, 10 * MS);
    let _inside = sim.enter();
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(at("127.0.0.1:80")).unwrap();
    let listener = socket.listen(1).unwrap();
    let _first = sim.block_on(TcpStream::connect("127.0.0.1:80")).unwrap();
    let _second = sim.block_on(TcpStream::connect("127.0.0.1:80")).unwrap();
    let mut third = Box::pin(TcpStream::connect("127.0.0.1:80"));
    let mut fourth = Box::pin(TcpStream::connect("127.0.0.1:80"));
    assert_eq!(sim.run(third.as_mut()).unwrap_err(), Stuck);
    assert_eq!(sim.run(fourth.as_mut()).unwrap_err(), Stuck);
    sim.block_on(listener.accept()).unwrap();
    let time = sim.elapsed();
    let third = sim.block_on(third).unwrap();
    assert_eq!(sim.elapsed(), time + 10 * MS, "it knocked long ago");
    assert_eq!(sim.run(fourth.as_mut()).unwrap_err(), Stuck);
    sim.block_on(listener.accept()).unwrap();
    let (_, peer) = sim.block_on(listener.accept()).unwrap();
    assert_eq!(peer, third.local_addr().unwrap());
    sim.block_on(fourth.as_mut()).unwrap();

    // Who still waits is refused when the listener goes.
    let listener = TcpSocket::new_v4().unwrap();
    listener.bind(at("127.0.0.1:81")).unwrap();
    let listener = listener.listen(0).unwrap();
    let mut queued = sim.block_on(TcpStream::connect("127.0.0.1:81")).unwrap();
    let mut knocking = Box::pin(TcpStream::connect("127.0.0.1:81"));
    assert_eq!(sim.run(knocking.as_mut()).unwrap_err(), Stuck);
    drop(listener);
    assert_eq!(sim.block_on(knocking).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert_eq!(
        sim.block_on(queued.read(&mut [0])).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
}

#[test]
fn what_arrives_at_nobody_comes_back_as_a_reset() {
    let sim = Simulated::new(1);
    sim.network.set_latency(10 * MS, 10 * MS);
    // Under way when the other end goes.
    let (mut client, server) = sim.block_on(pair());
    sim.block_on(client.write_all(b"x")).unwrap();
    let time = sim.elapsed();
    drop(server);
    assert_eq!(sim.block_on(client.read(&mut [0])).unwrap(), 0);
    assert_eq!(sim.elapsed(), time + 10 * MS);
    sim.block_on(client.ready(Interest::ERROR)).unwrap();
    assert_eq!(sim.elapsed(), time + 20 * MS);
    assert_eq!(
        sim.block_on(client.write(b"x")).unwrap_err().kind(),
        ErrorKind::BrokenPipe
    );
    // Sent when it has gone already.
    let (mut client, server) = sim.block_on(pair());
    drop(server);
    assert_eq!(sim.block_on(client.read(&mut [0])).unwrap(), 0);
    let time = sim.elapsed();
    sim.block_on(client.write_all(b"x")).unwrap();
    sim.block_on(client.write_all(b"y")).unwrap();
    sim.block_on(client.ready(Interest::ERROR)).unwrap();
    assert_eq!(sim.elapsed(), time + 20 * MS);
    assert_eq!(
        sim.block_on(client.write(b"x")).unwrap_err().kind(),
        ErrorKind::BrokenPipe
    );
}

/// Everything at once: several connections echo under latency, short operations, late readiness and partitions that come and
/// go, and every byte comes back in its place.
fn storm(seed: u64) -> (u64, Duration) {
    const EACH: usize = 40_000;
    let sim = Simulated::new(seed);
    sim.network.set_latency(Duration::ZERO, 8 * MS);
    sim.network.set_short_io(0.4);
    sim.network.set_readiness_delay(3 * MS);
    let serve = async |mut server: TcpStream| {
        let mut buf = [0; 3_000];
        loop {
            match server.read(&mut buf).await.unwrap() {
                0 => return server.shutdown().await.unwrap(),
                read => server.write_all(&buf[..read]).await.unwrap(),
            }
        }
    };
    let ask = async |host: &str| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((ip(host), 0).into()).unwrap();
        let (mut reading, mut writing) = socket.connect(at("10.0.0.9:80")).await.unwrap().into_split();
        let data: Vec<u8> = (0..EACH).map(|place| (place % 253) as u8).collect();
        let write = async {
            writing.write_all(&data).await.unwrap();
            writing.shutdown().await.unwrap();
        };
        let read = async {
            let mut back = vec![0; EACH];
            reading.read_exact(&mut back).await.unwrap();
            assert_eq!(reading.read(&mut [0]).await.unwrap(), 0);
            back
        };
        let ((), back) = join(write, read).await;
        assert!(back == data);
    };
    let program = async {
        let listener = TcpListener::bind("10.0.0.9:80").await.unwrap();
        let serve_two = async {
            let (one, _) = listener.accept().await.unwrap();
            let other = async {
                let (other, _) = listener.accept().await.unwrap();
                serve(other).await;
            };
            join(serve(one), other).await;
        };
        join(serve_two, join(ask("10.0.0.1"), ask("10.0.0.2"))).await;
    };
    let mut program = Box::pin(program);
    let server = ip("10.0.0.9");
    let mut repaired = 0;
    let waker = Waker::from(Arc::new(Count::default()));
    loop {
        let _inside = sim.enter();
        if program.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            assert!(repaired >= 3, "{repaired}");
            return (sim.network.trace(), sim.elapsed());
        }
        if sim.turn() {
            continue;
        }
        // A partition for one millisecond in four, for each client at its own time.
        let phase = (sim.elapsed().as_millis() / 5) % 4;
        sim.network.repair(ip("10.0.0.1"), server);
        sim.network.repair(ip("10.0.0.2"), server);
        match phase {
            1 => sim.network.partition(ip("10.0.0.1"), server),
            3 => sim.network.partition(server, ip("10.0.0.2")),
            _ => repaired += 1,
        }
        match sim.network.next_due() {
            Some(due) => sim.advance_to(due),
            // All is held up: time goes on by itself.
            None => sim.advance_to(sim.now() + 5 * MS),
        }
    }
}

#[test]
fn every_byte_arrives_in_a_storm_and_the_same_seed_is_the_same_storm() {
    let mut traces = std::collections::BTreeSet::new();
    for seed in 0..60 {
        let storm_of_seed = storm(seed);
        if seed < 20 {
            assert_eq!(storm(seed), storm_of_seed, "seed {seed} gave two storms");
        }
        traces.insert(storm_of_seed.0);
    }
    assert_eq!(traces.len(), 60, "other seeds are other storms");
}

// Repetition.

#[test]
fn the_trace_tells_what_happened() {
    let run = |seed: u64, text: &'static [u8], parts: usize| {
        let sim = Simulated::new(seed);
        sim.network.set_latency(MS, 9 * MS);
        sim.block_on(async {
            let (mut client, mut server) = pair().await;
            for part in text.chunks(text.len().div_ceil(parts)) {
                client.write_all(part).await.unwrap();
            }
            let mut buf = vec![0; text.len()];
            server.read_exact(&mut buf).await.unwrap();
            let one = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            one.send_to(b"x", one.local_addr().unwrap()).await.unwrap();
            one.recv(&mut buf).await.unwrap();
            let place = format!("/a/path/{:?}", Instant::now());
            let _unix = UnixListener::bind(&place).unwrap();
            UnixStream::connect(&place).await.unwrap();
        });
        sim.network.trace()
    };
    let trace = run(7, b"hello", 1);
    for _ in 0..5 {
        assert_eq!(run(7, b"hello", 1), trace);
    }
    assert_ne!(run(8, b"hello", 1), trace, "another seed");
    assert_ne!(run(7, b"hallo", 1), trace, "another text");
    assert_ne!(run(7, b"hello", 2), trace, "another way to send it");
    assert_eq!(
        Network::new(1, Instant::now()).trace(),
        Network::new(2, Instant::now()).trace(),
        "nothing yet"
    );
}

#[test]
fn each_thing_that_happens_is_in_the_trace() {
    let sim = Simulated::new(1);
    let mut last = sim.network.trace();
    let mut changed = |what: &str| {
        let trace = sim.network.trace();
        assert_ne!(trace, last, "{what}");
        last = trace;
    };
    sim.network.set_latency(MS, MS);
    let listener = sim.block_on(TcpListener::bind("127.0.0.1:80")).unwrap();
    changed("listen");
    let mut client = sim.block_on(TcpStream::connect("127.0.0.1:80")).unwrap();
    changed("connect");
    let (mut server, _) = sim.block_on(listener.accept()).unwrap();
    changed("accept");
    sim.turn();
    changed("tell");
    for (here, there) in [(&client, &server), (&server, &client)] {
        here.try_write(b"abc").unwrap();
        changed("write");
        sim.advance_to(sim.now() + MS);
        changed("arrive");
        sim.turn();
        changed("tell");
        there.try_read(&mut [0; 2]).unwrap();
        changed("read");
    }
    for end in [&mut client, &mut server] {
        sim.block_on(end.shutdown()).unwrap();
        changed("shutdown");
    }
    drop(client);
    changed("close");
    sim.network.reset(server.local_addr().unwrap());
    changed("reset");
    sim.network.partition(ip("10.0.0.1"), ip("10.0.0.2"));
    changed("partition");
    sim.network.repair(ip("10.0.0.1"), ip("10.0.0.2"));
    changed("repair");
    let (one, other) = (UdpSocket::bind("127.0.0.1:7"), UdpSocket::bind("127.0.0.1:8"));
    let (one, other) = (sim.block_on(one).unwrap(), sim.block_on(other).unwrap());
    changed("bind");
    for (here, there, port) in [(&one, &other, 8), (&other, &one, 7)] {
        sim.block_on(here.send_to(b"abc", ("127.0.0.1", port))).unwrap();
        changed("send");
        sim.advance_to(sim.now() + MS);
        changed("arrive");
        sim.block_on(there.recv(&mut [0; 8])).unwrap();
        changed("receive");
    }
    let (one, other) = {
        let _inside = sim.enter();
        UnixDatagram::pair().unwrap()
    };
    changed("open");
    sim.block_on(one.send(b"abc")).unwrap();
    changed("send");
    sim.block_on(other.recv(&mut [0; 8])).unwrap();
    changed("receive");
    one.shutdown(std::net::Shutdown::Write).unwrap();
    changed("shutdown");
}

// Addresses.

#[test]
fn every_address_exists_and_free_ports_are_counted_up() {
    let sim = Simulated::new(1);
    sim.block_on(async {
        let listener = TcpListener::bind("10.1.2.3:0").await.unwrap();
        assert_eq!(listener.local_addr().unwrap(), at("10.1.2.3:49152"));
        let client = TcpStream::connect("10.1.2.3:49152").await.unwrap();
        assert_eq!(
            client.local_addr().unwrap(),
            at("10.1.2.3:49153"),
            "it has the target's own address"
        );
        let other = TcpListener::bind("127.0.0.2:0").await.unwrap();
        let client = TcpStream::connect(other.local_addr().unwrap()).await.unwrap();
        assert_eq!(client.local_addr().unwrap(), at("127.0.0.1:49152"));
        assert_eq!(
            UdpSocket::bind("10.1.2.3:0").await.unwrap().local_addr().unwrap(),
            at("10.1.2.3:49152")
        );
        let six = TcpListener::bind("[fd00::1]:443").await.unwrap();
        let client = TcpStream::connect("[fd00::1]:443").await.unwrap();
        assert_eq!(six.accept().await.unwrap().1, client.local_addr().unwrap());
        // Sockets without a wish get an address when they listen.
        let listener = TcpSocket::new_v4().unwrap().listen(4).unwrap();
        assert!(listener.local_addr().unwrap().ip().is_unspecified());
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect(("192.168.7.7", port)).await.unwrap();
        assert_eq!(
            listener.accept().await.unwrap().0.local_addr().unwrap(),
            (ip("192.168.7.7"), port).into()
        );
    });
}

#[test]
fn localhost_is_the_only_name() {
    let sim = Simulated::new(1);
    sim.block_on(async {
        let listener = TcpListener::bind("localhost:80").await.unwrap();
        assert_eq!(listener.local_addr().unwrap(), at("127.0.0.1:80"));
        TcpStream::connect(("localhost", 80)).await.unwrap();
        let found: Vec<_> = filch_io::net::lookup_host("localhost:7").await.unwrap().collect();
        assert_eq!(found, [at("127.0.0.1:7")]);
        let error = TcpStream::connect("example.com:80").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(
            error.to_string(),
            r#"cannot look up "example.com:80": a simulated network knows no host names but localhost: use an address"#
        );
    });
}

#[test]
fn names_of_unix_sockets_are_only_names() {
    let sim = Simulated::new(1);
    sim.block_on(async {
        let place = "/no/such/directory/socket";
        let listener = UnixListener::bind(place).unwrap();
        assert!(!std::path::Path::new(place).exists());
        UnixStream::connect(place).await.unwrap();
        assert_eq!(
            UnixStream::connect("/no/such/directory/other")
                .await
                .unwrap_err()
                .kind(),
            ErrorKind::NotFound
        );
        drop(listener);
        assert_eq!(
            UnixStream::connect(place).await.unwrap_err().kind(),
            ErrorKind::NotFound
        );
        let datagram = UnixDatagram::bind(place).unwrap();
        assert_eq!(datagram.local_addr().unwrap().as_pathname(), Some(place.as_ref()));
        drop(datagram);
        drop(UnixListener::bind(place).unwrap());
        assert_eq!(UnixListener::bind("").unwrap_err().kind(), ErrorKind::InvalidInput);

        use std::os::linux::net::SocketAddrExt;
        let address = filch_io::net::unix::SocketAddr::from_abstract_name("name").unwrap();
        let listener = UnixListener::bind_addr(&address).unwrap();
        assert_eq!(
            UnixListener::bind_addr(&address).unwrap_err().kind(),
            ErrorKind::AddrInUse
        );
        let client = UnixStream::connect_addr(&address).await.unwrap();
        assert_eq!(client.peer_addr().unwrap().as_abstract_name(), Some(&b"name"[..]));
        listener.accept().await.unwrap();
    });
}

// What the system is asked for all the same.

#[test]
fn options_are_remembered() {
    let sim = Simulated::new(1);
    sim.block_on(async {
        let (client, _server) = pair().await;
        client.set_nodelay(true).unwrap();
        assert!(client.nodelay().unwrap());
        client.set_ttl(42).unwrap();
        assert_eq!(client.ttl().unwrap(), 42);
        client.set_quickack(true).unwrap();
        client.set_linger(Some(Duration::from_secs(3))).unwrap();
        assert_eq!(client.linger().unwrap(), Some(Duration::from_secs(3)));
        let socket = TcpSocket::new_v6().unwrap();
        socket.set_keepalive(true).unwrap();
        socket.set_recv_buffer_size(20_000).unwrap();
        socket.set_reuseport(true).unwrap();
        assert!(socket.keepalive().unwrap() && socket.recv_buffer_size().unwrap() >= 20_000);
        assert!(socket.local_addr().unwrap().is_ipv6());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.set_ttl(7).unwrap();
        assert_eq!(listener.ttl().unwrap(), 7);
        let datagram = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        datagram.set_broadcast(true).unwrap();
        datagram.set_multicast_ttl_v4(3).unwrap();
        assert!(datagram.broadcast().unwrap() && datagram.multicast_ttl_v4().unwrap() == 3);
        let unix = UnixStream::pair().unwrap().0;
        assert_eq!(unix.peer_cred().unwrap().pid(), Some(std::process::id() as i32));

        // Whoever goes to the descriptor itself finds that it is not connected.
        let socket = socket2::SockRef::from(&client);
        assert_eq!(socket.send(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(
            io::Read::read(&mut &*socket, &mut [0]).unwrap_err().kind(),
            ErrorKind::NotConnected
        );
    });
}

#[test]
fn a_linger_of_zero_resets() {
    let sim = Simulated::new(1);
    sim.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:80").await.unwrap();
        for linger in [None, Some(Duration::ZERO), Some(Duration::from_secs(1))] {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_linger(linger).unwrap();
            let client = socket.connect(at("127.0.0.1:80")).await.unwrap();
            let (mut server, _) = listener.accept().await.unwrap();
            drop(client);
            let end = server.read(&mut [0]).await.map_err(|error| error.kind());
            let expected = if linger == Some(Duration::ZERO) {
                Err(ErrorKind::ConnectionReset)
            } else {
                Ok(0)
            };
            assert_eq!(end, expected);
        }
    });
}

// What it refuses.

#[track_caller]
fn unsupported<T>(result: io::Result<T>) -> String {
    let error = result.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    error.to_string()
}

#[test]
fn sockets_of_the_system_are_refused_and_given_back() {
    let sim = Simulated::new(1);
    let _inside = sim.enter();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    stream.set_nonblocking(true).unwrap();
    let text = unsupported(TcpStream::from_std(stream));
    assert!(text.starts_with("this runtime simulates its network"), "{text}");
    unsupported(TcpListener::from_std(listener));
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_nonblocking(true).unwrap();
    unsupported(UdpSocket::from_std(udp));
    let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
    one.set_nonblocking(true).unwrap();
    other.set_nonblocking(true).unwrap();
    unsupported(UnixStream::from_std(one.try_clone().unwrap()));
    let datagram = std::os::unix::net::UnixDatagram::unbound().unwrap();
    datagram.set_nonblocking(true).unwrap();
    unsupported(UnixDatagram::from_std(datagram));

    let (other, cause) = AsyncFd::try_new(other).unwrap_err().into_parts();
    unsupported(Err::<(), _>(cause));
    io::Write::write_all(&mut &other, b"still open").unwrap();
    let mut buf = [0; 10];
    io::Read::read_exact(&mut &one, &mut buf).unwrap();

    let mio = mio::net::UdpSocket::bind(at("127.0.0.1:0")).unwrap();
    unsupported(Registered::new(mio, Interest::READABLE, Kind::Datagram));
    assert!(sim.handle.reactors().iter().all(|reactor| reactor.load() == 0));
}

#[test]
fn simulated_sockets_do_not_become_those_of_the_system() {
    let sim = Simulated::new(1);
    sim.block_on(async {
        let (client, server) = pair().await;
        unsupported(client.into_std());
        unsupported(TcpListener::bind("127.0.0.1:0").await.unwrap().into_std());
        unsupported(UdpSocket::bind("127.0.0.1:0").await.unwrap().into_std());
        unsupported(UnixStream::pair().unwrap().0.into_std());
        unsupported(UnixListener::bind("name").unwrap().into_std());
        unsupported(UnixDatagram::unbound().unwrap().into_std());
        let mut server = server;
        assert_eq!(server.read(&mut [0]).await.unwrap(), 0, "it was closed");
    });
}

#[test]
fn many_receivers_are_not_simulated() {
    let sim = Simulated::new(1);
    sim.block_on(async {
        let one = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        let group = "224.0.0.77";
        let text = unsupported(one.join_multicast_v4(group.parse().unwrap(), [0; 4].into()));
        assert_eq!(text, "multicast is not simulated");
        unsupported(one.leave_multicast_v4(group.parse().unwrap(), [0; 4].into()));
        unsupported(one.send_to(b"x", (group, 7)).await);
        unsupported(one.send_to(b"x", "255.255.255.255:7").await);
        unsupported(one.connect((group, 7)).await);
        assert_eq!(
            TcpStream::connect((group, 7)).await.unwrap_err().raw_os_error(),
            Some(101),
            "ENETUNREACH"
        );
    });
}

#[test]
fn a_socket_stays_in_its_network() {
    let (one, other) = (Simulated::new(1), Simulated::new(1));
    let system = support::Driver::new(1);
    let make = |sim: &Simulated| {
        let _inside = sim.enter();
        TcpSocket::new_v4().unwrap()
    };
    let error = other.block_on(make(&one).connect(at("127.0.0.1:80"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    unsupported(system.block_on(make(&one).connect(at("127.0.0.1:80"))));
    unsupported(system.block_on(async { make(&one).listen(1) }));
    let socket = system.block_on(async { TcpSocket::new_v4() }).unwrap();
    unsupported(one.block_on(async { socket.listen(1) }));
    // Two runtimes may share one.
    let handle = Handle::simulated(
        one.network.clone(),
        vec![Reactor::simulated(&one.network)],
        Hooks::default(),
    );
    let listener = {
        let _inside = handle.enter();
        support::block_on(TcpListener::bind("127.0.0.1:80")).unwrap()
    };
    let client = one.block_on(TcpStream::connect("127.0.0.1:80")).unwrap();
    handle.reactors()[0].turn(None, &mut Vec::new()).unwrap();
    assert_eq!(
        support::block_on(listener.accept()).unwrap().1,
        client.local_addr().unwrap()
    );
    assert!(handle.network().is_some() && system.handle.network().is_none());
}

#[test]
#[should_panic = "a probability is between 0 and 1, and 1.5 is not"]
fn a_probability_above_one() {
    Network::new(1, Instant::now()).set_loss(1.5);
}

#[test]
#[should_panic = "a probability is between 0 and 1, and NaN is not"]
fn no_probability_at_all() {
    Network::new(1, Instant::now()).set_short_io(f64::NAN);
}

#[test]
#[should_panic = "the latency's maximum, 1ms, is smaller than its minimum, 2ms"]
fn a_latency_upside_down() {
    Network::new(1, Instant::now()).set_latency(2 * MS, MS);
}

// The reactor.

#[test]
fn a_simulated_reactor_never_waits() {
    let network = Network::new(1, Instant::now());
    let reactor = Reactor::simulated(&network);
    // Each of these would wait for ever, or for long, if it did.
    assert!(!reactor.turn(None, &mut Vec::new()).unwrap().unparked);
    reactor.turn(Some(Duration::MAX), &mut Vec::new()).unwrap();
    reactor.wait(None).unwrap();
    assert!(!reactor.has_events());
    reactor.unpark();
    assert!(reactor.has_events() && reactor.is_unparked());
    reactor.waker().wake();
    assert!(reactor.turn(None, &mut Vec::new()).unwrap().unparked);
    assert!(!reactor.has_events() && !reactor.turn(None, &mut Vec::new()).unwrap().unparked);
    assert!(reactor.try_turn(&mut Vec::new()).unwrap().is_some());
}

#[test]
fn after_shutdown_sockets_stay_and_waits_are_errors() {
    let sim = Simulated::new(1);
    let (mut client, mut server) = sim.block_on(pair());
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    assert!(server.poll_read_ready(&mut Context::from_waker(&waker)).is_pending());
    let mut woken = Vec::new();
    sim.handle
        .reactors()
        .iter()
        .for_each(|reactor| reactor.shutdown(&mut woken));
    assert_eq!((woken.len(), count.get()), (1, 0));
    assert!(sim.handle.reactors()[0].turn(None, &mut Vec::new()).is_err());
    support::block_on(async {
        client.write_all(b"abc").await.unwrap();
        let mut buf = [0; 8];
        assert_eq!(server.read(&mut buf).await.unwrap(), 3);
        let error = server.read(&mut buf).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the filch runtime that this socket belongs to has been shut down"
        );
        drop(client);
        assert_eq!(server.read(&mut buf).await.unwrap(), 0);
    });
    let error = sim.run(TcpListener::bind("127.0.0.1:0"));
    assert!(error.unwrap().is_err());
}

#[test]
fn sockets_may_be_dropped_with_an_event_under_way() {
    let sim = Simulated::new(3);
    sim.network.set_readiness_delay(5 * MS);
    for round in 0..50 {
        let (mut client, server) = sim.block_on(pair());
        sim.block_on(client.write_all(b"x")).unwrap();
        if round % 2 == 0 {
            drop(server);
        } else {
            drop(client);
        }
        // Of both, only the one that is left can still have something under way.
        sim.turn();
    }
    while let Some(due) = sim.network.next_due() {
        sim.advance_to(due);
        sim.turn();
    }
    assert!(
        sim.handle
            .reactors()
            .iter()
            .all(|reactor| reactor.load() == 0 && !reactor.has_events())
    );
}

#[test]
fn what_a_dropped_socket_would_have_heard_is_not_under_way() {
    let sim = Simulated::new(3);
    sim.network.set_readiness_delay(5 * MS);
    let (mut one, other) = {
        let _inside = sim.enter();
        UnixStream::pair().unwrap()
    };
    sim.block_on(one.writable()).unwrap();
    sim.block_on(one.write_all(b"x")).unwrap();
    while let Some(due) = sim.network.next_due() {
        sim.advance_to(due);
        sim.turn();
    }
    sim.block_on(one.write_all(b"x")).unwrap();
    assert!(sim.network.next_due().is_some(), "the other end is to hear of it");
    drop(one);
    drop(other);
    assert_eq!(sim.network.next_due(), None);
}

#[test]
fn two_waits_on_one_socket_are_both_woken() {
    let sim = Simulated::new(1);
    sim.block_on(async {
        let (mut client, server) = pair().await;
        let wait = async || server.readable().await.unwrap();
        let write = async {
            poll_fn(|cx| client.poll_write_ready(cx)).await.unwrap();
            client.write_all(b"x").await.unwrap();
        };
        join(join(wait(), wait()), write).await;
    });
}
