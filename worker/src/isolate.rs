//! What one isolate keeps between requests: valid settings, which cache is used, the bucket's last answer, and
//! the tables of locks and purges. Also the names of an object in either cache.

use crate::admission::ObjectKey;
use crate::engine::Engine;
use crate::engine::lock::Locks;
use crate::engine::purges::Purges;
use crate::origin::BucketOrigin;
use crate::runtime::RequestRuntime;
use crate::settings::{CacheMode, Fault, RawSettings, Settings};
use crate::store::EdgeCache;
use crate::{analytics, log, sdk};
use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use worker::{Context, Env};

thread_local! {
    static ISOLATE: OnceCell<Result<Rc<Isolate>, FaultyVariables>> = const { OnceCell::new() };
}

/// The start of the URL of a request to the media entry. No such host exists, and none is needed.
const MEDIA_HOST: &str = "https://media.invalid";

/// The names of the variables whose faults keep the worker from answering.
pub type FaultyVariables = Rc<Vec<&'static str>>;

/// The state of one isolate, shared by its requests.
#[derive(Debug)]
pub struct Isolate {
    pub settings: Rc<Settings>,
    pub origin: BucketOrigin,
    /// Whether a dataset for [`crate::analytics`] is bound.
    pub has_analytics: bool,
    locks: Locks,
    purges: Purges,
    /// Whether the log has a line about an answer without `Cf-Cache-Status`.
    has_logged_missing_cache_status: Cell<bool>,
    /// Which cache is used, once the platform was asked whether it has one.
    cache_mode: OnceCell<CacheMode>,
    /// [`Settings::cache_key_query`], at the end of every cache key.
    cache_key_query: String,
}

impl Isolate {
    /// The state of this isolate, made by the first call. `Err` where settings are faulty: the first call
    /// logs every fault.
    pub fn of(env: &Env) -> Result<Rc<Self>, FaultyVariables> {
        ISOLATE.with(|isolate| {
            let made = || match Self::new(env) {
                Ok(isolate) => Ok(Rc::new(isolate)),
                Err(faults) => {
                    for fault in &faults {
                        log::settings_refused(fault.variable, &fault.problem);
                    }
                    Err(Rc::new(faults.iter().map(|fault| fault.variable).collect()))
                }
            };
            isolate.get_or_init(made).clone()
        })
    }

    fn new(env: &Env) -> Result<Self, Vec<Fault>> {
        let raw = RawSettings::read(|name| sdk::variable(env, name));
        let settings = Rc::new(Settings::parse(&raw)?);
        Ok(Self {
            cache_key_query: settings.cache_key_query(),
            origin: BucketOrigin::new(settings.clone()),
            settings,
            has_analytics: analytics::is_bound(env),
            locks: Locks::default(),
            purges: Purges::default(),
            has_logged_missing_cache_status: Cell::new(false),
            cache_mode: OnceCell::new(),
        })
    }

    /// Which cache is used: as `CACHE_MODE` says, but the engine where the platform has no cache in front of
    /// the media entry, as under `wrangler dev`.
    ///
    /// The platform is asked until it answers once per isolate. Until then the setting holds: an isolate that
    /// used the engine by mistake could not purge the platform's copies.
    pub async fn cache_mode(&self, context: &Context) -> CacheMode {
        if self.settings.cache_mode == CacheMode::Engine {
            return CacheMode::Engine;
        }
        if let Some(mode) = self.cache_mode.get() {
            return *mode;
        }
        match sdk::has_media_cache(context).await {
            Ok(has_cache) => *self.cache_mode.get_or_init(|| match has_cache {
                true => CacheMode::Platform,
                false => {
                    log::platform_cache_absent("the media entry has no cache");
                    CacheMode::Engine
                }
            }),
            Err(error) => {
                log::media_failed("hasCache", &sdk::error_text(&error));
                CacheMode::Platform
            }
        }
    }

    /// Logs, once per isolate, that the platform has no cache: an answer came without `Cf-Cache-Status`
    /// (developers.cloudflare.com/workers/cache/debugging).
    pub fn log_missing_cache_status(&self) {
        if !self.has_logged_missing_cache_status.replace(true) {
            log::platform_cache_absent("answers come without Cf-Cache-Status");
        }
    }

    /// The URL of an object at the media entry, in platform mode. Its query separates deployments with other
    /// settings, as in a [`cache_key`](Self::cache_key): the platform keeps using the copies of former
    /// versions.
    pub fn media_url(&self, key: &ObjectKey) -> String {
        [MEDIA_HOST, &key.s3_path(), "?", &self.cache_key_query].concat()
    }

    /// The name of an object in the Cache API, in engine mode: a URL on the host of the request, because
    /// another host costs look-ups (developers.cloudflare.com/workers/runtime-apis/cache). All workers of a
    /// zone share that cache; the query separates their copies, and no object's path has a `?` in it.
    /// Requests without encryption share the copy.
    pub fn cache_key(&self, url: &str, key: &ObjectKey) -> String {
        let path = key.s3_path();
        [
            "https://",
            host_and_port(url),
            &path,
            "?",
            &self.cache_key_query,
        ]
        .concat()
    }

    /// The engine for one request.
    pub fn engine(&self, context: Context) -> Engine<EdgeCache, BucketOrigin, RequestRuntime> {
        Engine {
            store: EdgeCache,
            origin: self.origin.clone(),
            runtime: RequestRuntime::new(Rc::new(context)),
            locks: self.locks.clone(),
            purges: self.purges.clone(),
            rule: self.settings.freshness,
        }
    }
}

/// Host and port of a URL.
fn host_and_port(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::host_and_port;

    #[test]
    fn the_host_ends_where_the_path_begins() {
        for (url, host) in [
            ("https://files.example.com/a/b", "files.example.com"),
            ("http://files.example.com/a", "files.example.com"),
            ("http://127.0.0.1:8787/", "127.0.0.1:8787"),
            ("https://files.example.com", "files.example.com"),
        ] {
            assert_eq!(host_and_port(url), host);
        }
    }
}
