//! Tests of `s3/error`.

use super::*;

fn service(status: u16, code: &str, message: &str) -> S3Error {
    S3Error {
        method: Method::PUT,
        uri: "https://s3.us-west-004.backblazeb2.com/media/a".to_owned(),
        attempts: 1,
        elapsed: Duration::ZERO,
        kind: Box::new(ErrorKind::Service {
            status: StatusCode::from_u16(status).unwrap(),
            code: code.to_owned(),
            message: message.to_owned(),
            retry_after: None,
            clock_difference: Some(-7200),
        }),
    }
}

/// Hint, whether it ends the run, whether it is retried.
#[track_caller]
fn check(error: &S3Error, hint: &str, ends: bool, retried: bool) {
    assert!(error.hint().contains(hint), "{}", error.hint());
    assert_eq!(
        (error.ends_the_run(), error.kind.may_be_retried()),
        (ends, retried),
        "ends the run, retried: {error}"
    );
}

#[test]
fn every_known_cause_has_its_own_hint() {
    let invalid = "InvalidAccessKeyId";
    check(
        &service(403, invalid, "Malformed Access Key Id"),
        "the account's master key",
        true,
        false,
    );
    check(
        &service(403, invalid, "The key '0016' is not valid"),
        "the bucket's page shows",
        true,
        false,
    );
    check(
        &service(403, invalid, "The key '0016' is not valid"),
        "before 4 May 2020",
        true,
        false,
    );
    check(
        &service(403, "SignatureDoesNotMatch", ""),
        "copy the key again",
        true,
        false,
    );
    check(
        &service(403, "RequestTimeTooSkewed", ""),
        "7200 seconds ahead of",
        true,
        false,
    );
    check(
        &service(404, "NoSuchBucket", ""),
        "medialift provision",
        true,
        false,
    );
    check(
        &service(403, "AccessDenied", "Transaction cap exceeded"),
        "Caps & Alerts",
        true,
        false,
    );
    check(
        &service(403, "AccessDenied", "not entitled"),
        "listBuckets",
        false,
        false,
    );
    check(
        &service(500, "InternalError", "No space left on device"),
        "free disk space",
        true,
        false,
    );
    check(&service(503, "SlowDown", ""), "--max-rate", false, true);
    check(&service(429, "", ""), "--max-rate", false, true);
    check(
        &service(404, "NoSuchKey", ""),
        "medialift check",
        false,
        false,
    );
    check(
        &service(400, "BadDigest", ""),
        "changed while it was sent",
        false,
        false,
    );
}

#[test]
fn a_cap_is_distinguished_from_other_refusals() {
    for (code, message) in [
        (
            "AccessDenied",
            "Transaction cap exceeded, see the Caps & Alerts page",
        ),
        ("storage_cap_exceeded", ""),
        (
            "AccessDenied",
            "Cannot download file, download bandwidth or transaction (Class B) cap exceeded.",
        ),
    ] {
        let error = service(403, code, message);
        assert!(error.ends_the_run(), "{error}");
        assert!(
            error
                .to_string()
                .starts_with("a cap of the account is exceeded")
        );
    }
    assert!(!service(403, "AccessDenied", "").kind.is_cap_exceeded());
    assert!(
        !service(503, "SlowDown", "cap exceeded")
            .kind
            .is_cap_exceeded()
    );
}

#[test]
fn only_a_busy_service_asks_for_fewer_requests() {
    assert!(service(503, "SlowDown", "").kind.asks_to_slow_down());
    assert!(service(429, "", "").kind.asks_to_slow_down());
    assert!(!service(500, "InternalError", "").kind.asks_to_slow_down());
}

#[test]
fn the_error_names_request_and_attempts() {
    let mut error = service(503, "SlowDown", "no tomes available");
    error.attempts = 3;
    error.elapsed = Duration::from_millis(1500);
    assert_eq!(
        error.to_string(),
        "the service answered 503 SlowDown: no tomes available (PUT https://s3.us-west-004.backblazeb2.com/media/a, 3 attempts in 1.5 s)"
    );
}

#[test]
fn only_a_single_refused_attempt_is_surely_not_stored() {
    for (status, sure) in [
        (400, true),
        (403, true),
        (408, false),
        (429, false),
        (503, false),
    ] {
        let refused = service(status, "", "");
        assert_eq!(refused.is_surely_not_stored(), sure, "{status}");
        // The response to an earlier attempt was lost.
        assert!(!refused.after(1).is_surely_not_stored(), "{status}");
    }
    let unread = S3Error::local("a", std::io::ErrorKind::NotFound.into());
    assert!(!unread.is_surely_not_stored());
}
