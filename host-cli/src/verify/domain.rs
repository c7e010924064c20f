//! The files domain: its address, and one request to it.

use std::fmt;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::config::Endpoint;
use crate::web::{Answer, Web, WebError};

/// What stays as it is in a path: S3's own rule.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// The longest body that is read whole.
pub const LONGEST_BODY: usize = 64 << 20;

/// `https://files.example.com`, with no slash at its end. Plain `http` is for this machine only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesUrl(String);

impl FilesUrl {
    /// Reads a URL or a bare host. The error says what is wrong with it.
    pub fn parse(text: &str) -> Result<FilesUrl, String> {
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
                "`{text}` is not the address of a site: give `https://` and the host"
            ));
        }
        let endpoint = Endpoint::parse(origin).map_err(|_| {
            format!("`{text}` is not an address such as `https://files.example.com` (`http://` is for this machine's own addresses only)")
        })?;
        let path = if path.is_empty() {
            String::new()
        } else {
            format!("/{path}")
        };
        Ok(FilesUrl(format!("{endpoint}{path}")))
    }

    /// The address of `key`, encoded.
    pub fn of(&self, key: &str) -> String {
        format!("{}{}", self.0, path_of(key))
    }

    /// Whether it is Cloudflare's own domain for workers, where the Cache API keeps nothing
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

    /// The port, where one is named.
    pub fn port(&self) -> Option<u16> {
        let (_, port) = self.authority().rsplit_once(':')?;
        port.parse().ok()
    }

    /// The path below which the media are, where it is not the whole site.
    pub fn path(&self) -> Option<&str> {
        Some(self.rest().split_once('/')?.1)
    }

    fn authority(&self) -> &str {
        self.rest().split('/').next().unwrap_or_default()
    }

    fn rest(&self) -> &str {
        self.0.split_once("://").map_or(&self.0, |(_, rest)| rest)
    }

    /// Whether it is reached over TLS.
    pub fn is_encrypted(&self) -> bool {
        self.0.starts_with("https://")
    }
}

impl fmt::Display for FilesUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The path of `key` below any site, encoded, with a slash before it.
pub(super) fn path_of(key: &str) -> String {
    format!("/{}", utf8_percent_encode(key, PATH))
}

/// The files domain, ready to be read.
#[derive(Clone, Debug)]
pub struct Domain {
    /// Its address.
    pub url: FilesUrl,
    web: Web,
}

impl Domain {
    /// Nothing is sent yet.
    pub fn new(url: FilesUrl) -> Domain {
        Domain {
            url,
            web: Web::new(),
        }
    }

    /// GET of a key.
    pub async fn get(&self, key: &str) -> Result<Answer, WebError> {
        self.send(Method::GET, &self.url.of(key), &[]).await
    }

    /// Any request to an address of the domain.
    pub async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
    ) -> Result<Answer, WebError> {
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            // Another site's page is who reads media.
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
        let parsed = FilesUrl::parse(text).ok().map(|url| url.to_string());
        assert_eq!(parsed.as_deref(), expected, "{text}");
    }

    #[test]
    fn an_address_is_https_unless_it_is_this_machine() {
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
    fn the_domain_that_keeps_nothing_is_known() {
        let is = |text| FilesUrl::parse(text).unwrap().is_workers_dev();
        assert!(is("https://medialift-edge.example.workers.dev"));
        assert!(!is("https://files.example.com/workers.dev"));
    }

    #[test]
    fn the_parts_of_an_address_are_told_apart() {
        for (text, host, port, path) in [
            ("https://files.example.com", "files.example.com", None, None),
            ("http://127.0.0.1:8787", "127.0.0.1", Some(8787), None),
            ("http://[::1]:8787", "[::1]", Some(8787), None),
            ("http://[::1]", "[::1]", None, None),
            ("https://example.com/a/b", "example.com", None, Some("a/b")),
        ] {
            let url = FilesUrl::parse(text).unwrap();
            assert_eq!((url.host(), url.port(), url.path()), (host, port, path));
        }
    }

    #[test]
    fn a_key_is_encoded_as_s3_encodes_it() {
        let url = FilesUrl::parse("https://files.example.com").unwrap();
        assert_eq!(
            url.of("a b/ü+%~(1).png"),
            "https://files.example.com/a%20b/%C3%BC%2B%25~%281%29.png"
        );
    }
}
