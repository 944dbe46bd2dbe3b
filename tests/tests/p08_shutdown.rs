//! P8: `run` returns only when no task is alive, no worker executes the program's code, and no epoll, eventfd, timerfd or thread of the
//! runtime is left. Sockets that the program still owns stay open and give errors; blocking jobs are awaited, up to a grace period. The other ends of a
//! runtime (its drop, `shutdown_timeout`, `shutdown_background`, a failed `build`) leave nothing behind either, if not at once.
//!
//! What is left is counted in `/proc`, so most of these tests run in a process of their own.

use filch::net::{TcpListener, TcpStream, UnixStream};
use filch::runtime::{Builder, Handle, Runtime};
use filch::task::{spawn_blocking, yield_now};
use filch::time::{Duration, sleep};
use filch_tests::{
    Gate, Holdings, OnDrop, PATIENCE, alone, alone_for_long, current, eventually, multi, panics, text, times, within,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::VecDeque;
use std::future::{Future, pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const HOUR: Duration = Duration::from_secs(3600);

/// Fails if there is more than before: descriptors at once, threads as soon as the system has taken them out of its list,
/// which it may do a moment after they were joined.
#[track_caller]
fn assert_gone(before: &Holdings) {
    assert_eq!(Holdings::now().descriptors, before.descriptors, "descriptors are left");
    assert_goes(before);
}

/// Fails if there stays more than before.
#[track_caller]
fn assert_goes(before: &Holdings) {
    let mut now = Holdings::now();
    let begin = std::time::Instant::now();
    while now != *before {
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "this is left: {now:?}\nbefore: {before:?}"
        );
        std::thread::sleep(Duration::from_millis(1));
        now = Holdings::now();
    }
}

/// Something of everything: tasks that wait for timers, sockets, blocking jobs and each other, and the names of hosts.
async fn something_of_everything() {
    let listener = TcpListener::bind("localhost:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    filch::spawn(async move {
        loop {
            let (mut peer, _) = listener.accept().await.expect("a connection");
            filch::spawn(async move { peer.read(&mut [0; 8]).await });
        }
    });
    for _ in 0..10 {
        let stream = TcpStream::connect(address).await.expect("a connection");
        filch::spawn(async move { stream.readable().await });
        filch::spawn(sleep_for(HOUR));
        filch::spawn(pending::<()>());
        filch::spawn(async {
            loop {
                yield_now().await;
            }
        });
        spawn_blocking(|| ()).await.expect("no panic");
    }
    sleep_for(Duration::from_millis(3)).await;
}

async fn sleep_for(duration: Duration) {
    sleep(duration).await;
}

#[test]
fn run_leaves_nothing() {
    alone("run_leaves_nothing", || {
        let before = Holdings::now();
        filch::run(something_of_everything());
        assert_gone(&before);
    });
}

#[test]
fn a_run_that_panics_leaves_nothing() {
    alone("a_run_that_panics_leaves_nothing", || {
        let before = Holdings::now();
        let (text, _) = panics(|| {
            filch::run(async {
                something_of_everything().await;
                panic!("the main future's own");
            })
        });
        assert_eq!(text, "the main future's own");
        assert_gone(&before);
    });
}

#[test]
fn dropped_runtimes_leave_nothing() {
    alone("dropped_runtimes_leave_nothing", || {
        let before = Holdings::now();
        for round in 0..100 {
            let runtime = match round % 4 {
                0 => current(),
                workers => multi(workers),
            };
            if round % 2 == 0 {
                runtime.block_on(something_of_everything());
            }
            drop(runtime);
            assert_eq!(Holdings::now().descriptors, before.descriptors, "descriptors are left");
        }
        assert_gone(&before);
    });
}

/// What the program keeps of a runtime keeps nothing of the system.
#[test]
fn a_handle_keeps_nothing_open() {
    alone("a_handle_keeps_nothing_open", || {
        for make in [current, || multi(2)] {
            let runtime = make();
            let (handle, metrics) = (runtime.handle().clone(), runtime.metrics());
            let task = runtime.spawn(pending::<()>());
            runtime.block_on(something_of_everything());
            drop(runtime);
            let left = Holdings::now().descriptors;
            assert!(left.is_empty(), "{left:?} are left");
            drop((handle, metrics, task));
        }
    });
}

