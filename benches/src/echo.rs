//! An echo server on each runtime, and bare, and the client that drives it.

use crate::count::cpu_seconds;
use crate::question::{Driven, Measurement, Run, wait_for_stop};
use crate::stats::percentile;
use crate::{Rt, Stream};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Bytes of a message.
const MESSAGE: usize = 64;

/// A server in a child: prints its port, and serves until it is told to stop.
///
/// # Panics
///
/// If the system refuses what it needs.
pub fn serve<R: Rt>(run: &mut Run, workers: usize) {
    let runtime = R::start(workers);
    let begun = runtime.spawn_on(async {
        let (listener, address) = R::listen().await.expect("a port is free");
        R::detach(R::spawn(async move {
            loop {
                let stream = R::accept(&listener).await.expect("it accepts");
                R::detach(R::spawn(answer(stream)));
            }
        }));
        address.port()
    });
    println!("{}", runtime.block_on(begun));
    until_told(run);
}

async fn answer<S: Stream>(mut stream: S) {
    let mut buffer = [0; 256];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => {
                if stream.write_all(&buffer[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn until_told(run: &mut Run) {
    let begin = cpu_seconds();
    wait_for_stop();
    // The parent knows how many operations that were.
    run.cpu = Some((cpu_seconds() - begin, 1.0));
}

/// The same by system calls alone: so many threads with an epoll each, among which the connections are dealt out.
///
/// # Panics
///
/// If the system refuses what it needs.
pub fn serve_bare(run: &mut Run, threads: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    let thread = |_| {
        let poll = mio::Poll::new().expect("an epoll");
        let waker = Arc::new(mio::Waker::new(poll.registry(), WAKE).expect("an eventfd"));
        let (to, from) = channel();
        let kept = waker.clone();
        std::thread::spawn(move || {
            echo_bare(poll, &from);
            drop(kept);
        });
        (to, waker)
    };
    let threads: Vec<_> = (0..threads).map(thread).collect();
    std::thread::spawn(move || {
        for (stream, (to, waker)) in listener.incoming().zip(threads.iter().cycle()) {
            to.send(stream.expect("it accepts")).expect("the thread runs");
            waker.wake().expect("an eventfd takes it");
        }
    });
    println!("{port}");
    until_told(run);
}

const WAKE: mio::Token = mio::Token(usize::MAX);

fn echo_bare(mut poll: mio::Poll, new: &Receiver<std::net::TcpStream>) {
    let mut events = mio::Events::with_capacity(1024);
    let mut streams = Vec::new();
    let mut buffer = [0; 256];
    loop {
        poll.poll(&mut events, None).expect("epoll waits");
        for event in &events {
            if event.token() == WAKE {
                for stream in new.try_iter() {
                    streams.push(nonblocking(stream, &poll, streams.len()));
                }
                continue;
            }
            let stream = &mut streams[event.token().0];
            loop {
                match stream.read(&mut buffer) {
                    Ok(read) if read > 0 => {
                        stream.write_all(&buffer[..read]).expect("there is room for 64 bytes");
                        // As every runtime here does: less than was asked for is all there is.
                        if read < buffer.len() {
                            break;
                        }
                    }
                    _ => break,
                }
            }
        }
    }
}

/// How many of so many connections this process may have. Raises the soft limit to the hard one, for its children too.
pub fn room(connections: usize) -> usize {
    /// Descriptors that are no connection.
    const OTHERS: usize = 200;
    let limit = getrlimit(Resource::Nofile);
    // It stays as it is if the system refuses.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    );
    let limit = getrlimit(Resource::Nofile).current;
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    connections.min(limit.saturating_sub(OTHERS))
}

/// A connection to a server that has accepted it: else its queue of connections may overflow, and then each takes a second.
fn connected(port: u16) -> std::net::TcpStream {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
    stream.write_all(b"?").expect("there is room for a byte");
    stream.read_exact(&mut [0]).expect("the server answers");
    stream
}

fn nonblocking(stream: std::net::TcpStream, poll: &mio::Poll, token: usize) -> mio::net::TcpStream {
    stream.set_nodelay(true).expect("TCP has it");
    stream.set_nonblocking(true).expect("it can");
    let mut stream = mio::net::TcpStream::from_std(stream);
    poll.registry()
        .register(&mut stream, mio::Token(token), mio::Interest::READABLE)
        .expect("epoll takes it");
    stream
}

/// A client: so many connections on this thread, each with one message on its way, for so long. Says the row's 99th percentile in microseconds.
///
/// # Panics
///
/// If the server fails.
pub fn drive(child: &mut Measurement, connections: usize, length: Duration, row: &'static str) -> Driven {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a port")]
    let port = child.number() as u16;
    let mut poll = mio::Poll::new().expect("an epoll");
    let mut events = mio::Events::with_capacity(connections);
    let connect = |token| nonblocking(connected(port), &poll, token);
    let mut streams: Vec<_> = (0..connections).map(connect).collect();
    let message = [b'x'; MESSAGE];
    let mut left = vec![MESSAGE; connections];
    let mut sent = Vec::new();
    for stream in &mut streams {
        sent.push(Instant::now());
        stream.write_all(&message).expect("there is room for 64 bytes");
    }
    let mut times = Vec::new();
    let end = Instant::now() + length;
    while Instant::now() < end {
        poll.poll(&mut events, Some(Duration::from_millis(100)))
            .expect("epoll waits");
        for event in &events {
            let token = event.token().0;
            let mut buffer = [0; 256];
            while let Ok(read) = streams[token].read(&mut buffer) {
                assert!(read > 0, "the server closed a connection");
                left[token] -= read;
                if left[token] == 0 {
                    let now = Instant::now();
                    times.push((now - sent[token]).as_nanos() as f64 / 1e3);
                    left[token] = MESSAGE;
                    sent[token] = now;
                    streams[token].write_all(&message).expect("there is room for 64 bytes");
                }
                if read < buffer.len() {
                    break;
                }
            }
        }
    }
    Driven {
        operations: times.len() as f64,
        figures: vec![(row, percentile(&times, 0.99))],
    }
}

/// As [`drive`], at so many messages a second, open loop: a connection may have several on their way, which come back in order. Says the 50th, 99th and 99.9th percentiles.
///
/// # Panics
///
/// If the server fails.
pub fn drive_at(
    child: &mut Measurement,
    connections: usize,
    rate: usize,
    length: Duration,
    rows: [&'static str; 3],
) -> Driven {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a port")]
    let port = child.number() as u16;
    let mut poll = mio::Poll::new().expect("an epoll");
    let mut events = mio::Events::with_capacity(connections);
    let connect = |token| nonblocking(connected(port), &poll, token);
    let mut streams: Vec<_> = (0..connections).map(connect).collect();
    let message = [b'x'; MESSAGE];
    // When what is on its way was due, and how many bytes have come of the first.
    let mut due = vec![VecDeque::new(); connections];
    let mut come = vec![0; connections];
    let mut times = Vec::new();
    let every = Duration::from_secs(1) / u32::try_from(rate).expect("a rate");
    let begin = Instant::now();
    let mut next = begin;
    let mut sent = 0;
    // The first fifth warms up.
    let counts = begin + length / 5;
    while next < begin + length || due.iter().any(|due| !due.is_empty()) {
        let now = Instant::now();
        while next <= now && next < begin + length {
            let who = sent % connections;
            streams[who]
                .write_all(&message)
                .expect("there is room for some messages");
            due[who].push_back(next);
            sent += 1;
            next += every;
        }
        poll.poll(&mut events, Some(Duration::ZERO)).expect("epoll looks");
        for event in &events {
            let who = event.token().0;
            let mut buffer = [0; 4096];
            while let Ok(read) = streams[who].read(&mut buffer) {
                assert!(read > 0, "the server closed a connection");
                come[who] += read;
                let now = Instant::now();
                while come[who] >= MESSAGE {
                    come[who] -= MESSAGE;
                    let since = due[who].pop_front().expect("it was sent");
                    if since >= counts {
                        times.push((now - since).as_nanos() as f64 / 1e3);
                    }
                }
                if read < buffer.len() {
                    break;
                }
            }
        }
    }
    let parts = [0.5, 0.99, 0.999];
    Driven {
        operations: sent as f64,
        figures: rows
            .into_iter()
            .zip(parts.map(|part| percentile(&times, part)))
            .collect(),
    }
}
