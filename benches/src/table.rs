//! The table in `benches/README.md`, the plots beside it, and the file of figures that both come from.
//!
//! `benches/results.tsv` has the figures of the last run of every case; a program replaces its own. So the table is whole, whichever programs were run.

use crate::more;
use crate::question::{Row, Target};
use crate::stats::{median, range};
use plotters::prelude::*;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What a contender used for an operation.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counts {
    /// Nanoseconds of processor time.
    pub cpu: Option<f64>,
    /// Allocations.
    pub allocations: Option<f64>,
    /// System calls.
    pub system_calls: Option<f64>,
    /// Bytes of memory of the whole process, at the most.
    pub peak: Option<f64>,
}

/// What one contender has to show in one line of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    question: String,
    row: String,
    point: usize,
    contender: String,
    unit: String,
    target: String,
    what: String,
    rounds: usize,
    date: String,
    /// Median, smallest, largest.
    value: [f64; 3],
    /// To Tokio's figure of the same round.
    ratio: Option<[f64; 3]>,
    counts: Counts,
    before: Option<Before>,
}

/// What is kept of the run before: its rounds, and the range of its ratios.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Before {
    rounds: usize,
    low: f64,
    high: f64,
}

impl Before {
    /// As `rounds low high`.
    fn of_text(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.split(' ').collect();
        let [rounds, low, high] = fields.as_slice() else {
            return None;
        };
        Some(Self {
            rounds: rounds.parse().ok()?,
            low: low.parse().ok()?,
            high: high.parse().ok()?,
        })
    }
}

impl Figure {
    /// Of the figures of all rounds.
    pub fn new(
        question: &str,
        row: &Row,
        point: usize,
        contender: &str,
        values: &[f64],
        tokio: Option<&[f64]>,
        counts: Counts,
    ) -> Self {
        let three = |values: &[f64]| {
            let (low, high) = range(values);
            [median(values), low, high]
        };
        let ratios: Option<Vec<f64>> =
            tokio.map(|tokio| values.iter().zip(tokio).map(|(value, tokio)| value / tokio).collect());
        Self {
            question: question.to_owned(),
            row: row.name.to_owned(),
            point,
            contender: contender.to_owned(),
            unit: row.unit.to_owned(),
            target: match row.target {
                None => String::new(),
                Some(Target::Most(most)) => format!("<= {most}"),
                Some(Target::Least(least)) => format!(">= {least}"),
                Some(Target::Figure(most)) => format!("itself <= {most}"),
            },
            what: row.what.to_owned(),
            rounds: values.len(),
            date: today(),
            value: three(values),
            // Nothing is a multiple of nothing, or of less.
            ratio: ratios
                .filter(|ratios| !ratios.is_empty() && ratios.iter().all(|ratio| ratio.is_finite() && *ratio >= 0.0))
                .map(|ratios| three(&ratios)),
            counts,
            before: None,
        }
    }

    /// For whoever watches.
    pub fn line(&self) -> String {
        let ratio = self.ratio.map_or(String::new(), |[middle, low, high]| {
            format!("  {middle:.2} ({low:.2}-{high:.2}) of Tokio's")
        });
        let point = if self.point > 0 {
            format!(" at {}", self.point)
        } else {
            String::new()
        };
        format!(
            "{}{point}, {}: {} {}{ratio}",
            self.row,
            self.contender,
            short(self.value[0]),
            self.unit
        )
    }

    fn key(&self) -> (&str, &str, usize, &str) {
        (&self.question, &self.row, self.point, &self.contender)
    }

    /// The figure, with its ratio unless that is to itself.
    fn cell(&self) -> String {
        let value = short(self.value[0]);
        match self.ratio {
            Some([middle, low, high]) if [middle, low, high] != [1.0; 3] => {
                format!("{value} ({middle:.2}, {low:.2}-{high:.2})")
            }
            _ => value,
        }
    }

    /// Whether it belongs to the table, not to a comparison of its own.
    fn is_in_table(&self) -> bool {
        self.point == 0 && self.question != "sync" && !more::is_section(&self.question)
    }