#[test]
fn no_task_is_alive_and_no_code_runs() {
    within(|| {
        for _ in 0..5 {
            let (alive, inside) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let (counts, polls) = (alive.clone(), inside.clone());
            filch::run(async move {
                let begun = Gate::new();
                for number in 0..20 {
                    counts.fetch_add(1, Ordering::SeqCst);
                    let (alive, inside, begun) = (counts.clone(), polls.clone(), begun.clone());
                    let gone = OnDrop(move || {
                        // The destructor is user code, too, and takes its time.
                        std::thread::sleep(Duration::from_micros(200));
                        alive.fetch_sub(1, Ordering::SeqCst);
                    });
                    filch::spawn(poll_fn(move |cx| {
                        let _ = &gone;
                        inside.fetch_add(1, Ordering::SeqCst);
                        begun.open();
                        std::thread::sleep(Duration::from_millis(if number % 5 == 0 { 5 } else { 0 }));
                        cx.waker().wake_by_ref();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        std::task::Poll::<()>::Pending
                    }));
                }
                // At least one worker is in the middle of something when the main future ends.
                begun.wait();
            });
            assert_eq!(alive.load(Ordering::SeqCst), 0, "tasks are alive");
            assert_eq!(inside.load(Ordering::SeqCst), 0, "a worker is inside of a poll");
        }
    });
}

/// A task that is dropped at the end spawns another, whose future spawns a third when it is dropped, and so on.
#[test]
fn what_destructors_spawn_is_dropped_too() {
    fn chain(left: usize, drops: Arc<AtomicUsize>) -> impl Future<Output = ()> + Send {
        let guard = OnDrop(move || {
            drops.fetch_add(1, Ordering::SeqCst);
            if left > 0 {
                let inner: std::pin::Pin<Box<dyn Future<Output = ()> + Send>> =
                    Box::pin(chain(left - 1, drops.clone()));
                drop(filch::spawn(inner));
            }
        });
        async move {
            let _guard = guard;
            pending::<()>().await;
        }
    }
    within(|| {
        for runtime in [multi(1), multi(2), current()] {
            let drops = Arc::new(AtomicUsize::new(0));
            runtime.spawn(chain(20, drops.clone()));
            runtime.block_on(yield_now());
            drop(runtime);
            assert_eq!(drops.load(Ordering::SeqCst), 21);
        }
    });
}

#[test]
fn the_hooks_of_every_thread_have_run() {
    within(|| {
        let (starts, stops) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (up, down) = (starts.clone(), stops.clone());
        let mut builder = Builder::new_multi_thread();
        let runtime = builder
            .worker_threads(3)
            .on_thread_start(move || {
                up.fetch_add(1, Ordering::SeqCst);
            })
            .on_thread_stop(move || {
                std::thread::sleep(Duration::from_millis(1));
                down.fetch_add(1, Ordering::SeqCst);
            })
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let jobs: Vec<_> = (0..5)
                .map(|_| spawn_blocking(|| std::thread::sleep(Duration::from_millis(1))))
                .collect();
            for job in jobs {
                job.await.expect("no panic");
            }
        });
        drop(runtime);
        let counts = (starts.load(Ordering::SeqCst), stops.load(Ordering::SeqCst));
        assert!(counts.0 == counts.1 && counts.0 > 3, "{counts:?}");
    });
}

#[test]
fn sockets_of_the_program_stay_open_and_give_errors() {
    within(|| {
        for runtime in [multi(2), current()] {
            let (mut near, mut far, listener) = runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
                let near = TcpStream::connect(listener.local_addr().expect("an address"))
                    .await
                    .expect("a connection");
                let (far, _) = listener.accept().await.expect("a connection");
                (near, far, listener)
            });
            // One end waits when the end comes, in another runtime.
            let waiter = std::thread::spawn(move || current().block_on(async move { (far.read(&mut [0]).await, far) }));
            std::thread::sleep(Duration::from_millis(5));
            drop(runtime);
            let (result, far) = waiter.join().expect("no panic");
            let error = result.expect_err("nothing was written");
            assert!(error.to_string().contains("shut down"), "{error}");
            let other = current();
            let error = other.block_on(near.read(&mut [0])).expect_err("it would have to wait");
            assert!(error.to_string().contains("shut down"), "{error}");
            let error = other.block_on(listener.accept()).expect_err("it would have to wait");
            assert!(error.to_string().contains("shut down"), "{error}");
            // They are open all the same.
            let (near, far) = (near.into_std().expect("open"), far.into_std().expect("open"));
            near.set_nonblocking(false).expect("open");
            far.set_nonblocking(false).expect("open");
            std::io::Write::write_all(&mut &near, b"x").expect("open");
            std::io::Read::read_exact(&mut &far, &mut [0]).expect("open");
        }
    });
}

