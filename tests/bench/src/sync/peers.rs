//! Who takes part, and how each is called: as its own documentation says, with the flags that its
//! users give it for many small files. None reads settings of the person who runs the bench.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::scale::sync_command;
use testkit::process::output;
use testkit::setup::{self, Need};
use testkit::stack::{Origin, OriginOptions, Profile};

/// How often, and on how much, a contender is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// In every round, on the whole tree.
    EveryRound,
    /// In the first round, on a tenth of the tree; times and requests are multiplied by ten.
    Tenth,
    /// Not at all: it would take minutes, and another way of the same client is faster.
    No,
}

/// A client, called in one way to upload and in others to find nothing to do afterwards.
#[derive(Debug)]
pub(super) struct Contender {
    pub(super) first: Way,
    /// None on a tenth of the tree: ten times so little would be ten starts of the program.
    pub(super) again: Vec<Way>,
    /// Without added latency.
    pub(super) share: Share,
    /// With it.
    pub(super) share_with_latency: Share,
}

/// One way of calling a client.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) who: String,
    client: Client,
    arguments: Vec<&'static str>,
}

#[derive(Clone, Debug)]
enum Client {
    Medialift,
    S5cmd(PathBuf),
    Rclone(PathBuf),
    Aws(PathBuf),
}

/// The contenders, and what is to be said about those who cannot take part.
pub(super) fn contenders(debian_rclone: Option<&Path>) -> Result<(Vec<Contender>, Vec<String>)> {
    let bin = setup::place(Need::Python)?;
    let mut all = vec![ours()];
    all.extend(s5cmd(&bin.join("s5cmd"))?);
    all.extend(rclone(&bin.join("rclone"), false)?);
    all.push(aws(&bin.join("aws"))?);
    let mut notes = vec![
        "`b2 sync` takes no part: it speaks Backblaze's native API only, which this server does not."
            .to_owned(),
    ];
    match debian_rclone {
        Some(program) => all.extend(rclone(program, true)?),
        None => notes.push(
            "Debian's `rclone` was not installed and could not be; it takes no part.".to_owned(),
        ),
    }
    Ok((all, notes))
}

fn ours() -> Contender {
    let way = || Way {
        who: "medialift".to_owned(),
        client: Client::Medialift,
        arguments: Vec::new(),
    };
    Contender {
        first: way(),
        again: vec![way()],
        share: Share::EveryRound,
        share_with_latency: Share::EveryRound,
    }
}

fn s5cmd(program: &Path) -> Result<Vec<Contender>> {
    let version = version(program, &["version"])?;
    let way = |what: &str, arguments: &[&'static str]| Way {
        who: format!("s5cmd {version}, {what}"),
        client: Client::S5cmd(program.to_owned()),
        arguments: arguments.to_vec(),
    };
    Ok(vec![
        Contender {
            first: way("`cp`", &["cp"]),
            again: vec![way("`sync --size-only`", &["sync", "--size-only"])],
            share: Share::EveryRound,
            share_with_latency: Share::EveryRound,
        },
        Contender {
            first: way("`sync`", &["sync"]),
            again: vec![],
            share: Share::Tenth,
            share_with_latency: Share::Tenth,
        },
    ])
}

const TUNED: [&str; 4] = ["--transfers=32", "--checkers=32", "--fast-list", "copy"];

const LEAN: [&str; 6] = [
    "--transfers=32",
    "--checkers=32",
    "--fast-list",
    "--s3-no-head",
    "--s3-no-check-bucket",
    "copy",
];

/// As [`LEAN`], with as many at once as s5cmd has by itself: where each request waits, that decides.
const MANY: [&str; 6] = [
    "--transfers=256",
    "--checkers=32",
    "--fast-list",
    "--s3-no-head",
    "--s3-no-check-bucket",
    "copy",
];

const SIZE_ONLY: [&str; 5] = [
    "--size-only",
    "--checkers=32",
    "--fast-list",
    "--s3-no-check-bucket",
    "copy",
];

