//! What is asked of Cloudflare, through wrangler: secrets by name, queues, the deployment itself.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::configuration::Configuration;
use super::{DeployOptions, Outcome};
use testkit::tools::Tools;

/// wrangler's words where there is no worker, as before its first deployment, or no queue of a name. It has
/// no exit codes of its own for them.
const NO_SUCH_WORKER: &str = "not found";
const NO_SUCH_QUEUE: &str = "does not exist";

/// One environment's account.
pub(super) struct Cloudflare<'a> {
    tools: &'a Tools,
    file: PathBuf,
    worker: String,
    environment: &'static str,
}

impl<'a> Cloudflare<'a> {
    pub(super) fn new(tools: &'a Tools, configuration: &Configuration) -> Self {
        Self {
            tools,
            file: configuration.file.clone(),
            worker: configuration.worker.clone(),
            environment: configuration.environment.wrangler_name(),
        }
    }

    fn wrangler(&self, arguments: &[&str]) -> Command {
        let mut command = self.tools.wrangler();
        command
            .args(arguments)
            .arg("--config")
            .arg(&self.file)
            // Also where it is empty: wrangler then knows that the top level is meant.
            .arg(format!("--env={}", self.environment))
            .env("MEDIALIFT_CACHE", &self.tools.cache);
        command
    }

    /// The names of the secrets that the deployed worker has.
    pub(super) fn secrets(&self) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Secret {
            name: String,
        }
        let mut command = self.wrangler(&["secret", "list", "--format", "json"]);
        let output = command
            .stdin(Stdio::null())
            .output()
            .context("cannot start wrangler")?;
        let said = [output.stdout.as_slice(), b"\n", &output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        if !output.status.success() {
            if said.contains(&format!("Worker \"{}\" {NO_SUCH_WORKER}", self.worker)) {
                return Ok(Vec::new());
            }
            bail!(
                "cannot list the worker's secrets\n{}\n\nhint: `npx wrangler login`, or set `CLOUDFLARE_API_TOKEN`",
                said.trim()
            );
        }
        let secrets: Vec<Secret> = serde_json::from_slice(&output.stdout)
            .context("cannot read the list of the worker's secrets")?;
        Ok(secrets.into_iter().map(|secret| secret.name).collect())
    }

    /// Creates the queues that the account lacks.
    pub(super) fn create_missing_queues(&self, queues: &BTreeSet<&str>) -> Result<()> {
        for queue in queues {
            let mut info = self.wrangler(&["queues", "info", queue]);
            let output = info
                .stdin(Stdio::null())
                .output()
                .context("cannot start wrangler")?;
            if output.status.success() {
                continue;
            }
            let said = [output.stdout.as_slice(), b"\n", &output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            if !said.contains(&format!("Queue \"{queue}\" {NO_SUCH_QUEUE}")) {
                bail!("cannot look for the queue `{queue}`\n{}", said.trim());
            }
            eprintln!("deploy: creating the queue `{queue}`");
            let mut create = self.wrangler(&["queues", "create", queue]);
            let output = create
                .stdin(Stdio::null())
                .output()
                .context("cannot start wrangler")?;
            if !output.status.success() {
                bail!(
                    "cannot create the queue `{queue}`\n{}",
                    String::from_utf8_lossy(&output.stderr).trim()
                );
            }
        }
        Ok(())
    }

    /// `wrangler deploy`. It may ask questions: it has the terminal.
    pub(super) fn deploy(&self, options: &DeployOptions) -> Result<Outcome> {
        let mut command = self.wrangler(&["deploy"]);
        if options.dry_run {
            command.arg("--dry-run");
        }
        if let Some(file) = &options.secrets_file {
            command
                .arg("--secrets-file")
                .arg(std::path::absolute(file).context("cannot resolve `--secrets-file`")?);
        }
        let status = command
            .args(&options.arguments)
            // Standard output is the report's.
            .stdout(std::io::stderr())
            .status()
            .context("cannot start wrangler")?;
        Ok(if status.success() {
            Outcome::Done
        } else {
            Outcome::Failed
        })
    }
}
