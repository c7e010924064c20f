//! What is joined, and the result of the join.

use std::ffi::OsString;

use crate::filter::Filter;
use crate::journal::Recorded;
use crate::s3::ListedObject;
use crate::tree::{self, LocalFile, TreeEntry};

/// One path with its local entry, its object and its record; at least one of them exists.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Path below the media directory: the key without the target's prefix.
    pub path: String,
    /// The entry of the media directory.
    pub local: Option<TreeEntry>,
    /// The object of the bucket.
    pub object: Option<ListedObject>,
    /// The journal's record.
    pub recorded: Option<Recorded>,
}

impl Pair {
    /// The local entry, where it is a file.
    pub fn file(&self) -> Option<&LocalFile> {
        match &self.local {
            Some(TreeEntry::File(file)) => Some(file),
            _ => None,
        }
    }

    /// Bytes of the local file; 0 where there is none.
    pub fn file_size(&self) -> u64 {
        self.file().map_or(0, |file| file.stamp.size)
    }
}

/// What is joined.
#[derive(Clone, Debug)]
pub struct JoinOptions {
    /// The media directory, and how it is walked.
    pub walk: tree::WalkOptions,
    /// Only these paths of it.
    pub files_from: Option<Vec<OsString>>,
    /// Which paths take part.
    pub filter: Filter,
    /// The service does not list in key order: hold the listing in memory and sort it.
    pub sort_listing: bool,
}
