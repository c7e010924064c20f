//! Tests of `dotenv/lint`.

use super::*;

const GOOD: &str = "\
LOCAL_DOMAIN=example.com
S3_ENABLED=true
S3_BUCKET=my-instance-media
S3_REGION=us-west-004
S3_ENDPOINT=https://s3.us-west-004.backblazeb2.com
S3_PROTOCOL=https
S3_HOSTNAME=s3.us-west-004.backblazeb2.com
S3_ALIAS_HOST=files.example.com
S3_PERMISSION=
AWS_ACCESS_KEY_ID=00161f959a5f87b0000000005
AWS_SECRET_ACCESS_KEY=K001abcdefghijklmnopqrstuvwxyz1
AWS_REQUEST_CHECKSUM_CALCULATION=when_required
AWS_RESPONSE_CHECKSUM_VALIDATION=when_required
CACHE_BUSTER_ENABLED=true
CACHE_BUSTER_HTTP_METHOD=PURGE
CACHE_BUSTER_SECRET_HEADER=X-Purge-Secret
CACHE_BUSTER_SECRET=abc
EXTRA_MEDIA_HOSTS=https://files.example.com
";

fn public() -> Known {
    Known {
        visibility: Some(Visibility::Public),
        region: Some("us-west-004".to_owned()),
        bucket: Some("my-instance-media".to_owned()),
        files_host: Some("files.example.com".to_owned()),
        key_prefix: Some(String::new()),
        mode: Some(0o640),
    }
}

/// The good file with one line changed has this finding, and none of another rule.
#[track_caller]
fn check(key: &str, line: &str, rule: &str, severity: Severity) {
    check_with(&public(), key, line, rule, severity);
}

#[track_caller]
fn check_with(known: &Known, key: &str, line: &str, rule: &str, severity: Severity) {
    let prefix = format!("{key}=");
    let mut text: String = GOOD
        .lines()
        .map(|l| if l.starts_with(&prefix) { line } else { l })
        .map(|l| format!("{l}\n"))
        .collect();
    if !GOOD.contains(&prefix) {
        text.push_str(line);
        text.push('\n');
    }
    let findings = lint(&Document::parse(text.as_bytes()), known);
    let rules: Vec<_> = findings.iter().map(|f| (f.rule, f.severity)).collect();
    assert!(rules.contains(&(rule, severity)), "{line}: {findings:?}");
    assert!(findings.iter().all(|f| !f.mend.is_empty()));
    for finding in &findings {
        let text = format!("{} {}", finding.message, finding.mend);
        assert!(!text.contains("K001"), "shows the key: {text}");
        assert!(!text.ends_with('.'), "full stop: {text}");
    }
}

#[test]
fn the_file_that_env_writes_has_no_finding() {
    let findings = lint(&Document::parse(GOOD.as_bytes()), &public());
    assert!(findings.is_empty(), "{findings:?}");
}

#[test]
fn a_file_without_object_storage_has_no_finding() {
    let findings = lint(
        &Document::parse(b"LOCAL_DOMAIN=example.com\nDB_PASS=x\n"),
        &public(),
    );
    assert!(findings.is_empty(), "{findings:?}");
}

