//! `cargo xtask deploy`: builds the worker and hands it to `wrangler deploy`.

use std::ffi::OsString;
use std::process::Command;

use anyhow::{Context, Result};

use crate::build;
use crate::setup::{Scope, setup};
use crate::tools::Tools;

/// `wrangler deploy` without further arguments.
pub(crate) fn command(tools: &Tools) -> Command {
    let mut command = tools.wrangler();
    command.arg("deploy");
    command
}

/// Builds and deploys, `arguments` going to wrangler as they are; false when wrangler failed, which it
/// has explained. wrangler may ask questions: it has the terminal.
///
/// # Errors
/// Fails when the tools cannot be had or the worker does not build.
pub fn run(arguments: &[OsString]) -> Result<bool> {
    let tools = setup(Scope::Edge, false)?;
    build::worker(&tools)?;
    let status = command(&tools)
        .args(arguments)
        .status()
        .context("cannot start wrangler")?;
    Ok(status.success())
}
