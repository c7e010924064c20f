//! What is found wrong, and what wrangler's rules of inheritance make of `wrangler.toml`.

use std::fs;
use std::path::Path;

use super::DeployOptions;
use super::configuration::{Configuration, Environment};
use super::faults;
use super::rules::{Fault, Variable, Verdict};
use super::secrets::Secrets;

/// What production needs, filled in.
const FILLED_IN: &str = r#"
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
CACHE_MODE = "platform"
[[queues.producers]]
binding = "PURGES"
queue = "purges"
[[queues.consumers]]
queue = "purges"
max_batch_size = 100
dead_letter_queue = "purges-dead"
"#;

fn configuration(text: &str, environment: Environment) -> Configuration {
    Configuration::parse(text, Path::new("wrangler.toml"), environment).unwrap()
}

/// As the worker would answer, to settings that it has nothing against.
fn content() -> Verdict {
    let variable = |name: &str, secret, default: Option<&str>| Variable {
        name: name.to_owned(),
        secret,
        default: default.map(str::to_owned),
    };
    Verdict {
        variables: vec![
            variable("B2_BUCKET", false, None),
            variable("CACHE_MODE", false, Some("engine")),
            variable("FRESH_SECONDS", false, Some("172800")),
            variable("B2_APPLICATION_KEY", true, None),
            variable("PURGE_SECRET", true, None),
        ],
        faults: Vec::new(),
        needed: vec!["B2_APPLICATION_KEY".to_owned()],
    }
}

/// Checks which faults there are, by subject, once `from` in the filled-in configuration is `to`.
#[track_caller]
fn check(from: &str, to: &str, expected: &[&str]) {
    assert!(FILLED_IN.contains(from), "`{from}` is not in there");
    let text = FILLED_IN.replacen(from, to, 1);
    let configuration = configuration(&text, Environment::Production);
    let found = faults::all(&configuration, &content(), &Secrets::default());
    let subjects: Vec<&str> = found.iter().map(|fault| fault.subject.as_str()).collect();
    assert_eq!(subjects, expected, "{found:?}");
}

#[test]
fn what_is_filled_in_has_no_fault() {
    check("name", "name", &[]);
}

#[test]
fn a_worker_that_nobody_can_reach_is_a_fault() {
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
    // The Cache API keeps nothing there.
    let text = FILLED_IN
        .replace(&both, on_workers_dev)
        .replace("\"platform\"", "\"engine\"");
    let configuration = configuration(&text, Environment::Production);
    let found = faults::all(&configuration, &content(), &Secrets::default());
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].subject, "routes");
}

#[test]
fn a_name_that_the_worker_does_not_know_is_a_fault() {
    check("[vars]", "[vars]\nFRESH_SECOND = \"5\"", &["FRESH_SECOND"]);
    check("[vars]", "[vars]\nFRESH_SECONDS = \"5\"", &[]);
    check("[vars]", "[vars]\nFRESH_SECONDS = 5", &["FRESH_SECONDS"]);
}

#[test]
fn a_secret_among_the_variables_is_a_fault_and_is_not_shown() {
    let text = FILLED_IN.replace("[vars]", "[vars]\nPURGE_SECRET = \"hush\"");
    let configuration = configuration(&text, Environment::Production);
    let found = faults::all(&configuration, &content(), &Secrets::default());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(!format!("{found:?}").contains("hush"));
}

#[test]
fn purges_need_a_queue_and_none_may_get_lost() {
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
fn the_cache_stands_in_front_of_the_media_entry_alone() {
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
    // Without a word of its own an entry is as the rest.
    check(
        "[exports.default]\ncache = { enabled = false }",
        "",
        &["exports.default"],
    );
}

#[test]
fn a_secret_is_missing_only_where_all_are_known() {
    let configuration = configuration(FILLED_IN, Environment::Production);
    let missing = |secrets: &Secrets| -> Vec<String> {
        let found = faults::all(&configuration, &content(), secrets);
        found.into_iter().map(|fault| fault.subject).collect()
    };
    let listed = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Secrets::on_cloudflare(&DeployOptions::default(), names).unwrap()
    };
    assert_eq!(missing(&Secrets::default()), [""; 0]);
    assert_eq!(missing(&listed(&["PURGE_SECRET"])), ["B2_APPLICATION_KEY"]);
    assert_eq!(missing(&listed(&["B2_APPLICATION_KEY"])), [""; 0]);
}

#[test]
fn a_file_of_secrets_is_read_in_both_forms_and_an_empty_text_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secrets");
    for text in [
        "# A comment\nPURGE_SECRET=\"a b\"\nB2_APPLICATION_KEY=\n",
        r#"{ "PURGE_SECRET": "a b", "B2_APPLICATION_KEY": "" }"#,
    ] {
        fs::write(&file, text).unwrap();
        let options = DeployOptions {
            secrets_file: Some(file.clone()),
            ..DeployOptions::default()
        };
        let secrets = Secrets::on_cloudflare(&options, Vec::new()).unwrap();
        assert_eq!(secrets.text("PURGE_SECRET"), Some("a b"));
        assert_eq!(secrets.source("B2_APPLICATION_KEY"), None);
    }
    fs::write(&file, "{ \"PURGE_SECRET\": hush }").unwrap();
    let options = DeployOptions {
        secrets_file: Some(file),
        ..DeployOptions::default()
    };
    let error = Secrets::on_cloudflare(&options, Vec::new()).err().unwrap();
    assert!(!format!("{error:#}").contains("hush"));
}

#[test]
fn an_environment_inherits_routes_and_no_variables() {
    let text = format!("{FILLED_IN}\n[env.staging]\n");
    let inherited = configuration(&text, Environment::Staging);
    assert_eq!(inherited.worker, "edge-staging");
    assert_eq!(inherited.routes.len(), 1);
    assert!(inherited.cached.media && !inherited.cached.gateway);
    assert!(inherited.texts().is_empty() && inherited.queues().is_empty());
    let found = faults::all(&inherited, &content(), &Secrets::default());
    assert!(found[0].problem.contains("is production's"), "{found:?}");

    let own = configuration(
        &format!("{text}name = \"other\"\nroutes = []\n"),
        Environment::Staging,
    );
    assert_eq!((own.worker.as_str(), own.routes.len()), ("other", 0));
    assert!(!own.workers_dev);
}

#[test]
fn what_is_shipped_lacks_routes_alone_beside_its_settings() {
    let text = fs::read_to_string(testkit::root().join("wrangler.toml")).unwrap();
    let mut verdict = content();
    for name in ["B2_ENDPOINT", "KEY_PREFIX", "ORIGIN_AUTH"] {
        verdict.variables.push(Variable {
            name: name.to_owned(),
            secret: false,
            default: None,
        });
    }
    let production = configuration(&text, Environment::Production);
    let found = faults::all(&production, &verdict, &Secrets::default());
    assert!(
        matches!(found.as_slice(), [Fault { subject, .. }] if subject == "routes"),
        "{found:?}"
    );
    let staging = configuration(&text, Environment::Staging);
    assert_eq!(
        faults::all(&staging, &verdict, &Secrets::default()),
        [],
        "staging"
    );
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
        let url = configuration(&text, Environment::Production).files_url();
        assert_eq!(url.as_deref(), expected, "{routes}");
    }
}
