//! Why an entry of the tree is skipped.

use std::fmt;

use rustix::fs::FileType;
use serde::Serialize;

/// Why an entry is skipped. Each variant is one line of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// A symbolic link to a file.
    Symlink,
    /// A symbolic link to a directory, or to nothing. It was not followed.
    LinkedDirectory,
    /// A socket.
    Socket,
    /// A named pipe.
    Fifo,
    /// A block or character device.
    Device,
    /// The name is not UTF-8, so it cannot be a key.
    NotUtf8,
    /// The name has a control character, which the service or the edge refuses.
    ControlCharacter,
    /// The key would be longer than 1,024 bytes.
    KeyTooLong,
    /// A part of the name, between two `/`, is longer than 250 bytes, which the service refuses.
    PartTooLong,
    /// The file is larger than 10 TB, which the service refuses.
    TooLarge,
    /// The file cannot be opened or read.
    Unreadable,
    /// The directory cannot be listed; nothing below it was seen.
    UnreadableDirectory,
    /// It changed during every attempt.
    Changing,
    /// It was deleted after the walk found it.
    Vanished,
    /// A list of files names it, and it does not exist.
    Missing,
}

impl SkipReason {
    /// The reason as text.
    pub fn description(self) -> &'static str {
        match self {
            SkipReason::Symlink => "a symbolic link",
            SkipReason::LinkedDirectory => {
                "a symbolic link, not followed: add `--follow-links`, or put a bind mount in its place"
            }
            SkipReason::Socket => "a socket",
            SkipReason::Fifo => "a named pipe",
            SkipReason::Device => "a device",
            SkipReason::NotUtf8 => "the name is not UTF-8",
            SkipReason::ControlCharacter => "the name has a control character",
            SkipReason::KeyTooLong => "the key would be longer than 1,024 bytes",
            SkipReason::PartTooLong => "a part of the name is longer than 250 bytes",
            SkipReason::TooLarge => "the file is larger than 10 TB",
            SkipReason::Unreadable => "cannot be read",
            SkipReason::UnreadableDirectory => "the directory cannot be listed",
            SkipReason::Changing => "kept changing while it was read",
            SkipReason::Vanished => "was deleted before it was read",
            SkipReason::Missing => "does not exist",
        }
    }

    /// Whether the entry is a directory, with files below it that were not found.
    pub(super) fn is_of_a_directory(self) -> bool {
        matches!(
            self,
            SkipReason::LinkedDirectory | SkipReason::UnreadableDirectory
        )
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.description())
    }
}

/// An entry that is skipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Its path; bytes that are not UTF-8 are shown as `\u{FFFD}`. Ends in `/` where a directory is
    /// skipped, for whatever reason.
    pub path: String,
    /// Why.
    pub reason: SkipReason,
    /// The system's error, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Skipped {
    /// Whether it is a directory, below which there may be files that were not found.
    pub fn is_directory(&self) -> bool {
        self.path.ends_with('/')
    }
}

/// The reason for an entry that is neither file nor directory.
pub(super) fn special(kind: FileType) -> SkipReason {
    match kind {
        FileType::Socket => SkipReason::Socket,
        FileType::Fifo => SkipReason::Fifo,
        FileType::Symlink => SkipReason::Symlink,
        _ => SkipReason::Device,
    }
}
