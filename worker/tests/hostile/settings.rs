//! Hostile settings.

use crate::config;
use crate::strategies::value;
use edge_worker::settings::{Fault, RawSettings, Settings, VARIABLES};
use proptest::prelude::*;
use proptest::sample::select;

fn parse(lookup: impl Fn(&str) -> Option<String>) -> Result<Settings, Vec<Fault>> {
    Settings::parse(&RawSettings::read(lookup))
}

proptest! {
    #![proptest_config(config(4_000))]

    #[test]
    fn any_settings_are_valid_or_have_faults(texts in proptest::collection::vec(proptest::option::of(prop_oneof![any::<String>(), value(), "[a-z0-9:/.]{0,12}"]), VARIABLES.len())) {
        let lookup = |name: &str| {
            let index = VARIABLES.iter().position(|variable| variable.name == name)?;
            texts[index].clone()
        };
        if let Err(faults) = parse(lookup) {
            for fault in &faults {
                prop_assert!(!fault.problem.contains(char::is_control), "one line: {}", fault.problem);
                prop_assert!(VARIABLES.iter().any(|variable| variable.name == fault.variable));
            }
        }
    }

    #[test]
    fn no_secret_is_ever_shown(secret in "[ -~]{0,30}ZQX[ -~é]{0,30}", which in select(&["B2_APPLICATION_KEY_ID", "B2_APPLICATION_KEY", "PURGE_SECRET"][..])) {
        let lookup = |name: &str| match name {
            "ORIGIN_AUTH" => Some("sigv4".to_owned()),
            _ => (name == which).then(|| secret.clone()),
        };
        let faults = parse(lookup).unwrap_err();
        let shown = format!("{faults:?}");
        prop_assert!(!shown.contains("ZQX"));
    }
}
