//! nginx and the worker, asked the same questions in front of the same origin.

use std::io::Write as _;
use std::sync::Arc;

use e2e::compare::runner::run;
use e2e::compare::{deviation, edge_settings, proxies, report, scenario};
use e2e::scripted::{ScriptedOrigin, Side};
use xtask::stack::{Edge, Nginx};
use xtask::tools::Tools;

/// What the comparison must not shrink below unnoticed.
const FEWEST_SCENARIOS: usize = 350;

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_answers_as_nginx_does_but_for_the_accepted_differences() {
    let folder = xtask::root().join("tests/scenarios");
    let scenarios = scenario::load(&folder).unwrap();
    let deviations = deviation::load(&folder.join("deviations.toml")).unwrap();
    assert!(
        scenarios.len() >= FEWEST_SCENARIOS,
        "only {} scenarios",
        scenarios.len()
    );
    let script = scenarios
        .iter()
        .flat_map(|scenario| scenario.script.clone())
        .collect();
    let origin = Arc::new(ScriptedOrigin::start(script).await.unwrap());
    let nginx = Nginx::start(&origin.url(Side::Nginx)).unwrap();
    let url = origin.url(Side::Worker);
    let edge = Edge::start(&Tools::load().unwrap(), &edge_settings(&url)).unwrap();
    let proxies = proxies(&nginx, &edge).unwrap();
    let observed = run(&scenarios, &proxies, origin).await.unwrap();
    let report = report::judge(&scenarios, &observed, &deviations).unwrap();
    let text = report::render(&report, &scenarios, &deviations);
    // Past the test runner's capture: the counts are the point of the run, passed or not.
    std::io::stdout().write_all(text.as_bytes()).unwrap();
    assert!(report.passed(), "see the unexplained differences above");
}
