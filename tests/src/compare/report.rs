//! Judges what was observed and tells it: agreement, accepted difference, or a failure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result};

use super::deviation::{Deviation, Difference, Used, pattern};
use super::outcome::{ABSENT, Outcome};
use super::runner::Observed;
use super::scenario::Scenario;
use crate::scripted::Side;

/// What the two sides of a comparison are called.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// The comparison.
    pub comparison: &'static str,
    /// The file of accepted differences in `tests/scenarios`.
    pub deviations: &'static str,
    /// The expectation, on [`Side::Nginx`].
    pub first: &'static str,
    /// What is compared with it, on [`Side::Worker`].
    pub second: &'static str,
}

/// nginx and the worker.
pub const NGINX: Names = Names {
    comparison: "nginx comparison",
    deviations: "deviations.toml",
    first: "nginx",
    second: "worker",
};

/// The verdict on a whole run.
#[derive(Debug, Default)]
pub struct Report {
    /// How many scenarios ran.
    pub scenarios: usize,
    /// How many of them have an expectation of their own.
    pub own_expectations: usize,
    /// How many differ nowhere but where every answer does.
    pub agreeing: usize,
    /// How many steps were asked of each side.
    pub steps: usize,
    /// How many values were the same on both sides.
    pub same: usize,
    /// How many were not, as accepted: by the deviation's place in the file.
    pub accepted: BTreeMap<usize, usize>,
    /// Differences without an explanation.
    pub unexplained: Vec<Difference>,
    /// Own expectations that the worker did not meet, or that nginx meets as well.
    pub unmet: Vec<String>,
    /// Accepted differences, or alternatives of one, that did not occur.
    pub idle: Vec<String>,
    /// Scenarios, by their place in the list, that are not as they should be.
    pub doubtful: Vec<usize>,
}

impl Report {
    /// Whether nothing is left to explain.
    pub fn passed(&self) -> bool {
        self.unexplained.is_empty() && self.unmet.is_empty() && self.idle.is_empty()
    }
}

/// Compares both sides of every scenario.
///
/// # Errors
/// A side that was not observed, or an expectation that is no pattern.
pub fn judge(
    scenarios: &[Scenario],
    observed: &[Observed],
    deviations: &[Deviation],
) -> Result<Report> {
    let mut report = Report {
        scenarios: scenarios.len(),
        ..Report::default()
    };
    let find = |number: usize, side: Side| {
        let mut found = observed
            .iter()
            .filter(|seen| seen.scenario == number && seen.side == side);
        found
            .next()
            .map(|seen| &seen.outcomes)
            .with_context(|| format!("scenario {number} was not run"))
    };
    let mut used = Used::new();
    for (number, scenario) in scenarios.iter().enumerate() {
        let failures = |report: &Report| report.unexplained.len() + report.unmet.len();
        let failed_before = failures(&report);
        let (nginx, worker) = (find(number, Side::Nginx)?, find(number, Side::Worker)?);
        report.steps += scenario
            .steps
            .iter()
            .filter(|step| !step.stop_origin)
            .count();
        if let Some(reason) = &scenario.nginx_is_no_model {
            report.own_expectations += 1;
            judge_by_own_expectation(&mut report, scenario, reason, nginx, worker)?;
            if failures(&report) > failed_before {
                report.doubtful.push(number);
            }
            continue;
        }
        // Two that say nothing do not agree.
        for seen in observed {
            if seen.scenario == number && seen.side == Side::Worker {
                let silent =
                    |why: &String| format!("{}: the worker gave no answer: {why}", scenario.id);
                report.unmet.extend(seen.silences.iter().map(silent));
            }
        }
        let mut agrees = true;
        for (step, (nginx, worker)) in nginx.iter().zip(worker).enumerate() {
            for difference in differences(&scenario.id, step + 1, nginx, worker, &mut report.same) {
                let explained = deviations
                    .iter()
                    .enumerate()
                    .position(|(place, deviation)| {
                        deviation.explains(place, &difference, &mut used)
                    });
                match explained {
                    Some(place) => {
                        agrees &= deviations[place].title.starts_with("*:");
                        *report.accepted.entry(place).or_default() += 1;
                    }
                    None => {
                        agrees = false;
                        report.unexplained.push(difference);
                    }
                }
            }
        }
        report.agreeing += usize::from(agrees);
        if failures(&report) > failed_before {
            report.doubtful.push(number);
        }
    }
    for (place, deviation) in deviations.iter().enumerate() {
        report.idle.extend(deviation.idle(place, &used));
    }
    Ok(report)
}

