//! The checks of `filch-props`, driven at random, exhaustively, and with what was saved.

#[path = "../../../timer/tests/wheel_model/mod.rs"]
mod wheel_model;

use filch_props::checks::{self as runtime, Destructors};
use filch_props_io::checks as io;
use proptest::prelude::*;
use std::path::Path;

type Check = fn(&[u8]);

/// The checks by the names of their fuzz targets and corpora.
const CHECKS: [(&str, Check); 6] = [
    ("inbox", runtime::inbox),
    ("local_queue", runtime::local_queue),
    ("readiness", io::readiness),
    ("slab", io::slab),
    ("task", runtime::task),
    ("wheel", wheel_model::check_bytes),
];

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 1..300)
}

/// Miri is a thousand times slower.
const CASES: u32 = if cfg!(miri) { 8 } else { 2_000 };

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_task_is_like_its_model(bytes in bytes()) {
        runtime::task(&bytes);
    }

    #[test]
    fn the_inbox_is_like_a_list(bytes in bytes()) {
        runtime::inbox(&bytes);
    }

    #[test]
    fn queues_are_like_lists(bytes in bytes()) {
        runtime::local_queue(&bytes);
    }

    #[test]
    fn readiness_is_like_its_model(bytes in bytes()) {
        io::readiness(&bytes);
    }

    #[test]
    fn tokens_are_like_keys(bytes in bytes()) {
        io::slab(&bytes);
    }

    #[test]
    fn the_wheel_is_like_an_ordered_map(bytes in bytes()) {
        wheel_model::check_bytes(&bytes);
    }
}

/// Every sequence of five things that can be done to one task (polls that wait, end or panic, wakes, aborts, the use and the drop of its handle), then
/// the end, with each set of destructors that panic; and of six, with none.
#[test]
fn all_that_can_happen_to_one_task() {
    for panics in Destructors::all() {
        let sequences = runtime::exhaust_task(panics, 5);
        assert!(sequences > 19_000, "{sequences} sequences with {panics:?}");
    }
    let sequences = runtime::exhaust_task(Destructors::default(), 6);
    assert!(sequences > 120_000, "{sequences} sequences");
}

/// What fuzzers and failures have left is tried again.
#[test]
fn the_saved_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (name, check) in CHECKS {
        let mut files = 0;
        for entry in std::fs::read_dir(corpus.join(name)).expect("every check has a corpus") {
            let path = entry.expect("an entry").path();
            let bytes = std::fs::read(&path).expect("a file");
            // Printed by a failure only.
            eprintln!("{}", path.display());
            check(&bytes);
            files += 1;
        }
        assert!(files > 0, "the corpus of {name} is empty");
    }
}

/// The millionth value as the first one: see [`runtime::deque`].
#[test]
fn the_deque_gives_each_value_once() {
    for (thieves, burst) in [(1, 1), (1, 100), (2, 10), (3, 1_000)] {
        let stolen = runtime::deque(1_000_000, thieves, burst);
        assert!(
            stolen > 0,
            "nothing was stolen by {thieves} thieves in bursts of {burst}"
        );
    }
}

#[test]
fn a_thief_and_the_owner_let_each_other_go_on() {
    runtime::lone_thief(100_000);
}

/// Runs in a process of its own, for the test below: it ends in an abort.
#[test]
fn too_many_references() {
    if std::env::var_os("FILCH_TOO_MANY").is_some() {
        runtime::too_many_references();
    }
}

#[test]
fn one_reference_too_many_aborts_the_process() {
    let this = std::env::current_exe().expect("a running test has a path");
    let child = std::process::Command::new(this)
        .args(["--exact", "too_many_references", "--nocapture"])
        .env("FILCH_TOO_MANY", "1")
        .output()
        .expect("it starts");
    let printed = String::from_utf8_lossy(&child.stderr);
    assert!(printed.contains("as many as there may be"), "{printed}");
    assert!(!printed.contains("more than there may be"), "{printed}");
    // SIGABRT has no exit status.
    assert_eq!(child.status.code(), None);
}
