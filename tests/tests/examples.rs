//! `docs/examples.md`: what the commands print, from a migration that is run here from its first
//! command to its last, with the mistakes that people make on the way. Each example is the command
//! line as it stands there, run by a shell with both streams in one, so the page has what a terminal
//! shows. `cargo xtask docs` writes it.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::b2sim::MASTER_KEY;
use e2e::client::Client;
use e2e::mastodon::Deployment;
use e2e::medialift;
use e2e::migration::{KEY, World};
use regex::Regex;
use serde_json::{Value, json};
use testkit::stack::Nginx;
use testkit::stack::{Origin, OriginOptions};

const PURGE_SECRET: &str = "correct-horse-battery-staple";
const AVATAR: &str = "accounts/avatars/000/000/001/original/example.png";
const EMOJI: &str = "custom_emojis/images/000/000/001/original/example.png";
const LATE: &str = "media_attachments/files/9/original/late.png";

const HEAD: &str = "<!-- Made by a test that runs the commands, by `cargo xtask docs`; do not edit. -->
# What the commands print

A test runs each of these, in this order, and holds the command to it. Settings come from `medialift.toml`, as in [migrate.md](migrate.md). Times, sizes and numbers that differ from run to run are replaced by words.
";

const SETTINGS: &str = r#"bucket = "example-social-media"
endpoint = "s3.us-west-004.backblazeb2.com"
files_url = "https://files.example.com"
visibility = "private"
media_dir = "/home/mastodon/live/public/system"
env_file = "/home/mastodon/live/.env.production"
key_file = "b2.key"
state_dir = "state"
"#;

const ENV: &str = "LOCAL_DOMAIN=example.com\nDB_PASS='p@ss # word' # keep me\nS3_ENABLED=false\n";

const FAULTY_ENV: &str = "S3_ENABLED=true\nS3_BUCKET=example-social-media \nS3_REGION=us-west-001\n\
S3_ENDPOINT=s3.us-west-004.backblazeb2.com\nS3_ALIAS_HOST=https://files.example.com/\n\
S3_PERMISSION=\nAWS_ACCESS_KEY_ID=161f959a5f87\nAWS_SECRET_ACCESS_KEY='\"K001\"'\n";

/// The page as it grows, and where its commands run.
struct Page {
    text: String,
    world: World,
}

impl Page {
    /// Writes the settings: the worker's address changes when it starts.
    fn settle(&self) -> Result<()> {
        let path = self.world.work().join("medialift.toml");
        // Where Mastodon's own process answers; on a real host that is port 3000.
        let instance = format!("instance_url = \"{}\"\n", self.world.mastodon.url());
        Ok(fs::write(path, instance + &self.world.local(SETTINGS)?)?)
    }

    fn heading(&mut self, heading: &str) -> Result<()> {
        Ok(write!(self.text, "\n## {heading}\n")?)
    }

    /// Runs `line`, and puts it and what it prints on the page.
    fn show(&mut self, line: &str, code: i32) -> Result<()> {
        self.show_with(line, code, |_| {})
    }

    /// The same, with what the shell has set.
    fn show_with(&mut self, line: &str, code: i32, set: impl Fn(&mut Command)) -> Result<()> {
        let mut command = self.command(line)?;
        set(&mut command);
        let ran = medialift::run(&mut medialift::after("exec 2>&1", &command))?.expect(code);
        for secret in [MASTER_KEY, KEY, PURGE_SECRET] {
            ensure!(!ran.stdout.contains(secret), "`{line}` shows a secret");
        }
        let printed = settled(&self.world.example(&ran.stdout)?)?;
        write!(
            self.text,
            "\n```text\n$ {line}\n{}\n```\n",
            printed.trim_end()
        )?;
        Ok(())
    }

    /// What has to be done between two examples, and shows nothing new.
    fn quietly(&self, line: &str) -> Result<()> {
        medialift::run(&mut self.command(line)?)?.expect(0);
        Ok(())
    }

    fn command(&self, line: &str) -> Result<Command> {
        let mut words = line.split(' ');
        ensure!(words.next() == Some("medialift"), "not a command: {line}");
        let mut command = medialift::command(&self.world.work())?;
        for word in words {
            command.arg(self.world.local(word)?);
        }
        command
            .env("B2_ENVIRONMENT", &self.world.b2.url)
            // The name of an endpoint on this machine does not contain the region.
            .env("B2_REGION", "us-west-004")
            // Where a visitor finds the site.
            .env("SITE_URL", self.world.instance_url());
        Ok(command)
    }

