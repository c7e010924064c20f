//! `observe [--nginx] FILE…`: runs scenario files through nginx and the worker, or through nginx
//! alone, and prints all that is compared. Nothing is judged.
//!
//! Used to write a scenario, or to explain a difference. Scenarios are those of
//! `tests/scenarios`; the worker must have been built.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use e2e::compare::outcome::ABSENT;
use e2e::compare::runner::{Observed, Pace, observe};
use e2e::compare::scenario::{self, Scenario};
use e2e::compare::{Rule, nginx_and_worker};
use e2e::scripted::ScriptedOrigin;

#[tokio::main]
async fn main() -> Result<()> {
    let (flags, files): (Vec<_>, Vec<_>) = std::env::args()
        .skip(1)
        .partition(|argument| argument.starts_with("--"));
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
    let without_worker = flags.iter().any(|flag| flag == "--nginx");
    let start = |origin: &ScriptedOrigin| {
        let mut stack = nginx_and_worker(origin, Rule::Bucket)?;
        if without_worker {
            stack.proxies.truncate(1);
        }
        Ok(stack)
    };
    let observed = observe(&scenarios, start, Pace::SideBySide).await?;
    print(&scenarios, &observed)?;
    Ok(())
}

fn print(scenarios: &[Scenario], observed: &[Observed]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for (number, scenario) in scenarios.iter().enumerate() {
        writeln!(out, "{}", scenario.id)?;
        let sides: Vec<_> = observed
            .iter()
            .filter(|seen| seen.scenario == number)
            .collect();
        for (place, step) in scenario.steps.iter().enumerate() {
            writeln!(
                out,
                "  {}. {} {}",
                place + 1,
                step.request,
                step.headers.join("; ")
            )?;
            let mut fields: Vec<_> = sides
                .iter()
                .flat_map(|seen| seen.outcomes[place].keys())
                .collect();
            fields.sort();
            fields.dedup();
            for field in fields {
                let value = |seen: &&Observed| {
                    let value = seen.outcomes[place]
                        .get(field)
                        .map_or(ABSENT, String::as_str);
                    format!("{:?} {value}", seen.side)
                };
                let values: Vec<_> = sides.iter().map(value).collect();
                writeln!(out, "    {field}: {}", values.join("   "))?;
            }
        }
    }
    Ok(())
}
