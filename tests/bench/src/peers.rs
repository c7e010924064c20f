//! The clients compared with `medialift sync`, and the command of each: as its documentation has it, with the
//! flags that make it fastest at the work. None reads settings of the person who runs the bench.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use testkit::process::output;
use testkit::setup::{self, Need, debian_program};
use testkit::stack::{Origin, OriginOptions, Profile, binary_of};

/// What `medialift` is called in reports.
pub(crate) const OURS: &str = "medialift";

/// Bytes of a part of a large file, which `medialift sync` has by itself: the ETags of all clients are alike.
pub(crate) const PART: u64 = 16 << 20;

/// Requests at once: what s5cmd has by itself, for rclone where each request waits.
const MANY: &str = "256";

/// Requests at once for the others where none waits: more of them cost more than they gain.
const SOME: &str = "32";

/// Parts of one file at once.
const PARTS_AT_ONCE: &str = "8";

/// One way of calling a client.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) who: String,
    client: Client,
    arguments: Vec<String>,
}

#[derive(Clone, Debug)]
enum Client {
    Medialift,
    S5cmd(PathBuf),
    Rclone(PathBuf),
    Aws(PathBuf),
}

impl Client {
    fn way(&self, name: &str, arguments: &[&str]) -> Way {
        Way {
            who: match arguments {
                [] => name.to_owned(),
                _ => format!("{name} `{}`", arguments.join(" ")),
            },
            client: self.clone(),
            arguments: arguments.iter().map(|&argument| argument.into()).collect(),
        }
    }
}

/// A client's ways for a tree of many files.
#[derive(Debug)]
pub(crate) struct Contender {
    /// To upload it.
    pub(crate) first: Way,
    /// To upload it where every request waits.
    pub(crate) far: Way,
    /// To find nothing to do afterwards.
    pub(crate) again: Way,
    /// Whether it would take minutes for more than a few files.
    pub(crate) is_slow: bool,
}

/// The contenders for many files.
pub(crate) fn contenders() -> Result<Vec<Contender>> {
    let ours = || Client::Medialift.way(OURS, &[]);
    let bin = setup::place(Need::Python)?;
    let (s5cmd, name) = known("s5cmd", Client::S5cmd, bin.join("s5cmd"))?;
    let cp = || s5cmd.way(&name, &["cp"]);
    let mut all = vec![
        Contender {
            first: ours(),
            far: ours(),
            again: ours(),
            is_slow: false,
        },
        Contender {
            first: cp(),
            far: cp(),
            again: s5cmd.way(&name, &["sync", "--size-only"]),
            is_slow: false,
        },
    ];
    // Debian's is years behind.
    let of_debian = debian_program("rclone")?;
    for (name, program) in [
        ("rclone", bin.join("rclone")),
        ("Debian's rclone", of_debian),
    ] {
        let (rclone, name) = known(name, Client::Rclone, program)?;
        let checkers = ["--checkers", SOME, "--fast-list", "--s3-no-check-bucket"];
        let way = |more: &[&str]| rclone.way(&name, &[&["copy"][..], &checkers, more].concat());
        all.push(Contender {
            first: way(&["--s3-no-head", "--transfers", SOME]),
            far: way(&["--s3-no-head", "--transfers", MANY]),
            again: way(&["--size-only"]),
            is_slow: false,
        });
    }
    let (aws, name) = known("aws", Client::Aws, bin.join("aws"))?;
    let sync = || aws.way(&name, &["s3", "sync"]);
    all.push(Contender {
        first: sync(),
        far: sync(),
        again: aws.way(&name, &["s3", "sync", "--size-only"]),
        is_slow: true,
    });
    Ok(all)
}

/// The clients for large files, in parts of [`PART`].
pub(crate) fn for_large_files() -> Result<Vec<Way>> {
    let bin = setup::place(Need::Python)?;
    let (s5cmd, s5cmd_name) = known("s5cmd", Client::S5cmd, bin.join("s5cmd"))?;
    let (rclone, rclone_name) = known("rclone", Client::Rclone, bin.join("rclone"))?;
    let mebibytes = (PART >> 20).to_string();
    Ok(vec![
        Client::Medialift.way(OURS, &[]),
        s5cmd.way(
            &s5cmd_name,
            &[
                "cp",
                "--concurrency",
                PARTS_AT_ONCE,
                "--part-size",
                &mebibytes,
            ],
        ),
        rclone.way(
            &rclone_name,
            &[
                "copy",
                "--s3-no-head",
                "--s3-no-check-bucket",
                "--s3-disable-checksum",
                "--s3-upload-concurrency",
                PARTS_AT_ONCE,
                "--s3-chunk-size",
                &format!("{mebibytes}M"),
            ],
        ),
    ])
}

