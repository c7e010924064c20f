//! What the operator is told, one JSON line for each thing worth knowing. Nothing for a hit, and
//! never a secret.

use crate::admission::ObjectKey;
use crate::policy::origin_error::OriginError;
use serde::Serialize;
use worker::{console_error, console_warn};

/// A line of the log.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event<'a> {
    /// The origin has not given an object.
    OriginFailed {
        key: &'a str,
        #[serde(flatten)]
        error: OriginError,
        /// Whether a stale copy was served instead.
        covered: bool,
    },
    /// The Cache API has refused an answer.
    StoreFailed { cache_key: &'a str, reason: String },
    /// The media entry cannot be reached.
    MediaFailed { path: &'a str, reason: String },
    /// A purge was not carried out.
    PurgeFailed { key: &'a str, reason: &'a str },
    /// A message in the queue is no purge; it is dropped.
    MessageDropped { reason: String },
}

/// The origin has not given an object. A missing one is no failure.
pub fn origin_failed(key: &ObjectKey, error: OriginError, covered: bool) {
    if matches!(error, OriginError::Missing { .. }) {
        return;
    }
    let key = key.as_str();
    let text = line(&Event::OriginFailed {
        key,
        error,
        covered,
    });
    if covered {
        console_warn!("{text}");
    } else {
        console_error!("{text}");
    }
}

/// The Cache API has refused an answer.
pub fn store_failed(cache_key: &str, error: &worker::Error) {
    let reason = error.to_string();
    console_warn!("{}", line(&Event::StoreFailed { cache_key, reason }));
}

/// The media entry cannot be reached.
pub fn media_failed(path: &str, reason: String) {
    console_error!("{}", line(&Event::MediaFailed { path, reason }));
}

/// A purge was not carried out.
pub fn purge_failed(key: &str, reason: &str) {
    console_error!("{}", line(&Event::PurgeFailed { key, reason }));
}

/// A message in the queue is no purge.
pub fn message_dropped(reason: String) {
    console_error!("{}", line(&Event::MessageDropped { reason }));
}

/// The settings cannot be used: every fault, a line each.
pub fn settings_refused(faults: &str) {
    console_error!("{faults}");
}

fn line(event: &Event<'_>) -> String {
    serde_json::to_string(event).unwrap_or_default()
}
