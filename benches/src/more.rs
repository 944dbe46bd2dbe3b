//! What the long programme compares besides: filch and Tokio over another allocator, Tokio with its switches, Go.
//!
//! These are other programs: builds of this one with a feature or a condition, in target directories of their own, and one in Go. They answer as a child does, in turns with filch and Tokio as they
//! are in the table.

use crate::question::{Case, Entry};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The environment variable that tells a child which of Tokio's switches to turn.
pub(crate) const SWITCH: &str = "FILCH_BENCH_TOKIO";

/// One comparison.
pub(crate) struct Section {
    /// Under which its figures stand, and the place in the README.
    pub(crate) name: &'static str,
    /// The programs' names and their cases'.
    cases: &'static [(&'static str, &'static str)],
    others: &'static [Other],
    /// Makes the program for a question, or says what is missing.
    build: fn(question: &str) -> Result<PathBuf, String>,
}

/// One who takes part besides filch and Tokio.
struct Other {
    name: &'static str,
    contender: &'static str,
    switch: Option<&'static str>,
    base: &'static str,
}

const fn switched(name: &'static str, switch: &'static str) -> Other {
    Other {
        name,
        contender: "tokio",
        switch: Some(switch),
        base: "tokio",
    }
}

/// All comparisons.
pub(crate) const SECTIONS: &[Section] = &[
    Section {
        name: "mimalloc",
        cases: &[
            ("spawn", "spawn"),
            ("spawn", "spawn_outside"),
            ("spawn", "spawn_join"),
            ("spawn", "chain"),
            ("fork", "skynet"),
            ("fork", "fib"),
            ("messages", "ping_pong"),
            ("messages", "ring"),
            ("messages", "producers"),
            ("uneven", "uneven"),
            ("timers", "timeout"),
            ("timers", "sleeps"),
            ("memory", "parked_task"),
            ("memory", "sleeping_task"),
            ("echo", "echo"),
        ],
        others: &[
            Other {
                name: "filch, mimalloc",
                contender: "filch",
                switch: None,
                base: "tokio, mimalloc",
            },
            Other {
                name: "tokio, mimalloc",
                contender: "tokio",
                switch: None,
                base: "tokio, mimalloc",
            },
        ],
        build: |question| cargo("mimalloc", question, &["--features", "mimalloc"], ""),
    },
    Section {
        name: "switches",
        cases: &[
            ("spawn", "spawn"),
            ("messages", "ping_pong"),
            ("timers", "timeout"),
            ("timers", "sleeps"),
            ("late", "late"),
            ("stuck", "stuck"),
        ],
        others: &[
            switched("tokio, alternative timer", "alt_timer"),
            switched("tokio, eager driver hand-off", "eager_driver_handoff"),
            switched("tokio, no LIFO slot", "disable_lifo_slot"),
        ],
        build: |question| cargo("switches", question, &[], "--cfg tokio_unstable"),
    },
    Section {
        name: "go",
        cases: &[
            ("spawn", "spawn_join"),
            ("fork", "skynet"),
            ("fork", "fib"),
            ("messages", "ping_pong"),
        ],
        others: &[Other {
            name: "go",
            contender: "go",
            switch: None,
            base: "tokio",
        }],
        build: go,
    },
];

/// Whether figures belong to a comparison, and not to the table.
pub(crate) fn is_section(question: &str) -> bool {
    SECTIONS.iter().any(|section| section.name == question)
}

/// Whether the cases that a comparison wants are there.
///
/// # Panics
///
/// If one is not.
pub(crate) fn check(question: &str, cases: &[Case]) {
    for section in SECTIONS {
        for (program, name) in section.cases {
            assert!(
                *program != question || cases.iter().any(|case| case.name == *name),
                "{question} has no case {name}, which {} names",
                section.name
            );
        }
    }
}

/// The comparisons that a case takes part in, with those who take part.
pub(crate) fn each(question: &str, case: &Case, mut run: impl FnMut(&'static str, Vec<Entry>)) {
    let wanted = |section: &&Section| section.cases.contains(&(question, case.name));
    for section in SECTIONS.iter().filter(wanted) {
        let program = match (section.build)(question) {
            Ok(program) => program,
            Err(missing) => {
                println!("{}, {}: no figures, since {missing}", section.name, case.name);
                continue;
            }
        };
        let own = case
            .contenders
            .iter()
            .filter(|one| ["filch", "tokio"].contains(&one.name));
        let mut entries: Vec<Entry> = own.map(|one| Entry::own(case, one)).collect();
        entries.extend(section.others.iter().map(|other| Entry {
            name: other.name,
            base: other.base,
            program: program.clone(),
            contender: other.contender,
            switch: other.switch,
        }));
        run(section.name, entries);
    }
}

/// A place for what is built, in the target directory that this program stands in.
fn place(name: &str) -> Result<PathBuf, String> {
    let this = std::env::current_exe().map_err(|error| format!("this program has no path: {error}"))?;
    // target/release/deps/program
    let target = this
        .ancestors()
        .nth(3)
        .ok_or("this program stands in no target directory")?;
    Ok(target.join(format!("benches-{name}")))
}

/// Builds this program once more.
fn cargo(name: &str, question: &str, words: &[&str], flags: &str) -> Result<PathBuf, String> {
    let mut all_flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    if !flags.is_empty() {
        all_flags = format!("{all_flags} {flags}");
    }
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["bench", "--no-run", "--bench", question])
        .args(["--message-format", "json-render-diagnostics"])
        .args(words)
        .arg("--target-dir")
        .arg(place(name)?)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("RUSTFLAGS", all_flags)
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("its build failed: {}", output.status));
    }
    executable(&String::from_utf8_lossy(&output.stdout)).ok_or_else(|| "cargo names no program".to_owned())
}

/// The path of the program in cargo's messages. Only one is built, so only one has a path.
fn executable(messages: &str) -> Option<PathBuf> {
    let (_, rest) = messages.split_once(r#""executable":""#)?;
    let (path, _) = rest.split_once('"')?;
    Some(path.into())
}

/// Builds the program in Go.
fn go(_: &str) -> Result<PathBuf, String> {
    let program = place("go")?;
    let status = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg("main.go")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("go"))
        .status();
    match status {
        Ok(status) if status.success() => Ok(program),
        Ok(status) => Err(format!("its build failed: {status}")),
        Err(error) => Err(format!("`go` cannot be run ({error}); Debian's package is golang-go")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_program_is_found_in_cargos_messages() {
        let library = r#"{"reason":"compiler-artifact","target":{"name":"filch"},"executable":null}"#;
        let bench =
            r#"{"reason":"compiler-artifact","target":{"name":"spawn"},"executable":"/a/deps/spawn-1","fresh":true}"#;
        let end = r#"{"reason":"build-finished","success":true}"#;
        let found = executable(&[library, bench, end].join("\n"));
        assert_eq!(found, Some("/a/deps/spawn-1".into()));
        assert_eq!(executable(&[library, end].join("\n")), None);
    }

    #[test]
    fn whoever_is_compared_has_a_base_that_takes_part() {
        for section in SECTIONS {
            let names: Vec<&str> = section.others.iter().map(|other| other.name).collect();
            for other in section.others {
                let is_there = other.base == "tokio" || names.contains(&other.base);
                assert!(is_there, "{} is compared with {}", other.name, other.base);
            }
        }
    }
}
