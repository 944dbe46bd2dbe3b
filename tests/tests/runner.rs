//! Runners: nothing runs but during a run, loops that are stopped, the end and its report, and Ctrl-C.

use filch::Runner;
use filch::group::Group;
use filch::runtime::{Builder, Handle, Interrupt, StopReason};
use filch::task::{spawn_blocking, yield_now};
use filch::time::{Duration, Instant, sleep};
use filch_tests::{Gate, Holdings, Log, OnDrop, alone, command, eventually, is_child, panics, within};
use rustix::process::{Pid, Signal, kill_process};
use std::future::pending;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

type BoxFuture = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

const SECOND: Duration = Duration::from_secs(1);

/// Workers; 0 means a current_thread runtime.
const ALL: [usize; 5] = [0, 1, 2, 4, 8];

fn builder(workers: usize) -> Builder {
    let mut builder = match workers {
        0 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.worker_threads(workers.max(1));
    builder
}

fn runner(workers: usize) -> Runner {
    builder(workers).build_runner().expect("a runner")
}

fn everywhere(test: impl Fn(Runner)) {
    for workers in ALL {
        test(runner(workers));
    }
}

/// Also in deterministic runtimes.
fn everywhere_and_simulated(test: impl Fn(Runner)) {
    everywhere(&test);
    for seed in 0..20 {
        let mut builder = builder(seed % 3);
        test(builder.deterministic(seed as u64).build_runner().expect("a runner"));
    }
}

// --- between runs ------------------------------------------------------------------------------------------------------------

#[test]
fn nothing_starts_before_the_first_run() {
    within(|| {
        everywhere_and_simulated(|mut runner| {
            let log = Log::new();
            let lane = runner.handle().lane();
            for number in 0..2 {
                let (one, other) = (log.clone(), log.clone());
                runner.spawn(async move { one.push(number) });
                lane.spawn(async move { other.push(number + 2) });
            }
            // Time enough for a worker that would start them.
            std::thread::sleep(Duration::from_millis(if runner.handle().sim().is_some() {
                0
            } else {
                50
            }));
            assert!(log.get().is_empty());
            assert_eq!(runner.run_until_idle(), StopReason::Idle);
            let mut numbers = log.get();
            numbers.sort_unstable();
            assert_eq!(numbers, [0, 1, 2, 3]);
        });
    });
}

/// The example of lanes, from before the run, a thousand times.
#[test]
fn c1_and_c2_spawned_before_the_run() {
    within(|| {
        for workers in ALL {
            let mut runner = builder(workers).start_paused(true).build_runner().expect("a runner");
            for _ in 0..1_000 {
                let (lane, log) = (runner.handle().lane(), Log::new());
                let begin = {
                    let _inside = runner.handle().enter();
                    Instant::now()
                };
                for (name, seconds) in [("C1", 1), ("C2", 2)] {
                    let log = log.clone();
                    lane.spawn(async move {
                        log.push((name, "start", begin.elapsed()));
                        sleep(SECOND * seconds).await;
                        log.push((name, "stop", begin.elapsed()));
                    });
                }
                assert_eq!(runner.run_until_idle(), StopReason::Idle);
                let times = [
                    ("C1", "start", 0),
                    ("C2", "start", 0),
                    ("C1", "stop", 1),
                    ("C2", "stop", 2),
                ];
                assert_eq!(log.get(), times.map(|(name, what, at)| (name, what, SECOND * at)));
            }
        }
    });
}

/// Behind a run no task is in a poll, and none is polled until the next run, whatever it is woken by: itself, a timer, another task, a thread.
#[test]
fn what_is_left_stands_still() {
    within(|| {
        everywhere(|mut runner| {
            let (busy, polls) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            for number in 0..12 {
                let (busy, polls) = (busy.clone(), polls.clone());
                let task = async move {
                    loop {
                        busy.fetch_add(1, Ordering::SeqCst);
                        polls.fetch_add(1, Ordering::SeqCst);
                        for _ in 0..500 {
                            std::hint::spin_loop();
                        }
                        busy.fetch_sub(1, Ordering::SeqCst);
                        match number % 3 {
                            0 => yield_now().await,
                            1 => sleep(Duration::from_micros(50)).await,
                            _ => filch::spawn(async {}).await.expect("no panic"),
                        }
                    }
                };
                match number % 2 {
                    0 => drop(runner.spawn(task)),
                    _ => drop(runner.handle().lane().spawn(task)),
                }
            }
            for round in 0..40 {
                let before = polls.load(Ordering::SeqCst);
                let more = polls.clone();
                let main = async move {
                    while more.load(Ordering::SeqCst) < before + 50 {
                        yield_now().await;
                    }
                };
                runner.run(main).expect("no Ctrl-C");
                let after = polls.load(Ordering::SeqCst);
                assert_eq!(busy.load(Ordering::SeqCst), 0, "somebody is in a poll");
                if round % 10 == 0 {
                    // A wake from outside while everything stands.
                    runner.spawn(async {});
                    std::thread::sleep(Duration::from_millis(5));
                }
                assert_eq!((polls.load(Ordering::SeqCst), busy.load(Ordering::SeqCst)), (after, 0));
            }
        });
    });
}

/// A run waits for the polls that workers are in.
#[test]
fn a_run_returns_when_the_last_poll_has() {
    within(|| {
        for workers in [1, 2, 4] {
            let mut runner = runner(workers);
            let (begun, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
            let (begins, ends) = (begun.clone(), ended.clone());
            runner.spawn(async move {
                begins.store(true, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(20));
                ends.store(true, Ordering::SeqCst);
            });
            let main = async move {
                while !begun.load(Ordering::SeqCst) {
                    yield_now().await;
                }
            };
            runner.run(main).expect("no Ctrl-C");
            assert!(ended.load(Ordering::SeqCst));
        }
    });
}

/// Workers that sleep when a run ends take part in the next.
#[test]
fn many_short_runs() {
    within(|| {
        everywhere_and_simulated(|mut runner| {
            for number in 0..300 {
                let early = runner.spawn(async move { number });
                let main = async move {
                    let inner = filch::spawn(async move { number + 1 });
                    early.await.expect("no panic") + inner.await.expect("no panic")
                };
                assert_eq!(runner.run(main), Ok(2 * number + 1));
            }
        });
    });
}

#[test]
fn a_panic_of_main_leaves_the_runner_whole() {
    within(|| {
        everywhere_and_simulated(|mut runner| {
            let count = Arc::new(AtomicUsize::new(0));
            let counts = count.clone();
            runner.spawn(async move {
                loop {
                    counts.fetch_add(1, Ordering::Relaxed);
                    yield_now().await;
                }
            });
            let (text, _) = panics(|| runner.run(async { panic!("planned") }));
            assert_eq!(text, "planned");
            let stands = count.load(Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(1));
            assert_eq!(count.load(Ordering::Relaxed), stands);
            assert_eq!(
                runner.run(async { filch::spawn(async { 7 }).await.expect("no panic") }),
                Ok(7)
            );
        });
    });
}

#[test]
fn a_run_inside_a_run_says_so() {
    within(|| {
        everywhere(|mut outer| {
            let mut inner = runner(1);
            let main = async move {
                for text in [panics(|| inner.run(async {})).0, panics(|| inner.run_until_idle()).0] {
                    assert!(
                        text.contains("`Runner::run` was called on a thread that runs a filch runtime already"),
                        "{text}"
                    );
                }
                // It cannot be dropped here either.
                spawn_blocking(move || drop(inner)).await.expect("no panic");
            };
            outer.run(main).expect("no Ctrl-C");
        });
    });
}

// --- loops -------------------------------------------------------------------------------------------------------------------

#[test]
fn a_stop_ends_the_loop() {
    within(|| {
        everywhere(|mut runner| {
            let handle = runner.handle().clone();
            for round in 0..30 {
                let (stops, begun) = (handle.clone(), Gate::new());
                let begins = begun.clone();
                runner.spawn(async move { begins.open() });
                match round % 3 {
                    0 => drop(runner.spawn(async move { stops.stop() })),
                    // From a thread, in the midst of the loop.
                    _ => drop(std::thread::spawn(move || {
                        begun.wait();
                        stops.stop();
                    })),
                }
                assert_eq!(runner.run_forever(), StopReason::Stopped);
            }
            // A stop ends one loop, not the next.
            let ends = handle.clone();
            let slow = runner.spawn(async move {
                sleep(Duration::from_millis(2)).await;
                ends.stop();
            });
            assert_eq!(runner.run_forever(), StopReason::Stopped);
            assert!(slow.is_finished());
        });
    });
}

/// A loop that was stopped before has one pass: everything that was spawned is polled, and everything that was left by the pass before; what yields for ever
/// does not hold it.
#[test]
fn a_loop_that_was_stopped_before_has_one_pass() {
    within(|| {
        everywhere(|mut runner| {
            let polls: Vec<_> = (0..1_200).map(|_| Arc::new(AtomicUsize::new(0))).collect();
            let mut before = vec![0; polls.len()];
            for (round, batch) in polls.chunks(400).enumerate() {
                // By several threads, so that they come in by several ways.
                std::thread::scope(|scope| {
                    for part in batch.chunks(100) {
                        let runner = &runner;
                        scope.spawn(move || {
                            for count in part {
                                let count = count.clone();
                                runner.spawn(async move {
                                    loop {
                                        count.fetch_add(1, Ordering::Relaxed);
                                        yield_now().await;
                                    }
                                });
                            }
                        });
                    }
                });
                // With all workers, so that each has something left.
                if round > 0 {
                    runner.run(yield_now()).expect("no Ctrl-C");
                    before = polls.iter().map(|count| count.load(Ordering::Relaxed)).collect();
                }
                runner.handle().stop();
                let reason = match round % 2 {
                    0 => runner.run_forever(),
                    _ => runner.run_until_idle(),
                };
                assert_eq!(reason, StopReason::Stopped);
                let (there, later) = polls.split_at(400 * (round + 1));
                let now: Vec<_> = there.iter().map(|count| count.load(Ordering::Relaxed)).collect();
                assert!(now.iter().zip(&before).all(|(now, before)| now > before));
                let all: usize = now.iter().zip(&before).map(|(now, before)| now - before).sum();
                assert!(all < 100_000, "{all} polls are no one pass");
                assert!(later.iter().all(|count| count.load(Ordering::Relaxed) == 0));
            }
            // The stop is used up.
            let handle = runner.handle().clone();
            let later = runner.spawn(async move {
                sleep(Duration::from_millis(1)).await;
                handle.stop();
            });
            assert_eq!(runner.run_forever(), StopReason::Stopped);
            assert!(later.is_finished());
        });
    });
}

/// A task that spawns others and ends, over and over.
fn chain(depth: usize, count: Arc<AtomicUsize>) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        count.fetch_add(1, Ordering::Relaxed);
        match depth % 4 {
            0 => yield_now().await,
            1 => sleep(Duration::from_micros(200)).await,
            _ => {}
        }
        if depth > 0 {
            match depth % 3 {
                0 => drop(filch::lane().spawn(chain(depth - 1, count.clone()))),
                _ => drop(filch::spawn(chain(depth - 1, count.clone()))),
            }
            filch::spawn(chain(depth - 1, count));
        }
    })
}

