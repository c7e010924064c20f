//! The file that a new key is written to: mode 0600, never overwriting another file.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::b2::CreatedKey;
use crate::config::{KEY, KEY_ID};
use crate::error::{Error, Result};

/// An empty file, created before the key.
#[derive(Debug)]
pub(super) struct KeyFile {
    file: File,
    path: PathBuf,
}

impl KeyFile {
    /// Creates `path`, which must not exist.
    pub(super) fn create(path: &Path) -> Result<KeyFile> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|e| {
                Error::usage(format!("create the key file `{}`", path.display()))
                    .cause(e)
                    .hint("name a file that does not exist, in a writable directory; no key was created")
            })?;
        Ok(KeyFile {
            file,
            path: path.to_owned(),
        })
    }

    /// Writes the key and syncs it to disk.
    pub(super) fn write(mut self, key: &CreatedKey) -> Result<()> {
        let text = format!(
            "{KEY_ID}={}\n{KEY}={}\n",
            key.application_key_id,
            key.application_key.expose()
        );
        self.file
            .write_all(text.as_bytes())
            .and_then(|()| self.file.sync_all())
            .map_err(|e| {
                Error::new(format!("write the key file `{}`", self.path.display()))
                    .cause(e)
                    .hint(format!("the key `{}` was created and is lost: free disk space, delete the key in Backblaze's console, and run the command again with `--another-key`", key.application_key_id))
            })
    }

    /// Removes the empty file, after no key was created.
    pub(super) fn discard(self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Whether the file at `path` contains the key with this id.
pub(super) fn contains_key(path: &Path, key_id: &str) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| {
        text.lines()
            .any(|line| line.strip_prefix(KEY_ID).and_then(|l| l.strip_prefix('=')) == Some(key_id))
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::Secret;

    #[test]
    fn only_the_owner_can_read_the_file_and_no_file_is_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let key = CreatedKey {
            application_key_id: "00161f959a5f87b0000000001".to_owned(),
            application_key: Secret::new("K001secret"),
        };
        KeyFile::create(&path).unwrap().write(&key).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(contains_key(&path, "00161f959a5f87b0000000001"));
        assert!(!contains_key(&path, "00161f959a5f87b000000000"));
        assert!(KeyFile::create(&path).is_err());
        assert!(contains_key(&path, "00161f959a5f87b0000000001"));
    }
}
