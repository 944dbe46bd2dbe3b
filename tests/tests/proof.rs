//! What docs/proof.md claims, as far as a machine can read it: its tests exist, its counts are those of the sources.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ stands in the workspace")
        .to_path_buf()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("docs/proof.md names {path}: {error}"))
}

/// The cells of the table rows below a heading.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let text = read("docs/proof.md");
    let section = text
        .split(&format!("\n## {heading}\n"))
        .nth(1)
        .expect("the section is there");
    let section = section.split("\n## ").next().unwrap_or(section);
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|line| {
        line.trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    })
    .collect()
}

/// The parts of a text in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_property_names_tests_that_exist() {
    let mut sources: BTreeMap<String, String> = BTreeMap::new();
    let rows = rows("Forty properties");
    assert_eq!(rows.len(), 40);
    for (number, row) in (1..).zip(&rows) {
        assert_eq!(row[0], number.to_string());
        let mut tests = 0;
        for name in quoted(&row[3]) {
            let (path, test) = name.split_once(": ").expect("a file and a test");
            let source = sources.entry(path.to_owned()).or_insert_with(|| read(path));
            // A test by its own attribute, or one that a macro such as proptest's makes of it.
            let place = source
                .find(&format!("fn {test}("))
                .unwrap_or_else(|| panic!("{path} has no test {test}"));
            let before = source[..place].lines().rev().take(4).collect::<String>();
            assert!(before.contains("test]"), "{test} in {path} is no test");
            tests += 1;
        }
        assert!(tests > 0, "property {number} has no test");
    }
}

#[test]
fn unsafe_code_is_as_much_as_is_said() {
    for row in rows("Unsafe code") {
        let path = row[0].trim_matches('`');
        let text = read(path);
        let code: Vec<&str> = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect();
        let count = |what: &str| {
            code.iter()
                .map(|line| line.matches(what).count())
                .sum::<usize>()
                .to_string()
        };
        let found = [count("unsafe {"), count("unsafe fn"), count("unsafe impl")];
        assert_eq!(found, row[1..4], "blocks, functions and impls in {path}");
    }
}

#[test]
fn the_deque_is_the_version_that_is_described() {
    let lock = read("Cargo.lock");
    let version = lock
        .split("name = \"crossbeam-deque\"\nversion = \"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let version = version.expect("it is locked");
    assert!(
        read("docs/proof.md").contains(&format!("crossbeam-deque's, version {version},")),
        "docs/proof.md describes another version than {version}"
    );
}

/// A file, a function in it, and the kind of an ordering.
type Place = (String, String, String);

/// Every ordering that is stronger than Relaxed, and every fence, of the sources that `.ci/orderings` looks at.
fn orderings() -> BTreeMap<Place, usize> {
    let mut found = BTreeMap::new();
    let mut folders = ["runtime/src", "io/src", "timer/src"].map(PathBuf::from).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("a folder of sources") {
            let entry = entry.expect("an entry");
            let path = folder.join(entry.file_name());
            if entry.file_type().expect("its type").is_dir() {
                folders.push(path);
                continue;
            }
            let file = path.to_str().expect("a plain name").to_owned();
            let simulated = ["scheduler/simulation.rs", "scheduler/record.rs"];
            if !file.ends_with(".rs") || simulated.iter().any(|name| file.ends_with(name)) {
                continue;
            }
            let mut function = String::new();
            // How far the condition of a planted bug is indented; its branch is no part of any program.
            let mut bug = None;
            for line in read(&file).lines().filter(|line| !line.trim_start().starts_with("//")) {
                let indent = line.len() - line.trim_start().len();
                if bug.is_some_and(|outer| indent > outer) {
                    continue;
                }
                let planted = line.contains("if seeded(Bug::") && line.ends_with('{');
                bug = planted.then_some(indent);
                if let Some(name) = defined(line) {
                    function = name.to_owned();
                }
                let mut before = "";
                for part in line.split("Ordering::") {
                    let name: String = part.chars().take_while(char::is_ascii_alphabetic).collect();
                    let kind = match before.ends_with("fence(") {
                        true => format!("fence({name})"),
                        false => name.clone(),
                    };
                    before = part;
                    if ["AcqRel", "Acquire", "Release", "SeqCst"].contains(&name.as_str()) {
                        *found.entry((file.clone(), function.clone(), kind)).or_default() += 1;
                    }
                }
            }
        }
    }
    found
}

