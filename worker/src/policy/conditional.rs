//! Conditional requests: whether a reader already has what is stored, and what to ask the bucket.
//!
//! RFC 9110, section 13. Applied to stored answers of status 200 and to no other, as nginx does.
//! Ranges themselves are [`super::range`]'s.

use super::fields::Fields;

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
#[must_use]
pub fn evaluate(conditions: &Conditions<'_>, stored: &Validators<'_>) -> Evaluated {
    let _ = (conditions, stored);
    Evaluated::Proceed
}

/// Whether `If-Range` lets a `Range` stand (RFC 9110, section 13.1.5): the strong comparison of
/// entity tags, or the very same date. Where it does not, the whole object is the answer.
#[must_use]
pub fn if_range_holds(if_range: &str, stored: &Validators<'_>) -> bool {
    let _ = (if_range, stored);
    false
}

/// The conditions with which to ask the bucket whether the stored copy still holds. Empty where
/// the copy has nothing to ask by: then the fetch is unconditional.
#[must_use]
pub fn revalidation(stored: &Validators<'_>) -> Vec<(&'static str, String)> {
    let _ = stored;
    Vec::new()
}
