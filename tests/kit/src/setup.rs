//! Gets the tools that a chore or a test asks for, into the cache, and says so meanwhile. Silent where
//! nothing is missing.
//!
//! Nothing is installed into the system and nothing takes root, unless somebody gives
//! `--system-packages`. Each tool is a [`Need`]; a chore names its own. Each is installed under a
//! temporary name and renamed when it is whole, so that an interrupted setup can simply be run again. One
//! setup at a time: a lock in the cache sees to that. What cannot be had does not stop the rest; it is all
//! named at the end, each with its remedy for this system.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::process::find_program;
use crate::progress;
use crate::tools::{self, Tools};

mod browser;
mod crates;
mod debian;
mod need;
mod npm;
mod python;
mod remedy;

pub use debian::program as debian_program;
pub use need::Need;
use remedy::Manager;

/// What `cargo xtask setup` is asked.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct SetupOptions {
    /// Install what the system's package manager has by it, after showing the list; takes root
    #[arg(long)]
    pub system_packages: bool,
}

/// Where an installation works.
struct Installer {
    cache: PathBuf,
    log: PathBuf,
}

impl Installer {
    /// An installer into `cache` whose commands write into a log named after `what`.
    fn new(cache: &Path, what: &str) -> Self {
        let slug: String = what
            .chars()
            .map(|c| if c.is_alphanumeric() { c } else { '-' })
            .collect();
        let log = cache.join("logs").join(format!("{slug}.log"));
        fs::remove_file(&log).ok();
        Self {
            cache: cache.to_owned(),
            log,
        }
    }

    /// Runs one command of an installation, its output kept for a failure.
    fn run(&self, command: Command) -> Result<()> {
        progress::run(command, &self.log)
    }

    /// Where cargo compiles what it installs: a crate that two programs use is compiled once.
    fn cargo_target(&self) -> PathBuf {
        self.unfinished().join("cargo-target")
    }

    /// What is removed when everything is installed.
    fn unfinished(&self) -> PathBuf {
        self.cache.join("unfinished")
    }

