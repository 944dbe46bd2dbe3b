//! Servers: what they accept, how they end, and what is left then.

use filch::net::{ServerHandle, TcpListener, TcpStream, UnixListener, UnixStream, serve};
use filch::sync::{Event, mpsc};
use filch::task::JoinHandle;
use filch::time::{Instant, sleep};
use filch_tests::{Gate, Log, OnDrop, current, everywhere, multi, poll_once, within};
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

type Server = JoinHandle<io::Result<filch::net::Served>>;

/// A server that runs, with its handle.
async fn start<H, F>(handler: H) -> (ServerHandle, SocketAddr, Server)
where
    H: Fn(TcpStream, SocketAddr) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let (listener, address) = listener().await;
    let server = serve(listener, handler);
    assert_eq!(server.local_addr().unwrap(), address);
    (server.handle(), address, filch::spawn(server.into_future()))
}

/// Says each byte back, up to the end.
async fn echo(mut stream: TcpStream, _: SocketAddr) {
    let mut byte = [0];
    while let Ok(1) = stream.read(&mut byte).await {
        if stream.write_all(&byte).await.is_err() {
            return;
        }
    }
}

/// A client that has been served one byte.
async fn client(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    ask(&mut stream).await;
    stream
}

async fn ask(stream: &mut TcpStream) {
    stream.write_all(b"x").await.unwrap();
    let mut byte = [0];
    stream.read_exact(&mut byte).await.unwrap();
    assert_eq!(&byte, b"x");
}

/// Whether the other side has closed the connection, in order or not; waits until it has.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    !matches!(stream.read(&mut byte).await, Ok(1))
}

/// The same for a connection that nobody may have accepted. Linux says nothing to a client whose handshake ends on one processor while the listener is closed on
/// another: its connection has no other end then, and it hears of that when it writes.
async fn is_refused(stream: &mut TcpStream) -> bool {
    let _ = stream.write_all(b"x").await;
    is_closed(stream).await
}

#[test]
fn connections_are_served_side_by_side() {
    everywhere(|| async {
        let (handle, address, server) = start(echo).await;
        let mut clients = Vec::new();
        for _ in 0..5 {
            clients.push(client(address).await);
        }
        assert_eq!(handle.connections(), 5);
        for client in &mut clients {
            ask(client).await;
        }
        drop(clients);
        handle.stop_accepting();
        let served = server.await.unwrap().unwrap();
        assert_eq!((served.connections(), served.panicked()), (5, 0));
        assert_eq!(handle.connections(), 0);
    });
}

