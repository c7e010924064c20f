//! The bucket's service: where it is, the key to it, retries, and purges at the files domain.

use super::super::settings::{looks_like_a_key, shown};
use super::{Lint, bare_host, version};
use crate::config::Endpoint;

impl Lint<'_> {
    pub(super) fn endpoint(&mut self) {
        if let Some(value) = self.value("S3_HOSTNAME").filter(|v| v.contains('/')) {
            self.error(
                "hostname",
                "S3_HOSTNAME",
                format!(
                    "`S3_HOSTNAME` is `{}`: it must be a bare host name, with no scheme and no slash",
                    shown("S3_HOSTNAME", &value)
                ),
                format!("write `S3_HOSTNAME={}`", shown("S3_HOSTNAME", bare_host(&value))),
            );
        }
        let Some(value) = self.value("S3_ENDPOINT") else {
            return;
        };
        let seen = shown("S3_ENDPOINT", &value);
        let host = bare_host(&value).to_ascii_lowercase();
        if !value.starts_with("https://")
            && Endpoint::parse(&value).map_or(true, |e| !e.to_string().starts_with("http://"))
        {
            self.error(
                "endpoint-scheme",
                "S3_ENDPOINT",
                format!("`S3_ENDPOINT` is `{seen}`, without `https://` before it"),
                format!(
                    "write `S3_ENDPOINT=https://{}`",
                    shown("S3_ENDPOINT", &host)
                ),
            );
        }
        let rest = value
            .split_once("://")
            .map_or(value.as_str(), |(_, rest)| rest);
        // One slash at the end is the same address.
        if rest.trim_end_matches('/').contains('/') {
            self.error(
                "endpoint-path",
                "S3_ENDPOINT",
                format!("`S3_ENDPOINT` is `{seen}`: nothing may follow the host name"),
                format!(
                    "write `S3_ENDPOINT=https://{}`",
                    shown("S3_ENDPOINT", &host)
                ),
            );
        }
        if host.ends_with(".backblazeb2.com") && !host.contains("s3.") {
            self.error(
                "endpoint-host",
                "S3_ENDPOINT",
                format!("`S3_ENDPOINT` is `{seen}`: that host does not speak S3"),
                "write the endpoint as the bucket's page shows it, `https://s3.REGION.backblazeb2.com`",
            );
        }
        if let Some(bucket) = self.value("S3_BUCKET")
            && let Some(without) = host.strip_prefix(&format!("{}.", bucket.to_ascii_lowercase()))
        {
            self.error(
                "endpoint-bucket",
                "S3_ENDPOINT",
                format!(
                    "`S3_ENDPOINT` is `{seen}`: the bucket's name stands before the endpoint's"
                ),
                format!(
                    "write `S3_ENDPOINT=https://{}`",
                    shown("S3_ENDPOINT", without)
                ),
            );
        }
        let told = Endpoint::parse(&host)
            .ok()
            .and_then(|e| e.region().map(str::to_owned));
        if let (Some(told), Some(region)) = (&told, self.value("S3_REGION"))
            && *told != region
        {
            self.error(
                "region",
                "S3_REGION",
                format!(
                    "`S3_REGION` is `{}` and the endpoint is in `{told}`",
                    shown("S3_REGION", &region)
                ),
                format!(
                    "write `S3_REGION={told}`, if the endpoint is the one the bucket's page shows"
                ),
            );
        }
        if let (Some(told), Some(known)) = (told, self.known.region.clone())
            && told != known
        {
            self.error(
                "endpoint-region",
                "S3_ENDPOINT",
                format!("`S3_ENDPOINT` is in `{told}`, the bucket is in `{known}`"),
                format!(
                    "write `S3_ENDPOINT=https://s3.{known}.backblazeb2.com` and `S3_REGION={known}`"
                ),
            );
        }
    }

    pub(super) fn credentials(&mut self) {
        let at_backblaze = self
            .value("S3_ENDPOINT")
            .is_some_and(|e| e.to_ascii_lowercase().contains("backblazeb2.com"));
        if let Some(id) = self.value("AWS_ACCESS_KEY_ID") {
            let hex = id.bytes().all(|b| b.is_ascii_hexdigit());
            if hex && id.len() == 12 {
                self.error(
                    "master-key",
                    "AWS_ACCESS_KEY_ID",
                    "`AWS_ACCESS_KEY_ID` is that of the account's master key, which the S3 endpoint refuses: every upload will fail",
                    "make an application key for this bucket (`medialift provision`) and use that",
                );
            } else if at_backblaze && !(hex && id.len() == 25) && !looks_like_a_key(&id) {
                self.warning(
                    "key-id-form",
                    "AWS_ACCESS_KEY_ID",
                    format!("`AWS_ACCESS_KEY_ID` has {} characters; an application key's id has 25, digits and a to f", id.chars().count()),
                    "copy the keyID again",
                );
            }
        }
        if let Some(key) = self.value("AWS_SECRET_ACCESS_KEY")
            && at_backblaze
            && !looks_like_a_key(&key)
        {
            self.warning(
                "key-form",
                "AWS_SECRET_ACCESS_KEY",
                format!("`AWS_SECRET_ACCESS_KEY` has {} characters and not the form of an application key (31, the first `K`)", key.chars().count()),
                "copy the applicationKey again, or make a new key: it is shown only once",
            );
        }
        for key in [
            "AWS_REQUEST_CHECKSUM_CALCULATION",
            "AWS_RESPONSE_CHECKSUM_VALIDATION",
        ] {
            let value = self.value(key);
            if at_backblaze && value.as_deref() != Some("when_required") {
                self.warning(
                    "checksums",
                    key,
                    format!("`{key}` is not `when_required`: some Mastodon versions then send checksums that the service refuses"),
                    format!("write `{key}=when_required`"),
                );
            }
        }
    }

    pub(super) fn cache_buster(&mut self) {
        if self.value("CACHE_BUSTER_ENABLED").as_deref() != Some("true") {
            return;
        }
        for key in ["CACHE_BUSTER_SECRET_HEADER", "CACHE_BUSTER_SECRET"] {
            if !self.is_set(key) {
                self.error(
                    "cache-buster",
                    key,
                    format!("`CACHE_BUSTER_ENABLED` is `true` and `{key}` is not set: no purge is let through"),
                    format!("set `{key}` to what the worker has as `PURGE_{}`", key.trim_start_matches("CACHE_BUSTER_")),
                );
            }
        }
        let method = self.value("CACHE_BUSTER_HTTP_METHOD");
        if !matches!(method.as_deref(), Some("PURGE" | "POST" | "DELETE")) {
            let seen = method.as_deref().unwrap_or("GET");
            self.error(
                "cache-buster",
                "CACHE_BUSTER_HTTP_METHOD",
                format!("`CACHE_BUSTER_HTTP_METHOD` is `{}`, with which nothing is purged", shown("CACHE_BUSTER_HTTP_METHOD", seen)),
                "write `CACHE_BUSTER_HTTP_METHOD=PURGE` (or `POST`, where `medialift verify` says so)",
            );
        }
    }

    /// The service answers 503 in normal work, and Mastodon by itself tries once.
    pub(super) fn retries(&mut self) {
        if !self.is_enabled() {
            return;
        }
        let limit = self
            .value("S3_RETRY_LIMIT")
            .and_then(|v| v.parse::<u32>().ok());
        let what_to_write = "write `S3_RETRY_LIMIT=3`; `medialift env` does";
        match limit {
            None | Some(0)
                if self
                    .known
                    .version
                    .is_none_or(|v| v.has(version::RETRY_LIMIT)) =>
            {
                self.warning(
                    "retries",
                    "S3_RETRY_LIMIT",
                    "Mastodon tries an upload once, and the service answers 503 in normal work",
                    what_to_write,
                );
            }
            Some(4..) => self.warning(
                "retries",
                "S3_RETRY_LIMIT",
                "with more than 3 retries a request that is sure to fail is held up for long",
                what_to_write,
            ),
            _ => {}
        }
        let read_timeout = self
            .value("S3_READ_TIMEOUT")
            .and_then(|v| v.parse::<u32>().ok());
        if read_timeout.is_none_or(|seconds| seconds <= 5) {
            self.warning(
                "timeouts",
                "S3_READ_TIMEOUT",
                "Mastodon waits 5 seconds for an answer, which is too short for large uploads",
                "write `S3_READ_TIMEOUT=20`; `medialift env` does",
            );
        }
    }
}
