//! The files domain: its address, and requests to it.

use std::fmt;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::config::{Endpoint, File};
use crate::web::{HttpResponse, Web, WebError};

/// Characters of a path that are not encoded, by S3's rule.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// The longest body that is read.
pub const LONGEST_BODY: usize = 64 << 20;

/// `https://files.example.com`, without a slash at its end. `http` is allowed for loopback addresses only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteUrl(String);

impl SiteUrl {
    /// The files domain of the flag or variable, else of the settings file. The error describes the fault.
    pub fn resolve(flag: Option<&String>, file: &File) -> Result<SiteUrl, String> {
        let text = flag
            .or(file.files_url.as_ref())
            .filter(|text| !text.is_empty())
            .ok_or("no files domain is named: give `--files-url`, set `FILES_URL`, or put `files_url = \"…\"` in medialift.toml")?;
        SiteUrl::parse(text)
    }

    /// Parses a URL or a host. The error describes the fault.
    pub fn parse(text: &str) -> Result<SiteUrl, String> {
        let text = text.trim();
        let text = match text.split_once("://") {
            Some((_, rest)) => &text[..text.len() - rest.len() + rest.trim_end_matches('/').len()],
            None => text.trim_end_matches('/'),
        };
        let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let origin = &text[..text.len() - (rest.len() - authority.len())];
        if text.contains(['?', '#']) || path.split('/').any(|part| part == "..") {
            return Err(format!(
                "`{text}` is not the address of a site: use `https://` and the host"
            ));
        }
        let endpoint = Endpoint::parse(origin).map_err(|_| {
            format!("`{text}` is not an address such as `https://files.example.com` (`http://` is allowed for loopback addresses only)")
        })?;
        let path = if path.is_empty() {
            String::new()
        } else {
            format!("/{path}")
        };
        Ok(SiteUrl(format!("{endpoint}{path}")))
    }

    /// The encoded address of `key`.
    pub fn of(&self, key: &str) -> String {
        format!("{}{}", self.0, path_of(key))
    }

    /// Whether it is Cloudflare's domain for workers, where the Cache API stores nothing
    /// (developers.cloudflare.com/workers/runtime-apis/cache).
    pub fn is_workers_dev(&self) -> bool {
        self.host().ends_with(".workers.dev")
    }

    /// The host without its port.
    pub fn host(&self) -> &str {
        let authority = self.authority();
        match self.port() {
            Some(_) => authority
                .rsplit_once(':')
                .map_or(authority, |(host, _)| host),
            None => authority,
        }
    }

    /// The port, if the address has one.
    pub fn port(&self) -> Option<u16> {
        let (_, port) = self.authority().rsplit_once(':')?;
        port.parse().ok()
    }

    /// The path, without its first slash, if the address has one.
    pub fn path(&self) -> Option<&str> {
        Some(self.rest().split_once('/')?.1)
    }

    /// `host` or `host:port`.
    pub fn authority(&self) -> &str {
        self.rest().split('/').next().unwrap_or_default()
    }

    fn rest(&self) -> &str {
        self.0.split_once("://").map_or(&self.0, |(_, rest)| rest)
    }

    /// Whether requests use TLS.
    pub fn is_encrypted(&self) -> bool {
        self.0.starts_with("https://")
    }
}

impl fmt::Display for SiteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The encoded path of `key`, with a slash before it.
pub(super) fn path_of(key: &str) -> String {
    format!("/{}", utf8_percent_encode(key, PATH))
}

/// The files domain and a client to send requests to it.
#[derive(Clone, Debug)]
pub struct Domain {
    /// Its address.
    pub url: SiteUrl,
    web: Web,
}

impl Domain {
    /// Creates the client. Nothing is sent.
    pub fn new(url: SiteUrl) -> Domain {
        Domain {
            url,
            web: Web::new(),
        }
    }

    /// Sends a GET for a key.
    pub async fn get(&self, key: &str) -> Result<HttpResponse, WebError> {
        self.send(Method::GET, &self.url.of(key), &[]).await
    }

    /// Sends a request.
    pub async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
    ) -> Result<HttpResponse, WebError> {
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            // As a page of another site does.
            .header(header::ORIGIN, "https://mastodon.invalid")
            .header(
                header::USER_AGENT,
                concat!("medialift/", env!("CARGO_PKG_VERSION")),
            );
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Full::new(Bytes::new()))
            .map_err(|source| WebError::Broken {
                authority: self.url.to_string(),
                source: source.into(),
            })?;
        self.web.send(request, LONGEST_BODY).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let parsed = SiteUrl::parse(text).ok().map(|url| url.to_string());
        assert_eq!(parsed.as_deref(), expected, "{text}");
    }

    #[test]
    fn an_address_is_https_unless_it_is_loopback() {
        check(
            "https://files.example.com",
            Some("https://files.example.com"),
        );
        check(
            "https://files.example.com/",
            Some("https://files.example.com"),
        );
        check("files.example.com", Some("https://files.example.com"));
        check(
            "https://example.com/media/",
            Some("https://example.com/media"),
        );
        check("http://127.0.0.1:8787/", Some("http://127.0.0.1:8787"));
        check("http://files.example.com", None);
        check("https://files.example.com/?a", None);
        check("https://", None);
        check("https:///", None);
        check("", None);
    }

    #[test]
    fn workers_dev_is_recognised() {
        let is = |text| SiteUrl::parse(text).unwrap().is_workers_dev();
        assert!(is("https://medialift-edge.example.workers.dev"));
        assert!(!is("https://files.example.com/workers.dev"));
    }

    #[test]
    fn an_address_is_split_into_its_parts() {
        for (text, host, port, path) in [
            ("https://files.example.com", "files.example.com", None, None),
            ("http://127.0.0.1:8787", "127.0.0.1", Some(8787), None),
            ("http://[::1]:8787", "[::1]", Some(8787), None),
            ("http://[::1]", "[::1]", None, None),
            ("https://example.com/a/b", "example.com", None, Some("a/b")),
        ] {
            let url = SiteUrl::parse(text).unwrap();
            assert_eq!((url.host(), url.port(), url.path()), (host, port, path));
        }
    }

    #[test]
    fn a_key_is_encoded_as_s3_encodes_it() {
        let url = SiteUrl::parse("https://files.example.com").unwrap();
        assert_eq!(
            url.of("a b/ü+%~(1).png"),
            "https://files.example.com/a%20b/%C3%BC%2B%25~%281%29.png"
        );
    }
}
