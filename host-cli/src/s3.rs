//! A thin S3 client: some ten operations over `hyper`, signed by `aws-sigv4`.
//!
//! Payloads are unsigned and have `Content-MD5`. B2 refuses `x-amz-checksum-*`, `x-amz-tagging` and
//! conditional PUTs, so none is sent. Requests are retried here; which object to send, and what a
//! failure means for a run, is left to the callers.

mod body;
mod client;
mod error;
mod list;
mod listing;
mod multipart;
mod object;
mod rate_limit;
mod retry;
mod sign;
mod stall;
mod traffic;
mod xml;

pub use self::body::Body;
pub use self::client::Client;
pub use self::error::{ErrorKind, MAX_REFUSALS_IN_A_ROW, S3Error, S3Result};
pub use self::list::{ListPage, ListRequest, ListedObject};
pub use self::listing::Listing;
pub use self::multipart::{CompletedPart, Part};
pub use self::object::{ObjectHead, ObjectRange, PutRequest};
pub use self::retry::Retry;
pub use self::traffic::{Outage, Traffic};
