//! The report of a deployment: routes, settings, secrets by name. wrangler shows the bindings.

use edge_worker::settings::VARIABLES;

use super::configuration::Configuration;
use super::{Deployment, SettingsCheck, secret_names};

type Lines = Vec<(String, String)>;

/// The report. It has the values of settings, and no text of a secret.
pub(super) fn text(deployment: &Deployment, check: &SettingsCheck) -> String {
    let [configuration, _] = &deployment.configurations;
    let settings = VARIABLES.iter().filter(|variable| !variable.secret);
    let settings = settings.filter_map(|variable| {
        let value = configuration.value(variable.name)?;
        let is_set = configuration.text(variable.name).is_some();
        let note = if is_set { "" } else { "  (default)" };
        Some((variable.name.to_owned(), format!("{value}{note}")))
    });
    let secrets = secret_names().map(|name| (name.to_owned(), status(name, deployment, check)));
    let environment = match deployment.environment.as_str() {
        "" => "production",
        name => name,
    };
    let mut text = format!("worker `{}`, {environment}\n", configuration.name);
    let sections: [(&str, Lines); 3] = [
        ("routes", routes(configuration)),
        ("settings", settings.collect()),
        ("secrets", secrets.collect()),
    ];
    for (title, lines) in sections {
        text += &format!("{title}\n");
        let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in lines {
            text += &format!("  {name:width$}  {value}\n");
        }
    }
    text
}

fn routes(configuration: &Configuration) -> Lines {
    let routes = configuration.routes().iter().map(|route| {
        let form = if route.is_custom_domain() {
            "custom domain"
        } else {
            "route"
        };
        (route.pattern().to_owned(), form.to_owned())
    });
    let workers_dev = configuration.workers_dev();
    let workers_dev =
        workers_dev.then(|| (on_workers_dev(configuration), "`workers_dev`".to_owned()));
    routes.chain(workers_dev).collect()
}

fn on_workers_dev(configuration: &Configuration) -> String {
    format!("{}.ACCOUNT.workers.dev", configuration.name)
}

/// Whether a secret is set, and whether it is needed.
fn status(name: &str, deployment: &Deployment, check: &SettingsCheck) -> String {
    let known = deployment.secrets.known.get(name);
    let is_needed = check.needed.contains(name);
    let status = match (known, is_needed, deployment.secrets.is_complete) {
        (Some((source, _)), ..) => return format!("set ({source})"),
        (None, true, true) => "missing",
        (None, true, false) => "needed; not known whether it is set",
        (None, false, _) if name == "PURGE_SECRET" => {
            "not known whether it is set; without it every purge is refused, and deleted media stay readable for days"
        }
        (None, false, _) => "not needed",
    };
    status.to_owned()
}

/// The arguments of `medialift verify` for this worker.
pub(super) fn verify(configuration: &Configuration) -> Vec<String> {
    let url = configuration.files_url();
    let url = url.unwrap_or_else(|| format!("https://{}", on_workers_dev(configuration)));
    let mut arguments = vec!["verify".to_owned(), "--files-url".to_owned(), url];
    for (flag, value) in [
        ("--bucket", configuration.value("B2_BUCKET")),
        ("--endpoint", configuration.value("B2_ENDPOINT")),
        ("--key-prefix", configuration.value("KEY_PREFIX")),
        ("--purge-header", configuration.text("PURGE_SECRET_HEADER")),
    ] {
        arguments.extend(
            value
                .into_iter()
                .flat_map(|value| [flag.to_owned(), value.to_owned()]),
        );
    }
    arguments
}
