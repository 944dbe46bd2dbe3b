//! Rules about the sources that no compiler knows: where unsafe code and conditional compilation may stand, who may import
//! whom, and that the architecture's journeys and docs/scaling.md name what exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The only files with unsafe code.
const UNSAFE: [&str; 7] = [
    "runtime/src/task/raw.rs",
    "runtime/src/task/memory.rs",
    "runtime/src/task/list.rs",
    "runtime/src/scheduler/current.rs",
    "runtime/src/scheduler/owned.rs",
    "runtime/src/debug/sampler_linux.rs",
    "io/src/buf.rs",
];

/// The only files, besides each crate's lib.rs, that know of loom.
const LOOM: [&str; 5] = [
    "runtime/src/shim.rs",
    "io/src/sync.rs",
    "io/src/sys/fake.rs",
    "io/src/sys/mio.rs",
    "timer/src/sync.rs",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ stands in the workspace")
        .to_path_buf()
}

/// The Rust files below a folder of the workspace, with their paths from the root.
fn sources(folder: &str) -> BTreeMap<String, String> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder of the workspace").flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = root();
    let mut found = Vec::new();
    walk(&root.join(folder), &mut found);
    assert!(!found.is_empty(), "{folder} has no sources");
    let name = |path: &PathBuf| path.strip_prefix(&root).expect("below the root").display().to_string();
    found
        .iter()
        .map(|path| (name(path), fs::read_to_string(path).expect("a readable file")))
        .collect()
}

fn crates() -> BTreeMap<String, String> {
    ["runtime/src", "runtime/macros/src", "io/src", "timer/src"]
        .iter()
        .flat_map(|folder| sources(folder))
        .collect()
}

/// The lines of a file without comments, with their numbers.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(number, line)| (number + 1, line.split("//").next().unwrap_or_default()))
        .filter(|(_, line)| !line.trim().is_empty())
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
        .any(|found| found == word)
}

#[test]
fn unsafe_code_stands_only_where_it_is_expected() {
    for (path, text) in crates() {
        let found = code(&text).find(|(_, line)| has_word(line, "unsafe"));
        if let Some((number, line)) = found {
            assert!(
                UNSAFE.contains(&path.as_str()),
                "unsafe code in {path}:{number}: {line}"
            );
        }
    }
}

#[test]
fn only_the_doors_know_loom() {
    for (path, text) in crates() {
        if LOOM.contains(&path.as_str()) {
            continue;
        }
        let lines: Vec<_> = code(&text).collect();
        for (place, (number, line)) in lines.iter().enumerate() {
            // Texts, such as an attribute's reason, may name it.
            let outside: String = line.split('"').step_by(2).collect();
            if !["loom", "shuttle", "props"].iter().any(|name| has_word(&outside, name)) {
                continue;
            }
            assert!(
                path.ends_with("src/lib.rs"),
                "conditional compilation in {path}:{number}: {line}"
            );
            // In lib.rs: an attribute, and what follows the attributes is a whole mod or use.
            assert!(
                line.trim_start().starts_with("#[") || line.contains("models"),
                "{path}:{number}: {line}"
            );
            let item = lines[place..]
                .iter()
                .map(|(_, line)| line.trim())
                .find(|line| !line.starts_with("#["));
            let item = item
                .unwrap_or_default()
                .trim_start_matches("pub ")
                .trim_start_matches("pub(crate) ");
            assert!(
                item.starts_with("mod ") || item.starts_with("use "),
                "{path}:{number} is not on a mod or use: {item}"
            );
        }
    }
}

#[test]
fn sequential_consistency_is_a_fence() {
    // The model checker treats SeqCst loads and stores as weaker than they are, so a protocol that needs them is written with fences.
    for (path, text) in crates() {
        for (number, line) in code(&text).filter(|(_, line)| line.contains("SeqCst")) {
            assert!(line.contains("fence(Ordering::SeqCst)"), "{path}:{number}: {line}");
        }
    }
}

#[test]
fn the_leaves_know_neither_each_other_nor_the_runtime() {
    for (folder, strangers) in [
        ("io/src", ["filch_timer", "filch"]),
        ("timer/src", ["filch_io", "filch"]),
    ] {
        for (path, text) in sources(folder) {
            for (number, line) in code(&text) {
                // Texts in messages may name filch.
                let outside: String = line.split('"').step_by(2).collect();
                for stranger in strangers {
                    assert!(
                        !has_word(&outside, stranger),
                        "{path}:{number} knows {stranger}: {line}"
                    );
                }
            }
        }
    }
}

