//! nginx and the worker, asked the same questions in front of the same origin: one test a scenario.

use std::process::ExitCode;

use e2e::compare::suite::{self, Comparison};
use e2e::compare::{nginx_and_worker, scenario};

fn main() -> anyhow::Result<ExitCode> {
    let scenarios = scenario::load(&testkit::root().join("tests/scenarios"))?;
    // The rule of the settings makes nothing expire within a run, and the minute without an origin is
    // the same minute.
    let within_seconds = scenarios
        .iter()
        .filter(|scenario| !scenario.stops_origin() && !scenario.outlasts_the_origin)
        .cloned()
        .collect();
    let comparison = |rule, prefix, name, fewest, scenarios| Comparison {
        name,
        prefix,
        rule,
        fewest,
        scenarios,
        deviations: "deviations.toml",
        most_deviations: 15,
        start: nginx_and_worker,
    };
    Ok(suite::main(&[
        comparison("respect", "", "nginx, by the bucket's rule", 350, scenarios),
        comparison(
            "ignore",
            "ignore/",
            "nginx, by the rule of the settings",
            340,
            within_seconds,
        ),
    ]))
}
