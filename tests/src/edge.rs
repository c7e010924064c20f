//! The edge as tests of its caching start it: over a simulator whose cache stores whole bodies only.

use std::path::PathBuf;

use anyhow::Result;
use testkit::stack::{Edge, EdgeOptions};
use testkit::tools::Tools;

/// The options for an edge with these settings.
#[must_use]
pub fn options(settings: &[(&str, &str)]) -> EdgeOptions {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    EdgeOptions {
        variables: settings.iter().map(owned).collect(),
        before: Some(simulator("whole-bodies.mjs")),
        ..EdgeOptions::default()
    }
}

/// Starts an edge with these settings.
///
/// # Errors
/// As [`Edge::start_with`].
pub fn start(settings: &[(&str, &str)]) -> Result<Edge> {
    Edge::start_with(&Tools::load()?, options(settings))
}

/// A module that changes the simulator; its comments say how.
#[must_use]
pub fn simulator(module: &str) -> PathBuf {
    testkit::root()
        .join("tests/fixtures/simulator")
        .join(module)
}
