//! Moments, and the dates that HTTP writes for them.
//!
//! Nothing here reads a clock: the present moment is always a parameter.

use serde::{Deserialize, Serialize};
use std::time::{Duration, UNIX_EPOCH};

/// The last moment whose year has four digits, as HTTP's dates require, in seconds since 1970.
const LAST_WRITABLE_SECOND: u64 = 253_402_300_799;

/// A moment, in milliseconds since the start of 1970 (UTC), as `Date.now()` counts.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The moment `seconds` later; the last one that there is where that would overflow.
    pub fn plus_seconds(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1000)))
    }

    /// The moment `milliseconds` later; the last one that there is where that would overflow.
    pub fn plus_millis(self, milliseconds: u64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }

    /// Whole seconds since the start of 1970, rounded down.
    pub fn seconds(self) -> u64 {
        self.0 / 1000
    }
}

/// Writes `moment` as `Last-Modified` and `Expires` want it: `Sun, 06 Nov 1994 08:49:37 GMT`.
///
/// A moment past the year 9999 is written as the last second of that year.
pub fn http_date(moment: UnixMillis) -> String {
    let seconds = moment.seconds().min(LAST_WRITABLE_SECOND);
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}

/// Reads any of the three forms of RFC 9110, section 5.6.7, as seconds since 1970.
///
/// `None` for what is no date, and for dates before 1970.
pub fn parse_http_date(text: &str) -> Option<u64> {
    let date = httpdate::parse_http_date(text.trim()).ok()?;
    Some(date.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_written_as_http_wants_it_and_read_back() {
        let text = http_date(UnixMillis(784_111_777_999));
        assert_eq!(text, "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(parse_http_date(&text), Some(784_111_777));
    }

    #[test]
    fn the_last_moment_is_still_a_date() {
        let text = http_date(UnixMillis(u64::MAX).plus_seconds(u64::MAX));
        assert_eq!(text, "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in ["", "0", "-1", "now", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(parse_http_date(text), None, "{text}");
        }
    }
}
