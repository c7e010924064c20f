//! The lifecycle and CORS rules of a bucket for media.

use crate::b2::{Bucket, CorsRule, LifecycleRule};

/// Days for which a replaced or deleted file is kept, hidden and billed, and can be restored.
pub(super) const HIDDEN_DAYS: u32 = 30;

pub(super) fn lifecycle() -> LifecycleRule {
    LifecycleRule {
        file_name_prefix: String::new(),
        days_from_hiding_to_deleting: Some(HIDDEN_DAYS),
        days_from_uploading_to_hiding: None,
        days_from_starting_to_canceling_unfinished_large_files: Some(7),
    }
}

/// For a public bucket that is read without the worker, which sends CORS headers itself.
pub(super) fn cors() -> CorsRule {
    CorsRule {
        cors_rule_name: "mastodonMedia".to_owned(),
        allowed_origins: vec!["*".to_owned()],
        allowed_operations: ["b2_download_file_by_name", "s3_get", "s3_head"]
            .map(str::to_owned)
            .to_vec(),
        allowed_headers: Some(vec!["range".to_owned()]),
        expose_headers: None,
        max_age_seconds: 3600,
    }
}

pub(super) fn has_lifecycle(bucket: &Bucket) -> bool {
    bucket
        .lifecycle_rules
        .iter()
        .any(|rule| rule.file_name_prefix.is_empty() && rule.days_from_hiding_to_deleting.is_some())
}
