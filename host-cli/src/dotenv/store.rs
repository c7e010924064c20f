//! A `.env` file on disk: read, backed up, replaced atomically.
//!
//! At any time, also after a crash, the file is either the old or the new one. Owner, group, mode and
//! extended attributes (including access lists) are those of the old file; its permissions are at no
//! time wider. A symbolic link is followed: its target is replaced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};
use rustix::fs::{Gid, Uid};
use time::OffsetDateTime;

use crate::attributes::copy_attributes;
use crate::error::{Error, Result};

/// A `.env` file that was read.
#[derive(Clone)]
pub struct EnvFile {
    /// The path that the user gave.
    pub given: PathBuf,
    /// The path with links resolved.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Permission bits, as in `0o640`.
    pub mode: u32,
}

/// Reads the file that `given` is or points to.
pub fn read(given: &Path) -> Result<EnvFile> {
    let operation = || format!("read the environment file `{}`", given.display());
    let hint = "give its path with `--env-file`, e.g. `/home/mastodon/live/.env.production`";
    let fail = |e: io::Error| Error::usage(operation()).cause(e).hint(hint);
    let path = fs::canonicalize(given).map_err(fail)?;
    let mut file = File::open(&path).map_err(fail)?;
    let metadata = file.metadata().map_err(fail)?;
    if !metadata.is_file() {
        return Err(Error::usage(operation())
            .cause("it is not a file")
            .hint(hint));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(fail)?;
    Ok(EnvFile {
        given: given.to_owned(),
        path,
        bytes,
        mode: metadata.permissions().mode() & 0o7777,
    })
}

/// Backups of `.env` files. They are in the state directory, since in Mastodon's directory `.gitignore`
/// would not exclude them.
#[derive(Clone, Debug)]
pub struct Backups {
    directory: PathBuf,
    now: OffsetDateTime,
}

/// A copy before a change, or before that change was undone.
#[derive(Clone, Copy)]
enum BackupKind {
    Before,
    Undone,
}

impl Backups {
    /// Backups in this state directory; `now` is the time of new ones.
    pub fn below(state_dir: &Path, now: OffsetDateTime) -> Backups {
        Backups {
            directory: state_dir.join("env"),
            now,
        }
    }

    /// The newest backup of the file at `path`.
    pub fn newest(&self, path: &Path) -> Option<PathBuf> {
        let prefix = name_prefix(path, BackupKind::Before);
        let entries = fs::read_dir(&self.directory).ok()?;
        entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                name.starts_with(&prefix) && !name.ends_with(WRITTEN)
            })
            .max()
    }

    /// Whether the file is still the one that was written when `backup` was made, or equals `backup`, as
    /// after a run that was killed before it wrote. None where the written content is not known.
    pub fn is_unedited(&self, stored: &EnvFile, backup: &Path) -> Option<bool> {
        let written = fs::read_to_string(written_path(backup)).ok()?;
        let unwritten = fs::read(backup).is_ok_and(|bytes| bytes == stored.bytes);
        Some(written == hash(&stored.bytes) || unwritten)
    }

    /// Writes a backup, then replaces the content of the file by `bytes`. Returns the path of the backup.
    ///
    /// # Errors
    /// Fails, and changes nothing, where the file was changed since it was read, or the new file cannot
    /// have the owner of the old one.
    pub fn replace(&self, stored: &EnvFile, bytes: &[u8]) -> Result<PathBuf> {
        self.replace_keeping(stored, bytes, BackupKind::Before)
    }

    /// Restores the newest backup and removes it from the backups. Returns the path of a copy of the file
    /// before that; none where there is no backup.
    pub fn undo(&self, stored: &EnvFile) -> Result<Option<PathBuf>> {
        let Some(backup) = self.newest(&stored.path) else {
            return Ok(None);
        };
        let operation = || format!("restore `{}`", backup.display());
        let bytes = fs::read(&backup).map_err(|e| Error::new(operation()).cause(e))?;
        let undone = self.replace_keeping(stored, &bytes, BackupKind::Undone)?;
        fs::remove_file(&backup).map_err(|e| Error::new(operation()).cause(e))?;
        let _ = fs::remove_file(written_path(&backup));
        Ok(Some(undone))
    }

    fn replace_keeping(&self, stored: &EnvFile, bytes: &[u8], kind: BackupKind) -> Result<PathBuf> {
        let path = &stored.path;
        let operation = || format!("replace `{}`", path.display());
        let fail = |e: io::Error| Error::new(operation()).cause(e);
        let old = File::open(path).map_err(fail)?;
        let parent = path.parent().unwrap_or(Path::new("/"));
        let name = path.file_name().unwrap_or_default().to_string_lossy();

        let backup = self.free_path(path, kind);
        let written = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)
            .and_then(|()| write_like(&old, &backup, &stored.bytes))
            .and_then(|()| match kind {
                BackupKind::Before => {
                    write_like(&old, &written_path(&backup), hash(bytes).as_bytes())
                }
                BackupKind::Undone => Ok(()),
            })
            .and_then(|()| sync_directory(&self.directory))
            .map_err(|e| write_error(format!("write the backup `{}`", backup.display()), e));
        let remove_backup = || {
            let _ = fs::remove_file(&backup);
            let _ = fs::remove_file(written_path(&backup));
        };
        if let Err(error) = written {
            remove_backup();
            return Err(error);
        }

        let staged = parent.join(format!(".{name}.medialift-{}", std::process::id()));
        let result = write_like(&old, &staged, bytes)
            .map_err(|e| write_error(operation(), e))
            .and_then(|()| {
                if fs::read(path).map_err(fail)? != stored.bytes {
                    return Err(Error::new(operation())
                        .cause("another process changed it in the meantime")
                        .hint("run the command again: it starts from the file as it is now"));
                }
                fs::rename(&staged, path).map_err(fail)?;
                sync_directory(parent).map_err(fail)
            });
        if result.is_err() {
            let _ = fs::remove_file(&staged);
            remove_backup();
        }
        result.map(|()| backup)
    }

    /// `.env.production.0123456789abcdef.before-20261122T233000Z`, with `-2` and so on if that exists.
    fn free_path(&self, path: &Path, kind: BackupKind) -> PathBuf {
        let now = self.now.to_offset(time::UtcOffset::UTC);
        let name = format!(
            "{}{:04}{:02}{:02}T{:02}{:02}{:02}Z",
            name_prefix(path, kind),
            now.year(),
            u8::from(now.month()),
            now.day(),
            now.hour(),
            now.minute(),
            now.second()
        );
        let first = self.directory.join(&name);
        if !first.exists() {
            return first;
        }
        (2..)
            .map(|n| self.directory.join(format!("{name}-{n}")))
            .find(|path| !path.exists())
            .unwrap_or(first)
    }
}

