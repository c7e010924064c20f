//! What the end-to-end tests share.

pub mod b2sim;
pub mod browser;
pub mod client;
pub mod clients;
pub mod cloudflare;
pub mod compare;
pub mod edge;
pub mod host;
pub mod mastodon;
pub mod media;
pub mod medialift;
pub mod migration;
pub mod mounts;
#[cfg(test)]
mod nextest;
pub mod own_nginx;
pub mod platform;
pub mod samples;
pub mod script;
pub mod scripted;
pub mod seaweed;
pub mod stand_ins;
pub mod tls;

/// The seed of a test's random decisions: `MEDIALIFT_SEED`, else another one each time. It is printed, which is
/// shown where the test fails, so that the same decisions can be had again.
///
/// # Panics
/// Panics when `MEDIALIFT_SEED` is no number.
#[must_use]
pub fn seed() -> u64 {
    // Small enough that a test can add to it.
    let seed = std::env::var("MEDIALIFT_SEED").map_or_else(
        |_| u64::from(fastrand::u32(..)),
        |seed| seed.parse().expect("`MEDIALIFT_SEED` is a number"),
    );
    eprintln!("with `MEDIALIFT_SEED={seed}` the same random decisions are made again");
    seed
}
