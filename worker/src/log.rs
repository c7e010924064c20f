//! The log: one line of JSON for each fault and each purge, and none for an ordinary read. It has no secrets.

use crate::admission::ObjectKey;
use crate::policy::origin_error::OriginError;
use crate::policy::time::UnixMillis;
use serde::Serialize;
use std::cell::Cell;
use worker::{console_error, console_log, console_warn};

/// A line of the log.
#[derive(Debug, Default, Serialize)]
struct Line<'a> {
    event: &'a str,
    /// An object's key, a cache key, a cache tag, or the name of a variable or a queue.
    subject: &'a str,
    /// The name of an [`OriginError`], or the runtime's message.
    reason: &'a str,
    /// The bucket's status, where the reason does not imply it.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// Whether a stale copy was served instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    covered: Option<bool>,
}

/// The origin has not given an object. A missing object is no fault. `covered`: whether a stale copy is
/// served; `None` where the platform's cache decides that.
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

/// The fallback host has failed. The same fault has a line of [`origin_failed`] too.
pub fn fallback_failed(key: &ObjectKey, error: OriginError) {
    let line = Line {
        status: error.status(),
        ..Line::of("fallback_failed", key.as_str(), error.name())
    };
    console_error!("{}", line.encode());
}

/// The Cache API has not stored an answer.
pub fn store_failed(cache_key: &str, reason: &str) {
    failed("store_failed", cache_key, reason);
}

/// `CACHE_MODE` is `platform`, and the platform has no cache: the engine is used.
pub fn platform_cache_absent(reason: &str) {
    let line = Line::of("platform_cache_absent", "", reason);
    console_warn!("{}", line.encode());
}

/// The platform's cache has served a stale copy because the media entry reported a fault, which has a line of
/// its own. At most one line a second in an isolate: while the bucket is down, every read may be stale.
pub fn stale_served(key: &ObjectKey, now: UnixMillis) {
    thread_local! {
        static LAST: Cell<UnixMillis> = const { Cell::new(UnixMillis(0)) };
    }
    if now < LAST.get().plus_seconds(1) {
        return;
    }
    LAST.set(now);
    let line = Line::of("stale_served", key.as_str(), "origin_failed");
    console_warn!("{}", line.encode());
}

/// A purge was carried out: of an object, of several tags, or of everything.
pub fn purged(subject: &str) {
    console_log!("{}", Line::of("purged", subject, "asked_for").encode());
}

/// A call to the media entry has failed.
pub fn media_failed(path: &str, reason: &str) {
    failed("media_failed", path, reason);
}

/// A purge has failed.
pub fn purge_failed(subject: &str, reason: &str) {
    failed("purge_failed", subject, reason);
}

/// The queue has not taken a purge. It is tried again, then carried out without the queue.
pub fn queue_failed(queue: &str, reason: &str) {
    failed("queue_failed", queue, reason);
}

/// A message in the queue is not a purge. After the last retry it goes to the dead-letter queue.
pub fn message_refused(queue: &str, reason: &str) {
    failed("message_refused", queue, reason);
}

/// A setting is faulty. `problem` continues a sentence that begins with the variable's name.
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
