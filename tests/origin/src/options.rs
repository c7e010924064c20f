//! The command line of `b2-origin`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

use super::content::Bodies;
use super::store::Visibility;

/// An S3 server on this machine that behaves as Backblaze B2 does, for tests and demonstrations.
///
/// Prints one JSON line with its addresses when it is ready.
#[derive(Clone, Debug, Parser)]
#[command(name = "b2-origin", version)]
pub struct Options {
    /// Directory for the buckets; what an earlier run left there is served again
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Address of the S3 endpoint
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Listen over TLS too, with a certificate of its own making that is written to this file
    #[arg(long, value_name = "FILE")]
    pub tls: Option<PathBuf>,
    /// Address of the control endpoint
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub control: SocketAddr,
    /// A bucket and who may read it (repeatable)
    #[arg(long = "bucket", value_name = "NAME=public|private", value_parser = parse_bucket, default_value = "media=public")]
    pub buckets: Vec<(String, Visibility)>,
    /// An application key (repeatable)
    #[arg(
        long = "key",
        value_name = "ID=SECRET",
        value_parser = parse_key,
        default_value = "00161f959a5f87b0000000005=K001testsecretkeyofthetestserver"
    )]
    pub keys: Vec<(String, String)>,
    /// Region that `GetBucketLocation` answers
    #[arg(long, default_value = "us-west-004")]
    pub region: String,
    /// Milliseconds that every request waits before it is looked at
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub latency_ms: u64,
    /// What becomes of the bytes of an upload; other than `kept` is for measuring clients, not disks
    #[arg(long, value_enum, default_value = "kept")]
    pub bodies: Bodies,
    /// Bytes that every part of a multipart upload but the last must have
    #[arg(long, value_name = "BYTES", default_value_t = 5_000_000)]
    pub min_part_size: u64,
}

fn parse_bucket(text: &str) -> Result<(String, Visibility), String> {
    let (name, visibility) = text
        .split_once('=')
        .ok_or("expected NAME=public or NAME=private")?;
    if !s3s::path::check_bucket_name(name) {
        return Err(format!("`{name}` is not a valid bucket name"));
    }
    match visibility {
        "public" => Ok((name.to_owned(), Visibility::Public)),
        "private" => Ok((name.to_owned(), Visibility::Private)),
        other => Err(format!("`{other}` is neither `public` nor `private`")),
    }
}

fn parse_key(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((id, secret)) if !id.is_empty() && !secret.is_empty() => {
            Ok((id.to_owned(), secret.to_owned()))
        }
        _ => Err("expected ID=SECRET".to_owned()),
    }
}
