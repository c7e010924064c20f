//! The host on which the page's commands run, and what is the same in every step.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use e2e::b2sim::{ACCOUNT_ID, MASTER_KEY};
use e2e::mastodon::{Deployment, Invariants};
use e2e::medialift::{Ran, run};
use e2e::migration::{BUCKET, KEY, World};
use e2e::script::{Block, Kind};
use testkit::stack::binary;

/// Stands in for the host's service manager: notes what it was asked, and does it.
const SYSTEMCTL: &str = r#"#!/bin/bash
echo "$@" >> "$HOME/systemctl.log"
case "$*" in
  'restart mastodon-*.service') exec ask-instance /restart ;;
  # nginx reads its configuration again soon after it was asked to.
  'reload nginx') kill -s HUP NGINX && sleep 0.5 ;;
  *) echo "systemctl: unknown: $*" >&2; exit 1 ;;
esac
"#;

/// Stands in for Docker: containers that are created anew, or only restarted.
const DOCKER: &str = r#"#!/bin/bash
case "$*" in
  'compose --project-directory '*' up -d --force-recreate') exec ask-instance /recreate ;;
  'compose --project-directory '*' restart') exec ask-instance /restart ;;
  *) echo "docker: unknown: $*" >&2; exit 1 ;;
esac
"#;

/// Has the simulated instance do something, and waits until it is done.
const ASK_INSTANCE: &str = r#"#!/bin/bash
exec 3<> /dev/tcp/HOST/PORT
printf 'POST %s HTTP/1.1\r\n\r\n' "$1" >&3
answer=$(cat <&3)
case "$answer" in
  'HTTP/1.1 200 '*) ;;
  *) echo "$answer" >&2; exit 1 ;;
esac
"#;

/// The services and directories, with what a host has besides.
pub(crate) struct Host {
    pub(crate) world: World,
    /// Whether the worker asks the instance for what the bucket lacks.
    pub(crate) fallback: bool,
    page: Vec<Block>,
    rules: Invariants,
}

impl Host {
    pub(crate) fn start(deployment: Deployment, page: Vec<Block>) -> Result<Host> {
        let world = World::start(deployment, fastrand::u64(..))?;
        let (address, port) = world
            .mastodon
            .url()
            .trim_start_matches("http://")
            .split_once(':')
            .context("an address")?;
        let programs = world.home().join("bin");
        fs::create_dir_all(&programs)?;
        for (name, text) in [
            ("systemctl", SYSTEMCTL),
            ("docker", DOCKER),
            ("ask-instance", ASK_INSTANCE),
            // Whether the configuration is right shows in what nginx then does.
            ("nginx", "#!/bin/sh\ntest \"$*\" = -t\n"),
        ] {
            let program = programs.join(name);
            let text = text
                .replace("NGINX", &world.nginx.id().to_string())
                .replace("HOST", address)
                .replace("PORT", port);
            fs::write(&program, text)?;
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        }
        std::os::unix::fs::symlink(binary("medialift")?, programs.join("medialift"))?;
        let rules = Invariants::new(world.client(), BUCKET);
        Ok(Host {
            world,
            fallback: false,
            page,
            rules,
        })
    }

    pub(crate) fn block(&self, name: &str) -> Result<&Block> {
        let block = self.page.iter().find(|block| block.name == name);
        block.with_context(|| format!("the page has no `{name}`"))
    }

    /// Writes the page's files, with the addresses of this moment.
    pub(crate) fn write_files(&self) -> Result<()> {
        for block in self.page.iter().filter(|block| block.kind == Kind::File) {
            let mut text = self.world.local(&block.text)?;
            if block.name == "medialift.toml" {
                // Where Mastodon's own process answers; on a real host that is port 3000.
                text = format!("instance_url = \"{}\"\n{text}", self.world.mastodon.url());
            }
            let path = match block.name.as_str() {
                "nginx" if self.world.edge.is_some() => self.world.media_conf(),
                "nginx" => continue,
                name => self.world.work().join(name),
            };
            fs::write(path, text)?;
        }
        Ok(())
    }

    /// Runs a step of the page while Mastodon writes and deletes and somebody reads, and looks at what
    /// the page says of it.
    pub(crate) fn step(&mut self, name: &str) -> Result<()> {
        self.prepare(name)?;
        let activity = self.world.mastodon.begin_activity();
        let reader = self.world.mastodon.begin_reading();
        let before = self.before()?;
        let ran = self.run(name)?;
        let in_step = |error: anyhow::Error| error.context(format!("during the step `{name}`"));
        reader.stop().map_err(in_step)?;
        activity.stop().map_err(in_step)?;
        self.look(name, &before, &ran)
            .with_context(|| format!("after the step `{name}`"))?;
        self.rules
            .check(&self.world.mastodon)
            .with_context(|| format!("after the step `{name}`"))
    }

    /// Runs a block as a person would, in one shell; every command of it must end well.
    fn run(&self, name: &str) -> Result<Ran> {
        let path = std::env::var("PATH")?;
        let world = &self.world;
        let programs = world.home().join("bin");
        let mut commands = world.local(&self.block(name)?.text)?;
        if name == "prune" {
            // 4: some files stay, and are named. Half of all pictures are deleted within minutes here,
            // which asks for the flag that the page names.
            commands = commands.replace('\n', " --max-deleted-in-bucket 1000 || test $? = 4\n");
        }
        let mut command = Command::new("bash");
        command
            .args(["-euo", "pipefail", "-c"])
            .arg(commands)
            .current_dir(world.work())
            .env_clear()
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("HOME", world.home())
            .env("B2_ENVIRONMENT", &world.b2.url)
            // The name of an endpoint on this machine does not tell it.
            .env("B2_REGION", "us-west-004")
            // Where a visitor finds the site.
            .env("SITE_URL", world.instance_url());
        if name == "provision" {
            // A person is asked for it at the terminal.
            command
                .env("B2_APPLICATION_KEY_ID", ACCOUNT_ID)
                .env("B2_APPLICATION_KEY", MASTER_KEY);
        }
        if matches!(name, "announce" | "switch" | "undo") {
            // An alias is a host name with TLS: `env` takes no address of this machine for it.
            command.env("FILES_URL", "https://files.example.com");
        }
        let ran = run(&mut command)?;
        ensure!(
            ran.code == Some(0),
            "the step `{name}` ended with {:?}\nstdout:\n{}\nstderr:\n{}",
            ran.code,
            ran.stdout,
            ran.stderr
        );
        for secret in [MASTER_KEY, KEY] {
            let shown = ran.stdout.contains(secret) || ran.stderr.contains(secret);
            ensure!(!shown, "the step `{name}` shows a secret");
        }
        Ok(ran)
    }

    /// How often the bucket was written to.
    pub(crate) fn uploads(&self) -> Result<u64> {
        Ok(self.world.origin.requests()?.of("PutObject"))
    }
}
