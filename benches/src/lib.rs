//! What the benches share: children, medians, and what the system says of a process.
//!
//! Every measurement runs in a process of its own, filch's and Tokio's in turns, so that neither inherits the other's memory and a
//! slow moment of the machine meets both.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The runtimes that are compared.
pub const RUNTIMES: [&str; 2] = ["filch", "tokio"];

/// Worker threads of each.
pub const WORKERS: usize = 2;

/// This program again, as a child that measures one thing.
#[derive(Debug)]
pub struct Measurement {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Measurement {
    /// Starts `--child` with these words.
    ///
    /// # Panics
    ///
    /// If the process cannot be started.
    pub fn start(words: &[&str]) -> Self {
        let this = std::env::current_exe().expect("a running program has a path");
        let mut child = Command::new(this)
            .arg("--child")
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program can be started again");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("it was piped"));
        Self { child, input, output }
    }

    /// The next line of the child, as a number.
    ///
    /// # Panics
    ///
    /// If it prints something else, or has ended.
    pub fn number(&mut self) -> f64 {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the child prints");
        line.trim()
            .parse()
            .unwrap_or_else(|_| panic!("expected a number of the child, not {line:?}"))
    }

    /// Tells the child to come to its end.
    pub fn stop(&mut self) {
        self.input = None;
    }

    /// Waits for the child.
    ///
    /// # Panics
    ///
    /// If it failed.
    pub fn finish(mut self) {
        self.stop();
        let status = self.child.wait().expect("the child is this process's");
        assert!(status.success(), "a measurement failed: {status}");
    }
}

/// The median; the mean of the middle two for an even number.
///
/// # Panics
///
/// If there is nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

/// The value below which the share `part` of the sorted values lies.
pub fn percentile(sorted: &[f64], part: f64) -> f64 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in a list"
    )]
    let place = ((sorted.len() as f64 * part).ceil() as usize).clamp(1, sorted.len()) - 1;
    sorted[place]
}

/// Seconds of processor time that this process has used, in all its threads.
pub fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Resident memory of this process, in bytes.
///
/// # Panics
///
/// If the system has no `/proc`.
pub fn resident_bytes() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("/proc is there");
    let pages: f64 = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .expect("statm has a second field");
    pages * rustix::param::page_size() as f64
}

/// Waits until the parent says that it is enough.
pub fn wait_for_stop() {
    let mut line = String::new();
    // The end of the input is the sign; an error means that nobody is there any more.
    let _ = std::io::stdin().read_line(&mut line);
}