#[test]
fn who_waits_in_block_on_elsewhere_is_told() {
    within(|| {
        for runtime in [multi(2), current()] {
            let (handle, begun) = (runtime.handle().clone(), Gate::new());
            let (sockets, begins) = (handle.clone(), begun.clone());
            let socket = std::thread::spawn(move || {
                sockets.block_on(async {
                    let (near, far) = UnixStream::pair().expect("a pair");
                    begins.open();
                    let result = near.readable().await;
                    drop(far);
                    result
                })
            });
            begun.wait();
            let begins = begun.clone();
            let timer = std::thread::spawn(move || {
                handle.block_on(async {
                    let timer = sleep(HOUR);
                    begins.open();
                    timer.await;
                });
            });
            begun.wait();
            std::thread::sleep(Duration::from_millis(5));
            drop(runtime);
            let error = socket.join().expect("no panic").expect_err("nobody writes");
            assert!(error.to_string().contains("shut down"), "{error}");
            let panic = timer.join().expect_err("an hour is not over");
            assert!(text(&*panic).contains("shut down"));
        }
    });
}

#[test]
fn blocking_jobs_are_awaited() {
    within(|| {
        let done = Arc::new(AtomicBool::new(false));
        let flag = done.clone();
        filch::run(async move {
            let begun = Gate::new();
            let begins = begun.clone();
            spawn_blocking(move || {
                begins.open();
                std::thread::sleep(Duration::from_millis(100));
                flag.store(true, Ordering::SeqCst);
            });
            begun.wait();
        });
        assert!(done.load(Ordering::SeqCst), "`run` has not waited");
        for runtime in [multi(1), current()] {
            let done = Arc::new(AtomicBool::new(false));
            let (flag, begun) = (done.clone(), Gate::new());
            let begins = begun.clone();
            runtime.spawn_blocking(move || {
                begins.open();
                std::thread::sleep(Duration::from_millis(100));
                flag.store(true, Ordering::SeqCst);
            });
            begun.wait();
            drop(runtime);
            assert!(done.load(Ordering::SeqCst), "the drop has not waited");
        }
    });
}

#[test]
fn blocking_jobs_that_have_not_begun_are_cancelled() {
    within(|| {
        let mut builder = Builder::new_current_thread();
        let runtime = builder.max_blocking_threads(1).build().expect("a runtime");
        let (inside, leave) = (Gate::new(), Gate::new());
        let gates = (inside.clone(), leave.clone());
        let first = runtime.spawn_blocking(move || {
            gates.0.open();
            gates.1.wait();
            1
        });
        inside.wait();
        let dropped = Arc::new(AtomicBool::new(false));
        let flag = dropped.clone();
        let guard = OnDrop(move || flag.store(true, Ordering::SeqCst));
        let second = runtime.spawn_blocking(move || drop(guard));
        let third = second.abort_handle();
        let ender = std::thread::spawn(move || drop(runtime));
        eventually("the job that has not begun is dropped", || third.is_finished());
        assert!(dropped.load(Ordering::SeqCst));
        leave.open();
        ender.join().expect("no panic");
        let other = current();
        assert_eq!(other.block_on(first).expect("it had begun"), 1);
        assert!(other.block_on(second).expect_err("it had not").is_cancelled());
    });
}

