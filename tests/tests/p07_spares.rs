//! P7 when every worker is stuck: a spare thread takes over. As many spares as workers take whatever is due, one more takes only what a reactor
//! or a timer wakes.
//!
//! As in `p07_stuck_worker`, the polls that are stuck wait for what only another thread of the runtime can bring, so without it a test never ends.

use filch::net::UnixStream;
use filch::runtime::{Builder, Runtime};
use filch::sync::Notify;
use filch::task::{JoinHandle, block_in_place, yield_now};
use filch::time::{Duration, Instant, sleep, sleep_until};
use filch_tests::{Holdings, MANY, OnDrop, alone, eventually, lock, multi, within};
use std::future::pending;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

/// A signal for any number of threads, which block until it is given.
#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn new() -> Arc<Self> {
        Arc::default()
    }

    fn open(&self) {
        *lock(&self.is_open) = true;
        self.opened.notify_all();
    }

    fn wait(&self) {
        let mut is_open = lock(&self.is_open);
        while !*is_open {
            is_open = self.opened.wait(is_open).expect("nobody panics with it");
        }
    }
}

/// So many tasks that are stuck in a poll until the gate opens.
fn stuck(runtime: &Runtime, tasks: usize, gate: &Arc<Gate>, begun: &Arc<AtomicUsize>) -> Vec<JoinHandle<()>> {
    let spawn = |_| {
        let (gate, begun) = (gate.clone(), begun.clone());
        runtime.spawn(async move {
            begun.fetch_add(1, Ordering::SeqCst);
            gate.wait();
        })
    };
    (0..tasks).map(spawn).collect()
}

fn join(runtime: &Runtime, tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        runtime.block_on(task).expect("no panic");
    }
}

/// All workers stuck, and then `due` makes something that is to open the gate.
fn all_stuck(workers: usize, due: impl Fn(&Runtime, Arc<Gate>)) {
    let runtime = multi(workers);
    for _ in 0..3 {
        let (gate, begun) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
        let tasks = stuck(&runtime, workers, &gate, &begun);
        eventually("all are stuck", || begun.load(Ordering::SeqCst) == workers);
        due(&runtime, gate);
        join(&runtime, tasks);
    }
    assert!(runtime.metrics().spare_takeover_count() > 0);
}

#[test]
fn takes_what_comes_from_outside() {
    within(|| {
        for workers in [1, 2, 4] {
            all_stuck(workers, |runtime, gate| {
                runtime.spawn(async move { gate.open() });
            });
        }
    });
}

#[test]
fn takes_what_is_queued_behind_the_stuck() {
    within(|| {
        for workers in [1, 2] {
            let runtime = multi(workers);
            let (gate, left) = (Gate::new(), Arc::new(AtomicUsize::new(3 * workers)));
            let spawner = |_: usize| {
                let (gate, left) = (gate.clone(), left.clone());
                runtime.spawn(async move {
                    for _ in 0..3 {
                        let (gate, left) = (gate.clone(), left.clone());
                        // Into this worker's queue, and nobody is woken for the first.
                        filch::spawn(async move {
                            if left.fetch_sub(1, Ordering::SeqCst) == 1 {
                                gate.open();
                            }
                        });
                    }
                    gate.wait();
                })
            };
            let tasks = (0..workers).map(spawner).collect();
            join(&runtime, tasks);
        }
    });
}

#[test]
fn takes_what_is_in_the_slot_of_the_stuck() {
    within(|| {
        let runtime = multi(1);
        let (notify, waits) = (Arc::new(Notify::new()), Gate::new());
        let (notified, waiting, gate) = (notify.clone(), waits.clone(), Gate::new());
        let opens = gate.clone();
        runtime.spawn(async move {
            let notified = notified.notified();
            waiting.open();
            notified.await;
            opens.open();
        });
        waits.wait();
        let task = runtime.spawn(async move {
            yield_now().await;
            notify.notify_one();
            gate.wait();
        });
        join(&runtime, vec![task]);
    });
}

