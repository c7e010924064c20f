//! Conditional requests (RFC 9110, section 13): the conditions of readers, and those for the bucket.
//!
//! As in nginx, conditions apply to answers of status 200 only. [`super::range`] reads ranges.

use super::headers::text;
use super::time::parse_http_date;
use http::header::{
    ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderValue};

/// The answer to a request's conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evaluated {
    /// As without conditions.
    Proceed,
    /// 304: the reader has this version.
    NotModified,
    /// 412: the reader wants another version, or none.
    PreconditionFailed,
}

/// Evaluates a reader's conditions against a stored 200, in the order of RFC 9110, section 13.2.2.
///
/// In three points this follows the RFC and not nginx: `If-None-Match` takes the place of
/// `If-Modified-Since`; "not modified" is the answer to every date from the file's own on, not to that one
/// only; a date that cannot be read is no condition.
pub fn evaluate(request: &HeaderMap, stored: &HeaderMap) -> Evaluated {
    let (etag, last_modified) = (text(stored, ETAG), text(stored, LAST_MODIFIED));
    if let Some(tags) = text(request, IF_MATCH) {
        if !any_tag(tags, etag, strong_match) {
            return Evaluated::PreconditionFailed;
        }
    } else if is_later(last_modified, text(request, IF_UNMODIFIED_SINCE)) == Some(true) {
        return Evaluated::PreconditionFailed;
    }
    let has_it = match text(request, IF_NONE_MATCH) {
        Some(tags) => any_tag(tags, etag, weak_match),
        None => is_later(last_modified, text(request, IF_MODIFIED_SINCE)) == Some(false),
    };
    match has_it {
        true => Evaluated::NotModified,
        false => Evaluated::Proceed,
    }
}

/// Whether a `Range` counts under the request's `If-Range` (RFC 9110, section 13.1.5): the entity tags are
/// equal and strong, or the dates are equal. Where it does not, the whole object is the answer.
pub fn if_range_holds(request: &HeaderMap, stored: &HeaderMap) -> bool {
    let Some(if_range) = text(request, IF_RANGE).map(str::trim) else {
        return true;
    };
    if if_range.ends_with('"') {
        return text(stored, ETAG).is_some_and(|etag| strong_match(if_range, etag));
    }
    let asked = parse_http_date(if_range);
    asked.is_some() && asked == text(stored, LAST_MODIFIED).and_then(parse_http_date)
}

/// The conditions that ask the bucket whether a stored copy still holds. Empty where the copy has no
/// validator: then the fetch is unconditional.
///
/// The tag is sent in its strong form: `If-None-Match` compares weakly (RFC 9110, section 13.1.2), and the
/// bucket does not know a `W/` that [`weaken`] has added.
pub fn revalidation(stored: &HeaderMap) -> HeaderMap {
    let mut request = HeaderMap::new();
    if let Some(etag) = text(stored, ETAG) {
        let strong = etag.strip_prefix("W/").unwrap_or(etag);
        if let Ok(value) = HeaderValue::from_bytes(strong.as_bytes()) {
            request.insert(IF_NONE_MATCH, value);
        }
    } else if let Some(date) = stored.get(LAST_MODIFIED) {
        request.insert(IF_MODIFIED_SINCE, date.clone());
    }
    request
}

/// As [`revalidation`], where the copy is in a cache in front of the worker: from that cache's conditions.
pub fn revalidation_for_cache(conditions: &HeaderMap) -> HeaderMap {
    // The cache's conditions have the validators of its copy.
    let names = [(IF_NONE_MATCH, ETAG), (IF_MODIFIED_SINCE, LAST_MODIFIED)];
    let validator = |(condition, validator)| Some((validator, conditions.get(condition)?.clone()));
    revalidation(&names.into_iter().filter_map(validator).collect())
}

/// Whether two answers have the same validators, that is, are of one version of an object.
pub fn same_version(one: &HeaderMap, other: &HeaderMap) -> bool {
    [ETAG, LAST_MODIFIED]
        .into_iter()
        .all(|name| one.get(&name) == other.get(&name))
}

/// Makes a strong entity tag weak, for a body that the runtime has decoded.
pub fn weaken(headers: &mut HeaderMap) {
    let Some(etag) = text(headers, ETAG).filter(|etag| !etag.starts_with("W/")) else {
        return;
    };
    if let Ok(weak) = HeaderValue::from_bytes(["W/", etag].concat().as_bytes()) {
        headers.insert(ETAG, weak);
    }
}

/// Whether the first date is later than the second; `None` where one is missing or unreadable.
fn is_later(first: Option<&str>, second: Option<&str>) -> Option<bool> {
    Some(parse_http_date(first?)? > parse_http_date(second?)?)
}

/// Whether one of a list of entity tags matches. `*` matches every stored answer.
fn any_tag(list: &str, etag: Option<&str>, matches: fn(&str, &str) -> bool) -> bool {
    if list.trim() == "*" {
        return true;
    }
    etag.is_some_and(|etag| tags(list).any(|tag| matches(tag, etag)))
}

/// The tags of a list. A tag may contain a comma. The list ends where something else than a tag follows.
fn tags(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = list;
    std::iter::from_fn(move || {
        let start = rest.trim_start_matches([' ', '\t', ',']);
        let opening = if start.starts_with("W/") { 2 } else { 0 };
        let inner = start.get(opening..)?.strip_prefix('"')?;
        let end = opening + inner.find('"')? + 2;
        let (tag, after) = start.split_at(end);
        rest = after;
        Some(tag)
    })
}

/// Whether both tags are strong, and equal.
fn strong_match(one: &str, other: &str) -> bool {
    !one.starts_with("W/") && one == other
}

/// Whether the tags are equal without `W/`.
fn weak_match(one: &str, other: &str) -> bool {
    one.strip_prefix("W/").unwrap_or(one) == other.strip_prefix("W/").unwrap_or(other)
}

#[cfg(test)]
mod tests;
