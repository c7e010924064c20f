//! The endpoint, the key, retries, and purges at the files domain.

use super::super::settings::{has_key_form, masked};
use super::{Lint, bare_host, version};
use crate::config::Endpoint;

impl Lint<'_> {
    pub(super) fn endpoint(&mut self) {
        if let Some(value) = self.value("S3_HOSTNAME").filter(|v| v.contains('/')) {
            self.error(
                "hostname",
                "S3_HOSTNAME",
                format!(
                    "`S3_HOSTNAME` is `{}`: it must be a host name without scheme and slash",
                    masked("S3_HOSTNAME", &value)
                ),
                format!(
                    "write `S3_HOSTNAME={}`",
                    masked("S3_HOSTNAME", bare_host(&value))
                ),
            );
        }
        let Some(value) = self.value("S3_ENDPOINT") else {
            return;
        };
        let shown = masked("S3_ENDPOINT", &value);
        let host = bare_host(&value).to_ascii_lowercase();
        if !value.starts_with("https://")
            && Endpoint::parse(&value).map_or(true, |e| !e.to_string().starts_with("http://"))
        {
            self.error(
                "endpoint-scheme",
                "S3_ENDPOINT",
                format!("`S3_ENDPOINT` is `{shown}`: it must begin with `https://`"),
                format!(
                    "write `S3_ENDPOINT=https://{}`",
                    masked("S3_ENDPOINT", &host)
                ),
            );
        }
        let rest = value
            .split_once("://")
            .map_or(value.as_str(), |(_, rest)| rest);
        // One slash at the end does not change the address.
        if rest.trim_end_matches('/').contains('/') {
            self.error(
                "endpoint-path",
                "S3_ENDPOINT",
                format!("`S3_ENDPOINT` is `{shown}`: nothing may follow the host name"),
                format!(
                    "write `S3_ENDPOINT=https://{}`",
                    masked("S3_ENDPOINT", &host)
                ),
            );
        }
        if host.ends_with(".backblazeb2.com") && !host.contains("s3.") {
            self.error(
                "endpoint-host",
                "S3_ENDPOINT",
                format!("`S3_ENDPOINT` is `{shown}`: that host has no S3 API"),
                "write the endpoint as the bucket's page shows it, `https://s3.REGION.backblazeb2.com`",
            );
        }
        if let Some(bucket) = self.value("S3_BUCKET")
            && let Some(without) = host.strip_prefix(&format!("{}.", bucket.to_ascii_lowercase()))
        {
            self.error(
                "endpoint-bucket",
                "S3_ENDPOINT",
                format!("`S3_ENDPOINT` is `{shown}`: it must not contain the bucket's name"),
                format!(
                    "write `S3_ENDPOINT=https://{}`",
                    masked("S3_ENDPOINT", without)
                ),
            );
        }
        let region_of_endpoint = Endpoint::parse(&host)
            .ok()
            .and_then(|e| e.region().map(str::to_owned));
        if let (Some(named), Some(region)) = (&region_of_endpoint, self.value("S3_REGION"))
            && *named != region
        {
            self.error(
                "region",
                "S3_REGION",
                format!(
                    "`S3_REGION` is `{}` and the endpoint is in `{named}`",
                    masked("S3_REGION", &region)
                ),
                format!(
                    "write `S3_REGION={named}`, if the endpoint is the one that the bucket's page shows"
                ),
            );
        }
        if let (Some(named), Some(known)) = (region_of_endpoint, self.context.region.clone())
            && named != known
        {
            self.error(
                "endpoint-region",
                "S3_ENDPOINT",
                format!("`S3_ENDPOINT` is in `{named}`, and the bucket is in `{known}`"),
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
                    "create an application key for this bucket (`medialift provision`) and use that",
                );
            } else if at_backblaze && !(hex && id.len() == 25) && !has_key_form(&id) {
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
            && !has_key_form(&key)
        {
            self.warning(
                "key-form",
                "AWS_SECRET_ACCESS_KEY",
                format!("`AWS_SECRET_ACCESS_KEY` has {} characters and not the form of an application key (31, the first `K`)", key.chars().count()),
                "copy the applicationKey again, or create a new key: it is shown only once",
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
                    format!("`{key}` is not `when_required`: some versions of Mastodon then send checksums that B2 rejects"),
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
                    format!("`CACHE_BUSTER_ENABLED` is `true` and `{key}` is not set: every purge is refused"),
                    format!("set `{key}` to the value of the worker's `PURGE_{}`", key.trim_start_matches("CACHE_BUSTER_")),
                );
            }
        }
        let method = self.value("CACHE_BUSTER_HTTP_METHOD");
        if !matches!(method.as_deref(), Some("PURGE" | "POST" | "DELETE")) {
            let shown = method.as_deref().unwrap_or("GET");
            self.error(
                "cache-buster",
                "CACHE_BUSTER_HTTP_METHOD",
                format!("`CACHE_BUSTER_HTTP_METHOD` is `{}`, with which nothing is purged", masked("CACHE_BUSTER_HTTP_METHOD", shown)),
                "write `CACHE_BUSTER_HTTP_METHOD=PURGE`, or the method that `medialift verify` reports as working",
            );
        }
    }

    /// B2 regularly answers 503, and by default Mastodon does not retry.
    pub(super) fn retries(&mut self) {
        if !self.is_enabled() {
            return;
        }
        let limit = self
            .value("S3_RETRY_LIMIT")
            .and_then(|v| v.parse::<u32>().ok());
        let hint = "write `S3_RETRY_LIMIT=3`; `medialift env` writes it if it is not set";
        match limit {
            None | Some(0)
                if self
                    .context
                    .version
                    .is_none_or(|v| v.has(version::RETRY_LIMIT)) =>
            {
                self.warning(
                    "retries",
                    "S3_RETRY_LIMIT",
                    "Mastodon does not retry an upload, and B2 regularly answers 503",
                    hint,
                );
            }
            Some(limit @ 4..) => self.warning(
                "retries",
                "S3_RETRY_LIMIT",
                format!("`S3_RETRY_LIMIT` is {limit}: with more than 3 retries, a request that cannot succeed blocks for long"),
                hint,
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
                format!(
                    "Mastodon waits {} seconds for a response, which is too short for large uploads",
                    read_timeout.unwrap_or(5)
                ),
                "write `S3_READ_TIMEOUT=20`; `medialift env` writes it if it is not set",
            );
        }
    }
}
