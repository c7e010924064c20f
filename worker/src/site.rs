//! What one isolate keeps between requests: valid settings, and the tables of locks and purges.

use crate::admission::ObjectKey;
use crate::engine::lock::Locks;
use crate::engine::purges::Purges;
use crate::settings::{self, RawSettings, Settings, VARIABLES};
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
                    log::settings_refused(&error.to_string());
                    return None;
                }
            };
        let settings = match Settings::parse(&raw) {
            Ok(settings) => Rc::new(settings),
            Err(faults) => {
                log::settings_refused(&settings::describe(&faults));
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
    /// object has a `?` in it.
    #[must_use]
    pub fn cache_key(&self, url: &str, key: &ObjectKey) -> String {
        [origin_of(url), &key.s3_path(), "?", &self.cache_space].concat()
    }
}

/// Scheme, host and port of a URL.
fn origin_of(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find('/').map_or(url.len(), |at| host + at);
    &url[..end]
}

#[cfg(test)]
mod tests {
    use super::origin_of;

    #[test]
    fn the_origin_ends_where_the_path_begins() {
        for (url, origin) in [
            ("https://files.example.com/a/b", "https://files.example.com"),
            ("http://127.0.0.1:8787/", "http://127.0.0.1:8787"),
            ("https://files.example.com", "https://files.example.com"),
        ] {
            assert_eq!(origin_of(url), origin);
        }
    }
}