/// Suffix of the files with the hash of what was written when a backup was made.
const WRITTEN: &str = ".written";

/// The file with the hash of the content that replaced `backup`, to detect later edits.
fn written_path(backup: &Path) -> PathBuf {
    let mut name = backup.as_os_str().to_owned();
    name.push(WRITTEN);
    PathBuf::from(name)
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}

/// Prefix of the names of a file's backups. It contains a hash of the path, since two files may have the
/// same name.
fn name_prefix(path: &Path, kind: BackupKind) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let path_hash = hex::encode(Md5::digest(path.as_os_str().as_encoded_bytes()));
    let kind = match kind {
        BackupKind::Before => "before",
        BackupKind::Undone => "undone",
    };
    format!("{name}.{}.{kind}-", &path_hash[..16])
}

fn write_error(operation: String, cause: io::Error) -> Error {
    let denied = cause.kind() == io::ErrorKind::PermissionDenied;
    let error = Error::new(operation).cause(cause);
    if denied {
        error.hint("run the command as the file's owner, or as root")
    } else {
        error
    }
}

/// Creates `path` with `bytes` and the owner, mode and attributes of `model`, and syncs it to disk.
///
/// The mode is 0600 at first and that of the model at the end, so it is never wider than that.
fn write_like(model: &File, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let metadata = model.metadata()?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600 & metadata.mode())
        .open(path)?;
    file.write_all(bytes)?;
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (metadata.uid(), metadata.gid()) {
        rustix::fs::fchown(
            &file,
            Some(Uid::from_raw(metadata.uid())),
            Some(Gid::from_raw(metadata.gid())),
        )?;
    }
    // Before the mode: without the access list, the group bits of the mode, which are its mask, would apply
    // to the group.
    copy_attributes(model, &file)?;
    file.set_permissions(fs::Permissions::from_mode(metadata.mode() & 0o7777))?;
    file.sync_all()
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backups(dir: &Path) -> Backups {
        let now = OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000);
        Backups::below(&dir.join("state"), now)
    }

    #[test]
    fn mode_is_kept_and_the_backup_is_not_wider() {
        let dir = tempfile::tempdir().unwrap();
        for mode in [0o600, 0o640, 0o400, 0o644] {
            let path = dir.path().join(format!("env{mode:o}"));
            fs::write(&path, "A=b\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let backup = backups(dir.path())
                .replace(&read(&path).unwrap(), b"A=c\n")
                .unwrap();
            for (file, text) in [(&path, "A=c\n"), (&backup, "A=b\n")] {
                assert_eq!(fs::read_to_string(file).unwrap(), text);
                assert_eq!(fs::metadata(file).unwrap().mode() & 0o7777, mode);
            }
        }
        let state = fs::metadata(dir.path().join("state/env")).unwrap();
        assert_eq!(state.mode() & 0o7777, 0o700);
    }

    #[test]
    fn a_links_target_is_replaced_and_the_link_stays() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("shared")).unwrap();
        fs::write(dir.path().join("shared/env"), "A=b\n").unwrap();
        let link = dir.path().join("env");
        std::os::unix::fs::symlink("shared/env", &link).unwrap();
        backups(dir.path())
            .replace(&read(&link).unwrap(), b"A=c\n")
            .unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&link).unwrap(), "A=c\n");
        let beside = fs::read_dir(dir.path().join("shared")).unwrap().count();
        assert_eq!(beside, 1, "nothing is left beside the file");
    }

    #[test]
    fn a_file_that_was_changed_meanwhile_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("env");
        fs::write(&path, "A=b\n").unwrap();
        let stored = read(&path).unwrap();
        fs::write(&path, "A=theirs\n").unwrap();
        let error = backups(dir.path())
            .replace(&stored, b"A=ours\n")
            .unwrap_err();
        assert!(error.to_string().contains("another process"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "A=theirs\n");
        let leftovers: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .filter(|n| n.starts_with('.'))
            .collect();
        assert!(leftovers.is_empty(), "{leftovers:?}");
        assert_eq!(backups(dir.path()).newest(&path), None);
    }

    #[test]
    fn an_edit_after_a_change_is_detected_and_an_unwritten_change_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("env");
        fs::write(&path, "A=1\n").unwrap();
        let backups = backups(dir.path());
        let backup = backups.replace(&read(&path).unwrap(), b"A=2\n").unwrap();
        let check = |text: &str, expected: Option<bool>| {
            fs::write(&path, text).unwrap();
            let stored = read(&path).unwrap();
            assert_eq!(backups.is_unedited(&stored, &backup), expected, "{text}");
        };
        check("A=2\n", Some(true));
        check("A=2\n# by hand\n", Some(false));
        check("A=1\n", Some(true));
        fs::remove_file(written_path(&backup)).unwrap();
        check("A=2\n", None);
    }

    #[test]
    fn each_undo_restores_one_backup() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("env");
        let backups = backups(dir.path());
        fs::write(&path, "A=1\n").unwrap();
        // Two changes in the same second have two backups.
        for text in ["A=2\n", "A=3\n"] {
            backups
                .replace(&read(&path).unwrap(), text.as_bytes())
                .unwrap();
        }
        fs::write(dir.path().join("other"), "A=1\n").unwrap();
        let other = read(&dir.path().join("other")).unwrap();
        assert_eq!(backups.undo(&other).unwrap(), None);
        for (now, before) in [("A=3\n", "A=2\n"), ("A=2\n", "A=1\n")] {
            let undone = backups.undo(&read(&path).unwrap()).unwrap().unwrap();
            assert_eq!(fs::read_to_string(undone).unwrap(), now);
            assert_eq!(fs::read_to_string(&path).unwrap(), before);
        }
        assert_eq!(backups.undo(&read(&path).unwrap()).unwrap(), None);
    }
}