#[test]
fn a_loop_until_idle_waits_for_the_last_task() {
    within(|| {
        everywhere_and_simulated(|mut runner| {
            assert_eq!(runner.run_until_idle(), StopReason::Idle);
            // A lane without tasks does not count.
            let lane = runner.handle().lane();
            for _ in 0..10 {
                let count = Arc::new(AtomicUsize::new(0));
                runner.spawn(chain(6, count.clone()));
                lane.spawn(chain(2, count.clone()));
                assert_eq!(runner.run_until_idle(), StopReason::Idle);
                assert_eq!(count.load(Ordering::Relaxed), 127 + 7);
                assert_eq!(runner.handle().metrics().num_alive_tasks(), 0);
            }
        });
    });
}

#[test]
fn one_task_after_another_until_idle() {
    within(|| {
        everywhere(|mut runner| {
            for _ in 0..500 {
                let task = runner.spawn(async {});
                assert_eq!(runner.run_until_idle(), StopReason::Idle);
                assert!(task.is_finished());
            }
        });
    });
}

#[test]
fn a_stop_ends_the_loop_until_idle() {
    within(|| {
        everywhere(|mut runner| {
            let waits = runner.spawn(pending::<()>());
            let handle = runner.handle().clone();
            runner.spawn(async move {
                sleep(Duration::from_millis(1)).await;
                handle.stop();
            });
            assert_eq!(runner.run_until_idle(), StopReason::Stopped);
            waits.abort();
            assert_eq!(runner.run_until_idle(), StopReason::Idle);
        });
    });
}

