//! The configuration of one environment in `wrangler.toml`, as wrangler reads it.

use std::collections::{BTreeMap, BTreeSet};

use edge_worker::settings::VARIABLES;
use serde::Deserialize;
use serde_json::Value;

/// The configuration of one environment.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Configuration {
    /// The worker's name.
    pub(super) name: String,
    workers_dev: Option<bool>,
    route: Option<Route>,
    #[serde(default)]
    routes: Vec<Route>,
    #[serde(default)]
    pub(super) vars: BTreeMap<String, Value>,
    #[serde(default)]
    pub(super) queues: Queues,
    #[serde(default)]
    cache: Cache,
    #[serde(default)]
    exports: BTreeMap<String, Export>,
}

/// A route or custom domain of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Route {
    Pattern(String),
    Full {
        pattern: String,
        #[serde(default)]
        custom_domain: bool,
    },
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Queues {
    pub(super) producers: Vec<Producer>,
    pub(super) consumers: Vec<Consumer>,
}

/// A queue that the worker sends messages to.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Producer {
    pub(super) binding: String,
    pub(super) queue: String,
}

/// A queue whose messages the worker consumes.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Consumer {
    pub(super) queue: String,
    pub(super) max_batch_size: Option<u32>,
    pub(super) dead_letter_queue: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Cache {
    enabled: bool,
}

#[derive(Clone, Debug, Deserialize)]
struct Export {
    cache: Option<Cache>,
}

impl Configuration {
    /// The routes, of `routes` or of `route`.
    pub(super) fn routes(&self) -> &[Route] {
        match &self.route {
            Some(route) if self.routes.is_empty() => std::slice::from_ref(route),
            _ => &self.routes,
        }
    }

    /// Whether the worker answers on `workers.dev`: by default, where it has no route.
    pub(super) fn workers_dev(&self) -> bool {
        self.workers_dev.unwrap_or(self.routes().is_empty())
    }

    /// Whether Workers Cache is enabled for an entry: by its own setting, else by the worker's.
    pub(super) fn is_cached(&self, entry: &str) -> bool {
        let own = self.exports.get(entry).and_then(|export| export.cache);
        own.unwrap_or(self.cache).enabled
    }

    /// The variables that are strings.
    pub(super) fn texts(&self) -> BTreeMap<&str, &str> {
        let texts = self.vars.iter();
        let texts = texts.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)));
        texts.collect()
    }

    /// The text of a variable; `None` where it is not set, empty, or not a string.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let text = self.vars.get(name)?.as_str()?.trim();
        (!text.is_empty()).then_some(text)
    }

    /// The text of a variable that is not a secret, else its default.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let known = VARIABLES.iter().find(|known| known.name == name);
        self.text(name).or_else(|| known?.default)
    }

    /// Every queue that must exist, dead-letter queues included.
    pub(super) fn queues(&self) -> BTreeSet<&str> {
        let produced = self.queues.producers.iter().map(|producer| &producer.queue);
        let consumed = self
            .queues
            .consumers
            .iter()
            .flat_map(|consumer| [Some(&consumer.queue), consumer.dead_letter_queue.as_ref()]);
        produced
            .chain(consumed.flatten())
            .map(String::as_str)
            .collect()
    }

    /// The URL of the files domain, from the first route; `None` where that names no single host.
    pub(super) fn files_url(&self) -> Option<String> {
        self.routes().first()?.url()
    }
}

impl Route {
    pub(super) fn pattern(&self) -> &str {
        match self {
            Self::Pattern(pattern) | Self::Full { pattern, .. } => pattern,
        }
    }

    pub(super) const fn is_custom_domain(&self) -> bool {
        matches!(
            self,
            Self::Full {
                custom_domain: true,
                ..
            }
        )
    }

    /// `https://files.example.com` for `files.example.com/*`; `None` where the pattern names no single host.
    fn url(&self) -> Option<String> {
        let pattern = self.pattern();
        let pattern = pattern.split_once("://").map_or(pattern, |(_, rest)| rest);
        let address = pattern.trim_end_matches('*').trim_end_matches('/');
        (!address.is_empty() && !address.contains('*')).then(|| format!("https://{address}"))
    }
}
