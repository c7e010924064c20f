//! The worker's own rules, put to settings that are not deployed yet.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::secrets::Secrets;
use testkit::build;

/// The program that asks the worker's rules (`worker/examples/`).
const RULES: &str = "check_settings";

/// Stands in for a secret of which only the name is known.
const PLACEHOLDER: &str = "known-by-name-only-not-by-its-text";

/// What the worker says.
#[derive(Clone, Debug, Default)]
pub(super) struct Verdict {
    /// Every variable that it knows.
    pub(super) variables: Vec<Variable>,
    /// What is wrong, secrets that nobody has seen not counted.
    pub(super) faults: Vec<Fault>,
    /// The secrets that it cannot do without, under these settings.
    pub(super) needed: Vec<String>,
}

/// A variable of the worker.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) secret: bool,
    pub(super) default: Option<String>,
}

/// One thing that is wrong; read as one sentence.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Fault {
    #[serde(rename = "variable")]
    pub(super) subject: String,
    pub(super) problem: String,
}

impl Verdict {
    /// Every secret that the worker knows.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        let secrets = self.variables.iter().filter(|variable| variable.secret);
        secrets.map(|variable| variable.name.as_str())
    }
}

#[derive(Deserialize)]
struct Answer {
    variables: Vec<Variable>,
    faults: Vec<Vec<Fault>>,
}

type Texts = BTreeMap<String, String>;

/// Has the worker judge `settings`.
pub(super) fn judge(settings: &Texts, secrets: &Secrets) -> Result<Verdict> {
    let rules = build_rules()?;
    let names = ask(&rules, &[])?.variables;
    let (with_all, without) = questions(settings, secrets, &names);
    let answer = ask(&rules, &[&with_all, &without])?;
    verdict(answer)
}

/// The settings with every secret, by a stand-in where its text is not known; and without any.
fn questions(settings: &Texts, secrets: &Secrets, variables: &[Variable]) -> (Texts, Texts) {
    let mut with_all = settings.clone();
    let mut without = settings.clone();
    for variable in variables.iter().filter(|variable| variable.secret) {
        let text = secrets.text(&variable.name).unwrap_or(PLACEHOLDER);
        with_all.insert(variable.name.clone(), text.to_owned());
        without.remove(&variable.name);
    }
    (with_all, without)
}

fn verdict(answer: Answer) -> Result<Verdict> {
    let [faults, without_secrets] = <[_; 2]>::try_from(answer.faults)
        .ok()
        .context("the worker's rules answered another question")?;
    let is_secret = |name: &str| {
        let found = answer.variables.iter().find(|known| known.name == name);
        found.is_some_and(|known| known.secret)
    };
    let needed = without_secrets
        .into_iter()
        .map(|fault| fault.subject)
        .filter(|name| is_secret(name))
        .collect();
    Ok(Verdict {
        variables: answer.variables,
        faults,
        needed,
    })
}

/// Builds the worker's rules as a program. Selected from the whole workspace, so that it shares what the
/// tests and the host command have compiled already.
fn build_rules() -> Result<PathBuf> {
    let mut command = build::cargo();
    command
        .args(["build", "--locked", "--quiet", "--workspace"])
        .args(["--example", RULES])
        .current_dir(testkit::root())
        .stdout(std::io::stderr());
    testkit::process::run("`cargo build`", command)?;
    Ok(testkit::target_directory()
        .join("debug/examples")
        .join(RULES))
}

/// Runs the worker's rules. Texts go through a pipe: a secret must not stand in a list of processes.
fn ask(rules: &Path, settings: &[&Texts]) -> Result<Answer> {
    let mut child = Command::new(rules)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", rules.display()))?;
    let mut input = child.stdin.take().context("no way to the worker's rules")?;
    input.write_all(&serde_json::to_vec(settings)?)?;
    drop(input);
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "the worker's rules cannot be asked ({})",
        output.status
    );
    serde_json::from_slice(&output.stdout).context("cannot read what the worker's rules said")
}
