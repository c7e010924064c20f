//! What to do about a request that failed.

use http::StatusCode;

use super::{ErrorKind, S3Error, is_out_of_space};

impl S3Error {
    /// What to do next.
    pub fn hint(&self) -> String {
        match &*self.kind {
            kind if kind.is_cap_exceeded() => "raise the cap under Caps & Alerts in Backblaze's console, then run the same command again to continue".to_owned(),
            ErrorKind::Connect(_) => "check the endpoint's name, the network and the firewall, then run the same command again to continue".to_owned(),
            ErrorKind::Tls(_) => "check the endpoint's name and this machine's clock, and install `ca-certificates`; a proxy that intercepts TLS is another possible cause".to_owned(),
            ErrorKind::Timeout | ErrorKind::Broken(_) => "check the network, then run the same command again to continue".to_owned(),
            ErrorKind::Malformed(_) => "check that the endpoint is an S3 endpoint, as the bucket's page shows it".to_owned(),
            ErrorKind::Mismatch { .. } => "a proxy, or faulty memory of this machine, changes what is sent: check both, then run the command again".to_owned(),
            ErrorKind::Local(_) => "check the file and the disk, then run the command again".to_owned(),
            ErrorKind::Request(_) => "this is a bug in medialift; please report it".to_owned(),
            ErrorKind::Service { status, code, message, clock_difference, .. } => service_hint(*status, code, message, *clock_difference),
        }
    }
}

/// The known causes of the service's errors, each with its fix.
fn service_hint(
    status: StatusCode,
    code: &str,
    message: &str,
    clock_difference: Option<i64>,
) -> String {
    let lowercase = message.to_ascii_lowercase();
    match code {
        _ if is_out_of_space(status, message) => {
            "free disk space on the service, then run the same command again to continue".to_owned()
        }
        "InvalidAccessKeyId" if lowercase.contains("malformed") => {
            "this may be the account's master key, which the S3 endpoint refuses: create an application key for this bucket with `medialift provision`, and use it".to_owned()
        }
        "InvalidAccessKeyId" => {
            "the key is unknown at this endpoint: check the id, and that the endpoint is the one that the bucket's page shows (a key works in its own region only); a key that was created before 4 May 2020 does not work at the S3 endpoint: create a new one with `medialift provision --another-key`".to_owned()
        }
        "SignatureDoesNotMatch" => {
            "the key does not belong to this id: copy the key again, or create a new one with `medialift provision --another-key`".to_owned()
        }
        "RequestTimeTooSkewed" => match clock_difference {
            Some(seconds) => format!("this machine's clock is {} seconds {} the service's: set it (`timedatectl set-ntp true`)", seconds.abs(), if seconds > 0 { "behind" } else { "ahead of" }),
            None => "this machine's clock is wrong: set it (`timedatectl set-ntp true`)".to_owned(),
        },
        "NoSuchBucket" => "check the bucket's name, and that the endpoint is the one that the bucket's page shows; `medialift provision` creates a bucket".to_owned(),
        "AuthorizationHeaderMalformed" => "the region is not the endpoint's: leave `--region` out, or give the one in the endpoint's name".to_owned(),
        "EntityTooLarge" => "a request may have 5 GB, and an object 10,000 parts: raise `--part-size`".to_owned(),
        "BadDigest" => "the file changed while it was sent, or a proxy changes what is sent: run the command again".to_owned(),
        "InvalidArgument" if lowercase.contains("acl") => "the ACL must match the bucket's visibility; medialift sends none, so check for a proxy that adds one".to_owned(),
        _ if status == StatusCode::FORBIDDEN || status == StatusCode::UNAUTHORIZED => {
            "the key must be for this bucket, not be deleted or expired, and have the capabilities listBuckets, listFiles, readFiles and writeFiles; run `medialift check`".to_owned()
        }
        _ if status.is_server_error() || status.as_u16() == 429 => {
            "the service is overloaded or fails: wait a few minutes, then run the same command again to continue; `--max-rate` of `medialift sync` limits the requests per second".to_owned()
        }
        _ => "run `medialift check`, which tests the usual causes".to_owned(),
    }
}
