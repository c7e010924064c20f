//! The worker in platform mode, between stand-ins for Cloudflare's cache and queue.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bucket;
mod cache;
mod crowd;
mod entries;
mod outages;
mod purges;
