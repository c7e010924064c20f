//! The virtual environment with the independent S3 server and other people's clients.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Workshop;
use crate::pins;
use crate::process::find_program;
use crate::tools;

/// Makes the environment. Its scripts name it by its path, so it is made in its place, and a marker
/// that comes last says that it is whole.
pub(super) fn install(workshop: &Workshop) -> Result<()> {
    let Some(python) = find_program("python3") else {
        bail!("there is no `python3` on PATH")
    };
    let directory = tools::python_directory(&workshop.cache);
    // Scripts keep the path that the environment was made under: a link from there to the real place.
    let real = directory.with_extension("files");
    if real.exists() {
        fs::remove_dir_all(&real).with_context(|| format!("cannot remove `{}`", real.display()))?;
    }
    let mut make = Command::new(python);
    make.args(["-m", "venv"]).arg(&real);
    workshop.run(make)?;
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
    workshop.run(fill)?;
    fs::remove_file(&directory).ok();
    std::os::unix::fs::symlink(&real, &directory)
        .with_context(|| format!("cannot link `{}`", directory.display()))
}
