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
    fn what_used_no_copy_is_a_miss() {
        for word in ["", "BYPASS", "DYNAMIC", "NONE", "SOMETHING"] {
            check(word, "MISS");
        }
    }
}
