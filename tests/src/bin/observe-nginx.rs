//! `observe-nginx FILE.toml…`: runs scenario files through nginx alone and prints what it does.
//!
//! For whoever writes a scenario: what nginx answers is the expectation.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use e2e::compare::runner::{Proxy, run};
use e2e::compare::scenario;
use e2e::nginx::Nginx;
use e2e::scripted::{ScriptedOrigin, Side};

#[tokio::main]
async fn main() -> Result<()> {
    let files: Vec<_> = std::env::args().skip(1).collect();
    ensure!(!files.is_empty(), "which scenario files?");
    let mut scenarios = Vec::new();
    for file in &files {
        let stem = Path::new(file)
            .file_stem()
            .context("a file name")?
            .to_string_lossy()
            .into_owned();
        let text = std::fs::read_to_string(file).with_context(|| format!("read `{file}`"))?;
        scenarios.extend(
            scenario::parse(&stem, &text).with_context(|| format!("scenarios in `{file}`"))?,
        );
    }
    let script = scenarios
        .iter()
        .flat_map(|scenario| scenario.script.clone())
        .collect();
    let origin = Arc::new(ScriptedOrigin::start(script).await?);
    let nginx = Nginx::start(&origin.url(Side::Nginx))?;
    let proxy = Proxy {
        side: Side::Nginx,
        address: nginx.address,
    };
    let mut observed = run(&scenarios, &[proxy], Arc::clone(&origin)).await?;
    observed.sort_by_key(|seen| seen.scenario);
    let mut out = std::io::stdout().lock();
    for seen in observed {
        let scenario = &scenarios[seen.scenario];
        writeln!(out, "{}", scenario.id)?;
        for (step, outcome) in scenario.steps.iter().zip(&seen.outcomes) {
            writeln!(out, "  {} {}", step.request, step.headers.join("; "))?;
            for (field, value) in outcome {
                writeln!(out, "    {field}: {value}")?;
            }
        }
    }
    write!(out, "{}", nginx.error_log())?;
    Ok(())
}
