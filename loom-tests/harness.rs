//! What every package of models shares: one way to run a model, and one way to show that a model can fail.
//!
//! A package of models includes this file with
//! `#[path = "…/harness.rs"] mod harness;`.
//!
//! # Running
//!
//! [`model`] explores every interleaving of a closure up to the bound that the model states. From outside:
//!
//! - `LOOM_MAX_PREEMPTIONS=n` overrides the bound of every model, `LOOM_FULL=1` removes it;
//! - `LOOM_CHECKPOINT_FILE`, `LOOM_LOCATION`, `LOOM_LOG` and loom's other variables work as loom documents them.
//!
//! A failing model ends the process with status [`FAILED`]: unwinding out of an exploration would run destructors that
//! touch loom's objects after their time, and the second panic would hide the first.
//!
//! # A blind spot of loom
//!
//! loom 0.7 reorders a thread's access to an atomic only against the latest access before it, whoever made that. A thread
//! that loads an atomic and then stores to it (without a read-modify-write) thereby hides the earlier loads of other
//! threads from its own store. A model with fewer executions than its threads promise may have that reason; a plain copy
//! of the value inside the lock that guards the stores cures it.
//!
//! # Planned panics
//!
//! A model that wants a panic (a task that panics, say) raises it with [`std::panic::resume_unwind`], which no panic
//! hook sees. Every other panic inside a model is a failure.
//!
//! # Seeded bugs
//!
//! A crate asks `sync::seeded(Bug::X)` at the places where a known mistake could stand; its loom build compares the
//! bug's name with [`seeded_bug`]. [`assert_caught`] runs one model once more in a child process with one bug planted,
//! and fails if the model does not notice.

#![allow(dead_code, reason = "each package of models uses the part it needs")]

use std::cell::RefCell;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::panic;
use std::process::{self, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once, OnceLock};
use std::time::Instant;

/// The exit status of a process in which a model failed (what libtest itself uses for a failed run).
pub(crate) const FAILED: i32 = 101;

/// A whole runtime takes more switch points per execution than loom's default of 1,000; unused ones cost nothing.
const MAX_BRANCHES: usize = 10_000;

/// The variable that names the planted bug.
const SEEDED: &str = "FILCH_SEEDED";

/// Explores `f` under every interleaving with at most `bound` preemptions (`None`: all of them).
///
/// Prints how many executions that took, so that a model which shrank is seen, and refuses a model with a single one: it
/// has no concurrency left in it.
pub(crate) fn model(name: &str, bound: Option<usize>, f: impl Fn() + Sync + Send + 'static) {
    install_hook();
    let mut builder = loom::model::Builder::new();
    builder.max_branches = builder.max_branches.max(MAX_BRANCHES);
    // `Builder::new` has already read LOOM_MAX_PREEMPTIONS.
    builder.preemption_bound = builder.preemption_bound.or(bound);
    if std::env::var_os("LOOM_FULL").is_some_and(|full| full == "1") {
        builder.preemption_bound = None;
    }
    let bound = builder
        .preemption_bound
        .map_or("none".to_owned(), |bound| bound.to_string());
    let replayed = builder.checkpoint_file.is_some();

    let executions = Arc::new(AtomicUsize::new(0));
    let running = Running {
        name: name.to_owned(),
        executions: Arc::clone(&executions),
    };
    let previous = RUNNING.with(|slot| slot.borrow_mut().replace(running));
    assert!(previous.is_none(), "a model inside a model");

    let begin = Instant::now();
    let counter = Arc::clone(&executions);
    builder.check(move || {
        // Relaxed: all threads of a model are coroutines of this one thread.
        counter.fetch_add(1, Ordering::Relaxed);
        f();
    });
    let seconds = begin.elapsed().as_secs_f64();

    RUNNING.with(|slot| slot.borrow_mut().take());
    let executions = executions.load(Ordering::Relaxed);
    say(&format!(
        "model {name}: bound {bound}, {executions} executions, {seconds:.2} s\n"
    ));
    record(name, &bound, executions, seconds);
    assert!(
        executions > 1 || replayed,
        "model {name} has a single execution: nothing in it runs concurrently"
    );
}

/// The bug that this process shall contain, by name; `None` in an ordinary run.
pub(crate) fn seeded_bug() -> Option<String> {
    static BUG: OnceLock<Option<String>> = OnceLock::new();
    BUG.get_or_init(|| std::env::var(SEEDED).ok().filter(|bug| !bug.is_empty()))
        .clone()
}

/// Runs the test `test_path` (as libtest prints it: `models::file::test`) again in a child process that contains the
/// bug `bug_name`.
///
/// # Panics
///
/// If the child's model does not fail.
#[track_caller]
pub(crate) fn assert_caught(bug_name: &str, test_path: &str) {
    let this = std::env::current_exe().expect("a running test has a path");
    let child = Command::new(this)
        .args(["--exact", test_path, "--nocapture", "--test-threads=1"])
        .env(SEEDED, bug_name)
        // The bug must show within the bound that the model itself states.
        .env_remove("LOOM_FULL")
        .env_remove("LOOM_MAX_PREEMPTIONS")
        .env_remove("LOOM_CHECKPOINT_FILE")
        .output()
        .expect("a test binary can be started again");
    let printed = format!(
        "{}{}",
        String::from_utf8_lossy(&child.stdout),
        String::from_utf8_lossy(&child.stderr)
    );
    let failure = printed.lines().find(|line| line.contains(FAILURE));
    match failure {
        Some(failure) if child.status.code() == Some(FAILED) => say(&format!("seeded {bug_name}: {failure}\n")),
        _ => panic!(
            "the seeded bug {bug_name} was not caught by {test_path} ({}):\n{printed}",
            child.status
        ),
    }
}

/// Stands in the report of a failed model and nowhere else.
const FAILURE: &str = "model failed:";

struct Running {
    name: String,
    executions: Arc<AtomicUsize>,
}

thread_local! {
    /// The model that this thread explores.
    static RUNNING: RefCell<Option<Running>> = const { RefCell::new(None) };
}

/// Makes a panic inside a model end the process with a report; other panics go on to the hook that was there.
fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let ordinary = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let report = RUNNING.with(|slot| {
                slot.borrow().as_ref().map(|running| {
                    let execution = running.executions.load(Ordering::Relaxed);
                    // One line, so that it can be found and quoted.
                    let message = info.to_string().replace('\n', " ");
                    format!("\n{FAILURE} {} in execution {execution}: {message}\n", running.name)
                })
            });
            match report {
                Some(report) => {
                    say(&report);
                    process::exit(FAILED);
                }
                None => ordinary(info),
            }
        }));
    });
}

/// Writes to the real stderr: what libtest captures is lost when the process ends.
fn say(line: &str) {
    // Nobody is left to tell if stderr is closed.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Appends a line to `loom.tsv` in the target directory, for whoever wants to compare runs.
fn record(name: &str, bound: &str, executions: usize, seconds: f64) {
    if seeded_bug().is_some() {
        return;
    }
    // target/<profile>/deps/<binary>
    let target = std::env::current_exe()
        .ok()
        .and_then(|this| this.ancestors().nth(3).map(|dir| dir.join("loom.tsv")));
    let file = target.and_then(|path| OpenOptions::new().create(true).append(true).open(path).ok());
    if let Some(mut file) = file {
        // A convenience: a full disk must not fail a model.
        let _ = file.write_all(format!("{name}\t{bound}\t{executions}\t{seconds:.2}\n").as_bytes());
    }
}
