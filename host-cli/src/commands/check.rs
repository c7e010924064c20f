//! `check`: checks the key, the bucket and the endpoint before anything is moved.
//!
//! Most checks use Backblaze's native API (`b2::check`). The rest are requests to the S3 endpoint with
//! one small object, made only if no check has failed before, so that a master key uploads nothing.

use clap::{ArgGroup, Args};
use http::{Method, Request};
use http_body_util::Full;
use md5::{Digest, Md5};
use serde::Serialize;

use crate::b2;
use crate::config::{Credentials, KeyKind, Target, TargetArgs, Visibility};
use crate::context::Context;
use crate::error::{Result, chain};
use crate::exit::Exit;
use crate::findings::{self, Finding};
use crate::s3::{Body, Client, ErrorKind, ListRequest, PutRequest, S3Error};
use crate::web::Web;

const EXAMPLE: &str = "\
Examples:
  # Check the key, the bucket and the endpoint
  medialift check --bucket example-social-media --endpoint s3.us-west-004.backblazeb2.com \\
      --key-file b2.key

  # Also check that the bucket is private
  medialift check --private

Exit codes: 0 no check failed, 3 a check failed; every fault is reported, each with a hint.";

/// Flags of `check`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE, group = ArgGroup::new("visibility").args(["public", "private"]))]
pub struct CheckArgs {
    /// Check that everybody can read the bucket
    #[arg(long)]
    public: bool,
    /// Check that the bucket can be read with a key only
    #[arg(long)]
    private: bool,
    /// Upload no probe: do not check whether the key can write and delete
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

#[derive(Debug, Serialize)]
struct CheckReport {
    bucket: String,
    endpoint: String,
    passed: bool,
    findings: Vec<Finding>,
}

/// Runs `check`.
pub async fn run(args: CheckArgs, context: &Context) -> Result<Exit> {
    let target = args.target.resolve(&context.file)?;
    let credentials = args.target.credentials(&context.file)?;
    let visibility = match (args.public, args.private) {
        (true, _) => Some(Visibility::Public),
        (_, true) => Some(Visibility::Private),
        _ => context.file.visibility,
    };
    let mut found = native(context, &target, &credentials, visibility).await?;
    if findings::exit(&found) == Exit::Done {
        let client = Client::new(target.clone(), &credentials)
            .map_err(|error| error.into_error(format!("prepare requests to `{target}`")))?;
        found.extend(over_s3(&client, visibility, args.dry_run).await);
    } else {
        found.push(Finding::skipped(
            "upload",
            "not checked, because an earlier check failed",
        ));
    }
    let report = CheckReport {
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

/// The checks of the native API; at another service, only the form of the key.
async fn native(
    context: &Context,
    target: &Target,
    credentials: &Credentials,
    visibility: Option<Visibility>,
) -> Result<Vec<Finding>> {
    let has_realm = std::env::var_os("B2_ENVIRONMENT").is_some_and(|v| !v.is_empty())
        || context.file.b2_api.is_some();
    if target.endpoint.is_backblaze() || has_realm {
        let expected = b2::Expected {
            bucket: &target.bucket,
            endpoint: &target.endpoint,
            visibility,
            key_prefix: &target.key_prefix,
        };
        return Ok(b2::check(&b2::realm(&context.file)?, credentials, &expected).await);
    }
    if credentials.kind() == KeyKind::Master {
        return Ok(vec![Finding::failed(
            "master-key",
            "the id has the form of a Backblaze master key, which no S3 endpoint accepts",
            format!(
                "create an application key for this bucket: `medialift provision --bucket {} --key-file medialift.key`",
                target.bucket
            ),
        )]);
    }
    Ok(vec![Finding::skipped(
        "native-api",
        format!(
            "`{}` is not an endpoint of Backblaze: only S3 requests are checked",
            target.endpoint
        ),
    )])
}

/// The checks by S3 requests: listing, uploading, reading with and without a key, deleting.
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
            // It was stored nevertheless.
            ErrorKind::Mismatch { stored, .. } => stored.clone(),
            _ => {
                found.push(refused("upload", "the probe cannot be uploaded", &error));
                return found;
            }
        },
    };
    found.push(Finding::passed("upload", "a probe was uploaded"));
    let answer = client.read_object(&probe.key, 1024).await;
    let read_back = answer.as_ref().ok().map(|(head, _)| &head.etag);
    found.push(etag(&hex::encode(digest), &stored, read_back));
    found.push(match answer {
        Ok((_, bytes)) if bytes == name.as_bytes() => {
            Finding::passed("read", "the probe was read back unchanged")
        }
        Ok((_, bytes)) => Finding::failed(
            "read",
            format!("{} different bytes were read back", bytes.len()),
            "something between this machine and the bucket changes data: look for a proxy",
        ),
        Err(error) => refused("read", "the probe cannot be read back", &error),
    });
    found.push(anonymous_read(target, &probe.key, visibility).await);
    found.push(match client.delete_object(&probe.key).await {
        Ok(()) => Finding::passed("delete", "the probe was deleted"),
        Err(error) => refused(
            "delete",
            "the probe cannot be deleted and is left in the bucket",
            &error,
        ),
    });
    found
}

