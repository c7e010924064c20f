//! The forms of variables: each function parses one form, and returns `None` for any other text.

use crate::policy::headers::parse_number;

/// Ten years.
const MAX_SECONDS: u64 = 315_360_000;

/// The shortest secret of a purge, in characters: guesses are not limited.
const MIN_SECRET_CHARACTERS: usize = 16;

/// The longest prefix, in bytes: half of what a key may have.
const MAX_PREFIX_BYTES: usize = 512;

/// A number of seconds.
pub(super) fn seconds(text: &str) -> Option<u64> {
    parse_number(text).filter(|seconds| *seconds <= MAX_SECONDS)
}

/// A path of directories: without `/` at its start, with one at its end.
pub(super) fn directory(text: &str) -> Option<String> {
    let path = prefix(text.trim_end_matches('/'))?;
    Some([&path, "/"].concat())
}

/// Prefixes separated by commas, or `none`.
pub(super) fn deny_list(text: &str) -> Option<Vec<String>> {
    if text == "none" {
        return Some(Vec::new());
    }
    text.split(',').map(|text| prefix(text.trim())).collect()
}

/// The start of a key: without `/` at its start, and in the form of an admitted key.
fn prefix(text: &str) -> Option<String> {
    let path = text.trim_start_matches('/');
    let directories = path.strip_suffix('/').unwrap_or(path);
    let is_segment = |segment: &str| !matches!(segment, "" | "." | "..");
    let is_possible = path.len() <= MAX_PREFIX_BYTES
        && directories.split('/').all(is_segment)
        && !path.chars().any(char::is_control);
    is_possible.then(|| path.to_owned())
}

/// A bucket's name.
pub(super) fn bucket(text: &str) -> Option<String> {
    let is_possible = (3..=63).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
        && !text.starts_with('.');
    is_possible.then(|| text.to_owned())
}

/// A host, with or without the scheme that `S3_ENDPOINT` has.
pub(super) fn endpoint(text: &str) -> Option<String> {
    let host = text
        .strip_prefix("https://")
        .unwrap_or(text)
        .trim_end_matches('/');
    (is_host(host) && host.contains('.')).then(|| host.to_owned())
}

/// An `https` URL, or an `http` one of this machine, without a `/` at its end.
pub(super) fn url(text: &str) -> Option<String> {
    let host = host_of(text)?;
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let is_local = name == "localhost" || name == "[::1]" || is_loopback(name);
    let path = &text[text.find(host)? + host.len()..];
    let is_path = path
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"?#\\\"<>^`{|}".contains(&byte));
    (is_path && (is_local || text.starts_with("https://")))
        .then(|| text.trim_end_matches('/').to_owned())
}

/// A [`url`] with a path: without one it would be the address of the site and not of its media.
pub(super) fn url_with_path(text: &str) -> Option<String> {
    let url = url(text)?;
    let (_, rest) = url.split_once("://")?;
    rest.contains('/').then_some(url)
}

/// The host of a URL, with its port.
pub(super) fn host_of(url: &str) -> Option<&str> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))?;
    let host = rest.split('/').next()?;
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let is_port = port.is_none_or(|port| parse_number(port).is_some_and(|port| port <= 65_535));
    (is_port && (name == "[::1]" || is_host(name))).then_some(host)
}

/// `us-west-004` of `s3.us-west-004.backblazeb2.com`.
pub(super) fn region(host: &str) -> Option<String> {
    let (region, _) = host.strip_prefix("s3.")?.split_once('.')?;
    (!region.is_empty()).then(|| region.to_owned())
}

/// The id of an application key, which is longer than the twelve digits of a master key's.
pub(super) fn application_key_id(text: &str) -> Option<String> {
    let is_master = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    secret(text).filter(|_| !is_master && !text.contains('/'))
}

/// A text that is a header value: visible ASCII.
pub(super) fn secret(text: &str) -> Option<String> {
    let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    (is_visible && !text.is_empty()).then(|| text.to_owned())
}

/// A secret of at least [`MIN_SECRET_CHARACTERS`] characters.
pub(super) fn purge_secret(text: &str) -> Option<String> {
    secret(text).filter(|secret| secret.len() >= MIN_SECRET_CHARACTERS)
}

/// A header's name that clients do not use for something else.
pub(super) fn header_name(text: &str) -> Option<String> {
    const TAKEN: [&str; 9] = [
        "accept",
        "connection",
        "content-length",
        "cookie",
        "host",
        "origin",
        "range",
        "te",
        "user-agent",
    ];
    let is_possible = !text.is_empty()
        && text.len() <= 128
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !TAKEN.iter().any(|taken| taken.eq_ignore_ascii_case(text));
    is_possible.then(|| text.to_owned())
}

/// A text for a message: on one line, and not longer than 80 characters.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 80;
    let printable = |letter: char| match letter.is_control() {
        true => char::REPLACEMENT_CHARACTER,
        false => letter,
    };
    let mut shown: String = text.chars().take(LONGEST).map(printable).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

fn is_loopback(name: &str) -> bool {
    let is_byte = |text: &str| parse_number(text).is_some_and(|number| number <= 255);
    name.starts_with("127.") && name.split('.').count() == 4 && name.split('.').all(is_byte)
}
