//! Each answer of a bucket, and its error.

use super::*;
use http::HeaderValue;

#[track_caller]
fn check(status: u16, body: &str, expected: Option<OriginError>) {
    let status = StatusCode::from_u16(status).unwrap();
    let error = OriginError::of(status, &HeaderMap::new(), body.as_bytes());
    assert_eq!(error, expected, "{status} {body}");
}

fn xml(code: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>of K004abc</Message></Error>"
    )
}

#[test]
fn answers_with_an_object_or_about_one_are_no_error() {
    for status in [200, 201, 204, 206, 304] {
        check(status, "", None);
    }
}

#[test]
fn a_refusal_of_the_workers_key_is_recognised() {
    for code in ["InvalidAccessKeyId", "SignatureDoesNotMatch"] {
        check(403, &xml(code), Some(OriginError::Credentials));
    }
    check(401, "", Some(OriginError::Credentials));
    check(
        400,
        &xml("AuthorizationHeaderMalformed"),
        Some(OriginError::Credentials),
    );
    check(403, &xml("AccessDenied"), Some(OriginError::Denied));
    check(403, "", Some(OriginError::Denied));
}

#[test]
fn an_exceeded_cap_is_recognised_by_b2s_texts() {
    for body in [
        "<Error><Code>AccessDenied</Code><Message>Transaction cap exceeded</Message></Error>",
        r#"{"code": "download_cap_exceeded", "status": 403}"#,
    ] {
        check(403, body, Some(OriginError::CapExceeded));
    }
    let far = format!("{}cap exceeded", " ".repeat(ERROR_BODY_LIMIT));
    check(403, &far, Some(OriginError::Denied));
}

#[test]
fn a_missing_bucket_is_no_missing_object() {
    let missing = |status| {
        Some(OriginError::Missing {
            status,
            remembered: None,
        })
    };
    check(404, &xml("NoSuchKey"), missing(404));
    check(404, "", missing(404));
    check(410, "", missing(410));
    check(404, &xml("NoSuchBucket"), Some(OriginError::WrongBucket));
    for status in [300, 301, 302, 307, 308] {
        check(
            status,
            &xml("PermanentRedirect"),
            Some(OriginError::WrongBucket),
        );
    }
}

#[test]
fn slow_down_keeps_the_time_to_wait() {
    let mut headers = HeaderMap::new();
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("7"));
    let of = |status| OriginError::of(StatusCode::from_u16(status).unwrap(), &headers, b"");
    let retry_after = Some(7);
    for status in [429, 503] {
        let expected = OriginError::SlowDown {
            status,
            retry_after,
        };
        assert_eq!(of(status), Some(expected));
    }
    assert_eq!(
        of(500),
        Some(OriginError::Server {
            status: 500,
            retry_after
        })
    );
    check(
        503,
        &xml("SlowDown"),
        Some(OriginError::SlowDown {
            status: 503,
            retry_after: None,
        }),
    );
    check(
        503,
        "",
        Some(OriginError::Server {
            status: 503,
            retry_after: None,
        }),
    );
}

#[test]
fn every_other_refusal_keeps_its_status() {
    for status in [400, 402, 405, 406, 409, 412, 416, 418, 451] {
        check(status, "", Some(OriginError::Refused { status }));
    }
}

#[test]
fn a_stale_copy_covers_what_passes_or_is_our_own_fault() {
    let retry_after = None;
    for error in [
        OriginError::Connect,
        OriginError::Timeout,
        OriginError::Server {
            status: 500,
            retry_after,
        },
        OriginError::SlowDown {
            status: 429,
            retry_after,
        },
        OriginError::CapExceeded,
        OriginError::Credentials,
        OriginError::WrongBucket,
    ] {
        assert!(error.is_covered_by_stale(), "{error:?}");
    }
    for error in [
        OriginError::Denied,
        OriginError::Missing {
            status: 404,
            remembered: None,
        },
        OriginError::Refused { status: 400 },
    ] {
        assert!(!error.is_covered_by_stale(), "{error:?}");
        assert!(!error.is_worth_a_retry(), "{error:?}");
    }
}
