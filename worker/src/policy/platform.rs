//! What the media entry tells the platform's cache: how long each answer may be kept, and as what an
//! error is to be taken.
//!
//! The cache keeps whatever has no rule for two hours, and serves a stale copy for ever where
//! `stale-if-error` is not stated (developers.cloudflare.com/workers/cache/configuration). So both are
//! always stated, but for a 5xx: that is what makes it serve a stale copy, and it keeps none.

use super::freshness::{self, FreshnessRule};
use super::origin_error::{OriginError, Remembered};
use super::time::UnixMillis;
use http::{HeaderMap, HeaderName, StatusCode};

/// The header in which the media entry states the rule for keeping its answer. Clients never see it.
pub const RULE: HeaderName = HeaderName::from_static("cloudflare-cdn-cache-control");

/// The header in which it says what a purge is to name.
pub const TAG: HeaderName = HeaderName::from_static("cache-tag");

/// The rule for what is not kept.
const NOT_KEPT: &str = "no-store";

/// For how long past its freshness a copy is served at once, while it is refreshed, in seconds. Nobody
/// waits then; later the first reader does. Long times would show a deleted picture once more to the
/// first reader in weeks.
const WHILE_REVALIDATE_SECONDS: u64 = 5;

/// The rule for an answer of the bucket that is no error: what [`freshness::entry_for`] would store is
/// kept for as long, and nothing else.
#[must_use]
pub fn rule_for_answer(
    status: StatusCode,
    bucket: &HeaderMap,
    rule: &FreshnessRule,
    now: UnixMillis,
) -> String {
    // A 304 speaks of the 200 that the platform has stored.
    let status = match status {
        StatusCode::NOT_MODIFIED => StatusCode::OK,
        other => other,
    };
    let Ok(entry) = freshness::entry_for(status, bucket, rule, now, now) else {
        return NOT_KEPT.to_owned();
    };
    let fresh = entry.fresh_until.0.saturating_sub(now.0) / 1000;
    let stale = (entry.stale_until.0 - entry.fresh_until.max(now).0) / 1000;
    let refreshed = stale.min(WHILE_REVALIDATE_SECONDS);
    format!("public, max-age={fresh}, stale-while-revalidate={refreshed}, stale-if-error={stale}")
}

/// The rule for an error; `None` for one that a stale copy covers.
///
/// A missing object takes the place of its stored copy, or the next fault of the bucket would bring that
/// back: `no-cache` is stored, and not served without asking
/// (developers.cloudflare.com/workers/cache/debugging).
#[must_use]
pub fn rule_for_error(error: OriginError, rule: &FreshnessRule) -> Option<String> {
    match error {
        OriginError::Missing { .. } if rule.negative_seconds > 0 => Some(format!(
            "public, max-age={}, stale-if-error=0",
            rule.negative_seconds
        )),
        OriginError::Missing { .. } => Some("no-cache, stale-if-error=0".to_owned()),
        error if error.is_covered_by_stale() => None,
        _ => Some(NOT_KEPT.to_owned()),
    }
}

/// The error as the cache is to be told it. It takes nothing but a 5xx for a fault that a stale copy
/// covers (developers.cloudflare.com/workers/cache/configuration), and a 429 is one; and a missing object
/// says to clients, too, for how long it is remembered.
#[must_use]
pub fn told(error: OriginError, rule: &FreshnessRule) -> OriginError {
    match error {
        OriginError::SlowDown { retry_after, .. } => OriginError::SlowDown {
            status: 503,
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
    use http::header::VARY;

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
        rule_for_answer(StatusCode::from_u16(status).unwrap(), headers, rule, NOW)
    }

    #[test]
    fn what_would_be_stored_is_kept_as_long_and_nothing_else() {
        let none = HeaderMap::new();
        let kept = "public, max-age=172800, stale-while-revalidate=5, stale-if-error=2592000";
        assert_eq!(stated(200, &none, &RULES), kept);
        assert_eq!(stated(304, &none, &RULES), kept, "confirmed");
        assert_eq!(stated(204, &none, &RULES), "no-store");
        let vary = HeaderMap::from_iter([(VARY, HeaderValue::from_static("*"))]);
        assert_eq!(stated(200, &vary, &RULES), "no-store");
    }

    #[test]
    fn how_long_a_stale_copy_is_served_is_always_said() {
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
        let of = |error, rule| rule_for_error(error, rule);
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
    fn a_busy_bucket_is_a_fault_and_a_missing_object_says_how_long_it_is_remembered() {
        let busy = |status| OriginError::SlowDown {
            status,
            retry_after: Some(7),
        };
        assert_eq!(told(busy(429), &RULES), busy(503));
        assert_eq!(told(busy(503), &RULES), busy(503));
        assert_eq!(told(OriginError::Timeout, &RULES), OriginError::Timeout);
        assert_eq!(told(MISSING, &RULES), MISSING);
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
        assert_eq!(told(MISSING, &remembering), remembered);
    }
}
