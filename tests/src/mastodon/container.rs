//! The bind mount of a container: a mount namespace of its own, without a Docker engine.
//!
//! A mount follows the directory and not its name: what is renamed on the host stays mounted until
//! the container is created again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use testkit::process::{Guarded, ScratchDirectory, scratch_directory};

use crate::mounts::in_own_mounts;

/// A process that does nothing in a mount namespace in which the host's directory is mounted.
#[derive(Debug)]
pub(super) struct Container {
    process: Guarded,
    mount_point: PathBuf,
    _scratch: ScratchDirectory,
}

impl Container {
    /// Mounts `source` at `mount_point`, as Docker does when a container is created.
    pub(super) fn start(source: &Path, mount_point: &Path) -> Result<Container> {
        // As Docker does for a bind mount whose source is not there.
        fs::create_dir_all(source)?;
        let scratch = scratch_directory("container")?;
        let script = "mount --bind \"$0\" \"$1\" && echo mounted && exec sleep infinity";
        let mut command = in_own_mounts(script)?;
        command.args([source, mount_point]);
        let mut process =
            Guarded::spawn("a mount namespace", command, &scratch.path().join("log"))?;
        process.wait_until(Duration::from_secs(20), |process| {
            process.log().contains("mounted").then_some(())
        })?;
        Ok(Container {
            process,
            mount_point: mount_point.to_owned(),
            _scratch: scratch,
        })
    }

    /// The mounted directory, as the container's processes see it.
    pub(super) fn view(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.process.id()));
        let inside = self.mount_point.strip_prefix("/");
        root.join(inside.unwrap_or(&self.mount_point))
    }
}
