//! The accepted differences, from `tests/scenarios/deviations.toml`.
//!
//! A deviation says where (patterns of scenario and field), what (patterns of both values) and why.
//! One that explains nothing any more is a fault of its own, so the file never says more than what
//! is so.

use std::collections::BTreeSet;
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
    /// The expectation's value: nginx's, or the engine's.
    #[serde(alias = "engine")]
    nginx: String,
    /// The value that is compared with it: the worker's, or platform mode's.
    #[serde(alias = "platform")]
    worker: String,
    reason: String,
    #[serde(default)]
    sometimes: bool,
}

/// One accepted difference.
#[derive(Debug)]
pub struct Deviation {
    scenarios: Vec<Alternative>,
    field: Vec<Alternative>,
    nginx: Vec<Alternative>,
    worker: Vec<Alternative>,
    /// The entry as it stands in the file, short.
    pub title: String,
    /// Why it is accepted.
    pub reason: String,
    /// It depends on moments, so that it need not occur.
    sometimes: bool,
}

/// A pattern without braces: one of those that an entry's text stands for.
#[derive(Debug)]
struct Alternative {
    text: String,
    matcher: GlobMatcher,
}

/// Which alternatives of which entry explained something: entry, part, place.
pub type Used = BTreeSet<(usize, usize, usize)>;

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
    fn parts(&self) -> [(&'static str, &[Alternative]); 4] {
        [
            ("scenarios", &self.scenarios),
            ("field", &self.field),
            ("nginx", &self.nginx),
            ("worker", &self.worker),
        ]
    }

    /// Whether this entry, the one at `place` of the file, explains that difference. Which of its
    /// alternatives took part is added to `used`.
    pub fn explains(&self, place: usize, difference: &Difference, used: &mut Used) -> bool {
        let values = [
            &difference.scenario,
            &difference.field,
            &difference.nginx,
            &difference.worker,
        ];
        let mut hits = Vec::new();
        for (part, ((_, alternatives), value)) in self.parts().iter().zip(values).enumerate() {
            let before = hits.len();
            let matching = alternatives
                .iter()
                .enumerate()
                .filter(|(_, alternative)| alternative.matcher.is_match(value));
            hits.extend(matching.map(|(at, _)| (place, part, at)));
            if hits.len() == before {
                return false;
            }
        }
        used.extend(hits);
        true
    }

    /// What of this entry explained nothing, and should have.
    pub fn idle(&self, place: usize, used: &Used) -> Vec<String> {
        if self.sometimes {
            return Vec::new();
        }
        if !used.iter().any(|(entry, ..)| *entry == place) {
            return vec![self.title.clone()];
        }
        let mut idle = Vec::new();
        for (part, (name, alternatives)) in self.parts().iter().enumerate() {
            for (at, alternative) in alternatives.iter().enumerate() {
                if !used.contains(&(place, part, at)) {
                    idle.push(format!("{}: {name} `{}`", self.title, alternative.text));
                }
            }
        }
        idle
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
            .map(|glob| alternatives(glob))
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect(),
        field: alternatives(&text.field)?,
        nginx: alternatives(&text.nginx)?,
        worker: alternatives(&text.worker)?,
        title,
        reason: text.reason.trim().to_owned(),
        sometimes: text.sometimes,
    })
}

fn alternatives(glob: &str) -> Result<Vec<Alternative>> {
    let compile = |text: String| {
        let matcher = pattern(&text)?;
        Ok(Alternative { text, matcher })
    };
    without_braces(glob).into_iter().map(compile).collect()
}

/// The patterns that one with braces stands for: `a{b,c}` is `ab` and `ac`.
fn without_braces(glob: &str) -> Vec<String> {
    let Some((before, (inner, after))) = glob
        .split_once('{')
        .and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
    else {
        return vec![glob.to_owned()];
    };
    let after = without_braces(after);
    inner
        .split(',')
        .flat_map(|one| {
            after
                .iter()
                .map(move |after| format!("{before}{one}{after}"))
        })
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_are_alternatives() {
        assert_eq!(
            without_braces("a{b,}c{d,e}"),
            ["abcd", "abce", "acd", "ace"]
        );
        assert_eq!(without_braces("?*"), ["?*"]);
    }

    #[test]
    fn an_alternative_that_explains_nothing_is_idle() {
        let text = r#"deviation = [{ scenarios = ["a/*", "b/*"], field = "status", nginx = "{404,405}", worker = "403", reason = "why" }]"#;
        let deviations = parse(text).unwrap();
        let mut used = Used::new();
        let difference = Difference {
            scenario: "a/x".to_owned(),
            step: 1,
            field: "status".to_owned(),
            nginx: "405".to_owned(),
            worker: "403".to_owned(),
        };
        assert_eq!(deviations[0].idle(0, &used).len(), 1);
        assert!(deviations[0].explains(0, &difference, &mut used));
        let idle = deviations[0].idle(0, &used);
        assert!(idle.len() == 2 && idle[0].ends_with("`b/*`") && idle[1].ends_with("`404`"));
    }
}
