//! `docs/migrate.md`, run from its first command to its last on one machine: Backblaze's model of
//! the native API, the B2-like origin, the real worker and the real command, with a look after each
//! step.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use e2e::b2sim::{ACCOUNT_ID, MASTER_KEY};
use e2e::client::Client;
use e2e::media::files;
use e2e::medialift::{Ran, run};
use e2e::migration::{BUCKET, World};
use e2e::script::{Block, Kind, blocks};
use xtask::stack::{OriginOptions, binary};

const PAGE: &str = include_str!("../../docs/migrate.md");
const ENV_BEFORE: &str = "# This instance's settings\nLOCAL_DOMAIN=example.com\nDB_PASS='p@ss # word'\n\nSMTP_SERVER=localhost # keep me\n";

/// The services and directories, with what a host has besides.
struct Host(World);

impl std::ops::Deref for Host {
    type Target = World;

    fn deref(&self) -> &World {
        &self.0
    }
}

impl Host {
    fn start() -> Result<Host> {
        let world = World::start()?;
        fs::write(world.env_file(), ENV_BEFORE)?;
        fs::set_permissions(world.env_file(), fs::Permissions::from_mode(0o600))?;
        // Stands in for the host's service manager, and notes what it was asked.
        let programs = world.home().join("bin");
        fs::create_dir_all(&programs)?;
        let systemctl = programs.join("systemctl");
        fs::write(
            &systemctl,
            "#!/bin/sh\necho \"$@\" >> \"$HOME/systemctl.log\"\n",
        )?;
        fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755))?;
        std::os::unix::fs::symlink(binary("medialift")?, programs.join("medialift"))?;
        Ok(Host(world))
    }

    fn write_file(&self, block: &Block) -> Result<()> {
        fs::write(self.work().join(&block.name), self.local(&block.text)?)?;
        Ok(())
    }

    /// Runs a block as a person would, in one shell; every command of it must end well.
    fn run(&self, block: &Block) -> Result<Ran> {
        let path = std::env::var("PATH")?;
        let programs = self.home().join("bin");
        let mut command = Command::new("bash");
        command
            .args(["-euo", "pipefail", "-c", &self.local(&block.text)?])
            .current_dir(self.work())
            .env_clear()
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("HOME", self.home())
            .env("B2_ENVIRONMENT", &self.b2.url)
            // The name of an endpoint on this machine does not tell it.
            .env("B2_REGION", "us-west-004");
        if block.name == "provision" {
            // A person is asked for it at the terminal.
            command
                .env("B2_APPLICATION_KEY_ID", ACCOUNT_ID)
                .env("B2_APPLICATION_KEY", MASTER_KEY);
        }
        if matches!(block.name.as_str(), "announce" | "switch") {
            // Mastodon is given no address of this machine: the file is written as on a real host.
            command
                .env("FILES_URL", "https://files.example.com")
                .env("B2_ENDPOINT", "s3.us-west-004.backblazeb2.com");
        }
        let ran = run(&mut command)?;
        ensure!(
            ran.code == Some(0),
            "the step `{}` ended with {:?}\nstdout:\n{}\nstderr:\n{}",
            block.name,
            ran.code,
            ran.stdout,
            ran.stderr
        );
        for secret in [MASTER_KEY, OriginOptions::KEY] {
            let shown = ran.stdout.contains(secret) || ran.stderr.contains(secret);
            ensure!(!shown, "the step `{}` shows a secret", block.name);
        }
        Ok(ran)
    }

    fn restarts(&self) -> usize {
        fs::read_to_string(self.home().join("systemctl.log"))
            .unwrap_or_default()
            .lines()
            .filter(|line| *line == "restart mastodon-*.service")
            .count()
    }

    /// How often the bucket was written to.
    fn uploads(&self) -> Result<u64> {
        Ok(self.origin.requests()?.of("PutObject"))
    }

    /// Every one of `files` is in the bucket, byte for byte.
    fn bucket_has(&self, files: &BTreeMap<String, Vec<u8>>) -> Result<()> {
        let client = Client::signing(
            &self.origin.s3_url,
            OriginOptions::KEY_ID,
            OriginOptions::KEY,
        );
        for (key, bytes) in files {
            let answer = client.get(BUCKET, key)?;
            ensure!(
                answer.status == 200 && answer.body == *bytes,
                "`{key}` is not in the bucket as it is on the disk ({})",
                answer.status
            );
        }
        Ok(())
    }

    /// Every one of `files` comes through the files domain, byte for byte.
    fn domain_has(&self, files: &BTreeMap<String, Vec<u8>>) -> Result<()> {
        let client = Client::anonymous(self.edge_url()?);
        for (key, bytes) in files {
            // The domain is the bucket itself: the path has no bucket in it.
            let path = Client::path("", key).replacen("//", "/", 1);
            let answer = client.send("GET", &path, &[], &[])?;
            ensure!(
                answer.status == 200 && answer.body == *bytes,
                "`{key}` does not come through the files domain as it was on the disk ({})",
                answer.status
            );
        }
        Ok(())
    }
}

