//! `check`: whether key, bucket and endpoint are what a migration needs, before anything is moved.
//!
//! Backblaze's native API knows most (`b2::check`); what only a request can show is tried at the S3
//! endpoint with one small object, and only when nothing has failed before: with a master key not a
//! byte is uploaded.

use clap::{ArgGroup, Args};
use http::{Method, Request};
use http_body_util::Full;
use md5::{Digest, Md5};
use serde::Serialize;

use super::provision::realm;
use crate::b2::{self, Visibility};
use crate::config::{Credentials, KeyKind, Target, TargetArgs};
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::findings::{self, Finding, chain};
use crate::s3::{Body, Client, ErrorKind, ListRequest, PutRequest, S3Error};
use crate::web::Web;

const EXAMPLE: &str = "\
Examples:
  medialift check --bucket my-instance-media --endpoint s3.us-west-004.backblazeb2.com \\
      --key-file medialift.key
  # And that the bucket is not open to everybody
  medialift check --private

Exit codes: 0 all is well, 3 something is not; every fault is named at once, each with its mend.";

/// Checks the key, the bucket and the endpoint
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE, group = ArgGroup::new("visibility").args(["public", "private"]))]
pub struct CheckArgs {
    /// The bucket is meant to be readable by everybody
    #[arg(long)]
    public: bool,
    /// The bucket is meant to be readable with a key only
    #[arg(long)]
    private: bool,
    /// Upload no probe: leave untried whether the key may write and delete
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

#[derive(Debug, Serialize)]
struct Report {
    bucket: String,
    endpoint: String,
    passed: bool,
    findings: Vec<Finding>,
}

/// Runs every check and reports all of them.
pub async fn run(args: CheckArgs, context: &Context) -> Result<Exit> {
    let target = args.target.resolve(&context.file)?;
    let credentials = args.target.credentials(&context.file)?;
    let visibility = match (args.public, args.private) {
        (true, _) => Some(Visibility::Public),
        (_, true) => Some(Visibility::Private),
        _ => context.file.visibility.map(Visibility::from),
    };
    let mut found = native(context, &target, &credentials, visibility).await?;
    if findings::exit(&found) == Exit::Done {
        let client = Client::new(target.clone(), &credentials)
            .map_err(|error| error.into_error(format!("prepare requests to `{target}`")))?;
        found.extend(over_s3(&client, visibility, args.dry_run).await);
    } else {
        found.push(Finding::skipped(
            "upload",
            "not tried, since the checks before it failed",
        ));
    }
    let report = Report {
        bucket: target.bucket.clone(),
        endpoint: target.endpoint.to_string(),
        passed: findings::exit(&found) == Exit::Done,
        findings: found,
    };
    let text = format!(
        "{}\n{}\n",
        findings::table(&report.findings),
        findings::summary(&report.findings)
    );
    context.ui.data(&report, text);
    Ok(findings::exit(&report.findings))
}

/// The native API's part; at another service, only what the key's shape tells.
async fn native(
    context: &Context,
    target: &Target,
    credentials: &Credentials,
    visibility: Option<Visibility>,
) -> Result<Vec<Finding>> {
    let names_a_realm = std::env::var_os("B2_ENVIRONMENT").is_some_and(|v| !v.is_empty())
        || context.file.b2_api.is_some();
    if target.endpoint.is_backblaze() || names_a_realm {
        let expected = b2::Expected {
            bucket: &target.bucket,
            endpoint: &target.endpoint,
            visibility,
            key_prefix: &target.key_prefix,
        };
        return Ok(b2::check(&realm(context)?, credentials, &expected).await);
    }
    if credentials.kind() == KeyKind::Master {
        return Ok(vec![Finding::failed(
            "master-key",
            "the id has the shape of a Backblaze master key, which no S3 endpoint takes",
            format!(
                "make a key of the bucket's own: `medialift provision --bucket {} --key-file medialift.key`",
                target.bucket
            ),
        )]);
    }
    Ok(vec![Finding::skipped(
        "native-api",
        format!(
            "`{}` is not Backblaze's: only S3 requests are tried",
            target.endpoint
        ),
    )])
}

/// What only requests show: listing, writing, reading with and without a key, deleting.
async fn over_s3(client: &Client, visibility: Option<Visibility>, dry_run: bool) -> Vec<Finding> {
    let target = client.target();
    let first = ListRequest {
        prefix: target.key_prefix.clone(),
        page_size: Some(1),
        ..ListRequest::default()
    };
    if let Err(error) = client.list(&first).await {
        return vec![refused("list", "the bucket cannot be listed", &error)];
    }
    let mut found = vec![Finding::passed(
        "list",
        format!("`{}` can be listed at {}", target.bucket, target.endpoint),
    )];
    if dry_run {
        found.push(Finding::skipped(
            "upload",
            "no probe is uploaded in a dry run",
        ));
        return found;
    }
    let name: String = std::iter::repeat_with(fastrand::alphanumeric)
        .take(16)
        .collect();
    let digest: [u8; 16] = Md5::digest(&name).into();
    let probe = PutRequest {
        key: format!("{}medialift-probe/{name}", target.key_prefix),
        body: Body::Bytes(name.clone().into()),
        md5: digest,
        content_type: "text/plain".to_owned(),
        cache_control: None,
    };
    let stored = match client.put_object(&probe).await {
        Ok(etag) => etag,
        Err(error) => match &*error.kind {
            // It was stored all the same.
            ErrorKind::Mismatch { stored, .. } => stored.clone(),
            _ => {
                found.push(refused("upload", "a small file cannot be uploaded", &error));
                return found;
            }
        },
    };
    found.push(Finding::passed("upload", "a small file was uploaded"));
    let answer = client.read_object(&probe.key, 1024).await;
    let read_back = answer.as_ref().ok().map(|(head, _)| &head.etag);
    found.push(etag(&hex::encode(digest), &stored, read_back));
    found.push(match answer {
        Ok((_, bytes)) if bytes == name.as_bytes() => {
            Finding::passed("read", "it came back byte for byte")
        }
        Ok((_, bytes)) => Finding::failed(
            "read",
            format!("{} other bytes came back", bytes.len()),
            "something between here and the bucket changes what is sent: look for a proxy",
        ),
        Err(error) => refused("read", "it cannot be read back", &error),
    });
    found.push(anonymous_read(target, &probe.key, visibility).await);
    found.push(match client.delete_object(&probe.key).await {
        Ok(()) => Finding::passed("delete", "it was deleted again"),
        Err(error) => refused(
            "delete",
            "it cannot be deleted, and is left in the bucket",
            &error,
        ),
    });
    found
}

/// `sync`, `cutover` and `prune` compare by it. Encryption by default can change it.
fn etag(md5: &str, stored: &str, read_back: Option<&String>) -> Finding {
    let check = "etag";
    if stored == md5 && read_back.is_none_or(|etag| etag == md5) {
        return Finding::passed(check, "its ETag is the MD5 of its bytes");
    }
    Finding::failed(
        check,
        "its ETag is not the MD5 of its bytes: no file could be compared with its object",
        "turn the bucket's default encryption off, or to keys that the service manages (SSE-B2), and run this again",
    )
}

fn refused(check: &'static str, what: &str, error: &S3Error) -> Finding {
    Finding::failed(check, format!("{what}: {}", chain(error)), error.hint())
}

/// What somebody without a key sees: the surest word on the bucket's visibility.
async fn anonymous_read(target: &Target, key: &str, meant: Option<Visibility>) -> Finding {
    let check = "anonymous-read";
    let url = format!("{}/{}/{key}", target.endpoint, target.bucket);
    let request = Request::builder()
        .method(Method::GET)
        .uri(&url)
        .body(Full::default());
    let answer = match request {
        Ok(request) => Web::new().send(request, 64 << 10).await,
        Err(error) => {
            return Finding::skipped(check, format!("`{url}` cannot be asked for: {error}"));
        }
    };
    let is = match answer {
        Ok(answer) if answer.status.is_success() => Visibility::Public,
        Ok(answer) if matches!(answer.status.as_u16(), 401 | 403) => Visibility::Private,
        Ok(answer) => {
            return Finding::skipped(
                check,
                format!("answered {}, which tells nothing", answer.status),
            );
        }
        Err(error) => return Finding::skipped(check, chain(&error)),
    };
    let detail = match is {
        Visibility::Public => "anybody who knows an address may read the bucket",
        Visibility::Private => "the bucket is read with a key only",
    };
    match meant {
        Some(meant) if meant != is => Finding::failed(
            check,
            format!("{detail}, and {meant} is meant"),
            format!(
                "change it in the web console, or with `b2 bucket update {} {}`",
                target.bucket,
                meant.bucket_type()
            ),
        ),
        _ => Finding::passed(check, detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::Outcome;

    #[test]
    fn an_etag_that_is_no_md5_is_a_fault() {
        let md5 = "9e107d9d372bb6826bd81d3542a419d6";
        let check = |stored: &str, read_back: Option<&str>| {
            etag(md5, stored, read_back.map(str::to_owned).as_ref()).outcome
        };
        assert_eq!(check(md5, Some(md5)), Outcome::Passed);
        assert_eq!(check(md5, None), Outcome::Passed);
        assert_eq!(check("encrypted", Some(md5)), Outcome::Failed);
        assert_eq!(check(md5, Some("encrypted")), Outcome::Failed);
        assert_eq!(check("", None), Outcome::Failed);
    }
}
