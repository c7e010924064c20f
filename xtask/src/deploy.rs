//! `cargo xtask deploy`: everything that can be wrong is found before anything is uploaded, then the worker
//! is deployed and read through its domain.
//!
//! The order of things is [`run`]. What `wrangler.toml` says is read in `configuration.rs`, what is wrong
//! with it decided in `faults.rs`, by the worker's own rules where they are the worker's settings
//! (`rules.rs`). No secret is ever shown: they are checked by name.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Result, bail};

use testkit::build::{self, BUDGET};
use testkit::setup::{Need, setup};

mod cloudflare;
mod configuration;
mod faults;
mod report;
mod rules;
mod secrets;
#[cfg(test)]
mod tests;
mod verify;

use cloudflare::Cloudflare;
use configuration::Configuration;
pub(crate) use configuration::Environment;
use secrets::Secrets;

/// What somebody wants to deploy.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct DeployOptions {
    /// Which part of `wrangler.toml`: `production` is its top level
    #[arg(long, value_enum, default_value_t)]
    pub(crate) env: Environment,
    /// Do everything but the upload, and ask Cloudflare nothing. Exit code 2 says that something is
    /// missing or wrong, and names all of it
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Another configuration than the repository's `wrangler.toml`
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// With `--dry-run`: the secrets that the worker has, so that any other that it needs is missing
    #[arg(
        long,
        value_name = "NAME,…",
        value_delimiter = ',',
        requires = "dry_run"
    )]
    pub(crate) secrets: Option<Vec<String>>,
    /// Secrets to upload together with the worker: a file of NAME=TEXT lines, or JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) secrets_file: Option<PathBuf>,
    /// Do not run `medialift verify` afterwards; its command is printed
    #[arg(long)]
    pub(crate) no_verify: bool,
    /// Arguments of `wrangler deploy`
    #[arg(last = true, value_name = "WRANGLER ARGUMENTS")]
    pub(crate) arguments: Vec<OsString>,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All was done.
    Done,
    /// wrangler or `medialift verify` failed, and has said why.
    Failed,
    /// Something is missing or wrong: all of it was named, and nothing was uploaded.
    Faulty,
}

/// Checks, deploys and verifies.
///
/// # Errors
/// Fails when the tools cannot be had, the worker does not build or is too big, the configuration cannot be
/// read, or Cloudflare cannot be asked.
pub(crate) fn run(options: &DeployOptions) -> Result<Outcome> {
    let tools = setup(Need::WORKER)?;
    let configuration = Configuration::read(options.config.as_deref(), options.env)?;
    let size = build::worker(&tools)?;
    let cloudflare = Cloudflare::new(&tools, &configuration);
    let secrets = if options.dry_run {
        Secrets::seen_here(options, &configuration)?
    } else {
        Secrets::on_cloudflare(options, cloudflare.secrets()?)?
    };
    let verdict = rules::judge(&configuration.texts(), &secrets)?;
    report::print(&configuration, &verdict, &secrets, size)?;
    let faults = faults::all(&configuration, &verdict, &secrets);
    if !faults.is_empty() {
        report::faults(&faults);
        return Ok(Outcome::Faulty);
    }
    if !BUDGET.allows(size) {
        bail!("the worker is {size}, over its budget of {BUDGET}");
    }
    if options.dry_run {
        return cloudflare.deploy(options);
    }
    cloudflare.create_missing_queues(&configuration.queues())?;
    if cloudflare.deploy(options)? != Outcome::Done {
        return Ok(Outcome::Failed);
    }
    let outcome = verify::run(options, &configuration, &verdict, &secrets)?;
    report::purge_hint(&configuration);
    Ok(outcome)
}
