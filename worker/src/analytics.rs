//! Figures for Workers Analytics Engine, where a dataset is bound as `ANALYTICS`: one point a read.
//! `docs/operate.md` has queries for it.
//!
//! | place | what |
//! |---|---|
//! | `index1`, `blob1` | how the cache came by the answer: `HIT`; `NONE` for an error |
//! | `blob2` | the first directory of the key: `accounts`, `cache`, `media_attachments` |
//! | `blob3` | the answer's status |
//! | `double1` | how many bytes the answer has; 0 where it does not say |
//! | `double2` | how long the bucket was waited for, in milliseconds; 0 where it was not asked |
//! | `double3` | 1 where the bucket had a fault, covered by a stale copy or not |

use crate::admission::ObjectKey;
use crate::policy::headers::{SERVER_TIMING, X_CACHE_STATUS, digits};
use crate::sdk;
use worker::web_sys::Response;
use worker::{AnalyticsEngineDataPointBuilder, Env};

/// The dataset's binding in `wrangler.toml`.
const DATASET: &str = "ANALYTICS";

/// Whether somebody wants points.
#[must_use]
pub fn is_bound(env: &Env) -> bool {
    env.analytics_engine(DATASET).is_ok()
}

/// Writes the point of a read that was answered so.
pub fn record(env: &Env, key: &ObjectKey, answer: &Response) {
    let Ok(dataset) = env.analytics_engine(DATASET) else {
        return;
    };
    let headers = answer.headers();
    let cache = sdk::header(&headers, X_CACHE_STATUS.as_str());
    let cache = cache.as_deref().unwrap_or("NONE");
    let status = answer.status();
    let length = sdk::header(&headers, "content-length");
    let bytes = length.as_deref().and_then(digits).unwrap_or_default();
    let timing = sdk::header(&headers, SERVER_TIMING.as_str()).unwrap_or_default();
    let waited = timing
        .split_once("origin;dur=")
        .and_then(|(_, milliseconds)| digits(milliseconds));
    let has_failed = cache == "STALE" || status >= 500;
    let kind = key.as_str().split('/').next().unwrap_or_default();
    let point = AnalyticsEngineDataPointBuilder::new()
        .indexes([cache])
        .add_blob(cache)
        .add_blob(kind)
        .add_blob(status.to_string().as_str())
        // Numbers there are floating; a file is never so long that it would matter.
        .add_double(bytes as f64)
        .add_double(waited.unwrap_or_default() as f64)
        .add_double(f64::from(u8::from(has_failed)));
    // A point that is lost is no reason to fail a read.
    _ = point.write_to(&dataset);
}