// --- the end -----------------------------------------------------------------------------------------------------------------

#[test]
fn the_report_counts_what_was_left() {
    within(|| {
        everywhere_and_simulated(|mut runner| {
            let simulated = runner.handle().sim().is_some();
            let (lane, empty, dropped) = (
                runner.handle().lane(),
                runner.handle().lane(),
                Arc::new(AtomicUsize::new(0)),
            );
            let leftover = |fails: bool| {
                let dropped = dropped.clone();
                let guard = OnDrop(move || {
                    dropped.fetch_add(1, Ordering::Relaxed);
                    assert!(!fails, "planned");
                });
                async move {
                    let _guard = guard;
                    pending::<()>().await;
                }
            };
            for number in 0..8 {
                runner.spawn(leftover(number >= 5));
            }
            for number in 0..5 {
                lane.spawn(leftover(number == 4));
            }
            drop(empty.spawn(async {}));
            // These are over before the end.
            runner.spawn(leftover(false)).abort();
            let value = runner.spawn(async { 1 });
            let (block, begun) = (Gate::new(), Gate::new());
            if !simulated {
                let (waits, begins) = (block.clone(), begun.clone());
                drop(runner.handle().spawn_blocking(move || {
                    begins.open();
                    waits.wait();
                }));
                begun.wait();
            }
            let main = async move {
                let value = value.await.expect("no panic");
                // All have begun, and those that end have ended.
                while Handle::current().metrics().num_alive_tasks() > 9 {
                    yield_now().await;
                }
                value
            };
            assert_eq!(runner.run(main), Ok(1));
            // Those that never start are left over, too.
            runner.spawn(leftover(false));
            let report = runner.close(Duration::from_millis(1));
            assert_eq!((report.cancelled, report.panicked), (5 + 4 + 1, 3 + 1));
            assert_eq!(report.still_blocking, usize::from(!simulated));
            assert_eq!(dropped.load(Ordering::Relaxed), 8 + 5 + 2);
            block.open();
        });
    });
}