#[test]
fn serves_timers_and_sockets_of_the_stuck() {
    within(|| {
        for workers in [1, 2, 4] {
            let runtime = multi(workers);
            let gate = Gate::new();
            let (mut near, mut far) = runtime.block_on(async { UnixStream::pair().expect("a pair") });
            let both = Arc::new(AtomicUsize::new(2));
            let begun = Arc::new(AtomicUsize::new(0));
            let done = |gate: &Arc<Gate>, both: &Arc<AtomicUsize>| {
                if both.fetch_sub(1, Ordering::SeqCst) == 1 {
                    gate.open();
                }
            };
            let all_begun = {
                let begun = begun.clone();
                async move {
                    while begun.load(Ordering::SeqCst) < workers {
                        sleep(Duration::from_millis(1)).await;
                    }
                }
            };
            let (opens, counts) = (gate.clone(), both.clone());
            runtime.spawn(async move {
                near.read_exact(&mut [0]).await.expect("a byte");
                done(&opens, &counts);
            });
            let (opens, counts) = (gate.clone(), both);
            runtime.spawn(async move {
                all_begun.await;
                far.write_all(b"x").await.expect("there is room");
                sleep(Duration::from_millis(5)).await;
                done(&opens, &counts);
            });
            let tasks = stuck(&runtime, workers, &gate, &begun);
            join(&runtime, tasks);
        }
    });
}

/// Long computations cannot use up all threads: twice as many run as there are workers, the rest wait, and timers and sockets are served all the time.
#[test]
fn the_last_one_takes_no_backlog() {
    within(|| {
        for workers in [1, 2] {
            let runtime = multi(workers);
            let (gate, begun) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
            let (near, mut far) = std::os::unix::net::UnixStream::pair().expect("a pair");
            near.set_nonblocking(true).expect("an ordinary socket");
            let inside = runtime.enter();
            let mut socket = UnixStream::from_std(near).expect("a registration");
            drop(inside);
            let (opens, seen) = (gate.clone(), begun.clone());
            let at_the_end = Arc::new(AtomicUsize::new(0));
            let end = at_the_end.clone();
            let ticks = Arc::new(AtomicUsize::new(0));
            let ticking = ticks.clone();
            let ticker = runtime.spawn(async move {
                while seen.load(Ordering::SeqCst) < 2 * workers {
                    ticking.fetch_add(1, Ordering::SeqCst);
                    sleep(Duration::from_millis(2)).await;
                }
                for _ in 0..20 {
                    sleep(Duration::from_millis(5)).await;
                    far.write_all(b"x").expect("there is room");
                    socket.read_exact(&mut [0]).await.expect("a byte");
                }
                end.store(seen.load(Ordering::SeqCst), Ordering::SeqCst);
                opens.open();
            });
            // Its first poll is as good as backlog.
            eventually("it has begun", || ticks.load(Ordering::SeqCst) > 0);
            let tasks = stuck(&runtime, 2 * workers + 3, &gate, &begun);
            join(&runtime, vec![ticker]);
            join(&runtime, tasks);
            assert_eq!(
                at_the_end.load(Ordering::SeqCst),
                2 * workers,
                "the last spare took backlog"
            );
        }
    });
}

/// Three tasks are woken by one turn of the timers. The first two get stuck, on the worker and on its spare: the third is no backlog, it is the last spare's.
#[test]
fn the_last_one_finds_what_a_timer_had_woken() {
    within(|| {
        let runtime = multi(1);
        let (gate, begun) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
        let at = Instant::now() + Duration::from_millis(50);
        let spawn = |n: usize| {
            let (gate, begun) = (gate.clone(), begun.clone());
            runtime.spawn(async move {
                begun.fetch_add(1, Ordering::SeqCst);
                sleep_until(at).await;
                match n {
                    2 => gate.open(),
                    _ => gate.wait(),
                }
            })
        };
        let tasks = (0..3).map(spawn).collect();
        eventually("all three wait", || begun.load(Ordering::SeqCst) == 3);
        join(&runtime, tasks);
    });
}

