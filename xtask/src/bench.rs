//! `cargo xtask bench`: builds the bench, a program of its own that nothing else needs, and runs it.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;
use testkit::process::Guarded;
use testkit::stack::binary;

/// Runs the bench with `arguments`; false where it says that a target was missed.
///
/// # Errors
/// Fails when it does not compile or cannot be started.
pub(crate) fn run(arguments: &[OsString]) -> Result<bool> {
    testkit::build::debug(&["bench"])?;
    let mut command = Command::new(binary("bench")?);
    command.args(arguments);
    let status = Guarded::spawn_with_streams("the bench", command, "/dev/null".as_ref())?.wait()?;
    Ok(status.success())
}
