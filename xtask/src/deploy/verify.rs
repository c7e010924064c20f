//! After a deployment: what is at the files domain, seen by `medialift verify`.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::secrets::Secrets;
use super::{DeployOptions, Outcome};
use testkit::process::find_program;
use testkit::stack::{Profile, binary_of};
use testkit::tools::Tools;

/// What `verify` reads and writes its probes with, and what it purges them with; the names are those of the
/// worker's secrets.
const KEY: [&str; 2] = ["B2_APPLICATION_KEY_ID", "B2_APPLICATION_KEY"];
const PURGE_SECRET: &str = "PURGE_SECRET";

/// Asks `$1` until it answers, for five minutes at most: a new domain takes some until it has its record and
/// its certificate.
const WAIT: &str = r#"
const [url] = process.argv.slice(1);
const end = Date.now() + 300_000;
const ask = () => fetch(url).catch((error) => {
  if (Date.now() > end) return;
  console.error(`deploy: waiting for ${url} (${error.cause?.code ?? error.message})`);
  setTimeout(ask, 15_000);
});
ask();
"#;

/// Runs `medialift verify` where it is built and a key is known, else says the command.
pub(super) fn run(
    tools: &Tools,
    options: &DeployOptions,
    url: Option<&str>,
    arguments: &[String],
    secrets: &Secrets,
) -> Result<Outcome> {
    let spoken = format!("medialift {}", arguments.join(" "));
    let known = |name: &str| {
        let set = std::env::var(name).ok().filter(|text| !text.is_empty());
        set.or_else(|| secrets.text(name).map(str::to_owned))
    };
    let program = [Profile::Release, Profile::Debug]
        .into_iter()
        .find_map(|profile| binary_of(profile, "medialift").ok())
        .or_else(|| find_program("medialift"));
    let has_key = KEY.iter().all(|name| known(name).is_some())
        || std::env::var_os("MEDIALIFT_CONFIG").is_some()
        || Path::new("medialift.toml").is_file();
    let (Some(program), Some(url), true) = (program, url, has_key && !options.no_verify) else {
        eprintln!(
            "\ndeploy: deployed, and not verified. This shows what readers see:\n  {spoken} --purge-secret-file purge.secret --key-file b2.key"
        );
        return Ok(Outcome::Done);
    };
    wait_for_answer(tools, url)?;
    eprintln!("\ndeploy: {spoken}");
    let secrets = KEY.into_iter().chain([PURGE_SECRET]);
    let status = Command::new(program)
        .args(arguments)
        .envs(secrets.filter_map(|name| Some((name, known(name)?))))
        .status()
        .context("cannot start `medialift`")?;
    if status.success() {
        return Ok(Outcome::Done);
    }
    eprintln!(
        "\nerror: the worker is deployed, and `medialift verify` found something ({status})\n\nhint: a new domain takes some minutes; then `{spoken}`. `npx wrangler rollback` puts the version before it back"
    );
    Ok(Outcome::Failed)
}

/// Waits until the domain answers anything at all, and never fails: what it answers `verify` says.
fn wait_for_answer(tools: &Tools, url: &str) -> Result<()> {
    let mut command = Command::new(&tools.node);
    command.args(["-e", WAIT, url]).stdin(Stdio::null());
    command.status().context("cannot start Node.js")?;
    Ok(())
}
