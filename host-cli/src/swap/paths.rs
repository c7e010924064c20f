//! The paths beside a media directory, and the lock on them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::error::{Error, Result};

/// The media directory and the paths beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaPaths {
    /// The directory of both: `/home/mastodon/live/public`.
    pub parent: PathBuf,
    /// `system`.
    pub name: String,
}

/// The lock: until it is dropped, no other run moves the directories or deletes from them.
#[derive(Debug)]
pub struct Lock {
    _directory: File,
}

impl MediaPaths {
    /// The paths of `media_dir`, which need not exist.
    pub fn of(media_dir: &Path) -> Result<MediaPaths> {
        let operation = || format!("use `{}` as the media directory", media_dir.display());
        let absolute =
            std::path::absolute(media_dir).map_err(|e| Error::usage(operation()).cause(e))?;
        let name = absolute.file_name().and_then(|name| name.to_str());
        let (Some(parent), Some(name)) = (absolute.parent(), name) else {
            return Err(Error::usage(operation())
                .cause("it does not end in a directory name in UTF-8")
                .hint("give the path of Mastodon's media directory, e.g. `/home/mastodon/live/public/system`"));
        };
        let parent = fs::canonicalize(parent).map_err(|e| {
            Error::usage(operation())
                .cause(e)
                .hint("check the path, and that you may enter the directories above it")
        })?;
        Ok(MediaPaths {
            parent,
            name: name.to_owned(),
        })
    }

    /// The directory that Mastodon uses: `system`.
    pub fn live(&self) -> PathBuf {
        self.parent.join(&self.name)
    }

    /// The media after a cutover: `system_`.
    pub fn kept(&self) -> PathBuf {
        kept_path(&self.live())
    }

    /// The empty directory, while two names are exchanged by three renames.
    pub fn staging(&self) -> PathBuf {
        self.parent.join(format!(".{}.medialift-new", self.name))
    }

    /// The state file.
    pub fn state_path(&self) -> PathBuf {
        self.parent.join(format!(".{}.medialift.json", self.name))
    }

    pub(super) fn staged_state_path(&self) -> PathBuf {
        self.parent
            .join(format!(".{}.medialift.json.new", self.name))
    }

    /// Locks the paths for this run. The lock ends with its process at the latest.
    pub fn lock(&self) -> Result<Lock> {
        let operation = || format!("lock `{}`", self.live().display());
        let directory = File::open(&self.parent).map_err(|e| Error::new(operation()).cause(e))?;
        match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(Error::new(operation())
                    .cause("another medialift process is using it")
                    .hint("wait until that process has ended, then run the command again"));
            }
            Err(e) => return Err(Error::new(operation()).cause(io::Error::from(e))),
        }
        Ok(Lock {
            _directory: directory,
        })
    }

    /// Syncs renames in the parent directory to disk.
    pub fn sync(&self) -> io::Result<()> {
        File::open(&self.parent)?.sync_all()
    }
}

/// `system_` of `system`.
pub fn kept_path(media_dir: &Path) -> PathBuf {
    let mut name = media_dir.as_os_str().to_owned();
    name.push("_");
    PathBuf::from(name)
}
