//! Programs that stand in for those of a Mastodon host, as scripts. What they need to know they find in
//! the environment of [`World::shell`](crate::migration::World::shell).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Result;

/// The host's service manager: notes what it was asked, and does it.
pub const SYSTEMCTL: &str = r#"echo "$@" >> "$HOME/systemctl.log"
case "$*" in
  'restart mastodon-*.service') exec ask-instance /restart ;;
  # nginx reads its configuration again soon after it was asked to.
  'reload nginx') kill -s HUP $NGINX_PIDS && sleep 0.5 ;;
  *) echo "systemctl: unknown: $*" >&2; exit 1 ;;
esac
"#;

/// Docker: containers that are created anew, or only restarted.
pub const DOCKER: &str = r#"case "$*" in
  'compose '*'up -d --force-recreate') exec ask-instance /recreate ;;
  'compose '*'restart') exec ask-instance /restart ;;
  *) echo "docker: unknown: $*" >&2; exit 1 ;;
esac
"#;

/// Has the simulated instance do something, and waits until it is done.
pub const ASK_INSTANCE: &str = r#"exec 3<> "/dev/tcp/${INSTANCE_ADDRESS/://}"
printf 'POST %s HTTP/1.1\r\n\r\n' "$1" >&3
answer=$(cat <&3)
case "$answer" in
  'HTTP/1.1 200 '*) ;;
  *) echo "$answer" >&2; exit 1 ;;
esac
"#;

/// Writes `script` as the program `name` into `folder`.
///
/// # Errors
/// Fails when it cannot be written.
pub fn write(folder: &Path, name: &str, script: &str) -> Result<()> {
    let program = folder.join(name);
    fs::write(&program, format!("#!/bin/bash\n{script}"))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    Ok(())
}
