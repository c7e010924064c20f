//! The virtual environment with the independent S3 server and other people's clients.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Installer, debian};
use crate::pins;
use crate::process::find_program;
use crate::tools;

/// Makes the environment. Its scripts name it by its path, so it is made in its place, and a marker
/// that comes last says that it is whole.
pub(super) fn install(installer: &Installer) -> Result<()> {
    let python = python(installer)?;
    let directory = tools::python_directory(&installer.cache);
    // Scripts keep the path that the environment was made under: a link from there to the real place.
    let real = directory.with_extension("files");
    if real.exists() {
        fs::remove_dir_all(&real).with_context(|| format!("cannot remove `{}`", real.display()))?;
    }
    let make = || {
        let mut make = Command::new(&python);
        make.args(["-m", "venv", "--clear"]).arg(&real);
        installer.run(make)
    };
    // Debian's own `python3` comes without what an environment is made of.
    if make().is_err() {
        debian::install(installer, &["python3-venv"])?;
        make()?;
    }
    let mut fill = Command::new(real.join("bin/python"));
    fill.args([
        "-m",
        "pip",
        "install",
        "--no-input",
        "--disable-pip-version-check",
        "--quiet",
    ])
    .args(pins::PYTHON);
    installer.run(fill)?;
    fs::remove_file(&directory).ok();
    std::os::unix::fs::symlink(&real, &directory)
        .with_context(|| format!("cannot link `{}`", directory.display()))
}

/// The `python3` on `PATH`, or Debian's.
fn python(installer: &Installer) -> Result<PathBuf> {
    if find_program("python3").is_none() {
        debian::install(installer, &["python3", "python3-venv"])?;
    }
    find_program("python3").context("there is no `python3` on PATH")
}