/// What is left hears of its end: it may say goodbye, its groups end in order, and what is shielded goes on to its end.
#[test]
fn leftovers_hear_of_the_end() {
    within(|| {
        everywhere_and_simulated(|mut runner| {
            let log = Log::new();
            let handle = runner.handle().clone();
            let lane = handle.lane();
            let logs = log.clone();
            let main = async move {
                let (logged, spawn) = (logs.clone(), |future| filch::spawn(future));
                let mut begun = Vec::new();
                let mut begins = || {
                    let (begin, begins) = filch::sync::oneshot::channel::<()>();
                    begun.push(begins);
                    begin
                };
                let (log, begin) = (logged.clone(), begins());
                spawn(Box::pin(async move {
                    drop(begin);
                    let reason = filch::cancelled().await;
                    log.push(format!("heard: {:?}", reason.kind()));
                }) as BoxFuture);
                let (log, begin) = (logged.clone(), begins());
                spawn(Box::pin(async move {
                    filch::shield(async {
                        drop(begin);
                        for _ in 0..3 {
                            sleep(Duration::from_millis(1)).await;
                        }
                    })
                    .await;
                    log.push("shielded".to_string());
                    pending::<()>().await;
                    log.push("never".to_string());
                }));
                let (log, begin) = (logged.clone(), begins());
                spawn(Box::pin(async move {
                    let child = log.clone();
                    let ended = filch::group(async |group: &Group<()>| {
                        group.spawn(async move {
                            drop(begin);
                            filch::cancelled().await;
                            child.push("child".to_string());
                            Ok(())
                        });
                        pending::<()>().await;
                        Ok(())
                    })
                    .await;
                    log.push(format!("never: {ended:?}"));
                }));
                let (log, begin) = (logged.clone(), begins());
                lane.spawn(async move {
                    drop(begin);
                    filch::cancelled().await;
                    yield_now().await;
                    log.push("never, after the next wait".to_string());
                });
                let (log, begin) = (logged.clone(), begins());
                lane.spawn(async move {
                    drop(begin);
                    filch::cancelled().await;
                    log.push("lane".to_string());
                });
                for begins in begun {
                    let _ = begins.await;
                }
                yield_now().await;
            };
            runner.run(main).expect("no interrupt");
            // Those that came to their end by themselves are none of those that were cancelled.
            let report = runner.close(Duration::from_secs(1));
            assert_eq!((report.cancelled, report.panicked), (3, 0));
            let mut log = log.get();
            log.sort();
            assert_eq!(log, ["child", "heard: Shutdown", "lane", "shielded"]);
        });
    });
}

