//! Backblaze's own model of the native API as a child process (`tests/b2sim/server.py`), and the
//! real `b2` command pointed at it.

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use testkit::process::{Guarded, ScratchDirectory, scratch_directory};
use testkit::setup::{self, Need};

/// The account of the model, which is also its master key's id.
pub const ACCOUNT_ID: &str = "61f959a5f87b";
/// The account's master key.
pub const MASTER_KEY: &str = "0010d0c3a6d24d9bb0e9f93ecbc4ca1d2a8f8c1111";

/// How the model differs from a fresh account.
#[derive(Clone, Debug, Default)]
pub struct B2SimOptions {
    /// `ID=SECRET` of the keys that will be made, in their order; past these it invents them.
    pub created_keys: Vec<String>,
    /// Bucket names of other accounts.
    pub taken: Vec<String>,
    /// The S3 endpoint it names; Backblaze's own form when left out.
    pub s3_url: Option<String>,
}

/// The running model. Dropping it ends it.
#[derive(Debug)]
pub struct B2Sim {
    // First, so that it has ended when its directory is removed.
    _child: Guarded,
    /// What `B2_ENVIRONMENT` and `b2_api` take.
    pub url: String,
    scratch: ScratchDirectory,
    b2: std::path::PathBuf,
    agent: ureq::Agent,
}

/// What the model was asked.
#[derive(Clone, Debug, Deserialize)]
pub struct Calls {
    /// How often, by the call's name.
    pub calls: BTreeMap<String, u64>,
    /// Over how many connections.
    pub connections: u64,
}

impl B2Sim {
    /// Starts the model and waits until it listens.
    ///
    /// # Errors
    /// Fails when the virtual environment is missing or the model does not come up.
    pub fn start(options: &B2SimOptions) -> Result<Self> {
        #[derive(Deserialize)]
        struct Ready {
            url: String,
        }
        let bin = setup::place(Need::Python)?;
        let scratch = scratch_directory("b2sim")?;
        let mut command = Command::new(bin.join("python"));
        command.arg(testkit::root().join("tests/b2sim/server.py"));
        command.args(["--account-id", ACCOUNT_ID, "--master-key", MASTER_KEY]);
        for key in &options.created_keys {
            command.args(["--created-key", key]);
        }
        for name in &options.taken {
            command.args(["--taken", name]);
        }
        if let Some(url) = &options.s3_url {
            command.args(["--s3-url", url]);
        }
        // Byte code is kept out of the checkout.
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        let log = scratch.path().join("b2sim.log");
        let (child, ready) = Guarded::server("the B2 model", command, &log, |log| {
            let mut lines = log.lines();
            lines.find_map(|line| serde_json::from_str::<Ready>(line).ok())
        })?;
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(30)))
            .proxy(None)
            .build()
            .into();
        Ok(B2Sim {
            _child: child,
            url: ready.url,
            scratch,
            b2: bin.join("b2"),
            agent,
        })
    }

    /// The next `next` calls (of that name, if one is given) get this answer.
    ///
    /// # Errors
    /// Fails when the model does not answer.
    pub fn fail(
        &self,
        next: u32,
        call: Option<&str>,
        status: u16,
        retry_after: Option<u32>,
    ) -> Result<()> {
        let mut fault = json!({ "next": next, "status": status, "code": "service_unavailable" });
        if let Some(call) = call {
            fault["call"] = json!(call);
        }
        if let Some(seconds) = retry_after {
            fault["retry_after"] = json!(seconds);
        }
        self.agent
            .post(format!("{}/control/faults", self.url))
            .send(fault.to_string())
            .context("set a fault of the B2 model")?;
        Ok(())
    }

    /// What it was asked so far.
    ///
    /// # Errors
    /// Fails when the model does not answer.
    pub fn calls(&self) -> Result<Calls> {
        let text = self
            .agent
            .get(format!("{}/control/requests", self.url))
            .call()
            .context("ask the B2 model")?
            .body_mut()
            .read_to_string()?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Adds the master key and the model's address to a command's environment.
    pub fn as_master<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("B2_ENVIRONMENT", &self.url)
            .env("B2_APPLICATION_KEY_ID", ACCOUNT_ID)
            .env("B2_APPLICATION_KEY", MASTER_KEY)
    }

    /// Runs Backblaze's own `b2` command with the master key and returns what it prints.
    ///
    /// # Errors
    /// Fails, with what it says, when the command fails.
    pub fn b2(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.b2);
        self.as_master(&mut command)
            .args(arguments)
            .env("B2_ACCOUNT_INFO", self.scratch.path().join("account.db"))
            .env("HOME", self.scratch.path());
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().context("run the `b2` command")?;
        ensure!(
            status.success(),
            "`b2 {}` ended with {status}:\n{}",
            arguments.join(" "),
            String::from_utf8_lossy(&stderr)
        );
        Ok(String::from_utf8(stdout)?)
    }

    /// As [`B2Sim::b2`], for a command that prints JSON.
    ///
    /// # Errors
    /// As [`B2Sim::b2`], and when what it prints is not JSON.
    pub fn b2_json(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.b2(arguments)?;
        serde_json::from_str(&text).with_context(|| format!("read what `b2` printed: {text}"))
    }
}
