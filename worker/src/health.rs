//! How the worker is, for whoever watches over it: nothing secret, and nothing that a stranger could
//! make the bucket work with.

use crate::admission::ObjectKey;
use crate::engine::Origin;
use crate::settings::CacheMode;
use crate::site::{FaultyVariables, Site};
use crate::{respond, runtime};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use worker::Context;
use worker::web_sys::Response;

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
    /// `reachable`, `unreachable`, or `unknown` where this isolate has not asked it yet.
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
    let last = site.bucket.last_answer();
    let health = Health {
        version: env!("CARGO_PKG_VERSION"),
        settings: "valid",
        faults: &[],
        cache: Some(match site.cache_mode(context).await {
            CacheMode::Engine => "engine",
            CacheMode::Platform => "platform",
        }),
        bucket: match last.map(|last| last.is_well) {
            Some(true) => "reachable",
            Some(false) => "unreachable",
            None => "unknown",
        },
        asked_seconds_ago: last.map(|last| runtime::now().0.saturating_sub(last.at.0) / 1000),
    };
    let status = match last {
        Some(last) if !last.is_well => StatusCode::SERVICE_UNAVAILABLE,
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