/// The deterministic runtime sees that what is shielded would never end.
#[test]
fn a_shield_that_never_ends_is_dropped_where_that_is_known() {
    within(|| {
        for seed in 0..20 {
            let mut runner = builder(2).deterministic(seed).build_runner().expect("a runner");
            runner
                .run(async {
                    filch::spawn(filch::shield(pending::<()>()));
                    yield_now().await;
                })
                .expect("no interrupt");
            assert_eq!(runner.close(Duration::ZERO).cancelled, 1);
        }
    });
}

/// asyncio's `run` cancels what hangs, waits for it, and reports its errors; the value is returned.
#[test]
fn run_returns_its_value_though_leftovers_panic() {
    within(|| {
        let dropped = Arc::new(AtomicBool::new(false));
        let drops = dropped.clone();
        let value = filch::run(async {
            let guard = OnDrop(move || {
                std::thread::sleep(Duration::from_millis(5));
                drops.store(true, Ordering::SeqCst);
                panic!("planned");
            });
            filch::spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            });
            yield_now().await;
            123
        });
        assert_eq!((value, dropped.load(Ordering::SeqCst)), (123, true));
    });
}

#[test]
fn a_runner_leaves_nothing() {
    alone("a_runner_leaves_nothing", || {
        let before = Holdings::now();
        let descriptors = || std::fs::read_dir("/proc/self/fd").expect("a /proc").count();
        let open = descriptors();
        for round in 0..3 {
            everywhere(|mut runner| {
                if round > 0 {
                    let main = async {
                        filch::spawn(pending::<()>());
                        filch::lane().spawn(pending::<()>());
                        spawn_blocking(|| ()).await.expect("no panic");
                        sleep(Duration::from_millis(1)).await;
                    };
                    runner.run(main).expect("no Ctrl-C");
                }
                runner.spawn(pending::<()>());
                match round {
                    0 => drop(runner),
                    _ => drop(runner.close(SECOND)),
                }
            });
            eventually("nothing is left", || Holdings::now() == before && descriptors() == open);
        }
        filch::run(async { filch::spawn(async {}).await.expect("no panic") });
        eventually("nothing is left", || Holdings::now() == before && descriptors() == open);
    });
}

// --- Ctrl-C ------------------------------------------------------------------------------------------------------------------

/// A child of this test that says things.
struct Speaker {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    heard: String,
}