/// What a timer's task spawns is not the last spare's to run: it waits with the rest.
#[test]
fn the_last_one_runs_nothing_that_its_tasks_spawn() {
    within(|| {
        let runtime = multi(1);
        let (gate, begun) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
        let seen = begun.clone();
        let (long, over) = (Gate::new(), gate.clone());
        let (waits, ticks) = (long.clone(), Gate::new());
        let begins = ticks.clone();
        let ticker = runtime.spawn(async move {
            begins.open();
            while seen.load(Ordering::SeqCst) < 2 {
                sleep(Duration::from_millis(2)).await;
            }
            // Two are stuck, the worker and its spare: this is the last one.
            filch::spawn(async move { waits.wait() });
            for _ in 0..10 {
                sleep(Duration::from_millis(3)).await;
            }
            long.open();
            over.open();
        });
        ticks.wait();
        let tasks = stuck(&runtime, 2, &gate, &begun);
        join(&runtime, vec![ticker]);
        join(&runtime, tasks);
    });
}

/// Polls of all lengths around the limit, so that spares come and go all the time: each task runs once.
#[test]
fn nothing_is_lost_when_spares_come_and_go() {
    within(|| {
        for workers in [1, 2] {
            let runtime = multi(workers);
            let ran = Arc::new(AtomicUsize::new(0));
            let ended = Arc::new(AtomicBool::new(false));
            let (count, end) = (ran.clone(), ended.clone());
            let ticker = runtime.spawn(async move {
                let mut ticks = 0;
                while !end.load(Ordering::SeqCst) {
                    sleep(Duration::from_millis(1)).await;
                    ticks += 1;
                }
                ticks
            });
            let tasks = (0..60).map(|n: u64| {
                let count = count.clone();
                runtime.spawn(async move {
                    for poll in 0..2 {
                        let until = Instant::now() + Duration::from_millis((n * 7 + poll * 13) % 31);
                        while Instant::now() < until {
                            std::thread::sleep(Duration::from_micros(500));
                        }
                        let (counted, woken) = (count.clone(), Arc::new(Notify::new()));
                        let wakes = woken.clone();
                        filch::spawn(async move {
                            counted.fetch_add(1, Ordering::SeqCst);
                            wakes.notify_one();
                        });
                        woken.notified().await;
                    }
                })
            });
            let tasks = tasks.collect();
            join(&runtime, tasks);
            ended.store(true, Ordering::SeqCst);
            assert!(runtime.block_on(ticker).expect("no panic") > 0);
            assert_eq!(ran.load(Ordering::SeqCst), 120);
            eventually("no task is left", || runtime.metrics().num_alive_tasks() == 0);
        }
    });
}

/// A shutdown while spares are on duty, which are stuck as well. (P3, P8.)
#[test]
fn a_shutdown_waits_for_spares() {
    alone("a_shutdown_waits_for_spares", || {
        let before = Holdings::now();
        for _ in 0..3 {
            let runtime = multi(2);
            let (gate, begun) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
            let tasks = stuck(&runtime, 6, &gate, &begun);
            let dropped = Arc::new(AtomicUsize::new(0));
            for _ in 0..10 {
                let dropped = dropped.clone();
                let part = OnDrop(move || {
                    dropped.fetch_add(1, Ordering::SeqCst);
                });
                runtime.spawn(async move {
                    let _part = part;
                    pending::<()>().await;
                });
            }
            eventually("four are stuck", || begun.load(Ordering::SeqCst) == 4);
            let opener = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(20));
                gate.open();
            });
            drop(runtime);
            opener.join().expect("no panic");
            assert_eq!(dropped.load(Ordering::SeqCst), 10);
            assert!(tasks.iter().all(JoinHandle::is_finished));
        }
        assert_eq!(Holdings::now(), before);
    });
}

