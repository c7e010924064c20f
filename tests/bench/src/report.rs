//! What a part of the bench has to say: raw rounds and targets; kept as JSON, shown as a page.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use testkit::process::output;
use time::OffsetDateTime;
use time::macros::format_description;

/// All that one part has measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Report {
    /// How it was measured, and what the figures do not say; paragraphs of Markdown.
    pub(crate) notes: Vec<String>,
    /// How many processors the machine had.
    pub(crate) processors: usize,
    /// What was measured, and when.
    pub(crate) run: Run,
    /// The figures.
    pub(crate) series: Vec<Series>,
    /// What was to be reached.
    pub(crate) targets: Vec<Target>,
}

/// What was measured, and when.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Run {
    /// The commit, with `-dirty` where files differed from it.
    commit: String,
    /// The day, as `2026-11-30`, in UTC.
    date: String,
    /// What else the figures depend on, with its version.
    versions: Vec<(String, String)>,
}

impl Run {
    /// What is checked out now; what the bench itself writes does not count as a change.
    pub(super) fn now() -> Result<Self> {
        let git = |arguments: &[&str]| {
            output("git", arguments).context("cannot ask `git` for the commit")
        };
        let mut commit = git(&["rev-parse", "--short=10", "HEAD"])?;
        let others = [":/", ":!/docs/performance", ":!/docs/performance.md"];
        if !git(&[&["status", "--porcelain", "--"], &others[..]].concat())?.is_empty() {
            commit.push_str("-dirty");
        }
        let day = format_description!("[year]-[month]-[day]");
        let date = OffsetDateTime::now_utc().format(&day)?;
        let mut run = Self {
            commit,
            date,
            versions: Vec::new(),
        };
        run.add_version("system", "uname".as_ref(), "-sm");
        run.add_version("rustc", "rustc".as_ref(), "--version");
        Ok(run)
    }

    /// Notes the version that a program prints, on either stream; `wrk` calls that a failure.
    pub(super) fn add_version(&mut self, name: &str, program: &Path, argument: &str) {
        let answer = Command::new(program).arg(argument).output();
        let printed = answer.map_or_else(|_| Vec::new(), |all| [all.stdout, all.stderr].concat());
        let output = String::from_utf8_lossy(&printed);
        let line = output.lines().next().unwrap_or("unknown").trim();
        self.versions.push((name.to_owned(), line.to_owned()));
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Commit `{}`, {}", self.commit, self.date)?;
        for (_, version) in &self.versions {
            write!(f, ", {version}")?;
        }
        Ok(())
    }
}

/// The rounds of one quantity in a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    least: f64,
    median: f64,
    greatest: f64,
    rounds: usize,
}

impl Spread {
    /// None where nothing was measured.
    pub(super) fn of(rounds: &[f64]) -> Option<Self> {
        Some(Self {
            least: rounds.iter().copied().reduce(f64::min)?,
            median: median(rounds),
            greatest: rounds.iter().copied().reduce(f64::max)?,
            rounds: rounds.len(),
        })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", figure(self.median))?;
        if self.rounds > 1 {
            let (least, greatest) = (figure(self.least), figure(self.greatest));
            write!(f, " ({least}–{greatest}, {})", self.rounds)?;
        }
        Ok(())
    }
}

/// One quantity of one contender in one case, round by round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Series {
    /// What was done: `hit`, `20,000 files, 30 ms`.
    pub(crate) case: String,
    /// Who did it: `medialift`, `rclone 1.75.2`.
    pub(crate) who: String,
    /// What was measured, with its unit: `wall, s`.
    pub(crate) quantity: String,
    /// The rounds, in the order in which they were measured.
    pub(crate) rounds: Vec<f64>,
}

/// A figure that is to be reached; a ratio wherever time is in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Target {
    /// What is measured: `hit: CPU, worker ÷ ordinary JavaScript`.
    pub(crate) name: String,
    /// What was measured.
    pub(crate) value: f64,
    /// What it must reach.
    pub(crate) bound: Bound,
}

/// On which side of a bound a figure must lie.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Bound {
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
}

impl Series {
    /// The middle of the rounds.
    pub(super) fn median(&self) -> f64 {
        median(&self.rounds)
    }
}

/// The middle of some figures; the mean of the middle two where their number is even.
pub(super) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

impl Target {
    pub(super) fn at_most(name: impl Into<String>, value: f64, bound: f64) -> Self {
        Self {
            name: name.into(),
            value,
            bound: Bound::AtMost(bound),
        }
    }

    pub(super) fn at_least(name: impl Into<String>, value: f64, bound: f64) -> Self {
        Self {
            name: name.into(),
            value,
            bound: Bound::AtLeast(bound),
        }
    }

    /// Whether it is reached; a figure that is none is not.
    pub(super) fn is_reached(&self) -> bool {
        match self.bound {
            Bound::AtMost(bound) => self.value <= bound,
            Bound::AtLeast(bound) => self.value >= bound,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(bound) => write!(f, "≤ {}", figure(*bound)),
            Self::AtLeast(bound) => write!(f, "≥ {}", figure(*bound)),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_reached() {
            "reached"
        } else {
            "MISSED "
        };
        write!(
            f,
            "{word}  {}: {} ({})",
            self.name,
            figure(self.value),
            self.bound
        )
    }
}

impl Report {
    /// A quantity's middle value; for the ratios that targets are made of.
    pub(super) fn median(&self, case: &str, who: &str, quantity: &str) -> f64 {
        median(self.rounds(case, who, quantity))
    }

    /// A quantity's rounds; none where it was not measured.
    pub(super) fn rounds(&self, case: &str, who: &str, quantity: &str) -> &[f64] {
        self.series
            .iter()
            .find(|series| series.case == case && series.who == who && series.quantity == quantity)
            .map_or(&[], |series| &series.rounds)
    }

    /// Adds one round of a quantity.
    pub(super) fn add(&mut self, case: &str, who: &str, quantity: &str, value: f64) {
        let found = self
            .series
            .iter_mut()
            .find(|series| series.case == case && series.who == who && series.quantity == quantity);
        match found {
            Some(series) => series.rounds.push(value),
            None => self.series.push(Series {
                case: case.to_owned(),
                who: who.to_owned(),
                quantity: quantity.to_owned(),
                rounds: vec![value],
            }),
        }
    }

    /// Keeps it as `docs/performance/PART.json`.
    pub(super) fn save(&self, part: &str) -> Result<()> {
        let path = directory().join(format!("{part}.json"));
        fs::create_dir_all(directory())
            .with_context(|| format!("cannot create `{}`", directory().display()))?;
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))
    }
}

/// Where raw rounds are kept.
pub(super) fn directory() -> PathBuf {
    testkit::root().join("docs/performance")
}

/// Three digits that count, and no more than are needed; the thousands of long numbers set apart.
pub(super) fn figure(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        size if size >= 0.1 => 3,
        size if size >= 0.01 => 4,
        _ => 5,
    };
    let text = format!("{value:.digits$}");
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    if value.abs() < 1_000.0 || !value.is_finite() {
        return text.to_owned();
    }
    let mut apart = String::new();
    let mut left = text.len() - usize::from(value < 0.0);
    for character in text.chars() {
        apart.push(character);
        if character.is_ascii_digit() {
            left -= 1;
            if left > 0 && left.is_multiple_of(3) {
                apart.push(',');
            }
        }
    }
    apart
}

#[cfg(test)]
mod tests;