/// The current one, or Debian's, which is years behind and takes part in its best ways alone.
fn rclone(program: &Path, of_debian: bool) -> Result<Vec<Contender>> {
    let version = version(program, &["version"])?;
    let whose = if of_debian { " of Debian" } else { "" };
    let way = |what: &str, arguments: &[&'static str]| Way {
        who: format!("rclone {version}{whose}, {what}"),
        client: Client::Rclone(program.to_owned()),
        arguments: arguments.to_vec(),
    };
    let best = [
        Contender {
            first: way("no HEAD, no bucket check, 32 at once", &LEAN),
            again: vec![way("size only, fast list", &SIZE_ONLY)],
            share: Share::EveryRound,
            share_with_latency: Share::No,
        },
        Contender {
            first: way("no HEAD, no bucket check, 256 at once", &MANY),
            again: vec![],
            share: Share::No,
            share_with_latency: Share::EveryRound,
        },
    ];
    let slow = [
        Contender {
            first: way("fast list, 32 at once", &TUNED),
            again: vec![],
            share: Share::Tenth,
            share_with_latency: Share::Tenth,
        },
        Contender {
            first: way("defaults", &["copy"]),
            again: vec![],
            share: Share::Tenth,
            share_with_latency: Share::No,
        },
    ];
    let taking_part = slow.into_iter().filter(|_| !of_debian);
    Ok(best.into_iter().chain(taking_part).collect())
}

fn aws(program: &Path) -> Result<Contender> {
    let version = version(program, &["--version"])?;
    Ok(Contender {
        first: Way {
            who: format!("aws {version}, `s3 sync`"),
            client: Client::Aws(program.to_owned()),
            arguments: Vec::new(),
        },
        again: vec![],
        share: Share::Tenth,
        share_with_latency: Share::Tenth,
    })
}

/// The first thing that looks like a version in what the program says of itself.
fn version(program: &Path, arguments: &[&str]) -> Result<String> {
    let said = output(program, arguments).with_context(|| {
        format!(
            "`{}` does not run\n\nhint: run `cargo xtask setup`",
            program.display()
        )
    })?;
    let word = said
        .split([' ', '/', '\n', '-'])
        .map(|word| word.trim_start_matches('v'))
        .find(|word| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit()));
    Ok(word.unwrap_or("of unknown version").to_owned())
}

impl Way {
    /// The command that brings `tree` into the origin's bucket. `home` is where the client finds its
    /// settings and keeps its state.
    pub(super) fn command(&self, origin: &Origin, tree: &Path, home: &Path) -> Result<Command> {
        let with_slash = format!("{}/", tree.display());
        let mut command = match &self.client {
            Client::Medialift => {
                return sync_command(Profile::Release, origin, tree, &home.join("state"));
            }
            Client::S5cmd(program) => {
                let mut command = Command::new(program);
                command
                    .args(["--endpoint-url", &origin.s3_url, "--log", "error"])
                    .args(&self.arguments)
                    .arg(with_slash)
                    .arg("s3://media/");
                command
            }
            Client::Rclone(program) => {
                let settings = home.join("rclone.conf");
                fs::write(&settings, rclone_settings(origin))
                    .with_context(|| format!("cannot write `{}`", settings.display()))?;
                let mut command = Command::new(program);
                command
                    .arg("--config")
                    .arg(settings)
                    .args(&self.arguments)
                    .arg(tree)
                    .arg("origin:media");
                command
            }
            Client::Aws(program) => {
                let mut command = Command::new(program);
                command
                    .args(["--endpoint-url", &origin.s3_url])
                    .args(["s3", "sync", "--only-show-errors"])
                    .arg(tree)
                    .arg("s3://media");
                command
            }
        };
        // Settings of whoever runs this; Debian's rclone does not even start with the first.
        for theirs in [
            "AWS_CA_BUNDLE",
            "AWS_CONFIG_FILE",
            "AWS_PROFILE",
            "AWS_SHARED_CREDENTIALS_FILE",
            "RCLONE_CONFIG",
        ] {
            command.env_remove(theirs);
        }
        command
            .current_dir(home)
            .env("HOME", home)
            .env("AWS_ACCESS_KEY_ID", OriginOptions::KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", OriginOptions::KEY)
            .env("AWS_REGION", "us-west-004")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            // B2 refuses the checksums that new Amazon SDKs send by default.
            .env("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
            .env("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required");
        Ok(command)
    }
}

/// Debian's asks for `private` by itself, which B2 refuses on a public bucket.
fn rclone_settings(origin: &Origin) -> String {
    format!(
        "[origin]\ntype = s3\nprovider = Other\nendpoint = {}\nregion = us-west-004\n\
         access_key_id = {}\nsecret_access_key = {}\nforce_path_style = true\n\
         acl = public-read\n",
        origin.s3_url,
        OriginOptions::KEY_ID,
        OriginOptions::KEY
    )
}
