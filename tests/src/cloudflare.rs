//! A stand-in of Cloudflare's API, as far as deployments go, and a configuration to deploy.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use testkit::process::{Guarded, ScratchDirectory, scratch_directory};
use testkit::tools::Tools;

/// An account, and a configuration that is filled in. Dropping it ends the stand-in.
#[derive(Debug)]
pub struct Account {
    api: Guarded,
    /// Where it listens.
    pub url: String,
    /// A directory for files of the test.
    pub scratch: ScratchDirectory,
    /// The configuration.
    pub configuration: PathBuf,
}

impl Account {
    /// `state`: whether there is a `worker`, and the names of its `secrets` and of the account's `queues`.
    ///
    /// # Errors
    /// Fails when Node.js is missing or the stand-in does not come up.
    pub fn start(state: &Value) -> Result<Self> {
        let scratch = scratch_directory("account")?;
        let mut command = Command::new(Tools::load()?.node);
        command
            .arg(testkit::root().join("tests/cloudflare/api.mjs"))
            .arg(state.to_string());
        let log = scratch.path().join("api.log");
        let (api, url) = Guarded::server("Cloudflare's API", command, &log, |log| {
            Some(log.lines().next()?.to_owned())
        })?;
        let configuration = scratch.path().join("wrangler.toml");
        fs::write(&configuration, filled_in()?)?;
        Ok(Self {
            api,
            url,
            scratch,
            configuration,
        })
    }

    /// The variables by which wrangler reaches it and nothing else.
    #[must_use]
    pub fn variables(&self) -> [(&'static str, String); 5] {
        let configuration = self.scratch.path().join("config").display().to_string();
        [
            ("CLOUDFLARE_API_BASE_URL", format!("{}/client/v4", self.url)),
            ("CLOUDFLARE_API_TOKEN", "a-token-of-nobody".to_owned()),
            (
                "CLOUDFLARE_ACCOUNT_ID",
                "0123456789abcdef0123456789abcdef".to_owned(),
            ),
            ("XDG_CONFIG_HOME", configuration),
            ("CI", "true".to_owned()),
        ]
    }

    /// What changed something, as method and path below the account, with its body.
    ///
    /// # Errors
    /// Fails when the log cannot be read.
    pub fn changes(&self) -> Result<Vec<(String, Value)>> {
        let mut changes = Vec::new();
        for line in self.api.log().lines().skip(1) {
            let request: Value = serde_json::from_str(line).context("a line of the API's log")?;
            let [method, path] =
                ["method", "path"].map(|name| request[name].as_str().unwrap_or_default());
            if method != "GET" {
                changes.push((format!("{method} {path}"), request["body"].clone()));
            }
        }
        Ok(changes)
    }
}

/// The shipped configuration with its empty places filled in and its comments about optional parts made real,
/// usable from anywhere.
///
/// # Errors
/// Fails when it cannot be read, or lacks what is to be filled in.
pub fn filled_in() -> Result<String> {
    let root = testkit::root().display();
    let shipped = fs::read_to_string(testkit::root().join("wrangler.toml"))?;
    let mut table: toml::Table = with_optional_parts(&shipped).parse()?;
    table["main"] = format!("{root}/worker/entry.mjs").into();
    table["build"]["command"] = format!("sh '{root}/worker/build.sh'").into();
    table["build"]["watch_dir"] = format!("{root}/worker/src").into();
    let routes = toml::toml! {
        domain = [{ pattern = "files.example.com", custom_domain = true }]
        route = [{ pattern = "staging.example.com/*", zone_name = "example.com" }]
    };
    table["routes"] = routes["domain"].clone();
    table["env"]["staging"]["routes"] = routes["route"].clone();
    for (name, text) in [
        ("B2_BUCKET", "my-media"),
        ("B2_ENDPOINT", "s3.us-west-004.backblazeb2.com"),
        ("ORIGIN_AUTH", "sigv4"),
    ] {
        table["vars"][name] = text.into();
        table["env"]["staging"]["vars"][name] = text.into();
    }
    for part in [&toml::Value::Table(table.clone()), &table["env"]["staging"]] {
        let binding = &part["analytics_engine_datasets"][0]["binding"];
        ensure!(binding.as_str() == Some("ANALYTICS"), "no dataset");
    }
    Ok(toml::to_string(&table)?)
}

/// Takes the `#` away before the optional tables.
fn with_optional_parts(configuration: &str) -> String {
    let mut is_optional = false;
    let lines = configuration.lines().map(|line| {
        let content = line.strip_prefix("# ");
        is_optional = content.is_some_and(|content| is_optional || content.starts_with("[["));
        content.filter(|_| is_optional).unwrap_or(line)
    });
    lines.collect::<Vec<_>>().join("\n")
}
