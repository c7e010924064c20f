//! Identity of a directory across renames: `system` and, after a cutover, `system_` are the same tree.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

/// Inode and time of creation, which stay the same when an entry is renamed.
///
/// Device numbers of LVM, Btrfs and network filesystems change with a
/// reboot, so the device counts only where the filesystem records no time of creation.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Identity {
    device: u64,
    inode: u64,
    /// Nanoseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created: Option<u64>,
}

impl Identity {
    /// Of the directory that `path` is or points to.
    pub fn of_directory(path: &Path) -> io::Result<Identity> {
        Ok(Identity::of(&fs::metadata(path)?))
    }

    /// Of the entry itself: a link is not followed. None where it does not exist.
    pub fn of_entry(path: &Path) -> io::Result<Option<Identity>> {
        match fs::symlink_metadata(path) {
            Ok(metadata) => Ok(Some(Identity::of(&metadata))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Of what `metadata` describes.
    pub fn of(metadata: &Metadata) -> Identity {
        let created = metadata.created().ok();
        let since_1970 = created.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Identity {
            device: metadata.dev(),
            inode: metadata.ino(),
            created: since_1970.and_then(|time| u64::try_from(time.as_nanos()).ok()),
        }
    }

    /// The inode, and the time of creation or else the device, for the name of a file.
    pub fn parts(&self) -> (u64, u64) {
        (self.inode, self.created.unwrap_or(self.device))
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Identity) -> bool {
        self.inode == other.inode
            && match (self.created, other.created) {
                (Some(one), Some(another)) => one == another,
                _ => self.device == other.device,
            }
    }
}

impl Eq for Identity {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renamed_directory_is_the_same_and_a_new_one_of_its_name_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (live, kept) = (dir.path().join("system"), dir.path().join("system_"));
        fs::create_dir(&live).unwrap();
        let before = Identity::of_directory(&live).unwrap();
        fs::rename(&live, &kept).unwrap();
        fs::create_dir(&live).unwrap();
        assert_eq!(Identity::of_directory(&kept).unwrap(), before);
        assert_ne!(Identity::of_directory(&live).unwrap(), before);
        std::os::unix::fs::symlink(&kept, dir.path().join("link")).unwrap();
        let link = dir.path().join("link");
        assert_eq!(Identity::of_directory(&link).unwrap(), before);
        assert_ne!(Identity::of_entry(&link).unwrap(), Some(before));
        assert_eq!(Identity::of_entry(&dir.path().join("x")).unwrap(), None);
    }

    #[test]
    fn another_device_number_after_a_reboot_changes_nothing() {
        let identity = |device, created| Identity {
            device,
            inode: 7,
            created,
        };
        assert_eq!(identity(1, Some(5)), identity(2, Some(5)));
        assert_ne!(identity(1, Some(5)), identity(1, Some(6)));
        assert_eq!(identity(1, None), identity(1, Some(6)));
        assert_ne!(identity(1, None), identity(2, None));
    }
}
