//! The nginx of one's own, as `medialift nginx` prints it, and the worker: asked the same questions
//! in front of the same origin, and every difference either explained or a failure.

use std::io::Write as _;
use std::sync::Arc;

use anyhow::Result;
use e2e::compare::runner::{Observed, Pace, run};
use e2e::compare::scenario::{self, Scenario};
use e2e::compare::{deviation, proxies, report};
use e2e::scripted::{ScriptedOrigin, Side};
use e2e::{edge, own_nginx};

/// What the comparison must not shrink below unnoticed.
const FEWEST_SCENARIOS: usize = 350;

/// What is asked with the rule of the settings as well: the questions about rules of the bucket's own.
const ABOUT_THE_RULE: [&str; 5] = ["freshness/", "set_cookie/", "vary/", "headers_", "query/"];

/// The bucket's own rule for an object counts in the scenarios, since they are written in it.
const BY_THE_BUCKETS_RULE: Comparison = Comparison {
    names: report::Names {
        comparison: "own nginx, by the bucket's rule",
        deviations: "deviations-own-nginx.toml",
        first: "nginx",
        second: "worker",
    },
    origin_cache_control: "respect",
};

/// As shipped: the rule of the settings counts.
const BY_THE_SETTINGS_RULE: Comparison = Comparison {
    names: report::Names {
        comparison: "own nginx, by the rule of the settings",
        deviations: "deviations-own-nginx-ignore.toml",
        first: "nginx",
        second: "worker",
    },
    origin_cache_control: "ignore",
};

/// One comparison of the two.
struct Comparison {
    names: report::Names,
    origin_cache_control: &'static str,
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_answers_as_the_worker_does_but_for_the_accepted_differences() -> Result<()> {
    let scenarios = scenarios()?;
    assert!(
        scenarios.len() >= FEWEST_SCENARIOS,
        "only {} scenarios",
        scenarios.len()
    );
    let about_the_rule: Vec<_> = scenarios
        .iter()
        .filter(|scenario| {
            ABOUT_THE_RULE
                .iter()
                .any(|start| scenario.id.starts_with(start))
        })
        .cloned()
        .collect();
    // One after the other: side by side each would keep the other waiting.
    let failures = [
        BY_THE_BUCKETS_RULE.judge(&scenarios).await?,
        BY_THE_SETTINGS_RULE.judge(&about_the_rule).await?,
    ]
    .concat();
    assert!(
        failures.is_empty(),
        "not as the worker, and not as accepted:\n{failures}"
    );
    Ok(())
}

/// All of them, those in which the old nginx is no model too: this one may be.
fn scenarios() -> Result<Vec<Scenario>> {
    let mut scenarios = scenario::load(&testkit::root().join("tests/scenarios"))?;
    for scenario in &mut scenarios {
        scenario.nginx_is_no_model = None;
        for step in &mut scenario.steps {
            step.worker.clear();
        }
    }
    Ok(scenarios)
}

impl Comparison {
    /// Prints the counts, and returns what is wrong.
    async fn judge(&self, scenarios: &[Scenario]) -> Result<String> {
        let folder = testkit::root().join("tests/scenarios");
        let deviations = deviation::load(&folder.join(self.names.deviations))?;
        let mut observed = self.observe(scenarios, Pace::SideBySide).await?;
        let first = report::judge(scenarios, &observed, &deviations)?;
        // On a busy machine two seconds of freshness may be over too soon. What is wrong is wrong in
        // fresh proxies too, with the machine to itself.
        let doubtful = &first.doubtful;
        if !doubtful.is_empty() {
            let again: Vec<_> = doubtful.iter().map(|at| scenarios[*at].clone()).collect();
            let seen_again = self.observe(&again, Pace::Alone).await?;
            observed.retain(|seen| !doubtful.contains(&seen.scenario));
            observed.extend(seen_again.into_iter().map(|seen| Observed {
                scenario: doubtful[seen.scenario],
                ..seen
            }));
        }
        let report = report::judge(scenarios, &observed, &deviations)?;
        let mut text = report::render(&report, scenarios, &deviations, self.names);
        if !doubtful.is_empty() {
            text += &format!(
                "{} scenarios were put a second time, alone; the first time:\n{}",
                doubtful.len(),
                report::failures(&first, scenarios, self.names)
            );
        }
        // Past the test runner's capture: the counts are the point of the run, passed or not.
        std::io::stdout().write_all(text.as_bytes())?;
        Ok(match report.passed() {
            true => String::new(),
            false => report::failures(&report, scenarios, self.names),
        })
    }

    /// Puts the questions to an nginx and a worker of their own.
    async fn observe(&self, scenarios: &[Scenario], pace: Pace) -> Result<Vec<Observed>> {
        let script = scenarios
            .iter()
            .flat_map(|scenario| scenario.script.clone())
            .collect();
        let origin = Arc::new(ScriptedOrigin::start(script).await?);
        let rule = self.origin_cache_control;
        let nginx = own_nginx::start(&origin.url(Side::Nginx), &["--origin-cache-control", rule])?;
        let edge = edge::start(&[
            ("ORIGIN_URL", &origin.url(Side::Worker)),
            ("ORIGIN_CACHE_CONTROL", rule),
            ("CACHE_MODE", "engine"),
        ])?;
        run(scenarios, &proxies(&nginx, &edge)?, origin, pace).await
    }
}