#[test]
fn the_page_is_a_migration_from_plan_to_prune() -> Result<()> {
    let page = blocks(PAGE)?;
    let mut world = Host::start()?;
    let sample = files(&world.media())?;
    assert!(sample.len() > 100, "{} files", sample.len());
    let mut all = sample.clone();

    let mut steps = Vec::new();
    for block in &page {
        if block.kind == Kind::File {
            world.write_file(block)?;
            continue;
        }
        steps.push(block.name.as_str());
        if block.name == "verify" {
            let secret = fs::read_to_string(world.work().join("purge.secret"))?;
            world.0.start_edge(secret.trim())?;
            for file in page.iter().filter(|b| b.kind == Kind::File) {
                world.write_file(file)?;
            }
        }
        let uploads = world.uploads()?;
        let ran = world.run(block)?;
        match block.name.as_str() {
            "secret" => {
                let secret = fs::metadata(world.work().join("purge.secret"))?;
                assert_eq!(secret.mode() & 0o777, 0o600);
                assert_eq!(secret.len(), 65);
            }
            "plan" => {
                assert!(
                    ran.stdout.contains(&sample.len().to_string()),
                    "{}",
                    ran.stdout
                );
                assert_eq!(files(&world.media())?, sample, "plan only looks");
            }
            "provision" => {
                let buckets = world.b2.b2_json(&["bucket", "list", "--json"])?;
                assert_eq!(buckets[0]["bucketName"], BUCKET);
                assert_eq!(buckets[0]["bucketType"], "allPrivate");
                let key = fs::metadata(world.work().join("b2.key"))?;
                assert_eq!(key.mode() & 0o777, 0o600);
                world.run(block)?;
                let calls = world.b2.calls()?.calls;
                assert_eq!((calls["b2_create_bucket"], calls["b2_create_key"]), (1, 1));
            }
            "check" => {
                assert_eq!(world.uploads()? - uploads, 1, "one probe");
                assert_eq!(
                    world.origin.requests()?.of("DeleteObject"),
                    1,
                    "and it is removed"
                );
            }
            "announce" => {
                let text = fs::read_to_string(world.env_file())?;
                assert!(text.starts_with(ENV_BEFORE), "{text}");
                assert!(text.contains("EXTRA_MEDIA_HOSTS="), "{text}");
                assert!(!text.contains("S3_ENABLED"), "{text}");
                assert_eq!(fs::metadata(world.env_file())?.mode() & 0o777, 0o600);
                assert_eq!(world.restarts(), 1);
            }
            "bulk" => {
                world.bucket_has(&sample)?;
                assert_eq!(world.uploads()? - uploads, sample.len() as u64);
                // Mastodon goes on writing to the disk.
                for number in 0..7 {
                    let key = format!("media_attachments/files/113/00{number}/original/new.png");
                    let path = world.media().join(&key);
                    fs::create_dir_all(path.parent().context("a folder")?)?;
                    let bytes = format!("written meanwhile {number}").into_bytes();
                    fs::write(path, &bytes)?;
                    all.insert(key, bytes);
                }
            }
            "verify" => {
                let requests = world.origin.requests()?;
                let probes = requests.by_key.iter().filter(|(key, operations)| {
                    key.contains("medialift-probe") && operations.contains_key("PutObject")
                });
                for (key, operations) in probes {
                    assert!(operations.contains_key("DeleteObject"), "`{key}` is left");
                }
                let html = fs::read_to_string(world.work().join("verify.html"))?;
                assert!(html.contains(world.edge_url()?));
            }
            "switch" => {
                let text = fs::read_to_string(world.env_file())?;
                assert!(text.starts_with(ENV_BEFORE), "{text}");
                for line in ["S3_ENABLED=true", "S3_PERMISSION=private"] {
                    assert!(text.lines().any(|l| l == line), "{line} in {text}");
                }
                assert!(text.contains(OriginOptions::KEY_ID));
                assert_eq!(fs::metadata(world.env_file())?.mode() & 0o777, 0o600);
                assert_eq!(world.restarts(), 2);
            }
            "rest" => {
                world.bucket_has(&all)?;
                assert_eq!(world.uploads()? - uploads, 7, "only what is new is sent");
            }
            "cutover" => moved_aside(&world, &all)?,
            "verify-again" => world.domain_has(&all)?,
            "rollback" => {
                assert_eq!(files(&world.media())?, all);
                assert!(!world.kept().exists());
                let again = page.iter().find(|b| b.name == "cutover");
                world.run(again.context("the step to do again")?)?;
                moved_aside(&world, &all)?;
            }
            "prune" => {
                assert!(!world.kept().exists() || files(&world.kept())?.is_empty());
                assert!(world.media().is_dir());
                world.bucket_has(&all)?;
                world.domain_has(&all)?;
            }
            other => bail!("nothing looks at the step `{other}`"),
        }
    }
    assert_eq!(
        steps,
        [
            "secret",
            "plan",
            "provision",
            "check",
            "announce",
            "bulk",
            "verify",
            "switch",
            "rest",
            "cutover",
            "verify-again",
            "rollback",
            "prune"
        ]
    );
    Ok(())
}

fn moved_aside(world: &Host, all: &BTreeMap<String, Vec<u8>>) -> Result<()> {
    assert_eq!(files(&world.kept())?, *all);
    assert!(files(&world.media())?.is_empty());
    let (new, old) = (fs::metadata(world.media())?, fs::metadata(world.kept())?);
    assert_eq!(
        (new.mode(), new.uid(), new.gid()),
        (old.mode(), old.uid(), old.gid())
    );
    Ok(())
}
