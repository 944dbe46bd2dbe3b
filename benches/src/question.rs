//! A program's command line, its children, and its answers.
//!
//! ```text
//! cargo bench --bench NAME -- [part of a case's name]... [--rounds N] [--full] [--no-counts]
//! ```
//!
//! For each case all contenders run in turns, each run a process of its own, and who begins changes from round to round. After the timed rounds each runs twice more: once with
//! its allocations counted, and once under `strace -f -c`, if that is installed, for its system calls. So counting disturbs no figure.

use crate::count;
use crate::more::{self, SWITCH};
use crate::table::{self, Counts, Figure, Results};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// A line of the table: what is measured in a case. A case may have several.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its name, which is unique in the table.
    pub name: &'static str,
    /// What the figures are.
    pub unit: &'static str,
    /// What it is, in a sentence.
    pub what: &'static str,
    /// The ratio to Tokio's figure that filch is to have at most; one that is larger than nothing if more is better, and then at least.
    pub target: Option<Target>,
}

/// What a ratio to Tokio's figure is to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// At most so much.
    Most(f64),
    /// At least so much: more is better.
    Least(f64),
    /// The figure itself, not the ratio, is to be at most so much.
    Figure(f64),
}

/// What runs in a child.
#[derive(Debug, Clone, Copy)]
pub struct Contender {
    /// `filch`, `tokio`, `smol`, or what else there is to compare with.
    pub name: &'static str,
    /// Measures, and gives its answers.
    pub run: fn(&mut Run),
}

/// What the parent does while a child runs; says how many operations that were.
pub type Drive = fn(&mut Measurement, point: usize) -> Driven;

/// What came of a [`Drive`].
#[derive(Debug, Default)]
pub struct Driven {
    /// Operations.
    pub operations: f64,
    /// Figures of rows.
    pub figures: Vec<(&'static str, f64)>,
}

/// Something to be measured.
#[derive(Debug)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// The lines that it gives.
    pub rows: &'static [Row],
    /// Who is compared, filch first and then Tokio, if both are.
    pub contenders: &'static [Contender],
    /// Whose figures the ratios are to.
    pub base: &'static str,
    /// The sizes for which it runs; one that means nothing if the case has none.
    pub points: &'static [usize],
    /// Whether it belongs to the long programme only.
    pub full: bool,
    /// What the parent does.
    pub drive: Option<Drive>,
}

/// No sizes.
pub const ONCE: &[usize] = &[0];

/// The contenders of a case that runs a generic function on every runtime: `all!(function)`.
#[macro_export]
macro_rules! all {
    ($run:ident) => {
        &[
            $crate::question::Contender {
                name: "filch",
                run: $run::<$crate::Filch>,
            },
            $crate::question::Contender {
                name: "tokio",
                run: $run::<$crate::Tokio>,
            },
            $crate::question::Contender {
                name: "smol",
                run: $run::<$crate::Smol>,
            },
        ]
    };
    ($run:ident, $bare:ident) => {
        &[
            $crate::question::Contender {
                name: "filch",
                run: $run::<$crate::Filch>,
            },
            $crate::question::Contender {
                name: "tokio",
                run: $run::<$crate::Tokio>,
            },
            $crate::question::Contender {
                name: "smol",
                run: $run::<$crate::Smol>,
            },
            $crate::question::Contender {
                name: "bare",
                run: $bare,
            },
        ]
    };
}

/// A child's measurement.
#[derive(Debug)]
pub struct Run {
    /// The size.
    pub point: usize,
    /// Counting: it need not take long, and no time of it is looked at.
    pub counts: bool,
    /// Operations in all, those to warm up too: what allocations and system calls are divided by.
    pub operations: f64,
    /// Seconds of processor time, and the operations that took it.
    pub cpu: Option<(f64, f64)>,
}

impl Run {
    /// A figure of this run.
    pub fn say(&self, row: &str, value: f64) {
        println!("{row} {value}");
    }

