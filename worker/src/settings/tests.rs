//! Every form of every variable, valid and malformed.

use super::*;

const BUCKET: [(&str, &str); 2] = [
    ("B2_BUCKET", "instance-media"),
    ("B2_ENDPOINT", "s3.us-west-004.backblazeb2.com"),
];

fn parse(variables: &[(&str, &str)]) -> Result<Settings, Vec<Fault>> {
    let get = |name: &str| {
        variables
            .iter()
            .find(|(other, _)| *other == name)
            .map(|(_, text)| (*text).to_owned())
    };
    Settings::parse(&RawSettings::read(get))
}

fn with_bucket(variables: &[(&str, &str)]) -> Result<Settings, Vec<Fault>> {
    parse(&[variables, &BUCKET].concat())
}

/// Parses one variable with a valid bucket. `expected`: the only fault's problem; `None` without a fault.
#[track_caller]
fn check(name: &str, text: &str, expected: Option<&str>) {
    let problem = match with_bucket(&[(name, text)]) {
        Ok(_) => None,
        Err(faults) => {
            let [fault] = &faults[..] else {
                panic!("one fault: {faults:?}")
            };
            assert_eq!(fault.variable, name);
            Some(fault.problem.clone())
        }
    };
    assert_eq!(problem.as_deref(), expected, "{name}={text}");
}

#[track_caller]
fn valid(name: &str, text: &str) {
    check(name, text, None);
}

#[track_caller]
fn faulty(name: &str, texts: &[&str]) {
    let form = variable_form(name);
    for text in texts {
        check(
            name,
            text,
            Some(&format!("is `{text}`; it should be {form}")),
        );
    }
}

fn variable_form(name: &str) -> &'static str {
    VARIABLES
        .iter()
        .find(|variable| variable.name == name)
        .unwrap()
        .form
}

#[test]
fn a_bucket_and_its_endpoint_are_enough() {
    let expected = Settings {
        cache_mode: CacheMode::Engine,
        origin_url: "https://s3.us-west-004.backblazeb2.com/instance-media".to_owned(),
        key_prefix: String::new(),
        freshness: FreshnessRule {
            fresh_seconds: 172_800,
            stale_seconds: 2_592_000,
            negative_seconds: 0,
            origin: OriginCacheControl::Ignore,
        },
        fallback_origin: None,
        strip_prefix: None,
        deny_prefixes: vec!["backups/".to_owned(), "imports/".to_owned()],
        origin_auth: OriginAuth::None,
        purge: None,
    };
    assert_eq!(parse(&BUCKET), Ok(expected));
}

#[test]
fn every_setting_is_read() {
    let settings = with_bucket(&[
        ("ORIGIN_URL", "http://127.0.0.1:9000/media/"),
        ("KEY_PREFIX", "/mastodon/"),
        ("CACHE_MODE", "platform"),
        ("FRESH_SECONDS", "60"),
        ("STALE_SECONDS", "61"),
        ("NEGATIVE_SECONDS", "62"),
        ("ORIGIN_CACHE_CONTROL", "respect"),
        ("FALLBACK_ORIGIN", "https://example.com/system/"),
        ("STRIP_PREFIX", "/system/"),
        ("DENY_PREFIXES", "/backups/, private"),
        ("ORIGIN_AUTH", "sigv4"),
        ("B2_APPLICATION_KEY_ID", "00161f959a5f87b0000000005"),
        ("B2_APPLICATION_KEY", "K001abc/+="),
        ("PURGE_SECRET_HEADER", "X-Mine"),
        ("PURGE_SECRET", " a-secret-of-16-or-more "),
    ])
    .unwrap();
    assert_eq!(settings.origin_url, "http://127.0.0.1:9000/media");
    assert_eq!(settings.key_prefix, "mastodon/");
    assert_eq!(settings.cache_mode, CacheMode::Platform);
    let rule = FreshnessRule {
        fresh_seconds: 60,
        stale_seconds: 61,
        negative_seconds: 62,
        origin: OriginCacheControl::Respect,
    };
    assert_eq!(settings.freshness, rule);
    assert_eq!(
        settings.fallback_origin.as_deref(),
        Some("https://example.com/system")
    );
    assert_eq!(settings.strip_prefix.as_deref(), Some("system/"));
    assert_eq!(settings.deny_prefixes, ["backups/", "private"]);
    let auth = OriginAuth::SigV4 {
        key_id: "00161f959a5f87b0000000005".to_owned(),
        key: Secret("K001abc/+=".to_owned()),
        region: "us-west-004".to_owned(),
    };
    assert_eq!(settings.origin_auth, auth);
    let purge = PurgeSettings {
        header: "X-Mine".to_owned(),
        secret: Secret("a-secret-of-16-or-more".to_owned()),
    };
    assert_eq!(settings.purge, Some(purge));
}

