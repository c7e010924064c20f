//! The machine on which the documents' commands are run: a Mastodon host, and the machine from which the
//! worker is deployed, in one directory.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use e2e::b2sim::{ACCOUNT_ID, MASTER_KEY};
use e2e::cloudflare::Account;
use e2e::mastodon::Deployment;
use e2e::medialift::{Ran, run};
use e2e::migration::World;
use e2e::script::{Kind, read};
use e2e::stand_ins;
use serde_json::json;
use testkit::process::find_program;
use testkit::setup::{self, Need, debian_program};
use testkit::stack::binary;
use testkit::tools::Tools;

use super::table::{HELPERS, INSTEAD, Instead, REAL};

/// The files domain of a staging worker.
const STAGING_URL: &str = "https://medialift-edge-staging.ACCOUNT.workers.dev";
const SETTINGS: &str = "medialift.toml";

/// Dropped, it ends its processes.
pub(crate) struct Machine {
    pub(crate) world: World,
    pub(crate) account: Account,
    visibility: &'static str,
    /// Further variables, and texts that stand for others.
    pub(crate) variables: Vec<(&'static str, OsString)>,
    pub(crate) replaced: Vec<(&'static str, String)>,
}

impl Machine {
    /// `deployed`: whether the account has the worker already.
    pub(crate) fn start(visibility: &'static str, deployed: bool) -> Result<Self> {
        let (secrets, queues) = match deployed {
            true => (
                json!([
                    "PURGE_SECRET",
                    "B2_APPLICATION_KEY_ID",
                    "B2_APPLICATION_KEY"
                ]),
                json!(["medialift-purges", "medialift-purges-dead"]),
            ),
            false => (json!([]), json!([])),
        };
        let account =
            Account::start(&json!({ "worker": deployed, "secrets": secrets, "queues": queues }))?;
        let world = World::start_with(Deployment::Systemd, 7, visibility)?;
        let mut machine = Machine {
            replaced: vec![("https://api.cloudflare.com", account.url.clone())],
            variables: Vec::new(),
            account,
            world,
            visibility,
        };
        machine.set_variables()?;
        machine.write_programs()?;
        let work = machine.world.work();
        let mut deployed: toml::Table =
            fs::read_to_string(&machine.account.configuration)?.parse()?;
        // The worker is built already.
        deployed.remove("build");
        // As shipped: staging answers at `workers.dev`.
        deployed["env"]["staging"]["routes"] = toml::Value::Array(Vec::new());
        fs::write(work.join("wrangler.toml"), toml::to_string(&deployed)?)?;
        machine.write_settings("")?;
        Ok(machine)
    }

    fn set_variables(&mut self) -> Result<()> {
        let tools = Tools::load()?;
        let from_here = |name| std::env::var_os(name).unwrap_or_default();
        self.variables = vec![
            ("ACCOUNT", ACCOUNT_ID.into()),
            ("MASTER", MASTER_KEY.into()),
            ("MEDIALIFT", binary("medialift")?.into()),
            ("XTASK", binary("xtask")?.into()),
            ("OBSERVE", env!("CARGO_BIN_EXE_observe").into()),
            ("NODE", tools.node.clone().into()),
            ("NODE_MODULES", tools.node_modules.clone().into()),
            ("WRANGLER", tools.wrangler_js.clone().into()),
            ("PYTHON", setup::place(Need::Python)?.into()),
            ("NGINX_PROGRAM", setup::place(Need::Nginx)?.into()),
            ("CURL", debian_program("curl")?.into()),
            ("JQ", debian_program("jq")?.into()),
            ("ROOT", testkit::root().into()),
            ("PACKAGES", testkit::package::directory().into()),
            ("MEDIALIFT_CACHE", tools.cache.clone().into()),
            ("REAL_PATH", tools.path()),
            ("REAL_HOME", from_here("HOME")),
            ("NGINX_CONF", OsString::new()),
            ("TMPDIR", self.world.home().into()),
            // Who commits a release.
            (
                "GIT_CONFIG_GLOBAL",
                self.world.home().join("gitconfig").into(),
            ),
        ];
        let git = "[user]\n\tname = Somebody\n\temail = somebody@example.com\n";
        fs::write(self.world.home().join("gitconfig"), git)?;
        Ok(())
    }

    fn programs(&self) -> PathBuf {
        self.world.home().join("bin")
    }

    /// Everything that a command can find.
    fn write_programs(&self) -> Result<()> {
        let programs = self.programs();
        fs::create_dir_all(&programs)?;
        for name in REAL
            .iter()
            .chain(&["bash", "env", "gzip", "ls", "rm", "sleep"])
        {
            let program = find_program(name).with_context(|| format!("there is no `{name}`"))?;
            symlink(program, programs.join(name))?;
        }
        for (name, script) in HELPERS {
            stand_ins::write(&programs, name, &format!("set -euo pipefail\n{script}"))?;
        }
        for entry in INSTEAD {
            let program = program_of(entry.command);
            let mut script = format!("set -euo pipefail\ncase \"{program} $*\" in\n");
            for entry in INSTEAD {
                if program_of(entry.command) == program {
                    let Instead {
                        command,
                        why,
                        script: does,
                    } = entry;
                    script += &format!("# {why}\n'{command}' | '{command} '*)\n{does}\n;;\n");
                }
            }
            script +=
                &format!("*) echo \"{program} $*: not in the table\" >&2; exit 127 ;;\nesac\n");
            stand_ins::write(&programs, program, &script)?;
        }
        Ok(())
    }

    /// `medialift.toml` as the migration's page has it, with the addresses of this moment, and `more`.
    pub(crate) fn write_settings(&self, more: &str) -> Result<()> {
        let page = read(include_str!("../../../docs/migrate.md"))?;
        let settings = page
            .blocks
            .iter()
            .find(|block| block.kind == Kind::File && block.name == SETTINGS);
        let settings = &settings.context("no block of settings")?.text;
        // Where Mastodon's own process answers; on a real host that is port 3000.
        let instance = format!("instance_url = \"{}\"\n", self.world.mastodon.url());
        let visibility = format!("visibility = \"{}\"", self.visibility);
        let settings = settings.replace("visibility = \"private\"", &visibility) + more;
        let settings = instance + &self.here(&settings)?;
        Ok(fs::write(self.file(SETTINGS), settings)?)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.world.work().join(name)
    }

    /// Runs the migration's steps of these names.
    pub(crate) fn steps(&mut self, names: &[&str]) -> Result<()> {
        let page = read(include_str!("../../../docs/migrate.md"))?;
        for name in names {
            let step = page.blocks.iter().find(|block| block.name == *name);
            let ran = self.run(&step.context("no such step")?.text)?;
            ended(ran, 0).with_context(|| format!("the step `{name}`"))?;
        }
        Ok(())
    }

    /// Starts the worker, with the secret of this moment.
    pub(crate) fn start_edge(&mut self) -> Result<()> {
        let secret = fs::read_to_string(self.file("purge.secret"))?;
        self.world.start_edge(secret.trim(), false)?;
        self.replaced
            .push((STAGING_URL, self.world.edge_url()?.to_owned()));
        self.write_settings("")
    }

    fn here(&self, text: &str) -> Result<String> {
        let mut text = text.to_owned();
        for (name, with) in &self.replaced {
            text = text.replace(name, with);
        }
        self.world.local(&text)
    }

    /// Runs commands of a page.
    pub(crate) fn run(&self, commands: &str) -> Result<Ran> {
        let commands = self.here(commands)?;
        let mut command = self.world.shell(self.programs().as_os_str(), &commands);
        command
            .envs(self.account.variables())
            .envs(wrangler_variables()?)
            .envs(self.variables.iter().cloned());
        run(&mut command)
    }
}

/// Variables that switch off wrangler's telemetry and prompts.
fn wrangler_variables() -> Result<Vec<(OsString, OsString)>> {
    let wrangler = Tools::load()?.wrangler();
    let set = wrangler.get_envs().filter(|(name, _)| *name != "PATH");
    Ok(set
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect())
}

/// The first word.
pub(crate) fn program_of(command: &str) -> &str {
    command.split(' ').next().unwrap_or_default()
}

/// Fails, with all that was printed, unless the exit code is this.
pub(crate) fn ended(ran: Ran, code: i32) -> Result<Ran> {
    ensure!(
        ran.code == Some(code),
        "it ended with {:?}, not {code}\nstdout:\n{}\nstderr:\n{}",
        ran.code,
        ran.stdout,
        ran.stderr
    );
    Ok(ran)
}

/// The repository's page of that name.
pub(crate) fn page(name: &str) -> Result<String> {
    let path: &Path = testkit::root();
    fs::read_to_string(path.join(name)).with_context(|| format!("read `{name}`"))
}
