//! Debian's packages, where we are root or `sudo` asks no question.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use super::Installer;
use crate::process::{find_program, output};

/// Installs packages without starting any service that comes with them.
pub(super) fn install(installer: &Installer, packages: &[&str]) -> Result<()> {
    if find_program("apt-get").is_none() {
        bail!("there is no `apt-get` here");
    }
    let root = rustix::process::getuid().is_root();
    if !root && output("sudo", &["-n", "true"]).is_none() {
        bail!("installing Debian's packages needs root");
    }
    let apt = |arguments: &[&str]| {
        let mut command = if root {
            Command::new("env")
        } else {
            let mut command = Command::new("sudo");
            command.args(["-n", "env"]);
            command
        };
        // In run level 1 Debian's installation scripts start no service.
        command.args([
            "DEBIAN_FRONTEND=noninteractive",
            "RUNLEVEL=1",
            "apt-get",
            "-o",
            "DPkg::Lock::Timeout=300",
        ]);
        command.args(arguments);
        command
    };
    let nginx_ran = Path::new("/run/nginx.pid").exists();
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(packages);
    // An old package list names versions that are gone, so look again before giving up.
    if installer.run(apt(&arguments)).is_err() {
        installer.run(apt(&["update"]))?;
        installer.run(apt(&arguments))?;
    }
    if !nginx_ran && Path::new("/run/nginx.pid").exists() {
        let mut stop = if root {
            Command::new("nginx")
        } else {
            Command::new("sudo")
        };
        if !root {
            stop.args(["-n", "nginx"]);
        }
        stop.args(["-s", "stop"]);
        installer.run(stop)?;
    }
    Ok(())
}
