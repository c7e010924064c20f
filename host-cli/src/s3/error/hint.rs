//! What to do about a request that failed.

use http::StatusCode;

use super::{ErrorKind, S3Error, is_out_of_space};

impl S3Error {
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
}

/// The known causes of the service's errors, each with its fix.
fn service_hint(
    status: StatusCode,
    code: &str,
    message: &str,
    clock_difference: Option<i64>,
) -> String {
    let said = message.to_ascii_lowercase();
    match code {
        _ if is_out_of_space(status, message) => {
            "the service is out of disk space: free some there, then run the same command again".to_owned()
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
            "the key may not do this: it must be for this bucket, not revoked or expired, and allow listBuckets, listFiles, readFiles and writeFiles; `medialift check` reports more".to_owned()
        }
        _ if status.is_server_error() || status.as_u16() == 429 => {
            "the service is busy or out of order: wait some minutes and run the same command again, it goes on from here; `--max-rate` asks for less".to_owned()
        }
        _ => "`medialift check` looks for the usual causes".to_owned(),
    }
}
