//! Every scenario of the comparison with nginx, put to the worker in engine mode and in platform mode:
//! what a reader sees is the same, or the difference is accepted with its reason.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use e2e::compare::deviation::{self, pattern};
use e2e::compare::report::{self, Names};
use e2e::compare::runner::{Observed, Pace, Proxy, run};
use e2e::compare::scenario::{self, Scenario};
use e2e::compare::{address, edge_settings, proxies_at};
use e2e::edge;
use e2e::platform::cached::Cached;
use e2e::scripted::{ScriptedOrigin, Side};
use regex::Regex;
use serde::Deserialize;

const MODES: Names = Names {
    comparison: "platform mode compared with engine mode",
    deviations: "deviations-platform.toml",
    first: "engine",
    second: "platform",
};

/// What the comparison must not shrink below unnoticed.
const FEWEST_SCENARIOS: usize = 330;

/// More than a busy machine spoils: to put so many a second time, one after the other, takes too long.
const MOST_DOUBTFUL: usize = 40;

/// `tests/platform/comparison.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    pause: PauseRule,
    left_out: Vec<LeftOut>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PauseRule {
    longer_than: f64,
    more: f64,
    except: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LeftOut {
    scenarios: String,
    reason: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn both_modes_answer_alike_but_for_the_accepted_differences() {
    let folder = testkit::root().join("tests/scenarios");
    let deviations = deviation::load(&folder.join(MODES.deviations)).unwrap();
    let rules = rules(&testkit::root().join("tests/platform/comparison.toml"));
    let mut said = String::new();
    let scenarios = chosen(scenario::load(&folder).unwrap(), &rules, &mut said);
    assert!(
        scenarios.len() >= FEWEST_SCENARIOS,
        "only {} scenarios",
        scenarios.len()
    );

    let mut observed = observe(&scenarios, Pace::SideBySide).await.unwrap();
    let first = report::judge(&scenarios, &observed, &deviations).unwrap();
    // A busy machine spoils what depends on seconds: what is wrong is wrong in fresh processes too, with
    // the machine to itself.
    let doubtful = &first.doubtful;
    if !doubtful.is_empty() && doubtful.len() <= MOST_DOUBTFUL {
        let again: Vec<_> = doubtful.iter().map(|at| scenarios[*at].clone()).collect();
        let seen_again = observe(&again, Pace::Alone).await.unwrap();
        observed.retain(|seen| !doubtful.contains(&seen.scenario));
        observed.extend(seen_again.into_iter().map(|seen| Observed {
            scenario: doubtful[seen.scenario],
            ..seen
        }));
    }
    let report = report::judge(&scenarios, &observed, &deviations).unwrap();
    said += &report::render(&report, &scenarios, &deviations, MODES);
    if !doubtful.is_empty() {
        said += &format!(
            "{} scenarios were put a second time, alone\n",
            doubtful.len()
        );
    }
    // Past the test runner's capture: the counts are the point of the run, passed or not.
    std::io::stdout().write_all(said.as_bytes()).unwrap();
    assert!(
        report.passed(),
        "the modes differ, and not as accepted:\n{}",
        report::failures(&report, &scenarios, MODES)
    );
}

fn rules(path: &Path) -> Rules {
    toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The scenarios that make sense in both modes, with the pauses of this comparison. Those that are left
/// out are told with their reason.
fn chosen(all: Vec<Scenario>, rules: &Rules, said: &mut String) -> Vec<Scenario> {
    let is_one_of =
        |id: &str, globs: &[String]| globs.iter().any(|glob| pattern(glob).unwrap().is_match(id));
    for left_out in &rules.left_out {
        let out: Vec<_> = all
            .iter()
            .filter(|scenario| is_one_of(&scenario.id, std::slice::from_ref(&left_out.scenarios)))
            .map(|scenario| scenario.id.as_str())
            .collect();
        assert!(
            !out.is_empty(),
            "`{}` leaves nothing out",
            left_out.scenarios
        );
        *said += &format!("left out: {}: {}\n", out.join(", "), left_out.reason);
    }
    let globs: Vec<_> = rules
        .left_out
        .iter()
        .map(|out| out.scenarios.clone())
        .collect();
    let kept = all
        .into_iter()
        .filter(|scenario| !is_one_of(&scenario.id, &globs));
    kept.map(|mut scenario| {
        // Both sides are the worker: the engine's answer is the expectation.
        scenario.nginx_is_no_model = None;
        if !is_one_of(&scenario.id, &rules.pause.except) {
            for step in &mut scenario.steps {
                if step.pause > rules.pause.longer_than {
                    step.pause += rules.pause.more;
                }
            }
        }
        scenario
    })
    .collect()
}

/// Puts the questions to a worker in each mode, with processes of their own.
async fn observe(scenarios: &[Scenario], pace: Pace) -> anyhow::Result<Vec<Observed>> {
    let script = scenarios
        .iter()
        .flat_map(|scenario| scenario.script.clone())
        .collect();
    let origin = Arc::new(ScriptedOrigin::start(script).await?);
    let engine = edge::start(&edge_settings(&origin.url(Side::Nginx)))?;
    let url = origin.url(Side::Worker);
    let mut settings = edge_settings(&url).to_vec();
    settings.retain(|(name, _)| *name != "CACHE_MODE");
    let platform = Cached::start(&settings)?;
    let proxies: [Proxy; 2] = proxies_at(address(&engine)?, platform.address);
    let mut observed = run(scenarios, &proxies, origin, pace).await?;
    for outcome in observed.iter_mut().flat_map(|seen| &mut seen.outcomes) {
        for (field, value) in outcome.iter_mut() {
            match field.as_str() {
                "header age" => *value = without_numbers(r"^\d{1,2}$", value),
                "header server-timing" => *value = without_numbers(r"\d+$", value),
                _ => {}
            }
        }
    }
    Ok(observed)
}

/// A value without what differs from moment to moment: the seconds of an age below 100, and the
/// milliseconds that the bucket took. Of many readers' values those that become the same are counted
/// together.
fn without_numbers(number: &str, value: &str) -> String {
    let number = Regex::new(number).unwrap();
    let of_many = Regex::new(r"(.*?) ×(\d+)(?:, |$)").unwrap();
    if !of_many.is_match(value) {
        return number.replace(value, "…").into_owned();
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for found in of_many.captures_iter(value) {
        let one = number.replace(&found[1], "…").into_owned();
        *counts.entry(one).or_default() += found[2].parse::<usize>().unwrap();
    }
    let each: Vec<_> = counts
        .iter()
        .map(|(one, count)| format!("{one} ×{count}"))
        .collect();
    each.join(", ")
}

#[test]
fn values_of_the_moment_are_counted_together() {
    let ages = without_numbers(r"^\d{1,2}$", "1 ×19, 12 ×2, absent ×1");
    assert_eq!(ages, "absent ×1, … ×21");
    assert_eq!(without_numbers(r"^\d{1,2}$", "500"), "500");
    let timing = without_numbers(
        r"\d+$",
        "cache;desc=MISS, origin;dur=83 ×1, cache;desc=HIT ×2",
    );
    assert_eq!(
        timing,
        "cache;desc=HIT ×2, cache;desc=MISS, origin;dur=… ×1"
    );
}
