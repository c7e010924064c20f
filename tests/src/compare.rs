//! The comparison with nginx: the same questions put to nginx and to the worker in front of the
//! same origin, and every difference either accepted or a failure.
//!
//! [`scenario`] is the data, [`exchange`] one request on the wire, [`outcome`] what is compared of
//! its answer, [`runner`] puts the questions, [`deviation`] knows the accepted differences, [`judge`]
//! judges a scenario and [`suite`] makes tests of it all. [`model`] is the corrected nginx. What the two
//! sides are is left to the caller.

pub mod deviation;
pub mod exchange;
pub mod judge;
pub mod model;
pub mod outcome;
pub mod runner;
pub mod scenario;
pub mod suite;

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context as _, Result};
use testkit::process::memory_directory;
use testkit::setup::{Need, place};
use testkit::stack::{Edge, Nginx};

use crate::edge;
use crate::scripted::{ScriptedOrigin, Side};
use runner::{Proxy, Stack};

/// Who says how long a copy is fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The bucket: `ORIGIN_CACHE_CONTROL = "respect"`.
    Bucket,
    /// The settings as shipped, 48 hours: nothing expires within a run.
    Settings,
    /// The settings, two seconds.
    SettingsOfSeconds,
}

impl Rule {
    /// What entries of accepted differences call it; what expires is the same whoever says when.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bucket | Self::SettingsOfSeconds => "respect",
            Self::Settings => "ignore",
        }
    }

    /// What the names of tests by this rule begin with.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Bucket => "",
            Self::Settings => "ignore/",
            Self::SettingsOfSeconds => "seconds/",
        }
    }

    /// What it is called in the output.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Bucket => "by the bucket's rule",
            Self::Settings => "by the rule of the settings",
            Self::SettingsOfSeconds => "by a rule of the settings of two seconds",
        }
    }

    const fn origin_cache_control(self) -> &'static str {
        match self {
            Self::Bucket => "respect",
            Self::Settings | Self::SettingsOfSeconds => "ignore",
        }
    }

    const fn fresh_seconds(self) -> &'static str {
        match self {
            Self::Bucket | Self::Settings => "172800",
            Self::SettingsOfSeconds => "2",
        }
    }
}

/// The worker's settings for a comparison: its own cache, and whose rule counts.
#[must_use]
pub const fn edge_settings(origin: &str, rule: Rule) -> [(&str, &str); 4] {
    [
        ("ORIGIN_URL", origin),
        ("ORIGIN_CACHE_CONTROL", rule.origin_cache_control()),
        ("FRESH_SECONDS", rule.fresh_seconds()),
        ("CACHE_MODE", "engine"),
    ]
}

/// Both nginxes as the model, and the worker in engine mode.
///
/// # Errors
/// One of them does not start.
pub fn nginx_and_worker(origin: &ScriptedOrigin, rule: Rule) -> Result<Stack> {
    let url = origin.url(Side::Nginx);
    let as_found = Nginx::start(&url)?;
    let folder = memory_directory("corrected")?;
    let corrected = Nginx::start_in(folder, &model::corrected(rule), &url)?;
    let worker = edge::start(&edge_settings(&origin.url(Side::Worker), rule))?;
    let model = Proxy {
        as_found: Some(as_found.address),
        sends_age: false,
        sends_timing: false,
        ..Proxy::at(Side::Nginx, corrected.address)
    };
    Ok(Stack {
        proxies: vec![model, Proxy::at(Side::Worker, address(&worker)?)],
        parts: Box::new((as_found, corrected, worker)),
    })
}

/// Where an edge listens.
///
/// # Errors
/// When it gives no address.
pub fn address(edge: &Edge) -> Result<SocketAddr> {
    let address = edge.url.trim_start_matches("http://").trim_end_matches('/');
    address
        .parse()
        .with_context(|| format!("the edge's address `{}`", edge.url))
}

/// The version of the nginx that is compared, number by number.
///
/// # Errors
/// There is none, or it does not say.
pub fn nginx_version() -> Result<Vec<u64>> {
    let output = Command::new(place(Need::Nginx)?).arg("-v").output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let number = text
        .split_once("nginx/")
        .and_then(|(_, rest)| rest.split_whitespace().next());
    deviation::version(number.with_context(|| format!("`nginx -v` says `{text}`"))?)
}
