//! The health document: nothing in it is secret, and no stranger can make it cost the bucket anything.

use crate::admission::ObjectKey;
use crate::engine::Origin;
use crate::origin::LastAnswer;
use crate::settings::CacheMode;
use crate::site::{FaultyVariables, Site};
use crate::{respond, runtime};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use worker::Context;
use worker::web_sys::Response;

/// For how long the bucket's last answer says something about the present, in seconds.
const RECENT_SECONDS: u64 = 300;

/// The document at [`crate::admission::HEALTH`].
#[derive(Debug, Serialize)]
struct Health<'a> {
    version: &'static str,
    /// `valid`, or `faulty`: then every other request is answered 500.
    settings: &'static str,
    /// The names of the variables at fault. The log says what is wrong with each.
    faults: &'a [&'static str],
    /// Who caches: `platform` or `engine`.
    cache: Option<&'static str>,
    /// `reachable`, `unreachable`, or `unknown` where this isolate has not asked it lately.
    bucket: &'static str,
    /// How long ago it was asked, in seconds.
    asked_seconds_ago: Option<u64>,
}

/// Tells how a worker is whose settings are valid: 200, or 503 where the bucket did not answer the last
/// time. It is asked, for an object that it lacks, for those alone who bring the purge secret.
pub async fn respond(
    site: &Site,
    context: &Context,
    is_allowed: bool,
    probe: &ObjectKey,
    head: bool,
) -> Response {
    if is_allowed {
        // What it comes to is noted, good or bad.
        _ = site.bucket.fetch(probe, &HeaderMap::new()).await;
    }
    let now = runtime::now();
    let is_recent = |last: &LastAnswer| now < last.at.plus_seconds(RECENT_SECONDS);
    let last = site.bucket.last_answer().filter(is_recent);
    let health = Health {
        version: env!("CARGO_PKG_VERSION"),
        settings: "valid",
        faults: &[],
        cache: Some(match site.cache_mode(context).await {
            CacheMode::Engine => "engine",
            CacheMode::Platform => "platform",
        }),
        bucket: match last.map(|last| last.could_be_read) {
            Some(true) => "reachable",
            Some(false) => "unreachable",
            None => "unknown",
        },
        asked_seconds_ago: last.map(|last| now.0.saturating_sub(last.at.0) / 1000),
    };
    let status = match last {
        Some(last) if !last.could_be_read => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    answer(status, &health, head)
}

/// Tells that a worker's settings are faulty.
#[must_use]
pub fn respond_faulty(faults: &FaultyVariables, head: bool) -> Response {
    let health = Health {
        version: env!("CARGO_PKG_VERSION"),
        settings: "faulty",
        faults,
        cache: None,
        bucket: "unknown",
        asked_seconds_ago: None,
    };
    answer(StatusCode::SERVICE_UNAVAILABLE, &health, head)
}

fn answer(status: StatusCode, health: &Health<'_>, head: bool) -> Response {
    let text = serde_json::to_string(health).unwrap_or_default();
    respond::json(status, &text, head)
}
