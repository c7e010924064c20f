//! The options of one run of `sync`.

use super::ownership::{Ownership, OwnershipCheck};
use crate::decide::DecisionOptions;
use crate::pairs::JoinOptions;
use crate::upload::MultipartOptions;

/// What to do, and how.
#[derive(Clone, Debug)]
pub struct SyncOptions {
    /// Which paths, and how they are walked.
    pub join: JoinOptions,
    /// Who owns the media.
    pub ownership: Ownership,
    /// How that is determined again.
    pub ownership_check: OwnershipCheck,
    /// Options of the decisions.
    pub decision: DecisionOptions,
    /// Change nothing.
    pub dry_run: bool,
    /// Delete nothing where more than this many objects would be deleted. `None`: a thousand, and a tenth
    /// of all objects.
    pub max_deletions: Option<u64>,
    /// Uploads at once, at most.
    pub concurrency: usize,
    /// Requests a second, at most.
    pub max_rate: Option<f64>,
    /// Bytes a second, at most.
    pub bandwidth: Option<f64>,
    /// When a file is sent in parts.
    pub multipart: MultipartOptions,
}
