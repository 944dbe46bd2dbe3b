//! Debug mode: what it reports, and that it reports each thing once.
//!
//! Polls are slow here until their report has come: nothing depends on a machine's being quick.

use filch::debug::{Report, ReportKind};
use filch::runtime::{Builder, Runtime};
use filch::task;
use filch_tests::{Holdings, Log, PATIENCE, child, eventually, is_child, lock, within};
use std::panic::Location;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Far less than any poll of a test that is to be slow takes.
const LIMIT: Duration = Duration::from_millis(5);
/// No poll takes so long.
const NEVER: Duration = Duration::from_secs(10_000);

/// What was reported.
type Seen = Arc<Mutex<Vec<Report>>>;

/// Has a runtime collect its reports.
fn debug(builder: &mut Builder, limit: Duration) -> Seen {
    let seen = Seen::default();
    let place = seen.clone();
    builder
        .debug(true)
        .slow_poll(limit)
        .on_report(move |report| lock(&place).push(report.clone()));
    seen
}

fn debugging(workers: usize, limit: Duration) -> (Runtime, Seen) {
    let mut builder = Builder::new_multi_thread();
    let seen = debug(builder.worker_threads(workers), limit);
    (builder.build().expect("a runtime"), seen)
}

fn of_kind(seen: &Seen, kind: ReportKind) -> Vec<Report> {
    lock(seen)
        .iter()
        .filter(|report| report.kind() == kind)
        .cloned()
        .collect()
}

/// Blocks this thread until a poll that is called so was reported as slow.
fn stuck_until_reported(seen: &Seen, name: Option<&str>) {
    let begin = Instant::now();
    while !of_kind(seen, ReportKind::SlowPoll)
        .iter()
        .any(|report| report.name() == name)
    {
        assert!(begin.elapsed() < PATIENCE, "nobody has reported this poll");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The two reports of one slow poll.
#[track_caller]
fn assert_slow_poll(seen: &Seen, name: Option<&str>, place: &Location<'_>) {
    let about = |kind| {
        let mut reports = of_kind(seen, kind);
        reports.retain(|report| report.name() == name);
        assert_eq!(reports.len(), 1, "{kind:?} of {name:?}: {reports:?}");
        reports.remove(0)
    };
    let (while_stuck, at_the_end) = (about(ReportKind::SlowPoll), about(ReportKind::SlowPollEnded));
    for report in [&while_stuck, &at_the_end] {
        assert_eq!(report.place(), Some(place), "{report}");
        assert!(report.message().contains(&place.to_string()), "{report}");
        assert!(report.elapsed().expect("a time") >= LIMIT, "{report}");
        if let Some(name) = name {
            assert!(report.message().contains(name), "{report}");
        }
    }
    assert!(at_the_end.elapsed() > while_stuck.elapsed());
    assert_eq!(at_the_end.task(), while_stuck.task());
}

/// A task in one poll, which is slow, and what it says at its end.
fn slow_task(seen: &Seen) -> impl Future<Output = task::Id> + Send + use<> {
    let seen = seen.clone();
    async move {
        stuck_until_reported(&seen, Some("slow"));
        task::id()
    }
}

fn slow() -> task::Builder<'static> {
    task::Builder::new().name("slow")
}

#[test]
fn a_slow_poll_is_reported_with_name_place_and_time() {
    within(|| {
        for workers in [1, 4] {
            let (runtime, seen) = debugging(workers, LIMIT);
            let task = slow().spawn_on(slow_task(&seen), runtime.handle());
            let place = task.location();
            assert!(place.file().ends_with("debug.rs"));
            let id = runtime.block_on(task).unwrap();
            drop(runtime);
            assert_slow_poll(&seen, Some("slow"), place);
            let reports = of_kind(&seen, ReportKind::SlowPollEnded);
            assert!(reports.iter().any(|report| report.task() == Some(id)));
        }
    });
}

#[test]
fn a_name_that_is_given_in_the_slow_poll_is_reported() {
    within(|| {
        let (runtime, seen) = debugging(1, LIMIT);
        let inside = seen.clone();
        let task = runtime.spawn(async move {
            task::current().unwrap().set_name("named late");
            stuck_until_reported(&inside, Some("named late"));
        });
        let place = task.location();
        runtime.block_on(task).unwrap();
        drop(runtime);
        assert_slow_poll(&seen, Some("named late"), place);
    });
}

#[test]
fn a_slow_poll_on_the_only_thread_is_reported() {
    within(|| {
        let mut builder = Builder::new_current_thread();
        let seen = debug(&mut builder, LIMIT);
        let runtime = builder.build().unwrap();
        let task = slow().spawn_on(slow_task(&seen), runtime.handle());
        let place = task.location();
        runtime.block_on(task).unwrap();
        drop(runtime);
        assert_slow_poll(&seen, Some("slow"), place);
    });
}

#[test]
fn a_slow_poll_in_a_lane_is_reported() {
    within(|| {
        let (runtime, seen) = debugging(2, LIMIT);
        let lane = runtime.lane();
        let task = slow().lane(&lane).spawn(slow_task(&seen));
        let place = task.location();
        runtime.block_on(task).unwrap();
        drop((lane, runtime));
        assert_slow_poll(&seen, Some("slow"), place);
    });
}

#[test]
fn a_slow_poll_in_a_local_set_is_reported() {
    within(|| {
        let (runtime, seen) = debugging(2, LIMIT);
        let inside = seen.clone();
        let set = task::LocalSet::new();
        let place = set.block_on(&runtime, async {
            let task = task::spawn_local(async move {
                task::current().unwrap().set_name("local");
                stuck_until_reported(&inside, Some("local"));
            });
            let place = task.location();
            task.await.unwrap();
            place
        });
        drop((set, runtime));
        assert_slow_poll(&seen, Some("local"), place);
    });
}

#[test]
fn a_slow_poll_in_a_group_is_reported() {
    within(|| {
        let (runtime, seen) = debugging(2, LIMIT);
        let inside = seen.clone();
        let place = runtime.block_on(filch::group(async move |group| {
            let task = group.spawn(async move {
                task::current().unwrap().set_name("child");
                stuck_until_reported(&inside, Some("child"));
                Ok::<_, String>(())
            });
            Ok(task.location())
        }));
        drop(runtime);
        assert_slow_poll(&seen, Some("child"), place.unwrap());
    });
}

#[test]
fn a_slow_poll_in_the_deterministic_mode_is_reported() {
    within(|| {
        let mut builder = Builder::new_multi_thread();
        let seen = debug(builder.deterministic(7), LIMIT);
        let runtime = builder.build().unwrap();
        let task = slow().spawn_on(slow_task(&seen), runtime.handle());
        let place = task.location();
        runtime.block_on(task).unwrap();
        drop(runtime);
        assert_slow_poll(&seen, Some("slow"), place);
    });
}

#[test]
fn slow_polls_of_the_main_future_are_reported() {
    within(|| {
        for multi in [false, true] {
            let mut builder = match multi {
                false => Builder::new_current_thread(),
                true => Builder::new_multi_thread(),
            };
            let seen = debug(builder.worker_threads(1), LIMIT);
            let (runtime, inside) = (builder.build().unwrap(), seen.clone());
            runtime.block_on(async move { stuck_until_reported(&inside, None) });
            drop(runtime);
            let reports = lock(&seen).clone();
            assert_eq!(reports.len(), 2, "{reports:?}");
            let place = reports[0].place().unwrap();
            assert!(place.file().ends_with("debug.rs"));
            assert_slow_poll(&seen, None, place);
            assert_eq!(reports[0].task(), None);
            assert!(reports[0].message().contains("block_on"));
        }
    });
}

#[test]
fn the_drop_of_a_future_is_watched_as_a_poll_is() {
    struct Stuck(Seen);
    impl Drop for Stuck {
        fn drop(&mut self) {
            stuck_until_reported(&self.0, None);
        }
    }
    within(|| {
        let mut builder = Builder::new_current_thread();
        let seen = debug(&mut builder, LIMIT);
        let (runtime, stuck) = (builder.build().unwrap(), Stuck(seen.clone()));
        let task = runtime.spawn(async move {
            let _stuck = stuck;
            std::future::pending::<()>().await;
        });
        let place = task.location();
        task.abort();
        assert!(runtime.block_on(task).unwrap_err().is_cancelled());
        drop(runtime);
        assert_slow_poll(&seen, None, place);
    });
}

#[test]
fn every_poll_above_the_limit_is_reported_however_short() {
    within(|| {
        // Every poll takes longer than nothing: whether the look of debug mode's thread falls into it or not, it is reported once.
        let (runtime, seen) = debugging(2, Duration::ZERO);
        let task = task::Builder::new().name("short").spawn_on(
            async {
                for _ in 0..100 {
                    task::yield_now().await;
                }
            },
            runtime.handle(),
        );
        runtime.block_on(task).unwrap();
        drop(runtime);
        let mut short = of_kind(&seen, ReportKind::SlowPoll);
        short.retain(|report| report.name() == Some("short"));
        assert_eq!(short.len(), 101);
    });
}

#[test]
fn what_is_in_time_is_not_reported() {
    within(|| {
        let (runtime, seen) = debugging(2, NEVER);
        runtime.block_on(async {
            let task = filch::spawn(async { std::thread::sleep(Duration::from_millis(50)) });
            task.await.unwrap();
        });
        // Whatever a blocking job takes, it is in nobody's way.
        let mut builder = Builder::new_multi_thread();
        let jobs = debug(builder.worker_threads(1), LIMIT);
        let blocking = builder.build().unwrap();
        let job = blocking.spawn_blocking(|| std::thread::sleep(LIMIT * 20));
        blocking.handle().block_on(job).unwrap();
        drop((runtime, blocking));
        assert_eq!(lock(&seen).len(), 0);
        // (The wait for the job is a poll of some microseconds, which a busy machine may hold up.)
        assert!(lock(&jobs).iter().all(|report| report.task().is_none()), "{jobs:?}");
    });
}

#[test]
fn a_handler_that_panics_breaks_nothing() {
    within(|| {
        let calls = Log::new();
        let inside = calls.clone();
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).debug(true).slow_poll(Duration::ZERO);
        builder.on_report(move |report| {
            inside.push(report.kind());
            panic!("the handler does not like this");
        });
        let runtime = builder.build().unwrap();
        for _ in 0..3 {
            runtime.block_on(runtime.spawn(async {})).unwrap();
        }
        drop(runtime);
        assert!(calls.get().len() >= 3);
    });
}