    /// Whether the ratios' range and that of the run before have anything in common; nothing to say where a run had one round only.
    fn overlaps(&self) -> Option<bool> {
        let ([_, low, high], before) = (self.ratio?, self.before?);
        (self.rounds > 1 && before.rounds > 1).then_some(low <= before.high && before.low <= high)
    }

    /// The two ranges.
    fn ranges(&self) -> Option<String> {
        let ([_, low, high], before) = (self.ratio?, self.before?);
        let mut name = self.row.clone();
        if self.point > 0 {
            name = format!("{name} at {}", self.point);
        }
        if more::is_section(&self.question) {
            name = format!("{name} beside {}", self.question);
        }
        Some(format!(
            "{name} ({low:.2}-{high:.2}, before {:.2}-{:.2})",
            before.low, before.high
        ))
    }

    fn is_met(&self) -> Option<bool> {
        let (kind, limit) = self.target.rsplit_once(' ')?;
        let limit: f64 = limit.parse().ok()?;
        match kind {
            "<=" => Some(self.ratio?[0] <= limit),
            ">=" => Some(self.ratio?[0] >= limit),
            _ => Some(self.value[0] <= limit),
        }
    }

    fn to_line(&self) -> String {
        let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| value.to_string());
        let three = |values: [f64; 3]| values.map(|value| value.to_string()).join(" ");
        let Counts {
            cpu,
            allocations,
            system_calls,
            peak,
        } = self.counts;
        [
            self.question.clone(),
            self.row.clone(),
            self.point.to_string(),
            self.contender.clone(),
            self.unit.clone(),
            self.target.clone(),
            self.rounds.to_string(),
            self.date.clone(),
            three(self.value),
            self.ratio.map_or("-".to_owned(), three),
            number(cpu),
            number(allocations),
            number(system_calls),
            number(peak),
            self.what.clone(),
            self.before.map_or("-".to_owned(), |Before { rounds, low, high }| {
                format!("{rounds} {low} {high}")
            }),
        ]
        .join("\t")
    }

    fn of_line(line: &str) -> Option<Self> {
        let number = |text: &str| text.parse::<f64>().ok();
        let three = |text: &str| -> Option<[f64; 3]> {
            let numbers: Option<Vec<f64>> = text.split(' ').map(number).collect();
            numbers?.try_into().ok()
        };
        let fields: Vec<&str> = line.split('\t').collect();
        let [
            question,
            row,
            point,
            contender,
            unit,
            target,
            rounds,
            date,
            value,
            ratio,
            cpu,
            allocations,
            system_calls,
            peak,
            what,
            // A file from before there was this field has none.
            before @ ..,
        ] = fields.as_slice()
        else {
            return None;
        };
        Some(Self {
            question: (*question).to_owned(),
            row: (*row).to_owned(),
            point: point.parse().ok()?,
            contender: (*contender).to_owned(),
            unit: (*unit).to_owned(),
            target: (*target).to_owned(),
            what: (*what).to_owned(),
            rounds: rounds.parse().ok()?,
            date: (*date).to_owned(),
            value: three(value)?,
            ratio: three(ratio),
            counts: Counts {
                cpu: number(cpu),
                allocations: number(allocations),
                system_calls: number(system_calls),
                peak: number(peak),
            },
            before: before.first().and_then(|before| Before::of_text(before)),
        })
    }
}

/// The figures of every case that was ever run.
#[derive(Debug, Default)]
pub struct Results {
    figures: Vec<Figure>,
    /// The places of those that this run has put in.
    new: Vec<usize>,
}

impl Results {
    /// What the file has; nothing if there is none.
    pub fn read() -> Self {
        let text = std::fs::read_to_string(home().join("results.tsv")).unwrap_or_default();
        Self {
            figures: text.lines().filter_map(Figure::of_line).collect(),
            new: Vec::new(),
        }
    }