/// A client, and its name with its version: the first thing that looks like one in what it prints of itself.
fn known(
    name: &str,
    client: impl FnOnce(PathBuf) -> Client,
    program: PathBuf,
) -> Result<(Client, String)> {
    let printed = ["version", "--version"]
        .into_iter()
        .find_map(|argument| output(&program, &[argument]))
        .with_context(|| {
            format!(
                "`{}` does not run\n\nhint: run `cargo xtask setup`",
                program.display()
            )
        })?;
    let version = printed
        .split([' ', '/', '\n', '-'])
        .map(|word| word.trim_start_matches('v'))
        .find(|word| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit()));
    let name = format!("{name} {}", version.unwrap_or("of unknown version"));
    Ok((client(program), name))
}

impl Way {
    /// The command that uploads `tree` into the origin's bucket. `home` is where the client finds its
    /// settings and keeps its state.
    pub(crate) fn command(&self, origin: &Origin, tree: &Path, home: &Path) -> Result<Command> {
        let endpoint = ["--endpoint-url", origin.client_url()];
        let mut command = match &self.client {
            Client::Medialift => sync_command(origin, tree, &home.join("state"))?,
            Client::S5cmd(program) => {
                let mut command = Command::new(program);
                command
                    .args(endpoint)
                    .args(["--log", "error"])
                    .args(&self.arguments)
                    .arg(format!("{}/", tree.display()))
                    .arg("s3://media/");
                command
            }
            Client::Rclone(program) => {
                let settings = rclone_settings(origin);
                let mut command = Command::new(program);
                command
                    .arg("--config")
                    .arg(written(home, "rclone.conf", &settings)?)
                    .args(&self.arguments)
                    .arg(tree)
                    .arg("origin:media");
                command
            }
            Client::Aws(program) => {
                let mut command = Command::new(program);
                command
                    .args(endpoint)
                    .args(&self.arguments)
                    .arg("--only-show-errors")
                    .arg(tree)
                    .arg("s3://media");
                command
            }
        };
        // The user's own settings; Debian's rclone does not even start with the first.
        for variable in [
            "AWS_CA_BUNDLE",
            "AWS_PROFILE",
            "AWS_SHARED_CREDENTIALS_FILE",
            "RCLONE_CONFIG",
        ] {
            command.env_remove(variable);
        }
        if let Some((_, certificate)) = &origin.tls {
            command.env("SSL_CERT_FILE", certificate);
            if matches!(self.client, Client::Aws(_)) {
                command.env("AWS_CA_BUNDLE", certificate);
            }
        }
        let settings = format!("[default]\ns3 =\n  max_concurrent_requests = {SOME}\n");
        command
            .current_dir(home)
            .env("AWS_CONFIG_FILE", written(home, "aws.conf", &settings)?)
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

/// `medialift sync` of `tree` to the origin's first bucket, its journal in `state`; it reads no
/// settings of the person who runs it.
pub(crate) fn sync_command(origin: &Origin, tree: &Path, state: &Path) -> Result<Command> {
    let mut command = Command::new(binary_of(Profile::Release, "medialift")?);
    command
        .args(["sync", "--json", "--not-mastodon"])
        .args(["--bucket", "media", "--region", "us-west-004"])
        .args(["--endpoint", origin.client_url()])
        .arg("--state-dir")
        .arg(state)
        .arg(tree)
        .current_dir(tree)
        .env_remove("MEDIALIFT_CONFIG")
        .env_remove("KEY_PREFIX")
        .env("B2_APPLICATION_KEY_ID", OriginOptions::KEY_ID)
        .env("B2_APPLICATION_KEY", OriginOptions::KEY);
    Ok(command)
}

fn written(home: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = home.join(name);
    fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(path)
}

/// Debian's asks for `private` by itself, which B2 refuses on a public bucket.
fn rclone_settings(origin: &Origin) -> String {
    format!(
        "[origin]\ntype = s3\nprovider = Other\nendpoint = {}\nregion = us-west-004\n\
         access_key_id = {}\nsecret_access_key = {}\nforce_path_style = true\n\
         acl = public-read\n",
        origin.client_url(),
        OriginOptions::KEY_ID,
        OriginOptions::KEY
    )
}
