//! What is joined, and what comes of it.

use std::ffi::OsString;

use crate::filter::Filter;
use crate::journal::Recorded;
use crate::s3::Listed;
use crate::tree::{self, Entry};

/// One path and what each side knows of it; at least one does.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Path below the media directory: the key without the target's prefix.
    pub path: String,
    /// What is on disk.
    pub local: Option<Entry>,
    /// What is in the bucket.
    pub object: Option<Listed>,
    /// What the journal says.
    pub known: Option<Recorded>,
}

/// What is joined.
#[derive(Clone, Debug)]
pub struct Options {
    /// The media directory, and how it is walked.
    pub tree: tree::Options,
    /// Paths to look at instead of all of it; then only these come.
    pub files_from: Option<Vec<OsString>>,
    /// Which paths come at all.
    pub filter: Filter,
    /// Hold the listing in memory and sort it: the service does not list in key order.
    pub sort_listing: bool,
}
