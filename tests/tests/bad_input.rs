//! What a program can do wrong: each mistake has its error or its panic, with a text that says what is wrong and, where it is a panic, the line
//! of the caller.

use filch::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream, lookup_host};
use filch::runtime::{Builder, Handle, Runtime};
use filch::task::{JoinSet, spawn_blocking, yield_now};
use filch::time::{Duration, Instant, interval, sleep, sleep_until, timeout};
use filch_tests::{Gate, child, current, is_child, multi, panics, paused, within};
use std::future::{Future, pending};
use std::io::ErrorKind;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Fails unless `f` panics with a text that contains `text`, on a line of this file from `line` on.
#[track_caller]
fn assert_panics_here<R>(text: &str, f: impl FnOnce() -> R) {
    let call = std::panic::Location::caller().line();
    let (message, place) = panics(f);
    assert!(message.contains(text), "{message}");
    let (file, line) = place.expect("a place");
    assert!(
        file.ends_with("bad_input.rs") && (call..call + 4).contains(&line),
        "it says {file}:{line}, and was called around line {call}: {message}"
    );
}

#[track_caller]
fn assert_panics<R>(text: &str, f: impl FnOnce() -> R) {
    let (message, _) = panics(f);
    assert!(message.contains(text), "{message}");
}

const NO_RUNTIME: &str = "no filch runtime on this thread";

#[test]
#[allow(
    clippy::redundant_closure,
    reason = "a function that std calls would have std's line for its caller's"
)]
fn use_outside_of_a_runtime() {
    assert_panics_here(NO_RUNTIME, || filch::spawn(async {}));
    assert_panics_here(NO_RUNTIME, || spawn_blocking(|| ()));
    assert_panics_here(NO_RUNTIME, || Handle::current());
    assert_panics_here(NO_RUNTIME, || sleep(Duration::ZERO));
    assert_panics_here(NO_RUNTIME, || sleep_until(Instant::now()));
    assert_panics_here(NO_RUNTIME, || timeout(Duration::ZERO, pending::<()>()));
    assert_panics_here(NO_RUNTIME, || interval(Duration::from_secs(1)));
    assert_panics_here(NO_RUNTIME, || filch::time::pause());
    assert_panics_here(NO_RUNTIME, || JoinSet::new().spawn(async {}));
    assert_panics_here(NO_RUNTIME, || JoinSet::new().spawn_blocking(|| ()));
    assert_panics_here(NO_RUNTIME, || UnixStream::pair());
    assert_panics_here(NO_RUNTIME, || UnixDatagram::unbound());
    assert_panics_here(NO_RUNTIME, || UnixListener::bind("/tmp/filch-test-outside"));
    let kind = filch::signal::unix::SignalKind::user_defined2();
    assert_panics_here(NO_RUNTIME, || filch::signal::unix::signal(kind));
    let std = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    std.set_nonblocking(true).expect("an ordinary socket");
    assert_panics_here(NO_RUNTIME, || TcpListener::from_std(std));
    let error = Handle::try_current().expect_err("outside");
    assert!(error.to_string().contains(NO_RUNTIME));
    assert!(filch::task::try_id().is_none());
    assert_panics_here("outside of a task", || filch::task::id());
}

/// An async function runs when it is polled: it can say no more than what is wrong.
#[test]
fn async_functions_outside_of_a_runtime() {
    fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }
    assert_panics(NO_RUNTIME, || poll(TcpListener::bind("127.0.0.1:0")).is_ready());
    assert_panics(NO_RUNTIME, || poll(TcpStream::connect("127.0.0.1:1")).is_ready());
    assert_panics(NO_RUNTIME, || poll(UdpSocket::bind("127.0.0.1:0")).is_ready());
    assert_panics(NO_RUNTIME, || poll(filch::time::advance(Duration::ZERO)).is_ready());
    assert_panics(NO_RUNTIME, || poll(filch::signal::ctrl_c()).is_ready());
    // The lookup is a task of the runtime.
    assert_panics(NO_RUNTIME, || poll(lookup_host("localhost:1")).is_ready());
    // These need no runtime.
    assert!(poll(async { yield_now().await }).is_pending());
}

