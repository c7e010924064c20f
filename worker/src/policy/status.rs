//! What `X-Cache-Status` says, in nginx's words.

/// How the cache came by the answer it gave: nginx's `$upstream_cache_status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheStatus {
    /// Nothing was stored; the bucket was asked.
    Miss,
    /// A fresh copy was there; the bucket was not asked.
    Hit,
    /// A copy was there but no longer fresh; the answer is the bucket's new one.
    Expired,
    /// A copy was there but no longer fresh, the bucket could not answer, and the copy is the answer.
    Stale,
    /// A copy was there but no longer fresh, another reader is fetching its successor, and the
    /// copy is the answer.
    Updating,
    /// A copy was there but no longer fresh, the bucket confirmed that it still holds, and the
    /// copy is the answer.
    Revalidated,
}

impl CacheStatus {
    /// The word for the header.
    #[must_use]
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
    #[must_use]
    pub const fn has_asked(self) -> bool {
        !matches!(self, Self::Hit | Self::Updating)
    }

    /// The value of `Server-Timing`: the word, and how long the bucket was waited for, in milliseconds,
    /// where it was.
    #[must_use]
    pub fn server_timing(self, waited: Option<u64>) -> String {
        let cache = ["cache;desc=", self.as_str()].concat();
        match waited.filter(|_| self.has_asked()) {
            Some(milliseconds) => [&cache, ", origin;dur=", &milliseconds.to_string()].concat(),
            None => cache,
        }
    }

    /// Reads the platform's `Cf-Cache-Status`. Whatever says that no copy was used (`BYPASS`,
    /// `DYNAMIC`, `NONE`, a word of tomorrow's) is a [`Miss`](Self::Miss): the bucket was asked.
    #[must_use]
    pub fn from_platform(word: &str) -> Self {
        [
            Self::Hit,
            Self::Expired,
            Self::Stale,
            Self::Updating,
            Self::Revalidated,
        ]
        .into_iter()
        .find(|status| status.as_str().eq_ignore_ascii_case(word.trim()))
        .unwrap_or(Self::Miss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(word: &str, expected: &str) {
        assert_eq!(CacheStatus::from_platform(word).as_str(), expected);
    }

    #[test]
    fn the_platforms_words_become_nginxs() {
        for word in ["HIT", "MISS", "EXPIRED", "STALE", "UPDATING", "REVALIDATED"] {
            check(word, word);
        }
        check(" hit ", "HIT");
    }

    #[test]
    fn the_buckets_time_is_told_where_it_was_asked() {
        let told = |status: CacheStatus| status.server_timing(Some(83));
        assert_eq!(told(CacheStatus::Miss), "cache;desc=MISS, origin;dur=83");
        assert_eq!(told(CacheStatus::Stale), "cache;desc=STALE, origin;dur=83");
        assert_eq!(told(CacheStatus::Hit), "cache;desc=HIT");
        assert_eq!(told(CacheStatus::Updating), "cache;desc=UPDATING");
        assert_eq!(CacheStatus::Miss.server_timing(None), "cache;desc=MISS");
    }

    #[test]
    fn what_used_no_copy_is_a_miss() {
        for word in ["", "BYPASS", "DYNAMIC", "NONE", "SOMETHING"] {
            check(word, "MISS");
        }
    }
}
