//! The accepted differences, from `tests/scenarios/deviations*.toml`.
//!
//! A deviation is a choice with its reason. It says at which steps of which scenarios which fields
//! differ, and how: never that a whole scenario counts for nothing. What is named and does not differ
//! is a fault, so the file never says more than what is so.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use globset::{Glob, GlobMatcher};
use serde::Deserialize;

use super::outcome::OF_A_VERSION;
use super::scenario::Scenario;

/// Between the two values of a field.
pub const ARROW: &str = " → ";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviationFile {
    deviation: Vec<DeviationText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviationText {
    reason: String,
    at: Vec<PlaceText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaceText {
    /// `SCENARIO #2,3`, or `SCENARIO` for every step; a pattern.
    steps: Vec<String>,
    /// Field to `model's value → other's value`, which are patterns too.
    differ: BTreeMap<String, String>,
    /// Only with this `ORIGIN_CACHE_CONTROL`.
    rule: Option<String>,
    /// Only with an nginx before this version.
    nginx_before: Option<String>,
}

/// An accepted choice.
#[derive(Debug)]
pub struct Deviation {
    /// Why.
    pub reason: String,
    places: Vec<Place>,
}

/// Fields that differ, at steps.
#[derive(Debug)]
struct Place {
    at: Vec<Steps>,
    differ: Vec<Differs>,
}

#[derive(Debug)]
struct Steps {
    text: String,
    scenario: GlobMatcher,
    numbers: Vec<usize>,
}

#[derive(Debug)]
struct Differs {
    field: String,
    model: GlobMatcher,
    other: GlobMatcher,
}

/// What is accepted of one field at one place: of which deviation, which of its places, steps and
/// fields, and, where steps are named by number, which step.
type Use = (usize, usize, usize, usize, usize);

/// What has explained something.
pub type Used = BTreeSet<Use>;

/// One value that differs.
#[derive(Debug, Clone)]
pub struct Difference {
    /// The step's number, from 1.
    pub step: usize,
    /// The field.
    pub field: String,
    /// The model's value.
    pub model: String,
    /// The value that is compared with it.
    pub other: String,
}

impl Deviation {
    /// Whether it names no scenario at all, so that every answer has it.
    #[must_use]
    pub fn is_everywhere(&self) -> bool {
        let mut places = self.places.iter().flat_map(|place| &place.at);
        places.all(|steps| steps.text == "*")
    }
}

impl Steps {
    fn parse(text: &str) -> Result<Self> {
        let (scenario, numbers) = text.rsplit_once(" #").unwrap_or((text, ""));
        let numbers = numbers.split(',').filter(|number| !number.is_empty());
        Ok(Self {
            text: text.to_owned(),
            scenario: pattern(scenario)?,
            numbers: numbers.map(str::parse).collect::<Result<_, _>>()?,
        })
    }

    /// Whether many scenarios are meant, none by name.
    fn is_pattern(&self) -> bool {
        has_pattern(&self.text)
    }
}

/// Which deviation accepts a difference of that scenario; what takes part is added to `used`.
pub fn accepts(
    deviations: &[Deviation],
    scenario: &str,
    difference: &Difference,
    used: &mut Used,
) -> Option<usize> {
    let mut first = None;
    for (number, deviation) in deviations.iter().enumerate() {
        for (place_number, place) in deviation.places.iter().enumerate() {
            for (steps_number, steps) in place.at.iter().enumerate() {
                let is_there = steps.scenario.is_match(scenario)
                    && (steps.numbers.is_empty() || steps.numbers.contains(&difference.step));
                let differs = place.differ.iter().position(|differs| {
                    differs.field == difference.field
                        && differs.model.is_match(&difference.model)
                        && differs.other.is_match(&difference.other)
                });
                if let (true, Some(field)) = (is_there, differs) {
                    let step = match steps.numbers.is_empty() {
                        true => 0,
                        false => difference.step,
                    };
                    used.insert((number, place_number, steps_number, field, step));
                    first.get_or_insert(number);
                }
            }
        }
    }
    first
}

/// What is accepted, should have occurred, and has not: of one scenario, or, with `None`, of what
/// names scenarios by a pattern.
pub fn idle(deviations: &[Deviation], scenario: Option<&str>, used: &Used) -> Vec<String> {
    let mut idle = Vec::new();
    for (number, deviation) in deviations.iter().enumerate() {
        for (place_number, place) in deviation.places.iter().enumerate() {
            for (steps_number, steps) in place.at.iter().enumerate() {
                let is_asked_for = match scenario {
                    Some(id) => !steps.is_pattern() && steps.scenario.is_match(id),
                    None => steps.is_pattern(),
                };
                if !is_asked_for {
                    continue;
                }
                let any = [0];
                let numbers = match steps.numbers.is_empty() {
                    true => &any[..],
                    false => &steps.numbers[..],
                };
                for (field, differs) in place.differ.iter().enumerate() {
                    for step in numbers {
                        if !used.contains(&(number, place_number, steps_number, field, *step)) {
                            let what = format!("{}: {}", steps.text, differs.field);
                            idle.push(match step {
                                0 => what,
                                step => format!("{what} at step {step}"),
                            });
                        }
                    }
                }
            }
        }
    }
    idle
}

/// Scenarios that are named and are not there.
pub fn unknown(deviations: &[Deviation], all: &[Scenario]) -> Vec<String> {
    let is_known = |scenario: &GlobMatcher| all.iter().any(|one| scenario.is_match(&one.id));
    deviations
        .iter()
        .flat_map(|deviation| &deviation.places)
        .flat_map(|place| &place.at)
        .filter(|steps| !is_known(&steps.scenario))
        .map(|steps| steps.text.clone())
        .collect()
}

/// Reads a file of accepted differences: those that hold for this `ORIGIN_CACHE_CONTROL` and this
/// version of nginx.
///
/// # Errors
/// A file that cannot be read, a pattern that is none or stands for everything, an entry without a
/// reason, or one that accepts another object in scenarios that it does not name.
pub fn load(path: &Path, rule: &str, nginx: &[u64]) -> Result<Vec<Deviation>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("read `{}`", path.display()))?;
    parse(&text, rule, nginx)
        .with_context(|| format!("accepted differences in `{}`", path.display()))
}