/// Which files of a crate each file imports.
fn imports(folder: &str) -> BTreeMap<String, BTreeSet<String>> {
    let files = sources(folder);
    // crate::a::b is folder/a/b.rs, folder/a/b/mod.rs or an item in folder/a.rs.
    let resolve = |path: &str| {
        let parts: Vec<&str> = path.split("::").collect();
        (1..=parts.len()).rev().find_map(|length| {
            let base = format!("{folder}/{}", parts[..length].join("/"));
            [format!("{base}.rs"), format!("{base}/mod.rs")]
                .into_iter()
                .find(|file| files.contains_key(file))
        })
    };
    let mut graph = BTreeMap::new();
    for (file, text) in &files {
        let mut targets = BTreeSet::new();
        let joined: String = code(text).map(|(_, line)| line.trim()).collect::<Vec<_>>().join(" ");
        for (place, _) in joined.match_indices("crate::") {
            let rest = &joined[place + "crate::".len()..];
            let path: String = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':')
                .collect();
            targets.extend(resolve(path.trim_end_matches(':')));
        }
        targets.remove(file);
        graph.insert(file.clone(), targets);
    }
    graph
}

#[test]
fn no_file_imports_itself_through_others() {
    for folder in ["runtime/src", "io/src", "timer/src"] {
        let mut graph = imports(folder);
        // The faces re-export from everywhere; nobody may import through them, see below.
        graph.retain(|file, _| !file.ends_with("/lib.rs") && !file.ends_with("/mod.rs"));
        // Takes away files without imports until none is left: what remains has a cycle.
        loop {
            let leaves: BTreeSet<String> = graph
                .iter()
                .filter(|(_, to)| to.iter().all(|to| !graph.contains_key(to)))
                .map(|(f, _)| f.clone())
                .collect();
            if leaves.is_empty() {
                break;
            }
            graph.retain(|file, _| !leaves.contains(file));
        }
        assert!(
            graph.is_empty(),
            "these files import each other in a circle: {graph:#?}"
        );
    }
}

#[test]
fn tasks_do_not_know_the_scheduler() {
    let graph = imports("runtime/src");
    for (file, targets) in graph
        .iter()
        .filter(|(file, _)| file.starts_with("runtime/src/task/") && !file.ends_with("mod.rs"))
    {
        for target in targets {
            let below =
                ["task/", "scope/", "shim.rs", "coop.rs", "context.rs"].map(|name| format!("runtime/src/{name}"));
            assert!(
                below.iter().any(|below| target.starts_with(below.as_str())),
                "{file} imports {target}"
            );
            assert!(!target.ends_with("/mod.rs"), "{file} imports the face {target}");
        }
    }
    for (file, targets) in graph
        .iter()
        .filter(|(file, _)| file.starts_with("runtime/src/scheduler/"))
    {
        let above = [
            "blocking.rs",
            "builder.rs",
            "handle.rs",
            "rt.rs",
            "spawn.rs",
            "join_set.rs",
            "run.rs",
            "metrics.rs",
        ];
        for target in targets {
            assert!(
                !above.iter().any(|above| target == &format!("runtime/src/{above}")),
                "{file} imports {target}"
            );
        }
    }
}

#[test]
fn only_the_driver_knows_both_leaves() {
    // Who turns them is one file; the others only pass handles on.
    for (path, text) in sources("runtime/src") {
        let turns = code(&text).any(|(_, line)| line.contains("reactor.turn(") || line.contains("timers.turn("));
        assert!(
            !turns || path == "runtime/src/driver.rs",
            "{path} turns a reactor or timers"
        );
    }
    for folder in ["io/src", "timer/src"] {
        for (path, text) in sources(folder) {
            for (number, line) in code(&text).filter(|(_, line)| line.contains(".wake()")) {
                // Timers may wake their sleeping worker; the budget and the reactor's own eventfd are no tasks' wakers.
                assert!(
                    line.contains("ports.wake()") || line.contains("waker.wake()") && path.ends_with("sys/mio.rs"),
                    "{path}:{number} wakes: {line}"
                );
            }
        }
    }
}