#[test]
fn a_handler_may_use_the_runtime() {
    within(|| {
        let mut builder = Builder::new_multi_thread();
        let place = Arc::new(Mutex::new(None::<Arc<Runtime>>));
        let inside = place.clone();
        builder.worker_threads(1).debug(true).slow_poll(LIMIT);
        let told = Log::new();
        let tell = told.clone();
        builder.on_report(move |_| {
            // The last of a runtime that goes on its own debug thread waits for everything but that.
            if let Some(runtime) = lock(&inside).take() {
                tell.push(runtime.block_on(async { 42 }));
                drop(runtime);
                tell.push(0);
            }
        });
        let runtime = Arc::new(builder.build().unwrap());
        let handle = runtime.handle().clone();
        *lock(&place) = Some(runtime);
        handle.spawn(async { std::thread::sleep(LIMIT * 2) });
        eventually("the handler has ended the runtime", || told.get() == [42, 0]);
    });
}

#[test]
fn the_environment_decides_unless_the_program_does() {
    const NAME: &str = "the_environment_decides_unless_the_program_does";
    if is_child(NAME) {
        let says = std::env::var("PROGRAM").ok();
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).slow_poll(LIMIT);
        if let Some(says) = says {
            builder.debug(says == "on");
        }
        builder.build().unwrap().block_on(async {
            let task = task::Builder::new().name("slow one");
            task.spawn(async { std::thread::sleep(LIMIT * 2) }).await.unwrap();
        });
        // At its end there is no thread of it, as soon as the system has taken it off its list.
        eventually("debug mode's thread is gone", || {
            !Holdings::now().threads.iter().any(|name| name == "filch-debug")
        });
        return;
    }
    let reports = |environment: &[(&str, &str)]| {
        let mut command = filch_tests::command(NAME);
        command.env_remove("FILCH_DEBUG").envs(environment.iter().copied());
        let output = command.output().expect("a process");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{stderr}");
        let named = stderr.matches("\"slow one\"").count();
        assert!(named == 0 || stderr.contains("filch: task "), "{stderr}");
        named > 0
    };
    assert!(!reports(&[]));
    assert!(!reports(&[("FILCH_DEBUG", "")]));
    assert!(!reports(&[("FILCH_DEBUG", "0")]));
    assert!(reports(&[("FILCH_DEBUG", "1")]));
    assert!(reports(&[("FILCH_DEBUG", "yes")]));
    assert!(!reports(&[("FILCH_DEBUG", "1"), ("PROGRAM", "off")]));
    assert!(reports(&[("PROGRAM", "on")]));
}

#[test]
fn run_and_main_obey_the_environment() {
    const NAME: &str = "run_and_main_obey_the_environment";
    if is_child(NAME) {
        #[filch::main(worker_threads = 1)]
        async fn main() {
            std::thread::sleep(Duration::from_millis(150));
        }
        main();
        filch::run(async {
            let task = filch::spawn(async { std::thread::sleep(Duration::from_millis(150)) });
            task.await.unwrap();
        });
        return;
    }
    let output = child(NAME, &[("FILCH_DEBUG", "1")]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("the future of `block_on`"), "{stderr}");
    assert!(stderr.contains("filch: task "), "{stderr}");
    // What `run` listens for Ctrl-C with is its own.
    assert!(!stderr.contains("a runtime has ended"), "{stderr}");
}

#[test]
fn a_task_that_never_ran_is_reported_at_the_end() {
    within(|| {
        let mut builder = Builder::new_current_thread();
        let seen = debug(&mut builder, NEVER);
        let runtime = builder.build().unwrap();
        let aborted = runtime.spawn(async {});
        aborted.abort();
        runtime.block_on(runtime.spawn(async {})).unwrap();
        let named = task::Builder::new().name("late").spawn_on(async {}, runtime.handle());
        // Many of a kind are one report.
        let many: Vec<_> = (0..1_000).map(|_| runtime.spawn(async {})).collect();
        drop(runtime);
        let never = of_kind(&seen, ReportKind::NeverRan);
        assert_eq!(never.len(), 2, "{never:?}");
        let (late, others): (Vec<_>, Vec<_>) = never.iter().partition(|report| report.name() == Some("late"));
        assert_eq!(late[0].task(), Some(named.id()));
        assert_eq!(late[0].place(), Some(named.location()));
        assert_eq!(others[0].place(), Some(many[0].location()));
        assert!(others[0].message().contains("999 more"), "{}", others[0]);
    });
}