    /// Lets `make` fill a directory under a temporary name and gives it its own when it is whole.
    fn install_into(&self, directory: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let unfinished = self
            .unfinished()
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

/// Gets what is missing of `needs`, and returns the tools that build, run and deploy the worker.
///
/// # Errors
/// Fails when something cannot be had: all of it is named, each with what to do. Fails too when
/// `needs` are without npm's packages and they are not there.
pub fn setup(needs: &[Need]) -> Result<Tools> {
    get(needs)?;
    Tools::load()
}

/// Gets every tool of tests and gates, shows where each is, and returns them. `package` and `bench` get theirs
/// by [`setup`].
///
/// # Errors
/// As [`setup`]; and with `--system-packages` where there is no `apt-get` or no root.
pub fn everything(options: SetupOptions) -> Result<Tools> {
    if options.system_packages {
        install_system_packages()?;
    }
    let tools = setup(&Need::all())?;
    for need in Need::all() {
        if let Some(place) = need.locate(&tools.cache)? {
            eprintln!("setup: {need}: `{}`", place.display());
        }
    }
    Ok(tools)
}

/// Where the program or directory of `need` is; it is installed first where it is missing.
///
/// # Errors
/// Fails when it cannot be had, and says what to do.
pub fn place(need: Need) -> Result<PathBuf> {
    // First, since this is asked for each start of a program.
    let cache = tools::cache_directory()?;
    if let Some(place) = need.locate(&cache)? {
        return Ok(place);
    }
    get(&[need])?;
    need.locate(&cache)?
        .with_context(|| format!("{need} has gone since it was installed"))
}

/// Sees to it that the compiler has the standard library of another target than ours and the worker's.
///
/// # Errors
/// Fails when it has not and rustup cannot get it.
pub fn standard_library(target: &str) -> Result<()> {
    if crates::target_directory(target).is_some() {
        return Ok(());
    }
    eprintln!("setup: getting the standard library for {target}");
    let installer = Installer::new(&tools::cache_directory()?, target);
    crates::add_target(&installer, target).with_context(|| {
        format!(
            "cannot get the standard library for {target}\n\nhint: {}",
            remedy::of_target(target)
        )
    })
}

fn get(needs: &[Need]) -> Result<()> {
    let start = Instant::now();
    let cache = tools::cache_directory()?;
    if !missing(needs, &cache)?.is_empty() {
        let _lock = lock(&cache)?;
        // Another setup may have done it meanwhile.
        let missing = missing(needs, &cache)?;
        install(&cache, &missing)?;
        if !missing.is_empty() {
            eprintln!("setup: done in {}", progress::duration(start.elapsed()));
        }
    }
    if needs.contains(&Need::Npm) {
        npm::link(&cache)?;
    }
    Ok(())
}

/// What of `needs` is not there.
fn missing(needs: &[Need], cache: &Path) -> Result<Vec<Need>> {
    let mut missing = Vec::new();
    for need in needs {
        if need.locate(cache)?.is_none() {
            missing.push(*need);
        }
    }
    Ok(missing)
}

fn lock(cache: &Path) -> Result<File> {
    fs::create_dir_all(cache).with_context(|| {
        format!(
            "cannot create the cache `{}`\n\nhint: set `MEDIALIFT_CACHE` to a directory of yours",
            cache.display()
        )
    })?;
    lock_file(&cache.join("setup.lock"), "setup")
}

/// Locks a file until it is dropped; `chore` is what this waits for where another process has it.
pub(crate) fn lock_file(path: &Path, chore: &str) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot create `{}`", path.display()))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => eprintln!("{chore}: waiting for another {chore} to end"),
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock `{}`", path.display()));
        }
    }
    file.lock()
        .with_context(|| format!("cannot lock `{}`", path.display()))?;
    Ok(file)
}

fn install(cache: &Path, needs: &[Need]) -> Result<()> {
    let total = needs.len();
    let mut failures = Vec::new();
    for (number, need) in needs.iter().enumerate() {
        let (number, name) = (number + 1, need.to_string());
        eprintln!("setup: [{number}/{total}] {name} ({})", need.duration());
        let start = Instant::now();
        let got = need.get(&Installer::new(cache, &name)).and_then(|()| {
            // What was installed for another kind of machine is not found afterwards.
            let place = need.locate(cache)?;
            place.map(drop).context("it was installed and is not there")
        });
        match got {
            Ok(()) => eprintln!(
                "setup: [{number}/{total}] done in {}",
                progress::duration(start.elapsed())
            ),
            Err(error) => {
                eprintln!("setup: [{number}/{total}] failed");
                let hint = remedy::of(*need, Manager::here());
                failures.push(format!("{name}: {error:#}\n\nhint: {hint}"));
            }
        }
    }
    fs::remove_dir_all(cache.join("unfinished")).ok();
    if failures.is_empty() {
        return Ok(());
    }
    bail!("cannot get {}", failures.join("\n\ncannot get "))
}

/// Installs the packages of whatever the system does not have, whether or not it is in the cache.
fn install_system_packages() -> Result<()> {
    ensure!(
        find_program("apt-get").is_some(),
        "`--system-packages` knows `apt-get` only, which is not here\n\nhint: leave it out; what is missing is named with its remedy"
    );
    let needs = Need::all().into_iter().filter(|need| !need.is_on_system());
    let packages = remedy::packages(needs, Manager::Apt);
    if packages.is_empty() {
        eprintln!("setup: the system has every package");
        return Ok(());
    }
    eprintln!("setup: system packages to install: {}", packages.join(" "));
    let cache = tools::cache_directory()?;
    let _lock = lock(&cache)?;
    debian::install_on_system(&Installer::new(&cache, "system-packages"), &packages)
}
