//! What the settings are for given variables: the defaults, every setting, every fault at once.

mod forms;
mod secrets;

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
