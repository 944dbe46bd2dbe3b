//! Local sets: their tasks stay on their thread, need not be `Send`, run in order, and go with their set.

use filch::net::{TcpListener, TcpStream};
use filch::runtime::{Builder, Runtime};
use filch::sync::oneshot;
use filch::task::{JoinSet, LocalSet, spawn_blocking, spawn_local, yield_now};
use filch::time::{Duration, sleep};
use filch_tests::{Log, OnDrop, current, lock, multi, panics, within};
use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::current as this_thread;

fn everywhere(test: impl Fn(&Runtime)) {
    for runtime in [current(), multi(1), multi(2), multi(4)] {
        test(&runtime);
    }
}

// --- what it is for ----------------------------------------------------------------------------------------------------------

/// That this compiles is half of the test: an `Rc` lives across every await.
#[test]
fn what_is_not_send_lives_across_awaits() {
    within(|| {
        everywhere(|runtime| {
            let set = LocalSet::new();
            let sum = Rc::new(Cell::new(0));
            let tasks: Vec<_> = (0..100)
                .map(|number| {
                    let sum = sum.clone();
                    set.spawn_local(async move {
                        let before = Rc::strong_count(&sum);
                        yield_now().await;
                        sleep(Duration::from_micros(number)).await;
                        sum.set(sum.get() + number);
                        Rc::new(before)
                    })
                })
                .collect();
            set.block_on(runtime, async {
                for task in tasks {
                    assert!(*task.await.expect("no panic") > 1);
                }
            });
            assert_eq!((sum.get(), Rc::strong_count(&sum)), (4950, 1));
        });
    });
}

#[test]
fn inside_of_run() {
    within(|| {
        let text = filch::run(async {
            let set = LocalSet::default();
            set.run_until(async {
                let words = Rc::new(RefCell::new(Vec::new()));
                let inner = words.clone();
                let outer = spawn_local(async move {
                    inner.borrow_mut().push("one");
                    // Nested, and with its own task of the runtime in between.
                    let innermost = inner.clone();
                    let nested = spawn_local(async move {
                        yield_now().await;
                        innermost.borrow_mut().push("two");
                    });
                    nested.await.expect("no panic");
                    let number = filch::spawn(async { 3 }).await.expect("no panic");
                    inner.borrow_mut().push(if number == 3 { "three" } else { "?" });
                });
                outer.await.expect("no panic");
                words.borrow().join(" ")
            })
            .await
        });
        assert_eq!(text, "one two three");
    });
}

/// Every poll and every drop of a set's tasks happens on its thread, whoever wakes or aborts them.
#[test]
fn a_task_never_leaves_its_thread() {
    within(|| {
        everywhere(|runtime| {
            let (set, strangers) = (LocalSet::new(), Arc::new(AtomicUsize::new(0)));
            let home = this_thread().id();
            let look = {
                let strangers = strangers.clone();
                move || {
                    strangers.fetch_add(usize::from(this_thread().id() != home), Ordering::Relaxed);
                }
            };
            set.block_on(runtime, async {
                let mut tasks = Vec::new();
                for number in 0..60 {
                    let (look, guard) = (look.clone(), OnDrop(look.clone()));
                    tasks.push(spawn_local(async move {
                        let _guard = guard;
                        for round in 0..20_u64 {
                            look();
                            match (number + round) % 4 {
                                0 => yield_now().await,
                                1 => filch::spawn(async {}).await.expect("no panic"),
                                2 => sleep(Duration::from_micros(20)).await,
                                _ => spawn_blocking(|| ()).await.expect("no panic"),
                            }
                        }
                    }));
                }
                // Others are aborted by threads.
                let waiting: Vec<_> = (0..20)
                    .map(|_| {
                        let guard = OnDrop(look.clone());
                        spawn_local(async move {
                            let _guard = guard;
                            pending::<()>().await;
                        })
                    })
                    .collect();
                yield_now().await;
                let aborts: Vec<_> = waiting.iter().map(|task| task.abort_handle()).collect();
                filch::spawn(async move { aborts.iter().for_each(|abort| abort.abort()) })
                    .await
                    .expect("no panic");
                for task in waiting {
                    assert!(task.await.expect_err("it waits for ever").is_cancelled());
                }
                for task in tasks {
                    task.await.expect("no panic");
                }
            });
            assert_eq!(strangers.load(Ordering::Relaxed), 0);
        });
    });
}

