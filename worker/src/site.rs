//! What one isolate keeps between requests: valid settings, and the tables of locks and purges.

use crate::admission::ObjectKey;
use crate::engine::lock::Locks;
use crate::engine::purges::Purges;
use crate::origin::Bucket;
use crate::settings::{CacheMode, Fault, RawSettings, Settings, VARIABLES};
use crate::{analytics, log, sdk};
use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use worker::{Context, Env};

thread_local! {
    static SITE: OnceCell<Result<Rc<Site>, FaultyVariables>> = const { OnceCell::new() };
}

/// The host of requests to the media entry: never looked up, and no part of the cache's key.
pub const MEDIA_HOST: &str = "https://media.invalid";

/// The names of the variables that keep the worker from answering.
pub type FaultyVariables = Rc<Vec<&'static str>>;

/// One isolate's state.
#[derive(Debug)]
pub struct Site {
    /// The settings.
    pub settings: Rc<Settings>,
    /// The bucket.
    pub bucket: Bucket,
    /// The same settings for paths that are keys already: nothing to strip, to add or to deny.
    pub canonical: Settings,
    /// The fills under way in this isolate.
    pub locks: Locks,
    /// The last purges of this isolate.
    pub purges: Purges,
    /// Whether an answer has come without the platform's cache saying anything.
    has_missed_cache_status: Cell<bool>,
    /// Whether somebody wants figures: see [`crate::analytics`].
    pub has_analytics: bool,
    /// Who caches, where the settings leave it to the platform and it was asked.
    cache_mode: OnceCell<CacheMode>,
    /// At the end of every cache key: tells deployments apart that answer differently.
    cache_space: String,
}

impl Site {
    /// This isolate's state, made at the first call. `Err` where the settings are faulty: the log has
    /// every fault by then, once per isolate.
    pub fn of(env: &Env) -> Result<Rc<Self>, FaultyVariables> {
        SITE.with(|site| {
            let made = || match Self::new(env) {
                Ok(site) => Ok(Rc::new(site)),
                Err(faults) => {
                    for fault in &faults {
                        log::settings_refused(fault.variable, &fault.problem);
                    }
                    Err(Rc::new(faults.iter().map(|fault| fault.variable).collect()))
                }
            };
            site.get_or_init(made).clone()
        })
    }

    fn new(env: &Env) -> Result<Self, Vec<Fault>> {
        let names = VARIABLES.iter().map(|variable| variable.name);
        let raw: RawSettings = sdk::variables(env, names).map_err(|error| {
            vec![Fault {
                variable: "",
                problem: error.to_string(),
            }]
        })?;
        let settings = Rc::new(Settings::parse(&raw)?);
        let canonical = Settings {
            key_prefix: String::new(),
            strip_prefix: None,
            deny_prefixes: Vec::new(),
            ..(*settings).clone()
        };
        Ok(Self {
            cache_space: settings.cache_space(),
            bucket: Bucket::new(settings.clone()),
            settings,
            canonical,
            locks: Locks::default(),
            purges: Purges::default(),
            has_missed_cache_status: Cell::new(false),
            has_analytics: analytics::is_bound(env),
            cache_mode: OnceCell::new(),
        })
    }

    /// Who caches: as the settings have it, but for a platform that has no cache in front of the media
    /// entry, such as `wrangler dev`. Its answer holds for the isolate; where it gives none, the settings
    /// stand, and the next request asks again: an isolate that went over to the engine by mistake would
    /// no longer reach the platform's copies with a purge.
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

    /// Notes that an answer came through the platform's cache without a word of it: then there is none
    /// (developers.cloudflare.com/workers/cache/debugging). The log says so once per isolate.
    pub fn note_missing_cache_status(&self) {
        if !self.has_missed_cache_status.replace(true) {
            log::platform_cache_absent("answers come without Cf-Cache-Status");
        }
    }

    /// The URL under which the media entry is asked for an object. Its query tells deployments of other
    /// settings apart, as in a cache key: the platform goes on with the copies of the versions before.
    #[must_use]
    pub fn media_url(&self, key: &ObjectKey) -> String {
        [MEDIA_HOST, &key.s3_path(), "?", &self.cache_space].concat()
    }

    /// The name of an object in the Cache API: on the host that was asked for, as the documentation
    /// wants it (developers.cloudflare.com/workers/runtime-apis/cache: another host costs look-ups),
    /// and apart from the zone's other copies, which all workers of a zone share. No path of an
    /// object has a `?` in it. A request without encryption shares the copy.
    #[must_use]
    pub fn cache_key(&self, url: &str, key: &ObjectKey) -> String {
        let path = key.s3_path();
        ["https://", host_of(url), &path, "?", &self.cache_space].concat()
    }
}

/// Host and port of a URL.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::host_of;

    #[test]
    fn the_host_ends_where_the_path_begins() {
        for (url, host) in [
            ("https://files.example.com/a/b", "files.example.com"),
            ("http://files.example.com/a", "files.example.com"),
            ("http://127.0.0.1:8787/", "127.0.0.1:8787"),
            ("https://files.example.com", "files.example.com"),
        ] {
            assert_eq!(host_of(url), host);
        }
    }
}
