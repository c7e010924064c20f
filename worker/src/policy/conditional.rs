//! Conditional requests: whether a reader already has what is stored, and what to ask the bucket.
//!
//! RFC 9110, section 13. Applied to stored answers of status 200 and to no other, as nginx does.
//! Ranges themselves are [`super::range`]'s.

use super::headers::text;
use super::time::parse_http_date;
use http::header::{
    ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderValue};

/// What the conditions come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evaluated {
    /// Answer as if there were none.
    Proceed,
    /// 304: the reader has it already.
    NotModified,
    /// 412: the reader wants another version or none.
    PreconditionFailed,
}

/// Evaluates a reader's conditions against a stored 200, in the order of RFC 9110, section 13.2.2.
///
/// nginx differs in three points, and the RFC is followed: `If-None-Match` takes the place of
/// `If-Modified-Since` where both are sent, a date later than the file's is "not modified" as well
/// as the very same date, and a date that cannot be read is no condition.
#[must_use]
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
    if has_it {
        Evaluated::NotModified
    } else {
        Evaluated::Proceed
    }
}

/// Whether `If-Range` lets a `Range` stand (RFC 9110, section 13.1.5): the strong comparison of
/// entity tags, or the very same date. Where it does not, the whole object is the answer.
#[must_use]
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

/// The request headers that ask the bucket whether the stored copy still holds. Empty where the
/// copy has no validator: then the fetch is unconditional.
///
/// The tag goes out in its strong form. `If-None-Match` compares weakly (RFC 9110, section 13.1.2),
/// and a `W/` that stands for what the runtime has decoded is unknown to the bucket.
#[must_use]
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

/// The same where a cache in front of us has the copy, and asks under these conditions.
#[must_use]
pub fn passed_on(asked: &HeaderMap) -> HeaderMap {
    let of_the_copy = [(IF_NONE_MATCH, ETAG), (IF_MODIFIED_SINCE, LAST_MODIFIED)];
    let validator = |(condition, validator)| Some((validator, asked.get(condition)?.clone()));
    revalidation(&of_the_copy.into_iter().filter_map(validator).collect())
}

/// Whether two answers are of the same version of an object, as far as their validators tell.
#[must_use]
pub fn same_version(one: &HeaderMap, other: &HeaderMap) -> bool {
    [ETAG, LAST_MODIFIED]
        .into_iter()
        .all(|name| one.get(&name) == other.get(&name))
}

/// Makes a strong entity tag weak: the bytes are no longer the very ones that the bucket has named.
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

/// Whether a list of entity tags has one that matches. `*` matches whatever is stored.
fn any_tag(list: &str, etag: Option<&str>, matches: fn(&str, &str) -> bool) -> bool {
    if list.trim() == "*" {
        return true;
    }
    etag.is_some_and(|etag| tags(list).any(|tag| matches(tag, etag)))
}

/// The tags of a list. A comma may stand within the quotes of a tag; what is no tag ends the list.
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

/// Both strong, and the same.
fn strong_match(one: &str, other: &str) -> bool {
    !one.starts_with("W/") && one == other
}

/// The same but for `W/`.
fn weak_match(one: &str, other: &str) -> bool {
    one.strip_prefix("W/").unwrap_or(one) == other.strip_prefix("W/").unwrap_or(other)
}

#[cfg(test)]
mod tests;
