//! `X-Cache-Status`, in nginx's words.

/// nginx's `$upstream_cache_status`: where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheStatus {
    /// From the bucket: no copy was stored.
    Miss,
    /// From a fresh copy, without asking the bucket.
    Hit,
    /// From the bucket, in the place of a stale copy.
    Expired,
    /// From a stale copy, because the bucket gave no answer.
    Stale,
    /// From a stale copy, while another reader's request refreshes it.
    Updating,
    /// From a stale copy that the bucket has confirmed.
    Revalidated,
}

impl CacheStatus {
    /// The value of the header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Miss => "MISS",
            Self::Hit => "HIT",
            Self::Expired => "EXPIRED",
            Self::Stale => "STALE",
            Self::Updating => "UPDATING",
            Self::Revalidated => "REVALIDATED",
        }
    }

    /// Whether the bucket was asked before the answer was given.
    pub const fn has_asked_bucket(self) -> bool {
        !matches!(self, Self::Hit | Self::Updating)
    }

    /// The value of `Server-Timing`: the status, and where the bucket was asked, how long it was waited for,
    /// in milliseconds.
    pub fn server_timing(self, waited: Option<u64>) -> String {
        let cache = ["cache;desc=", self.as_str()].concat();
        match waited.filter(|_| self.has_asked_bucket()) {
            Some(milliseconds) => [&cache, ", origin;dur=", &milliseconds.to_string()].concat(),
            None => cache,
        }
    }

    /// Reads `X-Cache-Status`, or the platform's `Cf-Cache-Status`. A value that is not nginx's (`BYPASS`,
    /// `DYNAMIC`, `NONE` and unknown ones) is a [`Miss`](Self::Miss): no copy was used.
    pub fn parse(text: &str) -> Self {
        [
            Self::Hit,
            Self::Expired,
            Self::Stale,
            Self::Updating,
            Self::Revalidated,
        ]
        .into_iter()
        .find(|status| status.as_str().eq_ignore_ascii_case(text.trim()))
        .unwrap_or(Self::Miss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(CacheStatus::parse(text).as_str(), expected);
    }

    #[test]
    fn the_platforms_statuses_are_read() {
        for text in ["HIT", "MISS", "EXPIRED", "STALE", "UPDATING", "REVALIDATED"] {
            check(text, text);
        }
        check(" hit ", "HIT");
    }

    #[test]
    fn the_buckets_time_is_stated_where_it_was_asked() {
        let timing = |status: CacheStatus| status.server_timing(Some(83));
        assert_eq!(timing(CacheStatus::Miss), "cache;desc=MISS, origin;dur=83");
        assert_eq!(
            timing(CacheStatus::Stale),
            "cache;desc=STALE, origin;dur=83"
        );
        assert_eq!(timing(CacheStatus::Hit), "cache;desc=HIT");
        assert_eq!(timing(CacheStatus::Updating), "cache;desc=UPDATING");
        assert_eq!(CacheStatus::Miss.server_timing(None), "cache;desc=MISS");
    }

    #[test]
    fn what_used_no_copy_is_a_miss() {
        for text in ["", "BYPASS", "DYNAMIC", "NONE", "SOMETHING"] {
            check(text, "MISS");
        }
    }
}
