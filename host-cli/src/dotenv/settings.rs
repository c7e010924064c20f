//! The settings that Mastodon needs to keep its media in the bucket.
//!
//! Names and meanings are those of Mastodon's documentation ("Configuring your environment"). Where
//! Backblaze B2 needs another value, the reason is given at the setting.

use crate::config::{Credentials, Secret, Target, Visibility};

/// Mastodon's cache buster, which purges deleted files at the files domain.
#[derive(Clone, Debug)]
pub struct CacheBuster {
    /// `PURGE`, `POST` or `DELETE`.
    pub method: String,
    /// Name of the header that carries the secret.
    pub header: String,
    /// The worker's `PURGE_SECRET`.
    pub secret: Secret,
}

/// The input of the switch to the bucket.
pub struct Switch<'a> {
    /// The bucket.
    pub target: &'a Target,
    /// The key with which Mastodon uploads.
    pub credentials: &'a Credentials,
    /// `files.example.com`, without scheme and slash.
    pub files_host: &'a str,
    /// Whether the bucket is public.
    pub visibility: Visibility,
    /// The cache buster, where its secret is known.
    pub cache_buster: Option<&'a CacheBuster>,
}

/// Settings that are written unless they are set. B2 regularly answers 503, and Mastodon's defaults are
/// one attempt and 5 seconds. More than three retries would block a web request for too long.
pub const UNLESS_SET: [(&str, &str); 3] = [
    ("S3_RETRY_LIMIT", "3"),
    ("S3_OPEN_TIMEOUT", "10"),
    ("S3_READ_TIMEOUT", "20"),
];

impl Switch<'_> {
    /// The settings in the order in which they are written.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let target = self.target;
        let mut settings = vec![
            ("S3_ENABLED", "true".to_owned()),
            ("S3_BUCKET", target.bucket.clone()),
            ("S3_REGION", target.region.clone()),
            ("S3_ENDPOINT", target.endpoint.to_string()),
            ("S3_PROTOCOL", "https".to_owned()),
            ("S3_HOSTNAME", target.endpoint.authority().to_owned()),
            ("S3_ALIAS_HOST", self.files_host.to_owned()),
            ("S3_PERMISSION", permission(self.visibility).to_owned()),
        ];
        if !target.key_prefix.is_empty() {
            let prefix = target.key_prefix.trim_end_matches('/').to_owned();
            settings.push(("S3_KEY_PREFIX", prefix));
        }
        settings.extend([
            ("AWS_ACCESS_KEY_ID", self.credentials.key_id.clone()),
            (
                "AWS_SECRET_ACCESS_KEY",
                self.credentials.key.expose().to_owned(),
            ),
            // Otherwise recent versions of the SDK send checksums that B2 has rejected.
            (
                "AWS_REQUEST_CHECKSUM_CALCULATION",
                "when_required".to_owned(),
            ),
            (
                "AWS_RESPONSE_CHECKSUM_VALIDATION",
                "when_required".to_owned(),
            ),
        ]);
        if let Some(buster) = self.cache_buster {
            settings.extend([
                ("CACHE_BUSTER_ENABLED", "true".to_owned()),
                ("CACHE_BUSTER_HTTP_METHOD", buster.method.clone()),
                ("CACHE_BUSTER_SECRET_HEADER", buster.header.clone()),
                ("CACHE_BUSTER_SECRET", buster.secret.expose().to_owned()),
            ]);
        }
        settings
    }
}

/// `S3_PERMISSION` for a bucket of this visibility.
///
/// The ACL of an upload must match the bucket, else the service answers 400. On a public bucket
/// it is empty, so that none is sent: with `public-read`, suspending an account sends `private`
/// and fails.
pub fn permission(visibility: Visibility) -> &'static str {
    match visibility {
        Visibility::Public => "",
        Visibility::Private => "private",
    }
}

/// The value of `EXTRA_MEDIA_HOSTS` with `origin` (`https://files.example.com`) added if it is missing.
pub fn with_media_host(existing: Option<&str>, origin: &str) -> String {
    let existing = existing.unwrap_or_default();
    if hosts(existing).any(|host| same_origin(host, origin)) {
        return existing.to_owned();
    }
    match existing.trim().trim_end_matches(',') {
        "" => origin.to_owned(),
        others => format!("{others},{origin}"),
    }
}

/// The hosts of an `EXTRA_MEDIA_HOSTS`: split at commas and at space, as Mastodon does.
pub fn hosts(value: &str) -> impl Iterator<Item = &str> {
    value
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(|host| !host.is_empty())
}

