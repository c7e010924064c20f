//! A thin S3 client: some ten operations over `hyper`, signed by `aws-sigv4`.
//!
//! Every payload goes unsigned and with `Content-MD5`; neither `x-amz-checksum-*` nor
//! `x-amz-tagging` nor a conditional PUT is ever sent, since B2 refuses them. Retries are made
//! here; which object to send, and what a failure means for a run, is left to the callers.

mod client;
mod error;
mod list;
mod multipart;
mod object;
mod pace;
mod patience;
mod retry;
mod sign;
mod transport;
mod xml;

pub use self::client::{Client, Traffic};
pub use self::error::{ErrorKind, S3Error};
pub use self::list::{ListRequest, Listed, Page};
pub use self::multipart::{CompletedPart, Part, Upload};
pub use self::object::{Body, ObjectHead, ObjectRange, PutRequest, ReadBytes};
pub use self::pace::Pacer;
pub use self::retry::Retry;

/// Result of one operation.
pub type S3Result<T> = Result<T, S3Error>;
