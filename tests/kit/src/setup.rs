//! `cargo xtask setup`: gets what is missing into the cache, says what it does meanwhile, and does
//! nothing where there is nothing to do.
//!
//! Each tool is installed under a temporary name and renamed when it is whole, so that an interrupted
//! setup can simply be run again. One setup at a time: a lock in the cache sees to that. What cannot be
//! had does not stop the rest; it is all named at the end, each with its remedy.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::pins;
use crate::process::{find_program, is_executable};
use crate::progress;
use crate::tools::{self, Tools};

mod cargo;
mod debian;
mod npm;
mod python;

/// How much to set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// What builds, runs and deploys the edge worker.
    Edge,
    /// That, and what only the tests use: nginx, Varnish, a browser, the independent S3 server and clients.
    Everything,
}

/// One thing to install.
struct Item {
    name: String,
    /// What to expect, for whoever waits.
    duration: &'static str,
    /// What somebody can do who cannot have it from here.
    hint: String,
    install: Install,
}

type Install = Box<dyn Fn(&Installer) -> Result<()>>;

/// Where an installation works.
pub(crate) struct Installer {
    pub(crate) cache: PathBuf,
    pub(crate) log: PathBuf,
}

impl Installer {
    /// Runs one command of an installation, its output kept for a failure.
    fn run(&self, command: Command) -> Result<()> {
        progress::run(command, &self.log)
    }

    /// Lets `make` fill a directory under a temporary name and gives it its own when it is whole.
    fn install_into(&self, directory: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let unfinished = self
            .cache
            .join("unfinished")
            .join(directory.file_name().unwrap_or_default());
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)
                .with_context(|| format!("cannot remove `{}`", unfinished.display()))?;
        }
        fs::create_dir_all(&unfinished)
            .with_context(|| format!("cannot create `{}`", unfinished.display()))?;
        make(&unfinished)?;
        if directory.exists() {
            fs::remove_dir_all(directory)
                .with_context(|| format!("cannot remove `{}`", directory.display()))?;
        }
        fs::rename(&unfinished, directory).with_context(|| {
            format!(
                "cannot move the finished `{}` into place",
                directory.display()
            )
        })
    }
}

/// Installs what is missing of `scope` and returns the tools. Silent where nothing is missing, unless
/// `say_ready`.
///
/// # Errors
/// Fails when something cannot be had: all of it is named, each with what to do.
pub fn setup(scope: Scope, say_ready: bool) -> Result<Tools> {
    let start = Instant::now();
    let cache = tools::cache_directory()?;
    let missing = missing_items(&cache, scope)?;
    if !missing.is_empty() {
        fs::create_dir_all(&cache).with_context(|| {
            format!("cannot create the cache `{}`\n\nhint: set `MEDIALIFT_CACHE` to a directory of yours", cache.display())
        })?;
        let _lock = lock(&cache)?;
        // Another setup may have done it meanwhile.
        install(&cache, missing_items(&cache, scope)?)?;
    }
    npm::link(&cache)?;
    let tools = Tools::load()?;
    if !missing.is_empty() {
        eprintln!("setup: done in {}", progress::duration(start.elapsed()));
    } else if say_ready {
        eprintln!(
            "setup: nothing to do, all is installed in `{}`",
            cache.display()
        );
    }
    Ok(tools)
}

/// Sees to it that a program that only the bench uses is in `/usr/bin`, by Debian's package of its name.
///
/// # Errors
/// Fails when it is not there and cannot be installed, and says what to do.
pub fn debian_program(package: &'static str) -> Result<PathBuf> {
    let program = Path::new("/usr/bin").join(package);
    if is_executable(&program) {
        return Ok(program);
    }
    let cache = tools::cache_directory()?;
    fs::create_dir_all(&cache)
        .with_context(|| format!("cannot create the cache `{}`", cache.display()))?;
    let _lock = lock(&cache)?;
    let item = Item {
        name: format!("{package}, for the bench"),
        duration: "about a minute",
        hint: format!("as root, `apt-get install --no-install-recommends {package}`"),
        install: Box::new(move |installer| debian::install(installer, &[package])),
    };
    install(&cache, vec![item])?;
    Ok(program)
}