impl Speaker {
    /// Test `name`, which speaks where [`is_child`] says yes. It begins with the signal's default action, whatever this process has.
    fn new(name: &str) -> Self {
        let child = command(name);
        let mut env = Command::new("env");
        env.arg("--default-signal=INT")
            .arg(child.get_program())
            .args(child.get_args());
        env.envs(child.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Self::of(env)
    }

    fn of(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        Self {
            input: child.stdin.take(),
            output: BufReader::new(child.stdout.take().expect("it is piped")),
            child,
            heard: String::new(),
        }
    }

    /// Waits for a line with this in it.
    #[track_caller]
    fn says(&mut self, what: &str) {
        let mut line = String::new();
        while !line.contains(what) {
            line.clear();
            assert!(
                self.output.read_line(&mut line).expect("lines") > 0,
                "it did not say {what}: {}",
                self.heard
            );
            self.heard += &line;
        }
    }

    fn interrupt(&self) {
        let number = i32::try_from(self.child.id()).expect("a number");
        kill_process(Pid::from_raw(number).expect("a number"), Signal::INT).expect("our child");
    }

    /// Ends its input.
    fn hush(&mut self) {
        drop(self.input.take());
    }

    /// What else it says, and how it ends.
    fn ends(mut self) -> (String, ExitStatus) {
        let mut line = String::new();
        while self.output.read_line(&mut line).expect("lines") > 0 {
            self.heard += &std::mem::take(&mut line);
        }
        (std::mem::take(&mut self.heard), self.child.wait().expect("our child"))
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        // It may hang, if the test fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn say(what: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what}").expect("somebody listens");
    out.flush().expect("somebody listens");
}

#[track_caller]
fn assert_ended_by_interrupt(status: ExitStatus) {
    assert_eq!(status.signal(), Some(Signal::INT.as_raw()), "{status}");
}

/// Waits for the end of the input, on a blocking thread.
async fn until_hushed() {
    spawn_blocking(|| drop(std::io::read_to_string(std::io::stdin())))
        .await
        .expect("no panic");
}

/// The first Ctrl-C drops main and what it waits for, and what is left; then the process ends by the signal.
#[test]
fn an_interrupt_ends_a_run_in_order() {
    const NAME: &str = "an_interrupt_ends_a_run_in_order";
    if is_child(NAME) {
        filch::run(async {
            let _main = OnDrop(|| say("main is dropped"));
            filch::spawn(async {
                let _task = OnDrop(|| say("a task is dropped"));
                say("it runs");
                pending::<()>().await;
            });
            pending::<()>().await;
        });
        say("run has returned");
    }
    within(|| {
        let mut child = Speaker::new(NAME);
        child.says("it runs");
        child.interrupt();
        let (text, status) = child.ends();
        let main = text.find("main is dropped").expect("main is dropped");
        assert!(
            text.find("a task is dropped").expect("a task is dropped") > main,
            "{text}"
        );
        assert!(!text.contains("run has returned"), "{text}");
        assert_ended_by_interrupt(status);
    });
}

/// Main is told by a cancel of its scope: a clean-up runs, with the reason there, and a value that main gives afterwards is returned.
#[test]
fn an_interrupt_is_a_cancel() {
    const NAME: &str = "an_interrupt_is_a_cancel";
    if is_child(NAME) {
        let mut runner = runner(2);
        let result = runner.run(async {
            let _cleanup = filch::defer(async {
                yield_now().await;
                say("cleaned up");
            });
            say("it runs");
            pending::<()>().await;
        });
        assert!(result.is_err());
        say("it was interrupted");
        let value = filch::run(async {
            say("it runs again");
            let reason = filch::cancelled().await;
            say(&format!("told of {:?}", reason.kind()));
            7
        });
        say(&format!("run gave {value}"));
        return;
    }
    within(|| {
        let mut child = Speaker::new(NAME);
        child.says("it runs");
        child.interrupt();
        child.says("cleaned up");
        child.says("it was interrupted");
        child.says("it runs again");
        child.interrupt();
        child.says("told of Interrupt");
        let (text, status) = child.ends();
        assert!(status.success() && text.contains("run gave 7"), "{status}: {text}");
    });
}

/// The second one ends the process though nobody comes to poll.
#[test]
fn a_second_interrupt_ends_the_process_at_once() {
    const NAME: &str = "a_second_interrupt_ends_the_process_at_once";
    if is_child(NAME) {
        filch::run(async {
            let _main = OnDrop(|| say("main is dropped"));
            loop {
                std::thread::sleep(Duration::from_millis(1));
                say("still here");
            }
        });
    }
    within(|| {
        let mut child = Speaker::new(NAME);
        child.says("still here");
        child.interrupt();
        for _ in 0..50 {
            child.says("still here");
        }
        child.interrupt();
        let (text, status) = child.ends();
        assert!(!text.contains("main is dropped"), "{text}");
        assert_ended_by_interrupt(status);
    });
}

/// The second one, while the leftovers are being dropped.
#[test]
fn a_second_interrupt_ends_a_slow_end() {
    const NAME: &str = "a_second_interrupt_ends_a_slow_end";
    if is_child(NAME) {
        filch::run(async {
            filch::spawn(async {
                let _slow = OnDrop(|| {
                    say("it takes its time");
                    loop {
                        std::thread::sleep(SECOND);
                    }
                });
                say("it runs");
                pending::<()>().await;
            });
            pending::<()>().await;
        });
    }
    within(|| {
        let mut child = Speaker::new(NAME);
        child.says("it runs");
        child.interrupt();
        child.says("it takes its time");
        child.interrupt();
        assert_ended_by_interrupt(child.ends().1);
    });
}

#[test]
fn a_program_that_listens_has_the_signal() {
    const NAME: &str = "a_program_that_listens_has_the_signal";
    if is_child(NAME) {
        let value = filch::run(async {
            let mut interrupts =
                filch::signal::unix::signal(filch::signal::unix::SignalKind::interrupt()).expect("sockets");
            for number in 0..5 {
                say(&format!("number {number}"));
                interrupts.recv().await.expect("an open runtime");
            }
            filch::signal::ctrl_c().await.expect("sockets");
            9
        });
        say(&format!("run gave {value}"));
        // For good: also behind the run.
        std::io::read_to_string(std::io::stdin()).expect("input");
        say("the end");
        return;
    }
    within(|| {
        let mut child = Speaker::new(NAME);
        for number in 0..5 {
            child.says(&format!("number {number}"));
            child.interrupt();
        }
        // The listener of `ctrl_c` begins at some moment.
        let mut heard = false;
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let number = i32::try_from(child.child.id()).expect("a number");
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    kill_process(Pid::from_raw(number).expect("a number"), Signal::INT).expect("our child");
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
            child.says("run gave 9");
            heard = true;
            stop.store(true, Ordering::Relaxed);
        });
        assert!(heard);
        child.hush();
        let (text, status) = child.ends();
        assert!(text.contains("the end") && status.success(), "{status}: {text}");
    });
}