/// The journeys of ARCHITECTURE.md name files and functions as `file.rs: function`.
#[test]
fn the_journeys_name_what_exists() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is there");
    let files = crates();
    let mut steps = 0;
    for name in text.split('`').skip(1).step_by(2) {
        let Some((file, function)) = name.split_once(": ") else {
            continue;
        };
        if !file.ends_with(".rs") {
            continue;
        }
        let source = files
            .get(file)
            .unwrap_or_else(|| panic!("ARCHITECTURE.md names {file}, which does not exist"));
        let function = function.rsplit("::").next().unwrap_or(function);
        let found = code(source).any(|(_, line)| line.contains(&format!("fn {function}")));
        assert!(
            found,
            "ARCHITECTURE.md names {function} in {file}, where there is no such function"
        );
        steps += 1;
    }
    assert!(
        steps >= 20,
        "ARCHITECTURE.md names only {steps} steps: are the journeys still there?"
    );
}

/// The number of the line in which a function is defined; of several with that name, of the one next to line `near`.
fn line_of(source: &str, function: &str, near: usize) -> Option<usize> {
    let defined = |line: &str| {
        line.match_indices(&format!("fn {function}"))
            .any(|(place, found)| line[place + found.len()..].starts_with(['(', '<']))
    };
    code(source)
        .filter(|(_, line)| defined(line))
        .map(|(number, _)| number)
        .min_by_key(|number| number.abs_diff(near))
}

/// docs/scaling.md names places as `file.rs:line: function`. Lines move with every change, functions do not: these are what must be there. With `FILCH_LINES=renew`
/// the present lines are written.
#[test]
fn scaling_names_what_exists() {
    let path = root().join("docs/scaling.md");
    let text = fs::read_to_string(&path).expect("docs/scaling.md is there");
    let files = crates();
    let mut places = 0;
    let renewed: Vec<String> = text
        .split('`')
        .enumerate()
        .map(|(number, part)| {
            let Some((file, rest)) = part.split_once(".rs:").filter(|_| number % 2 == 1) else {
                return part.to_owned();
            };
            let (line, function) = rest
                .split_once(": ")
                .unwrap_or_else(|| panic!("{part}: no line, or no function"));
            let near = line.parse().unwrap_or_else(|_| panic!("{part}: {line} is no line"));
            let source = files
                .get(&format!("{file}.rs"))
                .unwrap_or_else(|| panic!("docs/scaling.md names {file}.rs, which does not exist"));
            let found = line_of(source, function, near).unwrap_or_else(|| {
                panic!("docs/scaling.md names {function} in {file}.rs, where there is no such function")
            });
            places += 1;
            format!("{file}.rs:{found}: {function}")
        })
        .collect();
    assert!(places >= 100, "docs/scaling.md names only {places} places");
    if std::env::var("FILCH_LINES").is_ok_and(|wish| wish == "renew") {
        fs::write(&path, renewed.join("`")).expect("docs/scaling.md can be written");
    }
}