    fn as_master(&mut self, line: &str, code: i32) -> Result<()> {
        let id = e2e::b2sim::ACCOUNT_ID;
        self.show_with(line, code, |command| {
            command
                .env("B2_APPLICATION_KEY_ID", id)
                .env("B2_APPLICATION_KEY", MASTER_KEY);
        })
    }

    fn with_secret(&mut self, line: &str, code: i32, secret: &str) -> Result<()> {
        self.show_with(line, code, |command| {
            command.env("PURGE_SECRET", secret);
        })
    }

    /// Runs `line` while the service has these faults.
    fn faulty(&mut self, line: &str, code: i32, faults: &Value) -> Result<()> {
        self.world.origin.set_faults(faults)?;
        self.show(line, code)?;
        self.world.origin.clear_faults()
    }

    fn write(&self, path: &str, content: &str) -> Result<()> {
        let path = self.world.media().join(path);
        fs::create_dir_all(path.parent().context("a folder")?)?;
        Ok(fs::write(path, content)?)
    }
}

/// What differs from run to run, replaced.
fn settled(text: &str) -> Result<String> {
    let mut text = text.to_owned();
    for (pattern, with) in [
        (r"[\d.]+ s, [\d.]+ [KMG]?i?B/s", "[time], [rate]"),
        (r"requests  .*", "requests  [n]"),
        (r"in \d+ ms", "in [n] ms"),
        (r"an object, (at once|after \d+ s):", "an object, at once:"),
        (r"freed [\d.]+ \w+ in", "freed [n] in"),
        (
            r"\.[0-9a-f]{16}\.before-\d{8}T\d{6}Z(-\d+)?",
            ".[id].before-[date]",
        ),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d", "[date and time]"),
        // Which upload counts for which step depends on the second in which it was made.
        (r"  (partly done|done {7}|done)  \[date", "  done  [date"),
        (r" +\n", "\n"),
        (r"clock is \d+ seconds", "clock is [n] seconds"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:[port]"),
    ] {
        text = Regex::new(pattern)?.replace_all(&text, with).into_owned();
    }
    Ok(text)
}

#[test]
fn the_page_of_examples_is_what_the_commands_print() -> Result<()> {
    let page = page()?;
    let path = testkit::root().join("docs/examples.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page)?;
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    for (printed, held) in page.lines().zip(there.lines()) {
        assert_eq!(printed, held, "{HINT}");
    }
    assert_eq!(page.lines().count(), there.lines().count(), "{HINT}");
    Ok(())
}

const HINT: &str = "`docs/examples.md` is not what the commands print\n\nhint: `cargo xtask docs`, then look at the difference and commit the page";

fn page() -> Result<String> {
    let mut page = Page {
        text: HEAD.to_owned(),
        world: World::start(Deployment::Systemd, 1)?,
    };
    fs::write(page.world.env_file(), ENV)?;
    fs::set_permissions(page.world.env_file(), fs::Permissions::from_mode(0o600))?;
    page.write(AVATAR, "an avatar")?;
    page.write(EMOJI, "an emoji")?;
    page.settle()?;
    bucket_and_key(&mut page)?;
    upload(&mut page)?;
    files_domain(&mut page)?;
    switch(&mut page)?;
    disk(&mut page)?;
    Ok(page.text)
}

fn bucket_and_key(page: &mut Page) -> Result<()> {
    page.heading("A report of what would be moved")?;
    page.show("medialift plan --upload-mbit 40", 0)?;
    page.heading("Creating the bucket and its key")?;
    page.as_master("medialift provision --key-file b2.key --dry-run", 0)?;
    page.as_master("medialift provision --key-file b2.key", 0)?;
    page.as_master("medialift provision --key-file b2.key", 0)?;
    page.as_master("medialift provision --public", 3)?;
    page.heading("A check with the master key")?;
    page.as_master("medialift check", 3)?;
    page.heading("A check without a fault")?;
    page.show("medialift check", 0)
}

fn upload(page: &mut Page) -> Result<()> {
    page.heading("A dry run of the upload")?;
    page.show("medialift sync --dry-run", 0)?;
    page.heading("An upload with one file refused")?;
    page.faulty(
        "medialift sync",
        4,
        &json!({ "kind": "status", "status": 400, "code": "InvalidRequest", "method": "PUT", "key_prefix": AVATAR }),
    )?;
    page.heading("The same command again: only the missing file is uploaded")?;
    page.show("medialift sync", 0)?;
    page.heading("A key that was mistyped")?;
    page.show_with("medialift sync", 1, |command| {
        command
            .env("B2_APPLICATION_KEY_ID", OriginOptions::KEY_ID)
            .env("B2_APPLICATION_KEY", "K001mistyped");
    })?;
    page.heading("A key that was revoked")?;
    page.faulty("medialift sync", 1, &json!({ "kind": "revoked" }))?;
    page.heading("A clock that is wrong")?;
    page.faulty("medialift sync", 1, &json!({ "kind": "skewed_clock" }))?;
    page.heading("A service without disk space")?;
    page.write("media_attachments/files/9/original/new.png", "a new one")?;
    page.faulty(
        "medialift sync --quiet",
        1,
        &json!({ "kind": "status", "status": 507, "code": "InsufficientStorage", "method": "PUT" }),
    )?;
    page.heading("Every wrong setting at once")?;
    page.show(
        "medialift sync --bucket a_b --endpoint http://s3.example.com",
        2,
    )
}

fn files_domain(page: &mut Page) -> Result<()> {
    page.quietly("medialift sync")?;
    page.world.start_edge(PURGE_SECRET, false)?;
    page.settle()?;
    page.heading("The files domain, verified")?;
    page.with_secret("medialift verify", 0, PURGE_SECRET)?;
    page.heading("Purging an object from the cache of the files domain")?;
    let reader = Client::anonymous(page.world.edge_url()?);
    let read = reader.send("GET", &format!("/{AVATAR}"), &[], &[])?;
    ensure!(
        read.status == 200,
        "the avatar is not there: {}",
        read.status
    );
    page.with_secret(&format!("medialift purge {AVATAR}"), 0, PURGE_SECRET)?;
    page.heading("A purge secret that is not the worker's")?;
    page.with_secret(&format!("medialift purge {AVATAR}"), 1, "wrong")?;
    page.heading("The old nginx set-up, verified")?;
    let origin = Origin::start(OriginOptions {
        keys: vec![format!("{}={KEY}", OriginOptions::KEY_ID)],
        ..OriginOptions::default()
    })?;
    let nginx = Nginx::start(&origin.bucket_url("media"))?;
    let line = format!("medialift verify --files-url http://{}", nginx.address);
    page.show_with(&line, 3, |command| {
        command
            .env("B2_BUCKET", "media")
            .env("B2_ENDPOINT", &origin.s3_url);
    })?;
    page.text = settled(&page.text)?;
    Ok(())
}

fn switch(page: &mut Page) -> Result<()> {
    // An alias is a host name with TLS: `env` takes no address of this machine for it.
    let real = |command: &mut Command| {
        command
            .env("FILES_URL", "https://files.example.com")
            .env("PURGE_SECRET", PURGE_SECRET);
    };
    page.heading("Announcing the files domain")?;
    page.show_with("medialift env --announce", 0, real)?;
    page.heading("Switching Mastodon to the bucket")?;
    page.show_with("medialift env", 0, real)?;
    page.heading("Checking a settings file that was written by hand")?;
    fs::write(page.world.work().join("by-hand.env"), FAULTY_ENV)?;
    page.show_with("medialift env --lint --env-file by-hand.env", 3, real)?;
    page.heading("Deleting from the bucket once Mastodon writes there")?;
    page.world.mastodon.restart()?;
    page.show("medialift sync --delete", 2)?;
    page.heading("Objects that Mastodon has deleted or replaced in the bucket")?;
    // An upload counts as one after the switch from the next second on.
    std::thread::sleep(Duration::from_millis(1_100));
    page.quietly("medialift sync")?;
    page.world.mastodon.delete(AVATAR)?;
    page.world.mastodon.write(EMOJI, b"another emoji")?;
    page.show("medialift sync", 4)
}

fn disk(page: &mut Page) -> Result<()> {
    page.heading("A cutover that is refused")?;
    page.write(LATE, "written by a process that was not restarted")?;
    page.show("medialift cutover", 3)?;
    page.heading("A cutover")?;
    medialift::run(&mut page.command("medialift sync")?)?.expect(4);
    page.show("medialift cutover", 0)?;
    page.heading("A rollback")?;
    page.show("medialift rollback", 3)?;
    page.show("medialift rollback --leave-in-bucket --with-deleted", 0)?;
    page.quietly("medialift cutover")?;
    page.heading("Which steps are done")?;
    page.show("medialift status", 0)?;
    page.heading("Deleting the local media")?;
    page.show("medialift prune", 4)?;
    page.heading("A rollback after a prune")?;
    page.show("medialift rollback --leave-in-bucket", 1)
}
