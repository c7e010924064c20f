//! What is joined, and the result of the join.

use std::ffi::OsString;

use crate::filter::Filter;
use crate::journal::Recorded;
use crate::s3::ListedObject;
use crate::tree::{self, TreeEntry};

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
    pub known: Option<Recorded>,
}

/// What is joined.
#[derive(Clone, Debug)]
pub struct JoinOptions {
    /// The media directory, and how it is walked.
    pub tree: tree::WalkOptions,
    /// Only these paths of it.
    pub files_from: Option<Vec<OsString>>,
    /// Which paths take part.
    pub filter: Filter,
    /// The service does not list in key order: hold the listing in memory and sort it.
    pub sort_listing: bool,
}
