//! Spellings of methods and paths: which key each names, or why it is refused.

use super::*;
use crate::settings::RawSettings;
use Refusal::{
    AboveRoot, ControlCharacter, Denied, InvalidUtf8, KeyTooLong, MalformedEscape, Method,
};

const LOCAL: [(&str, &str); 2] = [
    ("ORIGIN_URL", "http://127.0.0.1:9000/media"),
    ("PURGE_SECRET", "0123456789abcdef"),
];

fn settings(variables: &[(&str, &str)]) -> Settings {
    let get = |name: &str| {
        let found = variables
            .iter()
            .chain(&LOCAL)
            .find(|(other, _)| *other == name);
        found.map(|(_, text)| (*text).to_owned())
    };
    Settings::parse(&RawSettings::read(get)).unwrap()
}

/// Admits a request with these headers.
fn admit_with(
    method: &str,
    url: &str,
    headers: &[&str],
    settings: &Settings,
) -> Result<Admitted, Refusal> {
    let has_header = |name: &str| headers.iter().any(|other| other.eq_ignore_ascii_case(name));
    admit(method, url, &has_header, settings)
}

fn admit_read(url: &str, settings: &Settings) -> Result<Admitted, Refusal> {
    let no_header = |name: &str| panic!("a read does not depend on `{name}`");
    admit("GET", url, &no_header, settings)
}

const PURGE_HEADER: &[&str] = &["X-Purge-Secret"];
const PREFLIGHT_HEADERS: &[&str] = &["Origin", "Access-Control-Request-Method"];

fn key_under(variables: &[(&str, &str)], target: &str) -> Result<String, Refusal> {
    match admit_read(target, &settings(variables))? {
        Admitted::Read { key, .. } => Ok(key.as_str().to_owned()),
        other => panic!("GET is a read, not {other:?}"),
    }
}

#[track_caller]
fn check(target: &str, expected: Result<&str, Refusal>) {
    assert_eq!(
        key_under(&[], target).as_deref(),
        expected.as_ref().copied(),
        "{target}"
    );
}

#[track_caller]
fn check_under(variables: &[(&str, &str)], target: &str, expected: Result<&str, Refusal>) {
    assert_eq!(
        key_under(variables, target).as_deref(),
        expected.as_ref().copied(),
        "{target}"
    );
}

#[test]
fn get_and_head_read_and_purge_post_and_delete_purge() {
    let settings = settings(&[]);
    let key = ObjectKey("a".to_owned());
    for (method, headers, head) in [("GET", &[][..], false), ("HEAD", PURGE_HEADER, true)] {
        let read = Admitted::Read {
            key: key.clone(),
            head,
            when_missing: StatusCode::NOT_FOUND,
        };
        assert_eq!(admit_with(method, "/a", headers, &settings), Ok(read));
    }
    for method in ["PURGE", "POST", "DELETE"] {
        let admitted = |headers| admit_with(method, "/a", headers, &settings);
        assert_eq!(
            admitted(PURGE_HEADER),
            Ok(Admitted::Purge { key: key.clone() })
        );
        assert_eq!(admitted(&[]), Err(Method));
    }
}

#[test]
fn without_a_configured_secret_nothing_is_a_purge() {
    let settings = settings(&[("PURGE_SECRET", "")]);
    for method in ["PURGE", "POST", "DELETE"] {
        let admitted = admit_with(method, "/a", PURGE_HEADER, &settings);
        assert_eq!(admitted, Err(Method));
    }
}

#[test]
fn every_other_method_is_refused_before_the_path_is_read() {
    let settings = settings(&[]);
    for method in [
        "OPTIONS", "PUT", "PATCH", "TRACE", "CONNECT", "get", "", "PROPFIND",
    ] {
        let admitted = admit_with(method, "/%zz", PURGE_HEADER, &settings);
        assert_eq!(admitted, Err(Method), "{method:?}");
    }
    assert_eq!(Method.status(), StatusCode::FORBIDDEN);
}

#[test]
fn a_preflight_is_answered_whatever_its_path() {
    let settings = settings(&[]);
    let admitted = |method, headers: &[&str]| admit_with(method, "/%zz", headers, &settings);
    assert_eq!(
        admitted("OPTIONS", PREFLIGHT_HEADERS),
        Ok(Admitted::Preflight)
    );
    assert_eq!(admitted("PUT", PREFLIGHT_HEADERS), Err(Method));
    for header in PREFLIGHT_HEADERS {
        assert_eq!(admitted("OPTIONS", &[header]), Err(Method), "{header}");
    }
}

