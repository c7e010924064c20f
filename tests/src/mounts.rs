//! Mounts that only one process and its children see, and that go away with it.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// What permits it where it is not permitted.
const HINT: &str = "it takes Linux, `unshare` of util-linux, and root or user namespaces (Debian: `sysctl kernel.unprivileged_userns_clone=1`; Ubuntu: `sysctl kernel.apparmor_restrict_unprivileged_userns=0`; in a container: `--privileged`)";

/// Runs the shell's `script` in a mount namespace of its own; what is added to the command is `$0`, `$1` and so
/// on to it.
///
/// # Errors
/// Fails where nothing can be mounted so, and says what to do.
pub fn in_own_mounts(script: &str) -> Result<Command> {
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        if !rustix::process::geteuid().is_root() {
            command.arg("--map-root-user");
        }
        command.args(["--mount", "sh", "-c", script]);
        command
    };
    let tried = unshare("mount -t tmpfs none /tmp")
        .output()
        .with_context(|| format!("cannot start `unshare`\n\nhint: {HINT}"))?;
    ensure!(
        tried.status.success(),
        "cannot mount in a namespace of its own: {}\n\nhint: {HINT}",
        String::from_utf8_lossy(&tried.stderr).trim()
    );
    Ok(unshare(script))
}