    /// Does `body` some rounds to warm up and some that count; says the median time of a round, divided by the operations in it, in nanoseconds.
    pub fn time(&mut self, row: &str, operations: usize, body: impl FnMut() -> Duration) {
        self.time_rounds(row, operations, 3, 10, body);
    }

    /// As [`time`](Self::time), with so many rounds.
    pub fn time_rounds(
        &mut self,
        row: &str,
        operations: usize,
        warm: usize,
        counted: usize,
        mut body: impl FnMut() -> Duration,
    ) {
        let (warm, counted) = if self.counts { (0, 1) } else { (warm, counted) };
        for _ in 0..warm {
            body();
        }
        let begin = count::cpu_seconds();
        let times: Vec<f64> = (0..counted)
            .map(|_| body().as_nanos() as f64 / operations as f64)
            .collect();
        self.cpu = Some((count::cpu_seconds() - begin, (counted * operations) as f64));
        self.operations = ((warm + counted) * operations) as f64;
        self.say(row, crate::stats::median(&times));
    }
}

/// This program again, as a child that measures one thing.
#[derive(Debug)]
pub struct Measurement {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Measurement {
    fn start(case: &Case, entry: &Entry, point: usize, how: How) -> Self {
        let mut command = match how {
            How::SystemCalls => {
                let mut command = Command::new("strace");
                command.args(["-f", "-c", "-q", "-o"]).arg(trace()).arg(&entry.program);
                command
            }
            How::Timed | How::Allocations => Command::new(&entry.program),
        };
        if let Some(switch) = entry.switch {
            command.env(SWITCH, switch);
        }
        let counts = if how == How::Timed { "timed" } else { "counts" };
        let mut child = command
            .args(["--child", case.name, entry.contender, &point.to_string(), counts])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program can be started again");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("it was piped"));
        Self { child, input, output }
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.output.read_line(&mut line).expect("the child prints");
        (read > 0).then(|| line.trim().to_owned())
    }

    /// The next line of the child, as a number.
    ///
    /// # Panics
    ///
    /// If it prints something else, or has ended.
    pub fn number(&mut self) -> f64 {
        let line = self.line().expect("the child says a number");
        line.parse()
            .unwrap_or_else(|_| panic!("expected a number of the child, not {line:?}"))
    }

    /// Says something to the child.
    ///
    /// # Panics
    ///
    /// If it has ended.
    pub fn tell(&mut self, line: &str) {
        let input = self.input.as_mut().expect("it was not told to stop");
        writeln!(input, "{line}").expect("the child listens");
        input.flush().expect("the child listens");
    }

    /// The child's process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Tells the child to come to its end, and takes its answers.
    fn finish(mut self) -> Vec<(String, f64)> {
        self.input = None;
        let mut answers = Vec::new();
        while let Some(line) = self.line() {
            let answer = line
                .rsplit_once(' ')
                .and_then(|(name, value)| Some((name.to_owned(), value.parse().ok()?)));
            answers.push(answer.unwrap_or_else(|| panic!("expected a figure of the child, not {line:?}")));
        }
        let status = self.child.wait().expect("the child is this process's");
        assert!(status.success(), "a measurement failed: {status}");
        answers
    }
}

/// For a child: waits until the parent says that it is enough.
pub fn wait_for_stop() {
    let mut line = String::new();
    // The end of the input is the sign; an error means that nobody is there any more.
    while matches!(std::io::stdin().read_line(&mut line), Ok(1..)) {}
}

/// One who takes part in a case.
pub(crate) struct Entry {
    /// Under which name its figures stand.
    pub(crate) name: &'static str,
    /// Whose figures its ratios are to.
    pub(crate) base: &'static str,
    /// What runs.
    pub(crate) program: PathBuf,
    /// What that calls it.
    pub(crate) contender: &'static str,
    /// How it differs from its default, for [`SWITCH`].
    pub(crate) switch: Option<&'static str>,
}

impl Entry {
    /// A contender of this program.
    pub(crate) fn own(case: &Case, contender: &Contender) -> Self {
        Self {
            name: contender.name,
            base: case.base,
            program: std::env::current_exe().expect("a running program has a path"),
            contender: contender.name,
            switch: None,
        }
    }
}

/// What is looked at in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Timed,
    Allocations,
    SystemCalls,
}