#[test]
fn shutdown_timeout_gives_up_and_the_rest_goes_by_itself() {
    alone("shutdown_timeout_gives_up_and_the_rest_goes_by_itself", || {
        for stuck_worker in [false, true] {
            for runtime in [multi(2), current()] {
                if stuck_worker && runtime.metrics().num_workers() == 1 {
                    continue;
                }
                let (inside, leave) = (Gate::new(), Gate::new());
                let gates = (inside.clone(), leave.clone());
                let over = Arc::new(AtomicBool::new(false));
                let flag = over.clone();
                let work = move || {
                    gates.0.open();
                    gates.1.wait();
                    flag.store(true, Ordering::SeqCst);
                };
                if stuck_worker {
                    runtime.spawn(async move { work() });
                } else {
                    runtime.spawn_blocking(work);
                }
                inside.wait();
                let begin = std::time::Instant::now();
                runtime.shutdown_timeout(Duration::from_millis(20));
                assert!(begin.elapsed() >= Duration::from_millis(20), "it has not waited");
                assert!(!over.load(Ordering::SeqCst));
                leave.open();
                eventually("what was stuck goes on", || over.load(Ordering::SeqCst));
            }
        }
        eventually("no descriptor is left", || Holdings::now().descriptors.is_empty());
        eventually("no thread is left", || {
            !Holdings::now().threads.iter().any(|name| name.starts_with("filch"))
        });
    });
}

#[test]
fn shutdown_timeout_that_needs_no_time_leaves_nothing() {
    alone("shutdown_timeout_that_needs_no_time_leaves_nothing", || {
        let before = Holdings::now();
        for make in [current, || multi(2)] {
            let runtime = make();
            runtime.block_on(something_of_everything());
            runtime.shutdown_timeout(Duration::MAX);
            assert_gone(&before);
        }
    });
}

/// Whatever the workers are doing, and wherever it is called.
fn shutdown_background_goes(setup: impl FnOnce(Runtime) + Send + 'static) {
    let before = Holdings::now();
    let runtime = multi(2);
    runtime.block_on(async {
        // Everybody has begun, and then sleeps again: nobody moves by himself.
        filch::spawn(yield_now()).await.expect("no panic");
    });
    std::thread::sleep(Duration::from_millis(20));
    setup(runtime);
    assert_goes(&before);
}

#[test]
fn shutdown_background_of_an_idle_runtime_leaves_nothing() {
    alone("shutdown_background_of_an_idle_runtime_leaves_nothing", || {
        shutdown_background_goes(Runtime::shutdown_background);
    });
}

#[test]
fn shutdown_background_in_a_task_leaves_nothing() {
    alone("shutdown_background_in_a_task_leaves_nothing", || {
        shutdown_background_goes(|runtime| {
            let handle = runtime.handle().clone();
            let task = handle.spawn(async move { runtime.shutdown_background() });
            // The call ends, and then the task: it was in its last poll.
            current().block_on(task).expect("no panic");
        });
    });
}

#[test]
fn a_runtime_dropped_inside_async_code_says_why_and_leaves_nothing() {
    alone(
        "a_runtime_dropped_inside_async_code_says_why_and_leaves_nothing",
        || {
            let before = Holdings::now();
            let reason = "a filch runtime was dropped inside a task or a `block_on`";
            for inner in [current, || multi(2)] {
                // In the future of block_on, in a task, and in a task of its own.
                for outer in [current(), multi(1)] {
                    let runtime = inner();
                    let (message, _) = panics(|| outer.block_on(async move { drop(runtime) }));
                    assert!(message.contains(reason), "{message}");
                    let runtime = inner();
                    let task = outer.spawn(async move { drop(runtime) });
                    let error = outer.block_on(task).expect_err("it panics");
                    assert!(text(&*error.into_panic()).contains(reason));
                }
            }
            let runtime = multi(2);
            let handle = runtime.handle().clone();
            let task = handle.spawn(async move { drop(runtime) });
            let error = current().block_on(task).expect_err("it panics");
            assert!(text(&*error.into_panic()).contains(reason));
            drop(handle);
            assert_goes(&before);
        },
    );
}

/// As the message of that panic recommends.
#[test]
fn a_runtime_can_be_dropped_in_a_blocking_job_of_another() {
    alone("a_runtime_can_be_dropped_in_a_blocking_job_of_another", || {
        let before = Holdings::now();
        let (inner, outer) = (multi(2), current());
        outer.block_on(async {
            let job = spawn_blocking(move || drop(inner));
            job.await.expect("no panic");
        });
        drop(outer);
        assert_gone(&before);
    });
}

