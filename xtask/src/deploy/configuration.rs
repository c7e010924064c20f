//! What `wrangler.toml` says of one environment, with wrangler's rules of inheritance.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The environments of `wrangler.toml`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Environment {
    /// The worker that readers reach: the top level of the file
    #[default]
    Production,
    /// A worker beside it, to try a version on: `[env.staging]`
    Staging,
}

impl Environment {
    /// The name as it is given to `wrangler --env`; empty for the top level.
    pub(super) const fn wrangler_name(self) -> &'static str {
        match self {
            Self::Production => "",
            Self::Staging => "staging",
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Staging => "staging",
        }
    }
}

/// One environment, as wrangler will deploy it.
#[derive(Clone, Debug)]
pub(super) struct Configuration {
    pub(super) file: PathBuf,
    pub(super) environment: Environment,
    /// The worker's name.
    pub(super) worker: String,
    pub(super) workers_dev: bool,
    pub(super) routes: Vec<Route>,
    /// Routes that production has as well, inherited or said twice: this worker would take them away.
    pub(super) taken: Vec<Route>,
    pub(super) variables: BTreeMap<String, toml::Value>,
    pub(super) producers: Vec<Producer>,
    pub(super) consumers: Vec<Consumer>,
    pub(super) datasets: Vec<Dataset>,
    /// Whether the platform's cache stands in front of the gateway and of the media entry.
    pub(super) cached: Cached,
}

/// Which entries have the platform's cache in front of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cached {
    pub(super) gateway: bool,
    pub(super) media: bool,
}

/// Where a worker answers.
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

/// A queue that the worker writes to.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Producer {
    pub(super) binding: String,
    pub(super) queue: String,
}

/// A queue that the worker reads from.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Consumer {
    pub(super) queue: String,
    pub(super) max_batch_size: Option<u32>,
    pub(super) dead_letter_queue: Option<String>,
}

/// A dataset of Analytics Engine.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Dataset {
    pub(super) binding: String,
    pub(super) dataset: Option<String>,
}

/// The keys that an environment has of its own only: what stands at the top level does not count there
/// (developers.cloudflare.com/workers/wrangler/configuration/#non-inheritable-keys). Of the keys that are
/// read here; all others are inherited, `routes` among them.
const NOT_INHERITED: [&str; 3] = ["vars", "queues", "analytics_engine_datasets"];

#[derive(Deserialize)]
struct Section {
    name: String,
    workers_dev: Option<bool>,
    route: Option<Route>,
    routes: Option<Vec<Route>>,
    #[serde(default)]
    cache: Cache,
    #[serde(default)]
    exports: BTreeMap<String, Export>,
    #[serde(default)]
    vars: BTreeMap<String, toml::Value>,
    #[serde(default)]
    queues: Queues,
    #[serde(default)]
    analytics_engine_datasets: Vec<Dataset>,
}

#[derive(Default, Deserialize)]
struct Queues {
    #[serde(default)]
    producers: Vec<Producer>,
    #[serde(default)]
    consumers: Vec<Consumer>,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct Cache {
    #[serde(default)]
    enabled: bool,
}

#[derive(Deserialize)]
struct Export {
    cache: Option<Cache>,
}

impl Section {
    /// Routes in either form.
    fn all_routes(&self) -> Vec<Route> {
        let one = || self.route.clone().map(|route| vec![route]);
        self.routes.clone().or_else(one).unwrap_or_default()
    }
}

impl Configuration {
    /// Reads `file`, or the repository's own.
    pub(super) fn read(file: Option<&Path>, environment: Environment) -> Result<Self> {
        let file = match file {
            Some(file) => std::path::absolute(file).context("cannot resolve `--config`")?,
            None => testkit::root().join("wrangler.toml"),
        };
        let text = fs::read_to_string(&file)
            .with_context(|| format!("cannot read `{}`", file.display()))?;
        Self::parse(&text, &file, environment)
            .with_context(|| format!("cannot understand `{}`", file.display()))
    }

    /// Understands the text of a file.
    pub(super) fn parse(text: &str, file: &Path, environment: Environment) -> Result<Self> {
        let whole: toml::Table = text.parse()?;
        let section: Section = effective(whole.clone(), environment)?.try_into()?;
        let routes = section.all_routes();
        let is_cached = |entry: &str| {
            let own = section.exports.get(entry).and_then(|export| export.cache);
            own.unwrap_or(section.cache).enabled
        };
        let taken = match environment {
            Environment::Production => Vec::new(),
            Environment::Staging => {
                let production = effective(whole, Environment::Production)?;
                let production = production.try_into::<Section>()?.all_routes();
                let is_taken = |route: &&Route| production.contains(*route);
                routes.iter().filter(is_taken).cloned().collect()
            }
        };
        Ok(Self {
            taken,
            file: file.to_owned(),
            environment,
            worker: section.name,
            // On where neither it nor a route is set.
            workers_dev: section.workers_dev.unwrap_or(routes.is_empty()),
            cached: Cached {
                gateway: is_cached("default"),
                media: is_cached("Media"),
            },
            routes,
            variables: section.vars,
            producers: section.queues.producers,
            consumers: section.queues.consumers,
            datasets: section.analytics_engine_datasets,
        })
    }

    /// The variables that are texts, as the worker reads them.
    pub(super) fn texts(&self) -> BTreeMap<String, String> {
        let text = |(name, value): (&String, &toml::Value)| {
            Some((name.clone(), value.as_str()?.to_owned()))
        };
        self.variables.iter().filter_map(text).collect()
    }

    /// Every queue that must exist, those of dead letters included.
    pub(super) fn queues(&self) -> BTreeSet<&str> {
        let written = self.producers.iter().map(|producer| &producer.queue);
        let read = self.consumers.iter().flat_map(|consumer| {
            [Some(&consumer.queue), consumer.dead_letter_queue.as_ref()]
                .into_iter()
                .flatten()
        });
        written.chain(read).map(String::as_str).collect()
    }

    /// The address of the files domain, where the first route tells it.
    pub(super) fn files_url(&self) -> Option<String> {
        self.routes.first()?.url()
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

    /// `https://files.example.com` for `files.example.com/*`; `None` where the pattern names no one host.
    fn url(&self) -> Option<String> {
        let pattern = self.pattern();
        let pattern = pattern.split_once("://").map_or(pattern, |(_, rest)| rest);
        let address = pattern.trim_end_matches('*').trim_end_matches('/');
        (!address.is_empty() && !address.contains('*')).then(|| format!("https://{address}"))
    }
}

/// The table that holds for an environment.
fn effective(mut top: toml::Table, environment: Environment) -> Result<toml::Table> {
    let environments = top.remove("env");
    let name = environment.wrangler_name();
    if name.is_empty() {
        return Ok(top);
    }
    let Some(toml::Value::Table(mut own)) = environments.and_then(|all| all.get(name).cloned())
    else {
        bail!("there is no `[env.{name}]`")
    };
    if !own.contains_key("name")
        && let Some(worker) = top.get("name").and_then(toml::Value::as_str)
    {
        own.insert("name".to_owned(), format!("{worker}-{name}").into());
    }
    let has_route = own.contains_key("route") || own.contains_key("routes");
    for (key, value) in top {
        let is_other_form = has_route && (key == "route" || key == "routes");
        if !NOT_INHERITED.contains(&key.as_str()) && !is_other_form && !own.contains_key(&key) {
            own.insert(key, value);
        }
    }
    Ok(own)
}
