//! Checks a deployment before it is made, with the worker's own parser of settings. Reads a [`Deployment`] as
//! JSON from standard input, and writes [`Findings`] as JSON, without the text of a secret.
//!
//! `cargo xtask deploy` runs this program, so `xtask` does not depend on the worker.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io::{Write, stdin, stdout};

use edge_worker::settings::{self, RawSettings, Settings, VARIABLES};
use serde::{Deserialize, Serialize};

use configuration::Configuration;

mod configuration;
mod faults;
mod report;
// It reads files, and `cargo build --tests` for WebAssembly compiles examples too.
#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;

/// The deployment to check.
#[derive(Clone, Deserialize)]
struct Deployment {
    /// The environment of `wrangler.toml`, as `wrangler --env` takes it: empty for production.
    environment: String,
    /// The configuration of that environment, then that of production, as wrangler reads them.
    configurations: [Configuration; 2],
    secrets: Secrets,
}

/// The secrets of the worker, as far as they are known.
#[derive(Clone, Default, Deserialize)]
struct Secrets {
    /// By name: where the secret is set, and its text where that is known.
    known: BTreeMap<String, (String, Option<String>)>,
    /// Whether these are all secrets: a needed one that is not among them is missing.
    is_complete: bool,
}

/// The result of the check, and what `cargo xtask deploy` needs for the deployment.
#[derive(Serialize)]
struct Findings<'a> {
    /// Text to show: routes, settings with their values, secrets by name.
    report: String,
    /// All faults; empty where the worker can be deployed.
    faults: Vec<Fault>,
    /// Every queue that must exist, dead-letter queues included.
    queues: BTreeSet<&'a str>,
    /// The URL of the files domain, from the first route.
    files_url: Option<String>,
    /// The arguments of `medialift verify`.
    verify: Vec<String>,
}

/// A fault of the deployment: subject and problem make one sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Fault {
    subject: String,
    problem: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let deployment: Deployment = serde_json::from_reader(stdin().lock())?;
    let check = SettingsCheck::of(&deployment);
    let [configuration, _] = &deployment.configurations;
    let findings = Findings {
        report: report::text(&deployment, &check),
        faults: faults::all(&deployment, check),
        queues: configuration.queues(),
        files_url: configuration.files_url(),
        verify: report::verify(configuration),
    };
    writeln!(stdout().lock(), "{}", serde_json::to_string(&findings)?)?;
    Ok(())
}

/// The settings, parsed as the worker parses them.
#[derive(Default)]
struct SettingsCheck {
    /// The faults, without those of secrets whose text is not known.
    faults: Vec<settings::Fault>,
    /// The secrets that these settings need.
    needed: BTreeSet<&'static str>,
}

/// The text of a secret of which only the name is known.
const PLACEHOLDER: &str = "known-by-name-only-not-by-its-text";

impl SettingsCheck {
    fn of(deployment: &Deployment) -> Self {
        let [configuration, _] = &deployment.configurations;
        let mut texts = configuration.texts();
        // Parsed without secrets: each fault about a secret is that it is missing.
        texts.retain(|name, _| !secret_names().any(|secret| secret == *name));
        let names = faults_of(&texts).into_iter().map(|fault| fault.variable);
        let needed = names.filter(|name| secret_names().any(|secret| secret == *name));
        let needed = needed.collect();
        // Parsed with every secret: only the other faults are left.
        texts.extend(secret_names().map(|name| {
            let known = deployment.secrets.known.get(name);
            let text = known.and_then(|(_, text)| text.as_deref());
            (name, text.unwrap_or(PLACEHOLDER))
        }));
        Self {
            faults: faults_of(&texts),
            needed,
        }
    }
}

/// The names of the worker's secrets.
fn secret_names() -> impl Iterator<Item = &'static str> {
    let secrets = VARIABLES.iter().filter(|variable| variable.secret);
    secrets.map(|secret| secret.name)
}

fn faults_of(texts: &BTreeMap<&str, &str>) -> Vec<settings::Fault> {
    let raw = RawSettings::read(|name| texts.get(name).map(|text| (*text).to_owned()));
    Settings::parse(&raw).err().unwrap_or_default()
}