/// Where strace writes.
fn trace() -> PathBuf {
    std::env::temp_dir().join(format!("filch-bench-{}.strace", std::process::id()))
}

/// All system calls that strace saw.
fn traced() -> Option<f64> {
    let text = std::fs::read_to_string(trace()).ok()?;
    let total = text.lines().rfind(|line| line.trim_end().ends_with("total"))?;
    // Share, seconds, microseconds per call, calls, perhaps errors, and the word; a column that is empty is not there.
    let calls = total.split_whitespace().nth(3)?;
    calls.parse().ok()
}

/// What the command line says.
struct Options {
    parts: Vec<String>,
    rounds: usize,
    full: bool,
    counts: bool,
}

impl Options {
    fn parse(words: impl Iterator<Item = String>, rounds: usize) -> Result<Self, String> {
        let mut options = Self {
            parts: Vec::new(),
            rounds,
            full: false,
            counts: true,
        };
        let mut words = words.filter(|word| word != "--bench");
        while let Some(word) = words.next() {
            match word.as_str() {
                "--full" => options.full = true,
                "--no-counts" => options.counts = false,
                "--rounds" => {
                    let rounds = words
                        .next()
                        .and_then(|word| word.parse().ok())
                        .filter(|rounds| *rounds > 0);
                    options.rounds = rounds.ok_or("--rounds wants a number")?;
                }
                word if word.starts_with('-') => return Err(format!("there is no option {word}")),
                _ => options.parts.push(word),
            }
        }
        Ok(options)
    }
}

/// Whether the command line asks for the long programme. A child's does not.
pub fn is_full() -> bool {
    std::env::args().any(|word| word == "--full")
}

/// Runs a program: measures as a child, or asks all contenders and writes what they say.
///
/// # Panics
///
/// If a measurement fails.
pub fn ask(question: &str, cases: &[Case]) {
    ask_rounds(question, cases, 5);
}

/// As [`ask`], with so many rounds unless the command line says otherwise: for what takes long.
///
/// # Panics
///
/// If a measurement fails.
pub fn ask_rounds(question: &str, cases: &[Case], rounds: usize) {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [child, case, contender, point, counts] = words.as_slice() {
        if child == "--child" {
            let point = point.parse().expect("a size");
            measure(cases, case, contender, point, counts == "counts");
            return;
        }
    }
    let options = match Options::parse(words.into_iter(), rounds) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!(
                "{problem}\nusage: cargo bench --bench {question} -- [part of a case's name]... [--rounds N] [--full] [--no-counts]"
            );
            std::process::exit(2);
        }
    };
    more::check(question, cases);
    let mut results = Results::read();
    let wanted = |case: &&Case| {
        (options.full || !case.full)
            && (options.parts.is_empty() || options.parts.iter().any(|part| case.name.contains(part.as_str())))
    };
    for case in cases.iter().filter(wanted) {
        let entries: Vec<Entry> = case.contenders.iter().map(|one| Entry::own(case, one)).collect();
        for &point in case.points {
            run_case(
                question,
                case,
                &entries,
                point,
                options.rounds,
                options.counts,
                &mut results,
            );
        }
        // Whatever comes later: this has been measured.
        results.write();
    }
    if options.full {
        for case in cases.iter().filter(wanted) {
            more::each(question, case, |section, entries| {
                run_case(
                    section,
                    case,
                    &entries,
                    case.points[0],
                    options.rounds,
                    false,
                    &mut results,
                );
                results.write();
            });
        }
    }
    if let Some(apart) = results.apart_now() {
        println!("{apart}");
    }
    table::draw(&results);
}

