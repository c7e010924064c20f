//! Extreme numbers, header values and stored records.

use edge_worker::policy::freshness::{FreshnessRule, OriginCacheControl};
use edge_worker::policy::record::Record;
use edge_worker::policy::time::UnixMillis;
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use proptest::sample::select;

/// A number near the limits of arithmetic.
pub(crate) fn edge_number() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..4u64,
        (u64::MAX - 3)..=u64::MAX,
        ((1u64 << 63) - 2)..=((1u64 << 63) + 1),
        ((1u64 << 32) - 2)..=((1u64 << 32) + 1),
        any::<u64>(),
    ]
}

pub(crate) fn edge_moment() -> impl Strategy<Value = UnixMillis> {
    edge_number().prop_map(UnixMillis)
}

/// A header's value as from a runtime: every byte is a character, control characters included.
pub(crate) fn value() -> impl Strategy<Value = String> {
    const TEXTS: &[&str] = &[
        "no-cache",
        "no-store",
        "private",
        "max-age=",
        "s-maxage=",
        "0",
        "1",
        "99999999999999999999",
        ",",
        "=",
        "\"",
        "W/\"",
        "*",
        "Thu, 01 Jan 2015 00:00:00 GMT",
        "@",
        "-",
        "bytes=",
        " ",
        "\t",
        "\0",
        "\u{7f}",
        "ÿ",
    ];
    let text = prop_oneof![
        3 => select(TEXTS).prop_map(str::to_owned),
        // No header's value can hold a newline.
        1 => any::<u8>().prop_map(|byte| char::from(byte).to_string().replace('\n', "")),
    ];
    proptest::collection::vec(text, 0..8).prop_map(|texts| texts.concat())
}

pub(crate) fn fields() -> impl Strategy<Value = HeaderMap> {
    const NAMES: &[&str] = &[
        "cache-control",
        "expires",
        "x-accel-expires",
        "vary",
        "etag",
        "last-modified",
        "content-length",
        "retry-after",
        "connection",
        "x-amz-id-2",
        "x-bz-a",
        "x-cache-status",
        "set-cookie",
        "content-type",
        "server",
        "access-control-allow-origin",
        "x-hop",
    ];
    let field = (select(NAMES), value());
    // A runtime gives valid values only.
    let parsed = |(name, text): (&'static str, String)| {
        let value = HeaderValue::from_bytes(text.as_bytes()).ok()?;
        Some((HeaderName::from_static(name), value))
    };
    proptest::collection::vec(field, 0..8)
        .prop_map(move |fields| fields.into_iter().filter_map(parsed).collect())
}

pub(crate) fn record() -> impl Strategy<Value = Record> {
    (100..1000u16, edge_moment(), edge_moment(), edge_moment()).prop_map(
        |(status, asked_at, one, other)| Record {
            status,
            asked_at,
            generated_at: asked_at,
            fresh_until: one.min(other),
            stale_until: one.max(other),
        },
    )
}

pub(crate) fn rule() -> impl Strategy<Value = FreshnessRule> {
    let origin = select(&[OriginCacheControl::Ignore, OriginCacheControl::Respect][..]);
    (edge_number(), edge_number(), edge_number(), origin).prop_map(
        |(fresh, stale, negative, origin)| FreshnessRule {
            fresh_seconds: fresh,
            stale_seconds: stale,
            negative_seconds: negative,
            origin,
        },
    )
}