#[test]
fn threads_wake_its_tasks() {
    within(|| {
        everywhere(|runtime| {
            let set = LocalSet::new();
            set.block_on(runtime, async {
                for _ in 0..300 {
                    let (sender, receiver) = oneshot::channel();
                    let local = Rc::new(1);
                    let task = spawn_local(async move { *local + receiver.await.expect("it is sent") });
                    let thread = std::thread::spawn(move || sender.send(1).expect("it waits"));
                    assert_eq!(task.await.expect("no panic"), 2);
                    thread.join().expect("no panic");
                }
            });
        });
    });
}

/// A handle goes where its value may go.
#[test]
fn a_task_of_the_runtime_awaits_a_local_one() {
    within(|| {
        everywhere(|runtime| {
            let set = LocalSet::new();
            let value = set.block_on(runtime, async {
                let local = Rc::new(41);
                let task = spawn_local(async move {
                    yield_now().await;
                    *local + 1
                });
                let waits = filch::spawn(async move { task.await.expect("no panic") });
                waits.await.expect("no panic")
            });
            assert_eq!(value, 42);
        });
    });
}

#[test]
fn sockets_and_timers_work_inside() {
    within(|| {
        everywhere(|runtime| {
            LocalSet::new().block_on(runtime, async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
                let address = listener.local_addr().expect("an address");
                let server = spawn_local(async move {
                    let (mut stream, _) = listener.accept().await.expect("a connection");
                    let mut bytes = [0; 4];
                    stream.read_exact(&mut bytes).await.expect("four bytes");
                    sleep(Duration::from_millis(1)).await;
                    stream.write_all(&bytes).await.expect("open");
                });
                let mut near = TcpStream::connect(address).await.expect("a connection");
                near.write_all(b"ping").await.expect("open");
                let mut back = [0; 4];
                near.read_exact(&mut back).await.expect("four bytes");
                assert_eq!(&back, b"ping");
                server.await.expect("no panic");
            });
        });
    });
}

/// In the tests of Tokio's users this is common: a `JoinSet` of local tasks.
#[test]
fn a_join_set_of_local_tasks() {
    within(|| {
        everywhere(|runtime| {
            let (local, other) = (LocalSet::new(), Rc::new(7));
            local.block_on(runtime, async {
                let mut set = JoinSet::new();
                let inside = other.clone();
                set.spawn_local(async move { *inside });
                set.spawn_local_on(async move { *other + 1 }, &local);
                let mut values = set.join_all().await;
                values.sort_unstable();
                assert_eq!(values, [7, 8]);
            });
        });
    });
}

// --- order -------------------------------------------------------------------------------------------------------------------

#[test]
fn tasks_start_in_order_and_go_on_in_order() {
    within(|| {
        everywhere(|runtime| {
            let (set, log) = (LocalSet::new(), Rc::new(RefCell::new(Vec::new())));
            let tasks: Vec<_> = (0..1_000)
                .map(|number| {
                    let log = log.clone();
                    set.spawn_local(async move {
                        for round in 0..3 {
                            log.borrow_mut().push(round * 1_000 + number);
                            yield_now().await;
                        }
                    })
                })
                .collect();
            set.block_on(runtime, async {
                for task in tasks {
                    task.await.expect("no panic");
                }
            });
            assert_eq!(*log.borrow(), (0..3_000).collect::<Vec<_>>());
        });
    });
}

/// The future of `run_until`, and the rest of the runtime, have their turns though the set never rests.
#[test]
fn a_set_that_never_rests_starves_nobody() {
    within(|| {
        everywhere(|runtime| {
            let set = LocalSet::new();
            for _ in 0..100 {
                set.spawn_local(async {
                    loop {
                        yield_now().await;
                    }
                });
            }
            set.block_on(runtime, async {
                for _ in 0..10 {
                    yield_now().await;
                    filch::spawn(async {}).await.expect("no panic");
                    sleep(Duration::from_millis(1)).await;
                }
            });
        });
    });
}

// --- who drives --------------------------------------------------------------------------------------------------------------