    /// Writes the file.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn write(&self) {
        let mut text = String::from(
            "question\trow\tpoint\tcontender\tunit\ttarget\trounds\tdate\tvalue low high\tratio to Tokio low high\tcpu ns\tallocations\tsystem calls\tpeak bytes\twhat\tbefore: rounds, ratio low high\n",
        );
        for figure in &self.figures {
            text += &figure.to_line();
            text.push('\n');
        }
        std::fs::write(home().join("results.tsv"), text).expect("the results can be written");
    }

    /// Puts a figure in, in the place of an older one, of which it keeps the ratio's range.
    pub fn put(&mut self, mut figure: Figure) {
        let place = match self.figures.iter().position(|old| old.key() == figure.key()) {
            Some(place) => {
                let old = &self.figures[place];
                figure.before = old.ratio.map(|[_, low, high]| Before {
                    rounds: old.rounds,
                    low,
                    high,
                });
                self.figures[place] = figure;
                place
            }
            None => {
                self.figures.push(figure);
                self.figures.len() - 1
            }
        };
        self.new.push(place);
    }

    /// What is to be said of the ranges of this run and of the one before: nothing if there was none.
    pub fn apart_now(&self) -> Option<String> {
        apart(self.new.iter().map(|place| &self.figures[*place]))
    }

    /// A line of the table.
    fn get(&self, row: &str, contender: &str) -> Option<&Figure> {
        self.figures
            .iter()
            .find(|figure| figure.is_in_table() && figure.row == row && figure.contender == contender)
    }

    /// The rows that have one point, in the order of [`ORDER`].
    fn lines(&self) -> Vec<&str> {
        let mut seen = HashSet::new();
        let single = self.figures.iter().filter(|figure| figure.is_in_table());
        let mut rows: Vec<&str> = single
            .map(|figure| &*figure.row)
            .filter(|row| seen.insert(*row))
            .collect();
        rows.sort_by_key(|row| place(row));
        rows
    }
}

/// Which lines' ranges have nothing in common with those of the run before; nothing if no line has two ranges.
fn apart<'a>(figures: impl Iterator<Item = &'a Figure>) -> Option<String> {
    let own = figures.filter(|figure| figure.contender == "filch");
    let compared: Vec<&Figure> = own.filter(|figure| figure.overlaps().is_some()).collect();
    if compared.is_empty() {
        return None;
    }
    let lines = compared.len();
    let apart = compared.iter().filter(|figure| figure.overlaps() == Some(false));
    let apart: Vec<String> = apart.filter_map(|figure| figure.ranges()).collect();
    Some(if apart.is_empty() {
        format!("This run's ranges and those of the run before overlap on each of {lines} lines.")
    } else {
        format!(
            "This run's ranges and those of the run before overlap on {} of {lines} lines, but not on {}.",
            lines - apart.len(),
            apart.join(", ")
        )
    })
}

/// The lines of the table, in order; others come behind.
const ORDER: &[&str] = &[
    "spawn",
    "spawn_outside",
    "spawn_join",
    "chain",
    "skynet",
    "fib",
    "yield",
    "ping_pong",
    "ring",
    "producers",
    "uneven",
    "timeout",
    "sleeps",
    "sleeps_late",
    "parked_task",
    "sleeping_task",
    "idle_cpu",
    "idle_wakeups",
    "idle_open",
    "burst_tasks",
    "burst_tasks_rest",
    "burst_tasks_live",
    "burst_tasks_trimmed",
    "burst_timers",
    "burst_timers_rest",
    "burst_timers_live",
    "burst_timers_trimmed",
    "echo",
    "echo_p99",
    "http1",
    "http1_p99",
    "http1_few",
    "http1_few_p99",
    "http1_many",
    "http1_many_p99",
    "http2",
    "http2_few",
    "wake",
    "late_p99",
    "stuck_p50",
    "stuck_p99",
    "start_stop",
];

/// Where a line stands.
fn place(row: &str) -> usize {
    ORDER.iter().position(|one| *one == row).unwrap_or(ORDER.len())
}

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// The day, as the system has it.
fn today() -> String {
    let seconds = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    // Days to a civil date, after Hinnant's "chrono-compatible low-level date algorithms".
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (
        day - (153 * month + 2) / 5 + 1,
        if month < 10 { month + 3 } else { month - 9 },
    );
    format!("{}-{month:02}-{day:02}", era * 400 + year + u64::from(month <= 2))
}

