//! P10: where the system gives no file descriptor or no thread, the caller has an error, and nothing else happens: a connection that could not be
//! accepted can be accepted later; a `build` that fails leaves nothing running; a blocking job without a thread of its own waits for another thread, or
//! fails if there is none.
//!
//! Each test runs in a process of its own and takes the resource away there.

use filch::net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream, serve};
use filch::runtime::{Builder, Runtime};
use filch::time::Duration;
use filch_tests::{Gate, Holdings, alone, current, eventually, multi};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::io;

/// Takes every file descriptor that is left, until it is dropped.
struct NoDescriptors {
    _taken: Vec<File>,
    before: Rlimit,
}

impl NoDescriptors {
    /// Leaves `left` of them.
    fn but(left: usize) -> Self {
        let before = getrlimit(Resource::Nofile);
        // Not thousands of them.
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(200),
                ..before
            },
        )
        .expect("a lower limit");
        let mut taken: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        taken.truncate(taken.len() - left);
        Self { _taken: taken, before }
    }
}

impl Drop for NoDescriptors {
    fn drop(&mut self) {
        setrlimit(Resource::Nofile, self.before).expect("the limit of before");
    }
}

const EMFILE: i32 = rustix::io::Errno::MFILE.raw_os_error();

#[track_caller]
fn assert_out_of_descriptors<T>(result: io::Result<T>) {
    match result {
        Ok(_) => panic!("there should be no descriptor for this"),
        Err(error) => assert_eq!(error.raw_os_error(), Some(EMFILE), "{error}"),
    }
}

#[test]
fn build_without_descriptors() {
    alone("build_without_descriptors", || {
        for make in [Builder::new_multi_thread, Builder::new_current_thread] {
            let before = Holdings::now();
            let mut failed = 0;
            // With one more each time, so that each step of the building is the one that fails.
            let runtime = loop {
                let scarce = NoDescriptors::but(failed);
                let result = make().worker_threads(2).build();
                drop(scarce);
                match result {
                    Ok(runtime) => break runtime,
                    Err(error) => assert_eq!(error.raw_os_error(), Some(EMFILE), "{error}"),
                }
                failed += 1;
                assert_eq!(Holdings::now().descriptors, before.descriptors);
                eventually("no thread is left", || Holdings::now().threads == before.threads);
                assert!(failed < 50, "so many are not needed");
            };
            assert!(failed >= 2, "it needs an epoll and an eventfd at least");
            // With what sufficed for the building it does its work.
            assert_eq!(
                runtime.block_on(async { filch::spawn(async { 3 }).await.expect("no panic") }),
                3
            );
        }
    });
}

#[test]
fn run_without_descriptors_says_so() {
    alone("run_without_descriptors_says_so", || {
        let scarce = NoDescriptors::but(0);
        let panic = std::panic::catch_unwind(|| filch::run(async {})).expect_err("it cannot run");
        drop(scarce);
        let text = filch_tests::text(&*panic);
        assert!(
            text.contains("filch could not start a runtime") && text.contains("os error 24"),
            "{text}"
        );
    });
}

#[test]
fn sockets_without_descriptors() {
    alone("sockets_without_descriptors", || {
        for runtime in [current(), multi(2)] {
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
                let address = listener.local_addr().expect("an address");
                let scarce = NoDescriptors::but(0);
                assert_out_of_descriptors(TcpListener::bind("127.0.0.1:0").await);
                assert_out_of_descriptors(TcpStream::connect(address).await);
                assert_out_of_descriptors(UdpSocket::bind("127.0.0.1:0").await);
                assert_out_of_descriptors(UnixListener::bind("/tmp/filch-test-no-descriptors"));
                assert_out_of_descriptors(UnixStream::pair());
                assert_out_of_descriptors(filch::signal::unix::signal(
                    filch::signal::unix::SignalKind::user_defined1(),
                ));
                assert!(filch::signal::ctrl_c().await.is_err());
                drop(scarce);
                // As if nothing had happened.
                let (near, _far) = (
                    TcpStream::connect(address).await.expect("a connection"),
                    listener.accept().await,
                );
                drop(near);
            });
        }
    });
}

