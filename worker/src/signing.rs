//! SigV4 signatures for reads from a private bucket.

use crate::policy::time::UnixMillis;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::time::{Duration, UNIX_EPOCH};

/// The headers that sign a GET of `url`, whose path is encoded already. Empty where the URL cannot be
/// signed: the bucket then refuses the request.
pub fn sign_get(url: &str, key_id: &str, key: &str, region: &str, now: UnixMillis) -> HeaderMap {
    let identity = Credentials::new(key_id, key, None, None, "settings").into();
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("s3")
        .time(UNIX_EPOCH + Duration::from_millis(now.0))
        .settings(settings)
        .build();
    let Ok(params) = params.map(Into::into) else {
        return HeaderMap::new();
    };
    let Ok(request) = SignableRequest::new(
        "GET",
        url,
        std::iter::empty(),
        SignableBody::UnsignedPayload,
    ) else {
        return HeaderMap::new();
    };
    let Ok(output) = sign(request, &params) else {
        return HeaderMap::new();
    };
    let (instructions, _) = output.into_parts();
    instructions
        .headers()
        .filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_str(value).ok()?))
        })
        .collect()
}
