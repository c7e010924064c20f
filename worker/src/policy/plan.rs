//! The two decisions of a read: before the fetch, and after it.

use super::entry::Entry;
use super::fields::Fields;
use super::freshness::{self, FreshnessRule, Uncacheable};
use super::time::UnixMillis;

/// How much of a bucket's error answer is worth reading to tell what it means, in bytes.
pub const ERROR_BODY_LIMIT: usize = 4096;

/// What the store holds for a key, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// A copy that is the answer.
    Fresh,
    /// A copy that is the answer only where the bucket gives none, or confirms it.
    Stale,
    /// No copy, or one that may no longer be served.
    Absent,
}

/// Why the bucket's answer is no answer: what a stale copy is served instead of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No connection, or one that broke before the answer's headers were there.
    Connect,
    /// No answer in time.
    Timeout,
    /// A status of 500 to 599 that is not [`SlowDown`](Self::SlowDown).
    ServerError(u16),
    /// The bucket asks for fewer requests: 429, or 503 with `Retry-After`.
    SlowDown(u16),
    /// The account's cap for the day or its budget is used up: 403 with B2's words for it.
    CapExceeded,
}

impl Cause {
    /// A word for the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::ServerError(_) => "server_error",
            Self::SlowDown(_) => "slow_down",
            Self::CapExceeded => "cap_exceeded",
        }
    }
}

/// What to do with the bucket's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Pass the answer on while storing it under this record, in place of any copy.
    Store(Entry),
    /// The stored copy still holds: serve it, and put this record in place of its own.
    Freshen(Entry),
    /// Serve the stored copy; keep it as it is.
    ServeStale(Cause),
    /// The bucket has the object no more: delete the copy, pass the answer on.
    DeleteAndPass,
    /// Pass the answer on; store nothing, and leave any copy as it is.
    Pass(Uncacheable),
}

/// The decision before the fetch.
#[must_use]
pub fn lookup(entry: Option<&Entry>, now: UnixMillis) -> Lookup {
    match entry {
        Some(entry) if now < entry.fresh_until => Lookup::Fresh,
        Some(entry) if now < entry.stale_until => Lookup::Stale,
        _ => Lookup::Absent,
    }
}

/// Whether [`after_response`] needs the start of the body to decide: only a 403 while a copy
/// stands ready, for B2 says that a cap is exceeded in the body and nowhere else.
#[must_use]
pub fn needs_error_body(status: u16, stored: Option<&Entry>) -> bool {
    status == 403 && stored.is_some()
}

/// The decision after the bucket has answered.
///
/// `stored` is the copy that [`lookup`] found [`Stale`](Lookup::Stale), `None` where there is
/// none to fall back on. `error_body` is the start of the body where [`needs_error_body`] asks
/// for it, otherwise empty.
#[must_use]
pub fn after_response(
    status: u16,
    fields: &Fields,
    error_body: &[u8],
    stored: Option<&Entry>,
    rule: &FreshnessRule,
    now: UnixMillis,
) -> Outcome {
    // A copy can pass its window while the bucket is asked, and is then nothing to fall back on.
    let stored = stored.filter(|entry| now < entry.stale_until);
    if let (Some(_), Some(cause)) = (stored, fault_in(status, fields, error_body)) {
        return Outcome::ServeStale(cause);
    }
    if let (304, Some(entry)) = (status, stored) {
        return Outcome::Freshen(freshness::confirmed(entry, fields, rule, now));
    }
    match freshness::entry_for(status, fields, rule, now) {
        Ok(entry) => Outcome::Store(entry),
        Err(_) if matches!(status, 404 | 410) && stored.is_some() => Outcome::DeleteAndPass,
        Err(reason) => Outcome::Pass(reason),
    }
}

/// The decision after the bucket has not answered: the stale copy where there is one, otherwise
/// `None`, and the reader gets the error.
#[must_use]
pub fn after_failure(cause: Cause, stored: Option<&Entry>, now: UnixMillis) -> Option<Outcome> {
    let servable = stored.is_some_and(|entry| now < entry.stale_until);
    servable.then_some(Outcome::ServeStale(cause))
}

/// The fault that an answer tells of, if it tells of one that a stale copy covers.
#[must_use]
pub fn fault_in(status: u16, fields: &Fields, error_body: &[u8]) -> Option<Cause> {
    match status {
        429 => Some(Cause::SlowDown(status)),
        503 if fields.get("retry-after").is_some() => Some(Cause::SlowDown(status)),
        500..=599 => Some(Cause::ServerError(status)),
        403 if speaks_of_a_cap(error_body) => Some(Cause::CapExceeded),
        _ => None,
    }
}

/// B2's native API says `transaction_cap_exceeded`, `download_cap_exceeded`, `storage_cap_exceeded`;
/// the exact words of its S3 side are not published beyond "cap exceeded".
fn speaks_of_a_cap(body: &[u8]) -> bool {
    let start = &body[..body.len().min(ERROR_BODY_LIMIT)];
    [&b"cap exceeded"[..], b"cap_exceeded", b"CapExceeded"]
        .into_iter()
        .any(|words| {
            start
                .windows(words.len())
                .any(|window| window.eq_ignore_ascii_case(words))
        })
}

#[cfg(test)]
mod tests;
