//! Settings that the version of Mastodon does not have, and its known faults.

use super::{Lint, Severity};
use crate::config::Version;

/// The first version that reads `S3_RETRY_LIMIT`.
pub(super) const RETRY_LIMIT: Version = Version::new(4, 3, 0);
/// The first version that reads `EXTRA_MEDIA_HOSTS`.
pub const EXTRA_MEDIA_HOSTS: Version = Version::new(4, 4, 0);

/// Settings, the first version that reads them (from Mastodon's changelog), and the effect in older ones.
const SINCE: [(&str, Version, Severity, &str); 4] = [
    (
        "S3_KEY_PREFIX",
        RETRY_LIMIT,
        Severity::Error,
        "keys have no prefix",
    ),
    (
        "CACHE_BUSTER_HTTP_METHOD",
        Version::new(4, 2, 0),
        Severity::Warning,
        "the cache buster sends GET, which purges nothing",
    ),
    (
        "EXTRA_MEDIA_HOSTS",
        EXTRA_MEDIA_HOSTS,
        Severity::Warning,
        "the files domain cannot be announced before the switch",
    ),
    (
        "S3_RETRY_LIMIT",
        RETRY_LIMIT,
        Severity::Warning,
        "an upload that B2 answers with 503 fails at once",
    ),
];

impl Lint<'_> {
    pub(super) fn versions(&mut self) {
        let Some(version) = self.context.version else {
            return;
        };
        for (key, since, severity, effect) in SINCE {
            if !version.has(since) && self.value(key).is_some() {
                self.add(
                    "version",
                    severity,
                    key,
                    format!("this is Mastodon {version}, which does not read `{key}`: {effect}"),
                    format!("update Mastodon to {since} or newer"),
                );
            }
        }
        if !self.is_enabled() {
            return;
        }
        let alias_has_path = ["S3_ALIAS_HOST", "S3_CLOUDFRONT_HOST"]
            .into_iter()
            .find_map(|key| self.value(key))
            .is_some_and(|alias| alias.contains('/'));
        if alias_has_path && !version.has(Version::new(4, 2, 0)) {
            self.error(
                "version",
                "S3_ALIAS_HOST",
                format!("this is Mastodon {version}, whose security policy refuses an alias host with a path"),
                "remove the path, or update Mastodon to 4.2.0 or newer",
            );
        }
        let leaks = Version::new(4, 7, 0)..=Version::new(4, 7, 2);
        let threshold = self
            .value("S3_MULTIPART_THRESHOLD")
            .and_then(|bytes| bytes.parse::<u64>().ok());
        // Mastodon accepts uploads of at most 99 MB.
        if leaks.contains(&version) && threshold.is_none_or(|bytes| bytes < 100_000_000) {
            self.warning(
                "multipart-leak",
                "S3_MULTIPART_THRESHOLD",
                format!("Mastodon {version} leaks threads when a multipart upload fails"),
                "update Mastodon to 4.7.3 or newer; until then write `S3_MULTIPART_THRESHOLD=104857600`",
            );
        }
    }
}