fn differences(
    scenario: &str,
    step: usize,
    nginx: &Outcome,
    worker: &Outcome,
    same: &mut usize,
) -> Vec<Difference> {
    let mut fields: Vec<&String> = nginx.keys().chain(worker.keys()).collect();
    fields.sort();
    fields.dedup();
    let mut found = Vec::new();
    for field in fields {
        let value =
            |outcome: &Outcome| outcome.get(field).map_or(ABSENT, String::as_str).to_owned();
        let (nginx, worker) = (value(nginx), value(worker));
        if nginx == worker {
            *same += 1;
        } else {
            found.push(Difference {
                scenario: scenario.to_owned(),
                step,
                field: field.clone(),
                nginx,
                worker,
            });
        }
    }
    found
}

fn judge_by_own_expectation(
    report: &mut Report,
    scenario: &Scenario,
    reason: &str,
    nginx: &[Outcome],
    worker: &[Outcome],
) -> Result<()> {
    let mut nginx_differs = false;
    for (number, step) in scenario.steps.iter().enumerate() {
        for (field, expected) in &step.worker {
            let expectation = pattern(expected)?;
            let value = |outcomes: &[Outcome]| {
                outcomes[number]
                    .get(field)
                    .map_or(ABSENT, String::as_str)
                    .to_owned()
            };
            let (nginx, worker) = (value(nginx), value(worker));
            nginx_differs |= !expectation.is_match(&nginx);
            if expectation.is_match(&worker) {
                report.same += 1;
            } else {
                let step = number + 1;
                report.unmet.push(format!(
                    "{} step {step}: {field}: worker `{worker}`, not `{expected}`",
                    scenario.id
                ));
            }
        }
    }
    if !nginx_differs {
        report.unmet.push(format!(
            "{}: nginx does all this too, though \"{reason}\"",
            scenario.id
        ));
    }
    Ok(())
}

/// The report for people: counts, accepted differences with their reasons, and every failure with
/// both values.
pub fn render(
    report: &Report,
    scenarios: &[Scenario],
    deviations: &[Deviation],
    names: Names,
) -> String {
    let mut text = String::new();
    let accepted: usize = report.accepted.values().sum();
    let _ = writeln!(
        text,
        "accepted differences (tests/scenarios/{}):",
        names.deviations
    );
    for (place, count) in &report.accepted {
        let deviation = &deviations[*place];
        let _ = writeln!(
            text,
            "  {count:>5} × {}\n          {}",
            deviation.title, deviation.reason
        );
    }
    text.push_str(&failures(report, scenarios, names));
    let _ = writeln!(
        text,
        "{}: {} scenarios, {} steps on each side: {} agree, {} with accepted differences, {} by an \
         expectation of their own",
        names.comparison,
        report.scenarios,
        report.steps,
        report.agreeing,
        report.scenarios
            - report.agreeing
            - report.own_expectations
            - unexplained_scenarios(report),
        report.own_expectations,
    );
    let _ = writeln!(
        text,
        "values: {} the same, {accepted} differ as accepted ({} reasons), {} unexplained, {} not as expected, {} \
         accepted but absent",
        report.same,
        report.accepted.len(),
        report.unexplained.len(),
        report.unmet.len(),
        report.idle.len(),
    );
    text
}

/// Every failure, with both values.
pub fn failures(report: &Report, scenarios: &[Scenario], names: Names) -> String {
    let mut text = String::new();
    let step = |difference: &Difference| {
        let found = scenarios
            .iter()
            .find(|scenario| scenario.id == difference.scenario);
        found
            .and_then(|scenario| scenario.steps.get(difference.step - 1))
            .map_or(String::new(), |step| step.request.clone())
    };
    let mut last = String::new();
    for difference in &report.unexplained {
        let place = format!(
            "{} step {} ({})",
            difference.scenario,
            difference.step,
            step(difference)
        );
        if place != last {
            let _ = writeln!(text, "unexplained: {place}");
            last = place;
        }
        let _ = writeln!(
            text,
            "  {}\n    {}: {}\n    {}: {}",
            difference.field, names.first, difference.nginx, names.second, difference.worker
        );
    }
    for unmet in &report.unmet {
        let _ = writeln!(text, "not as expected: {unmet}");
    }
    for idle in &report.idle {
        let _ = writeln!(text, "accepted but did not occur: {idle}");
    }
    text
}

