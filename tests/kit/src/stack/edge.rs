//! The edge worker under `wrangler dev`: real workerd, no network, no state kept.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::free_address;
use crate::build;
use crate::process::{Guarded, ScratchDirectory, memory_directory, scratch_directory};
use crate::tools::Tools;

/// How to start an [`Edge`] where the plain [`Edge::start`] does not do.
#[derive(Clone, Debug, Default)]
pub struct EdgeOptions {
    /// Settings of the worker, over those in `wrangler.toml`. There is no platform cache locally: with
    /// `CACHE_MODE=platform`, as shipped, the engine stands in.
    pub variables: Vec<(String, String)>,
    /// Where the cache is kept; `None` for a directory that goes away with the edge.
    pub persist: Option<PathBuf>,
    /// Whether that directory is in the system's temporary directory, and not in memory: for a media tree of any
    /// size, which memory may not hold.
    pub on_disk: bool,
    /// The port; `None` for a free one.
    pub port: Option<u16>,
    /// Another worker's `wrangler.toml`, to compare ours with; `None` for ours.
    pub configuration: Option<PathBuf>,
    /// A module that runs before the worker's own, to correct what the local simulator does
    /// otherwise than the platform.
    pub before: Option<PathBuf>,
    /// Whether to run the worker that has the hooks for tests, not the one that is deployed.
    pub test_hooks: bool,
}

impl EdgeOptions {
    /// These settings of the worker, and nothing else.
    #[must_use]
    pub fn with_variables(variables: &[(&str, &str)]) -> Self {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Self {
            variables,
            ..Self::default()
        }
    }
}

/// A running edge.
#[derive(Debug)]
pub struct Edge {
    // First, so that it has ended when its directory is removed.
    child: Guarded,
    /// Where it answers, `http://127.0.0.1:PORT`.
    pub url: String,
    _scratch: ScratchDirectory,
}

impl Edge {
    /// Starts `wrangler dev` with settings for the worker on a free port and waits until it answers.
    /// The worker must have been built.
    ///
    /// # Errors
    /// Fails, with the end of its log, when it does not come up.
    pub fn start(tools: &Tools, variables: &[(&str, &str)]) -> Result<Self> {
        Self::start_with(tools, EdgeOptions::with_variables(variables))
    }

    /// As [`Edge::start`], with all the options.
    ///
    /// # Errors
    /// Fails, with the end of its log, when it does not come up.
    pub fn start_with(tools: &Tools, options: EdgeOptions) -> Result<Self> {
        // The local simulator of the cache is a database that waits for the disk at each write: on a busy
        // disk an object was stored seconds after its answer.
        let scratch = match options.on_disk {
            true => scratch_directory("edge")?,
            false => memory_directory("edge")?,
        };
        let inside = |name: &str| scratch.path().join(name);
        let persist = options.persist.unwrap_or_else(|| inside("state"));
        let temporary = inside("tmp");
        fs::create_dir(&temporary)
            .with_context(|| format!("cannot create `{}`", temporary.display()))?;
        // An empty file, so that a developer's own `.dev.vars` or `.env` does not get in.
        let environment = inside("no.env");
        fs::write(&environment, "")
            .with_context(|| format!("cannot write `{}`", environment.display()))?;

        let configuration = inside("wrangler.toml");
        let source = options
            .configuration
            .unwrap_or_else(|| crate::root().join("wrangler.toml"));
        let main = if options.test_hooks {
            build::hooked_directory().join("entry.mjs")
        } else {
            main_of(&source)?
        };
        let main = match &options.before {
            Some(before) => write_entry(&inside("entry.mjs"), before, &main)?,
            None => main,
        };
        write_configuration(&source, &main, &configuration)?;

        let mut command = tools.wrangler();
        command
            .args(["dev", "--local", "--ip", "127.0.0.1", "--port"])
            .arg(options.port.unwrap_or(0).to_string())
            // It takes 0 for its usual port.
            .arg("--inspector-port")
            .arg(free_address()?.port().to_string())
            .args(["--show-interactive-dev-session=false", "--log-level", "log"])
            .arg("--persist-to")
            .arg(&persist)
            .arg("--env-file")
            .arg(&environment)
            .arg("--config")
            .arg(&configuration)
            .env("TMPDIR", &temporary)
            .env("WRANGLER_WRITE_LOGS", "false")
            .env("WRANGLER_LOG_PATH", inside("logs"))
            .env("WRANGLER_REGISTRY_PATH", inside("registry"))
            .env("WRANGLER_CACHE_DIR", inside("cache"))
            .env("XDG_CONFIG_HOME", inside("config"))
            .env("CI", "true")
            .env("NO_COLOR", "1")
            .env_remove("FORCE_COLOR");
        for (name, value) in &options.variables {
            command.arg("--var").arg(format!("{name}:{value}"));
        }
        let log = inside("wrangler.log");
        let (child, url) = Guarded::server("`wrangler dev`", command, &log, |log| {
            let (_, rest) = log.split_once("Ready on ")?;
            Some(rest.split_whitespace().next()?.to_owned())
        })?;
        Ok(Self {
            child,
            url,
            _scratch: scratch,
        })
    }

    /// The process id of the group that `wrangler` leads.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it printed, one line a request among it.
    #[must_use]
    pub fn log(&self) -> String {
        self.child.log()
    }

    /// The file that holds what it printed.
    #[must_use]
    pub fn log_path(&self) -> &Path {
        self.child.log_path()
    }
}

fn read_configuration(file: &Path) -> Result<toml::Table> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    toml::from_str(&text).with_context(|| format!("cannot read `{}`", file.display()))
}

/// The module that a worker's configuration names.
fn main_of(configuration: &Path) -> Result<PathBuf> {
    let table = read_configuration(configuration)?;
    let main = table.get("main").and_then(toml::Value::as_str);
    let main = main.with_context(|| format!("`{}` has no `main`", configuration.display()))?;
    Ok(configuration.with_file_name(main))
}

/// Writes an entry that imports `before`, then `main`.
fn write_entry(entry: &Path, before: &Path, main: &Path) -> Result<PathBuf> {
    // As JavaScript wants a text.
    let before = serde_json::to_string(before)?;
    let main = serde_json::to_string(main)?;
    let code =
        format!("import {before};\nexport * from {main};\nexport {{ default }} from {main};\n");
    fs::write(entry, code).with_context(|| format!("cannot write `{}`", entry.display()))?;
    Ok(entry.to_path_buf())
}

/// Copies a worker's configuration with another `main`, without other environments, and without its
/// `[build]`: what is started here was built before, and many at once must not build over each other.
fn write_configuration(source: &Path, main: &Path, copy: &Path) -> Result<()> {
    let mut table = read_configuration(source)?;
    table.remove("build");
    table.remove("env");
    let main = main.to_str().context("a path that is not UTF-8")?;
    table.insert("main".to_owned(), main.into());
    fs::write(copy, toml::to_string(&table)?)
        .with_context(|| format!("cannot write `{}`", copy.display()))
}
