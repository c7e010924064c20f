//! `cargo xtask deploy` with the real wrangler: the faults that it finds, a complete configuration, the archive
//! without Rust; and against a stand-in of Cloudflare's API its requests, their order, and that no secret is
//! shown.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result};
use e2e::cloudflare::{Account, filled_in};
use serde_json::{Value, json};
use testkit::process::{find_program_in, run_logged, scratch_directory};
use testkit::tools::Tools;

const PURGE_SECRET: &str = "a-secret-of-thirty-two-letters-x";
const KEY: &str = "K001-the-application-key-itself";

/// Runs `cargo xtask deploy`. Its output must not have a secret in it.
fn deploy(account: &Account, arguments: &[&str]) -> Result<Output> {
    let output = Command::new(testkit::stack::binary("xtask")?)
        .arg("deploy")
        .arg("--config")
        .arg(&account.configuration)
        .args(arguments)
        .envs(account.variables())
        .stdin(Stdio::null())
        .output()
        .context("run `xtask deploy`")?;
    for text in [&output.stdout, &output.stderr] {
        let text = String::from_utf8_lossy(text);
        assert!(
            !text.contains(PURGE_SECRET) && !text.contains(KEY),
            "{text}"
        );
    }
    Ok(output)
}

/// `cargo xtask deploy --dry-run`, which asks Cloudflare nothing.
fn dry_run(arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(testkit::stack::binary("xtask")?);
    command.args(["deploy", "--dry-run"]).args(arguments);
    command
        .stdin(Stdio::null())
        .output()
        .context("run `xtask deploy`")
}

#[track_caller]
fn expect(output: &Output, code: i32, expected: &[&str]) {
    let all = [output.stdout.as_slice(), &output.stderr].concat();
    let all = String::from_utf8_lossy(&all);
    assert_eq!(output.status.code(), Some(code), "{all}");
    for part in expected {
        assert!(all.contains(part), "`{part}` is not in\n{all}");
    }
}

#[test]
fn what_is_shipped_names_everything_that_is_to_be_filled_in() -> Result<()> {
    let named = ["  `B2_BUCKET` ", "  `B2_ENDPOINT` ", "  `routes` "];
    expect(&dry_run(&[])?, 2, &named);
    Ok(())
}

#[test]
fn the_shipped_worker_has_no_workers_dev_address() -> Result<()> {
    let text = fs::read_to_string(testkit::root().join("wrangler.toml"))?;
    let shipped: toml::Table = text.parse()?;
    assert_eq!(shipped["workers_dev"].as_bool(), Some(false));
    Ok(())
}

#[test]
fn what_is_filled_in_could_be_deployed_and_a_missing_secret_is_named() -> Result<()> {
    let scratch = scratch_directory("deploy")?;
    let file = scratch.path().join("wrangler.toml");
    fs::write(&file, filled_in()?)?;
    let file = file.to_str().context("a path that is not UTF-8")?;
    let deploy = |environment, secrets| {
        dry_run(&["--config", file, "--env", environment, "--secrets", secrets])
    };
    let all = "PURGE_SECRET,B2_APPLICATION_KEY_ID,B2_APPLICATION_KEY";
    expect(
        &deploy("production", all)?,
        0,
        &["worker `medialift-edge`, production"],
    );
    let staging = [
        "worker `medialift-edge-staging`, staging",
        "  staging.example.com/* ",
    ];
    expect(&deploy("staging", all)?, 0, &staging);
    let output = deploy("production", "PURGE_SECRET,B2_APPLICATION_KEY_ID")?;
    let named = "error: one thing is missing or wrong, nothing was uploaded\n  `B2_APPLICATION_KEY` is a secret that the worker does not have";
    expect(&output, 2, &[named]);
    Ok(())
}

#[test]
fn an_environment_inherits_routes_and_no_variables() -> Result<()> {
    let scratch = scratch_directory("deploy")?;
    let file = scratch.path().join("wrangler.toml");
    let mut table: toml::Table = filled_in()?.parse()?;
    let staging = table["env"]["staging"]
        .as_table_mut()
        .context("`[env.staging]`")?;
    for name in ["name", "routes", "vars", "queues"] {
        staging.remove(name);
    }
    fs::write(&file, toml::to_string(&table)?)?;
    let file = file.to_str().context("a path that is not UTF-8")?;
    let named = [
        "worker `medialift-edge-staging`, staging",
        "  `routes` has `files.example.com`, which is a route of production",
        "  `B2_BUCKET` is not set",
    ];
    expect(
        &dry_run(&["--config", file, "--env", "staging"])?,
        2,
        &named,
    );
    Ok(())
}

