//! Which forms each variable takes, and which it refuses.

use super::*;

#[test]
fn an_empty_text_is_not_set() {
    valid("KEY_PREFIX", "");
    valid("FRESH_SECONDS", " ");
    valid("PURGE_SECRET", "");
    assert_eq!(
        with_bucket(&[("DENY_PREFIXES", "")]).unwrap().deny_prefixes,
        ["backups/", "imports/"]
    );
}

#[test]
fn seconds_are_whole_and_bounded() {
    for text in ["0", "1", "315360000"] {
        valid("FRESH_SECONDS", text);
    }
    faulty(
        "FRESH_SECONDS",
        &[
            "315360001",
            "-1",
            "+1",
            "1e3",
            "48h",
            "99999999999999999999",
            "١",
        ],
    );
}

#[test]
fn http_is_accepted_for_this_machine_only() {
    for text in [
        "https://example.com/a",
        "https://example.com:8443/a/b",
        "http://localhost:1/a",
        "http://[::1]:9/a",
        "http://127.0.0.1/a%20b",
    ] {
        valid("FALLBACK_ORIGIN", text);
        valid("ORIGIN_URL", text);
    }
    valid("ORIGIN_URL", "https://example.com");
    let texts = [
        "example.com",
        "http://example.com",
        "http://127.0.0.1.example.com",
        "http://127.evil.com",
        "http://localhost.example.com/",
        "https://",
        "https://?",
        "https://a?b",
        "https://a#b",
        "https://a/b?c",
        "https://user:secret@example.com",
        "https://a b",
        "https://a:99999",
        "https://a:",
        "ftp://a",
        "https://-a",
        "https://a..b",
    ];
    faulty("FALLBACK_ORIGIN", &texts);
    faulty("ORIGIN_URL", &texts);
}

#[test]
fn prefixes_have_no_empty_and_no_dot_segments() {
    for text in ["a", "/a/", "a/b", "图/x y", "a.b/..c"] {
        valid("KEY_PREFIX", text);
        valid("STRIP_PREFIX", text);
    }
    let long = "a".repeat(513);
    check(
        "KEY_PREFIX",
        &long,
        Some(&format!(
            "is `{}…`; it should be {}",
            &long[..80],
            variable_form("KEY_PREFIX")
        )),
    );
    faulty(
        "KEY_PREFIX",
        &["/", "//", ".", "..", "a/../b", "a//b", "./a"],
    );
    check(
        "KEY_PREFIX",
        "a\nb",
        Some(&format!(
            "is `a\u{FFFD}b`; it should be {}",
            variable_form("KEY_PREFIX")
        )),
    );
    faulty(
        "DENY_PREFIXES",
        &["/", "a,", ",a", "a,,b", "a/../b", "none,/"],
    );
}

#[test]
fn bucket_and_endpoint_have_their_forms() {
    let faults = parse(&[("B2_BUCKET", "a/b"), ("B2_ENDPOINT", "http://s3.x.y")]).unwrap_err();
    let variables: Vec<_> = faults.iter().map(|fault| fault.variable).collect();
    assert_eq!(variables, ["B2_BUCKET", "B2_ENDPOINT"]);
    let settings = parse(&[
        ("B2_BUCKET", "abc"),
        ("B2_ENDPOINT", "https://s3.eu-central-003.backblazeb2.com/"),
    ]);
    assert_eq!(
        settings.unwrap().origin_url,
        "https://s3.eu-central-003.backblazeb2.com/abc"
    );
}

#[test]
fn a_fallback_without_a_path_is_refused() {
    let sites = [
        "https://example.com",
        "https://example.com/",
        "http://localhost:1",
    ];
    faulty("FALLBACK_ORIGIN", &sites);
}

#[test]
fn the_purge_header_is_not_one_that_clients_use() {
    valid("PURGE_SECRET_HEADER", "X-Purge");
    faulty(
        "PURGE_SECRET_HEADER",
        &["Range", "HOST", "X Purge", "X-Purge:", "é"],
    );
}
