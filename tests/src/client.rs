//! A plain HTTP client for tests: anonymous requests, and requests signed for S3.
//!
//! It sends exactly the headers that it is given, which real S3 clients do not allow. It has no retries and no
//! streams.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use http::{HeaderMap, HeaderValue, Request};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

/// The characters that S3 does not encode in a path are removed from this set.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header, empty if it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    }

    /// The bytes of a header's value, empty if it is not there.
    #[must_use]
    pub fn header_bytes(&self, name: &str) -> &[u8] {
        self.headers.get(name).map_or(&[], HeaderValue::as_bytes)
    }

    /// Checks the headers that keep an uploaded file from acting as a page of the files domain.
    ///
    /// # Panics
    /// Panics, with `about`, where one is missing or another.
    #[track_caller]
    pub fn check_security_headers(&self, about: &str) {
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            (
                "content-security-policy",
                "default-src 'none'; form-action 'none'",
            ),
        ] {
            assert_eq!(self.header(name), value, "{about}: {name}");
        }
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The text between `<name>` and `</name>` in an XML body, empty if it is not there.
    #[must_use]
    pub fn element(&self, name: &str) -> String {
        let text = self.text();
        let inside = text
            .split_once(&format!("<{name}>"))
            .and_then(|(_, rest)| rest.split_once(&format!("</{name}>")))
            .map_or("", |(inside, _)| inside);
        quick_xml::escape::unescape(inside).map_or_else(|_| inside.to_owned(), Into::into)
    }

    /// Status and S3's error code, such as `404 NoSuchKey`.
    #[must_use]
    pub fn error(&self) -> String {
        format!("{} {}", self.status, self.element("Code"))
    }
}

/// A page of a listing.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listing {
    is_truncated: bool,
    #[serde(default)]
    contents: Vec<Listed>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    key: String,
    #[serde(rename = "ETag")]
    etag: String,
}

/// An endpoint, and the key for it.
#[derive(Clone, Debug)]
pub struct Client {
    agent: ureq::Agent,
    /// `http://127.0.0.1:PORT`.
    pub endpoint: String,
    /// Application key id and key; without them requests are anonymous.
    pub key: Option<(String, String)>,
    /// The region in the signature.
    pub region: String,
}

impl Client {
    /// A client without a key.
    #[must_use]
    pub fn anonymous(endpoint: &str) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .max_redirects(0)
            .allow_non_standard_methods(true)
            .proxy(None)
            .build();
        Self {
            agent: agent.into(),
            endpoint: endpoint.to_owned(),
            key: None,
            region: "us-west-004".to_owned(),
        }
    }

    /// A client that signs.
    #[must_use]
    pub fn signing(endpoint: &str, id: &str, key: &str) -> Self {
        Self {
            key: Some((id.to_owned(), key.to_owned())),
            ..Self::anonymous(endpoint)
        }
    }

    /// The path of an object, encoded.
    #[must_use]
    pub fn path(bucket: &str, key: &str) -> String {
        format!("/{bucket}/{}", Self::encoded(key))
    }

    /// A key, encoded for a URL's path.
    #[must_use]
    pub fn encoded(key: &str) -> String {
        utf8_percent_encode(key, PATH).to_string()
    }

    /// Sends one request. `path`: encoded, with the query.
    ///
    /// # Errors
    /// When the connection breaks, also in the middle of the answer.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer> {
        let url = format!("{}{path}", self.endpoint);
        let mut builder = Request::builder().method(method).uri(&url);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let mut request = builder.body(body)?;
        self.sign(&mut request)?;
        let request = request.map(<[u8]>::to_vec);
        let response = if matches!(method, "GET" | "HEAD" | "DELETE") {
            self.agent.run(request.map(|_| ()))
        } else {
            self.agent.run(request)
        };
        let mut response = response.with_context(|| format!("{method} {url}"))?;
        let body = response
            .body_mut()
            .with_config()
            .limit(1 << 30)
            .read_to_vec();
        let body = body.with_context(|| format!("the body of {method} {url}"))?;
        Ok(Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body,
        })
    }

    fn sign(&self, request: &mut Request<&[u8]>) -> Result<()> {
        let Some((id, key)) = &self.key else {
            return Ok(());
        };
        let identity = Credentials::new(id, key, None, None, "test").into();
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(SystemTime::now())
            .settings(settings)
            .build()?
            .into();
        let headers = request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap_or("")));
        let signable = SignableRequest::new(
            request.method().as_str(),
            request.uri().to_string(),
            headers,
            SignableBody::UnsignedPayload,
        )?;
        let (instructions, _) = sign(signable, &parameters)?.into_parts();
        instructions.apply_to_request_http1x(request);
        Ok(())
    }

    /// Every object of a bucket: its key and its ETag without quotes.
    ///
    /// # Errors
    /// As [`Client::send`], and when the answer is not a listing.
    pub fn list(&self, bucket: &str) -> Result<BTreeMap<String, String>> {
        let mut objects = BTreeMap::new();
        let mut after = String::new();
        loop {
            let start = utf8_percent_encode(&after, NON_ALPHANUMERIC);
            let path = format!("/{bucket}?list-type=2&start-after={start}");
            let answer = self.send("GET", &path, &[], &[])?;
            ensure!(answer.status == 200, "a listing: {}", answer.error());
            let page: Listing = quick_xml::de::from_str(&answer.text())?;
            for object in page.contents {
                after.clone_from(&object.key);
                objects.insert(object.key, object.etag.trim_matches('"').to_owned());
            }
            if !page.is_truncated {
                return Ok(objects);
            }
        }
    }

    /// `GET` of an object.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn get(&self, bucket: &str, key: &str) -> Result<Answer> {
        self.send("GET", &Self::path(bucket, key), &[], &[])
    }

    /// `PUT` of an object.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn put(
        &self,
        bucket: &str,
        key: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer> {
        self.send("PUT", &Self::path(bucket, key), headers, body)
    }
}
