//! What `wrangler.toml` says, as shipped: settings, queue, and which entries have a cache.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The parts of `wrangler.toml` that the stand-ins go by.
#[derive(Debug, Clone, Deserialize)]
pub struct Configuration {
    /// The runtime's version of its interfaces.
    pub compatibility_date: String,
    /// Further changes of its interfaces.
    #[serde(default)]
    pub compatibility_flags: Vec<String>,
    /// The settings.
    #[serde(default)]
    pub vars: BTreeMap<String, toml::Value>,
    /// The entries, and whether each has the cache in front of it.
    pub exports: toml::Table,
    /// The queues.
    #[serde(default)]
    pub queues: Queues,
}

/// `[[queues.producers]]` and `[[queues.consumers]]`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Queues {
    /// Bindings through which the worker fills queues.
    #[serde(default)]
    pub producers: Vec<Producer>,
    /// Queues that the worker is given batches of.
    #[serde(default)]
    pub consumers: Vec<toml::Table>,
}

/// One of `[[queues.producers]]`.
#[derive(Debug, Clone, Deserialize)]
pub struct Producer {
    /// The name by which the worker knows the queue.
    pub binding: String,
    /// The queue.
    pub queue: String,
}

impl Configuration {
    /// Reads the file that is deployed.
    ///
    /// # Errors
    /// A file that cannot be read, or lacks the entries.
    pub fn load() -> Result<Self> {
        let path = testkit::root().join("wrangler.toml");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("read `{}`", path.display()))?;
        toml::from_str(&text).with_context(|| format!("understand `{}`", path.display()))
    }

    /// The one queue, and how it is consumed.
    ///
    /// # Errors
    /// Where there is not exactly one of each.
    pub fn queue(&self) -> Result<(&Producer, &toml::Table)> {
        match (&self.queues.producers[..], &self.queues.consumers[..]) {
            ([producer], [consumer]) => Ok((producer, consumer)),
            _ => anyhow::bail!("`wrangler.toml` has not one producer and one consumer of a queue"),
        }
    }

    /// The settings as the worker is given them, with others over those of the file.
    #[must_use]
    pub fn variables(&self, over: &[(&str, &str)]) -> BTreeMap<String, String> {
        let text = |value: &toml::Value| match value {
            toml::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let shipped = self.vars.iter();
        let mut variables: BTreeMap<_, _> = shipped
            .map(|(name, value)| (name.clone(), text(value)))
            .collect();
        for (name, value) in over {
            variables.insert((*name).to_owned(), (*value).to_owned());
        }
        variables
    }
}
