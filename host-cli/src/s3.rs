//! A thin S3 client: some ten operations over `hyper`, signed by `aws-sigv4`.
//!
//! Every payload goes unsigned and with `Content-MD5`; neither `x-amz-checksum-*` nor
//! `x-amz-tagging` nor a conditional PUT is ever sent, since B2 refuses them. Retries are made
//! here; which object to send, and what a failure means for a run, is left to the callers.

mod body;
mod client;
mod error;
mod list;
mod listing;
mod multipart;
mod object;
mod pace;
mod patience;
mod retry;
mod sign;
mod traffic;
mod xml;

pub use self::body::Body;
pub use self::client::Client;
pub use self::error::{ErrorKind, S3Error, S3Result};
pub use self::list::{ListRequest, Listed, Page};
pub use self::listing::Listing;
pub use self::multipart::{CompletedPart, Part};
pub use self::object::{ObjectHead, ObjectRange, PutRequest};
pub use self::retry::Retry;
pub use self::traffic::{Outage, Traffic};
