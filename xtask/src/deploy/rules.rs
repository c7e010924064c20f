//! The configuration of one environment in `wrangler.toml`, read by wrangler, and its faults, found by the worker's
//! own rules.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use super::secrets::Secrets;
use testkit::build;
use testkit::tools::Tools;

/// Has wrangler read the file `$1` for the environments that follow; an empty name is the top level.
const READ: &str = r#"
const { unstable_readConfig: read } = require("wrangler");
const [config, ...environments] = process.argv.slice(1);
console.log(JSON.stringify(environments.map((env) => read({ config, env }, { hideWarnings: true }))));
"#;

/// The worker's program that checks a deployment (`worker/examples/`).
const RULES: &str = "check_deployment";

/// What is to be deployed.
pub(super) struct Configuration {
    pub(super) file: PathBuf,
    /// As `wrangler --env` takes it: empty for production, the top level of the file.
    pub(super) environment: String,
    /// That environment, and production, as wrangler reads them.
    environments: [Value; 2],
}

impl Configuration {
    /// Reads `file`, or the repository's own.
    pub(super) fn read(tools: &Tools, file: Option<&Path>, environment: &str) -> Result<Self> {
        let file = match file {
            Some(file) => std::path::absolute(file).context("cannot resolve `--config`")?,
            None => testkit::root().join("wrangler.toml"),
        };
        let environment = if environment == "production" {
            ""
        } else {
            environment
        };
        let output = Command::new(&tools.node)
            .args(["--no-warnings", "-e", READ])
            .arg(&file)
            .args([environment, ""])
            .env("NODE_COMPILE_CACHE", tools.compile_cache())
            // Where its `node_modules` are.
            .current_dir(testkit::root())
            .stdin(Stdio::null())
            .output()
            .context("cannot start Node.js")?;
        let unreadable = || format!("cannot read `{}`", file.display());
        ensure!(
            output.status.success(),
            "{}\n{}",
            unreadable(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(Self {
            environments: serde_json::from_slice(&output.stdout).with_context(unreadable)?,
            environment: environment.to_owned(),
            file,
        })
    }

    /// The worker's name.
    pub(super) fn worker(&self) -> &str {
        self.environments[0]["name"].as_str().unwrap_or_default()
    }
}

/// The output of [`RULES`].
#[derive(Deserialize)]
pub(super) struct Findings {
    /// Routes, settings and secrets, to be shown.
    pub(super) report: String,
    pub(super) faults: Vec<Fault>,
    /// Every queue that must exist.
    pub(super) queues: Vec<String>,
    pub(super) files_url: Option<String>,
    /// The arguments of `medialift verify`.
    pub(super) verify: Vec<String>,
}

/// A fault of the deployment: subject and problem make one sentence.
#[derive(Deserialize)]
pub(super) struct Fault {
    pub(super) subject: String,
    pub(super) problem: String,
}

/// Runs the worker's rules. They read from a pipe: arguments with secrets would be in the list of processes.
pub(super) fn check(configuration: &Configuration, secrets: &Secrets) -> Result<Findings> {
    let mut build = build::cargo();
    eprintln!("build: {RULES} (a minute the first time)");
    // Not of the whole workspace: that takes what only tests need.
    build
        .args(["build", "--locked", "--quiet", "--package=edge-worker"])
        .args(["--example", RULES])
        .current_dir(testkit::root())
        .stdout(std::io::stderr());
    testkit::process::run("`cargo build`", build)?;
    let examples = testkit::target_directory().join("debug/examples");
    let mut child = Command::new(examples.join(RULES))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the worker's rules")?;
    let deployment = json!({
        "environment": configuration.environment,
        "configurations": configuration.environments,
        "secrets": secrets,
    });
    let mut input = child.stdin.take().context("no pipe to the rules")?;
    input.write_all(deployment.to_string().as_bytes())?;
    drop(input);
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "the worker's rules have failed ({})",
        output.status
    );
    serde_json::from_slice(&output.stdout).context("cannot read the output of the worker's rules")
}