#[test]
fn builders() {
    assert_panics_here("worker_threads(0)", || {
        Builder::new_multi_thread().worker_threads(0);
    });
    assert_panics_here("max_blocking_threads(0)", || {
        Builder::new_current_thread().max_blocking_threads(0);
    });
    assert_panics_here("zero byte", || {
        Builder::new_current_thread().thread_name("a\0b");
    });
    // A name that a function makes is cut.
    within(|| {
        let mut builder = Builder::new_current_thread();
        let runtime = builder.thread_name_fn(|| "cut\0off".into()).build().expect("a runtime");
        let name = runtime.block_on(async {
            spawn_blocking(|| std::thread::current().name().map(String::from))
                .await
                .expect("no panic")
        });
        assert_eq!(name.as_deref(), Some("cut"));
    });
}

#[test]
fn extreme_settings() {
    within(|| {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("")
            .thread_stack_size(0)
            .thread_keep_alive(Duration::MAX)
            .max_blocking_threads(usize::MAX)
            .build()
            .expect("a runtime");
        assert_eq!(runtime.block_on(runtime.spawn_blocking(|| 1)).expect("no panic"), 1);
        assert_eq!(runtime.block_on(runtime.spawn(async { 2 })).expect("no panic"), 2);
        drop(runtime);
        let runtime = Builder::new_current_thread()
            .worker_threads(usize::MAX)
            .thread_keep_alive(Duration::ZERO)
            .build()
            .expect("a runtime");
        for _ in 0..20 {
            assert_eq!(runtime.block_on(runtime.spawn_blocking(|| 1)).expect("no panic"), 1);
        }
    });
}

/// The largest stack of all is more than std itself can add up; whatever comes of it, nothing hangs.
#[test]
fn a_stack_size_beyond_all_bounds() {
    within(|| {
        for size in [usize::MAX, usize::MAX - 4096, isize::MAX as usize] {
            let build = || {
                Builder::new_multi_thread()
                    .worker_threads(2)
                    .thread_stack_size(size)
                    .build()
            };
            // An error, or std's own panic.
            let result = std::panic::catch_unwind(build);
            assert!(!matches!(result, Ok(Ok(_))), "no machine has stacks of {size}");
        }
    });
}

#[test]
fn a_runtime_in_a_runtime() {
    within(|| {
        let text = "runs a filch runtime already";
        for make in [current, || multi(1)] {
            let (outer, inner) = (make(), make());
            outer.block_on(async {
                assert_panics_here(text, || inner.block_on(async {}));
                assert_panics_here(text, || inner.handle().block_on(async {}));
                assert_panics_here(text, || outer.block_on(async {}));
                assert_panics(text, || filch::run(async {}));
            });
            let handle = inner.handle().clone();
            let task = outer.spawn(async move {
                assert_panics_here(text, || handle.block_on(async {}));
                assert_panics_here(text, || Handle::current().block_on(async {}));
                assert_panics(text, || filch::run(async {}));
                // One may make a runtime here, and get rid of it.
                multi(1).shutdown_background();
                current().shutdown_background();
            });
            outer.block_on(task).expect("no other panic");
            // Elsewhere it is allowed.
            let value = outer.block_on(async move {
                spawn_blocking(move || inner.block_on(async { 4 }))
                    .await
                    .expect("no panic")
            });
            assert_eq!(value, 4);
        }
    });
}

#[test]
fn shutdown_timeout_inside_of_a_task() {
    within(|| {
        let outer = current();
        outer.block_on(async {
            let inner = multi(1);
            assert_panics("inside a task or a `block_on`", || {
                inner.shutdown_timeout(Duration::from_millis(1))
            });
            current().shutdown_timeout(Duration::ZERO);
            multi(1).shutdown_timeout(Duration::ZERO);
        });
    });
}