/// What is left waits until somebody drives the set again.
#[test]
fn tasks_wait_for_the_next_drive() {
    within(|| {
        everywhere(|runtime| {
            let (set, log) = (LocalSet::new(), Rc::new(RefCell::new(Vec::new())));
            let entries = log.clone();
            let first = set.spawn_local(async move {
                entries.borrow_mut().push(1);
                yield_now().await;
                entries.borrow_mut().push(2);
            });
            assert!(log.borrow().is_empty());
            // One poll of the future, and no turn of the set.
            set.block_on(runtime, async {});
            assert!(log.borrow().is_empty());
            set.block_on(runtime, yield_now());
            assert!(!log.borrow().is_empty());
            let debug = format!("{set:?}");
            assert!(
                ["LocalSet { len: 0 }", "LocalSet { len: 1 }"].contains(&debug.as_str()),
                "{debug}"
            );
            runtime.block_on(set);
            assert_eq!(*log.borrow(), [1, 2]);
            assert!(first.is_finished());
        });
    });
}

/// A set that is awaited is done when no task is left, those included that its tasks spawn.
#[test]
fn a_set_is_awaited() {
    within(|| {
        everywhere(|runtime| {
            let (set, count) = (LocalSet::new(), Rc::new(Cell::new(0)));
            runtime.block_on(LocalSet::new());
            for depth in 0..5 {
                fn nest(count: Rc<Cell<u32>>, depth: u32) {
                    spawn_local(async move {
                        sleep(Duration::from_micros(50)).await;
                        count.set(count.get() + 1);
                        if depth > 0 {
                            nest(count, depth - 1);
                        }
                    });
                }
                let inside = set.enter();
                nest(count.clone(), depth);
                drop(inside);
            }
            runtime.block_on(set);
            assert_eq!((count.get(), Rc::strong_count(&count)), (15, 1));
        });
    });
}

/// Two drive a set at once, as the same task and as tasks of their own; the first who is done leaves the other awake.
#[test]
fn two_who_drive_one_set() {
    within(|| {
        everywhere(|runtime| {
            let (set, outer) = (Rc::new(LocalSet::new()), LocalSet::new());
            for round in 0..50 {
                let (first, first_wakes) = oneshot::channel();
                let (second, second_wakes) = oneshot::channel();
                let tasks = [first_wakes, second_wakes].map(|wakes| set.spawn_local(wakes));
                let drivers = tasks.map(|task| {
                    let set = set.clone();
                    outer.spawn_local(async move { set.run_until(task).await })
                });
                outer.block_on(runtime, async {
                    let [a, b] = drivers;
                    let thread = std::thread::spawn(move || {
                        first.send(1).expect("it waits");
                        if round % 2 == 0 {
                            std::thread::sleep(Duration::from_micros(200));
                        }
                        second.send(2).expect("it waits");
                    });
                    assert_eq!(a.await.expect("driven").expect("no panic"), Ok(1));
                    assert_eq!(b.await.expect("driven").expect("no panic"), Ok(2));
                    thread.join().expect("no panic");
                });
            }
        });
    });
}

/// A driver that was polled once and then forgotten keeps no wake from the other.
#[test]
fn a_driver_that_waits_for_ever_takes_no_wake_away() {
    within(|| {
        everywhere(|runtime| {
            let set = LocalSet::new();
            let mut forgotten = Box::pin(set.run_until(pending::<()>()));
            let (sender, receiver) = oneshot::channel();
            let task = set.spawn_local(receiver);
            set.block_on(runtime, async {
                yield_now().await;
                yield_now().await;
                // The last one that has left a waker.
                assert!(
                    forgotten
                        .as_mut()
                        .poll(&mut Context::from_waker(Waker::noop()))
                        .is_pending()
                );
                let thread = std::thread::spawn(move || sender.send(1).expect("it waits"));
                assert_eq!(task.await.expect("no panic"), Ok(1));
                thread.join().expect("no panic");
            });
        });
    });
}

/// Sets nest: inside the inner one tasks go there, and behind it to the outer one again.
#[test]
fn sets_nest() {
    within(|| {
        let (outer, inner) = (LocalSet::new(), LocalSet::new());
        let outside = outer.enter();
        let inside = inner.enter();
        drop(spawn_local(async {}));
        assert_eq!(
            format!("{inner:?} {outer:?}"),
            "LocalSet { len: 1 } LocalSet { len: 0 }"
        );
        drop(inside);
        drop(spawn_local(async {}));
        drop(outside);
        assert_eq!(
            format!("{inner:?} {outer:?}"),
            "LocalSet { len: 1 } LocalSet { len: 1 }"
        );
        panics(|| drop(spawn_local(async {})));
    });
}

