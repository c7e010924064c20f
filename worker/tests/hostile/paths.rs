//! Methods and paths: what is admitted names a key inside the prefix.

use crate::{config, corpus, model};
use edge_worker::admission::{self, Admitted, Asked, LONGEST_KEY, Refusal};
use edge_worker::settings::{Settings, VARIABLES};
use http::Method;
use proptest::prelude::*;
use proptest::sample::select;
use std::sync::OnceLock;

fn settings(variables: &[(&str, &str)]) -> Settings {
    let local = [("ORIGIN_URL", "http://127.0.0.1:9000/media")];
    let lookup = |name: &str| {
        let found = variables
            .iter()
            .chain(&local)
            .find(|(other, _)| *other == name);
        found.map(|(_, text)| (*text).to_owned())
    };
    let set = VARIABLES
        .iter()
        .filter_map(|variable| Some((variable.name, lookup(variable.name)?)));
    let raw = serde_json::from_value(set.collect());
    Settings::parse(&raw.unwrap()).unwrap()
}

fn admit(
    method: &str,
    target: &str,
    has_purge_header: bool,
    site: &Settings,
) -> Result<Admitted, Refusal> {
    let method = method.parse::<Method>().ok();
    let asked = Asked {
        method: method.as_ref(),
        target,
        has_purge_header,
        is_preflight: false,
    };
    admission::admit(&asked, site)
}

/// Every combination of what changes a key.
fn sites() -> &'static [Settings] {
    static SITES: OnceLock<Vec<Settings>> = OnceLock::new();
    SITES.get_or_init(|| {
        vec![
            settings(&[]),
            settings(&[("KEY_PREFIX", "media")]),
            settings(&[("STRIP_PREFIX", "/system/")]),
            settings(&[("KEY_PREFIX", "media"), ("STRIP_PREFIX", "/system/")]),
        ]
    })
}

/// What must hold for every target, whoever wrote it.
fn check_target(site: &Settings, method: &str, target: &str) {
    let key = match admit(method, target, true, site) {
        Ok(Admitted::Read { key, .. } | Admitted::Purge { key }) => key,
        Ok(Admitted::Health { probe, .. }) => probe,
        // No object, whatever its path.
        Ok(Admitted::PurgeEverything) => return,
        Ok(Admitted::Preflight) => panic!("{method} is no preflight"),
        Err(refusal) => {
            assert!(
                matches!(refusal.status().as_u16(), 400 | 403 | 414),
                "{target:?}: {refusal:?}"
            );
            return;
        }
    };
    let text = key.as_str();
    let inner = text.strip_prefix(site.key_prefix.as_str());
    let inner = inner.unwrap_or_else(|| panic!("{target:?}: {text:?} lies outside the prefix"));
    assert!(
        !inner.is_empty() && text.len() <= LONGEST_KEY,
        "{target:?}: {text:?}"
    );
    assert!(!text.chars().any(char::is_control), "{target:?}: {text:?}");
    assert!(
        !inner.starts_with("backups/"),
        "{target:?}: {text:?} is denied"
    );
    let segments: Vec<&str> = text.split('/').collect();
    let (last, others) = segments.split_last().unwrap();
    assert!(
        !others.contains(&""),
        "{target:?}: {text:?} has an empty segment"
    );
    assert!(
        !segments
            .iter()
            .any(|segment| matches!(*segment, "." | "..")),
        "{target:?}: {text:?}"
    );
    assert!(
        !last.is_empty() || others.len() > usize::from(!site.key_prefix.is_empty()),
        "{text:?}"
    );

    let path = key.s3_path();
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/%".contains(&byte);
    assert!(path.starts_with('/') && path.bytes().all(bare), "{path:?}");
    assert_eq!(
        model::decode(&path[1..]),
        text.as_bytes(),
        "the path is another key"
    );
    if site.strip_prefix.is_none() {
        let again = admit("GET", &path, false, site);
        assert!(
            matches!(again, Ok(Admitted::Read { key: same, .. }) if same == key),
            "{path:?}"
        );
    }
}

/// Text that is made of what paths stumble over.
fn hostile_path() -> impl Strategy<Value = String> {
    const PARTS: &[&str] = &[
        "/",
        "/",
        "//",
        ".",
        "..",
        "/../",
        "%2e",
        "%2E",
        "%2f",
        "%5c",
        "\\",
        "%",
        "%2",
        "%zz",
        "%00",
        "%0d",
        "%7f",
        "%25",
        "%252e",
        "%c0%ae",
        "%c0%af",
        "%e5%9b%be",
        "%e5",
        "%ff",
        "%ed%a0%80",
        "%c2%85",
        "a",
        "b c",
        "é",
        "🐘",
        "backups",
        "backups/",
        "%62ackups",
        "media/",
        "system/",
        "?",
        "#",
        "://",
        ";",
        "+",
        "\u{85}",
        "\0",
        "\n",
    ];
    let part = prop_oneof![
        4 => select(PARTS).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => any::<u8>().prop_map(|byte| format!("%{byte:02x}")),
    ];
    proptest::collection::vec(part, 0..12).prop_map(|parts| format!("/{}", parts.concat()))
}

proptest! {
    #![proptest_config(config(20_000))]

    #[test]
    fn no_path_leaves_the_bucket_and_the_prefix(target in hostile_path(), method in select(&["GET", "HEAD", "PURGE", "POST"][..])) {
        for site in sites() {
            check_target(site, method, &target);
        }
    }
}

proptest! {
    #![proptest_config(config(4_000))]

    #[test]
    fn any_text_at_all_is_admitted_or_refused(method in any::<String>(), target in any::<String>()) {
        for site in sites() {
            check_target(site, &method, &target);
            check_target(site, "GET", &target);
        }
    }

    /// Every key there can be is reached by the path that names it, whichever bytes are escaped.
    #[test]
    fn every_key_is_reached(segments in proptest::collection::vec("[^/\\p{Cc}]{1,20}", 1..5), escapes in any::<u64>()) {
        prop_assume!(!segments.iter().any(|segment| matches!(segment.as_str(), "." | "..")));
        let key = segments.join("/");
        prop_assume!(key.len() <= LONGEST_KEY && !key.starts_with("backups/"));
        let target = format!("/{}", model::encode(&key, escapes));
        let admitted = admit("GET", &target, false, &sites()[0]);
        let Ok(Admitted::Read { key: found, .. }) = admitted else { panic!("{target}: {admitted:?}") };
        prop_assert_eq!(found.as_str(), key);
    }
}

#[test]
fn the_corpus_of_targets_is_replayed() {
    for target in corpus::lines("targets.txt") {
        for site in sites() {
            for method in ["GET", "HEAD", "PURGE", "POST"] {
                check_target(site, method, &target);
            }
        }
    }
}

#[test]
fn a_path_as_long_as_a_runtime_takes_is_refused_in_time() {
    let site = &sites()[0];
    for part in ["a/", "../", "%2e%2e/", "/", "%41", "é"] {
        let target = format!("/{}", part.repeat(1 << 18));
        check_target(site, "GET", &target);
    }
    assert_eq!(
        admit("GET", &"/a".repeat(1 << 18), false, site),
        Err(Refusal::KeyTooLong)
    );
}
