//! Why an entry of the tree is passed over.

use std::fmt;

use rustix::fs::FileType;
use serde::Serialize;

/// Why an entry is passed over. Each variant is one line of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// A symbolic link to a file.
    Symlink,
    /// A symbolic link to a directory, or to nothing: what is behind it was not looked at.
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
    /// It kept changing while it was read.
    Changing,
    /// It was there, and was gone when its turn came.
    Vanished,
    /// A list of files names it, and it is not there.
    Missing,
}

impl SkipReason {
    /// The reason in words, for after "skipped:".
    pub fn words(self) -> &'static str {
        match self {
            SkipReason::Symlink => "a symbolic link",
            SkipReason::LinkedDirectory => {
                "a symbolic link, and nothing behind it was looked at: `--follow-links` does, or put a bind mount in its place"
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
            SkipReason::Vanished => "vanished before its turn",
            SkipReason::Missing => "is not there",
        }
    }

    /// Whether it is of a directory, below which there may be files that were not seen.
    pub(super) fn is_of_a_directory(self) -> bool {
        matches!(
            self,
            SkipReason::LinkedDirectory | SkipReason::UnreadableDirectory
        )
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// An entry that is passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Its path; bytes that are not UTF-8 are shown as `\u{FFFD}`. Ends in `/` where a directory is
    /// passed over, for whatever reason.
    pub path: String,
    /// Why.
    pub reason: SkipReason,
    /// What the system said, where it said something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Skipped {
    /// Whether there may be files below that were not seen.
    pub fn hides_entries(&self) -> bool {
        self.path.ends_with('/')
    }
}

/// Names what is neither file nor directory nor link.
pub(super) fn special(kind: FileType) -> SkipReason {
    match kind {
        FileType::Socket => SkipReason::Socket,
        FileType::Fifo => SkipReason::Fifo,
        FileType::Symlink => SkipReason::Symlink,
        _ => SkipReason::Device,
    }
}