fn unexplained_scenarios(report: &Report) -> usize {
    let mut scenarios: Vec<_> = report
        .unexplained
        .iter()
        .map(|difference| &difference.scenario)
        .collect();
    scenarios.sort();
    scenarios.dedup();
    scenarios.len()
}

#[cfg(test)]
mod tests {
    use super::super::{deviation, scenario};
    use super::*;

    fn outcome(fields: &[(&str, &str)]) -> Outcome {
        fields
            .iter()
            .map(|(field, value)| ((*field).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn judged(
        extra: &str,
        nginx: &[(&str, &str)],
        worker: &[(&str, &str)],
        deviations: &str,
    ) -> Report {
        let text = format!("about = \"x\"\n[[scenario]]\nname = \"one\"\n{extra}");
        let scenarios = scenario::parse("file", &text).unwrap();
        let observed =
            [(Side::Nginx, nginx), (Side::Worker, worker)].map(|(side, fields)| Observed {
                scenario: 0,
                side,
                outcomes: vec![outcome(fields)],
                silences: Vec::new(),
            });
        judge(
            &scenarios,
            &observed,
            &deviation::parse(deviations).unwrap(),
        )
        .unwrap()
    }

    const ASK: &str = "steps = [\"GET a.jpg\"]";
    const NONE: &str = "deviation = []";
    const STATUS: &str = r#"deviation = [{ scenarios = ["file/*"], field = "status", nginx = "404", worker = "403", reason = "why" }]"#;

    #[test]
    fn a_difference_without_a_reason_fails() {
        let report = judged(ASK, &[("status", "200")], &[("status", "206")], NONE);
        assert_eq!(report.unexplained.len(), 1);
        assert!(!report.passed());
    }

    #[test]
    fn two_that_give_no_answer_do_not_agree() {
        let text = format!("about = \"x\"\n[[scenario]]\nname = \"one\"\n{ASK}");
        let scenarios = scenario::parse("file", &text).unwrap();
        let observed = [Side::Nginx, Side::Worker].map(|side| Observed {
            scenario: 0,
            side,
            outcomes: vec![outcome(&[("status", "no answer")])],
            silences: vec!["step 1: connect: refused".to_owned()],
        });
        let report = judge(&scenarios, &observed, &[]).unwrap();
        assert!(!report.passed());
        assert_eq!(report.doubtful, [0]);
        assert!(failures(&report, &scenarios, NGINX).contains("refused"));
    }

    #[test]
    fn a_missing_header_is_a_difference() {
        let report = judged(ASK, &[("header etag", "\"a\"")], &[], NONE);
        assert_eq!(report.unexplained[0].worker, ABSENT);
    }

    #[test]
    fn an_accepted_difference_passes_with_those_values_only() {
        assert!(judged(ASK, &[("status", "404")], &[("status", "403")], STATUS).passed());
        assert!(!judged(ASK, &[("status", "404")], &[("status", "500")], STATUS).passed());
    }

    #[test]
    fn an_accepted_difference_that_does_not_occur_fails() {
        let report = judged(ASK, &[("status", "404")], &[("status", "404")], STATUS);
        assert_eq!(report.idle.len(), 1);
        assert!(!report.passed());
    }

    #[test]
    fn an_expectation_of_its_own_holds_for_the_worker_and_not_for_nginx() {
        let own = "nginx_is_no_model = \"breaks\"\nsteps = [{ request = \"GET a b\", worker = { status = \"200\" } }]";
        assert!(judged(own, &[("status", "502")], &[("status", "200")], NONE).passed());
        assert!(
            !judged(own, &[("status", "502")], &[("status", "404")], NONE).passed(),
            "the worker fails it"
        );
        assert!(
            !judged(own, &[("status", "200")], &[("status", "200")], NONE).passed(),
            "nginx does not differ"
        );
    }
}