/// A function that is found on a stack.
#[inline(never)]
fn crunch_until_reported(seen: &Seen) {
    stuck_until_reported(seen, Some("slow"));
    std::hint::black_box(());
}

/// Not in line with others: it computes, and makes no system call.
#[inline(never)]
fn spin_until_reported(seen: &Seen) {
    let begin = Instant::now();
    let mut turns = 0_u64;
    while begin.elapsed() < PATIENCE {
        for _ in 0..100_000 {
            turns = std::hint::black_box(turns + 1);
        }
        if !of_kind(seen, ReportKind::SlowPoll).is_empty() {
            return;
        }
    }
    panic!("nobody has reported this poll");
}

/// The names of the functions on the stack of the slow poll of `name`.
fn stack(seen: &Seen, name: &str) -> Vec<String> {
    let mut reports = of_kind(seen, ReportKind::SlowPoll);
    reports.retain(|report| report.name() == Some(name));
    assert_eq!(reports.len(), 1, "{reports:?}");
    let frames = reports[0].stack();
    assert!(!frames.is_empty(), "{}", reports[0]);
    let text = reports[0].to_string();
    // What the kernel puts into every process, to read the clock, has no names.
    let names: Vec<_> = frames.iter().filter_map(|frame| frame.function()).collect();
    assert!(names.iter().all(|name| text.contains(name)), "{text}");
    names.into_iter().map(str::to_owned).collect()
}

/// Debian's and this list's machines have a glibc that is new enough.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod stacks {
    use super::*;

    #[test]
    fn the_stack_is_the_users_down_to_the_poll() {
        within(|| {
            for workers in [1, 4] {
                let (runtime, seen) = debugging(workers, LIMIT);
                let inside = seen.clone();
                let task = slow().spawn_on(async move { crunch_until_reported(&inside) }, runtime.handle());
                runtime.block_on(task).unwrap();
                drop(runtime);
                let stack = stack(&seen, "slow");
                let place = stack.iter().position(|name| name == "debug::crunch_until_reported");
                let place = place.unwrap_or_else(|| panic!("{stack:#?}"));
                // Inside of it is what it waits in, outside of it the task's own body, and then nothing: neither the handler nor the runtime.
                assert!(
                    stack[..place].iter().any(|name| name == "debug::stuck_until_reported"),
                    "{stack:#?}"
                );
                // What the compiler has put in line is known by debug information alone.
                if cfg!(debug_assertions) {
                    let outside = &stack[place + 1..];
                    assert_eq!(outside.len(), 1, "{stack:#?}");
                    assert!(outside[0].contains("the_stack_is_the_users_down"), "{stack:#?}");
                }
                let strange = |name: &String| name.contains("filch::") || name.contains("backtrace");
                assert!(!stack.iter().any(strange), "{stack:#?}");
            }
        });
    }

    #[test]
    #[cfg(debug_assertions)]
    fn a_frame_has_its_file_and_line() {
        within(|| {
            let (runtime, seen) = debugging(1, LIMIT);
            let inside = seen.clone();
            let body = async move { crunch_until_reported(&inside) };
            let task = slow().spawn_on(body, runtime.handle());
            runtime.block_on(task).unwrap();
            drop(runtime);
            let reports = of_kind(&seen, ReportKind::SlowPoll);
            let frames = reports.iter().flat_map(Report::stack);
            let mut frames = frames.filter(|frame| frame.function() == Some("debug::crunch_until_reported"));
            let frame = frames.next().expect("the function");
            assert!(frame.file().expect("a file").ends_with("tests/debug.rs"), "{frame}");
            let line = frame.line().expect("a line") as usize;
            let source = include_str!("debug.rs").lines().nth(line - 1).expect("the line");
            assert!(source.contains("stuck_until_reported(seen, Some"), "{line}: {source}");
        });
    }

    #[test]
    fn a_thread_that_only_computes_is_interrupted() {
        within(|| {
            let mut builder = Builder::new_current_thread();
            let seen = debug(&mut builder, LIMIT);
            let (runtime, inside) = (builder.build().unwrap(), seen.clone());
            let task = slow().spawn_on(async move { spin_until_reported(&inside) }, runtime.handle());
            runtime.block_on(task).unwrap();
            drop(runtime);
            let stack = stack(&seen, "slow");
            assert!(
                stack.iter().any(|name| name == "debug::spin_until_reported"),
                "{stack:#?}"
            );
        });
    }

    #[test]
    #[cfg(debug_assertions)]
    fn the_main_futures_stack_ends_at_its_own_functions() {
        within(|| {
            let (runtime, seen) = debugging(1, LIMIT);
            let inside = seen.clone();
            runtime.block_on(async move { spin_until_reported(&inside) });
            drop(runtime);
            let reports = of_kind(&seen, ReportKind::SlowPoll);
            let outermost = reports[0].stack().last().expect("a stack").function().expect("a name");
            assert!(outermost.contains("the_main_futures_stack_ends"), "{}", reports[0]);
        });
    }

    #[test]
    fn a_thread_that_blocks_the_signal_is_left_alone() {
        unsafe extern "C" {
            fn pthread_sigmask(how: i32, set: *const [u64; 16], before: *mut [u64; 16]) -> i32;
        }
        const SIG_BLOCK: i32 = 0;
        within(|| {
            let mut builder = Builder::new_current_thread();
            let seen = debug(&mut builder, LIMIT);
            let (runtime, inside) = (builder.build().unwrap(), seen.clone());
            let urgent = 1 << (rustix::process::Signal::URG.as_raw() - 1);
            let mut set = [0; 16];
            set[0] = urgent;
            // SAFETY: a set of signals has 1024 bits; nothing is asked back. The thread is the test's own.
            let result = unsafe { pthread_sigmask(SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
            assert_eq!(result, 0);
            let task = slow().spawn_on(slow_task(&inside), runtime.handle());
            runtime.block_on(task).unwrap();
            drop(runtime);
            let reports = of_kind(&seen, ReportKind::SlowPoll);
            let report = reports.iter().find(|report| report.name() == Some("slow")).unwrap();
            assert!(report.stack().is_empty());
            assert!(report.to_string().contains("the thread blocks SIGURG"), "{report}");
        });
    }

    #[test]
    fn signals_from_elsewhere_go_to_who_was_there_before() {
        use filch::signal::unix::{SignalKind, signal};
        filch_tests::alone("stacks::signals_from_elsewhere_go_to_who_was_there_before", || {
            let urgent = rustix::process::Signal::URG;
            let (runtime, seen) = debugging(2, LIMIT);
            let mut listener = runtime.block_on(async { signal(SignalKind::from_raw(urgent.as_raw())).unwrap() });
            let task = slow().spawn_on(slow_task(&seen), runtime.handle());
            runtime.block_on(task).unwrap();
            // Ours is no news to the program; those of others are, and nobody is hurt by them.
            let quiet = runtime.block_on(async {
                filch::time::timeout(Duration::from_millis(20), listener.recv())
                    .await
                    .is_err()
            });
            assert!(quiet, "a sample is not the program's affair");
            assert!(!stack(&seen, "slow").is_empty());
            for _ in 0..100 {
                rustix::process::kill_process(rustix::process::getpid(), urgent).unwrap();
                assert_eq!(runtime.block_on(listener.recv()), Some(()));
            }
        });
    }

    #[test]
    fn a_storm_of_signals_beside_samples_hurts_nobody() {
        filch_tests::alone("stacks::a_storm_of_signals_beside_samples_hurts_nobody", || {
            let (runtime, seen) = debugging(2, LIMIT);
            let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
            let inside = over.clone();
            let storm = std::thread::spawn(move || {
                while !inside.load(std::sync::atomic::Ordering::Relaxed) {
                    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::URG).unwrap();
                }
            });
            for number in 0..20 {
                let (name, inside) = (format!("number {number}"), seen.clone());
                let task = task::Builder::new().name(name.clone());
                let body = async move { stuck_until_reported(&inside, Some(&name)) };
                runtime.block_on(task.spawn_on(body, runtime.handle())).unwrap();
            }
            over.store(true, std::sync::atomic::Ordering::Relaxed);
            storm.join().unwrap();
            drop(runtime);
            for number in 0..20 {
                let stack = stack(&seen, &format!("number {number}"));
                assert!(stack.iter().any(|name| name.starts_with("debug::")), "{stack:#?}");
            }
        });
    }

    #[test]
    fn many_threads_are_stuck_at_once() {
        within(|| {
            const STUCK: usize = 8;
            let (runtime, seen) = debugging(STUCK, LIMIT);
            let tasks: Vec<_> = (0..STUCK)
                .map(|number| {
                    let (name, inside) = (format!("number {number}"), seen.clone());
                    let task = task::Builder::new().name(name.clone());
                    let body = async move { stuck_until_reported(&inside, Some(&name)) };
                    task.spawn_on(body, runtime.handle())
                })
                .collect();
            for task in tasks {
                runtime.block_on(task).unwrap();
            }
            drop(runtime);
            for number in 0..STUCK {
                let stack = stack(&seen, &format!("number {number}"));
                assert!(
                    stack.iter().any(|name| name == "debug::stuck_until_reported"),
                    "{stack:#?}"
                );
            }
        });
    }
}

