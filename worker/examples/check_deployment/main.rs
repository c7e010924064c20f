//! Checks a deployment by the worker's own rules before it is made. Reads a [`Question`] as JSON from standard
//! input, and writes an [`Answer`] as JSON, without the text of a secret.
//!
//! `cargo xtask deploy` runs this program, so `xtask` does not depend on the worker.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io::{Write, stdin, stdout};

use edge_worker::settings::{self, Settings, VARIABLES};
use serde::{Deserialize, Serialize};

use configuration::Configuration;

mod configuration;
mod faults;
mod report;
// It reads files, and `cargo build --tests` for WebAssembly compiles examples too.
#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;

/// A deployment that is to be made.
#[derive(Clone, Deserialize)]
struct Question {
    /// The environment of `wrangler.toml`, as `wrangler --env` takes it: empty for production.
    environment: String,
    /// That environment, and production, as wrangler reads them.
    configurations: [Configuration; 2],
    secrets: Secrets,
}

/// The secrets that are known of.
#[derive(Clone, Default, Deserialize)]
struct Secrets {
    /// By name: where it was seen, and its text, where more than the name is known.
    known: BTreeMap<String, (String, Option<String>)>,
    /// Whether there are no others: one that is needed and not among them is missing.
    is_complete: bool,
}

/// What is to be said of it, and done for it.
#[derive(Serialize)]
struct Answer<'a> {
    /// Routes, settings with their texts, secrets by name.
    report: String,
    /// Everything that is wrong.
    faults: Vec<Fault>,
    /// Every queue that must exist, those of dead letters included.
    queues: BTreeSet<&'a str>,
    /// The address of the files domain, where the first route tells it.
    files_url: Option<String>,
    /// The arguments of `medialift verify`.
    verify: Vec<String>,
}

/// One thing that is wrong; read as one sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Fault {
    subject: String,
    problem: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let question: Question = serde_json::from_reader(stdin().lock())?;
    let verdict = Verdict::of(&question)?;
    let [configuration, _] = &question.configurations;
    let answer = Answer {
        report: report::text(&question, &verdict),
        faults: faults::all(&question, verdict),
        queues: configuration.queues(),
        files_url: configuration.files_url(),
        verify: report::verify(configuration),
    };
    writeln!(stdout().lock(), "{}", serde_json::to_string(&answer)?)?;
    Ok(())
}

/// What the worker's own rules say of its settings.
#[derive(Default)]
struct Verdict {
    /// What is wrong, secrets that nobody has seen not counted.
    faults: Vec<settings::Fault>,
    /// The secrets that it cannot do without, under these settings.
    needed: BTreeSet<&'static str>,
}

/// Stands in for a secret of which the text is not known.
const PLACEHOLDER: &str = "known-by-name-only-not-by-its-text";

impl Verdict {
    fn of(question: &Question) -> serde_json::Result<Self> {
        let [configuration, _] = &question.configurations;
        let mut texts = configuration.texts();
        // Without any secret, what is wrong with one is that it is missing.
        texts.retain(|name, _| !secret_names().any(|secret| secret == *name));
        let names = faults_of(&texts)?.into_iter().map(|fault| fault.variable);
        let needed = names.filter(|name| secret_names().any(|secret| secret == *name));
        let needed = needed.collect();
        // With all, only what is wrong otherwise.
        texts.extend(secret_names().map(|name| {
            let known = question.secrets.known.get(name);
            let text = known.and_then(|(_, text)| text.as_deref());
            (name, text.unwrap_or(PLACEHOLDER))
        }));
        Ok(Self {
            faults: faults_of(&texts)?,
            needed,
        })
    }
}

/// The secrets that the worker knows.
fn secret_names() -> impl Iterator<Item = &'static str> {
    let secrets = VARIABLES.iter().filter(|variable| variable.secret);
    secrets.map(|secret| secret.name)
}

fn faults_of(texts: &BTreeMap<&str, &str>) -> serde_json::Result<Vec<settings::Fault>> {
    let raw = serde_json::from_value(serde_json::to_value(texts)?)?;
    Ok(Settings::parse(&raw).err().unwrap_or_default())
}