fn lock(cache: &Path) -> Result<File> {
    let path = cache.join("setup.lock");
    let file =
        File::create(&path).with_context(|| format!("cannot create `{}`", path.display()))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => eprintln!("setup: waiting for another setup to end"),
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock `{}`", path.display()));
        }
    }
    file.lock()
        .with_context(|| format!("cannot lock `{}`", path.display()))?;
    Ok(file)
}

fn install(cache: &Path, items: Vec<Item>) -> Result<()> {
    let total = items.len();
    let mut failures = Vec::new();
    for (number, item) in items.into_iter().enumerate() {
        let slug: String = item
            .name
            .chars()
            .map(|c| if c.is_alphanumeric() { c } else { '-' })
            .collect();
        let installer = Installer {
            cache: cache.to_owned(),
            log: cache.join("logs").join(format!("{slug}.log")),
        };
        fs::remove_file(&installer.log).ok();
        eprintln!(
            "setup: [{}/{total}] {} ({})",
            number + 1,
            item.name,
            item.duration
        );
        let start = Instant::now();
        match (item.install)(&installer) {
            Ok(()) => eprintln!(
                "setup: [{}/{total}] done in {}",
                number + 1,
                progress::duration(start.elapsed())
            ),
            Err(error) => {
                eprintln!("setup: [{}/{total}] failed", number + 1);
                failures.push(format!("{}: {error:#}\n\nhint: {}", item.name, item.hint));
            }
        }
    }
    fs::remove_dir_all(cache.join("unfinished")).ok();
    if failures.is_empty() {
        return Ok(());
    }
    bail!("cannot set up {}", failures.join("\n\ncannot set up "))
}

/// What of `scope` is not there, in the order in which it can be installed.
fn missing_items(cache: &Path, scope: Scope) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    let mut add = |name: String, duration, hint: &str, install: Install| {
        items.push(Item {
            name,
            duration,
            hint: hint.to_owned(),
            install,
        });
    };

    if !npm::is_installed(cache)? {
        let hint = "install Node.js 20 or newer with npm, and let npm reach its registry";
        add(
            "npm packages (wrangler, Node.js, esbuild, binaryen)".into(),
            "under a minute",
            hint,
            Box::new(npm::install),
        );
    }
    let compile = "let cargo reach its registry; have a C compiler, pkg-config and OpenSSL's headers installed (Debian: `libssl-dev`)";
    let (sdk, bindgen) = (
        pins::locked_version("worker")?,
        pins::locked_version("wasm-bindgen")?,
    );
    let programs = [
        ("worker-build", &sdk, "worker-build"),
        ("wasm-bindgen-cli", &bindgen, "wasm-bindgen"),
    ];
    let is_installed = |(package, version, program): (&str, &String, &str)| {
        is_executable(&tools::crate_program(cache, package, version, program))
    };
    if !programs.into_iter().all(is_installed) {
        add(
            format!("worker-build {sdk} and wasm-bindgen-cli {bindgen}"),
            "about 4 minutes",
            compile,
            Box::new(cargo::install_worker_build),
        );
    }
    if scope == Scope::Everything {
        let version = pins::WASM_PACK;
        let wasm_pack = tools::crate_program(cache, "wasm-pack", version, "wasm-pack");
        if !is_executable(&wasm_pack) {
            add(
                format!("wasm-pack {version}, for the tests"),
                "about 3 minutes",
                compile,
                Box::new(cargo::install_wasm_pack),
            );
        }
        if !tools::python_directory(cache).exists() {
            let hint = "install Python 3.11 or newer with `venv`, and let pip reach its index";
            add(
                "Python packages (SeaweedFS, S3 clients)".into(),
                "under a minute",
                hint,
                Box::new(python::install),
            );
        }
        for (package, program) in [
            (pins::DEBIAN_NGINX, "nginx"),
            (pins::DEBIAN_CHROMIUM, "chromium"),
            (pins::DEBIAN_VARNISH, "varnishd"),
        ] {
            if find_program(program).is_none() {
                let hint = format!("as root, `apt-get install --no-install-recommends {package}`");
                add(
                    format!("{program}, for the tests"),
                    "about a minute",
                    &hint,
                    Box::new(move |installer| debian::install(installer, &[package])),
                );
            }
        }
        if tools::ruby().is_err() {
            add(
                "Ruby with Mastodon's S3 client, for the tests".into(),
                "under a minute",
                &tools::ruby_remedy(),
                Box::new(|installer| debian::install(installer, pins::DEBIAN_RUBY)),
            );
        }
    }
    Ok(items)
}