/// When the runs of a runner end, no spare is in a poll.
#[test]
fn a_run_waits_for_spares() {
    within(|| {
        let mut runner = Builder::new_multi_thread()
            .worker_threads(1)
            .build_runner()
            .expect("a runtime");
        for _ in 0..3 {
            let inside = Arc::new(AtomicUsize::new(0));
            let counts = inside.clone();
            runner
                .run(async move {
                    for _ in 0..2 {
                        let inside = counts.clone();
                        filch::spawn(async move {
                            inside.fetch_add(1, Ordering::SeqCst);
                            std::thread::sleep(Duration::from_millis(60));
                            inside.fetch_add(2, Ordering::SeqCst);
                        });
                    }
                    while counts.load(Ordering::SeqCst) < 2 {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                })
                .expect("no interrupt");
            // Each of the two has left the poll that it was in.
            assert_eq!(inside.load(Ordering::SeqCst), 6);
        }
    });
}

/// A paused clock does not jump while a spare polls.
#[test]
fn paused_time_stands_while_a_spare_polls() {
    within(|| {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let begin = Instant::now();
            let (gate, begun) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
            let spawn = |opens: Option<Arc<Gate>>| {
                let (gate, begun) = (gate.clone(), begun.clone());
                filch::spawn(async move {
                    begun.fetch_add(1, Ordering::SeqCst);
                    match opens {
                        None => gate.wait(),
                        Some(gate) => {
                            gate.open();
                            // The worker is free and has nothing to do; this is still in its poll.
                            let real = std::time::Instant::now();
                            while real.elapsed() < Duration::from_millis(50) {
                                std::thread::sleep(Duration::from_millis(5));
                                assert!(begin.elapsed() < Duration::from_secs(1), "time has jumped");
                            }
                        }
                    }
                })
            };
            let first = spawn(None);
            while begun.load(Ordering::SeqCst) < 1 {
                std::thread::sleep(Duration::from_millis(1));
            }
            let second = spawn(Some(gate.clone()));
            let timer = filch::spawn(sleep(Duration::from_secs(3600)));
            first.await.expect("no panic");
            second.await.expect("no panic");
            timer.await.expect("no panic");
            assert_eq!(begin.elapsed().as_secs(), 3600);
        });
    });
}

/// A spare takes one queued task at a time: of ten it leaves nine to whoever comes next. (Should its thread lose the processor right then, the last spare has moved
/// them: so there are several tries. A batch would be five, in each of them.)
#[test]
fn takes_one_at_a_time() {
    within(|| {
        let left = (0..5).map(|_| {
            let runtime = multi(1);
            let (gate, first) = (Gate::new(), Arc::new(AtomicUsize::new(usize::MAX)));
            let (waits, seen, metrics) = (gate.clone(), first.clone(), runtime.metrics());
            let spawner = runtime.spawn(async move {
                for _ in 0..10 {
                    let (gate, seen, metrics) = (waits.clone(), seen.clone(), metrics.clone());
                    filch::spawn(async move {
                        let depth = metrics.worker_local_queue_depth(0);
                        let _ = seen.compare_exchange(usize::MAX, depth, Ordering::SeqCst, Ordering::SeqCst);
                        gate.open();
                    });
                }
                waits.wait();
            });
            join(&runtime, vec![spawner]);
            first.load(Ordering::SeqCst)
        });
        assert!(left.into_iter().any(|left| left == 9));
    });
}

/// Spares are for emergencies: while a worker is free, none is called. (A machine that takes the processor away from it in the middle of a poll makes
/// it look stuck: so there are several tries.)
#[test]
fn nobody_is_called_while_a_worker_is_free() {
    within(|| {
        let calls = (0..5).map(|_| {
            let runtime = multi(3);
            let (gate, begun) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
            let tasks = stuck(&runtime, 2, &gate, &begun);
            eventually("two are stuck", || begun.load(Ordering::SeqCst) == 2);
            for _ in 0..20 {
                let task = runtime.spawn(async { sleep(Duration::from_millis(2)).await });
                join(&runtime, vec![task]);
            }
            gate.open();
            join(&runtime, tasks);
            runtime.metrics().spare_takeover_count()
        });
        assert!(calls.into_iter().any(|calls| calls == 0));
    });
}

