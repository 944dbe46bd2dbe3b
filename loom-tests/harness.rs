//! What every package of models shares: one way to run a model, and one way to show that a model can fail.
//!
//! A package of models includes this file with
//! `#[path = "…/harness.rs"] mod harness;`.
//!
//! # Running
//!
//! [`model`] explores every interleaving of a closure up to the bound that the model states. From outside:
//!
//! - `LOOM_MAX_PREEMPTIONS=n` overrides the bound of every model;
//! - `LOOM_FULL=1` (`cargo loom-full`) removes it, and cuts every model off after a minute; `FILCH_LOOM_SECONDS=n` makes that
//!   n seconds, 0 for ever;
//! - `LOOM_CHECKPOINT_FILE`, `LOOM_LOCATION`, `LOOM_LOG` and loom's other variables work as loom documents them.
//!
//! Each run of a model is a line of `loom.tsv` in the target directory.
//!
//! # Floors
//!
//! A model that shrinks, because a lock now covers what it used to race, or because a thread of it ends before it does anything, still
//! passes. So `floors.tsv` says how many executions each model made when somebody last looked, and a model that makes fewer at
//! its own bound fails. An exploration is deterministic: the number is exact. `loom-tests/tables measure` renews the file after a
//! change that was meant; whoever does that says in the commit why the models shrank.
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
use std::panic::{self, Location};
use std::path::Path;
use std::process::{self, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once, OnceLock};
use std::time::{Duration, Instant};

/// The exit status of a process in which a model failed (what libtest itself uses for a failed run).
pub(crate) const FAILED: i32 = 101;

/// A whole runtime takes more switch points per execution than loom's default of 1,000; unused ones cost nothing.
const MAX_BRANCHES: usize = 10_000;

/// The variable that names the planted bug.
const SEEDED: &str = "FILCH_SEEDED";

/// The variable that switches the comparison with the floors off while they are measured anew.
const MEASURE: &str = "FILCH_FLOORS";

/// The variable that says after how many seconds a model without its bound is cut off.
const BUDGET: &str = "FILCH_LOOM_SECONDS";

/// Seconds for a model without its bound, if nobody says otherwise: all of them end within about half an hour.
const DEFAULT_BUDGET: u64 = 60;

/// Executions between two looks at the time, for a model that can be cut off. (Loom's own figure is 20,000.)
const LOOK: usize = 100;

/// What each model made of its bound when it was last measured: package, protocol, model, bound, executions, seconds.
const FLOORS: &str = include_str!("floors.tsv");

/// Explores `f` under every interleaving with at most `bound` preemptions (`None`: all of them).
///
/// Prints how many executions that took, and refuses fewer than the floor says.
#[track_caller]
pub(crate) fn model(name: &str, bound: Option<usize>, f: impl Fn() + Sync + Send + 'static) {
    install_hook();
    let mut builder = loom::model::Builder::new();
    builder.max_branches = builder.max_branches.max(MAX_BRANCHES);
    let replayed = builder.checkpoint_file.is_some();
    let full = std::env::var_os("LOOM_FULL").is_some_and(|full| full == "1");
    // `Builder::new` has already read LOOM_MAX_PREEMPTIONS.
    let as_stated = builder.preemption_bound.is_none() && !full;
    builder.preemption_bound = builder.preemption_bound.or(bound);
    if full {
        builder.preemption_bound = None;
        if !replayed {
            builder.max_duration = budget();
            builder.checkpoint_interval = LOOK;
        }
    }
    let (budget, interval) = (builder.max_duration, builder.checkpoint_interval);
    let bound = builder
        .preemption_bound
        .map_or("none".to_owned(), |bound| bound.to_string());

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
    let elapsed = begin.elapsed();

    RUNNING.with(|slot| slot.borrow_mut().take());
    let executions = executions.load(Ordering::Relaxed);
    // Loom looks at the time once in `interval` executions, and does not say that it stopped there.
    let cut = budget.is_some_and(|budget| elapsed >= budget) && (executions + 1) % interval == 0;
    let end = if cut { "cut" } else { "ended" };
    let package = env!("CARGO_PKG_NAME");
    let protocol = Path::new(Location::caller().file()).file_stem();
    let protocol = protocol.map_or(String::new(), |stem| stem.to_string_lossy().into_owned());
    let seconds = elapsed.as_secs_f64();
    say(&format!(
        "model {name}: bound {bound}, {executions} executions, {seconds:.2} s{}\n",
        if cut { ", cut off" } else { "" }
    ));
    assert!(
        executions > 1 || replayed,
        "model {name} has a single execution: nothing in it runs concurrently"
    );
    if seeded_bug().is_some() || replayed {
        return;
    }
    let mode = match (as_stated, full) {
        (true, _) => "stated",
        (_, true) => "full",
        _ => "other",
    };
    record(&format!(
        "{mode}\t{package}\t{protocol}\t{name}\t{bound}\t{executions}\t{seconds:.2}\t{end}\n"
    ));
    if as_stated && std::env::var_os(MEASURE).is_none() {
        check_floor([package, &protocol, name, &bound], executions);
    }
}

/// Fails a model that is not in `floors.tsv` with its bound, or made fewer executions than stand there.
fn check_floor(model: [&str; 4], executions: usize) {
    let floor = FLOORS.lines().find_map(|line| {
        let fields: Vec<&str> = line.split('\t').collect();
        let (key, rest) = fields.split_at_checked(model.len())?;
        (key == model).then(|| rest.first()?.parse::<usize>().ok()).flatten()
    });
    let model = model.join(" ");
    match floor {
        None => panic!("{model} does not stand in loom-tests/floors.tsv: see `loom-tests/tables measure`"),
        Some(floor) => assert!(
            executions >= floor,
            "{model} has shrunk from {floor} executions to {executions}: it does not look at all that it used to"
        ),
    }
}

/// How long a model without its bound may take; `None`: as long as it takes.
fn budget() -> Option<Duration> {
    let seconds = match std::env::var(BUDGET) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{BUDGET} must be a number of seconds, not {text:?}")),
        Err(_) => DEFAULT_BUDGET,
    };
    (seconds > 0).then(|| Duration::from_secs(seconds))
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
fn record(line: &str) {
    // target/<profile>/deps/<binary>
    let target = std::env::current_exe()
        .ok()
        .and_then(|this| this.ancestors().nth(3).map(|dir| dir.join("loom.tsv")));
    let file = target.and_then(|path| OpenOptions::new().create(true).append(true).open(path).ok());
    if let Some(mut file) = file {
        // A convenience: a full disk must not fail a model.
        let _ = file.write_all(line.as_bytes());
    }
}

/// One test for each planted bug, so that they run side by side, and the tables can be made from the source.
macro_rules! caught {
    ($($name:ident: $bug:literal by $model:literal;)*) => {
        $(#[test]
        fn $name() {
            super::harness::assert_caught($bug, concat!("models::", $model));
        })*
    };
}
pub(crate) use caught;
