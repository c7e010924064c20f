//! nginx and the worker, asked the same questions in front of the same origin.

use std::io::Write as _;
use std::sync::Arc;

use e2e::compare::runner::{Observed, Pace, run};
use e2e::compare::scenario::{self, Scenario};
use e2e::compare::{deviation, edge_settings, proxies, report};
use e2e::edge;
use e2e::scripted::{ScriptedOrigin, Side};
use testkit::stack::Nginx;

/// What the comparison must not shrink below unnoticed.
const FEWEST_SCENARIOS: usize = 350;

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_answers_as_nginx_does_but_for_the_accepted_differences() {
    let folder = testkit::root().join("tests/scenarios");
    let scenarios = scenario::load(&folder).unwrap();
    let deviations = deviation::load(&folder.join("deviations.toml")).unwrap();
    assert!(
        scenarios.len() >= FEWEST_SCENARIOS,
        "only {} scenarios",
        scenarios.len()
    );
    let mut observed = observe(&scenarios, Pace::SideBySide).await.unwrap();
    let first = report::judge(&scenarios, &observed, &deviations).unwrap();
    // On a busy machine two seconds of freshness may be over too soon. What is wrong is wrong in
    // fresh proxies too, with the machine to itself.
    let doubtful = &first.doubtful;
    if !doubtful.is_empty() {
        let again: Vec<_> = doubtful.iter().map(|at| scenarios[*at].clone()).collect();
        let seen_again = observe(&again, Pace::Alone).await.unwrap();
        observed.retain(|seen| !doubtful.contains(&seen.scenario));
        observed.extend(seen_again.into_iter().map(|seen| Observed {
            scenario: doubtful[seen.scenario],
            ..seen
        }));
    }
    let report = report::judge(&scenarios, &observed, &deviations).unwrap();
    let mut text = report::render(&report, &scenarios, &deviations, report::NGINX);
    if !doubtful.is_empty() {
        text += &format!(
            "{} scenarios were put a second time, alone; the first time:\n{}",
            doubtful.len(),
            report::failures(&first, &scenarios, report::NGINX)
        );
    }
    // Past the test runner's capture: the counts are the point of the run, passed or not.
    std::io::stdout().write_all(text.as_bytes()).unwrap();
    assert!(
        report.passed(),
        "not as nginx, and not as accepted:\n{}",
        report::failures(&report, &scenarios, report::NGINX)
    );
}

/// Puts the questions to an nginx and a worker of their own.
async fn observe(scenarios: &[Scenario], pace: Pace) -> anyhow::Result<Vec<Observed>> {
    let script = scenarios
        .iter()
        .flat_map(|scenario| scenario.script.clone())
        .collect();
    let origin = Arc::new(ScriptedOrigin::start(script).await?);
    let nginx = Nginx::start(&origin.url(Side::Nginx))?;
    let edge = edge::start(&edge_settings(&origin.url(Side::Worker)))?;
    run(scenarios, &proxies(&nginx, &edge)?, origin, pace).await
}
