//! The comparison with nginx: the same questions put to nginx and to the worker in front of the
//! same origin, and every difference either explained or a failure.
//!
//! [`scenario`] is the data, [`exchange`] one request on the wire, [`outcome`] what is compared of
//! its answer, [`runner`] puts the questions, [`deviation`] knows the accepted differences and
//! [`report`] judges and prints. Which address is which, and starting and stopping, is left to the
//! caller.

pub mod deviation;
pub mod exchange;
pub mod outcome;
pub mod report;
pub mod runner;
pub mod scenario;

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use testkit::stack::{Edge, Nginx};

use crate::scripted::Side;
use runner::Proxy;

/// The worker's settings for the comparison: its own cache, and an origin that is heeded as nginx
/// heeds it.
#[must_use]
pub const fn edge_settings(origin: &str) -> [(&str, &str); 3] {
    [
        ("ORIGIN_URL", origin),
        ("ORIGIN_CACHE_CONTROL", "respect"),
        ("CACHE_MODE", "engine"),
    ]
}

/// Both sides of the comparison.
///
/// # Errors
/// When the edge tells no address.
pub fn proxies(nginx: &Nginx, edge: &Edge) -> Result<[Proxy; 2]> {
    Ok(proxies_at(nginx.address, address(edge)?))
}

/// Both sides of a comparison: the expectation, and what is compared with it.
#[must_use]
pub const fn proxies_at(first: SocketAddr, second: SocketAddr) -> [Proxy; 2] {
    [
        Proxy {
            side: Side::Nginx,
            address: first,
        },
        Proxy {
            side: Side::Worker,
            address: second,
        },
    ]
}

/// Where an edge listens.
///
/// # Errors
/// When it tells no address.
pub fn address(edge: &Edge) -> Result<SocketAddr> {
    let address = edge.url.trim_start_matches("http://").trim_end_matches('/');
    address
        .parse()
        .with_context(|| format!("the edge's address `{}`", edge.url))
}