fn interrupts_of_runners(name: &str, workers: usize) {
    if is_child(name) {
        let mut runner = runner(workers);
        let count = Arc::new(AtomicUsize::new(0));
        let counts = count.clone();
        runner.spawn(async move {
            loop {
                counts.fetch_add(1, Ordering::SeqCst);
                yield_now().await;
            }
        });
        for number in 0..3 {
            let result = runner.run(async {
                let _main = OnDrop(|| say("main is dropped"));
                say(&format!("run {number}"));
                pending::<()>().await;
            });
            assert!(result.is_err());
            let stands = count.load(Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(1));
            assert_eq!(count.load(Ordering::SeqCst), stands);
        }
        runner.spawn(async { say("a loop") });
        assert_eq!(runner.run_forever(), StopReason::Interrupted);
        runner.spawn(async { say("another loop") });
        assert_eq!(runner.run_until_idle(), StopReason::Interrupted);
        assert_eq!(runner.run(async { 5 }), Ok(5));
        assert_eq!(runner.close(SECOND).cancelled, 1);
        say("closed");
        return;
    }
    let name = name.to_string();
    within(move || {
        let mut child = Speaker::new(&name);
        for line in ["run 0", "run 1", "run 2", "a loop", "another loop"] {
            child.says(line);
            child.interrupt();
        }
        let (text, status) = child.ends();
        assert!(status.success() && text.contains("closed"), "{status}: {text}");
        assert_eq!(text.matches("main is dropped").count(), 3, "{text}");
    });
}