/// Three digits that count.
fn short(value: f64) -> String {
    let size = value.abs();
    if size >= 100.0 || size == 0.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else if size >= 0.095 {
        format!("{value:.2}")
    } else {
        format!("{value:.4}")
    }
}

/// Writes the table into the README, and the plots.
///
/// # Panics
///
/// If they cannot be written.
pub fn draw(results: &Results) {
    let path = home().join("README.md");
    let text = std::fs::read_to_string(&path).expect("there is a README");
    let text = replaced(&text, "table", &table(results));
    let text = replaced(&text, "counts", &counts(results));
    let text = replaced(&text, "sync", &sync(results));
    let mut text = replaced(&text, "curves", &curves(results));
    for one in more::SECTIONS {
        text = replaced(&text, one.name, &section(results, one.name));
    }
    std::fs::write(&path, text).expect("the README can be written");
    let plots = home().join("plots");
    std::fs::create_dir_all(&plots).expect("a directory can be made");
    ratios(results, &plots.join("ratios.svg")).expect("a plot can be drawn");
    for (row, figures) in sized(results) {
        curve(&row, &figures, &plots.join(format!("{row}.svg"))).expect("a plot can be drawn");
    }
}

/// Replaces what stands between `<!-- NAME -->` and `<!-- end of NAME -->`.
fn replaced(text: &str, name: &str, new: &str) -> String {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let (Some(from), Some(to)) = (text.find(&begin), text.find(&end)) else {
        panic!("benches/README.md has no place for {name}")
    };
    format!("{}{new}{}", &text[..from + begin.len()], &text[to..])
}

fn table(results: &Results) -> String {
    let mut text = String::from(
        "| case | unit | filch | Tokio | smol | bare | filch / Tokio (range) | target | what |\n|---|---|---:|---:|---:|---:|---:|---:|---|\n",
    );
    let (mut met, mut targets) = (0, 0);
    for row in results.lines() {
        let value = |contender| {
            let figure = results.get(row, contender);
            figure.map_or(String::new(), |figure| short(figure.value[0]))
        };
        let Some(own) = results.get(row, "filch") else {
            continue;
        };
        let ratio = own.ratio.map_or(String::new(), |[middle, low, high]| {
            format!("{middle:.2} ({low:.2}-{high:.2})")
        });
        let sign = match own.is_met() {
            None => "",
            Some(true) => "",
            Some(false) => " missed",
        };
        targets += usize::from(own.is_met().is_some());
        met += usize::from(own.is_met() == Some(true));
        let (filch, tokio, smol, bare) = (value("filch"), value("tokio"), value("smol"), value("bare"));
        let target = own
            .target
            .replace("itself ", "")
            .replace("<= ", "")
            .replace(">= ", "at least ");
        writeln!(
            text,
            "| {row} | {} | {filch} | {tokio} | {smol} | {bare} | {ratio} | {target}{sign} | {} |",
            own.unit, own.what
        )
        .expect("a string takes it");
    }
    let measured = results.figures.iter().filter(|figure| figure.is_in_table());
    let days: BTreeMap<&str, ()> = measured.map(|figure| (&*figure.date, ())).collect();
    let days: Vec<&str> = days.into_keys().collect();
    writeln!(
        text,
        "\n{met} of {targets} targets are met. Measured on {}.",
        days.join(", ")
    )
    .expect("a string takes it");
    if let Some(apart) = apart(results.lines().into_iter().filter_map(|row| results.get(row, "filch"))) {
        writeln!(text, "\n{apart}").expect("a string takes it");
    }
    text
}