/// Whether two origins are equal, apart from case and a slash at the end.
pub fn same_origin(a: &str, b: &str) -> bool {
    let bare = |text: &str| text.trim_end_matches('/').to_ascii_lowercase();
    bare(a) == bare(b)
}

/// Whether the value of a variable of this name is a secret.
pub fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_uppercase();
    if matches!(
        key.as_str(),
        "AWS_ACCESS_KEY_ID" | "S3_KEY_PREFIX" | "CACHE_BUSTER_SECRET_HEADER" | "VAPID_PUBLIC_KEY"
    ) {
        return false;
    }
    [
        "SECRET",
        "PASS",
        "TOKEN",
        "PRIVATE",
        "CREDENTIAL",
        "_KEY",
        "SALT",
        "DSN",
    ]
    .iter()
    .any(|word| key.contains(word))
        || key.ends_with("_URL") && !key.starts_with("S3_")
}

/// Whether a value contains a text with the form of an application key: `K`, three digits, 27 letters of
/// base64.
pub fn has_key_form(value: &str) -> bool {
    value
        .split(|c: char| !(c.is_ascii_alphanumeric() || "+/-_".contains(c)))
        .any(|word| {
            let bytes = word.as_bytes();
            bytes.len() == 31 && bytes[0] == b'K' && bytes[1..4].iter().all(u8::is_ascii_digit)
        })
}

/// The value for a message, masked unless it has the form of a host, an address, a name or a switch.
///
/// Any other value may contain a secret: with several settings on one line, or an open quote.
pub fn masked(key: &str, value: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._:/,+-".contains(&b);
    if value.is_empty() {
        String::new()
    } else if is_secret(key) || has_key_form(value) {
        "(secret)".to_owned()
    } else if value.len() <= 200 && value.replace(", ", ",").bytes().all(plain) {
        value.to_owned()
    } else {
        "(not shown)".to_owned()
    }
}

/// Names of settings inside a value, as when several are written on one line: `A=b NAME=c`.
pub fn settings_inside(value: &str) -> Vec<&str> {
    value
        .split_ascii_whitespace()
        .skip(1)
        .filter_map(|word| word.split_once('=').map(|(name, _)| name))
        .filter(|name| {
            name.starts_with(|c: char| c.is_ascii_uppercase())
                && name
                    .bytes()
                    .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_host_is_added_once_and_others_are_kept() {
        let origin = "https://files.example.com";
        assert_eq!(with_media_host(None, origin), origin);
        assert_eq!(with_media_host(Some(""), origin), origin);
        assert_eq!(
            with_media_host(Some("https://old.example"), origin),
            "https://old.example,https://files.example.com"
        );
        for there in [
            "https://files.example.com",
            "https://a.example, https://FILES.example.com/",
            "https://files.example.com https://a.example",
        ] {
            assert_eq!(with_media_host(Some(there), origin), there);
        }
    }

    #[test]
    fn no_secret_is_shown_under_any_name() {
        let key = "K001abcdefghijklmnopqrstuvwx+/1";
        assert_eq!(key.len(), 31);
        for name in [
            "AWS_SECRET_ACCESS_KEY",
            "SECRET_KEY_BASE",
            "OTP_SECRET",
            "DB_PASS",
            "SMTP_PASSWORD",
            "VAPID_PRIVATE_KEY",
            "DATABASE_URL",
            "ACTIVE_RECORD_ENCRYPTION_KEY_DERIVATION_SALT",
        ] {
            assert_eq!(masked(name, "hunter2"), "(secret)", "{name}");
        }
        for name in ["S3_BUCKET", "AWS_ACCESS_KEY_ID"] {
            assert_eq!(masked(name, "plain"), "plain");
            assert_eq!(masked(name, key), "(secret)");
            assert_eq!(masked(name, &format!("\"{key}\"")), "(secret)");
        }
        for value in [
            "true AWS_SECRET_ACCESS_KEY=hunter2",
            "https://user:hunter2@host",
            "a\nSECRET_KEY_BASE=hunter2",
        ] {
            assert_eq!(masked("S3_ENDPOINT", value), "(not shown)");
        }
    }

    #[test]
    fn settings_on_one_line_are_found() {
        assert_eq!(
            settings_inside("true S3_BUCKET=a export CACHE_BUSTER_SECRET=b"),
            ["S3_BUCKET", "CACHE_BUSTER_SECRET"]
        );
        assert!(settings_inside("S3_BUCKET=a").is_empty());
        assert!(settings_inside("Bob <bob@social.example> a=b").is_empty());
    }
}