/// `sync`, `cutover` and `prune` compare ETags. Default encryption of the bucket can change them.
fn etag(md5: &str, stored: &str, read_back: Option<&String>) -> Finding {
    let check = "etag";
    if stored == md5 && read_back.is_none_or(|etag| etag == md5) {
        return Finding::passed(check, "the probe's ETag is the MD5 of its bytes");
    }
    Finding::failed(
        check,
        "the probe's ETag is not the MD5 of its bytes: files cannot be compared with objects",
        "turn the bucket's default encryption off, or use keys that Backblaze manages (SSE-B2), then run this command again",
    )
}

fn refused(check: &'static str, what: &str, error: &S3Error) -> Finding {
    Finding::failed(check, format!("{what}: {}", chain(error)), error.hint())
}

/// A read without a key, which shows the visibility of the bucket.
async fn anonymous_read(target: &Target, key: &str, expected: Option<Visibility>) -> Finding {
    let check = "anonymous-read";
    let url = format!("{}/{}/{key}", target.endpoint, target.bucket);
    let request = Request::builder()
        .method(Method::GET)
        .uri(&url)
        .body(Full::default());
    let response = match request {
        Ok(request) => Web::new().send(request, 64 << 10).await,
        Err(error) => {
            return Finding::skipped(check, format!("`{url}` cannot be requested: {error}"));
        }
    };
    let visibility = match response {
        Ok(response) if response.status.is_success() => Visibility::Public,
        Ok(response) if matches!(response.status.as_u16(), 401 | 403) => Visibility::Private,
        Ok(response) => {
            return Finding::skipped(
                check,
                format!(
                    "answered {}, which does not show the visibility",
                    response.status
                ),
            );
        }
        Err(error) => return Finding::skipped(check, chain(&error)),
    };
    let detail = match visibility {
        Visibility::Public => "anybody who knows an address can read the bucket",
        Visibility::Private => "the bucket can be read with a key only",
    };
    match expected {
        Some(expected) if expected != visibility => Finding::failed(
            check,
            format!("{detail}, and should be {expected}"),
            format!(
                "change it in Backblaze's console, or with `b2 bucket update {} {}`",
                target.bucket,
                b2::bucket_type(expected)
            ),
        ),
        _ => Finding::passed(check, detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::CheckOutcome;

    #[test]
    fn an_etag_that_is_no_md5_is_a_fault() {
        let md5 = "9e107d9d372bb6826bd81d3542a419d6";
        let check = |stored: &str, read_back: Option<&str>| {
            etag(md5, stored, read_back.map(str::to_owned).as_ref()).outcome
        };
        assert_eq!(check(md5, Some(md5)), CheckOutcome::Passed);
        assert_eq!(check(md5, None), CheckOutcome::Passed);
        assert_eq!(check("encrypted", Some(md5)), CheckOutcome::Failed);
        assert_eq!(check(md5, Some("encrypted")), CheckOutcome::Failed);
        assert_eq!(check("", None), CheckOutcome::Failed);
    }
}
