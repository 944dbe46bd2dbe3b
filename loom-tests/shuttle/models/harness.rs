//! One way to run a program under many schedules, and one to run one again.
//!
//! - `FILCH_SCHEDULES=n` changes how many schedules each of the two schedulers tries;
//! - `FILCH_SHUTTLE_SEED=n` changes the seed that they draw from;
//! - `FILCH_SHUTTLE_REPLAY=schedule`, with the name of one test, runs the schedule that a failure printed (the lines between the quotes behind "failing
//!   schedule").

use loom::shuttle::scheduler::{PctScheduler, RandomScheduler};
use loom::shuttle::{Config, MaxSteps, Runner};
use std::process::Command;
use std::time::Instant;

/// Schedules of each scheduler: twice this is what a program is run under.
const SCHEDULES: u64 = 5_000;

/// Preemptions that PCT (Burckhardt and others 2010) spreads over a run, plus one.
const DEPTH: usize = 3;

/// A program takes a few thousand steps; one that never ends is a livelock, which is reported.
const STEPS: usize = 1_000_000;

/// Runs `program` under many schedules, first at random, then by PCT.
pub(super) fn explore(name: &str, program: impl Fn() + Send + Sync + Copy + 'static) {
    if let Ok(schedule) = std::env::var("FILCH_SHUTTLE_REPLAY") {
        // As it was printed, in several lines, or in one.
        let schedule: String = schedule.split_whitespace().collect();
        loom::shuttle::replay(program, &schedule);
        return;
    }
    let number = |variable: &str, otherwise: u64| match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{variable} must be a number, not {text:?}")),
        Err(_) => otherwise,
    };
    let schedules = number("FILCH_SCHEDULES", SCHEDULES) as usize;
    let seed = number("FILCH_SHUTTLE_SEED", 1);
    let mut config = Config::new();
    config.max_steps = MaxSteps::FailAfter(STEPS);
    config.silence_warnings = true;
    let begin = Instant::now();
    Runner::new(RandomScheduler::new_from_seed(seed, schedules), config.clone()).run(program);
    let random = begin.elapsed();
    Runner::new(PctScheduler::new_from_seed(seed, DEPTH, schedules), config).run(program);
    let pct = begin.elapsed() - random;
    eprintln!("{name}: {schedules} schedules at random in {random:.1?}, {schedules} by PCT in {pct:.1?}");
}

/// Runs the test `path` again in a process that contains the bug `bug`, and fails unless it fails there. Gives the schedule that was printed.
#[track_caller]
pub(super) fn assert_caught(bug: &str, path: &str) -> String {
    let (passed, printed) = run_with(bug, path, None);
    let schedule = printed.split("failing schedule:\n\"").nth(1);
    let schedule = schedule.and_then(|rest| rest.split('"').next());
    match schedule {
        Some(schedule) if !passed => schedule.to_owned(),
        _ => panic!("the planted bug {bug} was not caught by {path}:\n{printed}"),
    }
}

/// Runs the test `path` in a process of its own. Whether it passed, and what it printed.
pub(super) fn run_with(bug: &str, path: &str, replay: Option<&str>) -> (bool, String) {
    let mut child = Command::new(std::env::current_exe().expect("a running test has a path"));
    child.args(["--exact", path, "--nocapture", "--test-threads=1"]);
    child.env("FILCH_SEEDED", bug);
    // The bug must show in what the program is run under by itself.
    for variable in ["FILCH_SHUTTLE_REPLAY", "FILCH_SHUTTLE_SEED", "FILCH_SCHEDULES"] {
        child.env_remove(variable);
    }
    if let Some(schedule) = replay {
        child.env("FILCH_SHUTTLE_REPLAY", schedule);
    }
    let output = child.output().expect("a test binary can be started again");
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}
