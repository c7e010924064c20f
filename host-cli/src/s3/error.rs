//! Why one S3 request failed, in S3's and B2's terms, and what follows from it.

mod hint;

use std::fmt;
use std::time::Duration;

use http::{Method, StatusCode};

use crate::error::Error;
use crate::exit::Exit;
use crate::transport::Failure;

/// A request that failed after all retries.
#[derive(Debug)]
pub struct S3Error {
    /// The request's method.
    pub method: Method,
    /// The request's URI; it holds no secret.
    pub uri: String,
    /// How often it was sent.
    pub attempts: u32,
    /// From the first attempt to the last failure.
    pub elapsed: Duration,
    /// Why the last attempt failed.
    pub kind: Box<ErrorKind>,
}

/// Files in a row that may be refused before a run ends: one object may be refused for reasons of its
/// own, sixteen in a row are not.
pub const MAX_REFUSALS_IN_A_ROW: u32 = 16;

/// Result of one operation.
pub type S3Result<T> = Result<T, S3Error>;

/// Why a request failed.
#[derive(Debug)]
pub enum ErrorKind {
    /// No connection: name not found, refused, unreachable.
    Connect(String),
    /// TLS failed: certificate or protocol.
    Tls(String),
    /// No byte moved for a minute.
    Timeout,
    /// The connection broke before the response was complete.
    Broken(String),
    /// The service returned an error.
    Service {
        /// HTTP status.
        status: StatusCode,
        /// S3's error code; empty where the response had no body.
        code: String,
        /// S3's message.
        message: String,
        /// `Retry-After`, where the service sent it.
        retry_after: Option<Duration>,
        /// The service's date minus ours in seconds, where it sent one.
        clock_difference: Option<i64>,
    },
    /// The response is not S3's.
    Malformed(String),
    /// The returned ETag is not the MD5 of what was sent.
    Mismatch {
        /// MD5 of what was sent, hex.
        sent: String,
        /// The returned ETag.
        stored: String,
    },
    /// The local file could not be read to the announced length.
    Local(std::io::Error),
    /// The request could not be built or signed.
    Request(String),
}

impl ErrorKind {
    /// Whether the same request may succeed when sent again.
    pub fn may_be_retried(&self) -> bool {
        match self {
            ErrorKind::Connect(_) | ErrorKind::Timeout | ErrorKind::Broken(_) => true,
            ErrorKind::Service { status, code, .. } => {
                !self.is_out_of_space()
                    && (matches!(status.as_u16(), 408 | 429)
                        || (status.is_server_error() && status.as_u16() != 501)
                        // The response to CompleteMultipartUpload has status 200 before its result is
                        // known: an error is in the body.
                        || matches!(
                            code.as_str(),
                            "RequestTimeout"
                                | "SlowDown"
                                | "InternalError"
                                | "InternalFailure"
                                | "ServiceUnavailable"
                        ))
            }
            // The local file may have changed: `upload` checks that before it sends the file again.
            ErrorKind::Mismatch { .. }
            | ErrorKind::Tls(_)
            | ErrorKind::Malformed(_)
            | ErrorKind::Local(_)
            | ErrorKind::Request(_) => false,
        }
    }

    /// Whether fewer requests at once are called for: the service asks for them, or the connection
    /// stalled.
    pub fn asks_to_slow_down(&self) -> bool {
        match self {
            ErrorKind::Timeout => true,
            ErrorKind::Service { status, code, .. } => {
                matches!(status.as_u16(), 429 | 503) || code == "SlowDown"
            }
            _ => false,
        }
    }

    /// `Retry-After`, where the service sent it.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            ErrorKind::Service { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the service's disk is full.
    pub fn is_out_of_space(&self) -> bool {
        match self {
            ErrorKind::Service {
                status, message, ..
            } => is_out_of_space(*status, message),
            _ => false,
        }
    }

    /// Whether the service received other bytes than those announced.
    pub fn is_wrong_content(&self) -> bool {
        match self {
            ErrorKind::Mismatch { .. } => true,
            ErrorKind::Service { code, .. } => code == "BadDigest",
            _ => false,
        }
    }

    /// Whether a cap of the account is exceeded.
    pub fn is_cap_exceeded(&self) -> bool {
        match self {
            ErrorKind::Service {
                status,
                code,
                message,
                ..
            } => {
                let reported = format!("{code} {message}").to_ascii_lowercase();
                status.is_client_error()
                    && [
                        "cap exceeded",
                        "cap_exceeded",
                        "capexceeded",
                        "caps & alerts",
                    ]
                    .iter()
                    .any(|text| reported.contains(text))
            }
            _ => false,
        }
    }

