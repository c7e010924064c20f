//! A simulated outside for the engine: clock, executor, store, origin. Nothing in it is real time.

pub(crate) mod executor;
pub(crate) mod outside;
pub(crate) mod world;

use edge_worker::admission::{Admitted, ObjectKey, admit};
use edge_worker::engine::fills::Fills;
use edge_worker::engine::{Answer, Engine, Read};
use edge_worker::policy::conditional::Conditions;
use edge_worker::policy::fields::Fields;
use edge_worker::policy::freshness::{FreshnessRule, OriginCacheControl};
use edge_worker::policy::plan::Cause;
use edge_worker::settings::{RawSettings, Settings};
use outside::{SimOrigin, SimRuntime, SimStore, UnderWay};
use world::{SimBody, SimFound, World};

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
    Engine {
        store: SimStore(world.clone()),
        origin: SimOrigin(world.clone()),
        runtime: SimRuntime {
            world: world.clone(),
            under_way: UnderWay::default(),
        },
        fills: Fills::default(),
        rule,
    }
}

thread_local! {
    static SETTINGS: Settings = {
        let raw = RawSettings::collect(|name| {
            (name == "ORIGIN_URL").then(|| "http://127.0.0.1:1/media".to_owned())
        });
        Settings::parse(&raw).expect("the settings are valid")
    };
}

/// The key of a path.
pub(crate) fn key(path: &str) -> ObjectKey {
    match SETTINGS.with(|settings| admit("GET", path, false, settings)) {
        Ok(Admitted::Read { key, .. }) => key,
        other => panic!("`{path}` is not admitted: {other:?}"),
    }
}

/// What a reader asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    pub(crate) range: Option<String>,
    pub(crate) if_range: Option<String>,
    pub(crate) if_none_match: Option<String>,
}

/// What a reader was sent, body and all.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) status: u16,
    pub(crate) fields: Fields,
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
        self.fields.get("x-cache-status").unwrap_or_default()
    }
}

/// Reads through the engine as a client does, to the last byte.
pub(crate) async fn read(engine: &SimEngine, path: &str, ask: &Ask) -> Result<Sent, Cause> {
    let key = key(path);
    let read = Read {
        key: &key,
        path,
        range: ask.range.as_deref(),
        if_range: ask.if_range.as_deref(),
        conditions: Conditions {
            if_none_match: ask.if_none_match.as_deref(),
            ..Conditions::default()
        },
    };
    let answer = engine.read(read).await?;
    let answered_at = engine.runtime.world.executor.now();
    let (status, fields, body, from_store) = parts(answer);
    let body = match body {
        Some(body) => body.read().await.map_err(|_| ()),
        None => Ok(Vec::new()),
    };
    Ok(Sent {
        status,
        fields,
        body,
        answered_at,
        from_store,
    })
}

/// What `respond.rs` does in the worker.
fn parts(answer: Answer<SimFound, SimBody>) -> (u16, Fields, Option<SimBody>, bool) {
    use edge_worker::engine::Found;
    match answer {
        Answer::Stored(found, cache) => {
            let (status, mut fields) = (found.status(), found.fields());
            fields.set("X-Cache-Status", cache.as_str());
            (status, fields, Some(found.into_body()), true)
        }
        Answer::NotModified(found, cache) => {
            let mut fields = edge_worker::policy::headers::for_not_modified(&found.fields());
            fields.set("X-Cache-Status", cache.as_str());
            (304, fields, None, false)
        }
        Answer::Made {
            status,
            fields,
            body,
        } => (status, fields, body, false),
    }
}