/// A spare that is never without a task of its own still takes what others are to run.
#[test]
fn a_busy_spare_takes_from_the_inbox() {
    within(|| {
        let runtime = multi(1);
        let (gate, begun) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
        let tasks = stuck(&runtime, 1, &gate, &begun);
        eventually("it is stuck", || begun.load(Ordering::SeqCst) == 1);
        let handle = runtime.handle().clone();
        let busy = runtime.spawn(async move {
            let ran = Arc::new(AtomicBool::new(false));
            let runs = ran.clone();
            let outside = std::thread::spawn(move || {
                handle.spawn(async move { runs.store(true, Ordering::SeqCst) });
            });
            outside.join().expect("no panic");
            let mut polls = 0;
            while !ran.load(Ordering::SeqCst) && polls < MANY {
                yield_now().await;
                polls += 1;
            }
            gate.open();
            polls
        });
        let polls = runtime.block_on(busy).expect("no panic");
        join(&runtime, tasks);
        // A worker looks every 61 polls.
        assert!(polls < 1000, "it had to wait for {polls} polls");
    });
}

/// The worker and its spare are stuck, so the last spare has it all, until its task says that it blocks.
#[test]
fn the_last_one_gives_its_core_away() {
    within(|| {
        let runtime = multi(1);
        let (gate, begun, ticks) = (
            Gate::new(),
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicUsize::new(0)),
        );
        let inside = Arc::new(AtomicBool::new(false));
        let until = |condition: Box<dyn Fn() -> bool + Send>| {
            let ticks = ticks.clone();
            async move {
                while !condition() {
                    ticks.fetch_add(1, Ordering::SeqCst);
                    sleep(Duration::from_millis(1)).await;
                }
            }
        };
        let (seen, enters, waits) = (begun.clone(), inside.clone(), gate.clone());
        let two_are_stuck = until(Box::new(move || seen.load(Ordering::SeqCst) == 2));
        let blocks = runtime.spawn(async move {
            two_are_stuck.await;
            enters.store(true, Ordering::SeqCst);
            block_in_place(|| waits.wait());
        });
        let opens = gate.clone();
        let it_blocks = until(Box::new(move || inside.load(Ordering::SeqCst)));
        let timed = runtime.spawn(async move {
            it_blocks.await;
            sleep(Duration::from_millis(2)).await;
            opens.open();
        });
        // Their first polls are as good as backlog.
        eventually("both wait", || ticks.load(Ordering::SeqCst) > 4);
        let mut tasks = stuck(&runtime, 2, &gate, &begun);
        tasks.extend([blocks, timed]);
        join(&runtime, tasks);
    });
}

/// However many tasks have blocked in place, and whatever thread each worker is on now: there is a thread for each spare.
#[test]
fn block_in_place_uses_up_no_threads_of_spares() {
    within(|| {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(1)
            .build()
            .expect("a runtime");
        for _ in 0..20 {
            let block = |_| runtime.spawn(async { block_in_place(|| std::thread::sleep(Duration::from_millis(3))) });
            join(&runtime, (0..2).map(block).collect());
        }
        // One for whom there is a thread, one for whom there is none, and two more that are stuck.
        let (gate, begun) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
        let block = |_| {
            let (gate, begun) = (gate.clone(), begun.clone());
            runtime.spawn(async move {
                begun.fetch_add(1, Ordering::SeqCst);
                block_in_place(|| gate.wait());
            })
        };
        let mut tasks: Vec<_> = (0..2).map(block).collect();
        eventually("two block", || begun.load(Ordering::SeqCst) == 2);
        tasks.extend(stuck(&runtime, 3, &gate, &begun));
        eventually("all have begun", || begun.load(Ordering::SeqCst) == 5);
        gate.open();
        join(&runtime, tasks);
    });
}

