//! Why the bucket has not given an object: one reason for each remedy.
//!
//! The bucket's own error answers end here. Their XML can name the key id and the bucket, so the decision
//! whether a stale copy is served, the status for the reader and the log know these values only.

use super::headers;
use super::record::Record;
use super::time::UnixMillis;
use http::{HeaderMap, StatusCode, header};

/// How much of an error answer's body is read to find its cause, in bytes.
pub const ERROR_BODY_LIMIT: usize = 4096;

/// Why the bucket has not given the object. `status` is the bucket's own, `retry_after` the seconds in its
/// `Retry-After`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginError {
    /// No connection, or one that broke before the headers of the answer were there.
    Connect,
    /// No answer in time.
    Timeout,
    /// A status of 500 to 599 that is not [`SlowDown`](Self::SlowDown).
    Server {
        status: u16,
        retry_after: Option<u32>,
    },
    /// The bucket asks for fewer requests: 429, or 503 with `Retry-After` or the code `SlowDown`.
    SlowDown {
        status: u16,
        retry_after: Option<u32>,
    },
    /// The account's cap for the day, or its budget, is used up.
    CapExceeded,
    /// The bucket does not accept the worker's key: revoked, wrong, or of another region.
    Credentials,
    /// The bucket does not exist, or is at another address.
    WrongBucket,
    /// The bucket denies this object: 403.
    Denied,
    /// The bucket does not have the object: 404 or 410.
    Missing {
        status: u16,
        /// Where the store has a mark of it, or the platform's cache will: for how long, and how old it is.
        remembered: Option<Remembered>,
    },
    /// Another status of 400 to 499.
    Refused { status: u16 },
}

/// For how long a 404 or 410 is remembered, here and by clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// `max-age` for clients, in seconds from the bucket's answer on.
    pub max_age: u64,
    /// How long ago the bucket has answered, in seconds.
    pub age: u64,
}

impl OriginError {
    /// The error in an answer; `None` for an answer that is no error.
    ///
    /// `body` is the beginning of the answer's body, up to [`ERROR_BODY_LIMIT`]. Only there B2 states whether
    /// a 403 or 404 is about the key, the bucket or a cap.
    pub fn of(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Option<Self> {
        let code = ErrorCode::of(body);
        let status = status.as_u16();
        let retry_after = headers::number(headers, header::RETRY_AFTER)
            .map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX));
        Some(match status {
            200..=299 | 304 => return None,
            // Such as `PermanentRedirect`: the bucket is in another region.
            300..=399 => Self::WrongBucket,
            401 => Self::Credentials,
            400 | 403 | 404 if code == ErrorCode::Credentials => Self::Credentials,
            400 | 403 | 404 if code == ErrorCode::WrongBucket => Self::WrongBucket,
            403 if code == ErrorCode::CapExceeded => Self::CapExceeded,
            403 => Self::Denied,
            404 | 410 => Self::Missing {
                status,
                remembered: None,
            },
            429 => Self::SlowDown {
                status,
                retry_after,
            },
            503 if retry_after.is_some() || code == ErrorCode::SlowDown => Self::SlowDown {
                status,
                retry_after,
            },
            400..=499 => Self::Refused { status },
            _ => Self::Server {
                status,
                retry_after,
            },
        })
    }

    /// The error of a read that finds the mark of a missing object, at `now`.
    pub fn from_mark(mark: &Record, now: UnixMillis) -> Self {
        Self::Missing {
            status: mark.status,
            remembered: Some(Remembered {
                max_age: mark.fresh_until.0.saturating_sub(mark.generated_at.0) / 1000,
                age: mark.age_seconds(now),
            }),
        }
    }

    /// Its name in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Server { .. } => "server",
            Self::SlowDown { .. } => "slow_down",
            Self::CapExceeded => "cap_exceeded",
            Self::Credentials => "credentials",
            Self::WrongBucket => "wrong_bucket",
            Self::Denied => "denied",
            Self::Missing { .. } => "missing",
            Self::Refused { .. } => "refused",
        }
    }

    /// The bucket's status, where it is part of the error.
    pub const fn status(self) -> Option<u16> {
        match self {
            Self::Server { status, .. }
            | Self::SlowDown { status, .. }
            | Self::Missing { status, .. }
            | Self::Refused { status } => Some(status),
            _ => None,
        }
    }

    /// Whether a stale copy is served instead: where the fault will pass, or is not about this object.
    pub const fn is_covered_by_stale(self) -> bool {
        match self {
            Self::Connect
            | Self::Timeout
            | Self::Server { .. }
            | Self::SlowDown { .. }
            | Self::CapExceeded
            | Self::Credentials
            | Self::WrongBucket => true,
            Self::Denied | Self::Missing { .. } | Self::Refused { .. } => false,
        }
    }

    /// Whether the request is sent once more: B2 answers 500 and 503 in normal operation.
    pub const fn is_worth_a_retry(self) -> bool {
        matches!(
            self,
            Self::Connect | Self::Server { .. } | Self::SlowDown { status: 503, .. }
        )
    }
}

/// The cause that the code or the text of an error answer names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ErrorCode {
    CapExceeded,
    Credentials,
    WrongBucket,
    SlowDown,
    Other,
}

impl ErrorCode {
    /// S3's codes, and B2's texts for its caps: `transaction_cap_exceeded`, `download_cap_exceeded` and
    /// `storage_cap_exceeded` in the native API, "cap exceeded" in the S3-compatible one.
    /// (docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html,
    /// www.backblaze.com/docs/cloud-storage-s3-compatible-api)
    fn of(body: &[u8]) -> Self {
        const TEXTS: [(&str, ErrorCode); 16] = [
            ("cap exceeded", ErrorCode::CapExceeded),
            ("cap_exceeded", ErrorCode::CapExceeded),
            ("CapExceeded", ErrorCode::CapExceeded),
            (">InvalidAccessKeyId<", ErrorCode::Credentials),
            (">SignatureDoesNotMatch<", ErrorCode::Credentials),
            (">AuthorizationHeaderMalformed<", ErrorCode::Credentials),
            (">RequestTimeTooSkewed<", ErrorCode::Credentials),
            (">ExpiredToken<", ErrorCode::Credentials),
            (">InvalidToken<", ErrorCode::Credentials),
            (">UnauthorizedAccess<", ErrorCode::Credentials),
            (">AccountProblem<", ErrorCode::Credentials),
            (">NotSignedUp<", ErrorCode::Credentials),
            (">NoSuchBucket<", ErrorCode::WrongBucket),
            (">InvalidBucketName<", ErrorCode::WrongBucket),
            (">PermanentRedirect<", ErrorCode::WrongBucket),
            (">SlowDown<", ErrorCode::SlowDown),
        ];
        let body = &body[..body.len().min(ERROR_BODY_LIMIT)];
        let has = |text: &str| {
            body.windows(text.len())
                .any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
        };
        TEXTS
            .into_iter()
            .find(|(text, _)| has(text))
            .map_or(Self::Other, |(_, code)| code)
    }
}

#[cfg(test)]
mod tests;
