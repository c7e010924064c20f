//! A simulated outside for the engine: clock, executor, store, origin. Nothing in it is real time.

pub(crate) mod executor;
pub(crate) mod outside;
pub(crate) mod world;

use edge_worker::admission::{Admitted, Asked, ObjectKey, admit};
use edge_worker::engine::lock::Locks;
use edge_worker::engine::purges::Purges;
use edge_worker::engine::{Answer, Engine, Found, Read};
use edge_worker::policy::freshness::{FreshnessRule, OriginCacheControl};
use edge_worker::policy::headers::{X_CACHE_STATUS, for_not_modified, text};
use edge_worker::policy::origin_error::OriginError;
use edge_worker::settings::{RawSettings, Settings};
use http::header::{IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use outside::{SimOrigin, SimRuntime, SimStore, UnderWay};
use std::rc::Rc;
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

thread_local! {
    static SETTINGS: Settings = {
        let raw = serde_json::json!({ "ORIGIN_URL": "http://127.0.0.1:1/media" });
        let raw: RawSettings = serde_json::from_value(raw).expect("names and texts");
        Settings::parse(&raw).expect("the settings are valid")
    };
}

/// The key of a path.
pub(crate) fn key(path: &str) -> ObjectKey {
    let asked = Asked {
        method: Some(&Method::GET),
        target: path,
        has_purge_header: false,
        is_preflight: false,
    };
    match SETTINGS.with(|settings| admit(&asked, settings)) {
        Ok(Admitted::Read { key, .. }) => key,
        other => panic!("`{path}` is not admitted: {other:?}"),
    }
}

/// What a reader asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    pub(crate) head: bool,
    pub(crate) range: Option<String>,
    pub(crate) if_range: Option<String>,
    pub(crate) if_none_match: Option<String>,
}

/// What a reader was sent, body and all.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// `Err` where the transfer broke off.
    pub(crate) body: Result<Vec<u8>, ()>,
    /// When the headers were there, in milliseconds since the epoch.
    pub(crate) answered_at: u64,
    /// It came out of the store.
    pub(crate) from_store: bool,
}

impl Sent {
    /// The word in `X-Cache-Status`; empty where there is none.
    pub(crate) fn cache_status(&self) -> &str {
        text(&self.headers, X_CACHE_STATUS).unwrap_or_default()
    }
}

/// Reads through the engine as a client does, to the last byte.
pub(crate) async fn read(engine: &SimEngine, path: &str, ask: &Ask) -> Result<Sent, OriginError> {
    let asked = [
        (RANGE, &ask.range),
        (IF_RANGE, &ask.if_range),
        (IF_NONE_MATCH, &ask.if_none_match),
    ];
    let read = Rc::new(Read {
        key: key(path),
        cache_key: path.to_owned(),
        head: ask.head,
        headers: asked
            .into_iter()
            .filter_map(|(name, text)| Some((name, value(text.as_ref()?))))
            .collect(),
    });
    let answer = engine.read(&read).await?;
    let answered_at = engine.runtime.world.executor.now();
    let (status, headers, body, from_store) = parts(answer);
    let body = match body.filter(|_| !ask.head) {
        Some(body) => body.read().await,
        None => Ok(Vec::new()),
    };
    Ok(Sent {
        status: status.as_u16(),
        headers,
        body,
        answered_at,
        from_store,
    })
}

/// What `respond.rs` does in the worker.
fn parts(answer: Answer<SimFound>) -> (StatusCode, HeaderMap, Option<SimBody>, bool) {
    match answer {
        Answer::Stored(copy, cache) => {
            let status = copy.found.status();
            let (mut headers, body) = copy.found.into_parts();
            headers.insert(X_CACHE_STATUS, HeaderValue::from_static(cache.as_str()));
            (status, headers, body, true)
        }
        Answer::NotModified(copy, cache) => {
            let (headers, _) = copy.found.into_parts();
            let mut headers = for_not_modified(headers);
            headers.insert(X_CACHE_STATUS, HeaderValue::from_static(cache.as_str()));
            (StatusCode::NOT_MODIFIED, headers, None, false)
        }
        Answer::Made {
            status,
            headers,
            body,
        } => (status, headers, body, false),
    }
}
