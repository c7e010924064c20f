//! Tests of `dotenv/lint`.

mod mistakes;

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
S3_PERMISSION=''
S3_RETRY_LIMIT=3
S3_READ_TIMEOUT=20
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

fn public() -> LintContext {
    LintContext {
        visibility: Some(Visibility::Public),
        region: Some("us-west-004".to_owned()),
        bucket: Some("my-instance-media".to_owned()),
        files_host: Some("files.example.com".to_owned()),
        key_prefix: Some(String::new()),
        mode: Some(0o640),
        ..LintContext::default()
    }
}

/// The good file with one line changed has this finding.
#[track_caller]
fn check(key: &str, line: &str, rule: &str, severity: Severity) {
    check_with(&public(), key, line, rule, severity);
}

#[track_caller]
fn check_with(known: &LintContext, key: &str, line: &str, rule: &str, severity: Severity) {
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
    assert!(findings.iter().all(|f| !f.hint.is_empty()));
    for finding in &findings {
        let text = format!("{} {}", finding.message, finding.hint);
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
fn a_private_bucket_needs_the_permission_private() {
    let known = LintContext {
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
    let text = GOOD.replace("S3_PERMISSION=''", "S3_PERMISSION=private");
    assert!(lint(&Document::parse(text.as_bytes()), &known).is_empty());
}

#[test]
fn a_mode_that_lets_every_user_read_is_found() {
    let known = LintContext {
        mode: Some(0o644),
        ..public()
    };
    check_with(&known, "NONE", "NONE=", "file-mode", Severity::Warning);
}

#[test]
fn lines_are_numbered_as_in_an_editor() {
    let findings = lint(
        &Document::parse(b"# c\r\n\r\nS3_ALIAS_HOST=https://x\r\n"),
        &LintContext::default(),
    );
    assert_eq!(findings[0].line, Some(3));
}

/// Findings of the good file after these lines.
#[track_caller]
fn check_rules(known: &LintContext, lines: &str, expected: &[&str]) {
    let text = format!("{GOOD}{lines}");
    let findings = lint(&Document::parse(text.as_bytes()), known);
    let rules: Vec<_> = findings.iter().map(|f| f.rule).collect();
    assert_eq!(rules, expected, "{lines}: {findings:?}");
}

#[test]
fn an_equivalent_setting_is_no_mistake() {
    for lines in [
        "S3_BUCKET='MY-instance-media'",
        "S3_ENDPOINT=https://s3.us-west-004.backblazeb2.com/",
        "FILES=files\nS3_ALIAS_HOST=${FILES}.example.com",
        "S3_BUCKET=my-${LOCAL_DOMAIN}-media\nLOCAL_DOMAIN=instance\nS3_BUCKET=my-${LOCAL_DOMAIN}-media",
    ] {
        let text = format!("{GOOD}{lines}");
        let errors: Vec<_> = lint(&Document::parse(text.as_bytes()), &public())
            .into_iter()
            .filter(|f| f.rule != "duplicate")
            .collect();
        assert!(errors.is_empty(), "{lines}: {errors:?}");
    }
    // `S3_CLOUDFRONT_HOST` is the old name of the alias host.
    let text = GOOD.replace("S3_ALIAS_HOST=", "S3_CLOUDFRONT_HOST=");
    let findings = lint(&Document::parse(text.as_bytes()), &public());
    assert!(findings.is_empty(), "{findings:?}");
}

#[test]
fn a_file_that_outranks_this_one_is_reported() {
    let outranking = |values: Result<&str, &str>| LintContext {
        outranking: vec![Outranking {
            path: ".env.production.local".into(),
            values: values
                .map(|text| {
                    let document = Document::parse(text.as_bytes());
                    values::read(&document, Gem::V3_1_5, &Environment::default()).unwrap()
                })
                .map_err(str::to_owned),
        }],
        ..public()
    };
    check_rules(
        &outranking(Ok("S3_ENABLED=false\nS3_BUCKET=b\n")),
        "",
        &["outranked"; 2],
    );
    check_rules(&outranking(Ok("S3_ENABLED=true\nDB_PASS=x\n")), "", &[]);
    check_rules(&outranking(Err("permission denied")), "", &["outranked"]);
}

#[test]
fn known_faults_are_those_of_the_version() {
    let of = |major, minor, patch| LintContext {
        version: Some(Version::new(major, minor, patch)),
        ..public()
    };
    check_rules(&of(4, 5, 0), "S3_KEY_PREFIX=''", &["empty-value"]);
    check_rules(&of(4, 7, 3), "", &[]);
    check_rules(&of(4, 7, 1), "", &["multipart-leak"]);
    check_rules(&of(4, 7, 1), "S3_MULTIPART_THRESHOLD=104857600", &[]);
    // `EXTRA_MEDIA_HOSTS` exists since 4.4, `S3_RETRY_LIMIT` since 4.3, the method since 4.2.
    check_rules(&of(4, 3, 9), "", &["version"]);
    check_rules(&of(4, 2, 0), "", &["version"; 2]);
    check_rules(&of(4, 1, 0), "", &["version"; 3]);
    let prefix = |version| LintContext {
        key_prefix: None,
        ..version
    };
    check_rules(&prefix(of(4, 4, 0)), "S3_KEY_PREFIX=media", &[]);
    check_rules(&prefix(of(4, 2, 9)), "S3_KEY_PREFIX=media", &["version"; 3]);
    let path = "S3_ALIAS_HOST=files.example.com/media";
    check_rules(&of(4, 5, 0), path, &["duplicate", "alias-path"]);
    let findings = lint(
        &Document::parse(format!("{GOOD}{path}").as_bytes()),
        &of(4, 1, 0),
    );
    let refused = |f: &LintFinding| f.rule == "version" && f.severity == Severity::Error;
    assert!(findings.iter().any(refused), "{findings:?}");
}

#[test]
fn no_secret_is_in_a_finding_however_the_file_is_broken() {
    let secret = "hunter2hunter2";
    for text in [
        format!("S3_ENABLED=true AWS_SECRET_ACCESS_KEY={secret} S3_BUCKET={secret}\n"),
        format!("{secret}\n"),
        format!("S3_ENABLED={secret} x\n"),
        format!("S3_ENDPOINT='https://a\nAWS_SECRET_ACCESS_KEY={secret}\n'\n"),
        format!("S3_ENDPOINT=https://user:{secret}@host/\n"),
        format!("export {secret}\n"),
        format!("S3_BUCKET=\n'{secret} {secret}'\n"),
        format!("S3_ALIAS_HOST={secret}={secret}\nS3_ENABLED=true\n"),
    ] {
        for finding in lint(&Document::parse(text.as_bytes()), &public()) {
            let shown = serde_json::to_string(&finding).unwrap();
            assert!(!shown.contains(secret), "{text}: {shown}");
        }
    }
}
