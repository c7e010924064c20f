//! Workers Analytics Engine: one data point for each read, where a dataset is bound as `ANALYTICS`.
//! `docs/operate.md` has queries.
//!
//! | field | value |
//! |---|---|
//! | `index1`, `blob1` | the cache status, such as `HIT`; `NONE` for an error |
//! | `blob2` | the first directory of the key below `KEY_PREFIX`, such as `accounts`; `-` without one |
//! | `blob3` | the answer's status |
//! | `double1` | `Content-Length`, in bytes; 0 for HEAD, and where it is missing |
//! | `double2` | how long the bucket was waited for, in milliseconds; 0 for errors, and where it was not asked |
//! | `double3` | 1 where the bucket had a fault, whether or not a stale copy was served |

use crate::policy::headers::{SERVER_TIMING, X_CACHE_STATUS, parse_number};
use crate::sdk;
use worker::web_sys::Response;
use worker::{AnalyticsEngineDataPointBuilder, Env};

/// The dataset's binding in `wrangler.toml`.
const DATASET: &str = "ANALYTICS";

/// Whether a dataset is bound.
pub fn is_bound(env: &Env) -> bool {
    env.analytics_engine(DATASET).is_ok()
}

/// Writes the point of a read. `path`: the key below `KEY_PREFIX`.
pub fn write_point(env: &Env, path: &str, head: bool, answer: &Response) {
    let Ok(dataset) = env.analytics_engine(DATASET) else {
        return;
    };
    let headers = answer.headers();
    let cache = sdk::header(&headers, X_CACHE_STATUS.as_str());
    let cache = cache.as_deref().unwrap_or("NONE");
    let status = answer.status();
    let length = sdk::header(&headers, "content-length");
    let bytes = length.as_deref().filter(|_| !head).and_then(parse_number);
    let timing = sdk::header(&headers, SERVER_TIMING.as_str()).unwrap_or_default();
    let waited = timing
        .split_once("origin;dur=")
        .and_then(|(_, milliseconds)| parse_number(milliseconds));
    let has_failed = cache == "STALE" || status >= 500;
    let kind = path.split_once('/').map_or("-", |(directory, _)| directory);
    let point = AnalyticsEngineDataPointBuilder::new()
        .indexes([cache])
        .add_blob(cache)
        .add_blob(kind)
        .add_blob(status.to_string().as_str())
        // Exact up to 2^53 bytes.
        .add_double(bytes.unwrap_or_default() as f64)
        .add_double(waited.unwrap_or_default() as f64)
        .add_double(f64::from(u8::from(has_failed)));
    // A lost point does not fail the read.
    _ = point.write_to(&dataset);
}
