//! Recognizes mount points, which cannot be renamed.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Whether `path` is a mount point; a link is not followed.
///
/// A bind mount may have the device number of its parent, so the kernel's own attribute counts first.
pub(super) fn is_mount_point(path: &Path) -> io::Result<bool> {
    #[cfg(target_os = "linux")]
    if let Some(answer) = by_attribute(path)? {
        return Ok(answer);
    }
    let entry = std::fs::symlink_metadata(path)?;
    let parent = std::fs::metadata(path.parent().unwrap_or(path))?;
    Ok(entry.is_dir() && entry.dev() != parent.dev())
}

/// None where the kernel does not report it (before Linux 5.8).
#[cfg(target_os = "linux")]
fn by_attribute(path: &Path) -> io::Result<Option<bool>> {
    use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let found = match statx(CWD, path, flags, StatxFlags::TYPE) {
        Ok(found) => found,
        Err(rustix::io::Errno::NOSYS) => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let mount_root = StatxAttributes::MOUNT_ROOT;
    let is_reported = found.stx_attributes_mask.contains(mount_root);
    Ok(is_reported.then(|| found.stx_attributes.contains(mount_root)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_and_a_link_to_a_mount_point_are_none() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_mount_point(dir.path()).unwrap());
        std::os::unix::fs::symlink("/", dir.path().join("link")).unwrap();
        assert!(!is_mount_point(&dir.path().join("link")).unwrap());
        assert!(is_mount_point(&dir.path().join("missing")).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernel_reports_a_mount_point() {
        assert!(is_mount_point(Path::new("/proc")).unwrap());
        assert!(!is_mount_point(Path::new("/proc/self")).unwrap());
    }
}
