//! The faults of a configuration as wrangler reads it. `tests/tests/deploy.rs` tests with wrangler itself what an
//! environment inherits.

use super::configuration::Configuration;
use super::{Deployment, Fault, Secrets, SettingsCheck, faults};

/// A complete configuration of production.
const COMPLETE: &str = r#"
name = "edge"
workers_dev = false
routes = [{ pattern = "files.example.com", custom_domain = true }]
[cache]
enabled = true
[exports.default]
cache = { enabled = false }
[exports.Media]
cache = { enabled = true }
[vars]
B2_BUCKET = "media"
B2_ENDPOINT = "s3.us-west-004.backblazeb2.com"
ORIGIN_AUTH = "sigv4"
CACHE_MODE = "platform"
[[queues.producers]]
binding = "PURGES"
queue = "purges"
[[queues.consumers]]
queue = "purges"
max_batch_size = 100
dead_letter_queue = "purges-dead"
"#;

fn configuration(text: &str) -> Configuration {
    toml::from_str(text).unwrap()
}

/// The faults of a configuration, in production.
fn found(configuration: &Configuration, secrets: Secrets) -> Vec<Fault> {
    found_in("", configuration, &configuration.clone(), secrets)
}

fn found_in(
    environment: &str,
    own: &Configuration,
    production: &Configuration,
    secrets: Secrets,
) -> Vec<Fault> {
    let deployment = Deployment {
        environment: environment.to_owned(),
        configurations: [own.clone(), production.clone()],
        secrets,
    };
    faults::all(&deployment, SettingsCheck::of(&deployment))
}

/// Checks the subjects of the faults after `from` in the complete configuration is replaced by `to`.
#[track_caller]
fn check(from: &str, to: &str, expected: &[&str]) {
    assert!(
        COMPLETE.contains(from),
        "`{from}` is not in the configuration"
    );
    let text = COMPLETE.replacen(from, to, 1);
    let configuration = configuration(&text);
    let found = found(&configuration, Secrets::default());
    let subjects: Vec<&str> = found.iter().map(|fault| fault.subject.as_str()).collect();
    assert_eq!(subjects, expected, "{found:?}");
}

#[test]
fn a_complete_configuration_has_no_faults() {
    check("name", "name", &[]);
}

#[test]
fn a_worker_without_a_usable_route_is_a_fault() {
    let route = r#"[{ pattern = "files.example.com", custom_domain = true }]"#;
    check(route, "[]", &["routes"]);
    check(route, r#"["files.example.com"]"#, &["routes"]);
    check(route, r#"["files.example.com/*"]"#, &[]);
    check(
        route,
        r#"[{ pattern = "files.example.com/*", custom_domain = true }]"#,
        &["routes"],
    );
    let on_workers_dev = "workers_dev = true\nroutes = []\n";
    let both = format!("workers_dev = false\nroutes = {route}\n");
    check(&both, on_workers_dev, &[]);
    // The Cache API stores nothing on `workers.dev`.
    let text = COMPLETE
        .replace(&both, on_workers_dev)
        .replace("\"platform\"", "\"engine\"");
    let configuration = configuration(&text);
    let found = found(&configuration, Secrets::default());
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].subject, "routes");
}

#[test]
fn an_unknown_variable_is_a_fault() {
    check("[vars]", "[vars]\nFRESH_SECOND = \"5\"", &["FRESH_SECOND"]);
    check("[vars]", "[vars]\nFRESH_SECONDS = \"5\"", &[]);
    check("[vars]", "[vars]\nFRESH_SECONDS = 5", &["FRESH_SECONDS"]);
}

#[test]
fn a_secret_among_the_variables_is_a_fault_and_is_not_shown() {
    let text = COMPLETE.replace("[vars]", "[vars]\nPURGE_SECRET = \"shown?\"");
    let configuration = configuration(&text);
    let found = found(&configuration, Secrets::default());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(!format!("{found:?}").contains("shown?"));
}

#[test]
fn purges_need_a_queue_with_dead_letters() {
    check("\"PURGES\"", "\"OTHER\"", &["queues.producers"]);
    check(
        "queue = \"purges\"\nmax",
        "queue = \"others\"\nmax",
        &["queues.consumers"],
    );
    check(
        "dead_letter_queue = \"purges-dead\"",
        "",
        &["queues.consumers"],
    );
    check("= 100", "= 101", &["queues.consumers"]);
}

