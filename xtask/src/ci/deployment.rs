//! The gates of deployment: what is shipped says what it lacks, what is filled in could be deployed, and the
//! archive too where there is no Rust.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;
use toml_edit::{DocumentMut, Item, value};

use crate::package;
use testkit::process::{find_program_in, scratch_directory};
use testkit::stack::binary;
use testkit::tools::Tools;

/// What somebody fills in.
const FILLED_IN: [(&str, &str); 3] = [
    ("B2_BUCKET", "my-media"),
    ("B2_ENDPOINT", "s3.us-west-004.backblazeb2.com"),
    ("ORIGIN_AUTH", "sigv4"),
];

/// The configuration as shipped: exit code 2, and everything that is to be filled in is named.
pub(super) fn shipped() -> Result<()> {
    let output = dry_run(&[])?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(2),
        "it ended with {}, not with exit code 2\n{said}",
        output.status
    );
    for name in ["B2_BUCKET", "B2_ENDPOINT", "routes"] {
        ensure!(
            said.contains(&format!("  `{name}` ")),
            "`{name}` is not named as missing\n{said}"
        );
    }
    Ok(())
}

/// The same filled in, with what is optional switched on: both environments could be deployed, and a secret
/// that is missing is named.
pub(super) fn filled_in() -> Result<()> {
    let scratch = scratch_directory("deploy")?;
    let file = scratch.path().join("wrangler.toml");
    fs::write(&file, filled_in_configuration()?)?;
    let file = file.to_str().context("a path that is not UTF-8")?;
    for (environment, secrets, code) in [
        (
            "production",
            "PURGE_SECRET,B2_APPLICATION_KEY_ID,B2_APPLICATION_KEY",
            0,
        ),
        (
            "staging",
            "PURGE_SECRET,B2_APPLICATION_KEY_ID,B2_APPLICATION_KEY",
            0,
        ),
        ("production", "PURGE_SECRET,B2_APPLICATION_KEY_ID", 2),
    ] {
        let output = dry_run(&["--config", file, "--env", environment, "--secrets", secrets])?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.code() == Some(code),
            "{environment} with {secrets} ended with {}, not with exit code {code}\n{said}",
            output.status
        );
        let is_named =
            said.contains("  `B2_APPLICATION_KEY` is a secret that the worker does not have");
        ensure!(
            is_named == (code == 2),
            "the wrong secrets are missing\n{said}"
        );
    }
    Ok(())
}

/// The archive, unpacked somewhere else, is what wrangler takes, with nothing but Node.js on `PATH`.
pub(super) fn archive(tools: &Tools) -> Result<()> {
    let archive = package::run(tools)?;
    let scratch = scratch_directory("archive")?;
    tar::Archive::new(GzDecoder::new(File::open(&archive)?)).unpack(scratch.path())?;
    let folder = scratch.path().join("medialift-worker");
    let path = tools.node_modules.join(".bin");
    for program in ["cargo", "rustc", "worker-build"] {
        ensure!(
            find_program_in(path.as_os_str(), program).is_none(),
            "`{program}` is on the PATH of a gate that is to do without Rust"
        );
    }
    let output = tools
        .wrangler()
        .args(["deploy", "--dry-run", "--env=", "--outdir", "bundle"])
        .current_dir(&folder)
        .env("PATH", &path)
        .stdin(Stdio::null())
        .output()
        .context("cannot start wrangler")?;
    ensure!(
        output.status.success(),
        "wrangler does not take the archive ({})\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let built = fs::read(testkit::root().join("worker/build/index_bg.wasm"))?;
    ensure!(
        has_module(&folder.join("bundle"), &built)?,
        "what wrangler would upload of the archive lacks the worker's WebAssembly"
    );
    Ok(())
}

fn has_module(folder: &Path, module: &[u8]) -> Result<bool> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "wasm") && fs::read(&path)? == module {
            return Ok(true);
        }
    }
    Ok(false)
}

/// `cargo xtask deploy --dry-run` as a process of its own, for its exit code. What it sees of secrets in a
/// developer's environment does not count here.
fn dry_run(arguments: &[&str]) -> Result<Output> {
    let output = Command::new(binary("xtask")?)
        .args(["deploy", "--dry-run"])
        .args(arguments)
        .current_dir(testkit::root())
        .stdin(Stdio::null())
        .output()
        .context("cannot start `xtask`")?;
    Ok(output)
}

/// The shipped configuration with its empty places filled in and its comments about optional parts made
/// real, usable from anywhere.
fn filled_in_configuration() -> Result<String> {
    let shipped = fs::read_to_string(testkit::root().join("wrangler.toml"))
        .context("cannot read `wrangler.toml`")?;
    let mut document: DocumentMut = with_optional_parts(&shipped).parse()?;
    document["routes"] = "[{ pattern = \"files.example.com\", custom_domain = true }]"
        .parse::<toml_edit::Value>()
        .map(Item::Value)?;
    // A route that staging has for itself, in the other form.
    document["env"]["staging"]["routes"] =
        "[{ pattern = \"staging.example.com/*\", zone_name = \"example.com\" }]"
            .parse::<toml_edit::Value>()
            .map(Item::Value)?;
    for (name, text) in FILLED_IN {
        document["vars"][name] = value(text);
        document["env"]["staging"]["vars"][name] = value(text);
    }
    let root = testkit::root().display();
    document["main"] = value(format!("{root}/worker/entry.mjs"));
    document["build"]["command"] = value(format!("sh '{root}/worker/build.sh'"));
    document["build"]["watch_dir"] = value(format!("{root}/worker/src"));
    Ok(document.to_string())
}

/// Takes the `#` away before the optional tables.
fn with_optional_parts(configuration: &str) -> String {
    let mut is_optional = false;
    let mut text = String::new();
    for line in configuration.lines() {
        let content = line.strip_prefix("# ");
        is_optional = content.is_some_and(|content| is_optional || content.starts_with("[["));
        text.push_str(content.filter(|_| is_optional).unwrap_or(line));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_optional_is_switched_on_in_both_environments() {
        let text = filled_in_configuration().unwrap();
        let table: toml::Table = text.parse().unwrap();
        let dataset = |table: &toml::Value| {
            table["analytics_engine_datasets"][0]["binding"].as_str() == Some("ANALYTICS")
        };
        assert!(dataset(&toml::Value::Table(table.clone())));
        assert!(dataset(&table["env"]["staging"]));
    }
}
