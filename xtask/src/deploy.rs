//! `cargo xtask deploy`: everything that can be wrong is found before anything is uploaded, then the worker
//! is deployed and read through its domain.
//!
//! The order of things is [`run`]. wrangler says what `wrangler.toml` means for an environment, and the worker's
//! own program what is wrong with that (`rules.rs`). No secret is ever shown: they are checked by name.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, bail};

use testkit::build::{self, BUDGET};
use testkit::setup::{Need, setup};

mod cloudflare;
mod rules;
mod secrets;
mod verify;

use cloudflare::Cloudflare;
use rules::Configuration;
use secrets::Secrets;

/// Options of `cargo xtask deploy`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DeployOptions {
    /// Which part of `wrangler.toml`: `production` is its top level, `staging` is `[env.staging]`
    #[arg(long, value_name = "NAME", default_value = "production")]
    env: String,
    /// Do everything but the upload, and ask Cloudflare nothing. Exit code 2 says that something is
    /// missing or wrong, and names all of it
    #[arg(long)]
    dry_run: bool,
    /// Another configuration than the repository's `wrangler.toml`
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// With `--dry-run`: the secrets that the worker has, so that any other that it needs is missing
    #[arg(
        long,
        value_name = "NAME,…",
        value_delimiter = ',',
        requires = "dry_run"
    )]
    secrets: Option<Vec<String>>,
    /// Secrets to upload together with the worker: a file of NAME=TEXT lines, or JSON
    #[arg(long, value_name = "FILE")]
    secrets_file: Option<PathBuf>,
    /// Do not run `medialift verify` afterwards; its command is printed
    #[arg(long)]
    no_verify: bool,
    /// Arguments of `wrangler deploy`
    #[arg(last = true, value_name = "WRANGLER ARGUMENTS")]
    arguments: Vec<OsString>,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All was done.
    Done,
    /// wrangler or `medialift verify` failed, and has printed why.
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
    let configuration = Configuration::read(&tools, options.config.as_deref(), &options.env)?;
    let size = build::worker(&tools)?;
    let cloudflare = Cloudflare {
        tools: &tools,
        configuration: &configuration,
    };
    let listed = if options.dry_run {
        let names = options.secrets.clone();
        names.map(|names| ("`--secrets`", names))
    } else {
        Some(("at Cloudflare", cloudflare.secrets()?))
    };
    let secrets = Secrets::new(listed, options.secrets_file.as_deref())?;
    let findings = rules::check(&configuration, &secrets)?;
    let report = findings.report;
    writeln!(
        std::io::stdout(),
        "{report}size\n  {size}  the budget is {BUDGET}"
    )?;
    if !findings.faults.is_empty() {
        let count = match findings.faults.len() {
            1 => "one thing is".to_owned(),
            count => format!("{count} things are"),
        };
        eprintln!("\nerror: {count} missing or wrong, nothing was uploaded");
        for fault in findings.faults {
            eprintln!("  `{}` {}", fault.subject, fault.problem);
        }
        eprintln!(
            "\nhint: docs/deploy.md goes through `wrangler.toml`, docs/settings.md lists every variable"
        );
        return Ok(Outcome::Faulty);
    }
    if !BUDGET.allows(size) {
        bail!("the worker is {size}, over its budget of {BUDGET}");
    }
    if options.dry_run {
        return cloudflare.deploy(options);
    }
    cloudflare.create_missing_queues(&findings.queues)?;
    if cloudflare.deploy(options)? != Outcome::Done {
        return Ok(Outcome::Failed);
    }
    let url = findings.files_url.as_deref();
    let outcome = verify::run(&tools, options, url, &findings.verify, &secrets)?;
    eprintln!(
        "\nhint: cached copies keep the headers that they were stored with. If this version changes headers:\n  medialift purge --everything --purge-secret-file purge.secret --files-url {}",
        url.unwrap_or("https://files.example.com")
    );
    Ok(outcome)
}
