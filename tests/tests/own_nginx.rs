//! The comparison of the nginx that `medialift nginx` prints and the worker, in front of the same origin: one
//! test for each scenario.

use std::process::ExitCode;

use anyhow::Result;
use e2e::compare::runner::{Proxy, Stack};
use e2e::compare::suite::{self, Comparison, Sides};
use e2e::compare::{Rule, address, edge_settings, scenario};
use e2e::scripted::{ScriptedOrigin, Side};
use e2e::{edge, own_nginx};

/// What is asked with the rule of the settings as well: the questions about rules of the bucket's own.
const ABOUT_THE_RULE: [&str; 5] = ["freshness/", "set_cookie/", "vary/", "headers_", "query/"];

fn main() -> Result<ExitCode> {
    let scenarios = scenario::load(&testkit::root().join("tests/scenarios"))?;
    let about_the_rule = scenarios
        .iter()
        .filter(|scenario| {
            ABOUT_THE_RULE
                .iter()
                .any(|start| scenario.id.starts_with(start))
        })
        .cloned()
        .collect();
    let sides = Sides {
        name: "own nginx",
        start: own_nginx_and_worker,
        deviations: "deviations-own-nginx.toml",
        choices: Vec::new(),
        most_choices: None,
    };
    let comparison = |rule, fewest, scenarios| Comparison {
        rule,
        scenarios,
        fewest,
        is_whole: true,
    };
    let comparisons = [
        comparison(Rule::Bucket, 364, scenarios),
        comparison(Rule::Settings, 118, about_the_rule),
    ];
    Ok(suite::main(&sides, &comparisons))
}

fn own_nginx_and_worker(origin: &ScriptedOrigin, rule: Rule) -> Result<Stack> {
    let nginx = own_nginx::start(
        &origin.url(Side::Nginx),
        &["--origin-cache-control", rule.name()],
    )?;
    let worker = edge::start(&edge_settings(&origin.url(Side::Worker), rule))?;
    let model = Proxy {
        sends_timing: false,
        ..Proxy::at(Side::Nginx, nginx.address)
    };
    Ok(Stack {
        proxies: vec![model, Proxy::at(Side::Worker, address(&worker)?)],
        parts: Box::new((nginx, worker)),
    })
}