#[test]
fn a_limit_is_kept() {
    everywhere(|| async {
        let (listener, address) = listener().await;
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let seen = most.clone();
        let server = serve(listener, move |mut stream: TcpStream, _| {
            let (now, most) = (now.clone(), seen.clone());
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let _ = stream.read(&mut [0]).await;
                filch::task::yield_now().await;
                now.fetch_sub(1, Ordering::SeqCst);
            }
        });
        let handle = server.handle();
        let server = filch::spawn(server.limit(2).into_future());
        let mut clients = Vec::new();
        for _ in 0..7 {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        while handle.connections() < 2 {
            sleep(MS).await;
        }
        // The others have their chance to be too many.
        for _ in 0..10 {
            sleep(MS).await;
            assert_eq!(handle.connections(), 2);
        }
        for mut client in clients {
            client.write_all(b"x").await.unwrap();
            assert!(is_closed(&mut client).await);
        }
        handle.close(Duration::MAX);
        assert_eq!(server.await.unwrap().unwrap().connections(), 7);
        assert_eq!(most.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn who_leaves_makes_room_for_one_who_waits() {
    everywhere(|| async {
        let (listener, address) = listener().await;
        let server = serve(listener, echo).limit(2);
        let handle = server.handle();
        let server = filch::spawn(server.into_future());
        let mut stays = client(address).await;
        for _ in 0..3 {
            let leaves = client(address).await;
            let mut waits = TcpStream::connect(address).await.unwrap();
            drop(leaves);
            ask(&mut waits).await;
            ask(&mut stays).await;
        }
        handle.abort();
        assert_eq!(server.await.unwrap().unwrap().connections(), 7);
    });
}

#[test]
#[should_panic(expected = "no connections at all")]
fn a_limit_of_nothing_is_refused() {
    current().block_on(async {
        let (listener, _) = listener().await;
        let _ = serve(listener, echo).limit(0);
    });
}

#[test]
fn connections_go_on_when_nothing_is_accepted_any_more() {
    everywhere(|| async {
        let begun = Arc::new(AtomicUsize::new(0));
        let count = begun.clone();
        let (handle, address, server) = start(move |stream, peer| {
            count.fetch_add(1, Ordering::SeqCst);
            echo(stream, peer)
        })
        .await;
        let mut old = client(address).await;
        handle.stop_accepting();
        // One that comes now is refused, or closed by whoever closes the queue that it is in.
        if let Ok(mut new) = TcpStream::connect(address).await {
            assert!(is_refused(&mut new).await);
        }
        while TcpStream::connect(address).await.is_ok() {
            sleep(MS).await;
        }
        ask(&mut old).await;
        let mut closed = pin!(handle.closed());
        assert!(poll_once(closed.as_mut()).await.is_pending());
        assert_eq!(handle.connections(), 1);
        drop(old);
        closed.await;
        assert_eq!(server.await.unwrap().unwrap().connections(), 1);
        assert_eq!(begun.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_server_that_waits_for_connections_hears_that_it_is_to_stop() {
    everywhere(|| async {
        let (handle, _, server) = start(echo).await;
        sleep(MS).await;
        handle.stop_accepting();
        handle.closed().await;
        assert_eq!(server.await.unwrap().unwrap().connections(), 0);
    });
}

/// The first connection listens for its cancel, the second does not, the third will not end.
async fn three_kinds(mut stream: TcpStream, number: usize, log: Arc<Log<&'static str>>) {
    stream.write_all(b"x").await.unwrap();
    match number {
        0 => {
            filch::cancelled().await;
            filch::shield(stream.write_all(b"bye")).await.unwrap();
            log.push("heard");
        }
        1 => {
            let _end = OnDrop(|| log.push("dropped"));
            pending().await
        }
        _ => {
            let _end = OnDrop(|| log.push("aborted"));
            filch::shield(pending()).await
        }
    }
}

#[test]
fn a_close_asks_and_aborts_after_its_grace() {
    everywhere(|| async {
        let log = Log::new();
        let (count, said) = (AtomicUsize::new(0), log.clone());
        let (handle, address, server) =
            start(move |stream, _| three_kinds(stream, count.fetch_add(1, Ordering::SeqCst), said.clone())).await;
        let mut clients = Vec::new();
        for _ in 0..3 {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.read_exact(&mut [0]).await.unwrap();
            clients.push(client);
        }
        let begin = Instant::now();
        handle.close(500 * MS);
        let mut bye = [0; 3];
        clients[0].read_exact(&mut bye).await.unwrap();
        assert_eq!(&bye, b"bye");
        assert!(is_closed(&mut clients[1]).await);
        while handle.connections() > 1 {
            sleep(MS).await;
        }
        let mut asked = log.get();
        asked.sort_unstable();
        assert_eq!(asked, ["dropped", "heard"]);
        handle.closed().await;
        assert!(begin.elapsed() >= 500 * MS);
        assert_eq!(log.get()[2..], ["aborted"]);
        assert!(is_closed(&mut clients[2]).await);
        assert_eq!(server.await.unwrap().unwrap().connections(), 3);
    });
}

#[test]
fn a_second_close_shortens_the_grace() {
    everywhere(|| async {
        let (handle, address, server) = start(|mut stream: TcpStream, _| async move {
            stream.write_all(b"x").await.unwrap();
            filch::shield(pending()).await
        })
        .await;
        let mut client = TcpStream::connect(address).await.unwrap();
        client.read_exact(&mut [0]).await.unwrap();
        handle.close(Duration::MAX);
        sleep(10 * MS).await;
        assert_eq!(handle.connections(), 1);
        handle.close(Duration::ZERO);
        assert!(is_closed(&mut client).await);
        server.await.unwrap().unwrap();
    });
}

/// asyncio's server could not be closed while a client that reads nothing had a full buffer.
#[test]
fn an_abort_works_with_full_buffers() {
    everywhere(|| async {
        let (full, mut is_full) = mpsc::unbounded_channel();
        let (handle, address, server) = start(move |mut stream, _| {
            let full = full.clone();
            async move {
                let much = vec![7; 64 * 1024];
                stream.writable().await.unwrap();
                while stream.try_write(&much).is_ok() {}
                full.send(()).unwrap();
                while stream.write_all(&much).await.is_ok() {}
            }
        })
        .await;
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(TcpStream::connect(address).await.unwrap());
            is_full.recv().await.unwrap();
        }
        handle.abort();
        handle.closed().await;
        assert_eq!(handle.connections(), 0);
        assert_eq!(server.await.unwrap().unwrap().connections(), 3);
        drop(clients);
    });
}

#[test]
fn what_begins_beside_an_abort_is_aborted() {
    everywhere(|| async {
        let (handle, address, server) = start(|_, _| async { filch::shield(pending()).await }).await;
        let mut clients = Vec::new();
        for _ in 0..5 {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        // With none, some or all of them accepted.
        handle.abort();
        for client in &mut clients {
            assert!(is_refused(client).await);
        }
        handle.closed().await;
        server.await.unwrap().unwrap();
    });
}

#[test]
fn the_end_is_seen_in_whatever_order_it_comes_about() {
    everywhere(|| async {
        for connection_first in [true, false] {
            for waits_first in [true, false] {
                let (handle, address, server) = start(echo).await;
                let wait = || {
                    let handle = handle.clone();
                    filch::spawn(async move {
                        handle.closed().await;
                        handle.connections()
                    })
                };
                let client = client(address).await;
                let mut waits: Vec<_> = (0..3).filter(|_| waits_first).map(|_| wait()).collect();
                let ends = handle.clone();
                let stop = filch::spawn(async move {
                    if connection_first {
                        while ends.connections() > 0 {
                            sleep(MS).await;
                        }
                        // It accepts.
                        assert!(poll_once(pin!(ends.closed())).await.is_pending());
                    }
                    ends.stop_accepting();
                });
                if !connection_first {
                    // Beside each other, where there is more than one worker.
                    filch::task::yield_now().await;
                }
                drop(client);
                stop.await.unwrap();
                waits.push(wait());
                for wait in waits {
                    assert_eq!(wait.await.unwrap(), 0);
                }
                handle.closed().await;
                assert_eq!(server.await.unwrap().unwrap().connections(), 1);
                // Once more, of a server that is closed.
                handle.close(MS);
                handle.abort();
                handle.closed().await;
            }
        }
    });
}

#[test]
fn a_server_that_never_begins_is_closed_by_its_drop() {
    everywhere(|| async {
        let (listener, address) = listener().await;
        let server = serve(listener, echo);
        let handle = server.handle();
        assert!(poll_once(pin!(handle.closed())).await.is_pending());
        drop(server);
        handle.closed().await;
        TcpStream::connect(address).await.unwrap_err();
    });
}

#[test]
fn a_server_that_was_closed_before_it_begins_serves_nobody() {
    everywhere(|| async {
        for end in [
            ServerHandle::stop_accepting,
            ServerHandle::abort,
            |handle: &ServerHandle| handle.close(MS),
        ] {
            let (listener, address) = listener().await;
            let mut early = TcpStream::connect(address).await.unwrap();
            let server = serve(listener, echo);
            let handle = server.handle();
            end(&handle);
            assert_eq!(server.await.unwrap().connections(), 0);
            handle.closed().await;
            assert!(is_refused(&mut early).await);
        }
    });
}

/// A handler that cleans up for a while, however it ends.
async fn with_clean_up(mut stream: TcpStream, log: Arc<Log<&'static str>>) {
    let _last = filch::defer(async move {
        sleep(20 * MS).await;
        log.push("cleaned up");
    });
    stream.write_all(b"x").await.unwrap();
    pending().await
}

#[test]
fn who_cancels_a_server_closes_it_and_waits_for_its_connections() {
    everywhere(|| async {
        let log = Log::new();
        let said = log.clone();
        let (handle, address, server) = start(move |stream, _| with_clean_up(stream, said.clone())).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        client.read_exact(&mut [0]).await.unwrap();
        assert!(server.cancel_with("enough"));
        let error = server.await.unwrap_err();
        assert_eq!(error.reason().unwrap().text(), Some("enough"));
        assert_eq!(log.get(), ["cleaned up"]);
        handle.closed().await;
        assert!(is_closed(&mut client).await);
        TcpStream::connect(address).await.unwrap_err();
    });
}

#[test]
fn the_scope_around_a_server_that_is_dropped_waits_for_its_connections() {
    everywhere(|| async {
        let log = Log::new();
        let (listener, address) = listener().await;
        let said = log.clone();
        let server = serve(listener, move |stream, _| with_clean_up(stream, said.clone()));
        let handle = server.handle();
        let left = filch::scope(async |_| {
            let mut server = server.into_future();
            let mut client = TcpStream::connect(address).await.unwrap();
            let served = async { client.read_exact(&mut [0]).await.unwrap() };
            filch::select! {
                _ = &mut server => panic!("nobody has closed it"),
                _ = served => {}
            }
            drop(server);
            log.push("dropped");
            TcpStream::connect(address).await.unwrap_err();
        });
        left.await.unwrap();
        assert_eq!(log.get(), ["dropped", "cleaned up"]);
        handle.closed().await;
    });
}

/// A grace that has begun counts on when the server is dropped.
#[test]
fn the_grace_of_a_dropped_server_ends() {
    everywhere(|| async {
        let (listener, address) = listener().await;
        let server = serve(listener, |mut stream: TcpStream, _| async move {
            stream.write_all(b"x").await.unwrap();
            filch::shield(pending()).await
        });
        let handle = server.handle();
        filch::scope(async |_| {
            let mut server = server.into_future();
            let client = TcpStream::connect(address).await.unwrap();
            filch::select! {
                _ = &mut server => panic!("nobody has closed it"),
                _ = client.readable() => {}
            }
            handle.close(50 * MS);
        })
        .await
        .unwrap();
        handle.closed().await;
        assert_eq!(handle.connections(), 0);
    });
}

#[test]
fn a_panic_stays_in_its_connection() {
    everywhere(|| async {
        let (handle, address, server) = start(|stream: TcpStream, peer| async move {
            let mut first = [0];
            stream.readable().await.unwrap();
            stream.peek(&mut first).await.unwrap();
            if &first == b"!" {
                // Past the hook: it is expected.
                std::panic::resume_unwind(Box::new("a panic of a handler"));
            }
            echo(stream, peer).await;
        })
        .await;
        let mut good = client(address).await;
        let mut bad = TcpStream::connect(address).await.unwrap();
        bad.write_all(b"!").await.unwrap();
        assert!(is_closed(&mut bad).await);
        ask(&mut good).await;
        drop(good);
        handle.stop_accepting();
        let served = server.await.unwrap().unwrap();
        assert_eq!((served.connections(), served.panicked()), (2, 1));
    });
}

/// The handler itself, before its future, runs in the connection's task, too.
#[test]
fn a_handler_that_panics_before_its_future_ends_nothing_else() {
    everywhere(|| async {
        let count = AtomicUsize::new(0);
        let (handle, address, server) = start(move |stream, peer| {
            if count.fetch_add(1, Ordering::SeqCst) == 0 {
                std::panic::resume_unwind(Box::new("a panic of a handler"));
            }
            echo(stream, peer)
        })
        .await;
        let mut bad = TcpStream::connect(address).await.unwrap();
        assert!(is_closed(&mut bad).await);
        drop(client(address).await);
        handle.stop_accepting();
        assert_eq!(server.await.unwrap().unwrap().panicked(), 1);
    });
}

#[test]
fn a_connection_may_close_its_server() {
    everywhere(|| async {
        let (listener, address) = listener().await;
        let place = Arc::new(std::sync::Mutex::new(None::<ServerHandle>));
        let own = place.clone();
        let server = serve(listener, move |mut stream: TcpStream, _| {
            let handle = own.lock().unwrap().clone().unwrap();
            async move {
                let _ = stream.read(&mut [0]).await;
                handle.close(Duration::MAX);
                // It is cancelled itself, and may say so.
                filch::cancelled().await;
                filch::shield(stream.write_all(b"bye")).await.unwrap();
            }
        });
        *place.lock().unwrap() = Some(server.handle());
        let server = filch::spawn(server.into_future());
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"x").await.unwrap();
        let mut bye = [0; 3];
        client.read_exact(&mut bye).await.unwrap();
        assert_eq!(&bye, b"bye");
        server.await.unwrap().unwrap();
    });
}

/// Perhaps before the server knows the means to abort it.
#[test]
fn a_connection_that_aborts_its_server_is_aborted_itself() {
    everywhere(|| async {
        let (listener, address) = listener().await;
        let place = Arc::new(std::sync::Mutex::new(None::<ServerHandle>));
        let own = place.clone();
        let server = serve(listener, move |_stream, _| {
            own.lock().unwrap().clone().unwrap().abort();
            filch::shield(pending())
        });
        let handle = server.handle();
        *place.lock().unwrap() = Some(handle.clone());
        let mut client = TcpStream::connect(address).await.unwrap();
        server.await.unwrap();
        assert!(is_closed(&mut client).await);
        handle.closed().await;
    });
}

filch::task_local! {
    static NAME: &'static str;
}

#[test]
fn connections_are_inside_the_scope_of_their_server() {
    everywhere(|| async {
        let (listener, address) = listener().await;
        let log = Log::new();
        let said = log.clone();
        let server = serve(listener, move |_stream, _| {
            let log = said.clone();
            async move {
                log.push((filch::deadline(), NAME.get()));
                pending().await
            }
        });
        let deadline = Instant::now() + 100 * MS;
        let server = filch::spawn(NAME.scope("inherited", async move {
            filch::move_on_at(deadline, async |_| server.await).await.map(drop)
        }));
        let mut client = TcpStream::connect(address).await.unwrap();
        assert!(is_closed(&mut client).await);
        assert!(server.await.unwrap().is_none());
        assert_eq!(log.get(), [(Some(deadline), "inherited")]);
    });
}

/// Here the kernel is the judge: a listener that was shut down gives `EINVAL` for ever.
#[test]
fn a_listener_that_is_broken_ends_the_server() {
    for runtime in [current(), multi(2)] {
        within(move || {
            runtime.block_on(async {
                let std = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
                std.set_nonblocking(true).unwrap();
                let breaks = std::net::TcpStream::from(std::os::fd::OwnedFd::from(std.try_clone().unwrap()));
                let address = std.local_addr().unwrap();
                let server = serve(TcpListener::from_std(std).unwrap(), echo);
                let handle = server.handle();
                let server = filch::spawn(server.into_future());
                let mut client = client(address).await;
                breaks.shutdown(std::net::Shutdown::Both).unwrap();
                let error = server.await.unwrap().unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
                assert!(is_closed(&mut client).await);
                handle.closed().await;
            });
        });
    }
}

#[test]
fn unix_listeners_are_served() {
    everywhere(|| async {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "filch-serve-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::SeqCst)
        );
        let path = std::env::temp_dir().join(name);
        let server = serve(
            UnixListener::bind(&path).unwrap(),
            |mut stream: UnixStream, _| async move {
                let _ = stream.write_all(b"x").await;
            },
        );
        assert_eq!(server.local_addr().unwrap().as_pathname(), Some(&*path));
        let handle = server.handle();
        let server = filch::spawn(server.into_future());
        let mut client = UnixStream::connect(&path).await.unwrap();
        client.read_exact(&mut [0]).await.unwrap();
        handle.close(MS);
        assert_eq!(server.await.unwrap().unwrap().connections(), 1);
        let _ = std::fs::remove_file(path);
    });
}

/// From a thread that is inside no runtime.
#[test]
fn a_server_is_closed_from_outside() {
    within(|| {
        let runtime = multi(2);
        let begun = Gate::new();
        let serving = Arc::new(Event::new());
        let (opens, waits) = (begun.clone(), serving.clone());
        let (handle, server) = runtime.block_on(async move {
            let (handle, address, server) = start(move |mut stream: TcpStream, _| {
                opens.open();
                async move {
                    let _ = stream.write_all(b"x").await;
                    filch::shield(pending()).await
                }
            })
            .await;
            filch::spawn(async move {
                let mut client = TcpStream::connect(address).await.unwrap();
                let _ = client.read(&mut [0]).await;
                assert!(is_closed(&mut client).await);
                waits.set();
            });
            (handle, server)
        });
        begun.wait();
        handle.close(MS);
        serving.wait_blocking();
        assert_eq!(runtime.block_on(server).unwrap().unwrap().connections(), 1);
    });
}