/// Whoever has driven a set leaves nothing of its waker there.
#[test]
fn a_driver_leaves_no_waker_behind() {
    struct Bell;
    impl Wake for Bell {
        fn wake(self: Arc<Self>) {}
    }
    let (set, bell) = (LocalSet::new(), Arc::new(Bell));
    let waker = Waker::from(bell.clone());
    for _ in 0..10 {
        let mut driving = Box::pin(set.run_until(pending::<()>()));
        assert!(driving.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert!(Arc::strong_count(&bell) > 2);
        drop(driving);
        assert_eq!(Arc::strong_count(&bell), 2);
    }
}

/// It needs no runtime at all.
#[test]
fn it_needs_no_runtime() {
    let (set, count) = (LocalSet::new(), Rc::new(Cell::new(0)));
    for _ in 0..200 {
        let count = count.clone();
        set.spawn_local(async move {
            yield_now().await;
            count.set(count.get() + 1);
        });
    }
    let mut set = pin!(set);
    let mut cx = Context::from_waker(Waker::noop());
    let polls = (1..).find(|_| set.as_mut().poll(&mut cx).is_ready()).expect("it ends");
    assert_eq!(count.get(), 200);
    assert!(polls > 4, "400 polls in {polls} turns");
}

// --- outside of a set --------------------------------------------------------------------------------------------------------

#[test]
fn outside_of_a_set_it_says_so() {
    within(|| {
        let (text, place) = panics(|| drop(spawn_local(async {})));
        assert!(text.contains("outside of a `LocalSet`"), "{text}");
        assert_eq!(place, Some((file!().to_string(), line!() - 2)));
        everywhere(|runtime| {
            // Neither main nor a task of the runtime is inside of a set, not even while the set runs beside them.
            runtime.block_on(async { panics(|| drop(spawn_local(async {}))) });
            LocalSet::new().block_on(runtime, async {
                let task = filch::spawn(async { drop(spawn_local(async {})) });
                assert!(task.await.expect_err("outside").is_panic());
                drop(spawn_local(async {}));
            });
        });
    });
}

// --- ends --------------------------------------------------------------------------------------------------------------------

#[test]
fn a_panic_stays_in_its_handle() {
    within(|| {
        everywhere(|runtime| {
            let set = LocalSet::new();
            set.block_on(runtime, async {
                let fails = spawn_local(async {
                    yield_now().await;
                    panic!("planned");
                });
                let other = spawn_local(async {
                    yield_now().await;
                    yield_now().await;
                    1
                });
                assert!(fails.await.expect_err("it panics").is_panic());
                assert_eq!(other.await.expect("no panic"), 1);
            });
        });
    });
}

/// The set drops its tasks, on its thread, before its own drop returns; what their destructors spawn is cancelled.
#[test]
fn a_dropped_set_drops_its_tasks() {
    within(|| {
        everywhere(|runtime| {
            let (set, dropped) = (LocalSet::new(), Rc::new(RefCell::new(Vec::new())));
            let late = Rc::new(RefCell::new(Vec::new()));
            let tasks: Vec<_> = (0..20)
                .map(|number| {
                    let (dropped, late) = (dropped.clone(), late.clone());
                    let guard = OnDrop(move || {
                        dropped.borrow_mut().push(number);
                        late.borrow_mut().push(spawn_local(async {}));
                    });
                    set.spawn_local(async move {
                        let _guard = guard;
                        if number % 2 == 0 {
                            pending::<()>().await;
                        }
                        loop {
                            yield_now().await;
                        }
                    })
                })
                .collect();
            set.block_on(runtime, async { sleep(Duration::from_millis(1)).await });
            drop(set);
            let mut numbers = dropped.borrow().clone();
            numbers.sort_unstable();
            assert_eq!(numbers, (0..20).collect::<Vec<_>>());
            let late = late.borrow_mut().drain(..).collect::<Vec<_>>();
            assert_eq!(late.len(), 20);
            for task in tasks {
                assert!(runtime.block_on(task).expect_err("it is over").is_cancelled());
            }
            for task in late {
                assert!(runtime.block_on(task).expect_err("it is over").is_cancelled());
            }
        });
    });
}

/// Tasks that were never driven go in the order in which they came.
#[test]
fn what_never_started_is_dropped_in_order() {
    let (set, log) = (LocalSet::new(), Log::new());
    for number in 0..10 {
        let log = log.clone();
        let guard = OnDrop(move || log.push(number));
        set.spawn_local(async move {
            let _guard = guard;
            unreachable!("nobody drives the set");
        });
    }
    drop(set);
    assert_eq!(log.get(), (0..10).collect::<Vec<_>>());
}

/// Threads wake and abort while the set is dropped, and long after.
#[test]
fn wakes_and_aborts_beside_the_drop() {
    within(|| {
        for round in 0..300 {
            let (set, dropped) = (LocalSet::new(), Rc::new(Cell::new(0)));
            let wakers = Arc::new(Mutex::new(Vec::new()));
            let mut handles = Vec::new();
            for _ in 0..20 {
                let (count, wakers) = (dropped.clone(), wakers.clone());
                let guard = OnDrop(move || count.set(count.get() + 1));
                handles.push(set.spawn_local(async move {
                    let _guard = guard;
                    poll_fn(|cx| {
                        lock(&wakers).push(cx.waker().clone());
                        Poll::<()>::Pending
                    })
                    .await;
                }));
            }
            let mut set = Box::pin(set);
            let mut cx = Context::from_waker(Waker::noop());
            assert!(set.as_mut().poll(&mut cx).is_pending());
            let (stop, aborts) = (
                Arc::new(AtomicBool::new(false)),
                handles.iter().map(|task| task.abort_handle()),
            );
            let aborts: Vec<_> = aborts.collect();
            let threads = [0, 1].map(|number| {
                let (wakers, stop, aborts) = (lock(&wakers).clone(), stop.clone(), aborts.clone());
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        wakers.iter().for_each(Waker::wake_by_ref);
                        if number == 1 {
                            aborts.iter().step_by(3).for_each(|abort| abort.abort());
                        }
                    }
                    wakers.into_iter().for_each(Waker::wake);
                })
            });
            for _ in 0..round % 5 {
                let _ = set.as_mut().poll(&mut cx);
            }
            drop(set);
            assert_eq!(dropped.get(), 20);
            stop.store(true, Ordering::Relaxed);
            for thread in threads {
                thread.join().expect("no panic");
            }
            assert!(handles.iter().all(|task| task.is_finished()));
        }
    });
}