/// `#[filch::coro]` on all kinds of functions: what they take, give and keep.
#[allow(dead_code, reason = "some only have to compile")]
mod coros {
    use std::collections::HashMap;
    use std::future::Future;

    #[filch::coro]
    pub(super) async fn plain() -> u32 {
        42
    }

    /// A doc comment stays.
    #[filch::coro]
    #[must_use]
    pub(crate) async fn borrows(first: &str, second: &str) -> String {
        filch::task::yield_now().await;
        format!("{first}{second}")
    }

    #[filch::coro]
    async fn gives_back<'a>(first: &'a str, _second: &str) -> &'a str {
        first
    }

    #[filch::coro]
    async fn elided(first: &mut Vec<u32>) -> &mut u32 {
        &mut first[0]
    }

    #[filch::coro]
    pub(super) async fn nothing(mut sum: Vec<u32>, (one, two): (u32, u32), _: u8) {
        sum.push(one + two);
    }

    #[filch::coro]
    pub(super) async fn fails(text: &str) -> Result<u32, Box<dyn std::error::Error + Send + Sync>> {
        if text.is_empty() {
            return Ok(0);
        }
        Ok(text.parse::<u32>()?)
    }

    #[filch::coro]
    async fn generic<K, V, F: Fn(&K) -> HashMap<K, V>, const N: usize>(
        key: K,
        f: F,
        array: [V; N],
    ) -> (HashMap<K, V>, [V; N])
    where
        K: Clone,
        V: Send,
    {
        (f(&key), array)
    }

    #[filch::coro]
    async fn opaque(limit: u32) -> impl Iterator<Item = u32> {
        0..limit
    }

    pub(super) struct Counter(pub(super) u32);

    impl Counter {
        #[filch::coro]
        pub(super) async fn add(&mut self, amount: u32) -> u32 {
            self.0 += amount;
            self.0
        }

        #[filch::coro]
        async fn look(&self) -> &u32 {
            &self.0
        }

        #[filch::coro]
        pub(super) async fn end(mut self) -> u32 {
            self.0 += 1;
            self.0
        }

        #[filch::coro]
        async fn boxed(self: Box<Self>) -> Self {
            *self
        }
    }

    pub(super) trait Speaks {
        fn speak(&self) -> impl Future<Output = String> + Send;
        async fn shout(&self) -> String;
    }

    impl Speaks for Counter {
        #[filch::coro]
        async fn speak(&self) -> String {
            self.0.to_string()
        }

        #[filch::coro]
        async fn shout(&self) -> String {
            format!("{}!", self.0)
        }
    }

    #[filch::coro]
    pub(super) async fn recursive(depth: u32) -> u32 {
        match depth {
            0 => 0,
            depth => Box::pin(recursive(depth - 1)).await + 1,
        }
    }

    pub(super) mod elsewhere {
        use filch as other;

        #[other::coro(crate = "filch")]
        pub(crate) async fn renamed() -> u32 {
            7
        }
    }

    /// Gives its argument up when it ends, and not before, though it does not use it.
    #[filch::coro]
    pub(super) async fn keeps(_unused: filch_tests::OnDrop<impl FnMut()>, _: &str, seen: &std::cell::Cell<u32>) {
        assert_eq!(seen.get(), 0);
        filch::task::yield_now().await;
        assert_eq!(seen.get(), 0);
    }
}

#[test]
fn a_coroutine_that_nobody_awaits_is_reported_once() {
    within(|| {
        let (runtime, seen) = debugging(1, NEVER);
        let before = filch::debug::never_awaited();
        let line = runtime.block_on(async {
            assert_eq!(coros::plain().await, 42);
            let line = line!() + 1;
            drop(coros::plain());
            line
        });
        drop(runtime);
        let reports = of_kind(&seen, ReportKind::NeverAwaited);
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert_eq!(lock(&seen).len(), 1);
        let place = reports[0].place().unwrap();
        assert!(place.file().ends_with("debug.rs") && place.line() == line, "{place}");
        assert_eq!(reports[0].name(), Some("debug::coros::plain"));
        let message = format!("coroutine debug::coros::plain ({place}) was never awaited");
        assert_eq!(reports[0].message(), message);
        // (Other tests count as well.)
        assert!(filch::debug::never_awaited() > before);
    });
}

#[test]
fn any_future_can_be_tracked() {
    use filch::debug::Track;
    async fn fetch() -> u32 {
        42
    }
    within(|| {
        let (runtime, seen) = debugging(1, NEVER);
        let line = runtime.block_on(async {
            assert_eq!(fetch().tracked().await, 42);
            // Begun is awaited, however it ends.
            let mut begun = Box::pin(filch::debug::tracked(std::future::pending::<()>()));
            assert!(filch_tests::poll_once(begun.as_mut()).await.is_pending());
            drop(begun);
            drop(fetch().tracked());
            line!() - 1
        });
        // Outside of the runtime that it was made in, too.
        let inside = runtime.enter();
        let late = filch::debug::tracked(fetch());
        drop(inside);
        drop(runtime);
        drop(late);
        let reports = of_kind(&seen, ReportKind::NeverAwaited);
        assert_eq!(reports.len(), 2, "{reports:?}");
        assert_eq!(reports[0].place().unwrap().line(), line);
        assert!(reports[0].name().unwrap().ends_with("::fetch"), "{}", reports[0]);
    });
}

