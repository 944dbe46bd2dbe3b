//! What `#[filch::test(deterministic)]` calls: one body under many seeds.

use crate::builder::Builder;
use crate::run::BLOCKING_GRACE;
use crate::sim::Sim;
use std::fmt::Debug;
use std::ops::{Range, RangeInclusive};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// The environment variable that names the one seed to run.
const SEED_VARIABLE: &str = "FILCH_SEED";

/// Seeds, as the attribute's argument gives them.
#[derive(Debug)]
#[allow(unnameable_types, reason = "for the code that the attribute makes")]
pub struct Seeds(Range<u128>);

impl From<Range<u64>> for Seeds {
    fn from(range: Range<u64>) -> Self {
        Self(u128::from(range.start)..u128::from(range.end))
    }
}

impl From<RangeInclusive<u64>> for Seeds {
    fn from(range: RangeInclusive<u64>) -> Self {
        Self(u128::from(*range.start())..u128::from(*range.end()) + 1)
    }
}

impl From<u64> for Seeds {
    fn from(seed: u64) -> Self {
        Self::from(seed..=seed)
    }
}

/// What a test's body may give.
#[allow(unnameable_types, reason = "for the code that the attribute makes")]
pub trait Outcome {
    /// What went wrong, if the test has failed.
    fn failure(&self) -> Option<String>;
}

impl Outcome for () {
    fn failure(&self) -> Option<String> {
        None
    }
}

impl<T, E: Debug> Outcome for Result<T, E> {
    fn failure(&self) -> Option<String> {
        self.as_ref().err().map(|error| format!("{error:?}"))
    }
}

/// Runs `body` under each seed, or under the one that `FILCH_SEED` names, up to the first failure, which is reported with its seed.
///
/// # Panics
///
/// If the body does; if there are no seeds, or `FILCH_SEED` is no number.
#[track_caller]
pub fn run_seeds<F>(builder: &mut Builder, seeds: impl Into<Seeds>, body: impl Fn() -> F) -> F::Output
where
    F: Future,
    F::Output: Outcome,
{
    let Seeds(range) = match std::env::var(SEED_VARIABLE) {
        Err(std::env::VarError::NotPresent) => seeds.into(),
        Ok(text) if text.trim().parse::<u64>().is_ok() => text.trim().parse::<u64>().unwrap_or(0).into(),
        other => panic!("{SEED_VARIABLE} must be a number from 0 to {}, not {other:?}", u64::MAX),
    };
    let mut last = None;
    for seed in range {
        let seed = u64::try_from(seed).unwrap_or(u64::MAX);
        let output = run_seed(builder, seed, &body);
        if output.failure().is_some() {
            return output;
        }
        last = Some(output);
    }
    match last {
        Some(output) => output,
        None => panic!("this test names no seed: an empty range tries nothing"),
    }
}

#[track_caller]
fn run_seed<F>(builder: &mut Builder, seed: u64, body: impl Fn() -> F) -> F::Output
where
    F: Future,
    F::Output: Outcome,
{
    let runtime = match builder.deterministic(seed).build() {
        Ok(runtime) => runtime,
        Err(error) => panic!("filch could not start a runtime: {error}"),
    };
    let sim = runtime.handle().sim().expect("it was built deterministic");
    let output = catch_unwind(AssertUnwindSafe(|| runtime.block_on(body())));
    let failure = match &output {
        Ok(output) => output.failure(),
        Err(_) => Some("it panicked".to_owned()),
    };
    if let Some(failure) = failure {
        report(&sim, &failure);
    }
    let finished = catch_unwind(AssertUnwindSafe(|| runtime.finish(BLOCKING_GRACE)));
    match (output, finished) {
        (Ok(output), Ok(_)) => output,
        (Err(payload), _) | (Ok(_), Err(payload)) => resume_unwind(payload),
    }
}

/// To stderr as a test prints: it is shown with the failure.
fn report(sim: &Sim, failure: &str) {
    eprintln!("filch: failed under seed {}: {failure}", sim.seed());
    eprintln!(
        "  {} steps, trace {:016x}, virtual time {:?}; {SEED_VARIABLE}={} runs this seed alone",
        sim.steps(),
        sim.trace(),
        sim.elapsed(),
        sim.seed()
    );
    if !sim.is_deterministic() {
        eprintln!("  another thread took part: the same seed may go another way");
    }
    for waiting in sim.waiting() {
        eprintln!("  alive: {waiting}");
    }
}
