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
        let open = row[3].starts_with("not built yet");
        assert!(tests > 0 || (open && number == 39), "property {number} has no test");
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
