//! The same rules in their simplest form, to compare with.

use edge_worker::policy::range::{self, RangePlan};
use proptest::prelude::*;

/// One range of a `Range` header.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Spec {
    FromTo(u64, u64),
    From(u64),
    Last(u64),
}

pub(crate) fn spec() -> impl Strategy<Value = Spec> {
    prop_oneof![
        (0..25u64, 0..25u64).prop_map(|(first, last)| Spec::FromTo(first, last)),
        (0..25u64).prop_map(Spec::From),
        (0..25u64).prop_map(Spec::Last),
    ]
}

pub(crate) fn header(specs: &[Spec]) -> String {
    let texts: Vec<String> = specs
        .iter()
        .map(|spec| match spec {
            Spec::FromTo(first, last) => format!("{first}-{last}"),
            Spec::From(first) => format!("{first}-"),
            Spec::Last(count) => format!("-{count}"),
        })
        .collect();
    format!("bytes={}", texts.join(", "))
}

/// Tests each offset of the object against each range.
pub(crate) fn plan(specs: &[Spec], length: u64) -> RangePlan {
    let named = |spec: &Spec| -> Vec<u64> {
        (0..length)
            .filter(|offset| match *spec {
                Spec::FromTo(first, last) => first <= *offset && *offset <= last,
                Spec::From(first) => first <= *offset,
                Spec::Last(count) => length - offset <= count,
            })
            .collect()
    };
    // A range from the start of an empty object is the whole of it.
    let from_nothing = |spec: &Spec| {
        length == 0
            && match *spec {
                Spec::FromTo(first, _) | Spec::From(first) => first == 0,
                Spec::Last(_) => true,
            }
    };
    if specs.iter().any(from_nothing) {
        return RangePlan::Whole;
    }
    let satisfiable: Vec<Vec<u64>> = specs
        .iter()
        .map(named)
        .filter(|offsets| !offsets.is_empty())
        .collect();
    match &satisfiable[..] {
        [] => RangePlan::Unsatisfiable,
        [offsets] => {
            let text = format!("bytes={}-{}", offsets[0], offsets[offsets.len() - 1]);
            range::plan(Some(&text), Some(length))
        }
        _ => RangePlan::Whole,
    }
}

/// Percent-decodes a text without malformed escapes.
pub(crate) fn decode(text: &str) -> Vec<u8> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend(&part.as_bytes()[2..]);
    }
    bytes
}

/// Escapes what must be escaped, and of the rest, the slash included, what the bits of `escapes` select.
pub(crate) fn encode(key: &str, escapes: u64) -> String {
    let mut text = String::new();
    for (index, letter) in key.chars().enumerate() {
        if matches!(letter, '%' | '?' | '#') || escapes >> (index % 64) & 1 == 1 {
            let mut buffer = [0; 4];
            let bytes = letter.encode_utf8(&mut buffer).bytes();
            text.extend(bytes.map(|byte| format!("%{byte:02X}")));
        } else {
            text.push(letter);
        }
    }
    text
}
