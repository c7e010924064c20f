//! What can go wrong with one S3 request, in S3's and B2's words, and what to do about it.

use std::fmt;
use std::time::Duration;

use http::{Method, StatusCode};

use crate::error::Error;
use crate::exit::Exit;
use crate::transport::Failure;

/// A request that failed for good: what it was, how often it was tried, and why it failed.
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

/// Result of one operation.
pub type S3Result<T> = Result<T, S3Error>;

/// Why a request failed.
#[derive(Debug)]
pub enum ErrorKind {
    /// No connection: name not found, refused, unreachable.
    Connect(String),
    /// The connection is not trusted: certificate or protocol.
    Tls(String),
    /// No answer in time.
    Timeout,
    /// The connection broke before the answer was whole.
    Broken(String),
    /// The service answered with an error.
    Service {
        /// HTTP status.
        status: StatusCode,
        /// S3's error code; empty where the answer had no body.
        code: String,
        /// S3's message.
        message: String,
        /// `Retry-After`, where the service sent it.
        retry_after: Option<Duration>,
        /// The service's date minus ours in seconds, where it sent one.
        clock_difference: Option<i64>,
    },
    /// The answer is not what S3 sends.
    Malformed(String),
    /// The answer's ETag is not the MD5 of what was sent.
    Mismatch {
        /// MD5 of what was sent, hex.
        sent: String,
        /// What the service says it has.
        stored: String,
    },
    /// The local file could not be read as it was announced.
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
                !self.is_out_of_room()
                    && (matches!(status.as_u16(), 408 | 429)
                        || (status.is_server_error() && status.as_u16() != 501)
                        // A completed multipart upload is answered with 200 before it is known how it
                        // ends; the error then stands in the body.
                        || matches!(
                            code.as_str(),
                            "RequestTimeout"
                                | "SlowDown"
                                | "InternalError"
                                | "InternalFailure"
                                | "ServiceUnavailable"
                        ))
            }
            // The local file may have changed: whoever sends it looks before sending it again.
            ErrorKind::Mismatch { .. }
            | ErrorKind::Tls(_)
            | ErrorKind::Malformed(_)
            | ErrorKind::Local(_)
            | ErrorKind::Request(_) => false,
        }
    }

    /// Whether the service, or a line that no byte passes any more, asks for fewer requests at once.
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

    /// Whether the service's own disk is full.
    pub fn is_out_of_room(&self) -> bool {
        match self {
            ErrorKind::Service {
                status, message, ..
            } => {
                let said = message.to_ascii_lowercase();
                status.as_u16() == 507
                    || said.contains("no space left")
                    || said.contains("disk full")
                    || said.contains("disk is full")
            }
            _ => false,
        }
    }

    /// Whether the service refused the bytes since they are not those announced.
    pub fn is_wrong_content(&self) -> bool {
        match self {
            ErrorKind::Mismatch { .. } => true,
            ErrorKind::Service { code, .. } => code == "BadDigest",
            _ => false,
        }
    }

    /// Whether a cap of the account is used up.
    pub fn is_cap_exceeded(&self) -> bool {
        match self {
            ErrorKind::Service {
                status,
                code,
                message,
                ..
            } => {
                let said = format!("{code} {message}").to_ascii_lowercase();
                status.is_client_error()
                    && [
                        "cap exceeded",
                        "cap_exceeded",
                        "capexceeded",
                        "caps & alerts",
                    ]
                    .iter()
                    .any(|words| said.contains(words))
            }
            _ => false,
        }
    }

    /// Whether every other request will fail for the same reason. That one object is refused is no
    /// such reason; that many in a row are is for the caller to judge.
    pub fn ends_the_run(&self) -> bool {
        match self {
            ErrorKind::Tls(_) | ErrorKind::Connect(_) => true,
            ErrorKind::Service { status, code, .. } => {
                status.as_u16() == 401
                    || status.is_redirection()
                    || self.is_out_of_room()
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
    /// A failure of this machine that keeps `key` from being sent.
    pub fn local(key: &str, error: std::io::Error) -> Self {
        S3Error {
            method: Method::PUT,
            uri: key.to_owned(),
            attempts: 0,
            elapsed: Duration::ZERO,
            kind: Box::new(ErrorKind::Local(error)),
        }
    }

    /// S3's error code, where the service answered with one.
    pub fn code(&self) -> Option<&str> {
        match &*self.kind {
            ErrorKind::Service { code, .. } if !code.is_empty() => Some(code),
            _ => None,
        }
    }

    /// HTTP status, where the service answered.
    pub fn status(&self) -> Option<StatusCode> {
        match &*self.kind {
            ErrorKind::Service { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the object or bucket asked for is not there.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(StatusCode::NOT_FOUND)
    }

    /// Whether what was sent is surely not stored: it was sent once, and refused. An attempt before
    /// that may have been stored although its answer was lost.
    pub fn is_surely_not_stored(&self) -> bool {
        self.attempts <= 1
            && self.status().is_some_and(|status| {
                status.is_client_error() && !matches!(status.as_u16(), 408 | 429)
            })
    }

    /// The failure after so many `earlier` attempts, which other requests made.
    #[must_use]
    pub fn after(mut self, earlier: u32) -> Self {
        self.attempts += earlier;
        self
    }

    /// Whether every other request of the run will fail for the same reason.
    pub fn ends_the_run(&self) -> bool {
        self.kind.ends_the_run()
    }

    /// What to do next.
    pub fn hint(&self) -> String {
        match &*self.kind {
            kind if kind.is_cap_exceeded() => "a cap of the account is reached: raise it under Caps & Alerts on the bucket's site, then run the same command again".to_owned(),
            ErrorKind::Connect(_) => "check the endpoint's name, the network and the firewall; nothing is lost, the same command goes on from here".to_owned(),
            ErrorKind::Tls(_) => "check the endpoint's name and this machine's clock, and install `ca-certificates`; a proxy that opens TLS shows like this too".to_owned(),
            ErrorKind::Timeout | ErrorKind::Broken(_) => "check the network; the same command goes on from here".to_owned(),
            ErrorKind::Malformed(_) => "check that the endpoint is an S3 endpoint, as the bucket's page shows it".to_owned(),
            ErrorKind::Mismatch { .. } => "something between this machine and the bucket changes what is sent; run the command again and look for a faulty proxy or memory".to_owned(),
            ErrorKind::Local(_) => "check the file and the disk, then run the command again".to_owned(),
            ErrorKind::Request(_) => "this is a fault of medialift; please report it".to_owned(),
            ErrorKind::Service { status, code, message, clock_difference, .. } => service_hint(*status, code, message, *clock_difference),
        }
    }

    /// The error of `operation` that this failure causes.
    pub fn into_error(self, operation: impl Into<String>) -> Error {
        let hint = self.hint();
        Error::new(operation)
            .exit(Exit::Failed)
            .hint(hint)
            .cause(self)
    }
}

/// B2's traps, each with its own way out. Sources: FACTS of the service's documents.
fn service_hint(
    status: StatusCode,
    code: &str,
    message: &str,
    clock_difference: Option<i64>,
) -> String {
    let said = message.to_ascii_lowercase();
    match code {
        _ if status.as_u16() == 507 || said.contains("no space left") || said.contains("disk full") || said.contains("disk is full") => {
            "the service has no room left; free some there, then run the same command again".to_owned()
        }
        "InvalidAccessKeyId" if said.contains("malformed") => {
            "this looks like the master key, which does not work here: make an application key for this bucket (`medialift provision`, or App Keys on the bucket's site) and use its id and key".to_owned()
        }
        "InvalidAccessKeyId" => {
            "the key is unknown at this endpoint: check the id, and that the endpoint is the one on the bucket's own page (a key works in its own region only); a key made before 4 May 2020 does not work here either: make a new one with `medialift provision --another-key`".to_owned()
        }
        "SignatureDoesNotMatch" => {
            "the id is known and the key is not the one that belongs to it: copy the key once more, or make a new one".to_owned()
        }
        "RequestTimeTooSkewed" => match clock_difference {
            Some(seconds) => format!("this machine's clock is {} seconds {} the service's: set it (`timedatectl set-ntp true`)", seconds.abs(), if seconds > 0 { "behind" } else { "ahead of" }),
            None => "this machine's clock is wrong: set it (`timedatectl set-ntp true`)".to_owned(),
        },
        "NoSuchBucket" => "check the bucket's name and that the endpoint is the one on the bucket's own page; `medialift provision` makes a bucket".to_owned(),
        "AuthorizationHeaderMalformed" => "the region is not the endpoint's: leave `--region` out, or give the one in the endpoint's name".to_owned(),
        "EntityTooLarge" => "an object may have 5 GB in one request and 10,000 parts; raise `--part-size`".to_owned(),
        "BadDigest" => "the file changed while it was sent, or something between here and the bucket changes it; run the command again".to_owned(),
        "InvalidArgument" if said.contains("acl") => "the ACL must match the bucket's visibility; medialift sends none, so a proxy adds it".to_owned(),
        _ if status == StatusCode::FORBIDDEN || status == StatusCode::UNAUTHORIZED => {
            "the key may not do this: it must be for this bucket, not revoked or expired, and allow listBuckets, listFiles, readFiles and writeFiles; `medialift check` tells more".to_owned()
        }
        _ if status.is_server_error() || status.as_u16() == 429 => {
            "the service is busy or out of order: wait some minutes and run the same command again, it goes on from here; `--max-rate` asks for less".to_owned()
        }
        _ => "`medialift check` looks for the usual causes".to_owned(),
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorKind::Connect(cause) => write!(f, "no connection: {cause}"),
            ErrorKind::Tls(cause) => write!(f, "no trusted connection: {cause}"),
            ErrorKind::Timeout => f.write_str("no answer in time"),
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
            ErrorKind::Malformed(cause) => write!(f, "the answer is not S3's: {cause}"),
            ErrorKind::Mismatch { sent, stored } => {
                write!(f, "the service stored `{stored}`, sent was `{sent}`")
            }
            ErrorKind::Local(cause) => cause.fmt(f),
            ErrorKind::Request(cause) => write!(f, "the request could not be made: {cause}"),
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