#[test]
fn the_path_is_decoded_once() {
    check("/a%20b.png", Ok("a b.png"));
    check("/a b.png", Ok("a b.png"));
    check("/%E5%9B%BE/%f0%9f%90%98.png", Ok("图/🐘.png"));
    check("/图.png", Ok("图.png"));
    check("/100%25.png", Ok("100%.png"));
    check("/%2525", Ok("%25"));
    check("/a+b", Ok("a+b"));
    check("/a%2Fb", Ok("a/b"));
    check("/a%3Fb%23c", Ok("a?b#c"));
    check("/a\\b", Ok("a\\b"));
}

#[test]
fn the_query_and_the_fragment_are_dropped() {
    check("/a?b=/../../c", Ok("a"));
    check("/a#b", Ok("a"));
    check("/a#b?c", Ok("a"));
    check("https://files.example.com/a/b?c", Ok("a/b"));
    check("https://files.example.com?/a", Ok("index.html"));
    check("https://files.example.com", Ok("index.html"));
    check("/a://b/c", Ok("a:/b/c"));
}

#[test]
fn empty_and_dot_segments_are_resolved() {
    check("//a///b", Ok("a/b"));
    check("/./a/./b", Ok("a/b"));
    check("/a/../b", Ok("b"));
    check("/a/%2e%2E/b", Ok("b"));
    check("/a/b/..", Ok("a/"));
    check("/a/.", Ok("a/"));
    check("/a/", Ok("a/"));
    check("/a//", Ok("a/"));
    check("/a/..%2fb", Ok("b"));
    check("/...", Ok("..."));
    check("/..a/.b", Ok("..a/.b"));
    check("/%252e%252e/a", Ok("%2e%2e/a"));
}

#[test]
fn above_the_root_is_refused() {
    for target in [
        "/..",
        "/../a",
        "/a/../../b",
        "/%2e%2e/a",
        "/%2e./a",
        "/..%2fa",
        "//..",
        "/a/..//..",
        "/./..",
    ] {
        check(target, Err(AboveRoot));
    }
}

#[test]
fn a_malformed_escape_is_refused() {
    for target in [
        "/%", "/%2", "/%zz", "/a%2", "/%2g", "/%%20", "/% 20", "/%é", "/%u0041",
    ] {
        check(target, Err(MalformedEscape));
    }
}

#[test]
fn control_characters_are_refused() {
    for target in [
        "/%00",
        "/a%0d%0ab",
        "/\n",
        "/%7f",
        "/a\0",
        "/%1F",
        "/%C2%80",
        "/%c2%9f",
        "/\u{85}",
    ] {
        check(target, Err(ControlCharacter));
    }
}

#[test]
fn what_is_not_utf8_is_refused() {
    for target in [
        "/%ff",
        "/%c0%af",
        "/%e0%80%af",
        "/%c0%ae%c0%ae/a",
        "/%ed%a0%80",
        "/%f4%90%80%80",
        "/%e5%9b",
        "/a%80",
    ] {
        check(target, Err(InvalidUtf8));
    }
}

#[test]
fn a_key_has_1024_bytes_at_most() {
    let longest = "é".repeat(512);
    check(&format!("/{longest}"), Ok(&longest));
    check(&format!("/{longest}a"), Err(KeyTooLong));
    check(&format!("/{}", "%C3%A9".repeat(513)), Err(KeyTooLong));
    check(&format!("/{}a", "b/../".repeat(1000)), Ok("a"));
    check_under(
        &[("KEY_PREFIX", "p")],
        &format!("/{longest}"),
        Err(KeyTooLong),
    );
    assert_eq!(KeyTooLong.status().as_u16(), 414);
}

#[test]
fn the_root_is_the_index_and_403_without_one() {
    for (variables, target) in [
        (&[][..], "/"),
        (&[], "/a/.."),
        (&[], ""),
        (&[("STRIP_PREFIX", "/system/")], "/system/"),
    ] {
        let admitted = admit_read(target, &settings(variables)).unwrap();
        let index = Admitted::Read {
            key: ObjectKey(INDEX.to_owned()),
            head: false,
            when_missing: StatusCode::FORBIDDEN,
        };
        assert_eq!(admitted, index, "{target}");
    }
    let by_name = admit_read("/index.html", &settings(&[])).unwrap();
    assert!(
        matches!(by_name, Admitted::Read { when_missing, .. } if when_missing == StatusCode::NOT_FOUND)
    );
}