#[test]
fn times_without_end() {
    within(|| {
        for runtime in [multi(1), current(), paused()] {
            runtime.block_on(async {
                let mut far = pin!(sleep(Duration::MAX));
                let waker = Waker::noop();
                assert!(far.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
                assert!(far.deadline() > Instant::now() + Duration::from_secs(365 * 24 * 3600));
                timeout(Duration::MAX, yield_now()).await.expect("it has not passed");
                far.as_mut().reset(Instant::now());
                far.await;
                assert_panics("", || interval(Duration::ZERO));
            });
        }
    });
    within(|| {
        // Nothing but the far timer is left to do: the clock jumps there.
        paused().block_on(async {
            let before = Instant::now();
            sleep(Duration::MAX).await;
            assert!(before.elapsed() > Duration::from_secs(365 * 24 * 3600));
        });
    });
}

#[test]
fn addresses() {
    within(|| {
        for runtime in [multi(1), current()] {
            runtime.block_on(async {
                let first = TcpListener::bind("127.0.0.1:0").await.expect("a port");
                let taken = first.local_addr().expect("an address");
                assert_eq!(
                    TcpListener::bind(taken).await.expect_err("taken").kind(),
                    ErrorKind::AddrInUse
                );
                drop(first);
                let refused = TcpStream::connect(taken).await.expect_err("nobody listens");
                assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
                for malformed in [
                    "",
                    ":",
                    "localhost",
                    "127.0.0.1",
                    "127.0.0.1:",
                    "127.0.0.1:65536",
                    "127.0.0.1:x",
                    "[::1",
                    "a b:1",
                    "x\0y:1",
                ] {
                    let error = TcpStream::connect(malformed).await.expect_err(malformed);
                    assert!(!error.to_string().is_empty());
                    assert!(TcpListener::bind(malformed).await.is_err(), "{malformed:?}");
                }
                let error = TcpStream::connect("no-such-host.invalid:80")
                    .await
                    .expect_err("no such host");
                assert!(error.to_string().contains("no-such-host.invalid"), "{error}");
                let none: &[std::net::SocketAddr] = &[];
                assert_eq!(
                    TcpStream::connect(none).await.expect_err("no address").kind(),
                    ErrorKind::InvalidInput
                );
                assert!(UnixStream::connect("/no/such/socket").await.is_err());
                assert!(UnixListener::bind("/no/such/folder/socket").is_err());
                assert!(UnixListener::bind("x".repeat(500)).is_err());
            });
        }
    });
}

#[test]
fn a_peer_that_resets() {
    within(|| {
        for runtime in [multi(1), current()] {
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
                let mut near = TcpStream::connect(listener.local_addr().expect("an address"))
                    .await
                    .expect("a connection");
                let (far, _) = listener.accept().await.expect("a connection");
                far.set_zero_linger().expect("an option");
                drop(far);
                let error = near.read(&mut [0; 8]).await.expect_err("reset");
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                // Once reported it is over: the end of the stream, or a broken pipe.
                assert_eq!(near.read(&mut [0; 8]).await.expect("the end"), 0);
                let error = near.write_all(b"x").await.expect_err("closed");
                assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            });
        }
    });
}

#[test]
fn a_socket_of_std_that_blocks() {
    within(|| {
        current().block_on(async {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            assert_eq!(
                TcpListener::from_std(listener).expect_err("it blocks").kind(),
                ErrorKind::InvalidInput
            );
            let (near, _far) = std::os::unix::net::UnixStream::pair().expect("a pair");
            assert_eq!(
                UnixStream::from_std(near).expect_err("it blocks").kind(),
                ErrorKind::InvalidInput
            );
        });
    });
}

