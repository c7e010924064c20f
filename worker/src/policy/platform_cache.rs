//! What the media entry states to the platform's cache: how long each answer may be kept, and the status of
//! an error.
//!
//! The cache keeps an answer without `Cache-Control` for two hours, and serves a stale copy without limit
//! where `stale-if-error` is missing (developers.cloudflare.com/workers/cache/configuration). So both are
//! always stated, except with a 5xx: the cache does not keep that, and serves a stale copy instead.

use super::freshness::{self, FreshnessRule};
use super::origin_error::{OriginError, Remembered};
use super::time::UnixMillis;
use http::{HeaderMap, HeaderName, StatusCode};

/// The header that states to the cache, and to no client, how long it may keep the answer.
pub const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cloudflare-cdn-cache-control");

/// The header with the name by which a purge finds the answer.
pub const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");

/// Nothing keeps the answer.
const NO_STORE: &str = "no-store";

/// For how long past its freshness a copy is served at once, while it is refreshed, in seconds. Later the
/// first reader waits for the refresh. A longer time would show a deleted picture again to the first reader
/// in weeks.
const WHILE_REVALIDATE_SECONDS: u64 = 5;

/// How long the cache may keep an answer that is no error: what [`freshness::record_for`] would store for as
/// long, and nothing else.
pub fn cache_control_of_answer(
    status: StatusCode,
    from_origin: &HeaderMap,
    rule: &FreshnessRule,
    now: UnixMillis,
) -> String {
    // A 304 is about a 200 that the cache has stored.
    let is_revalidation = status == StatusCode::NOT_MODIFIED;
    let status = if is_revalidation {
        StatusCode::OK
    } else {
        status
    };
    let record = match freshness::record_for(status, from_origin, rule, now, now) {
        Ok(record) => record,
        // The copy is the right answer now, and the bucket is asked again the next time.
        Err(_) if is_revalidation => {
            return format!("no-cache, stale-if-error={}", rule.stale_seconds);
        }
        Err(_) => return NO_STORE.to_owned(),
    };
    let fresh = record.fresh_until.0.saturating_sub(now.0) / 1000;
    let stale = (record.stale_until.0 - record.fresh_until.max(now).0) / 1000;
    let refreshed = stale.min(WHILE_REVALIDATE_SECONDS);
    format!("public, max-age={fresh}, stale-while-revalidate={refreshed}, stale-if-error={stale}")
}

/// How long the cache may keep an error; `None` for an error that a stale copy covers.
///
/// The answer about a missing object replaces the stored copy, which the cache would otherwise serve at the
/// bucket's next fault. So it is `no-cache`: stored, but not served without asking
/// (developers.cloudflare.com/workers/cache/debugging).
pub fn cache_control_of_error(error: OriginError, rule: &FreshnessRule) -> Option<String> {
    match error {
        OriginError::Missing { .. } if rule.negative_seconds > 0 => Some(format!(
            "public, max-age={}, stale-if-error=0",
            rule.negative_seconds
        )),
        OriginError::Missing { .. } => Some("no-cache, stale-if-error=0".to_owned()),
        error if error.is_covered_by_stale() => None,
        _ => Some(NO_STORE.to_owned()),
    }
}

