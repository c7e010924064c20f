//! What a million reads cost: a request log, replayed under a simulated clock.
//!
//! The worker's part is its own engine and policy, natively: nothing of it is retold. What cannot
//! be run so (nginx, the platform's cache) is told in [`retold`], one page for both. [`log`] makes
//! the log, [`engine`] replays it through the engine, [`tally`] counts. `program.rs` prints the
//! counts; prices are left to whoever reads them (`cargo xtask bench cost`).

pub(crate) mod engine;
pub(crate) mod log;
pub(crate) mod retold;
pub(crate) mod tally;

#[expect(dead_code, reason = "the engine's own tests use all of it")]
#[path = "../../engine/simulation/executor.rs"]
mod executor;

use edge_worker::policy::freshness::FreshnessRule;
use edge_worker::settings::{RawSettings, Settings};

use engine::Places;
use log::Shape;
use retold::{Rules, replay, replay_without_cache};
use tally::Tally;

/// Seconds in a day.
pub(crate) const DAY_SECONDS: u64 = 24 * 60 * 60;

/// Everyone who serves the log, by name.
pub(crate) fn contenders(shape: &Shape) -> Vec<(&'static str, Tally)> {
    let log = log::make(shape);
    let rule = settings().freshness;
    let month = FreshnessRule {
        fresh_seconds: 30 * DAY_SECONDS,
        ..rule
    };
    let engine = |rule, places| engine::replay(&log, rule, places);
    vec![
        (WORKER_ONE, engine(rule, Places::One)),
        (
            "worker, engine, a cache in each of 10 places",
            engine(rule, Places::Each),
        ),
        (
            "worker, engine, 10 places, `FRESH_SECONDS` of 30 days",
            engine(month, Places::Each),
        ),
        (
            "worker, platform, one cache worldwide",
            replay(&log, &Rules::of_platform(&rule)),
        ),
        (NGINX, replay(&log, &Rules::of_nginx(Some(NGINX_BYTES)))),
        (NGINX_WITHOUT_LIMIT, replay(&log, &Rules::of_nginx(None))),
        (NO_CACHE, replay_without_cache(&log)),
    ]
}

/// The worker with as many caches as nginx has.
pub(crate) const WORKER_ONE: &str = "worker, engine, one cache";
/// nginx with the directives that the worker replaces.
pub(crate) const NGINX: &str = "nginx, 10 GB";
/// nginx with room for everything.
pub(crate) const NGINX_WITHOUT_LIMIT: &str = "nginx, no limit to its size";
/// The bucket itself.
pub(crate) const NO_CACHE: &str = "no cache";

/// `max_size=10g`, in bytes.
const NGINX_BYTES: u64 = 10 << 30;

/// The worker's settings, as they are where nothing is set.
pub(crate) fn settings() -> Settings {
    let raw = RawSettings::collect(|name| {
        (name == "ORIGIN_URL").then(|| "http://127.0.0.1:1/media".to_owned())
    });
    Settings::parse(&raw).unwrap_or_else(|faults| {
        panic!("{}", edge_worker::settings::describe(&faults));
    })
}