/// The same advice, followed with the wrong runtime: the job would have to wait for itself.
#[test]
fn a_runtime_dropped_in_a_blocking_job_of_its_own_does_not_hang() {
    within(|| {
        let runtime = multi(1);
        let handle = runtime.handle().clone();
        let job = handle.spawn_blocking(move || drop(runtime));
        // It may panic, or leave the rest to others; it may not hang.
        let _ = current().block_on(job);
    });
}

/// The limit is for all there is to wait for, hooks of the program included.
#[test]
fn shutdown_timeout_does_not_wait_longer_for_hooks() {
    within(|| {
        for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
            let leave = Gate::new();
            let gate = leave.clone();
            let runtime = builder
                .worker_threads(1)
                .on_thread_stop(move || gate.wait())
                .build()
                .expect("a runtime");
            if runtime.handle().runtime_flavor() == filch::runtime::RuntimeFlavor::CurrentThread {
                // A thread that has such a hook.
                runtime.block_on(async { spawn_blocking(|| ()).await.expect("no panic") });
            }
            runtime.shutdown_timeout(Duration::from_millis(20));
            // If that has waited for the hook, it has waited for this.
            leave.open();
        }
    });
}

#[test]
fn a_failed_build_leaves_nothing() {
    alone("a_failed_build_leaves_nothing", || {
        let before = Holdings::now();
        let error = Builder::new_multi_thread()
            .worker_threads(3)
            .thread_stack_size(usize::MAX / 4)
            .build()
            .expect_err("no machine has such stacks");
        assert!(!error.to_string().is_empty());
        assert_gone(&before);
    });
}

/// Is counted for as long as it lives.
fn counted(live: &Arc<AtomicUsize>) -> OnDrop<impl FnMut() + Send + 'static> {
    live.fetch_add(1, Ordering::SeqCst);
    let live = live.clone();
    OnDrop(move || {
        live.fetch_sub(1, Ordering::SeqCst);
    })
}

/// Work of every kind, all of it in the middle: yields, timers, sockets, tasks that spawn tasks, blocking jobs. Returns after `yields`.
async fn load(live: &Arc<AtomicUsize>, yields: usize) {
    for _ in 0..3 {
        let alive = counted(live);
        filch::spawn(async move {
            let _alive = alive;
            loop {
                yield_now().await;
            }
        });
        let alive = counted(live);
        filch::spawn(async move {
            let _alive = alive;
            loop {
                sleep(Duration::from_micros(50)).await;
            }
        });
        let (mut near, far) = UnixStream::pair().expect("a pair");
        near.write_all(b"ball").await.expect("there is room");
        for mut end in [near, far] {
            let alive = counted(live);
            filch::spawn(async move {
                let _alive = alive;
                let mut ball = [0; 4];
                // Until the shutdown says so, or takes the other end.
                while end.read_exact(&mut ball).await.is_ok() && end.write_all(&ball).await.is_ok() {}
            });
        }
        let (alive, more) = (counted(live), live.clone());
        filch::spawn(async move {
            let _alive = alive;
            loop {
                let alive = counted(&more);
                let child = filch::spawn(async move {
                    let _alive = alive;
                    yield_now().await;
                });
                let alive = counted(&more);
                let job = spawn_blocking(move || drop(alive));
                let _ = (child.await, job.await);
            }
        });
    }
    for _ in 0..yields {
        yield_now().await;
    }
}

/// Spawns from outside until the runtime has gone. Each handle tells what has become of its task.
fn spawn_until(stop: &AtomicBool, handle: &Handle, live: &Arc<AtomicUsize>) {
    let outside = current();
    while !stop.load(Ordering::SeqCst) {
        let alive = counted(live);
        let task = handle.spawn(async move {
            let _alive = alive;
            sleep(Duration::from_micros(20)).await;
        });
        if let Err(error) = outside.block_on(task) {
            assert!(error.is_cancelled(), "{error}");
        }
    }
}

