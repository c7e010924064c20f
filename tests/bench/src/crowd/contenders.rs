//! Who answers, what each can do, and how each is started.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::super::edge::{COMPATIBILITY_DATE, ENDPOINT, ORDINARY};
use super::cases::Kind;
use super::memory::Watch;
use testkit::process::scratch_directory;
use testkit::stack::{Edge, EdgeOptions, Nginx, Origin, OriginOptions};
use testkit::tools::Tools;

const BUCKET: &str = "media";

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Worker,
    Nginx,
    /// The same rules by hand in JavaScript, with a lock.
    Ordinary,
    /// Somebody else's worker, without a lock.
    Published,
    /// A constant, from memory.
    Empty,
    /// The bucket itself: what the others cannot be faster than on a cold read.
    Origin,
}

impl Who {
    pub(super) const ALL: [Self; 6] = [
        Self::Worker,
        Self::Nginx,
        Self::Ordinary,
        Self::Published,
        Self::Empty,
        Self::Origin,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Worker => "the worker",
            Self::Nginx => "nginx",
            Self::Ordinary => ORDINARY,
            Self::Published => "a published worker",
            Self::Empty => "a worker that answers a constant",
            Self::Origin => "the origin itself",
        }
    }

    /// Whether it can do what the case asks for.
    pub(super) fn takes(self, kind: Kind) -> bool {
        match self {
            Self::Worker | Self::Nginx | Self::Ordinary | Self::Published => true,
            Self::Empty => kind == Kind::Hit,
            Self::Origin => kind == Kind::Cold,
        }
    }

    /// Whether it is to ask the origin once for each key, and not more often.
    pub(super) const fn locks(self) -> bool {
        matches!(self, Self::Worker | Self::Nginx)
    }

    /// Its module below `tests/bench`, where it is a worker that is not ours.
    const fn module(self) -> Option<&'static str> {
        match self {
            Self::Ordinary => Some("edge/ordinary.mjs"),
            Self::Published => Some("edge/published.mjs"),
            Self::Empty => Some("crowd/empty.mjs"),
            Self::Worker | Self::Nginx | Self::Origin => None,
        }
    }
}

/// Somebody who answers, with nothing in the cache.
pub(super) enum Running {
    Edge(Edge),
    Nginx(Nginx),
    Origin(String),
}

impl Running {
    pub(super) fn start(who: Who, tools: &Tools, origin: &Origin) -> Result<Self> {
        let bucket = origin.bucket_url(BUCKET);
        match who {
            Who::Nginx => return Nginx::start(&bucket).map(Self::Nginx),
            Who::Origin => return Ok(Self::Origin(bucket)),
            Who::Worker | Who::Ordinary | Who::Published | Who::Empty => {}
        }
        let scratch = scratch_directory("crowd-worker")?;
        let configuration = who
            .module()
            .map(|module| configure(module, &scratch.path().join("wrangler.toml")))
            .transpose()?;
        let variables = [
            ("ORIGIN_URL", &*bucket),
            ("ORIGIN_AUTH", "sigv4"),
            ("B2_ENDPOINT", ENDPOINT),
            ("B2_APPLICATION_KEY_ID", OriginOptions::KEY_ID),
            ("B2_APPLICATION_KEY", OriginOptions::KEY),
            ("CACHE_MODE", "engine"),
        ];
        let options = EdgeOptions {
            configuration,
            variables: variables
                .map(|(name, value)| (name.into(), value.into()))
                .to_vec(),
            ..EdgeOptions::default()
        };
        Edge::start_with(tools, options).map(Self::Edge)
    }

    pub(super) fn url(&self) -> String {
        match self {
            Self::Edge(edge) => edge.url.trim_end_matches('/').to_owned(),
            Self::Nginx(nginx) => format!("http://{}", nginx.address),
            Self::Origin(url) => url.clone(),
        }
    }

    pub(super) fn watch(&self) -> Option<Watch> {
        match self {
            Self::Edge(edge) => Some(Watch::start(edge.id())),
            Self::Nginx(nginx) => Some(Watch::start(nginx.id())),
            Self::Origin(_) => None,
        }
    }
}

/// Writes the settings of a worker in JavaScript. It has a queue as ours has, so that the simulator's own
/// services weigh the same beside all.
fn configure(module: &str, file: &Path) -> Result<PathBuf> {
    let main = testkit::root().join("tests/bench").join(module);
    let text = format!(
        "name = \"javascript\"\nmain = '{}'\ncompatibility_date = \"{COMPATIBILITY_DATE}\"\n\
         [[queues.producers]]\nbinding = \"PURGES\"\nqueue = \"medialift-purges\"\n\
         [[queues.consumers]]\nqueue = \"medialift-purges\"\n",
        main.display()
    );
    fs::write(file, text).with_context(|| format!("cannot write `{}`", file.display()))?;
    Ok(file.to_owned())
}