#[test]
fn the_archive_is_deployed_with_nothing_but_node_on_path() -> Result<()> {
    let scratch = scratch_directory("archive")?;
    let log = scratch.path().join("log");
    let mut package = Command::new(testkit::stack::binary("xtask")?);
    package.arg("package-worker");
    run_logged("`xtask package-worker`", package, &log)?;
    let mut unpack = Command::new("tar");
    let version = testkit::package::VERSION;
    let archive = testkit::package::directory().join(format!("medialift-worker-{version}.tar.gz"));
    unpack.arg("-xzf").arg(archive).current_dir(scratch.path());
    run_logged("`tar`", unpack, &log)?;

    let tools = Tools::load()?;
    let path = tools.node_modules.join(".bin");
    for program in ["cargo", "rustc", "worker-build"] {
        assert_eq!(find_program_in(path.as_os_str(), program), None);
    }
    let folder = scratch.path().join("medialift-worker");
    let output = tools
        .wrangler()
        .args(["deploy", "--dry-run", "--env=", "--outdir", "bundle"])
        .current_dir(&folder)
        .env("PATH", &path)
        .stdin(Stdio::null())
        .output()?;
    expect(&output, 0, &[]);
    let built = fs::read(testkit::root().join("worker/build/index_bg.wasm"))?;
    let is_built = |file: &Path| {
        file.extension().is_some_and(|ending| ending == "wasm")
            && fs::read(file).is_ok_and(|module| module == built)
    };
    let mut bundle = fs::read_dir(folder.join("bundle"))?.flatten();
    assert!(
        bundle.any(|file| is_built(&file.path())),
        "the bundle lacks the worker's WebAssembly"
    );
    Ok(())
}

#[test]
fn a_first_deployment_makes_the_queues_before_the_worker_and_brings_its_secrets() -> Result<()> {
    let account = Account::start(&json!({ "worker": false, "secrets": [], "queues": [] }))?;
    let secrets = account.scratch.path().join("secrets.env");
    fs::write(
        &secrets,
        format!(
            "PURGE_SECRET={PURGE_SECRET}\nB2_APPLICATION_KEY_ID=00161f959a5f87b0000000005\nB2_APPLICATION_KEY={KEY}\n"
        ),
    )?;
    let secrets = secrets.to_str().context("a path that is not UTF-8")?;
    let output = deploy(&account, &["--no-verify", "--secrets-file", secrets])?;
    expect(
        &output,
        0,
        &[
            "PURGE_SECRET           set (in `--secrets-file`)",
            "medialift verify --files-url https://files.example.com --bucket my-media",
            "medialift purge --everything",
        ],
    );

    let changes = account.changes()?;
    let position = |request: &str| {
        let found = changes.iter().position(|(name, _)| name == request);
        found.unwrap_or_else(|| panic!("no `{request}` in {changes:?}"))
    };
    let queues: Vec<&Value> = changes
        .iter()
        .filter(|(request, _)| request == "POST /queues")
        .map(|(_, body)| body)
        .collect();
    assert_eq!(
        queues,
        [
            r#"{"queue_name":"medialift-purges"}"#,
            r#"{"queue_name":"medialift-purges-dead"}"#
        ]
    );
    let upload = position("PUT /workers/scripts/medialift-edge");
    assert!(position("POST /queues") < upload);
    let consumer = position("POST /queues/id-of-medialift-purges/consumers");
    assert!(upload < consumer);
    let consumer: Value = serde_json::from_str(changes[consumer].1.as_str().unwrap_or_default())?;
    assert_eq!(consumer["dead_letter_queue"], "medialift-purges-dead");
    assert_eq!(
        consumer["settings"],
        json!({ "batch_size": 100, "max_retries": 20, "max_wait_time_ms": 5000, "max_concurrency": 1, "retry_delay": 60 })
    );
    let domain = position("POST /workers/scripts/medialift-edge/domains/changeset");
    assert_eq!(changes[domain].1, r#"[{"hostname":"files.example.com"}]"#);
    let on_workers_dev = position("POST /workers/scripts/medialift-edge/subdomain");
    assert_eq!(changes[on_workers_dev].1, r#"{"enabled":false}"#);
    Ok(())
}

#[test]
fn a_secret_that_the_worker_lacks_stops_it_before_anything_is_changed() -> Result<()> {
    let account = Account::start(&json!({
        "worker": true,
        "secrets": ["PURGE_SECRET", "B2_APPLICATION_KEY_ID"],
        "queues": [],
    }))?;
    let output = deploy(&account, &["--no-verify"])?;
    expect(
        &output,
        2,
        &[
            "PURGE_SECRET           set (at Cloudflare)",
            "`B2_APPLICATION_KEY` is a secret that the worker does not have",
        ],
    );
    assert_eq!(account.changes()?, []);
    Ok(())
}

#[test]
fn a_later_deployment_uses_the_queues_and_secrets_that_are_there() -> Result<()> {
    let account = Account::start(&json!({
        "worker": true,
        "secrets": ["PURGE_SECRET", "B2_APPLICATION_KEY_ID", "B2_APPLICATION_KEY"],
        "queues": ["medialift-purges", "medialift-purges-dead"],
    }))?;
    let output = deploy(&account, &["--no-verify"])?;
    expect(&output, 0, &["B2_APPLICATION_KEY     set (at Cloudflare)"]);
    let changes = account.changes()?;
    let is = |name: &str| changes.iter().any(|(request, _)| request == name);
    // It is uploaded as a version, which is then deployed to all readers.
    for part in ["versions", "deployments"] {
        let request = format!("POST /workers/scripts/medialift-edge/{part}");
        assert!(is(&request), "{request}: {changes:?}");
    }
    assert!(!is("POST /queues"), "{changes:?}");
    Ok(())
}