#[test]
fn an_interrupted_runner_runs_again() {
    interrupts_of_runners("an_interrupted_runner_runs_again", 2);
}

#[test]
fn an_interrupted_runner_of_one_thread_runs_again() {
    interrupts_of_runners("an_interrupted_runner_of_one_thread_runs_again", 0);
}

/// Between two runs, and behind the last, a Ctrl-C is what it is to other programs.
#[test]
fn an_interrupt_between_two_runs_ends_the_process() {
    const NAME: &str = "an_interrupt_between_two_runs_ends_the_process";
    if is_child(NAME) {
        let mut runner = runner(1);
        assert_eq!(runner.run(async { 1 }), Ok(1));
        assert_eq!(filch::run(async { 2 }), 2);
        say("between");
        std::thread::sleep(1000 * SECOND);
    }
    within(|| {
        let mut child = Speaker::new(NAME);
        child.says("between");
        child.interrupt();
        assert_ended_by_interrupt(child.ends().1);
    });
}

#[test]
fn interrupts_can_be_ignored() {
    const NAME: &str = "interrupts_can_be_ignored";
    if is_child(NAME) {
        let mut runner = builder(2)
            .on_interrupt(Interrupt::Ignore)
            .build_runner()
            .expect("a runner");
        let main = async {
            say("it runs");
            until_hushed().await;
            3
        };
        assert_eq!(runner.run(main), Ok(3));
        say("the end");
        return;
    }
    within(|| {
        let mut child = Speaker::new(NAME);
        child.says("it runs");
        for _ in 0..3 {
            child.interrupt();
            std::thread::sleep(Duration::from_millis(5));
        }
        child.hush();
        let (text, status) = child.ends();
        assert!(status.success() && text.contains("the end"), "{status}: {text}");
    });
}

#[test]
fn interrupts_can_be_left_alone() {
    const NAME: &str = "interrupts_can_be_left_alone";
    if is_child(NAME) {
        let mut runner = builder(2)
            .on_interrupt(Interrupt::Exit)
            .build_runner()
            .expect("a runner");
        let main = async {
            let _main = OnDrop(|| say("main is dropped"));
            say("it runs");
            pending::<()>().await;
        };
        let _ = runner.run(main);
    }
    within(|| {
        let mut child = Speaker::new(NAME);
        child.says("it runs");
        child.interrupt();
        let (text, status) = child.ends();
        assert!(!text.contains("main is dropped"), "{text}");
        assert_ended_by_interrupt(status);
    });
}

/// A process that was started with the signal ignored, as in the background of a script, goes on ignoring it.
#[test]
fn what_was_ignored_stays_ignored() {
    const NAME: &str = "what_was_ignored_stays_ignored";
    if is_child(NAME) {
        let value = filch::run(async {
            say("it runs");
            until_hushed().await;
            3
        });
        say(&format!("run gave {value}"));
        return;
    }
    within(|| {
        let child = command(NAME);
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "trap '' INT; exec \"$0\" \"$@\""])
            .arg(child.get_program())
            .args(child.get_args());
        shell
            .envs(child.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .process_group(0);
        let mut child = Speaker::of(shell);
        child.says("it runs");
        for _ in 0..3 {
            child.interrupt();
            std::thread::sleep(Duration::from_millis(5));
        }
        child.hush();
        let (text, status) = child.ends();
        assert!(status.success() && text.contains("run gave 3"), "{status}: {text}");
    });
}
