//! The worker in platform mode, between stand-ins of what Cloudflare's platform puts round it, and the
//! two modes compared.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bucket;
mod cache;
mod crowd;
mod entries;
mod outages;
mod purges;