#[test]
fn tracking_says_nothing_where_debug_mode_is_off() {
    const NAME: &str = "tracking_says_nothing_where_debug_mode_is_off";
    if is_child(NAME) {
        let mut builder = Builder::new_current_thread();
        builder.on_report(|_| panic!("there is no debug mode"));
        builder.build().unwrap().block_on(async { drop(coros::plain()) });
        drop(coros::plain());
        assert_eq!(filch::debug::never_awaited(), 0);
        // Beside a runtime that is in debug mode.
        let mut debugged = Builder::new_current_thread();
        let seen = debug(&mut debugged, NEVER);
        let debugged = debugged.build().unwrap();
        builder.build().unwrap().block_on(async { drop(coros::plain()) });
        assert_eq!(filch::debug::never_awaited(), 0);
        debugged.block_on(async { drop(coros::plain()) });
        drop(debugged);
        assert_eq!(lock(&seen).len(), 1);
        assert_eq!(filch::debug::never_awaited(), 1);
        return;
    }
    let mut command = filch_tests::command(NAME);
    let output = command.env_remove("FILCH_DEBUG").output().expect("a process");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
}

#[test]
fn a_coroutine_of_the_attribute_is_like_its_function() {
    use coros::Speaks;
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    within(|| {
        let (runtime, seen) = debugging(1, NEVER);
        runtime.block_on(async {
            assert_eq!(is_send(coros::borrows("a", &String::from("b"))).await, "ab");
            coros::nothing(Vec::new(), (1, 2), 3).await;
            assert_eq!(coros::fails("7").await.unwrap(), 7);
            assert_eq!(coros::fails("").await.unwrap(), 0);
            assert!(coros::fails("x").await.is_err());
            let mut counter = coros::Counter(1);
            assert_eq!(counter.add(2).await, 3);
            assert_eq!(
                (counter.speak().await, counter.shout().await),
                ("3".into(), "3!".into())
            );
            assert_eq!(counter.end().await, 4);
            assert_eq!(is_send(coros::recursive(3)).await, 3);
            assert_eq!(coros::elsewhere::renamed().await, 7);
            let seen = std::cell::Cell::new(0);
            coros::keeps(filch_tests::OnDrop(|| seen.set(seen.get() + 1)), "text", &seen).await;
            assert_eq!(seen.get(), 1);
        });
        drop(runtime);
        assert_eq!(lock(&seen).len(), 0, "{seen:?}");
    });
}

#[test]
fn a_panic_that_nobody_sees_is_reported_once() {
    within(|| {
        let (runtime, seen) = debugging(2, NEVER);
        let unseen = || of_kind(&seen, ReportKind::UnseenPanic);
        // The handle is dropped before the panic.
        let gate = filch_tests::Gate::new();
        let inside = gate.clone();
        let task = task::Builder::new().name("early").spawn_on(
            async move {
                inside.wait();
                panic!("the first");
            },
            runtime.handle(),
        );
        let (id, place) = (task.id(), task.location());
        drop::<task::JoinHandle<()>>(task);
        gate.open();
        eventually("the first panic is reported", || unseen().len() == 1);
        let report = unseen().remove(0);
        assert_eq!(
            (report.task(), report.name(), report.place()),
            (Some(id), Some("early"), Some(place))
        );
        assert!(report.message().contains("the first"), "{report}");
        // Behind it.
        let task = runtime.spawn(async { panic!("the second") });
        eventually("it has ended", || task.is_finished());
        drop::<task::JoinHandle<()>>(task);
        eventually("the second panic is reported", || unseen().len() == 2);
        assert!(unseen()[1].message().contains("the second"));
        // In a set, a lane, and in a destructor at the end.
        let mut set = task::JoinSet::new();
        let third = set.spawn_on(async { panic!("the third") }, runtime.handle());
        eventually("it has ended", || third.is_finished());
        drop::<task::JoinSet<()>>(set);
        eventually("the third panic is reported", || unseen().len() == 3);
        drop::<task::JoinHandle<()>>(runtime.lane().spawn(async { panic!("the fourth") }));
        eventually("the fourth panic is reported", || unseen().len() == 4);
        let bomb = filch_tests::OnDrop(|| panic!("the fifth"));
        drop(runtime.spawn(async move {
            let _bomb = bomb;
            std::future::pending::<()>().await;
        }));
        drop(runtime);
        let texts: Vec<_> = unseen().iter().map(|report| report.message().to_owned()).collect();
        assert_eq!(texts.len(), 5, "{texts:?}");
        for (text, number) in texts.iter().zip(["first", "second", "third", "fourth", "fifth"]) {
            assert!(text.ends_with(number), "{texts:?}");
        }
    });
}

#[test]
fn a_panic_that_somebody_awaits_is_no_report() {
    within(|| {
        let (runtime, seen) = debugging(2, NEVER);
        runtime.block_on(async {
            let task = filch::spawn(async { panic!("it is seen") });
            assert!(task.await.unwrap_err().is_panic());
            let group = filch::group(async |group| {
                group.spawn::<(), _>(async { panic!("the group has it") });
                group.spawn::<(), _>(async { Err("so it has this".to_owned()) });
                Ok::<(), String>(())
            });
            assert!(!group.await.unwrap_err().failures().is_empty());
            let mut set = task::JoinSet::new();
            set.spawn(async { panic!("the set has it") });
            assert!(set.join_next().await.unwrap().is_err());
        });
        drop(runtime);
        assert_eq!(lock(&seen).len(), 0, "{seen:?}");
    });
}

#[test]
fn a_panic_behind_two_shields_is_reported_once() {
    within(|| {
        let (runtime, seen) = debugging(2, NEVER);
        let task = runtime.spawn(async {
            filch::shield(filch::shield(async {
                task::yield_now().await;
                panic!("behind two shields");
            }))
            .await;
        });
        drop(task);
        eventually("it is reported", || !lock(&seen).is_empty());
        drop(runtime);
        let reports = lock(&seen).clone();
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert_eq!(reports[0].kind(), ReportKind::UnseenPanic);
        assert!(reports[0].message().contains("behind two shields"));
    });
}

#[test]
fn errors_of_a_group_that_is_dropped_are_reported() {
    within(|| {
        let (runtime, seen) = debugging(2, NEVER);
        let unseen = || of_kind(&seen, ReportKind::UnseenError);
        runtime.block_on(async {
            let (begun, mut begins) = filch::sync::mpsc::unbounded_channel();
            let mut group = Box::pin(filch::group(async |group| {
                for text in ["one", "two"] {
                    let begun = begun.clone();
                    group.spawn(async move {
                        begun.send(()).unwrap();
                        // Told of the cancel, it fails.
                        filch::cancelled().await;
                        Err::<(), _>(text.to_owned())
                    });
                }
                std::future::pending().await
            }));
            let outcome = std::future::poll_fn(|cx| std::task::Poll::Ready(group.as_mut().poll(cx))).await;
            let outcome: std::task::Poll<Result<(), filch::group::GroupError<String>>> = outcome;
            assert!(outcome.is_pending());
            begins.recv().await.unwrap();
            begins.recv().await.unwrap();
            drop(group);
        });
        eventually("both are reported", || unseen().len() == 2);
        drop(runtime);
        let reports = unseen();
        assert_eq!(reports.len(), 2, "{reports:?}");
        for text in ["one", "two"] {
            let about = |report: &&Report| report.message().ends_with(text);
            assert_eq!(reports.iter().filter(about).count(), 1, "{reports:?}");
        }
        assert!(reports[0].place().unwrap().file().ends_with("debug.rs"));
    });
}

