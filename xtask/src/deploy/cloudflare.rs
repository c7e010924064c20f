//! What is asked of Cloudflare, through wrangler: secrets by name, queues, the deployment itself.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::rules::Configuration;
use super::{DeployOptions, Outcome};
use testkit::tools::Tools;

/// One environment's account.
pub(super) struct Cloudflare<'a> {
    pub(super) tools: &'a Tools,
    pub(super) configuration: &'a Configuration,
}

impl Cloudflare<'_> {
    fn wrangler(&self, arguments: &[&str]) -> Command {
        let mut command = self.tools.wrangler();
        command
            .args(arguments)
            .arg("--config")
            .arg(&self.configuration.file)
            // Also where it is empty: wrangler then knows that the top level is meant.
            .arg(format!("--env={}", self.configuration.environment))
            .env("MEDIALIFT_CACHE", &self.tools.cache);
        command
    }

    /// What wrangler answers. `None` where it fails and says `absent`: it has no exit codes of its own for
    /// what is not there.
    fn ask(&self, arguments: &[&str], absent: Option<String>) -> Result<Option<Vec<u8>>> {
        let mut command = self.wrangler(arguments);
        let output = command
            .stdin(Stdio::null())
            .output()
            .context("cannot start wrangler")?;
        if output.status.success() {
            return Ok(Some(output.stdout));
        }
        let printed = [output.stdout.as_slice(), b"\n", &output.stderr].concat();
        let message = String::from_utf8_lossy(&printed);
        if absent.is_some_and(|absent| message.contains(&absent)) {
            return Ok(None);
        }
        bail!(
            "`wrangler {}` failed\n{}\n\nhint: `npx wrangler login`, or set `CLOUDFLARE_API_TOKEN`",
            arguments.join(" "),
            message.trim()
        )
    }

    /// The names of the secrets that the deployed worker has; none before its first deployment.
    pub(super) fn secrets(&self) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Secret {
            name: String,
        }
        let absent = format!("Worker \"{}\" not found", self.configuration.worker());
        let Some(list) = self.ask(&["secret", "list", "--format", "json"], Some(absent))? else {
            return Ok(Vec::new());
        };
        let secrets: Vec<Secret> = serde_json::from_slice(&list)
            .context("cannot read the list of the worker's secrets")?;
        Ok(secrets.into_iter().map(|secret| secret.name).collect())
    }

    /// Creates the queues that the account lacks.
    pub(super) fn create_missing_queues(&self, queues: &[String]) -> Result<()> {
        for queue in queues {
            let absent = format!("Queue \"{queue}\" does not exist");
            if self
                .ask(&["queues", "info", queue], Some(absent))?
                .is_none()
            {
                eprintln!("deploy: creating the queue `{queue}`");
                self.ask(&["queues", "create", queue], None)?;
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
            let file = std::path::absolute(file).context("cannot resolve `--secrets-file`")?;
            command.arg("--secrets-file").arg(file);
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
