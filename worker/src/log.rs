//! What the operator is told, one JSON line for each thing worth knowing. Nothing for a hit, and
//! never a secret.

use crate::admission::ObjectKey;
use crate::policy::origin_error::OriginError;
use serde::Serialize;
use worker::{console_error, console_log, console_warn};

/// A line of the log.
#[derive(Debug, Default, Serialize)]
struct Line<'a> {
    event: &'a str,
    /// What it is about: an object's key, a cache key or a cache tag.
    subject: &'a str,
    /// Why, by a name of [`OriginError`] or in the runtime's words.
    reason: &'a str,
    /// The bucket's status, where it says more than the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// Whether a stale copy was served instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    covered: Option<bool>,
}

/// The origin has not given an object. A missing one is no failure. Whether a stale copy covers for it
/// is not known (`None`) where another cache decides that.
pub fn origin_failed(key: &ObjectKey, error: OriginError, covered: Option<bool>) {
    if matches!(error, OriginError::Missing { .. }) {
        return;
    }
    let line = Line {
        status: error.status(),
        covered,
        ..Line::of("origin_failed", key.as_str(), error.name())
    };
    let text = line.encode();
    if covered == Some(true) {
        console_warn!("{text}");
    } else {
        console_error!("{text}");
    }
}

/// The host behind the bucket has not said whether it has the object. The line that follows about
/// the origin is of the same fault.
pub fn fallback_failed(key: &ObjectKey, error: OriginError) {
    let line = Line {
        status: error.status(),
        ..Line::of("fallback_failed", key.as_str(), error.name())
    };
    console_error!("{}", line.encode());
}

/// The Cache API has refused an answer.
pub fn store_failed(cache_key: &str, reason: &str) {
    failed("store_failed", cache_key, reason);
}

/// The settings want the platform's cache, and there is none: the engine stands in.
pub fn platform_cache_absent(reason: &str) {
    let line = Line::of("platform_cache_absent", "", reason);
    console_warn!("{}", line.encode());
}

/// The platform's cache has served a stale copy, since the media entry could not answer. The line of
/// that one says why.
pub fn stale_served(key: &ObjectKey) {
    let line = Line::of("stale_served", key.as_str(), "origin_failed");
    console_warn!("{}", line.encode());
}

/// A purge was carried out: of an object, of so many tags at once, or of everything.
pub fn purged(subject: &str) {
    console_log!("{}", Line::of("purged", subject, "asked_for").encode());
}

/// The media entry cannot be reached.
pub fn media_failed(path: &str, reason: &str) {
    failed("media_failed", path, reason);
}

/// A purge was not carried out.
pub fn purge_failed(subject: &str, reason: &str) {
    failed("purge_failed", subject, reason);
}

/// A message in the queue is no purge. It ends in the queue of those that failed too often.
pub fn message_refused(queue: &str, reason: &str) {
    failed("message_refused", queue, reason);
}

/// A setting that cannot be used. `problem` is read after the variable's name.
pub fn settings_refused(variable: &str, problem: &str) {
    failed("settings_refused", variable, problem);
}

fn failed(event: &str, subject: &str, reason: &str) {
    console_error!("{}", Line::of(event, subject, reason).encode());
}

impl<'a> Line<'a> {
    fn of(event: &'a str, subject: &'a str, reason: &'a str) -> Self {
        Self {
            event,
            subject,
            reason,
            ..Self::default()
        }
    }

    fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
