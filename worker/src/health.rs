//! The health document. Nothing in it is secret, and without the purge secret it costs no request to the
//! bucket.

use crate::admission::ObjectKey;
use crate::engine::Origin;
use crate::isolate::{FaultyVariables, Isolate};
use crate::origin::LastAnswer;
use crate::settings::CacheMode;
use crate::{respond, runtime};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use worker::Context;
use worker::web_sys::Response;

/// For how long the bucket's last answer counts, in seconds.
const RECENT_SECONDS: u64 = 300;

/// The document at [`crate::admission::HEALTH_PATH`].
#[derive(Debug, Serialize)]
struct Health<'a> {
    version: &'static str,
    /// `valid`; or `faulty`, when every other request is answered 500.
    settings: &'static str,
    /// The names of the faulty variables. The log says what is wrong with each.
    faults: &'a [&'static str],
    /// The cache that is used: `platform` or `engine`.
    cache: Option<&'static str>,
    /// `reachable`, `unreachable`, or `unknown` where this isolate has not asked it in [`RECENT_SECONDS`].
    bucket: &'static str,
    /// How long ago it answered, in seconds.
    asked_seconds_ago: Option<u64>,
}

/// The document where the settings are valid: 200, or 503 where the bucket's last answer was a failure. With
/// `may_probe` the bucket is asked for the object `probe`, which need not exist.
pub async fn respond(
    isolate: &Isolate,
    context: &Context,
    may_probe: bool,
    probe: &ObjectKey,
    head: bool,
) -> Response {
    if may_probe {
        // `last_answer` has the result.
        _ = isolate.origin.fetch(probe, &HeaderMap::new()).await;
    }
    let now = runtime::now();
    let is_recent = |last: &LastAnswer| now < last.at.plus_seconds(RECENT_SECONDS);
    let last = isolate.origin.last_answer().filter(is_recent);
    let health = Health {
        version: env!("CARGO_PKG_VERSION"),
        settings: "valid",
        faults: &[],
        cache: Some(match isolate.cache_mode(context).await {
            CacheMode::Engine => "engine",
            CacheMode::Platform => "platform",
        }),
        bucket: match last.map(|last| last.is_healthy) {
            Some(true) => "reachable",
            Some(false) => "unreachable",
            None => "unknown",
        },
        asked_seconds_ago: last.map(|last| now.0.saturating_sub(last.at.0) / 1000),
    };
    let status = match last {
        Some(last) if !last.is_healthy => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    document(status, &health, head)
}

/// The document where settings are faulty: 503.
pub fn respond_faulty(faults: &FaultyVariables, head: bool) -> Response {
    let health = Health {
        version: env!("CARGO_PKG_VERSION"),
        settings: "faulty",
        faults,
        cache: None,
        bucket: "unknown",
        asked_seconds_ago: None,
    };
    document(StatusCode::SERVICE_UNAVAILABLE, &health, head)
}

fn document(status: StatusCode, health: &Health<'_>, head: bool) -> Response {
    let text = serde_json::to_string(health).unwrap_or_default();
    respond::json(status, &text, head)
}