/// A runtime that ends in the middle of all that, in each of the ways there are, while somebody outside goes on spawning.
fn end_under_load(round: usize) {
    let live = Arc::new(AtomicUsize::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let yields = round * 7 % 60;
    let outside = |handle: Handle| {
        let (live, stop) = (live.clone(), stop.clone());
        std::thread::spawn(move || spawn_until(&stop, &handle, &live))
    };
    let way = round % 5;
    let spawner = if way == 4 {
        filch::run(async {
            let spawner = outside(Handle::current());
            load(&live, yields).await;
            spawner
        })
    } else {
        let runtime = match round / 5 % 3 {
            0 => current(),
            workers => multi(workers),
        };
        let spawner = outside(runtime.handle().clone());
        runtime.block_on(load(&live, yields));
        match way {
            0 => drop(runtime),
            1 => runtime.shutdown_timeout(PATIENCE),
            2 => runtime.shutdown_background(),
            _ => {
                // From a blocking job of another runtime.
                let other = multi(1);
                let job = other.spawn_blocking(move || drop(runtime));
                other.block_on(job).expect("no panic");
            }
        }
        spawner
    };
    stop.store(true, Ordering::SeqCst);
    spawner.join().expect("no panic");
    if way == 2 {
        eventually("what is left goes by itself", || live.load(Ordering::SeqCst) == 0);
    }
    assert_eq!(
        live.load(Ordering::SeqCst),
        0,
        "round {round}: futures or jobs are left"
    );
}

#[test]
fn shutdowns_under_load() {
    alone_for_long("shutdowns_under_load", || {
        let before = Holdings::now();
        for hundred in 0..times(5, 100) {
            let held = before.clone();
            within(move || {
                (0..100).for_each(|round| end_under_load(100 * hundred + round));
                // Their thread is the one that asks.
                eventually("descriptors and threads are those of before", || {
                    let mut now = Holdings::now();
                    now.threads.retain(|name| name != "test-body");
                    now == held
                });
            });
        }
        assert_gone(&before);
    });
}

/// One after the other, then all at the same time, each connected to the next.
#[test]
fn two_hundred_runtimes_leave_nothing() {
    alone("two_hundred_runtimes_leave_nothing", || {
        // They hold up to eight descriptors each, and two for a link.
        let limit = getrlimit(Resource::Nofile);
        let enough = Rlimit {
            current: Some(limit.current.map_or(4000, |current| current.max(4000))),
            ..limit
        };
        setrlimit(Resource::Nofile, enough).expect("4000 descriptors");
        let before = Holdings::now();
        let make = |number: usize| {
            if number % 2 == 0 {
                current()
            } else {
                multi(1 + number / 2 % 2)
            }
        };
        for number in 0..200 {
            let runtime = make(number);
            let sum = runtime.block_on(async {
                let half = filch::spawn(async { sleep(Duration::from_micros(1)).await }).await;
                half.expect("no panic");
                spawn_blocking(|| 21).await.expect("no panic") + 21
            });
            assert_eq!(sum, 42);
        }
        assert_gone(&before);

        let runtimes: Vec<_> = (0..200).map(make).collect();
        let links = (0..=200).map(|_| std::os::unix::net::UnixStream::pair().expect("a pair"));
        let (mut writers, mut readers): (VecDeque<_>, VecDeque<_>) = links.unzip();
        let (mut first, mut last) = (
            writers.pop_front().expect("a link"),
            readers.pop_back().expect("a link"),
        );
        let tasks: Vec<_> = std::iter::zip(readers, writers)
            .zip(&runtimes)
            .map(|((reader, writer), runtime)| {
                runtime.spawn(async move {
                    let own = |socket: std::os::unix::net::UnixStream| {
                        socket.set_nonblocking(true).expect("open");
                        UnixStream::from_std(socket).expect("a descriptor")
                    };
                    let (mut reader, mut writer) = (own(reader), own(writer));
                    let mut count = [0];
                    reader.read_exact(&mut count).await.expect("open");
                    writer.write_all(&[count[0] + 1]).await.expect("open");
                })
            })
            .collect();
        std::io::Write::write_all(&mut first, &[0]).expect("there is room");
        for (runtime, task) in runtimes.iter().zip(tasks) {
            runtime.block_on(task).expect("no panic");
        }
        let mut count = [0];
        std::io::Read::read_exact(&mut last, &mut count).expect("open");
        assert_eq!(count, [200]);
        // In the middle first.
        let mut runtimes = runtimes;
        while !runtimes.is_empty() {
            drop(runtimes.swap_remove(runtimes.len() / 2));
        }
        assert_gone(&before);
    });
}
