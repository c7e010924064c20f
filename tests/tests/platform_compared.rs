//! Every scenario of the comparison with nginx, put to the worker in engine mode and in platform mode,
//! one test each: what a reader sees is the same, or the difference is accepted with its reason.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use e2e::compare::deviation::pattern;
use e2e::compare::runner::{Proxy, Stack};
use e2e::compare::scenario::{self, Scenario};
use e2e::compare::suite::{self, Comparison, Sides};
use e2e::compare::{Rule, address, edge_settings};
use e2e::edge;
use e2e::platform::cached::Cached;
use e2e::scripted::{ScriptedOrigin, Side};
use serde::Deserialize;

/// `tests/platform/comparison.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    pause: PauseRule,
    #[serde(default)]
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

fn main() -> Result<ExitCode> {
    let file = testkit::root().join("tests/platform/comparison.toml");
    let text = std::fs::read_to_string(&file).with_context(|| format!("`{}`", file.display()))?;
    let rules: Rules = toml::from_str(&text)?;
    let scenarios = scenario::load(&testkit::root().join("tests/scenarios"))?;
    let all = chosen(scenarios, &rules)?;
    let about_the_rule = all
        .iter()
        .filter(|scenario| scenario.id.starts_with("freshness/"))
        .cloned()
        .collect();
    let sides = Sides {
        name: "platform mode compared with engine mode",
        start: both_modes,
        deviations: "deviations-platform.toml",
        choices: Vec::new(),
        most_choices: None,
    };
    let comparison = |rule, fewest, scenarios| Comparison {
        rule,
        scenarios,
        fewest,
        is_whole: rule == Rule::Bucket,
    };
    let comparisons = [
        comparison(Rule::Bucket, 362, all),
        comparison(Rule::Settings, 56, about_the_rule),
    ];
    Ok(suite::main(&sides, &comparisons))
}

/// The scenarios that make sense in both modes, with the pauses of this comparison. Those that are left
/// out are named with their reason.
fn chosen(all: Vec<Scenario>, rules: &Rules) -> Result<Vec<Scenario>> {
    let mut kept = all;
    for left_out in &rules.left_out {
        let glob = pattern(&left_out.scenarios)?;
        let (out, rest): (Vec<_>, Vec<_>) = kept
            .into_iter()
            .partition(|scenario| glob.is_match(&scenario.id));
        ensure!(
            !out.is_empty(),
            "`{}` leaves nothing out",
            left_out.scenarios
        );
        let (count, reason) = (out.len(), &left_out.reason);
        writeln!(
            std::io::stderr(),
            "left out: {} ({count}): {reason}",
            left_out.scenarios
        )?;
        kept = rest;
    }
    let except = rules.pause.except.iter().map(|glob| pattern(glob));
    let except = except.collect::<Result<Vec<_>>>()?;
    for scenario in &mut kept {
        if except.iter().any(|glob| glob.is_match(&scenario.id)) {
            continue;
        }
        for step in &mut scenario.steps {
            if step.pause > rules.pause.longer_than {
                step.pause += rules.pause.more;
            }
        }
    }
    Ok(kept)
}

/// The worker in each mode, with processes of its own.
fn both_modes(origin: &ScriptedOrigin, rule: Rule) -> Result<Stack> {
    let engine = edge::start(&edge_settings(&origin.url(Side::Nginx), rule))?;
    let url = origin.url(Side::Worker);
    let mut settings = edge_settings(&url, rule).to_vec();
    settings.retain(|(name, _)| *name != "CACHE_MODE");
    let platform = Cached::start(&settings)?;
    Ok(Stack {
        proxies: vec![
            Proxy::at(Side::Nginx, address(&engine)?),
            Proxy::at(Side::Worker, platform.address),
        ],
        parts: Box::new((engine, platform)),
    })
}