#[test]
fn signals_that_cannot_be_listened_to() {
    within(|| {
        current().block_on(async {
            use filch::signal::unix::{SignalKind, signal};
            // SIGILL, SIGFPE, SIGKILL, SIGSEGV, SIGSTOP, and numbers that are no signals.
            for number in [4, 8, 9, 11, 19, 0, -1, 1000, i32::MAX, i32::MIN] {
                assert!(signal(SignalKind::from_raw(number)).is_err(), "{number}");
            }
        });
    });
}

/// What a runtime that is gone refuses is dropped by the one who spawns; it may go in and out of runtimes, and ask where it is.
#[test]
fn a_refused_future_enters_another_runtime() {
    struct Enters(Handle);
    impl Drop for Enters {
        fn drop(&mut self) {
            let inside = self.0.enter();
            assert_eq!(Handle::current().runtime_flavor(), self.0.runtime_flavor());
            drop(inside);
            assert_ne!(Handle::current().runtime_flavor(), self.0.runtime_flavor());
        }
    }
    within(|| {
        let other = current();
        let runtime = multi(2);
        let gone = runtime.handle().clone();
        drop(runtime);
        let _inside = gone.enter();
        let enters = Enters(other.handle().clone());
        let refused = filch::spawn(async move { drop(enters) });
        assert!(gone.block_on(refused).expect_err("not begun").is_cancelled());
    });
}

#[test]
fn a_handle_that_outlives_its_runtime() {
    within(|| {
        for runtime in [multi(2), current()] {
            let handle = runtime.handle().clone();
            let listener = runtime.block_on(async { TcpListener::bind("127.0.0.1:0").await.expect("a port") });
            let address = listener.local_addr().expect("an address");
            let mut armed = Box::pin({
                let _inside = runtime.enter();
                sleep(Duration::from_secs(3600))
            });
            assert!(
                armed
                    .as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()))
                    .is_pending()
            );
            drop(runtime);

            let gone = "shut down";
            assert!(
                handle
                    .block_on(handle.spawn(async {}))
                    .expect_err("not begun")
                    .is_cancelled()
            );
            assert!(
                handle
                    .block_on(handle.spawn_blocking(|| ()))
                    .expect_err("not begun")
                    .is_cancelled()
            );
            let mut set = JoinSet::new();
            set.spawn_on(async {}, &handle);
            set.spawn_blocking_on(|| (), &handle);
            handle.block_on(async {
                while let Some(result) = set.join_next().await {
                    assert!(result.expect_err("not begun").is_cancelled());
                }
            });
            let _inside = handle.enter();
            assert!(UnixStream::pair().expect_err("no reactor").to_string().contains(gone));
            handle.block_on(async {
                let error = TcpStream::connect(address).await.expect_err("no reactor");
                assert!(error.to_string().contains(gone), "{error}");
                let error = listener.accept().await.expect_err("no reactor");
                assert!(error.to_string().contains(gone), "{error}");
                assert!(lookup_host("localhost:1").await.is_err());
                assert!(filch::signal::ctrl_c().await.is_err());
            });
            assert_panics(gone, || {
                handle.block_on(async { sleep(Duration::from_millis(1)).await })
            });
            assert_panics(gone, || handle.block_on(armed.as_mut()));
            assert_panics(gone, || {
                handle.block_on(async { timeout(Duration::from_secs(1), pending::<()>()).await })
            });
            let metrics = handle.metrics();
            assert_eq!((metrics.num_alive_tasks(), metrics.num_blocking_threads()), (0, 0));
        }
    });
}

/// A handle that is polled again after it gave its outcome.
#[test]
fn a_handle_that_is_asked_twice() {
    within(|| {
        current().block_on(async {
            let mut task = filch::spawn(async { 1 });
            assert_eq!((&mut task).await.expect("no panic"), 1);
            let mut cx = Context::from_waker(Waker::noop());
            assert_panics("after it gave its outcome", || pin!(&mut task).poll(&mut cx).is_ready());
        });
    });
}

