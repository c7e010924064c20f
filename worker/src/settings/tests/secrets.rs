//! Keys and secrets: what signing needs, which are refused, and that none is shown.

use super::*;

#[test]
fn signing_needs_a_key_and_a_region() {
    let keys = [
        ("ORIGIN_AUTH", "sigv4"),
        ("B2_APPLICATION_KEY_ID", "00161f959a5f87b0000000005"),
        ("B2_APPLICATION_KEY", "K001"),
    ];
    let local = ("ORIGIN_URL", "http://127.0.0.1:9/media");
    let faults = parse(&[&keys[..], &[local]].concat()).unwrap_err();
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].variable, "B2_ENDPOINT");
    assert!(
        faults[0]
            .problem
            .starts_with("is not set, and without it the region to sign for is not known")
    );
    assert!(parse(&[&keys[..], &[local, BUCKET[1]]].concat()).is_ok());
    let no_region = ("B2_ENDPOINT", "minio.example.com");
    assert_eq!(
        parse(&[&keys[..], &[local, no_region]].concat()).unwrap_err()[0].variable,
        "B2_ENDPOINT"
    );
    let b2 = ("ORIGIN_URL", "https://s3.us-west-004.backblazeb2.com/x");
    assert!(parse(&[&keys[..], &[b2]].concat()).is_ok());
}

#[test]
fn a_master_key_is_refused() {
    let faults = with_bucket(&[
        ("ORIGIN_AUTH", "sigv4"),
        ("B2_APPLICATION_KEY_ID", "161f959a5f87"),
        ("B2_APPLICATION_KEY", "K001"),
    ])
    .unwrap_err();
    assert_eq!(faults.len(), 1);
    assert!(
        faults[0].problem.contains("not of the master key"),
        "{faults:?}"
    );
}

#[test]
fn a_secret_is_never_shown() {
    let faults = with_bucket(&[
        ("ORIGIN_AUTH", "sigv4"),
        ("B2_APPLICATION_KEY_ID", "not an id"),
        ("B2_APPLICATION_KEY", "not a key"),
        ("PURGE_SECRET", "not a secret"),
    ])
    .unwrap_err();
    assert_eq!(faults.len(), 3);
    let shown = format!("{faults:?}");
    for text in ["not an id", "not a key", "not a secret"] {
        assert!(!shown.contains(text), "{shown}");
    }
    let settings = with_bucket(&[("PURGE_SECRET", "a-secret-of-16-or-more")]).unwrap();
    assert!(!format!("{settings:?}").contains("a-secret-of-16-or-more"));
}

#[test]
fn a_secret_that_can_be_guessed_is_refused() {
    valid("PURGE_SECRET", "0123456789abcdef");
    let faults = with_bucket(&[("PURGE_SECRET", "0123456789abcde")]).unwrap_err();
    assert_eq!(faults[0].variable, "PURGE_SECRET");
}