#[test]
fn an_error_that_was_there_when_its_group_was_dropped_is_reported() {
    #[derive(Debug)]
    struct Wrong;
    within(|| {
        let (runtime, seen) = debugging(1, NEVER);
        runtime.block_on(async {
            let mut group = Box::pin(filch::group(async |group| {
                let failed = group.spawn(async { Err::<(), _>(Wrong) });
                // The body goes on, in spite of the cancel.
                let _ = failed.await;
                filch::shield(std::future::pending::<()>()).await;
                Ok(())
            }));
            for _ in 0..10 {
                let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(group.as_mut().poll(cx))).await;
                assert!(polled.is_pending());
                task::yield_now().await;
                filch::time::sleep(Duration::from_millis(1)).await;
            }
            drop(group);
        });
        drop(runtime);
        let reports = of_kind(&seen, ReportKind::UnseenError);
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert!(reports[0].message().contains("::Wrong"), "{}", reports[0]);
    });
}

/// A runtime that reports locks that are held for longer than the limit.
fn watching_locks(workers: usize) -> (Runtime, Seen) {
    let mut builder = Builder::new_multi_thread();
    let seen = debug(builder.worker_threads(workers).long_lock(LIMIT), NEVER);
    (builder.build().expect("a runtime"), seen)
}