/// A connection waits in the kernel's queue. `accept` fails for want of a descriptor; nothing tells the listener a second time that
/// the connection is there, so it must not forget.
#[test]
fn a_connection_that_could_not_be_accepted_waits() {
    alone("a_connection_that_could_not_be_accepted_waits", || {
        for runtime in [current(), multi(2)] {
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
                let address = listener.local_addr().expect("an address");
                let mut clients: Vec<_> = (0..2)
                    .map(|_| std::net::TcpStream::connect(address).expect("a place in the queue"))
                    .collect();
                let scarce = NoDescriptors::but(0);
                for _ in 0..3 {
                    assert_out_of_descriptors(listener.accept().await);
                }
                drop(scarce);
                for _ in 0..2 {
                    let (mut peer, from) = filch::time::timeout(filch_tests::PATIENCE, listener.accept())
                        .await
                        .expect("the connection is still there")
                        .expect("a descriptor");
                    let place = clients
                        .iter()
                        .position(|client| client.local_addr().is_ok_and(|own| own == from));
                    let mut client = clients.swap_remove(place.expect("one of them"));
                    io::Write::write_all(&mut client, b"x").expect("it is connected");
                    peer.read_exact(&mut [0]).await.expect("the byte");
                }
            });
        }
    });
}

/// A server waits until it can accept again: a while, or until one of its own connections ends, which is what helps first.
#[test]
fn a_server_without_descriptors_waits_and_recovers() {
    alone("a_server_without_descriptors_waits_and_recovers", || {
        for (runtime, watched) in [(current(), false), (multi(2), true)] {
            runtime.block_on(async {
                // The watcher has what it needs, and takes nothing later.
                filch::spawn(filch::task::yield_now()).await.expect("no panic");
                let has_timer = |descriptor: &String| descriptor.contains("timerfd");
                eventually("the watcher is there", || {
                    !watched || Holdings::now().descriptors.iter().any(has_timer)
                });
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
                let address = listener.local_addr().expect("an address");
                let server = serve(listener, |mut stream: TcpStream, _| async move {
                    let mut byte = [0];
                    while let Ok(1) = stream.read(&mut byte).await {
                        stream.write_all(&byte).await.expect("a client that listens");
                    }
                });
                let handle = server.handle();
                let mut clients: Vec<_> = (0..4)
                    .map(|_| std::net::TcpStream::connect(address).expect("a place in the queue"))
                    .collect();
                // One descriptor for four connections.
                let scarce = NoDescriptors::but(1);
                let server = filch::spawn(server.into_future());
                is_served(&mut clients[0]).await;
                // Long enough for several attempts, which are few polls, as against an endless loop of them.
                let metrics = filch::runtime::Handle::current().metrics();
                let polls = || {
                    (0..metrics.num_workers())
                        .map(|worker| metrics.worker_poll_count(worker))
                        .sum::<usize>()
                };
                let before = polls();
                filch::time::sleep(Duration::from_millis(350)).await;
                assert!(polls() - before < 100, "{} polls", polls() - before);
                assert_eq!(handle.connections(), 1);
                assert!(!server.is_finished());
                // The first one goes, but keeps its own descriptor: the server's is what the second one has.
                clients[0].shutdown(std::net::Shutdown::Both).expect("it is connected");
                is_served(&mut clients[1]).await;
                assert_eq!(handle.connections(), 1);
                drop(scarce);
                is_served(&mut clients[2]).await;
                is_served(&mut clients[3]).await;
                assert_eq!(handle.connections(), 3);
                handle.close(Duration::ZERO);
                let served = server.await.expect("no panic").expect("nothing that ends a server");
                assert_eq!(served.connections(), 4);
            });
        }
    });
}