#[test]
fn metrics_of_a_worker_that_is_not_there() {
    within(|| {
        let runtime = multi(2);
        let metrics = runtime.metrics();
        assert_panics_here("there is no worker 2", || metrics.worker_park_count(2));
        assert_panics_here("there is no worker 2", || metrics.worker_timers(2));
        assert_panics_here("there is no worker 2", || metrics.worker_poll_count(2));
    });
}

/// A clock that is no paused one, or is one already.
#[test]
fn clocks() {
    within(|| {
        multi(1).block_on(async {
            assert_panics("", filch::time::pause);
        });
        current().block_on(async {
            assert_panics("", filch::time::resume);
            filch::time::pause();
            assert_panics("", filch::time::pause);
            filch::time::resume();
        });
    });
}

/// The number of workers from the environment, in a process of its own.
#[test]
fn the_number_of_workers_from_the_environment() {
    const NAME: &str = "the_number_of_workers_from_the_environment";
    if is_child(NAME) {
        match Runtime::new() {
            Ok(runtime) => println!("workers={}", runtime.metrics().num_workers()),
            Err(error) => println!("error={error}"),
        }
        // Whoever asks for a number is not disturbed by the environment.
        let runtime = Builder::new_multi_thread()
            .worker_threads(3)
            .build()
            .expect("a runtime");
        println!("asked={}", runtime.metrics().num_workers());
        println!("solo={}", current().metrics().num_workers());
        return;
    }
    let say = |value: &str| {
        let output = child(NAME, &[("FILCH_WORKER_THREADS", value)]);
        assert!(output.status.success());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("asked=3") && text.contains("solo=1"), "{text}");
        text
    };
    for (value, workers) in [("1", 1), ("5", 5), ("+2", 2), ("0004", 4)] {
        let text = say(value);
        assert!(text.contains(&format!("workers={workers}\n")), "{value}: {text}");
    }
    for garbage in [
        "",
        "0",
        "-1",
        "two",
        "2.5",
        " 2",
        "2 ",
        "99999999999999999999999",
        "0x2",
        "\u{ff12}",
    ] {
        let text = say(garbage);
        assert!(
            text.contains("error=FILCH_WORKER_THREADS must be"),
            "{garbage:?}: {text}"
        );
    }
}

/// More workers than there are file descriptors for.
#[test]
fn more_workers_than_the_system_allows() {
    filch_tests::alone("more_workers_than_the_system_allows", || {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let before = getrlimit(Resource::Nofile);
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(100),
                ..before
            },
        )
        .expect("a lower limit");
        let error = Builder::new_multi_thread()
            .worker_threads(usize::MAX)
            .build()
            .expect_err("so many?");
        assert_eq!(error.raw_os_error(), Some(24), "{error}");
        // And the system is as before.
        drop(multi(2));
    });
}

/// What is a mistake inside of a task is right inside of a blocking job.
#[test]
fn blocking_inside_of_spawn_blocking_is_use() {
    within(|| {
        for runtime in [multi(1), current()] {
            let gate = Gate::new();
            let opens = gate.clone();
            let value = runtime.block_on(async move {
                let job = spawn_blocking(move || {
                    let inner = Handle::current().block_on(async {
                        let task = filch::spawn(async move {
                            sleep(Duration::from_millis(1)).await;
                            opens.open();
                            8
                        });
                        task.await.expect("no panic")
                    });
                    gate.wait();
                    inner
                });
                job.await.expect("no panic")
            });
            assert_eq!(value, 8);
        }
    });
}

/// Guards of `enter` nest.
#[test]
fn guards_dropped_out_of_order() {
    within(|| {
        let (first, second) = (current(), current());
        let outer = first.enter();
        let inner = second.enter();
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(outer)));
        let payload = panic.expect_err("it is out of order");
        let text = payload.downcast_ref::<&str>().expect("a text");
        assert!(text.contains("reverse order"), "{text}");
        // The second guard finds the thread as deep as it left it, or says so as well; the program goes on in both cases.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(inner)));
        assert_eq!(first.block_on(async { 7 }), 7);
    });
}
