//! The comparison of nginx and the worker in front of the same origin: one test for each scenario.

use std::process::ExitCode;

use e2e::compare::scenario::{self, Scenario};
use e2e::compare::suite::{self, Comparison, Sides};
use e2e::compare::{Rule, model, nginx_and_worker};

/// What the names of scenarios begin with in which a copy expires.
const EXPIRING: [&str; 4] = [
    "expiry/",
    "stale/",
    "updating/",
    "body/a new version that breaks off ",
];

fn main() -> anyhow::Result<ExitCode> {
    let scenarios = scenario::load(&testkit::root().join("tests/scenarios"))?;
    let within_seconds: Vec<Scenario> = scenarios
        .iter()
        .filter(|scenario| !scenario.stops_origin() && !scenario.outlasts_the_origin)
        .cloned()
        .collect();
    // By the settings as shipped nothing expires within a run: what is about that is asked with two
    // seconds, and the minute without an origin is the same minute.
    let (expiring, others): (Vec<Scenario>, Vec<Scenario>) = within_seconds
        .into_iter()
        .partition(|scenario| EXPIRING.iter().any(|start| scenario.id.starts_with(start)));
    let sides = Sides {
        name: "nginx",
        start: nginx_and_worker,
        deviations: "deviations.toml",
        choices: model::choices(),
        most_choices: Some(15),
    };
    let comparison = |rule, fewest, scenarios| Comparison {
        rule,
        scenarios,
        fewest,
        is_whole: rule != Rule::SettingsOfSeconds,
    };
    let comparisons = [
        comparison(Rule::Bucket, 364, scenarios),
        comparison(Rule::Settings, 309, others),
        comparison(Rule::SettingsOfSeconds, 48, expiring),
    ];
    Ok(suite::main(&sides, &comparisons))
}