/// A spare is free, but the last one, which takes no backlog, is busy all the time.
#[test]
fn the_last_one_keeps_no_spare_away() {
    within(|| {
        let runtime = multi(1);
        let (over, ticks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let tick = |_| {
            let (ticks, over) = (ticks.clone(), over.clone());
            runtime.spawn(async move {
                while !over.load(Ordering::SeqCst) {
                    sleep(Duration::from_micros(100)).await;
                    ticks.fetch_add(1, Ordering::SeqCst);
                    let begin = Instant::now();
                    while begin.elapsed() < Duration::from_micros(3) {}
                }
            })
        };
        let tickers = (0..2000).map(tick).collect();
        eventually("they tick", || ticks.load(Ordering::SeqCst) > 4000);
        let (gate, long, begun) = (Gate::new(), Gate::new(), Arc::new(AtomicUsize::new(0)));
        let mut tasks = stuck(&runtime, 1, &gate, &begun);
        tasks.extend(stuck(&runtime, 1, &long, &begun));
        eventually("two are stuck", || begun.load(Ordering::SeqCst) == 2);
        std::thread::sleep(Duration::from_millis(50));
        long.open();
        std::thread::sleep(Duration::from_millis(50));
        join(&runtime, vec![runtime.spawn(async {})]);
        over.store(true, Ordering::SeqCst);
        gate.open();
        join(&runtime, tasks);
        join(&runtime, tickers);
    });
}

/// The thread of the first spare does not come: another spare is called.
#[test]
fn a_hook_that_blocks_as_a_spare_is_called() {
    within(|| {
        let (gate, threads) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
        let waits = gate.clone();
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .on_thread_start(move || {
                if threads.fetch_add(1, Ordering::SeqCst) == 2 {
                    waits.wait();
                }
            })
            .build()
            .expect("a runtime");
        let begun = Arc::new(AtomicUsize::new(0));
        let tasks = stuck(&runtime, 2, &gate, &begun);
        eventually("both are stuck", || begun.load(Ordering::SeqCst) == 2);
        runtime.spawn(async move { gate.open() });
        join(&runtime, tasks);
    });
}

/// A spare that is sent home polls what timers have woken first: left to the others it would stand behind the long polls that follow.
#[test]
fn what_a_timer_had_woken_does_not_wait_when_a_spare_is_sent_home() {
    within(|| {
        for _ in 0..5 {
            let runtime = multi(1);
            let (first, long) = (Gate::new(), Gate::new());
            let (waiting, begun, late) = (
                Arc::new(AtomicUsize::new(0)),
                Arc::new(AtomicUsize::new(0)),
                Arc::new(AtomicUsize::new(0)),
            );
            let at = Instant::now() + Duration::from_millis(60);
            let spawn = |n: usize| {
                let (waiting, first, long, late) = (waiting.clone(), first.clone(), long.clone(), late.clone());
                runtime.spawn(async move {
                    waiting.fetch_add(1, Ordering::SeqCst);
                    sleep_until(at).await;
                    if n > 0 {
                        return long.open();
                    }
                    // The worker is free, so this spare is to go, and stuck again at once.
                    first.open();
                    while late.load(Ordering::SeqCst) == 0 {
                        std::thread::sleep(Duration::from_micros(100));
                    }
                    std::thread::sleep(Duration::from_millis(4));
                })
            };
            let mut tasks: Vec<_> = (0..2).map(spawn).collect();
            eventually("two wait", || waiting.load(Ordering::SeqCst) == 2);
            tasks.extend(stuck(&runtime, 1, &first, &begun));
            eventually("one is stuck", || begun.load(Ordering::SeqCst) == 1);
            // Not before: a spare that is called for these would be stuck in one of them when the timers are due.
            while Instant::now() < at {
                std::thread::sleep(Duration::from_micros(500));
            }
            tasks.extend(stuck(&runtime, 3, &long, &late));
            join(&runtime, tasks);
        }
    });
}