/// A comparison of its own: a column for each who takes part.
fn section(results: &Results, name: &str) -> String {
    let figures: Vec<&Figure> = results.figures.iter().filter(|one| one.question == name).collect();
    let mut names: Vec<&str> = Vec::new();
    let mut rows: Vec<&str> = Vec::new();
    for figure in &figures {
        if !names.contains(&&*figure.contender) {
            names.push(&figure.contender);
        }
        if !rows.contains(&&*figure.row) {
            rows.push(&figure.row);
        }
    }
    if rows.is_empty() {
        return "Not measured: the long programme did not run, or said what it missed.\n".to_owned();
    }
    rows.sort_by_key(|row| place(row));
    let mut text = format!("| case | unit | {} |\n|---|---|", names.join(" | "));
    text += &"---:|".repeat(names.len());
    text.push('\n');
    for row in rows {
        let of = |name: &str| figures.iter().find(|one| one.row == row && one.contender == name);
        let cells = names
            .iter()
            .map(|name| of(name).map_or(String::new(), |figure| figure.cell()));
        let cells: Vec<String> = cells.collect();
        let unit = figures.iter().find(|one| one.row == row).map_or("", |one| &one.unit);
        writeln!(text, "| {row} | {unit} | {} |", cells.join(" | ")).expect("a string takes it");
    }
    let days: BTreeMap<&str, ()> = figures.iter().map(|figure| (&*figure.date, ())).collect();
    let days: Vec<&str> = days.into_keys().collect();
    writeln!(text, "\nMeasured on {}.", days.join(", ")).expect("a string takes it");
    text
}

fn counts(results: &Results) -> String {
    let mut text = String::from(
        "| case | CPU ns: filch | Tokio | smol | allocations: filch | Tokio | smol | system calls: filch | Tokio | smol | peak MiB: filch | Tokio | smol |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in results.lines() {
        let of = |contender| {
            results
                .get(row, contender)
                .map(|figure| figure.counts)
                .unwrap_or_default()
        };
        let who = [of("filch"), of("tokio"), of("smol")];
        let cell = |value: Option<f64>| value.map_or(String::new(), short);
        let mut cells = Vec::new();
        cells.extend(who.map(|counts| cell(counts.cpu)));
        cells.extend(who.map(|counts| cell(counts.allocations)));
        cells.extend(who.map(|counts| cell(counts.system_calls)));
        cells.extend(who.map(|counts| cell(counts.peak.map(|bytes| bytes / f64::from(1 << 20)))));
        writeln!(text, "| {row} | {} |", cells.join(" | ")).expect("a string takes it");
    }
    text
}

/// Channels and locks: a line for each contender.
fn sync(results: &Results) -> String {
    let mut text = String::from("| case | contender | ns | ratio (range) | what |\n|---|---|---:|---:|---|\n");
    for figure in results.figures.iter().filter(|figure| figure.question == "sync") {
        let [middle, low, high] = figure.ratio.unwrap_or([1.0; 3]);
        let (value, who) = (short(figure.value[0]), &figure.contender);
        writeln!(
            text,
            "| {} | {who} | {value} | {middle:.2} ({low:.2}-{high:.2}) | {} |",
            figure.row, figure.what
        )
        .expect("a string takes it");
    }
    text
}

/// The rows that were measured for several sizes.
fn sized(results: &Results) -> BTreeMap<String, Vec<&Figure>> {
    let mut rows: BTreeMap<String, Vec<&Figure>> = BTreeMap::new();
    for figure in results.figures.iter().filter(|figure| figure.point > 0) {
        rows.entry(figure.row.clone()).or_default().push(figure);
    }
    rows
}

