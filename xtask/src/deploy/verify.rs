//! After a deployment: what is at the files domain, seen by `medialift verify`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::configuration::Configuration;
use super::rules::Verdict;
use super::secrets::Secrets;
use super::{DeployOptions, Outcome};
use testkit::process::find_program;
use testkit::stack::{Profile, binary_of};

/// The key that `verify` reads and writes its probes with; the names are those of the worker's secrets.
const KEY: [&str; 2] = ["B2_APPLICATION_KEY_ID", "B2_APPLICATION_KEY"];

const PURGE_SECRET: &str = "PURGE_SECRET";

/// How long a new domain may take until it answers, and how often it is looked at.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
const BETWEEN_LOOKS: Duration = Duration::from_secs(15);

/// Runs `medialift verify` where it is built and a key is known, else says the command.
pub(super) fn run(
    options: &DeployOptions,
    configuration: &Configuration,
    verdict: &Verdict,
    secrets: &Secrets,
) -> Result<Outcome> {
    let arguments = arguments(configuration, verdict);
    let known = |name: &str| {
        std::env::var(name)
            .ok()
            .filter(|text| !text.is_empty())
            .or_else(|| secrets.text(name).map(str::to_owned))
    };
    let is_possible =
        !options.no_verify && (KEY.iter().all(|name| known(name).is_some()) || has_settings_file());
    let (Some(program), true, Some(url)) = (program(), is_possible, configuration.files_url())
    else {
        eprintln!(
            "\ndeploy: deployed, and not verified. This shows what readers see:\n  {}",
            by_hand(&arguments)
        );
        return Ok(Outcome::Done);
    };
    wait_for_answer(&url);
    eprintln!("\ndeploy: medialift {}", arguments.join(" "));
    let mut command = Command::new(program);
    command.args(&arguments);
    for name in KEY.into_iter().chain([PURGE_SECRET]) {
        if let Some(text) = known(name) {
            command.env(name, text);
        }
    }
    let status = command.status().context("cannot start `medialift`")?;
    if status.success() {
        return Ok(Outcome::Done);
    }
    eprintln!(
        "\nerror: the worker is deployed, and `medialift verify` found something ({status})\n\nhint: a new domain takes some minutes; then `medialift {}`. `npx wrangler rollback` puts the version before it back",
        arguments.join(" ")
    );
    Ok(Outcome::Failed)
}

/// Waits until the domain answers anything at all: a new one takes some minutes to have its record and its
/// certificate. Whatever it is then, `verify` says.
fn wait_for_answer(url: &str) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(10)))
        .http_status_as_error(false)
        .build()
        .into();
    let end = Instant::now() + LONGEST_WAIT;
    let address = format!("{url}/.well-known/medialift-health");
    while let Err(error) = agent.get(&address).call() {
        if Instant::now() >= end {
            return;
        }
        eprintln!("deploy: waiting for {url} ({error})");
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

fn arguments(configuration: &Configuration, verdict: &Verdict) -> Vec<String> {
    let url = configuration.files_url();
    let url =
        url.unwrap_or_else(|| format!("https://{}.ACCOUNT.workers.dev", configuration.worker));
    let mut arguments = vec!["verify".to_owned(), "--files-url".to_owned(), url];
    for (name, flag) in [
        ("B2_BUCKET", "--bucket"),
        ("B2_ENDPOINT", "--endpoint"),
        ("KEY_PREFIX", "--key-prefix"),
    ] {
        if let Some(value) = verdict.value(configuration, name) {
            arguments.extend([flag.to_owned(), value.to_owned()]);
        }
    }
    if let Some(header) = configuration
        .variables
        .get("PURGE_SECRET_HEADER")
        .and_then(toml::Value::as_str)
    {
        arguments.extend(["--purge-header".to_owned(), header.to_owned()]);
    }
    arguments
}

/// The command for somebody's terminal; secrets come from files.
fn by_hand(arguments: &[String]) -> String {
    format!(
        "PURGE_SECRET=\"$(cat purge.secret)\" medialift {} --key-file b2.key",
        arguments.join(" ")
    )
}

fn program() -> Option<PathBuf> {
    let built = [Profile::Release, Profile::Debug].map(|profile| binary_of(profile, "medialift"));
    built
        .into_iter()
        .find_map(Result::ok)
        .or_else(|| find_program("medialift"))
}

fn has_settings_file() -> bool {
    std::env::var_os("MEDIALIFT_CONFIG").is_some() || Path::new("medialift.toml").is_file()
}