/// The name of the function that a line begins.
fn defined(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("fn ")?;
    let end = rest
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(rest.len());
    (end > 0).then(|| &rest[..end])
}

#[test]
fn every_ordering_has_its_partner_and_its_model() {
    let rows = rows("Orderings");
    let mut described: BTreeMap<Place, usize> = BTreeMap::new();
    for row in &rows {
        let plain = |cell: &str| cell.trim_matches('`').to_owned();
        *described
            .entry((plain(&row[0]), plain(&row[1]), row[2].clone()))
            .or_default() += 1;
    }
    let found = orderings();
    for (place, count) in &found {
        assert_eq!(described.get(place), Some(count), "docs/proof.md, Orderings: {place:?}");
    }
    for place in described.keys() {
        assert!(
            found.contains_key(place),
            "docs/proof.md, Orderings: there is no {place:?}"
        );
    }
    let models: String = ["loom-tests/models", "loom-tests/io/models", "loom-tests/timer/models"]
        .iter()
        .flat_map(|folder| fs::read_dir(root().join(folder)).expect("a folder of models"))
        .map(|entry| fs::read_to_string(entry.expect("an entry").path()).expect("a model"))
        .collect();
    let accepted = read("loom-tests/orderings.tsv");
    for row in &rows {
        let place = format!("{} {} {}", row[0], row[1], row[2]);
        let mut partners = 0;
        for partner in quoted(&row[3]) {
            let (file, function) = partner.split_once(": ").unwrap_or((row[0].trim_matches('`'), partner));
            let ordered = described.keys().any(|(at, of, _)| at == file && of == function);
            assert!(ordered, "{place}: its partner {partner} has no ordering");
            partners += 1;
        }
        assert!(partners > 0, "{place} has no partner");
        let mut shown = 0;
        for model in quoted(&row[4]) {
            assert!(
                models.contains(&format!("fn {model}(")),
                "{place}: there is no model {model}"
            );
            shown += 1;
        }
        let explained = accepted.lines().any(|line| {
            let reason = line.rsplit('\t').next().unwrap_or_default();
            line.starts_with(row[0].trim_matches('`')) && !reason.is_empty() && row[4].contains(reason)
        });
        // Of an exchange that acquires and releases each half is shown by itself.
        let needed = if row[2] == "AcqRel" { 2 } else { 1 };
        assert!(
            shown + usize::from(explained) >= needed,
            "{place}: no model, and no reason in loom-tests/orderings.tsv"
        );
    }
}

/// docs/differences.md says of each difference from Tokio why, and which test holds it.
#[test]
fn each_difference_has_its_reason_and_its_test() {
    let text = read("docs/differences.md");
    let table = text.split("\n## ").next().expect("a beginning");
    let rows: Vec<_> = table.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 15, "the look at the table finds nothing");
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert!(cells.len() == 4 && cells.iter().all(|cell| !cell.is_empty()), "{row}");
        let files: Vec<_> = quoted(cells[3]).collect();
        assert!(!files.is_empty(), "no test: {row}");
        for file in files {
            let path = root().join(file);
            let folder = path.parent().expect("a folder");
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            let (begin, end) = name.split_once('*').unwrap_or((&name, ""));
            let exists = fs::read_dir(folder).expect("a folder").flatten().any(|entry| {
                let entry = entry.file_name().to_string_lossy().into_owned();
                entry.starts_with(begin) && entry.ends_with(end)
            });
            assert!(exists, "there is no {file}");
        }
    }
}