fn curves(results: &Results) -> String {
    let mut text = String::new();
    for (row, figures) in sized(results) {
        let (unit, what) = (&figures[0].unit, &figures[0].what);
        writeln!(text, "![{row}, {unit}: {what}](plots/{row}.svg)\n").expect("a string takes it");
    }
    text
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

const COLOURS: [(&str, RGBColor); 4] = [
    ("filch", RGBColor(20, 90, 160)),
    ("tokio", RGBColor(200, 90, 20)),
    ("smol", RGBColor(90, 140, 60)),
    ("bare", RGBColor(120, 120, 120)),
];

fn colour(contender: &str) -> RGBColor {
    let known = COLOURS.iter().find(|(name, _)| contender == *name);
    known.map_or(RGBColor(130, 60, 150), |(_, colour)| *colour)
}

/// Each line's ratio to Tokio, with its range and its target.
fn ratios(results: &Results, path: &Path) -> Drawn {
    let rows: Vec<(&str, [f64; 3], &Figure)> = results
        .lines()
        .into_iter()
        .filter_map(|row| {
            let figure = results.get(row, "filch")?;
            Some((row, figure.ratio?, figure))
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let count = i32::try_from(rows.len())?;
    let area = SVGBackend::new(path, (900, u32::try_from(70 + 22 * count)?)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("filch / Tokio; the mark is the target", ("sans-serif", 16))
        .margin(10)
        .x_label_area_size(30)
        .y_label_area_size(120)
        .build_cartesian_2d((0.02..4.0).log_scale(), -1..count)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(rows.len() + 2)
        .y_label_formatter(&|place| {
            let row = usize::try_from(count - 1 - place)
                .ok()
                .and_then(|place| rows.get(place));
            row.map_or(String::new(), |(name, ..)| (*name).to_owned())
        })
        .draw()?;
    let unit = vec![(1.0, -1), (1.0, count)];
    chart.draw_series(LineSeries::new(unit, BLACK.stroke_width(1)))?;
    for (place, (_, [middle, low, high], figure)) in rows.iter().enumerate() {
        let y = count - 1 - i32::try_from(place)?;
        let ends = vec![(*low, y), (*high, y)];
        chart.draw_series(LineSeries::new(ends, colour("filch").mix(0.5).stroke_width(3)))?;
        chart.draw_series([Circle::new((*middle, y), 4, colour("filch").filled())])?;
        let target = figure.target.strip_prefix("<= ").or(figure.target.strip_prefix(">= "));
        if let Some(target) = target.and_then(|target| target.parse::<f64>().ok()) {
            chart.draw_series([TriangleMarker::new((target, y), 5, colour("tokio").filled())])?;
        }
    }
    area.present()?;
    Ok(())
}

/// One row over its sizes, a line for each contender.
fn curve(row: &str, figures: &[&Figure], path: &Path) -> Drawn {
    let points = figures.iter().map(|figure| figure.point as f64);
    let (least, most) = range(&points.collect::<Vec<_>>());
    let values: Vec<f64> = figures
        .iter()
        .flat_map(|figure| figure.value)
        .filter(|value| *value > 0.0)
        .collect();
    let (low, high) = range(&values);
    let area = SVGBackend::new(path, (700, 380)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(
            format!("{row}, {}: {}", figures[0].unit, figures[0].what),
            ("sans-serif", 14),
        )
        .margin(10)
        .x_label_area_size(30)
        .y_label_area_size(60)
        .build_cartesian_2d(
            (least..most.max(least * 1.1)).log_scale(),
            (low * 0.8..high * 1.25).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_label_formatter(&|x| short(*x))
        .y_label_formatter(&|y| short(*y))
        .draw()?;
    let mut names: Vec<&str> = Vec::new();
    for figure in figures {
        if !names.contains(&&*figure.contender) {
            names.push(&figure.contender);
        }
    }
    for name in names {
        let mut line: Vec<(f64, f64)> = figures
            .iter()
            .filter(|figure| figure.contender == name)
            .map(|figure| (figure.point as f64, figure.value[0]))
            .collect();
        line.sort_by(|a, b| a.0.total_cmp(&b.0));
        let colour = colour(name);
        chart
            .draw_series(LineSeries::new(line.clone(), colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], colour.stroke_width(2)));
        chart.draw_series(line.into_iter().map(|point| Circle::new(point, 3, colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()?;
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: Row = Row {
        name: "row",
        unit: "ns",
        what: "what it is",
        target: Some(Target::Most(0.5)),
    };

    /// filch's figures, Tokio's being 100 each time.
    fn figure(question: &str, contender: &str, values: &[f64]) -> Figure {
        let tokio = vec![100.0; values.len()];
        Figure::new(question, &ROW, 0, contender, values, Some(&tokio), Counts::default())
    }

    fn results(runs: &[&[f64]]) -> Results {
        let mut results = Results::default();
        for values in runs {
            results.new.clear();
            results.put(figure("spawn", "filch", values));
        }
        results
    }

    #[test]
    fn ranges_that_touch_overlap() {
        let overlap = |old: &[f64], new: &[f64]| results(&[old, new]).figures[0].overlaps();
        assert_eq!(overlap(&[30.0, 40.0, 50.0], &[45.0, 60.0]), Some(true));
        assert_eq!(overlap(&[30.0, 50.0], &[50.0, 60.0]), Some(true), "one point in common");
        assert_eq!(
            overlap(&[30.0, 90.0], &[50.0, 60.0]),
            Some(true),
            "one inside the other"
        );
        assert_eq!(
            overlap(&[50.0, 60.0], &[30.0, 90.0]),
            Some(true),
            "one around the other"
        );
        assert_eq!(overlap(&[30.0, 40.0], &[41.0, 60.0]), Some(false));
        assert_eq!(overlap(&[41.0, 60.0], &[30.0, 40.0]), Some(false));
        assert_eq!(overlap(&[30.0], &[41.0, 60.0]), None, "one round has no range");
        assert_eq!(overlap(&[41.0, 60.0], &[30.0]), None, "one round has no range");
    }

    #[test]
    fn a_first_run_is_compared_with_nothing() {
        assert_eq!(results(&[&[30.0, 40.0]]).apart_now(), None);
    }

    #[test]
    fn lines_that_moved_are_named_with_both_ranges() {
        let still = results(&[&[30.0, 40.0], &[35.0, 45.0]]).apart_now().expect("two runs");
        assert!(still.ends_with("overlap on each of 1 lines."), "{still}");
        let moved = results(&[&[30.0, 40.0], &[55.0, 65.0]]).apart_now().expect("two runs");
        assert!(
            moved.ends_with("overlap on 0 of 1 lines, but not on row (0.55-0.65, before 0.30-0.40)."),
            "{moved}"
        );
    }

    #[test]
    fn only_what_this_run_measured_is_said_to_have_moved() {
        let mut results = results(&[&[30.0, 40.0], &[55.0, 65.0]]);
        results.new.clear();
        assert_eq!(results.apart_now(), None);
    }

    #[test]
    fn a_figure_comes_back_from_its_line() {
        let results = results(&[&[30.0, 40.0], &[55.0, 65.0]]);
        let figure = &results.figures[0];
        assert_eq!(Figure::of_line(&figure.to_line()).as_ref(), Some(figure));
        // As it was written before there was a run before.
        let line = figure.to_line();
        let (old, _) = line.rsplit_once('\t').expect("fields");
        let old = Figure::of_line(old).expect("a line");
        assert_eq!(old.before, None);
        assert_eq!(old.ratio, figure.ratio);
    }

    #[test]
    fn comparisons_of_their_own_leave_the_table_alone() {
        let mut results = Results::default();
        results.put(figure("mimalloc", "filch", &[90.0, 92.0]));
        results.put(figure("mimalloc", "filch, mimalloc", &[20.0, 22.0]));
        results.put(figure("spawn", "filch", &[30.0, 40.0]));
        assert_eq!(results.get("row", "filch").map(|figure| figure.value[0]), Some(35.0));
        let table = table(&results);
        assert!(table.contains("| row | ns | 35.0 |"), "{table}");
        assert!(!table.contains("91"), "{table}");
        let section = section(&results, "mimalloc");
        assert!(
            section.contains("| case | unit | filch | filch, mimalloc |"),
            "{section}"
        );
        assert!(
            section.contains("| row | ns | 91.0 (0.91, 0.90-0.92) | 21.0 (0.21, 0.20-0.22) |"),
            "{section}"
        );
    }

    #[test]
    fn a_comparison_without_figures_says_so() {
        assert!(section(&Results::default(), "go").contains("Not measured"));
    }
}
