//! What a deployment shows beforehand: routes, bindings, settings, secrets by name, size.

use std::io::Write;

use anyhow::Result;

use super::configuration::Configuration;
use super::rules::{Fault, Verdict};
use super::secrets::Secrets;
use testkit::build::{BUDGET, Size};

/// Prints what is to be deployed. Settings are shown with their texts, secrets never.
pub(super) fn print(
    configuration: &Configuration,
    verdict: &Verdict,
    secrets: &Secrets,
    size: Size,
) -> Result<()> {
    let mut output = std::io::stdout().lock();
    let sections = [
        ("routes", routes(configuration)),
        ("bindings", bindings(configuration)),
        ("settings", settings(configuration, verdict)),
        ("secrets", secret_lines(verdict, secrets)),
        (
            "size",
            vec![(format!("{size}"), format!("the budget is {BUDGET}"))],
        ),
    ];
    writeln!(
        output,
        "worker `{}`, {}",
        configuration.worker,
        configuration.environment.name()
    )?;
    for (title, lines) in sections {
        writeln!(output, "{title}")?;
        let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, text) in lines {
            writeln!(output, "{}", format!("  {name:width$}  {text}").trim_end())?;
        }
    }
    output.flush()?;
    Ok(())
}

type Lines = Vec<(String, String)>;

fn routes(configuration: &Configuration) -> Lines {
    let mut lines: Lines = configuration
        .routes
        .iter()
        .map(|route| {
            let form = if route.is_custom_domain() {
                "custom domain"
            } else {
                "route"
            };
            (route.pattern().to_owned(), form.to_owned())
        })
        .collect();
    if configuration.workers_dev {
        lines.push((
            format!("{}.ACCOUNT.workers.dev", configuration.worker),
            "`workers_dev`".to_owned(),
        ));
    }
    if lines.is_empty() {
        lines.push(("none".to_owned(), String::new()));
    }
    lines
}

fn bindings(configuration: &Configuration) -> Lines {
    let producers = configuration.producers.iter().map(|producer| {
        let consumer = configuration
            .consumers
            .iter()
            .find(|consumer| consumer.queue == producer.queue);
        let dead = consumer.and_then(|consumer| consumer.dead_letter_queue.as_deref());
        let dead = dead.map_or_else(
            || "nowhere for what is refused".to_owned(),
            |queue| format!("what is refused in `{queue}`"),
        );
        (
            producer.binding.clone(),
            format!("queue `{}`, {dead}", producer.queue),
        )
    });
    let datasets = configuration.datasets.iter().map(|dataset| {
        let name = dataset.dataset.as_deref().unwrap_or(&dataset.binding);
        (
            dataset.binding.clone(),
            format!("Analytics Engine, dataset `{name}`"),
        )
    });
    producers.chain(datasets).collect()
}

/// Every variable that is set, and every default that holds.
fn settings(configuration: &Configuration, verdict: &Verdict) -> Lines {
    let known = verdict.variables.iter().filter(|variable| !variable.secret);
    known
        .filter_map(|variable| {
            let value = verdict.value(configuration, &variable.name)?;
            let is_set = configuration
                .variables
                .get(&variable.name)
                .and_then(toml::Value::as_str)
                .is_some_and(|text| !text.trim().is_empty());
            let note = if is_set { "" } else { "  (default)" };
            Some((variable.name.clone(), format!("{value}{note}")))
        })
        .collect()
}

fn secret_lines(verdict: &Verdict, secrets: &Secrets) -> Lines {
    verdict
        .secrets()
        .map(|name| {
            let is_needed = verdict.needed.iter().any(|needed| needed == name);
            let status = match (secrets.source(name), is_needed, secrets.is_complete) {
                (Some(source), ..) => format!("set ({source})"),
                (None, true, true) => "missing".to_owned(),
                (None, true, false) => "needed, and not seen from here".to_owned(),
                (None, false, _) if name == "PURGE_SECRET" => {
                    "not seen: without it every purge is refused, and deleted media stay readable for days".to_owned()
                }
                (None, false, _) => "not needed".to_owned(),
            };
            (name.to_owned(), status)
        })
        .collect()
}

/// Names every fault, on standard error.
pub(super) fn faults(faults: &[Fault]) {
    let count = match faults.len() {
        1 => "one thing is".to_owned(),
        count => format!("{count} things are"),
    };
    eprintln!("\nerror: {count} missing or wrong, nothing was uploaded");
    for Fault { subject, problem } in faults {
        eprintln!("  `{subject}` {problem}");
    }
    eprintln!(
        "\nhint: docs/deploy.md goes through `wrangler.toml`, docs/settings.md lists every variable"
    );
}

/// What to do where the new version answers with other headers.
pub(super) fn purge_hint(configuration: &Configuration) {
    let url = configuration
        .files_url()
        .unwrap_or_else(|| "https://files.example.com".to_owned());
    eprintln!(
        "\nhint: cached copies keep the headers that they were stored with. If this version changes headers:\n  PURGE_SECRET=\"$(cat purge.secret)\" medialift purge --everything --files-url {url}"
    );
}
