//! `docs/settings.md`, and the files of `deploy/` about settings, agree with the code.

use std::collections::BTreeSet;
use std::path::Path;

use edge_worker::settings::{VARIABLES, document};

/// `UPDATE_DOCS=1` writes the document before it is compared.
#[test]
fn the_document_of_the_settings_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/settings.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, document()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(
        written == document(),
        "`docs/settings.md` is out of date: run `cargo xtask docs`"
    );
}

#[test]
fn the_example_of_secrets_names_every_secret_and_no_other() {
    let named: BTreeSet<String> = read("../deploy/.dev.vars.example")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.split_once('=')?.0.to_owned()))
        .collect();
    let secrets = VARIABLES.iter().filter(|variable| variable.secret);
    let secrets: BTreeSet<String> = secrets.map(|variable| variable.name.to_owned()).collect();
    assert_eq!(named, secrets);
}

#[test]
fn the_deploy_button_asks_for_known_variables_and_for_every_secret() {
    let package: serde_json::Value = serde_json::from_str(&read("../deploy/package.json")).unwrap();
    let bindings = package["cloudflare"]["bindings"].as_object().unwrap();
    let known: BTreeSet<&str> = VARIABLES.iter().map(|variable| variable.name).collect();
    for name in bindings.keys().filter(|name| *name != "PURGES") {
        assert!(known.contains(name.as_str()), "`{name}` is no variable");
    }
    for secret in VARIABLES.iter().filter(|variable| variable.secret) {
        assert!(bindings.contains_key(secret.name), "`{}`", secret.name);
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .expect("a file of the repository")
}