fn measure(cases: &[Case], case: &str, contender: &str, point: usize, counts: bool) {
    let case = cases.iter().find(|one| one.name == case).expect("the parent knows it");
    let contender = case.contenders.iter().find(|one| one.name == contender);
    let mut run = Run {
        point,
        counts,
        operations: 1.0,
        cpu: None,
    };
    assert!(
        cfg!(tokio_unstable) || std::env::var_os(SWITCH).is_none(),
        "this build's Tokio has no switches"
    );
    if counts {
        count::count_allocations();
    }
    let begin = count::cpu_seconds();
    (contender.expect("the parent knows it").run)(&mut run);
    run.say("operations", run.operations);
    run.say("allocations", count::allocations() as f64);
    run.say("peak", count::peak_bytes());
    let (seconds, operations) = run.cpu.unwrap_or((count::cpu_seconds() - begin, run.operations));
    run.say("cpu", seconds);
    run.say("cpu operations", operations);
    // Nobody waits for what the runtimes leave behind.
    std::process::exit(0);
}

/// One run of one who takes part, with its figures.
fn one(case: &Case, entry: &Entry, point: usize, how: How) -> Vec<(String, f64)> {
    let mut child = Measurement::start(case, entry, point, how);
    let driven = case.drive.map(|drive| drive(&mut child, point));
    let mut answers = child.finish();
    if let Some(driven) = driven {
        for (name, value) in &mut answers {
            if name == "operations" || name == "cpu operations" {
                *value = driven.operations;
            }
        }
        answers.extend(driven.figures.iter().map(|(name, value)| ((*name).to_owned(), *value)));
    }
    let per = |name: &str, by: &str| Some(answer(&answers, name)? / answer(&answers, by)?);
    if let Some(cpu) = per("cpu", "cpu operations") {
        answers.push(("cpu ns".to_owned(), cpu * 1e9));
    }
    answers
}

fn answer(answers: &[(String, f64)], name: &str) -> Option<f64> {
    answers.iter().find(|(one, _)| one == name).map(|(_, value)| *value)
}

fn run_case(
    question: &str,
    case: &Case,
    entries: &[Entry],
    point: usize,
    timed: usize,
    counted: bool,
    results: &mut Results,
) {
    let count = entries.len();
    let mut rounds: Vec<Vec<Vec<(String, f64)>>> = vec![Vec::new(); count];
    for round in 0..timed {
        for step in 0..count {
            let who = (step + round) % count;
            rounds[who].push(one(case, &entries[who], point, How::Timed));
        }
    }
    let has_strace = Command::new("strace")
        .arg("-V")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    for (who, entry) in entries.iter().enumerate() {
        let median_of = |name: &str| {
            let values: Vec<f64> = rounds[who].iter().filter_map(|answers| answer(answers, name)).collect();
            (!values.is_empty()).then(|| crate::stats::median(&values))
        };
        let mut counts = Counts {
            cpu: median_of("cpu ns"),
            peak: median_of("peak"),
            ..Counts::default()
        };
        if counted && point == case.points[0] {
            let answers = one(case, entry, point, How::Allocations);
            let operations = answer(&answers, "operations").unwrap_or(1.0);
            counts.allocations = answer(&answers, "allocations").map(|all| all / operations);
            if has_strace {
                let answers = one(case, entry, point, How::SystemCalls);
                let operations = answer(&answers, "operations").unwrap_or(1.0);
                counts.system_calls = traced().map(|all| all / operations);
                // It may not be there.
                let _ = std::fs::remove_file(trace());
            }
        }
        for row in case.rows {
            let values = |who: usize| -> Vec<f64> {
                let own = |answers: &Vec<(String, f64)>| match row.unit {
                    "ns CPU" => answer(answers, "cpu ns"),
                    _ => answer(answers, row.name),
                };
                rounds[who].iter().filter_map(own).collect()
            };
            let own = values(who);
            if own.is_empty() {
                continue;
            }
            let base = entries.iter().position(|one| one.name == entry.base).map(values);
            let figure = Figure::new(question, row, point, entry.name, &own, base.as_deref(), counts);
            println!("{}", figure.line());
            results.put(figure);
        }
    }
}