#[test]
fn account_archives_are_denied() {
    for target in [
        "/backups/a",
        "//backups//a",
        "/a/../backups/b",
        "/%62ackups/a",
        "/backups%2fa",
        "/backups/",
    ] {
        check(target, Err(Denied));
    }
    check("/backups", Ok("backups"));
    check("/a/backups/b", Ok("a/backups/b"));
    check_under(&[("DENY_PREFIXES", "none")], "/backups/a", Ok("backups/a"));
    check_under(&[("DENY_PREFIXES", "x/, y/z")], "/y/za", Err(Denied));
}

#[test]
fn no_setting_bypasses_the_deny_list() {
    check_under(
        &[("STRIP_PREFIX", "/system/")],
        "/system/backups/a",
        Err(Denied),
    );
    check_under(
        &[("STRIP_PREFIX", "/system/")],
        "/system/../backups/a",
        Err(Denied),
    );
    check_under(&[("STRIP_PREFIX", "/backups/")], "/backups/a", Err(Denied));
    check_under(&[("KEY_PREFIX", "media")], "/media/backups/a", Err(Denied));
    check_under(&[("KEY_PREFIX", "media")], "/backups/a", Err(Denied));
    let both = [("KEY_PREFIX", "media"), ("STRIP_PREFIX", "/system/")];
    check_under(&both, "/system/media/backups/a", Err(Denied));
    check_under(
        &[("KEY_PREFIX", "media"), ("DENY_PREFIXES", "media/x/")],
        "/x/a",
        Err(Denied),
    );
}

#[test]
fn the_prefix_to_strip_is_cut_off_once() {
    let strip = [("STRIP_PREFIX", "/system/")];
    check_under(&strip, "/system/a", Ok("a"));
    check_under(&strip, "/system/system/a", Ok("system/a"));
    check_under(&strip, "/a", Ok("a"));
    check_under(&strip, "/systems/a", Ok("systems/a"));
}

#[test]
fn every_key_lies_under_the_key_prefix_once() {
    let prefix = [("KEY_PREFIX", "/media/")];
    check_under(&prefix, "/a", Ok("media/a"));
    check_under(&prefix, "/media/a", Ok("media/a"));
    check_under(
        &prefix,
        "/media_attachments/a",
        Ok("media/media_attachments/a"),
    );
    check_under(&prefix, "/", Ok("media/index.html"));
    check_under(&prefix, "/media/../a", Ok("media/a"));
    check_under(&prefix, "/media/../../a", Err(AboveRoot));
}

#[test]
fn the_path_for_the_bucket_is_encoded_as_sigv4_requires() {
    let path = |key: &str| {
        let key = ObjectKey(key.to_owned());
        assert_eq!(ObjectKey::from_s3_path(&key.s3_path()), Some(key.clone()));
        key.s3_path()
    };
    assert_eq!(path("accounts/a-b_c.d~e"), "/accounts/a-b_c.d~e");
    assert_eq!(path("a b+c%d"), "/a%20b%2Bc%25d");
    assert_eq!(
        path("!\"#$&'()*,:;<=>?@[\\]^`{|}"),
        "/%21%22%23%24%26%27%28%29%2A%2C%3A%3B%3C%3D%3E%3F%40%5B%5C%5D%5E%60%7B%7C%7D"
    );
    assert_eq!(path("图🐘"), "/%E5%9B%BE%F0%9F%90%98");
    for path in ["", "/", "/%zz", "/..", &format!("/{}", "a".repeat(1025))] {
        assert_eq!(ObjectKey::from_s3_path(path), None, "{path}");
    }
}

#[test]
fn the_paths_of_health_and_cache_do_not_depend_on_the_prefixes() {
    let settings = settings(&[("STRIP_PREFIX", "/system/"), ("KEY_PREFIX", "media/")]);
    let admitted = |method, url, headers| admit_with(method, url, headers, &settings);
    let cache = "https://files.example.com/.well-known/medialift-cache?x=1";
    for method in ["PURGE", "DELETE"] {
        let purge = admitted(method, cache, PURGE_HEADER);
        assert_eq!(purge, Ok(Admitted::PurgeEverything));
    }
    assert_eq!(admitted("PURGE", cache, &[]), Err(Method));
    for method in ["GET", "HEAD"] {
        let health = admitted(method, "/.well-known/medialift-health", &[]);
        assert!(
            matches!(&health, Ok(Admitted::Health { probe, head })
                if probe.as_str() == "media/.well-known/medialift-health"
                    && *head == (method == "HEAD")),
            "{health:?}"
        );
    }
    // Every other path is an object's.
    for url in [
        "/.well-known/medialift-cache",
        "/.well-known/medialift-health/",
        "/system/.well-known/medialift-health",
    ] {
        let read = admitted("GET", url, &[]);
        assert!(matches!(read, Ok(Admitted::Read { .. })), "{url}");
    }
}
