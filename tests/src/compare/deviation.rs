//! The accepted differences, from `tests/scenarios/deviations.toml`.
//!
//! A deviation says where (patterns of scenario and field), what (patterns of both values) and why.
//! One that explains nothing any more is a fault of its own, so the file never says more than what
//! is so.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use globset::{Glob, GlobMatcher};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviationFile {
    deviation: Vec<DeviationText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviationText {
    scenarios: Vec<String>,
    field: String,
    nginx: String,
    worker: String,
    reason: String,
}

/// One accepted difference.
#[derive(Debug)]
pub struct Deviation {
    scenarios: Vec<GlobMatcher>,
    field: GlobMatcher,
    nginx: GlobMatcher,
    worker: GlobMatcher,
    /// The entry as it stands in the file, short.
    pub title: String,
    /// Why it is accepted.
    pub reason: String,
}

/// One value that differs.
#[derive(Debug, Clone)]
pub struct Difference {
    /// Of which scenario.
    pub scenario: String,
    /// The step's number, from 1.
    pub step: usize,
    /// The field.
    pub field: String,
    /// nginx's value.
    pub nginx: String,
    /// The worker's value.
    pub worker: String,
}

impl Deviation {
    /// Whether this entry explains that difference.
    pub fn explains(&self, difference: &Difference) -> bool {
        self.scenarios
            .iter()
            .any(|pattern| pattern.is_match(&difference.scenario))
            && self.field.is_match(&difference.field)
            && self.nginx.is_match(&difference.nginx)
            && self.worker.is_match(&difference.worker)
    }
}

/// Reads the file of accepted differences.
///
/// # Errors
/// A file that cannot be read, a pattern that is none, an entry without a reason.
pub fn load(path: &Path) -> Result<Vec<Deviation>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("read `{}`", path.display()))?;
    parse(&text).with_context(|| format!("accepted differences in `{}`", path.display()))
}

/// The accepted differences in that text.
///
/// # Errors
/// As [`load`].
pub fn parse(text: &str) -> Result<Vec<Deviation>> {
    let file: DeviationFile = toml::from_str(text)?;
    file.deviation.into_iter().map(compile).collect()
}

fn compile(text: DeviationText) -> Result<Deviation> {
    let title = format!(
        "{}: {}: {} → {}",
        text.scenarios.join(" | "),
        text.field,
        text.nginx,
        text.worker
    );
    ensure!(!text.reason.trim().is_empty(), "`{title}` has no reason");
    ensure!(!text.scenarios.is_empty(), "`{title}` names no scenario");
    Ok(Deviation {
        scenarios: text
            .scenarios
            .iter()
            .map(|glob| pattern(glob))
            .collect::<Result<_>>()?,
        field: pattern(&text.field)?,
        nginx: pattern(&text.nginx)?,
        worker: pattern(&text.worker)?,
        title,
        reason: text.reason.trim().to_owned(),
    })
}

/// A pattern of the usual shell kind, in which `*` also matches `/`.
///
/// # Errors
/// When it is malformed.
pub fn pattern(glob: &str) -> Result<GlobMatcher> {
    Ok(Glob::new(glob)
        .with_context(|| format!("pattern `{glob}`"))?
        .compile_matcher())
}