/// The error as it is reported to the cache.
///
/// The cache serves a stale copy for a 5xx only (developers.cloudflare.com/workers/cache/configuration), so
/// 429 becomes 503. It keeps a 501 without `Cache-Control`, so every 5xx other than 500, 502, 503 and 504
/// becomes 502. For a missing object, clients are also informed how long it is remembered.
pub fn as_reported(error: OriginError, rule: &FreshnessRule) -> OriginError {
    match error {
        OriginError::SlowDown { retry_after, .. } => OriginError::SlowDown {
            status: 503,
            retry_after,
        },
        OriginError::Server {
            status,
            retry_after,
        } if !matches!(status, 500 | 502 | 503 | 504) => OriginError::Server {
            status: 502,
            retry_after,
        },
        OriginError::Missing { status, .. } => OriginError::Missing {
            status,
            remembered: (rule.negative_seconds > 0).then_some(Remembered {
                max_age: rule.negative_seconds,
                age: 0,
            }),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::freshness::OriginCacheControl;
    use http::HeaderValue;
    use http::header::{CACHE_CONTROL, VARY};

    const NOW: UnixMillis = UnixMillis(784_111_777_000);
    const RULES: FreshnessRule = FreshnessRule {
        fresh_seconds: 172_800,
        stale_seconds: 2_592_000,
        negative_seconds: 0,
        origin: OriginCacheControl::Ignore,
    };
    const MISSING: OriginError = OriginError::Missing {
        status: 404,
        remembered: None,
    };

    fn stated(status: u16, headers: &HeaderMap, rule: &FreshnessRule) -> String {
        cache_control_of_answer(StatusCode::from_u16(status).unwrap(), headers, rule, NOW)
    }

    #[test]
    fn the_cache_keeps_what_the_engine_would_store_and_as_long() {
        let none = HeaderMap::new();
        let kept = "public, max-age=172800, stale-while-revalidate=5, stale-if-error=2592000";
        assert_eq!(stated(200, &none, &RULES), kept);
        assert_eq!(stated(304, &none, &RULES), kept, "confirmed");
        assert_eq!(stated(204, &none, &RULES), "no-store");
        let vary = HeaderMap::from_iter([(VARY, HeaderValue::from_static("*"))]);
        assert_eq!(stated(200, &vary, &RULES), "no-store");
    }

    #[test]
    fn a_304_that_forbids_to_store_is_no_cache() {
        let respect = FreshnessRule {
            origin: OriginCacheControl::Respect,
            ..RULES
        };
        let forbids = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static("no-store"))]);
        assert_eq!(stated(200, &forbids, &respect), "no-store");
        let asked_again = "no-cache, stale-if-error=2592000";
        assert_eq!(stated(304, &forbids, &respect), asked_again);
    }

    #[test]
    fn stale_if_error_is_always_stated() {
        let rule = |stale_seconds| FreshnessRule {
            stale_seconds,
            fresh_seconds: 60,
            ..RULES
        };
        let none = HeaderMap::new();
        for (stale, end) in [
            (0, "stale-while-revalidate=0, stale-if-error=0"),
            (3, "stale-while-revalidate=3, stale-if-error=3"),
            (60, "stale-while-revalidate=5, stale-if-error=60"),
        ] {
            let expected = format!("public, max-age=60, {end}");
            assert_eq!(stated(200, &none, &rule(stale)), expected);
        }
    }

    #[test]
    fn an_error_is_kept_no_longer_than_the_rule_says() {
        let remembering = FreshnessRule {
            negative_seconds: 30,
            ..RULES
        };
        let of = |error, rule| cache_control_of_error(error, rule);
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(of(MISSING, &RULES), text("no-cache, stale-if-error=0"));
        assert_eq!(
            of(MISSING, &remembering),
            text("public, max-age=30, stale-if-error=0")
        );
        for error in [OriginError::Denied, OriginError::Refused { status: 400 }] {
            assert_eq!(of(error, &remembering), text("no-store"), "{error:?}");
        }
        for error in [
            OriginError::Connect,
            OriginError::Timeout,
            OriginError::CapExceeded,
            OriginError::Credentials,
            OriginError::WrongBucket,
        ] {
            assert_eq!(of(error, &remembering), None, "{error:?}");
        }
    }

    #[test]
    fn slow_down_is_reported_as_503_and_a_missing_object_with_its_max_age() {
        let busy = |status| OriginError::SlowDown {
            status,
            retry_after: Some(7),
        };
        let reported = |error| as_reported(error, &RULES);
        assert_eq!(reported(busy(429)), busy(503));
        assert_eq!(reported(busy(503)), busy(503));
        assert_eq!(reported(OriginError::Timeout), OriginError::Timeout);
        assert_eq!(reported(MISSING), MISSING);
        let server = |status| OriginError::Server {
            status,
            retry_after: None,
        };
        for (status, expected) in [(500, 500), (501, 502), (503, 503), (520, 502), (599, 502)] {
            assert_eq!(reported(server(status)), server(expected));
        }
        let remembering = FreshnessRule {
            negative_seconds: 30,
            ..RULES
        };
        let remembered = OriginError::Missing {
            status: 404,
            remembered: Some(Remembered {
                max_age: 30,
                age: 0,
            }),
        };
        assert_eq!(as_reported(MISSING, &remembering), remembered);
    }
}
