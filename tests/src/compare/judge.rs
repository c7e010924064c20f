//! Judges what was observed of one scenario: the same, different as accepted, or a fault.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::deviation::{ARROW, Deviation, Difference, Used, accepts, idle};
use super::outcome::{ABSENT, Outcome, is_wrong};
use super::runner::Observed;
use super::scenario::Scenario;

/// The verdict on one scenario.
#[derive(Debug, Default)]
pub struct Verdict {
    /// How many values were the same on both sides.
    pub same: usize,
    /// How many were not, as accepted: by the deviation's place in the file.
    pub accepted: BTreeMap<usize, usize>,
    /// What took part in that.
    pub used: Used,
    /// How many differ, and nothing accepts it.
    pub unexplained: usize,
    /// What is wrong, for people; empty where nothing is.
    pub faults: String,
}

/// Compares both sides of a scenario.
#[must_use]
pub fn judge(
    scenario: &Scenario,
    model: &Observed,
    other: &Observed,
    deviations: &[Deviation],
) -> Verdict {
    let mut verdict = Verdict::default();
    // Two that say nothing do not agree.
    if !other.silences.is_empty() && !model.silences.is_empty() {
        for silence in &other.silences {
            let _ = writeln!(verdict.faults, "no answer: {silence}");
        }
    }
    let steps = model.outcomes.iter().zip(&other.outcomes);
    for (number, (model, other)) in (1..).zip(steps) {
        let mut unexplained = wrong_alike(number, model, other);
        for difference in differences(number, model, other, &mut verdict.same) {
            match accepts(deviations, &scenario.id, &difference, &mut verdict.used) {
                Some(deviation) => *verdict.accepted.entry(deviation).or_default() += 1,
                None => unexplained.push(difference),
            }
        }
        if unexplained.is_empty() {
            continue;
        }
        verdict.unexplained += unexplained.len();
        let request = &scenario.steps[number - 1].request;
        let _ = writeln!(verdict.faults, "{} #{number} ({request})", scenario.id);
        // As it would stand in the file of accepted differences.
        for Difference {
            field,
            model,
            other,
            ..
        } in unexplained
        {
            let _ = writeln!(verdict.faults, "  {field:?} = '{model}{ARROW}{other}'");
        }
    }
    for idle in idle(deviations, Some(&scenario.id), &verdict.used) {
        let _ = writeln!(verdict.faults, "accepted, and does not differ: {idle}");
    }
    verdict
}

/// What both sides say, and neither should.
fn wrong_alike(step: usize, model: &Outcome, other: &Outcome) -> Vec<Difference> {
    let mut found = Vec::new();
    for (field, value) in model {
        if is_wrong(field, value) && other.get(field) == Some(value) {
            found.push(Difference {
                step,
                field: field.clone(),
                model: value.clone(),
                other: value.clone(),
            });
        }
    }
    found
}

fn differences(step: usize, model: &Outcome, other: &Outcome, same: &mut usize) -> Vec<Difference> {
    let fields: BTreeSet<&String> = model.keys().chain(other.keys()).collect();
    let mut found = Vec::new();
    for field in fields {
        let value = |of: &Outcome| of.get(field).map_or(ABSENT, String::as_str).to_owned();
        let (model, other) = (value(model), value(other));
        if model == other {
            *same += 1;
        } else {
            found.push(Difference {
                step,
                field: field.clone(),
                model,
                other,
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::outcome::{RIGHT_AGE, RIGHT_TIMING, TIMING};
    use super::super::{deviation, scenario};
    use super::*;
    use crate::scripted::Side;

    const NONE: &str = "deviation = []";
    const STATUS: &str = r#"deviation = [{ reason = "why", at = [{ steps = ["file/one #1"], differ = { status = "404 → 403" } }] }]"#;

    /// Whether a scenario of one step passes.
    fn passes(model: (&str, &str), other: (&str, &str), deviations: &str) -> bool {
        let text = "about = \"x\"\n[[scenario]]\nname = \"one\"\nsteps = [\"GET a.jpg\"]";
        let scenario = scenario::parse("file", text).unwrap().remove(0);
        let observed = |side, (field, value): (&str, &str)| Observed {
            scenario: 0,
            side,
            outcomes: vec![Outcome::from([(field.to_owned(), value.to_owned())])],
            silences: match value {
                "no answer" => vec!["step 1: connect: refused".to_owned()],
                _ => Vec::new(),
            },
        };
        let deviations = deviation::parse(deviations, "respect", &[1, 31]).unwrap();
        let (model, other) = (observed(Side::Nginx, model), observed(Side::Worker, other));
        judge(&scenario, &model, &other, &deviations)
            .faults
            .is_empty()
    }

    #[test]
    fn a_difference_without_a_reason_fails() {
        assert!(passes(("status", "200"), ("status", "200"), NONE));
        assert!(!passes(("status", "200"), ("status", "206"), NONE));
        assert!(!passes(("header etag", "\"a\""), ("status", "206"), NONE));
    }

    #[test]
    fn two_that_give_no_answer_do_not_agree() {
        let silence = ("status", "no answer");
        assert!(!passes(silence, silence, NONE));
    }

    #[test]
    fn two_that_fail_alike_do_not_agree() {
        let age = "absent where RFC 9111 wants another ×1, as RFC 9111 wants it ×9";
        for (field, right, wrong) in [
            ("within 3 s", "true", "false"),
            ("beside", "200", "502"),
            ("header age", RIGHT_AGE, age),
            (TIMING, RIGHT_TIMING, "WRONG: cache;desc=HIT"),
        ] {
            assert!(passes((field, right), (field, right), NONE));
            assert!(!passes((field, wrong), (field, wrong), NONE));
        }
        let extra = ("bytes after the end", "4");
        assert!(!passes(extra, extra, NONE));
    }

    #[test]
    fn an_accepted_difference_passes_with_those_values_only_and_must_occur() {
        assert!(passes(("status", "404"), ("status", "403"), STATUS));
        assert!(!passes(("status", "404"), ("status", "500"), STATUS));
        assert!(!passes(("status", "404"), ("status", "404"), STATUS));
    }
}
