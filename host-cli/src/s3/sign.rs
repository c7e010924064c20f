//! Signature version 4, as S3 requires it: path encoded once and not normalised, payload unsigned.

use std::time::SystemTime;

use aws_credential_types::Credentials as AwsCredentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::error::ErrorKind;
use crate::config::Credentials;

/// Encoded in a key: everything but `A–Z a–z 0–9 - . _ ~ /`.
const KEY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// Encoded in a query's value: as in a key, and `/`.
const QUERY: &AsciiSet = &KEY.add(b'/');

/// `key` encoded for a URI's path.
pub(super) fn encode_key(key: &str) -> String {
    utf8_percent_encode(key, KEY).to_string()
}

/// `?name=value&…`, encoded as the signature requires.
pub(super) fn encode_query(pairs: &[(&str, &str)]) -> String {
    let mut query = String::new();
    for (name, value) in pairs {
        query.push(if query.is_empty() { '?' } else { '&' });
        query.push_str(name);
        query.push('=');
        query.extend(utf8_percent_encode(value, QUERY));
    }
    query
}

/// Signs requests for one key and region.
#[derive(Debug)]
pub(super) struct Signer {
    identity: Identity,
    region: String,
    settings: SigningSettings,
}

impl Signer {
    pub(super) fn new(credentials: &Credentials, region: &str) -> Self {
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        Signer {
            identity: AwsCredentials::new(
                &credentials.key_id,
                credentials.key.expose(),
                None,
                None,
                "medialift",
            )
            .into(),
            region: region.to_owned(),
            settings,
        }
    }

    /// Adds the headers of the signature; it covers `headers` as they are.
    pub(super) fn sign(
        &self,
        method: &str,
        uri: &str,
        headers: &mut HeaderMap,
        now: SystemTime,
    ) -> Result<(), ErrorKind> {
        let failed = |e: &dyn std::fmt::Display| ErrorKind::Request(e.to_string());
        let params = v4::SigningParams::builder()
            .identity(&self.identity)
            .region(&self.region)
            .name("s3")
            .time(now)
            .settings(self.settings.clone())
            .build()
            .map_err(|e| failed(&e))?
            .into();
        let text = |value: &HeaderValue| {
            value
                .to_str()
                .map(str::to_owned)
                .map_err(|e| ErrorKind::Request(e.to_string()))
        };
        let pairs: Vec<(String, String)> = headers
            .iter()
            .map(|(name, value)| Ok((name.as_str().to_owned(), text(value)?)))
            .collect::<Result<_, ErrorKind>>()?;
        let request = SignableRequest::new(
            method,
            uri,
            pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())),
            SignableBody::UnsignedPayload,
        )
        .map_err(|e| failed(&e))?;
        let (instructions, _) = sign(request, &params).map_err(|e| failed(&e))?.into_parts();
        let (new_headers, _) = instructions.into_parts();
        for header in new_headers {
            let value = HeaderValue::from_str(header.value()).map_err(|e| failed(&e))?;
            headers.insert(HeaderName::from_static(header.name()), value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unreserved_letters_and_slashes_are_not_encoded_in_a_key() {
        assert_eq!(encode_key("a/B-._~ +%é"), "a/B-._~%20%2B%25%C3%A9");
        assert_eq!(
            encode_query(&[("prefix", "a/b c"), ("uploads", "")]),
            "?prefix=a%2Fb%20c&uploads="
        );
    }
}