    /// Whether every other request will fail for the same reason. One refused object is no such
    /// reason; see [`MAX_REFUSALS_IN_A_ROW`].
    pub fn ends_the_run(&self) -> bool {
        match self {
            ErrorKind::Tls(_) | ErrorKind::Connect(_) => true,
            ErrorKind::Service { status, code, .. } => {
                status.as_u16() == 401
                    || status.is_redirection()
                    || self.is_out_of_space()
                    || self.is_cap_exceeded()
                    || matches!(
                        code.as_str(),
                        "NoSuchBucket"
                            | "AuthorizationHeaderMalformed"
                            | "PermanentRedirect"
                            | "InvalidAccessKeyId"
                            | "SignatureDoesNotMatch"
                            | "RequestTimeTooSkewed"
                            | "ExpiredToken"
                            | "AccountProblem"
                    )
            }
            _ => false,
        }
    }
}

impl From<Failure> for ErrorKind {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Connect(cause) => ErrorKind::Connect(cause),
            Failure::Tls(cause) => ErrorKind::Tls(cause),
            Failure::Broken(cause) => ErrorKind::Broken(cause),
            Failure::Local(error) => ErrorKind::Local(error),
        }
    }
}

impl S3Error {
    /// A failure of this machine because of which `key` cannot be sent.
    pub fn local(key: &str, error: std::io::Error) -> Self {
        S3Error {
            method: Method::PUT,
            uri: key.to_owned(),
            attempts: 0,
            elapsed: Duration::ZERO,
            kind: Box::new(ErrorKind::Local(error)),
        }
    }

    /// S3's error code, where the service returned one.
    pub fn code(&self) -> Option<&str> {
        match &*self.kind {
            ErrorKind::Service { code, .. } if !code.is_empty() => Some(code),
            _ => None,
        }
    }

    /// HTTP status, where the service responded.
    pub fn status(&self) -> Option<StatusCode> {
        match &*self.kind {
            ErrorKind::Service { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the object or bucket does not exist.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(StatusCode::NOT_FOUND)
    }

    /// Whether nothing was stored: the only attempt was refused. An earlier attempt may have been
    /// stored although its response was lost.
    pub fn is_surely_not_stored(&self) -> bool {
        self.attempts <= 1
            && self.status().is_some_and(|status| {
                status.is_client_error() && !matches!(status.as_u16(), 408 | 429)
            })
    }

    /// The same failure with the attempts of `earlier` requests added.
    #[must_use]
    pub fn after(mut self, earlier: u32) -> Self {
        self.attempts += earlier;
        self
    }

    /// Whether every other request of the run will fail for the same reason.
    pub fn ends_the_run(&self) -> bool {
        self.kind.ends_the_run()
    }

    /// The error of the `operation` that failed for this reason.
    pub fn into_error(self, operation: impl Into<String>) -> Error {
        let hint = self.hint();
        Error::new(operation)
            .exit(Exit::Failed)
            .hint(hint)
            .cause(self)
    }
}

fn is_out_of_space(status: StatusCode, message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    status.as_u16() == 507
        || ["no space left", "disk full", "disk is full"]
            .iter()
            .any(|text| message.contains(text))
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorKind::Connect(cause) => write!(f, "no connection: {cause}"),
            ErrorKind::Tls(cause) => write!(f, "TLS failed: {cause}"),
            ErrorKind::Timeout => f.write_str("no data was sent or received for a minute"),
            ErrorKind::Broken(cause) => write!(f, "the connection broke: {cause}"),
            ErrorKind::Service {
                status,
                code,
                message,
                ..
            } if self.is_cap_exceeded() => {
                let status = status.as_u16();
                write!(
                    f,
                    "a cap of the account is exceeded ({status} {code}: {message})"
                )
            }
            ErrorKind::Service {
                status,
                code,
                message,
                ..
            } => match (code.as_str(), message.as_str()) {
                ("", "") => write!(f, "the service answered {status}"),
                (code, "") => write!(f, "the service answered {} {code}", status.as_u16()),
                (code, message) => {
                    write!(
                        f,
                        "the service answered {} {code}: {message}",
                        status.as_u16()
                    )
                }
            },
            ErrorKind::Malformed(cause) => write!(f, "the response is not S3's: {cause}"),
            ErrorKind::Mismatch { sent, stored } => {
                write!(
                    f,
                    "the service stored content with the MD5 `{stored}`, and content with the MD5 `{sent}` was sent"
                )
            }
            ErrorKind::Local(cause) => cause.fmt(f),
            ErrorKind::Request(cause) => write!(f, "the request could not be built: {cause}"),
        }
    }
}

impl fmt::Display for S3Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        if matches!(*self.kind, ErrorKind::Local(_)) {
            return Ok(());
        }
        write!(f, " ({} {}", self.method, self.uri)?;
        if self.attempts > 1 {
            write!(
                f,
                ", {} attempts in {:.1} s",
                self.attempts,
                self.elapsed.as_secs_f64()
            )?;
        }
        f.write_str(")")
    }
}

impl std::error::Error for S3Error {}

#[cfg(test)]
mod tests;