/// The figures for 2, 8, 32 and 128 workers in docs/scaling.md are what their formulas give, and the limits in these are the sources'.
#[test]
fn scaling_counts_what_it_says() {
    let text = fs::read_to_string(root().join("docs/scaling.md")).expect("docs/scaling.md is there");
    let files = crates();
    let limit = |file: &str, limit: &str| {
        let source = &files[file];
        assert!(source.contains(limit), "{file} does not say {limit} any more");
    };
    limit("runtime/src/scheduler/inbox.rs", "const MAX_SHARDS: usize = 8;");
    limit(
        "runtime/src/scheduler/idle.rs",
        "const BITS: usize = usize::BITS as usize;",
    );
    limit("runtime/src/scheduler/worker.rs", "const STEAL_LIMIT: usize = 64;");
    limit("runtime/src/scheduler/worker.rs", "const DRIVER_INTERVAL: u32 = 61;");
    limit("runtime/src/staff.rs", "settings.workers + 1");
    limit("runtime/src/task/id.rs", "const BLOCK: u64 = 256;");
    let shards = |n: usize| n.next_power_of_two().min(8);
    let value = |formula: &str, n: usize| match formula {
        "1" => 1,
        "n" => n,
        "3n" => 3 * n,
        "n - 1" => n - 1,
        "2(n - 1)" => 2 * (n - 1),
        "n(n - 1)" => n * (n - 1),
        "2n + 1" => 2 * n + 1,
        "n / 64, up" => n.div_ceil(64),
        "min(n, 8), to a power of two" => shards(n),
        "n / shards" => n / shards(n),
        _ => panic!("docs/scaling.md has the formula {formula}, which this test does not know"),
    };
    let section = |heading: &str| {
        let begin = text
            .split(&format!("\n## {heading}\n"))
            .nth(1)
            .unwrap_or_else(|| panic!("no {heading}"));
        let rows = begin.split("\n## ").next().unwrap_or(begin).lines();
        let rows: Vec<Vec<&str>> = rows
            .filter(|line| line.starts_with("| "))
            .skip(1)
            .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
            .collect();
        rows
    };
    let grown = section("What grows with the workers");
    assert!(
        grown.len() >= 15,
        "the look at the table finds only {} rows",
        grown.len()
    );
    for row in &grown {
        for (cell, n) in row[2..6].iter().zip([2, 8, 32, 128]) {
            assert_eq!(*cell, value(row[1], n).to_string(), "{} with {n} workers", row[0]);
        }
    }
    let operations = section("Operations");
    assert!(
        operations.len() >= 30,
        "the look at the table finds only {} rows",
        operations.len()
    );
    for row in &operations {
        assert_eq!(row.len(), 7, "{}", row[0]);
        assert!(row.iter().all(|cell| !cell.is_empty()), "{}", row[0]);
        // Lines at 2, 8, 32 and 128 workers.
        let lines: Vec<&str> = row[1]
            .split([':', ';', '.'])
            .next()
            .unwrap_or_default()
            .split(" / ")
            .collect();
        assert_eq!(lines.len(), 4, "{}: {}", row[0], row[1]);
        assert!(row[6].contains(".rs:") || row[6].starts_with("as above"), "{}", row[0]);
    }
}

/// Chains of `let` and `&&` came with Rust 1.88, which is newer than what the crates ask for; no lint says so.
#[test]
fn no_condition_is_newer_than_the_minimum_rust() {
    for (path, text) in crates() {
        let joined: String = code(&text).map(|(_, line)| line.trim()).collect::<Vec<_>>().join(" ");
        for keyword in [" if let ", " while let ", " if ", " while "] {
            for (place, _) in joined.match_indices(keyword) {
                let condition = &joined[place + 1..];
                let condition = &condition[..condition.find(['{', ';']).unwrap_or(condition.len())];
                assert!(
                    !condition.contains("&& let "),
                    "a chain of conditions in {path}: {condition}"
                );
                // What stands in parentheses, such as a closure's body, is no chain.
                let mut depth = 0;
                let flat: String = condition
                    .chars()
                    .filter(|c| {
                        depth += i32::from(matches!(c, '(' | '[')) - i32::from(matches!(c, ')' | ']'));
                        depth == 0
                    })
                    .collect();
                assert!(
                    !flat.starts_with(keyword.trim()) || !keyword.contains("let") || !flat.contains("&&"),
                    "{path}: {condition}"
                );
            }
        }
    }
}

/// Without default features there are these direct dependencies and no others.
#[test]
fn the_core_has_few_dependencies() {
    for (package, expected) in [
        (
            "runtime",
            &[
                "crossbeam-deque",
                "crossbeam-utils",
                "filch-io",
                "filch-timer",
                "pin-project-lite",
                "rustix",
            ][..],
        ),
        ("io", &["mio", "pin-project-lite", "rustix", "socket2"][..]),
        ("timer", &["pin-project-lite"][..]),
    ] {
        let manifest = fs::read_to_string(root().join(package).join("Cargo.toml")).expect("a manifest");
        let mut inside = false;
        let mut found = BTreeSet::new();
        for line in manifest.lines() {
            if line.starts_with('[') {
                inside = line.ends_with("dependencies]") && !line.contains("dev-");
            } else if inside && line.contains('=') && !line.contains("optional = true") {
                found.insert(line.split(['.', ' ', '=']).next().unwrap_or_default().to_string());
            }
        }
        let expected: BTreeSet<String> = expected.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected, "the direct dependencies of {package}");
    }
}