#[test]
fn every_fault_is_found_at_once() {
    let faults = parse(&[
        ("KEY_PREFIX", "a/../b"),
        ("CACHE_MODE", "both"),
        ("FRESH_SECONDS", "48h"),
        ("STALE_SECONDS", "-1"),
        ("NEGATIVE_SECONDS", "1.5"),
        ("ORIGIN_CACHE_CONTROL", "yes"),
        ("FALLBACK_ORIGIN", "example.com"),
        ("STRIP_PREFIX", "/"),
        ("DENY_PREFIXES", "a,,b"),
        ("ORIGIN_AUTH", "sigv4"),
        ("PURGE_SECRET_HEADER", "Host"),
        ("PURGE_SECRET", "two words"),
    ])
    .unwrap_err();
    let mut variables: Vec<_> = faults.iter().map(|fault| fault.variable).collect();
    variables.sort_unstable();
    let mut expected: Vec<_> = VARIABLES.iter().map(|variable| variable.name).collect();
    expected.retain(|name| !matches!(*name, "ORIGIN_URL" | "ORIGIN_AUTH"));
    expected.sort_unstable();
    assert_eq!(variables, expected);
    let of = |name| faults.iter().find(|fault| fault.variable == name).unwrap();
    let problem = &of("FRESH_SECONDS").problem;
    assert!(
        problem.starts_with("is `48h`; it should be a whole number from 0"),
        "{problem}"
    );
}

#[test]
fn without_an_origin_the_settings_are_faulty() {
    let faults = parse(&[]).unwrap_err();
    let variables: Vec<_> = faults.iter().map(|fault| fault.variable).collect();
    assert_eq!(variables, ["B2_BUCKET", "B2_ENDPOINT"]);
    assert!(
        faults[0]
            .problem
            .starts_with("is not set, and no `ORIGIN_URL` either; it should be a bucket's name")
    );
    assert!(parse(&[("ORIGIN_URL", "http://localhost:1/media")]).is_ok());
}

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
fn a_fallback_without_a_path_is_refused() {
    let sites = [
        "https://example.com",
        "https://example.com/",
        "http://localhost:1",
    ];
    faulty("FALLBACK_ORIGIN", &sites);
}

#[test]
fn a_secret_that_can_be_guessed_is_refused() {
    valid("PURGE_SECRET", "0123456789abcdef");
    let faults = with_bucket(&[("PURGE_SECRET", "0123456789abcde")]).unwrap_err();
    assert_eq!(faults[0].variable, "PURGE_SECRET");
}

#[test]
fn deployments_that_answer_differently_have_separate_caches() {
    let space = |variables: &[(&str, &str)]| with_bucket(variables).unwrap().cache_key_query();
    let same = space(&[]);
    assert_eq!(space(&[("PURGE_SECRET", "0123456789abcdef")]), same);
    assert_eq!(space(&[("FRESH_SECONDS", "172800")]), same, "the default");
    for other in [
        ("B2_BUCKET", "another-bucket"),
        ("ORIGIN_URL", "https://example.com/media"),
        ("KEY_PREFIX", "mastodon"),
        ("FALLBACK_ORIGIN", "https://example.com/system"),
        ("FRESH_SECONDS", "60"),
        ("NEGATIVE_SECONDS", "60"),
        ("ORIGIN_CACHE_CONTROL", "respect"),
    ] {
        assert_ne!(
            parse(&[&[other][..], &BUCKET].concat())
                .unwrap()
                .cache_key_query(),
            same,
            "{other:?}"
        );
    }
}

#[test]
fn the_purge_header_is_not_one_that_clients_use() {
    valid("PURGE_SECRET_HEADER", "X-Purge");
    faulty(
        "PURGE_SECRET_HEADER",
        &["Range", "HOST", "X Purge", "X-Purge:", "é"],
    );
}

#[test]
fn every_variable_in_the_table_has_a_unique_name_and_a_valid_default() {
    for variable in VARIABLES {
        assert_eq!(
            VARIABLES
                .iter()
                .filter(|other| other.name == variable.name)
                .count(),
            1
        );
        if let Some(default) = variable.default {
            assert!(!variable.secret);
            valid(variable.name, default);
        }
    }
}
