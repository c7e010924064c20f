//! Hostile methods and paths: every admitted key is under the prefix.

use crate::{config, corpus, model};
use edge_worker::admission::{self, Admitted, MAX_KEY_BYTES, Refusal};
use edge_worker::settings::{RawSettings, Settings};
use proptest::prelude::*;
use proptest::sample::select;
use std::sync::OnceLock;

fn parse(variables: &[(&str, &str)]) -> Settings {
    let local = [
        ("ORIGIN_URL", "http://127.0.0.1:9000/media"),
        ("PURGE_SECRET", "0123456789abcdef"),
    ];
    let lookup = |name: &str| {
        let found = variables
            .iter()
            .chain(&local)
            .find(|(other, _)| *other == name);
        found.map(|(_, text)| (*text).to_owned())
    };
    Settings::parse(&RawSettings::read(lookup)).unwrap()
}

fn admit(
    method: &str,
    target: &str,
    has_purge_header: bool,
    settings: &Settings,
) -> Result<Admitted, Refusal> {
    let has_header = |name: &str| has_purge_header && name == "X-Purge-Secret";
    admission::admit(method, target, &has_header, settings)
}

/// All combinations of the settings that change a key.
fn all_settings() -> &'static [Settings] {
    static ALL: OnceLock<Vec<Settings>> = OnceLock::new();
    ALL.get_or_init(|| {
        vec![
            parse(&[]),
            parse(&[("KEY_PREFIX", "media")]),
            parse(&[("STRIP_PREFIX", "/system/")]),
            parse(&[("KEY_PREFIX", "media"), ("STRIP_PREFIX", "/system/")]),
        ]
    })
}

/// The invariants of every target.
fn check_target(settings: &Settings, method: &str, target: &str) {
    let key = match admit(method, target, true, settings) {
        Ok(Admitted::Read { key, .. } | Admitted::Purge { key }) => key,
        Ok(Admitted::Health { probe, .. }) => probe,
        // It names no object.
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
    let inner = text.strip_prefix(settings.key_prefix.as_str());
    let inner = inner.unwrap_or_else(|| panic!("{target:?}: {text:?} is not under the prefix"));
    assert!(
        !inner.is_empty() && text.len() <= MAX_KEY_BYTES,
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
        !last.is_empty() || others.len() > usize::from(!settings.key_prefix.is_empty()),
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
    if settings.strip_prefix.is_none() {
        let again = admit("GET", &path, false, settings);
        assert!(
            matches!(again, Ok(Admitted::Read { key: same, .. }) if same == key),
            "{path:?}"
        );
    }
}

/// A path made of difficult parts.
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
        for settings in all_settings() {
            check_target(settings, method, &target);
        }
    }
}

proptest! {
    #![proptest_config(config(4_000))]

    #[test]
    fn any_text_at_all_is_admitted_or_refused(method in any::<String>(), target in any::<String>()) {
        for settings in all_settings() {
            check_target(settings, &method, &target);
            check_target(settings, "GET", &target);
        }
    }

    /// Every key is reached by its path, whichever bytes are escaped.
    #[test]
    fn every_key_is_reached(segments in proptest::collection::vec("[^/\\p{Cc}]{1,20}", 1..5), escapes in any::<u64>()) {
        prop_assume!(!segments.iter().any(|segment| matches!(segment.as_str(), "." | "..")));
        let key = segments.join("/");
        prop_assume!(key.len() <= MAX_KEY_BYTES && !key.starts_with("backups/"));
        let target = format!("/{}", model::encode(&key, escapes));
        let admitted = admit("GET", &target, false, &all_settings()[0]);
        let Ok(Admitted::Read { key: found, .. }) = admitted else { panic!("{target}: {admitted:?}") };
        prop_assert_eq!(found.as_str(), key);
    }
}

#[test]
fn the_corpus_of_targets_is_replayed() {
    for target in corpus::lines("targets.txt") {
        for settings in all_settings() {
            for method in ["GET", "HEAD", "PURGE", "POST"] {
                check_target(settings, method, &target);
            }
        }
    }
}

#[test]
fn a_path_as_long_as_a_runtime_takes_is_refused_in_time() {
    let settings = &all_settings()[0];
    for part in ["a/", "../", "%2e%2e/", "/", "%41", "é"] {
        let target = format!("/{}", part.repeat(1 << 18));
        check_target(settings, "GET", &target);
    }
    assert_eq!(
        admit("GET", &"/a".repeat(1 << 18), false, settings),
        Err(Refusal::KeyTooLong)
    );
}
