//! What one isolate keeps between requests: valid settings, and the tables of locks and purges.

use crate::admission::ObjectKey;
use crate::engine::lock::Locks;
use crate::engine::purges::Purges;
use crate::settings::{RawSettings, Settings, VARIABLES};
use crate::{log, sdk};
use std::cell::OnceCell;
use std::rc::Rc;
use worker::Env;

thread_local! {
    static SITE: OnceCell<Option<Rc<Site>>> = const { OnceCell::new() };
}

/// One isolate's state.
#[derive(Debug)]
pub struct Site {
    /// The settings.
    pub settings: Rc<Settings>,
    /// The same for paths that are keys already: nothing to strip, to add or to deny.
    pub canonical: Settings,
    /// The fills under way in this isolate.
    pub locks: Locks,
    /// The last purges of this isolate.
    pub purges: Purges,
    /// At the end of every cache key: tells deployments apart that answer differently.
    cache_space: String,
}

impl Site {
    /// This isolate's state, made at the first call. `None` where the settings are faulty: the log
    /// has every fault by then, once per isolate.
    #[must_use]
    pub fn of(env: &Env) -> Option<Rc<Self>> {
        SITE.with(|site| site.get_or_init(|| Self::new(env).map(Rc::new)).clone())
    }

    fn new(env: &Env) -> Option<Self> {
        let raw: RawSettings =
            match sdk::variables(env, VARIABLES.iter().map(|variable| variable.name)) {
                Ok(raw) => raw,
                Err(error) => {
                    log::settings_refused("", &error.to_string());
                    return None;
                }
            };
        let settings = match Settings::parse(&raw) {
            Ok(settings) => Rc::new(settings),
            Err(faults) => {
                for fault in faults {
                    log::settings_refused(fault.variable, &fault.problem);
                }
                return None;
            }
        };
        let canonical = Settings {
            key_prefix: String::new(),
            strip_prefix: None,
            deny_prefixes: Vec::new(),
            ..(*settings).clone()
        };
        Some(Self {
            cache_space: settings.cache_space(),
            settings,
            canonical,
            locks: Locks::default(),
            purges: Purges::default(),
        })
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
