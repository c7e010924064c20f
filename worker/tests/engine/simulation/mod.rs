//! The engine's traits over a simulated clock, executor, store and origin. No test waits in real time.

pub(crate) mod executor;
pub(crate) mod traits;
pub(crate) mod world;

use edge_worker::admission::ObjectKey;
use edge_worker::engine::lock::Locks;
use edge_worker::engine::purges::Purges;
use edge_worker::engine::{Answer, Engine, Found, Read};
use edge_worker::policy::freshness::{FreshnessRule, OriginCacheControl};
use edge_worker::policy::headers::{X_CACHE_STATUS, for_not_modified, text};
use edge_worker::policy::origin_error::OriginError;
use http::header::{IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, StatusCode};
use std::rc::Rc;
use traits::{SimOrigin, SimRuntime, SimStore, UnderWay};
use world::{SimBody, SimFound, World, value};

/// The engine over the simulated world.
pub(crate) type SimEngine = Engine<SimStore, SimOrigin, SimRuntime>;

/// Short windows, so that schedules cross them often.
pub(crate) const RULE: FreshnessRule = FreshnessRule {
    fresh_seconds: 100,
    stale_seconds: 1_000,
    negative_seconds: 0,
    origin: OriginCacheControl::Ignore,
};

/// An engine of one isolate over `world`.
pub(crate) fn engine(world: &World, rule: FreshnessRule) -> SimEngine {
    let under_way = UnderWay::default();
    Engine {
        store: SimStore(world.clone()),
        origin: SimOrigin {
            world: world.clone(),
            under_way: under_way.clone(),
        },
        runtime: SimRuntime {
            world: world.clone(),
            under_way,
        },
        locks: Locks::default(),
        purges: Purges::default(),
        rule,
    }
}

/// The headers of a reader's request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) head: bool,
    pub(crate) range: Option<String>,
    pub(crate) if_range: Option<String>,
    pub(crate) if_none_match: Option<String>,
}

/// What a reader has received.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// `Err` where the transfer broke off.
    pub(crate) body: Result<Vec<u8>, ()>,
    /// When the headers arrived, in milliseconds since the epoch.
    pub(crate) answered_at: u64,
    /// Whether it came from the store.
    pub(crate) from_store: bool,
}

impl Response {
    /// `X-Cache-Status`; empty where there is none.
    pub(crate) fn cache_status(&self) -> &str {
        text(&self.headers, X_CACHE_STATUS).unwrap_or_default()
    }
}

/// Reads through the engine to the last byte.
pub(crate) async fn read(
    engine: &SimEngine,
    path: &str,
    request: &Request,
) -> Result<Response, OriginError> {
    let headers = [
        (RANGE, &request.range),
        (IF_RANGE, &request.if_range),
        (IF_NONE_MATCH, &request.if_none_match),
    ];
    let read = Rc::new(Read {
        key: ObjectKey::from_s3_path(path).expect("the path of a key"),
        cache_key: path.to_owned(),
        head: request.head,
        headers: headers
            .into_iter()
            .filter_map(|(name, text)| Some((name, value(text.as_ref()?))))
            .collect(),
    });
    let answer = engine.read(&read).await?;
    let answered_at = engine.runtime.world.executor.now();
    let (status, headers, body, from_store) = parts(answer);
    let body = match body.filter(|_| !request.head) {
        Some(body) => body.read().await,
        None => Ok(Vec::new()),
    };
    Ok(Response {
        status: status.as_u16(),
        headers,
        body,
        answered_at,
        from_store,
    })
}

/// As `respond.rs` does it.
fn parts(answer: Answer<SimFound>) -> (StatusCode, HeaderMap, Option<SimBody>, bool) {
    match answer {
        Answer::Stored(copy, cache_status) => {
            let status = copy.found.status();
            let (mut headers, body) = copy.found.into_parts();
            headers.insert(
                X_CACHE_STATUS,
                HeaderValue::from_static(cache_status.as_str()),
            );
            (status, headers, body, true)
        }
        Answer::NotModified(copy, cache_status) => {
            let (headers, _) = copy.found.into_parts();
            let mut headers = for_not_modified(headers);
            headers.insert(
                X_CACHE_STATUS,
                HeaderValue::from_static(cache_status.as_str()),
            );
            (StatusCode::NOT_MODIFIED, headers, None, false)
        }
        Answer::FromParts {
            status,
            headers,
            body,
        } => (status, headers, body, false),
    }
}