/// The accepted differences in that text.
///
/// # Errors
/// As [`load`].
pub fn parse(text: &str, rule: &str, nginx: &[u64]) -> Result<Vec<Deviation>> {
    let file: DeviationFile = toml::from_str(text)?;
    let mut deviations = Vec::new();
    for text in file.deviation {
        ensure!(
            !text.reason.trim().is_empty(),
            "a deviation has no reason: {:?}",
            text.at.first().map(|place| &place.steps)
        );
        let mut places = Vec::new();
        for place in text.at {
            let is_of_rule = place.rule.as_deref().is_none_or(|only| only == rule);
            let is_of_version = match &place.nginx_before {
                Some(limit) => nginx < &*version(limit)?,
                None => true,
            };
            let compiled = compile(place)?;
            if is_of_rule && is_of_version {
                places.push(compiled);
            }
        }
        deviations.push(Deviation {
            reason: text.reason.trim().to_owned(),
            places,
        });
    }
    Ok(deviations)
}

fn compile(text: PlaceText) -> Result<Place> {
    let mut differ = Vec::new();
    let names_each = !text.steps.iter().any(|steps| has_pattern(steps));
    for (field, values) in text.differ {
        let is_minor = field.starts_with("header ") && !OF_A_VERSION.contains(&&*field);
        ensure!(
            names_each || is_minor,
            "`{field}`: may differ in scenarios that are named, not in all of {:?}",
            text.steps
        );
        let (model, other) = values
            .split_once(ARROW)
            .with_context(|| format!("`{field}`: `{values}` is not `one{ARROW}other`"))?;
        let is_open = |value: &str| value.chars().all(|character| character == '*');
        ensure!(
            !(is_open(model) && is_open(other)),
            "`{field}`: `{values}` accepts everything"
        );
        let braces = values
            .split('{')
            .skip(1)
            .filter_map(|rest| rest.split('}').next());
        ensure!(
            !braces.into_iter().any(|choice| choice.contains(", ")),
            "`{field}`: a comma parts the choices of a brace: write `?` for one in `{values}`"
        );
        differ.push(Differs {
            field,
            model: pattern(model)?,
            other: pattern(other)?,
        });
    }
    let at = text.steps.iter().map(|steps| Steps::parse(steps));
    Ok(Place {
        at: at.collect::<Result<_>>()?,
        differ,
    })
}

