//! What it means that the bucket has not given an object: one reason for each remedy.
//!
//! The bucket's own error answers stop here. Their XML can name the key id and the bucket, so only
//! these values go on: to the decision whether a stale copy is served instead, to the status that
//! the reader gets, and to the log.

use super::headers;
use http::{HeaderMap, StatusCode, header};

/// How much of an error answer's body is read to tell what it means, in bytes.
pub const ERROR_BODY_LIMIT: usize = 4096;

/// Why the bucket has not given the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginError {
    /// No connection, or one that broke before the headers of the answer were there.
    Connect,
    /// No answer in time.
    Timeout,
    /// A status of 500 to 599 that is not [`SlowDown`](Self::SlowDown).
    Server {
        /// The bucket's status.
        status: u16,
        /// Seconds of its `Retry-After`.
        retry_after: Option<u32>,
    },
    /// The bucket asks for fewer requests: 429, or 503 with `Retry-After` or the code `SlowDown`.
    SlowDown {
        /// The bucket's status.
        status: u16,
        /// Seconds of its `Retry-After`.
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
        /// The bucket's status.
        status: u16,
        /// Where the answer is remembered: for how long, and how old it is.
        remembered: Option<Remembered>,
    },
    /// Another status of 400 to 499.
    Refused {
        /// The bucket's status.
        status: u16,
    },
}

/// How long a 404 or 410 is remembered. The same remaining time is told to every client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// From the first answer on, in seconds.
    pub max_age: u64,
    /// The age of this answer, in seconds.
    pub age: u64,
}

impl OriginError {
    /// The error that an answer means; `None` for an answer that is no error.
    ///
    /// `body` is the beginning of the answer's body, up to [`ERROR_BODY_LIMIT`]: B2 says in it, and
    /// nowhere else, which of its keys, buckets or caps a 403 or 404 is about.
    #[must_use]
    pub fn of(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Option<Self> {
        let code = ErrorCode::of(body);
        let status = status.as_u16();
        let retry_after = headers::number(headers, header::RETRY_AFTER)
            .map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX));
        Some(match status {
            200..=299 | 304 => return None,
            // `PermanentRedirect` and its like: the bucket is in another region.
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

    /// Its name in the log.
    #[must_use]
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
    #[must_use]
    pub const fn status(self) -> Option<u16> {
        match self {
            Self::Server { status, .. }
            | Self::SlowDown { status, .. }
            | Self::Missing { status, .. }
            | Self::Refused { status } => Some(status),
            _ => None,
        }
    }

    /// Whether a stale copy is served instead: where the fault is passing, or ours and not the
    /// object's.
    #[must_use]
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

    /// Whether asking once more is worth it: B2 answers 500 and 503 in the course of normal work.
    #[must_use]
    pub const fn is_worth_a_retry(self) -> bool {
        matches!(
            self,
            Self::Connect | Self::Server { .. } | Self::SlowDown { status: 503, .. }
        )
    }
}

/// What the code or the words of an error answer are about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ErrorCode {
    CapExceeded,
    Credentials,
    WrongBucket,
    SlowDown,
    Other,
}

impl ErrorCode {
    /// S3's codes, and B2's words for its caps: its native API says `transaction_cap_exceeded`,
    /// `download_cap_exceeded` or `storage_cap_exceeded`, its S3 side "cap exceeded".
    /// (docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html,
    /// www.backblaze.com/docs/cloud-storage-s3-compatible-api)
    fn of(body: &[u8]) -> Self {
        const WORDS: [(&str, ErrorCode); 16] = [
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
        let has = |words: &str| {
            body.windows(words.len())
                .any(|window| window.eq_ignore_ascii_case(words.as_bytes()))
        };
        WORDS
            .into_iter()
            .find(|(words, _)| has(words))
            .map_or(Self::Other, |(_, code)| code)
    }
}

#[cfg(test)]
mod tests;