/// A set outlives the runtime that drove it, and goes on with another.
#[test]
fn a_set_outlives_a_runtime() {
    within(|| {
        let (set, rounds) = (LocalSet::new(), Rc::new(Cell::new(0)));
        let count = rounds.clone();
        set.spawn_local(async move {
            loop {
                count.set(count.get() + 1);
                yield_now().await;
            }
        });
        let mut before = 0;
        for runtime in [current(), multi(2)] {
            set.block_on(&runtime, async {
                for _ in 0..3 {
                    yield_now().await;
                }
            });
            drop(runtime);
            assert!(rounds.get() > before);
            before = rounds.get();
        }
    });
}

/// A seed repeats what a set does.
#[test]
fn in_the_deterministic_runtime() {
    let run = |seed| {
        let runtime = Builder::new_multi_thread()
            .deterministic(seed)
            .build()
            .expect("a runtime");
        let log = Log::new();
        runtime.block_on(async {
            let set = LocalSet::new();
            set.run_until(async {
                let tasks: Vec<_> = (0..10)
                    .map(|number| {
                        let log = log.clone();
                        spawn_local(async move {
                            for round in 0..3 {
                                filch::spawn(async {}).await.expect("no panic");
                                log.push((number, round));
                            }
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await.expect("no panic");
                }
            })
            .await;
        });
        let sim = runtime.handle().sim().expect("a deterministic runtime");
        assert!(sim.is_deterministic());
        (log.get(), sim.trace())
    };
    within(move || {
        let orders: std::collections::HashSet<_> = (0..50).map(|seed| run(seed).0).collect();
        assert!(orders.len() > 25, "only {} different runs", orders.len());
        for seed in 0..50 {
            assert_eq!(run(seed), run(seed), "seed {seed}");
        }
    });
}
