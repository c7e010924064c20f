//! Who owns the media, and where they are.

use std::fmt;

use serde::Serialize;

use crate::config::Target;

/// Who writes and deletes media at this moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// Mastodon keeps its media in the directory, which is the source of truth.
    Disk,
    /// Mastodon keeps its media in a bucket: the directory is a stale copy.
    Bucket,
    /// It cannot be determined; the reason, one sentence without a full stop.
    Unknown(String),
}

/// Where Mastodon keeps its media when they are in a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Storage {
    /// Bucket name in lower case: the service compares names without case.
    pub bucket: String,
    /// What comes before every key: empty, or ending in `/`.
    pub key_prefix: String,
    /// Host of `S3_ENDPOINT` in lower case, with its port if it has one; Amazon's where not set.
    pub endpoint: String,
}

/// The settings that the running processes have, compared with those that were read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Running {
    /// No process was found and no instance answered; the reason.
    NotObserved(String),
    /// It uses media of this owner.
    Uses(Owner),
    /// A process has older settings; which one, and how it is known.
    NotRestarted(String),
    /// It runs, and its settings cannot be determined; the reason.
    Unknown(String),
}

/// `ENDPOINT/BUCKET/PREFIX`.
impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.endpoint, self.bucket, self.key_prefix)
    }
}

impl Storage {
    /// Whether it is the same bucket at the same service, whatever the prefix.
    pub fn is_bucket_of(&self, target: &Target) -> bool {
        // Amazon has many endpoints, and one bucket of a name.
        let both_amazon = is_amazon(&self.endpoint) && is_amazon(target.endpoint.authority());
        self.bucket.eq_ignore_ascii_case(&target.bucket)
            && (both_amazon || self.endpoint == target.endpoint.authority())
    }
}

fn is_amazon(host: &str) -> bool {
    host.ends_with(".amazonaws.com")
}
