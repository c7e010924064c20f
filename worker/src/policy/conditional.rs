//! Conditional requests: whether a reader already has what is stored, and what to ask the bucket.
//!
//! RFC 9110, section 13. Applied to stored answers of status 200 and to no other, as nginx does.
//! Ranges themselves are [`super::range`]'s.

use super::fields::Fields;
use super::time::parse_http_date;

/// What identifies the stored version of an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validators<'a> {
    /// `ETag`, with its quotes and any `W/`.
    pub etag: Option<&'a str>,
    /// `Last-Modified`, as the bucket wrote it.
    pub last_modified: Option<&'a str>,
}

impl<'a> Validators<'a> {
    /// Those that an answer's fields carry.
    #[must_use]
    pub fn of(fields: &'a Fields) -> Self {
        Self {
            etag: fields.get("etag"),
            last_modified: fields.get("last-modified"),
        }
    }
}

/// The conditions a reader sets; each the header's value where it was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions<'a> {
    /// `If-Match`.
    pub if_match: Option<&'a str>,
    /// `If-Unmodified-Since`.
    pub if_unmodified_since: Option<&'a str>,
    /// `If-None-Match`.
    pub if_none_match: Option<&'a str>,
    /// `If-Modified-Since`.
    pub if_modified_since: Option<&'a str>,
}

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

/// Evaluates a reader's conditions, in the order of RFC 9110, section 13.2.2.
///
/// nginx differs in three points, and the RFC is followed: `If-None-Match` takes the place of
/// `If-Modified-Since` where both are sent, a date later than the file's is "not modified" as well
/// as the very same date, and a date that cannot be read is no condition.
#[must_use]
pub fn evaluate(conditions: &Conditions<'_>, stored: &Validators<'_>) -> Evaluated {
    if let Some(tags) = conditions.if_match {
        if !any_tag(tags, stored.etag, strong_match) {
            return Evaluated::PreconditionFailed;
        }
    } else if is_later(stored.last_modified, conditions.if_unmodified_since) == Some(true) {
        return Evaluated::PreconditionFailed;
    }
    let has_it = match conditions.if_none_match {
        Some(tags) => any_tag(tags, stored.etag, weak_match),
        None => is_later(stored.last_modified, conditions.if_modified_since) == Some(false),
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
pub fn if_range_holds(if_range: &str, stored: &Validators<'_>) -> bool {
    let if_range = if_range.trim();
    if if_range.ends_with('"') {
        return stored.etag.is_some_and(|etag| strong_match(if_range, etag));
    }
    let asked = parse_http_date(if_range);
    asked.is_some() && asked == stored.last_modified.and_then(parse_http_date)
}

/// The conditions with which to ask the bucket whether the stored copy still holds. Empty where
/// the copy has nothing to ask by: then the fetch is unconditional.
#[must_use]
pub fn revalidation(stored: &Validators<'_>) -> Vec<(&'static str, String)> {
    match stored {
        Validators {
            etag: Some(etag), ..
        } => vec![("If-None-Match", (*etag).to_owned())],
        Validators {
            last_modified: Some(date),
            ..
        } => vec![("If-Modified-Since", (*date).to_owned())],
        _ => Vec::new(),
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