#[test]
fn each_pitfall_is_found() {
    use Severity::{Error, Warning};
    for (key, line, rule, severity) in [
        (
            "S3_ENDPOINT",
            "S3_ENDPOINT=s3.us-west-004.backblazeb2.com",
            "endpoint-scheme",
            Error,
        ),
        (
            "S3_ENDPOINT",
            "S3_ENDPOINT=http://s3.us-west-004.backblazeb2.com",
            "endpoint-scheme",
            Error,
        ),
        (
            "S3_ENDPOINT",
            "S3_ENDPOINT=https://s3.us-west-004.backblazeb2.com/",
            "endpoint-path",
            Error,
        ),
        (
            "S3_ENDPOINT",
            "S3_ENDPOINT=https://my-instance-media.s3.us-west-004.backblazeb2.com",
            "endpoint-bucket",
            Error,
        ),
        (
            "S3_ENDPOINT",
            "S3_ENDPOINT=https://s3.eu-central-003.backblazeb2.com",
            "endpoint-region",
            Error,
        ),
        ("S3_REGION", "S3_REGION=us-west-001", "region", Error),
        ("S3_REGION", "", "missing", Error),
        (
            "AWS_ACCESS_KEY_ID",
            "AWS_ACCESS_KEY_ID=161f959a5f87",
            "master-key",
            Error,
        ),
        (
            "AWS_ACCESS_KEY_ID",
            "AWS_ACCESS_KEY_ID=short",
            "key-id-form",
            Warning,
        ),
        (
            "AWS_ACCESS_KEY_ID",
            "AWS_ACCESS_KEY_ID=K001abcdefghijklmnopqrstuvwxyz1",
            "key-in-wrong-place",
            Error,
        ),
        (
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SECRET_ACCESS_KEY=K001short",
            "key-form",
            Warning,
        ),
        (
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SECRET_ACCESS_KEY='\"K001abcdefghijklmnopqrstuvwxyz1\"'",
            "quotes-in-value",
            Error,
        ),
        (
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SECRET_ACCESS_KEY=“K001abcdefghijklmnopqrstuvwxyz1”",
            "quotes-in-value",
            Error,
        ),
        (
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SECRET_ACCESS_KEY=\"K001abcdefghijklmnopqrstuvwxyz1\"",
            "quoted-key",
            Warning,
        ),
        (
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SECRET_ACCESS_KEY=K001ab#cdef",
            "cut-at-hash",
            Error,
        ),
        (
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SECRET_ACCESS_KEY=K001ab$cdef",
            "dollar",
            Warning,
        ),
        (
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SECRET_ACCESS_KEY=",
            "empty-value",
            Error,
        ),
        ("S3_BUCKET", "S3_BUCKET=", "empty-value", Error),
        ("S3_BUCKET", "S3_BUCKET=other", "bucket", Error),
        (
            "S3_BUCKET",
            "S3_BUCKET=my-instance-media ",
            "trailing-space",
            Warning,
        ),
        (
            "S3_BUCKET",
            "S3_BUCKET='my-instance-media '",
            "outer-space",
            Error,
        ),
        (
            "S3_BUCKET",
            "S3_BUCKET=my-instance-media\u{200b}",
            "invisible",
            Error,
        ),
        (
            "S3_BUCKET",
            "S3_BUCKET=x\nS3_BUCKET=my-instance-media",
            "duplicate",
            Warning,
        ),
        ("S3_BUCKET", "S3_BUCKET", "stray-line", Warning),
        (
            "S3_PERMISSION",
            "S3_PERMISSION=private",
            "permission",
            Error,
        ),
        (
            "S3_PERMISSION",
            "S3_PERMISSION=public-read",
            "permission",
            Warning,
        ),
        ("S3_PERMISSION", "", "permission", Warning),
        (
            "S3_PERMISSION",
            "S3_PERMISSION=public-read-write",
            "permission",
            Error,
        ),
        (
            "S3_ALIAS_HOST",
            "S3_ALIAS_HOST=https://files.example.com",
            "alias-host",
            Error,
        ),
        (
            "S3_ALIAS_HOST",
            "S3_ALIAS_HOST=files.example.com/",
            "alias-host",
            Error,
        ),
        (
            "S3_ALIAS_HOST",
            "S3_ALIAS_HOST=other.example.com",
            "alias-host",
            Error,
        ),
        (
            "S3_ALIAS_HOST",
            "S3_ALIAS_HOST=example.com",
            "alias-host",
            Warning,
        ),
        ("S3_ALIAS_HOST", "", "alias-host", Warning),
        (
            "S3_HOSTNAME",
            "S3_HOSTNAME=https://s3.us-west-004.backblazeb2.com",
            "hostname",
            Error,
        ),
        ("S3_PROTOCOL", "S3_PROTOCOL=http", "protocol", Error),
        ("S3_ENABLED", "S3_ENABLED=True", "enabled", Error),
        ("S3_KEY_PREFIX", "S3_KEY_PREFIX=media/", "key-prefix", Error),
        (
            "EXTRA_MEDIA_HOSTS",
            "EXTRA_MEDIA_HOSTS=files.example.com",
            "extra-media-hosts",
            Warning,
        ),
        ("CACHE_BUSTER_SECRET", "", "cache-buster", Error),
        ("CACHE_BUSTER_HTTP_METHOD", "", "cache-buster", Error),
        ("AWS_REQUEST_CHECKSUM_CALCULATION", "", "checksums", Warning),
    ] {
        check(key, line, rule, severity);
    }
}

#[test]
fn a_private_bucket_wants_private() {
    let known = Known {
        visibility: Some(Visibility::Private),
        ..public()
    };
    check_with(
        &known,
        "S3_PERMISSION",
        "S3_PERMISSION=public-read",
        "permission",
        Severity::Error,
    );
    check_with(&known, "S3_PERMISSION", "", "permission", Severity::Error);
    let text = GOOD.replace("S3_PERMISSION=", "S3_PERMISSION=private");
    assert!(lint(&Document::parse(text.as_bytes()), &known).is_empty());
}

#[test]
fn a_mode_that_lets_everybody_read_is_found() {
    let known = Known {
        mode: Some(0o644),
        ..public()
    };
    check_with(&known, "NONE", "NONE=", "file-mode", Severity::Warning);
}

#[test]
fn lines_are_numbered_as_in_an_editor() {
    let findings = lint(
        &Document::parse(b"# c\r\n\r\nS3_ALIAS_HOST=https://x\r\n"),
        &Known::default(),
    );
    assert_eq!(findings[0].line, Some(3));
}