async fn reported(seen: &Seen) {
    while lock(seen).is_empty() {
        filch::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn a_lock_that_is_held_long_is_reported_with_who_took_it_and_where() {
    within(|| {
        let (runtime, seen) = watching_locks(2);
        let mutex = Arc::new(filch::sync::Mutex::new(0));
        let (held, inside) = (mutex.clone(), seen.clone());
        let (took, taken) = filch::sync::oneshot::channel();
        let holder = task::Builder::new().name("holder").spawn_on(
            async move {
                let line = line!() + 1;
                let guard = held.lock().await;
                took.send(line).unwrap();
                reported(&inside).await;
                // However long it is held and waited for: it is told once.
                filch::time::sleep(LIMIT * 20).await;
                drop(guard);
            },
            runtime.handle(),
        );
        runtime.block_on(async {
            let line = taken.await.unwrap();
            let id = holder.id();
            let waiter = task::Builder::new().name("waiter");
            let waiter = waiter.spawn(async move { *mutex.lock().await += 1 });
            holder.await.unwrap();
            waiter.await.unwrap();
            let reports = of_kind(&seen, ReportKind::LongLock);
            assert_eq!(reports.len(), 1, "{reports:?}");
            let report = &reports[0];
            assert_eq!((report.task(), report.name()), (Some(id), Some("holder")));
            let place = report.place().unwrap();
            assert!(place.file().ends_with("debug.rs") && place.line() == line, "{report}");
            assert!(report.message().contains("\"waiter\""), "{report}");
            assert!(report.elapsed().unwrap() >= LIMIT);
        });
    });
}

#[test]
fn locks_of_every_kind_are_watched() {
    use filch::sync::{Condition, Mutex, RwLock};
    async fn hold<G, W: Future + Send + 'static>(seen: &Seen, guard: G, wait: W) -> Report
    where
        W::Output: Send,
    {
        lock(seen).clear();
        let waiter = filch::spawn(wait);
        reported(seen).await;
        drop(guard);
        drop(waiter.await.unwrap());
        lock(seen)[0].clone()
    }
    within(|| {
        let (runtime, seen) = watching_locks(2);
        runtime.block_on(async {
            let is_here = |report: &Report, line: u32| {
                assert_eq!(report.kind(), ReportKind::LongLock);
                assert_eq!(report.place().unwrap().line(), line, "{report}");
            };
            let mutex = Arc::new(Mutex::new(0));
            let line = line!() + 1;
            let guard = mutex.clone().lock_owned().await;
            is_here(&hold(&seen, guard, mutex.clone().lock_owned()).await, line);
            let guard = mutex.try_lock().unwrap();
            is_here(&hold(&seen, guard, mutex.clone().lock_owned()).await, line + 2);
            let guard = mutex.clone().try_lock_owned().unwrap();
            is_here(&hold(&seen, guard, mutex.clone().lock_owned()).await, line + 4);
            let lock = Arc::new(RwLock::new(0));
            let line = line!() + 1;
            let guard = lock.read().await;
            is_here(&hold(&seen, guard, lock.clone().write_owned()).await, line);
            let guard = lock.write().await;
            is_here(&hold(&seen, guard, lock.clone().read_owned()).await, line + 2);
            let guard = lock.try_write().unwrap();
            is_here(&hold(&seen, guard, lock.clone().read_owned()).await, line + 4);
            let guard = lock.clone().try_read_owned().unwrap();
            is_here(&hold(&seen, guard, lock.clone().write_owned()).await, line + 6);
            // Blocking calls, on a thread that polls nothing.
            let blocking = mutex.clone();
            let line = line!() + 1;
            let guard = task::spawn_blocking(move || blocking.blocking_lock_owned())
                .await
                .unwrap();
            is_here(&hold(&seen, guard, mutex.clone().lock_owned()).await, line);
            // Whoever waits for a condition has given the lock up, and takes it again.
            let changed = Arc::new(Condition::new());
            let (other, waits) = (mutex.clone(), changed.clone());
            let line = line!() + 1;
            let waiter = filch::spawn(async move { waits.wait_owned(other.lock_owned().await).await });
            while !waiter.is_finished() {
                changed.notify_one();
                task::yield_now().await;
            }
            let guard = waiter.await.unwrap();
            is_here(&hold(&seen, guard, mutex.clone().lock_owned()).await, line);
        });
    });
}

/// Holds what `take` gives across waits, until that is reported and for long after it; nobody waits for it. Gives the one report, which names a line from
/// `line` on, or a few behind it.
async fn held_across_waits<G>(seen: &Seen, line: u32, take: impl Future<Output = G>) -> Report {
    lock(seen).clear();
    let guard = take.await;
    reported(seen).await;
    filch::time::sleep(LIMIT * 20).await;
    drop(guard);
    let reports = lock(seen).clone();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert_eq!(reports[0].kind(), ReportKind::LongLock);
    let place = reports[0].place().unwrap();
    assert!(
        place.file().ends_with("debug.rs") && (line..line + 6).contains(&place.line()),
        "{reports:?}"
    );
    assert!(reports[0].elapsed().unwrap() >= LIMIT);
    reports[0].clone()
}

#[test]
fn a_lock_that_is_held_across_waits_is_reported_though_nobody_waits() {
    within(|| {
        let (runtime, seen) = watching_locks(2);
        let inside = seen.clone();
        let body = async move {
            let mutex = filch::sync::Mutex::new(0);
            let mut reports = vec![held_across_waits(&inside, line!(), mutex.lock()).await];
            let lock = filch::sync::RwLock::new(0);
            reports.push(held_across_waits(&inside, line!(), lock.read()).await);
            reports.push(held_across_waits(&inside, line!(), lock.write()).await);
            // A lock in a lock of another kind may stand at the same place.
            let both = filch::sync::Mutex::new(filch::sync::RwLock::new(0));
            let outer = both.try_lock().unwrap();
            reports.push(held_across_waits(&inside, line!() - 1, async {}).await);
            drop(outer);
            reports
        };
        let task = task::Builder::new().name("holder").spawn_on(body, runtime.handle());
        let (id, place) = (task.id(), task.location());
        let reports = runtime.block_on(task).unwrap();
        for (report, what) in reports
            .iter()
            .zip(["the mutex", "the read lock", "the write lock", "the mutex"])
        {
            assert_eq!((report.task(), report.name()), (Some(id), Some("holder")));
            let begin = format!("{what} that task {id} \"holder\", spawned at {place}, took at");
            assert!(report.message().starts_with(&begin), "{report}");
            assert!(report.message().ends_with("; nobody waits for it"), "{report}");
        }
        // The future of `block_on` holds locks as tasks do.
        let mutex = filch::sync::Mutex::new(0);
        let report = runtime.block_on(held_across_waits(&seen, line!(), mutex.lock()));
        assert!(report.message().contains("the future of `block_on` at"), "{report}");
    });
}

#[test]
fn a_lock_is_held_by_who_took_it_wherever_the_guard_goes() {
    within(|| {
        let (runtime, seen) = watching_locks(2);
        let mutex = Arc::new(filch::sync::Mutex::new(0));
        let line = line!() + 1;
        let takes = async move { mutex.lock_owned().await };
        let takes = task::Builder::new().name("took it").spawn_on(takes, runtime.handle());
        let id = takes.id();
        let report = runtime.block_on(held_across_waits(&seen, line, takes));
        assert_eq!((report.task(), report.name()), (Some(id), Some("took it")));
    });
}

#[test]
fn other_guards_of_a_lock_keep_its_hold() {
    use filch::sync::*;
    within(|| {
        let (runtime, seen) = watching_locks(1);
        runtime.block_on(async {
            let mutex = Arc::new(Mutex::new((1, 2)));
            held_across_waits(&seen, line!(), async {
                MutexGuard::map(mutex.lock().await, |both| &mut both.0)
            })
            .await;
            held_across_waits(&seen, line!(), async {
                let guard = MutexGuard::try_map(mutex.lock().await, |both| Some(&mut both.0)).unwrap();
                MappedMutexGuard::try_map(guard, |_| None::<&mut u8>).unwrap_err()
            })
            .await;
            held_across_waits(&seen, line!(), async {
                let guard =
                    OwnedMutexGuard::try_map(mutex.clone().lock_owned().await, |_| None::<&mut u8>).unwrap_err();
                OwnedMappedMutexGuard::map(OwnedMutexGuard::map(guard, |both| &mut both.0), |one| one)
            })
            .await;
            let lock = Arc::new(RwLock::new((1, 2)));
            held_across_waits(&seen, line!(), async { lock.write().await.downgrade() }).await;
            held_across_waits(&seen, line!(), async {
                let guard = RwLockWriteGuard::into_mapped(lock.write().await);
                RwLockMappedWriteGuard::map(guard, |both| &mut both.1)
            })
            .await;
            held_across_waits(&seen, line!(), async {
                let guard = OwnedRwLockWriteGuard::downgrade_map(lock.clone().write_owned().await, |both| &both.0);
                OwnedRwLockReadGuard::map(guard, |one| one)
            })
            .await;
            // All of it has ended.
            assert!(mutex.try_lock().is_ok() && lock.try_write().is_ok());
            lock_and_release(&mutex, &lock).await;
            lock_of(&seen).clear();
            filch::time::sleep(LIMIT * 20).await;
            assert_eq!(lock_of(&seen).len(), 0, "{seen:?}");
        });
    });

    /// All in one poll: what lasts longer in the end is a hold that has no end.
    async fn lock_and_release(mutex: &Arc<Mutex<(u8, u8)>>, lock: &Arc<RwLock<(u8, u8)>>) {
        drop(mutex.lock().await);
        drop(mutex.clone().lock_owned().await);
        drop(mutex.try_lock());
        drop(MutexGuard::map(mutex.lock().await, |both| &mut both.0));
        drop(lock.read().await);
        drop(lock.write().await);
        drop(lock.clone().write_owned().await.downgrade());
        drop(OwnedRwLockWriteGuard::into_mapped(lock.clone().write_owned().await));
        let semaphore = Semaphore::new(3);
        let mut permit = semaphore.acquire_many(2).await.unwrap();
        drop(permit.split(1));
        permit.merge(semaphore.acquire().await.unwrap());
    }

    fn lock_of(seen: &Seen) -> std::sync::MutexGuard<'_, Vec<Report>> {
        lock(seen)
    }
}

#[test]
fn a_lock_that_is_held_in_one_poll_is_that_polls_affair() {
    within(|| {
        let mut builder = Builder::new_multi_thread();
        let seen = debug(builder.worker_threads(2).long_lock(LIMIT), LIMIT);
        let (runtime, inside) = (builder.build().unwrap(), seen.clone());
        let body = async move {
            let mutex = filch::sync::Mutex::new(0);
            let guard = mutex.lock().await;
            stuck_until_reported(&inside, Some("slow"));
            std::thread::sleep(LIMIT * 20);
            drop(guard);
        };
        runtime.block_on(slow().spawn_on(body, runtime.handle())).unwrap();
        drop(runtime);
        assert_eq!(of_kind(&seen, ReportKind::SlowPoll).len(), 1, "{seen:?}");
        assert_eq!(of_kind(&seen, ReportKind::LongLock).len(), 0, "{seen:?}");
    });
}

#[test]
fn a_lock_that_is_held_in_time_is_not_reported() {
    within(|| {
        let mut builder = Builder::new_multi_thread();
        let seen = debug(builder.worker_threads(2).long_lock(NEVER), NEVER);
        let mut other = Builder::new_multi_thread();
        let never = debug(other.worker_threads(1).long_lock(LIMIT), NEVER);
        let other = other.build().unwrap();
        builder.build().unwrap().block_on(async {
            let mutex = filch::sync::Mutex::new(0);
            let guard = mutex.lock().await;
            filch::time::sleep(LIMIT * 20).await;
            drop(guard);
        });
        drop(other);
        assert_eq!(lock(&seen).len(), 0, "{seen:?}");
        // Somebody else's runtime has a limit of its own.
        assert_eq!(lock(&never).len(), 0, "{never:?}");
    });
}

#[test]
fn a_permit_is_reported_when_somebody_misses_it() {
    use filch::sync::Semaphore;
    within(|| {
        let (runtime, seen) = watching_locks(2);
        runtime.block_on(async {
            let semaphore = Arc::new(Semaphore::new(3));
            let line = line!() + 1;
            let mut first = semaphore.acquire_many(2).await.unwrap();
            let second = semaphore.clone().try_acquire_owned().unwrap();
            let part = first.split(1).unwrap();
            // As long as nobody waits they may be held.
            filch::time::sleep(LIMIT * 20).await;
            assert_eq!(lock(&seen).len(), 0, "{seen:?}");
            let other = semaphore.clone();
            let waiter = task::Builder::new().name("waiter");
            let waiter = waiter.spawn(async move { other.acquire_owned().await.unwrap() });
            reported(&seen).await;
            filch::time::sleep(LIMIT * 20).await;
            let reports = lock(&seen).clone();
            assert_eq!(reports.len(), 1, "{reports:?}");
            assert_eq!(reports[0].kind(), ReportKind::LongLock);
            assert_eq!(reports[0].place().unwrap().line(), line, "{reports:?}");
            let message = reports[0].message();
            assert!(
                message.contains("the semaphore's permit that the future of `block_on`"),
                "{message}"
            );
            assert!(message.contains("(2 more are held)"), "{message}");
            assert!(
                message.contains("\"waiter\"") && message.contains("waits for it at"),
                "{message}"
            );
            // What was told of is not told of again, whoever waits next.
            drop((part, second));
            drop(waiter.await.unwrap());
            let other = semaphore.clone();
            let waiter = filch::spawn(async move { drop(other.acquire_many(3).await.unwrap()) });
            filch::time::sleep(LIMIT * 20).await;
            assert_eq!(lock(&seen).len(), 1, "{seen:?}");
            first.merge(semaphore.acquire_many(0).await.unwrap());
            drop(first);
            waiter.await.unwrap();
        });
    });
}

#[test]
fn a_forgotten_permit_is_held_by_nobody() {
    use filch::sync::Semaphore;
    within(|| {
        let (runtime, seen) = watching_locks(2);
        runtime.block_on(async {
            let semaphore = Arc::new(Semaphore::new(3));
            semaphore.acquire().await.unwrap().forget();
            semaphore.clone().acquire_owned().await.unwrap().forget();
            let mut permit = semaphore.acquire().await.unwrap();
            permit.merge(semaphore.acquire_many(0).await.unwrap());
            permit.forget();
            let other = semaphore.clone();
            let waiter = filch::spawn(async move { drop(other.acquire().await.unwrap()) });
            filch::time::sleep(LIMIT * 20).await;
            assert_eq!(lock(&seen).len(), 0, "{seen:?}");
            semaphore.add_permits(1);
            waiter.await.unwrap();
        });
    });
}

#[test]
fn what_outlives_its_runtime_is_reported_once() {
    within(|| {
        for multi in [false, true] {
            let mut builder = match multi {
                false => Builder::new_current_thread(),
                true => Builder::new_multi_thread(),
            };
            let seen = debug(builder.worker_threads(2), NEVER);
            let runtime = builder.build().unwrap();
            let (kept, gone) = runtime.block_on(async {
                let bind = || filch::net::TcpListener::bind("127.0.0.1:0");
                ([bind().await.unwrap(), bind().await.unwrap()], bind().await.unwrap())
            });
            drop((gone, runtime));
            let reports = lock(&seen).clone();
            assert_eq!(reports.len(), 1, "{reports:?}");
            assert_eq!(reports[0].kind(), ReportKind::Leaked);
            assert!(reports[0].message().contains("2 of its sockets"), "{}", reports[0]);
            assert_eq!(reports[0].places().len(), 1);
            assert!(
                reports[0].places()[0].starts_with("2 from the future of `block_on` at"),
                "{}",
                reports[0]
            );
            drop(kept);

            // Nothing is left.
            let runtime = builder.build().unwrap();
            drop(runtime.block_on(filch::net::TcpListener::bind("127.0.0.1:0")).unwrap());
            drop(runtime);
            assert_eq!(lock(&seen).len(), 1, "{seen:?}");

            // What `Runner` listens for Ctrl-C with is its own.
            let mut runner = builder.build_runner().unwrap();
            runner.run(async {}).unwrap();
            drop(runner);
            assert_eq!(lock(&seen).len(), 1, "{seen:?}");

            // A job that does not end.
            let runtime = builder.build().unwrap();
            let (gate, begun) = (filch_tests::Gate::new(), filch_tests::Gate::new());
            let (inside, begins) = (gate.clone(), begun.clone());
            drop(runtime.spawn_blocking(move || {
                begins.open();
                inside.wait();
            }));
            begun.wait();
            runtime.shutdown_timeout(Duration::from_millis(1));
            // The thread that hands it on is not waited for by a shutdown that has run out of time.
            eventually("the job is reported", || lock(&seen).len() == 2);
            assert!(
                lock(&seen)[1].message().contains("1 of its threads"),
                "{}",
                lock(&seen)[1]
            );
            assert_eq!(lock(&seen)[1].places().len(), 1);
            gate.open();
        }
    });
}

#[test]
fn what_outlives_its_runtime_is_reported_with_where_it_comes_from() {
    fn in_task<F>(runtime: &Runtime, name: &'static str, body: F) -> (F::Output, String)
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let task = task::Builder::new().name(name).spawn_on(body, runtime.handle());
        let who = format!("task {} \"{name}\", spawned at {}", task.id(), task.location());
        (runtime.block_on(task).unwrap(), who)
    }
    async fn asleep() -> std::pin::Pin<Box<filch::time::Sleep>> {
        let mut sleep = Box::pin(filch::time::sleep(NEVER));
        assert!(filch_tests::poll_once(sleep.as_mut()).await.is_pending());
        sleep
    }
    async fn bound() -> filch::net::UdpSocket {
        filch::net::UdpSocket::bind("127.0.0.1:0").await.unwrap()
    }
    within(|| {
        for workers in [1, 3] {
            let (runtime, seen) = debugging(workers, NEVER);
            let places = |what: &str| {
                let reports = lock(&seen).clone();
                let mut reports = reports.iter().filter(|report| report.message().contains(what));
                let (report, other) = (
                    reports.next().unwrap_or_else(|| panic!("{what}: {seen:?}")),
                    reports.next(),
                );
                assert!(report.kind() == ReportKind::Leaked && other.is_none(), "{report}");
                let text = report.to_string();
                assert!(
                    report
                        .places()
                        .iter()
                        .all(|place| text.contains(&format!("\n    {place}"))),
                    "{text}"
                );
                report.places().to_vec()
            };
            let ((first, second, gone), one) = in_task(&runtime, "of two", async {
                (bound().await, bound().await, bound().await)
            });
            let (more, two) = in_task(&runtime, "of one", bound());
            drop(gone);
            let inside = runtime.enter();
            let std = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            std.set_nonblocking(true).unwrap();
            let outside = filch::net::UdpSocket::from_std(std).unwrap();
            drop(inside);
            // What has fired or is gone is no leak, and many of them leave nothing.
            let (timer, three) = in_task(&runtime, "of a timer", async {
                for _ in 0..1_000 {
                    drop(asleep().await);
                    filch::time::sleep(Duration::from_nanos(1)).await;
                }
                Some(asleep().await)
            });
            drop(runtime);
            assert_eq!(lock(&seen).len(), 2, "{seen:?}");
            assert_eq!(
                places("4 of its sockets"),
                [
                    format!("2 from {one}"),
                    "1 from ".to_owned() + &two,
                    "1 outside of tasks".to_owned()
                ]
            );
            assert_eq!(places("1 of its timers"), [format!("1 from {three}")]);
            drop((first, second, more, outside, timer));
        }
    });
}

#[test]
fn a_job_that_outlives_its_runtime_is_reported_with_where_it_comes_from() {
    within(|| {
        for workers in [1, 3] {
            let (runtime, seen) = debugging(workers, NEVER);
            let (gate, begun) = (filch_tests::Gate::new(), filch_tests::Gate::new());
            let (inner, begins) = (gate.clone(), begun.clone());
            let body = async move {
                task::spawn_blocking(|| ()).await.unwrap();
                let line = line!() + 1;
                drop(task::spawn_blocking(move || {
                    begins.open();
                    inner.wait();
                }));
                line
            };
            let task = task::Builder::new().name("of a job").spawn_on(body, runtime.handle());
            let who = format!("task {} \"of a job\", spawned at {}", task.id(), task.location());
            let line = runtime.block_on(task).unwrap();
            begun.wait();
            runtime.shutdown_timeout(Duration::from_millis(1));
            eventually("the job is reported", || !lock(&seen).is_empty());
            let report = lock(&seen)[0].clone();
            assert!(report.message().contains("1 of its threads"), "{report}");
            let places = report.places();
            assert!(
                places.len() == 1 && places[0].starts_with(&format!("1 from {who}, at ")),
                "{report}"
            );
            assert!(places[0].contains(&format!("debug.rs:{line}:")), "{report}");
            gate.open();
        }
    });
}