#[test]
fn only_the_media_entry_is_cached() {
    check(
        "enabled = false }",
        "enabled = true }",
        &["exports.default"],
    );
    check(
        "[exports.Media]\ncache = { enabled = true }",
        "[exports.Media]\ncache = { enabled = false }",
        &["exports.Media"],
    );
    // An entry without a setting of its own has the worker's.
    check(
        "[exports.default]\ncache = { enabled = false }",
        "",
        &["exports.default"],
    );
}

#[test]
fn a_secret_is_missing_only_where_all_are_known() {
    let configuration = configuration(COMPLETE);
    let missing = |listed: Option<&[&str]>| -> Vec<String> {
        let names = listed.unwrap_or_default().iter();
        let known = names.map(|name| ((*name).to_owned(), ("at Cloudflare".to_owned(), None)));
        let secrets = Secrets {
            known: known.collect(),
            is_complete: listed.is_some(),
        };
        let found = found(&configuration, secrets);
        found.into_iter().map(|fault| fault.subject).collect()
    };
    let key = ["B2_APPLICATION_KEY", "B2_APPLICATION_KEY_ID"];
    assert_eq!(missing(None), [""; 0]);
    assert_eq!(missing(Some(&["PURGE_SECRET"])), key);
    assert_eq!(missing(Some(&key[1..])), key[..1]);
    assert_eq!(missing(Some(&key)), [""; 0]);
}

#[test]
fn a_route_of_production_is_a_fault_in_another_environment() {
    let production = configuration(COMPLETE);
    let check = |from: &str, to: &str, expected: usize| {
        let staging = configuration(&COMPLETE.replace(from, to));
        let found = found_in("staging", &staging, &production, Secrets::default());
        assert_eq!(found.len(), expected, "{found:?}");
        let is_of_production = |fault: &Fault| fault.problem.contains("is a route of production");
        assert!(found.iter().all(is_of_production), "{found:?}");
    };
    check("", "", 1);
    check("files.example.com", "staging.example.com", 0);
    // `route` in place of `routes`.
    let routes = r#"routes = [{ pattern = "files.example.com", custom_domain = true }]"#;
    let route = r#"route = { pattern = "files.example.com", custom_domain = true }"#;
    check(routes, route, 1);
}

#[test]
fn the_shipped_configuration_lacks_routes_and_bucket_and_staging_only_the_bucket() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../wrangler.toml");
    let mut top: toml::Table = std::fs::read_to_string(file).unwrap().parse().unwrap();
    let mut environments = top.remove("env").unwrap();
    let production: Configuration = top.clone().try_into().unwrap();
    top.extend(environments["staging"].as_table_mut().unwrap().clone());
    let staging: Configuration = top.try_into().unwrap();
    let subjects = |environment, own| -> Vec<String> {
        let found = found_in(environment, own, &production, Secrets::default());
        found.into_iter().map(|fault| fault.subject).collect()
    };
    assert_eq!(
        subjects("", &production),
        ["B2_BUCKET", "B2_ENDPOINT", "routes"]
    );
    assert_eq!(subjects("staging", &staging), ["B2_BUCKET", "B2_ENDPOINT"]);
    let shared = production.queues();
    assert_eq!(shared.len(), 2);
    assert!(staging.queues().is_disjoint(&shared));
}

#[test]
fn the_files_domain_is_that_of_the_first_route() {
    for (routes, expected) in [
        (
            r#"["files.example.com/*"]"#,
            Some("https://files.example.com"),
        ),
        (
            r#"[{ pattern = "files.example.com", custom_domain = true }]"#,
            Some("https://files.example.com"),
        ),
        (
            r#"["https://example.com/media/*"]"#,
            Some("https://example.com/media"),
        ),
        (r#"["*.example.com/*"]"#, None),
        ("[]", None),
    ] {
        let text = format!("name = \"edge\"\nroutes = {routes}\n");
        let url = configuration(&text).files_url();
        assert_eq!(url.as_deref(), expected, "{routes}");
    }
}
