//! The host on which the page's commands run, and what is the same in every step.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use e2e::b2sim::{ACCOUNT_ID, MASTER_KEY};
use e2e::mastodon::{Deployment, Invariants};
use e2e::medialift::{Ran, run};
use e2e::migration::{BUCKET, KEY, World};
use e2e::script::{Block, Kind};
use e2e::stand_ins;
use testkit::stack::binary;

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
        let world = World::start(deployment, e2e::seed())?;
        let programs = world.home().join("bin");
        fs::create_dir_all(&programs)?;
        for (name, script) in [
            ("systemctl", stand_ins::SYSTEMCTL),
            ("docker", stand_ins::DOCKER),
            ("ask-instance", stand_ins::ASK_INSTANCE),
            // Whether the configuration is right shows in what nginx then does.
            ("nginx", "test \"$*\" = -t\n"),
        ] {
            stand_ins::write(&programs, name, script)?;
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

    /// Runs a block in one shell; every command of it must succeed.
    fn run(&self, name: &str) -> Result<Ran> {
        let path = std::env::var("PATH")?;
        let world = &self.world;
        let programs = world.home().join("bin");
        let mut commands = world.local(&self.block(name)?.text)?;
        if name == "prune" {
            // 4: some files stay, and are named. Half of all pictures are deleted within minutes here,
            // which needs the flag that the page names.
            commands = commands.replace('\n', " --max-deleted-in-bucket 1000 || test $? = 4\n");
        }
        let path = format!("{}:{path}", programs.display());
        let mut command = world.shell(path.as_ref(), &commands);
        if name == "provision" {
            // At a terminal it is prompted for.
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
