//! `cost-model`: prints what each contender takes to serve a request log, as JSON. See [`e2e::cost`].

use std::io::Write as _;

use anyhow::Result;
use clap::Parser;
use e2e::cost::{contenders, log::Shape};

/// Replays a request log through the worker's engine and its peers, and prints the counts as JSON
#[derive(Debug, Parser)]
#[command(name = "cost-model", version)]
struct Options {
    /// What the log is drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Reads in the log
    #[arg(long, default_value_t = 1_000_000)]
    reads: usize,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let shape = Shape::month(options.seed, options.reads);
    let contenders: Vec<_> = contenders(&shape)
        .into_iter()
        .map(|(name, tally)| serde_json::json!({ "name": name, "tally": tally }))
        .collect();
    let printed = serde_json::json!({
        "reads": shape.reads,
        "days": shape.days,
        "archive": shape.archive,
        "posts": shape.posts,
        "exponent": shape.exponent,
        "contenders": contenders,
    });
    writeln!(std::io::stdout(), "{printed}")?;
    Ok(())
}