/// Waits for an answer of the server.
async fn is_served(client: &mut std::net::TcpStream) {
    client.set_nonblocking(true).expect("a mode of the socket");
    io::Write::write_all(client, b"x").expect("room for a byte");
    while io::Read::read_exact(client, &mut [0]).is_err() {
        filch::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A stack of this size is only an address range, as long as nobody uses it.
const STACK: usize = 1 << 30;

/// Leaves address space for `threads` stacks, until it is dropped.
struct FewThreads(Rlimit);

impl FewThreads {
    fn but(threads: usize) -> Self {
        let before = getrlimit(Resource::As);
        let pages = std::fs::read_to_string("/proc/self/statm").expect("a /proc");
        let pages: u64 = pages
            .split(' ')
            .next()
            .and_then(|pages| pages.parse().ok())
            .expect("a number");
        let used = pages * rustix::param::page_size() as u64;
        // A half for all else.
        let current = used + (STACK * threads + STACK / 2) as u64;
        setrlimit(
            Resource::As,
            Rlimit {
                current: Some(current),
                ..before
            },
        )
        .expect("a lower limit");
        Self(before)
    }
}

impl Drop for FewThreads {
    fn drop(&mut self) {
        setrlimit(Resource::As, self.0).expect("the limit of before");
    }
}

fn large(builder: &mut Builder) -> io::Result<Runtime> {
    builder.thread_stack_size(STACK).build()
}

#[test]
fn build_without_threads() {
    alone("build_without_threads", || {
        let before = Holdings::now();
        for possible in 0..4 {
            let few = FewThreads::but(possible);
            let error = large(Builder::new_multi_thread().worker_threads(4)).expect_err("a worker is missing");
            drop(few);
            assert!(error.raw_os_error().is_some(), "{error}");
            assert_eq!(Holdings::now().descriptors, before.descriptors);
            eventually("no thread is left", || Holdings::now().threads == before.threads);
        }
    });
}

/// Inside a task one may not wait for threads, and a `build` that fails must not panic for that.
#[test]
fn build_without_threads_inside_a_task() {
    alone("build_without_threads_inside_a_task", || {
        let outer = current();
        let before = Holdings::now();
        outer.block_on(async {
            let few = FewThreads::but(1);
            let result = filch::spawn(async { large(Builder::new_multi_thread().worker_threads(4)).map(drop) }).await;
            drop(few);
            let error = result.expect("no panic").expect_err("a worker is missing");
            assert!(error.raw_os_error().is_some(), "{error}");
        });
        eventually("nothing is left", || Holdings::now() == before);
    });
}

#[test]
fn a_blocking_job_without_a_thread_of_its_own() {
    alone("a_blocking_job_without_a_thread_of_its_own", || {
        let runtime = large(&mut Builder::new_current_thread()).expect("it needs no thread");
        let (inside, leave) = (Gate::new(), Gate::new());
        let few = FewThreads::but(0);
        // None at all: the handle says so, and the closure is dropped.
        let error = runtime.block_on(runtime.spawn_blocking(|| 1)).expect_err("no thread");
        assert!(error.is_cancelled(), "{error}");
        drop(few);
        let few = FewThreads::but(1);
        let gates = (inside.clone(), leave.clone());
        let first = runtime.spawn_blocking(move || {
            gates.0.open();
            gates.1.wait();
        });
        inside.wait();
        let others: Vec<_> = (0..3).map(|number| runtime.spawn_blocking(move || number)).collect();
        assert_eq!(runtime.metrics().num_blocking_threads(), 1);
        assert_eq!(runtime.metrics().blocking_queue_depth(), 3);
        leave.open();
        runtime.block_on(first).expect("no panic");
        for (number, job) in others.into_iter().enumerate() {
            assert_eq!(runtime.block_on(job).expect("the other thread takes it"), number);
        }
        drop(few);
        assert_eq!(runtime.block_on(runtime.spawn_blocking(|| 5)).expect("a thread"), 5);
    });
}

#[test]
fn a_name_without_a_thread_to_resolve_it() {
    alone("a_name_without_a_thread_to_resolve_it", || {
        let runtime = large(&mut Builder::new_current_thread()).expect("it needs no thread");
        let few = FewThreads::but(0);
        let result = runtime.block_on(TcpStream::connect("localhost:1"));
        drop(few);
        assert!(result.is_err());
        let _ = runtime
            .block_on(filch::net::lookup_host("localhost:1"))
            .expect("a thread");
    });
}

/// Blocks its worker until its own timer has fired, which the watcher has to see.
fn stuck_until_its_timer_fires() {
    let gate = Gate::new();
    let (timer, opens) = (filch::time::sleep(Duration::from_millis(1)), gate.clone());
    filch::spawn(async move {
        timer.await;
        opens.open();
    });
    gate.wait();
}

/// The watcher's thread starts when it is first needed. Without it everything goes on, and it starts when it can.
#[test]
fn a_watcher_that_cannot_start_yet() {
    alone("a_watcher_that_cannot_start_yet", || {
        let few = FewThreads::but(2);
        let runtime = large(Builder::new_multi_thread().worker_threads(2)).expect("two stacks are there");
        runtime.block_on(async {
            for _ in 0..50 {
                filch::spawn(filch::task::yield_now()).await.expect("no panic");
            }
            filch::spawn(async { filch::time::sleep(Duration::from_millis(1)).await })
                .await
                .expect("no panic");
        });
        // Both workers sleep.
        std::thread::sleep(Duration::from_millis(20));
        drop(few);
        runtime
            .block_on(runtime.spawn(async { stuck_until_its_timer_fires() }))
            .expect("somebody helps");
    });
}

/// The same for a worker that has not slept since.
#[test]
fn a_watcher_that_cannot_start_yet_for_a_busy_worker() {
    alone("a_watcher_that_cannot_start_yet_for_a_busy_worker", || {
        let few = FewThreads::but(2);
        let runtime = large(Builder::new_multi_thread().worker_threads(2)).expect("two stacks are there");
        let task = runtime.spawn(async move {
            for _ in 0..10 {
                filch::task::yield_now().await;
            }
            drop(few);
            for _ in 0..200 {
                filch::task::yield_now().await;
            }
            stuck_until_its_timer_fires();
        });
        runtime.block_on(task).expect("somebody helps");
    });
}