/// The numbers of a version.
///
/// # Errors
/// One that is no number.
pub fn version(text: &str) -> Result<Vec<u64>> {
    let numbers = text.split('.').map(str::parse);
    numbers
        .collect::<Result<_, _>>()
        .with_context(|| format!("version `{text}`"))
}

/// Whether a text as a [`pattern`] could stand for more than one.
fn has_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
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

    const TEXT: &str = r#"
        [[deviation]]
        reason = "why"
        [[deviation.at]]
        steps = ["b/*"]
        differ = { "header server" = "{nginx,other} → absent" }
        [[deviation.at]]
        steps = ["a/x #2,3"]
        differ = { status = "{404,405} → 403" }
        [[deviation.at]]
        steps = ["a/x #1"]
        rule = "ignore"
        nginx_before = "1.23.0"
        differ = { body = "empty → *" }
    "#;

    fn difference(step: usize, field: &str, model: &str, other: &str) -> Difference {
        Difference {
            step,
            field: field.to_owned(),
            model: model.to_owned(),
            other: other.to_owned(),
        }
    }

    #[test]
    fn a_difference_is_accepted_at_its_step_with_its_values() {
        let deviations = parse(TEXT, "respect", &[1, 31]).unwrap();
        let mut used = Used::new();
        let mut is_accepted = |scenario: &str, difference: &Difference| {
            accepts(&deviations, scenario, difference, &mut used).is_some()
        };
        assert!(is_accepted("a/x", &difference(2, "status", "404", "403")));
        let server = "header server";
        assert!(is_accepted(
            "b/y",
            &difference(9, server, "nginx", "absent")
        ));
        assert!(!is_accepted("a/x", &difference(1, "status", "404", "403")));
        assert!(!is_accepted("a/x", &difference(2, "status", "404", "500")));
        assert!(!is_accepted("a/x", &difference(1, "body", "empty", "`x`")));
        assert_eq!(
            idle(&deviations, Some("a/x"), &used),
            ["a/x #2,3: status at step 3"]
        );
        assert!(idle(&deviations, None, &used).is_empty());
        assert_eq!(
            idle(&deviations, None, &Used::new()),
            ["b/*: header server"]
        );
    }

    #[test]
    fn rule_and_version_decide_what_is_accepted() {
        let accepted = |rule, nginx: &[u64]| {
            let deviations = parse(TEXT, rule, nginx).unwrap();
            let difference = difference(1, "body", "empty", "`x`");
            accepts(&deviations, "a/x", &difference, &mut Used::new()).is_some()
        };
        assert!(accepted("ignore", &[1, 22, 1]));
        assert!(!accepted("ignore", &[1, 23, 0]));
        assert!(!accepted("respect", &[1, 22, 1]));
    }

    #[test]
    fn nothing_is_accepted_whole() {
        let all = r#"deviation = [{ reason = "why", at = [{ steps = ["*"], differ = { status = "* → *" } }] }]"#;
        assert!(parse(all, "respect", &[]).is_err());
        let bodies = all.replace("* → *", "200 → 206");
        for pattern in ["*", "a/?", "a/[xy] #1", "a/{x,y} #1"] {
            let many = bodies.replace("[\"*\"]", &format!("[\"{pattern}\"]"));
            assert!(parse(&many, "respect", &[]).is_err(), "{pattern}");
        }
        let named = bodies.replace("[\"*\"]", "[\"a/x #1\"]");
        assert!(parse(&named, "respect", &[]).is_ok());
    }
}
