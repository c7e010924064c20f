//! Checks of a key and a bucket by the native API, which reports more than the S3 endpoint.

use super::{CAPABILITIES, Session, bucket_type};
use crate::config::{Credentials, Endpoint, Visibility};
use crate::findings::Finding;

/// What the settings expect of the service.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    /// Bucket name.
    pub bucket: &'a str,
    /// Endpoint of the settings.
    pub endpoint: &'a Endpoint,
    /// Visibility, where the settings have it.
    pub visibility: Option<Visibility>,
    /// Mastodon's `S3_KEY_PREFIX`: empty, or ending in `/`.
    pub key_prefix: &'a str,
}

/// Asks the native API at `realm` and reports every fault at once, each with a hint.
pub async fn check(
    realm: &Endpoint,
    credentials: &Credentials,
    expected: &Expected<'_>,
) -> Vec<Finding> {
    let session = match Session::open(realm, credentials).await {
        Ok(session) => session,
        Err(error) if error.status() == Some(401) => {
            return vec![Finding::failed(
                "credentials",
                format!(
                    "the service does not know the key `{}`, or the key is wrong",
                    credentials.key_id
                ),
                error.hint(),
            )];
        }
        Err(error) => {
            return vec![Finding::failed(
                "credentials",
                crate::error::chain(&error),
                error.hint(),
            )];
        }
    };
    let mut findings = vec![Finding::passed(
        "credentials",
        format!(
            "the key `{}` belongs to the account `{}`",
            session.key_id, session.account_id
        ),
    )];
    findings.push(master_key(&session, expected.bucket));
    findings.push(capabilities(&session));
    // A master key is not restricted; that it must not be used is reported above.
    if !session.is_master() {
        findings.push(restriction(&session, expected));
    }
    findings.push(endpoint(&session, expected.endpoint));
    match session.bucket(expected.bucket).await {
        Ok(Some(bucket)) => {
            findings.push(Finding::passed(
                "bucket",
                format!("the bucket `{}` exists", expected.bucket),
            ));
            findings.push(s3_option(&bucket));
            findings.push(visibility(&bucket, expected.visibility));
            findings.push(lifecycle(&bucket));
        }
        Ok(None) => findings.push(no_bucket(expected.bucket)),
        // A key restricted to another bucket is refused here; `restriction` has reported that.
        Err(error) if error.status() == Some(401) => findings.push(Finding::skipped(
            "bucket",
            format!("the key may not access the bucket `{}`", expected.bucket),
        )),
        Err(error) => findings.push(Finding::failed(
            "bucket",
            crate::error::chain(&error),
            error.hint(),
        )),
    }
    findings
}

fn master_key(session: &Session, bucket: &str) -> Finding {
    if session.is_master() {
        Finding::failed(
            "master-key",
            "this is the account's master key: the S3 endpoint refuses it, so Mastodon's uploads would fail",
            format!(
                "create an application key for this bucket, and use it: `medialift provision --bucket {bucket} --key-file medialift.key`"
            ),
        )
    } else {
        Finding::passed(
            "master-key",
            "this is an application key, not the master key",
        )
    }
}

fn capabilities(session: &Session) -> Finding {
    let has = |wanted: &str| session.allowed.capabilities.iter().any(|c| c == wanted);
    let missing: Vec<&str> = CAPABILITIES.into_iter().filter(|c| !has(c)).collect();
    if missing.is_empty() {
        return Finding::passed(
            "capabilities",
            "the key has all capabilities that Mastodon needs",
        );
    }
    // Every upload needs all but `readBuckets`, which is for ACLs.
    let detail = format!("the key lacks {}", missing.join(", "));
    let hint = "a key cannot be changed: create a new one with `medialift provision --another-key`, or with these capabilities in Backblaze's console";
    if missing == ["readBuckets"] {
        Finding::warned("capabilities", detail, hint)
    } else {
        Finding::failed("capabilities", detail, hint)
    }
}

fn restriction(session: &Session, expected: &Expected<'_>) -> Finding {
    let check = "restriction";
    let bucket = expected.bucket;
    if let Some(prefix) = session.allowed.name_prefix.as_deref()
        && !expected.key_prefix.starts_with(prefix)
    {
        return Finding::failed(
            check,
            format!("the key is restricted to names that begin with `{prefix}`"),
            "create a key without a name prefix: `medialift provision --another-key`",
        );
    }
    match session.allowed.buckets.as_deref() {
        None | Some([]) => Finding::warned(
            check,
            "the key is not restricted to one bucket: it works for every bucket of the account",
            format!(
                "an intruder on the web server would have access to all of them: `medialift provision --bucket {bucket}` creates a key for this bucket only"
            ),
        ),
        // Names of buckets are compared without case.
        Some(allowed)
            if allowed
                .iter()
                .filter_map(|b| b.name.as_deref())
                .any(|name| name.eq_ignore_ascii_case(bucket)) =>
        {
            Finding::passed(check, format!("the key is restricted to `{bucket}`"))
        }
        Some(allowed) => {
            let names: Vec<&str> = allowed
                .iter()
                .map(|b| b.name.as_deref().unwrap_or("a deleted bucket"))
                .collect();
            Finding::failed(
                check,
                format!(
                    "the key is restricted to `{}`, not `{bucket}`",
                    names.join("`, `")
                ),
                "use the key of this bucket, or give the bucket that this key is for",
            )
        }
    }
}

fn endpoint(session: &Session, given: &Endpoint) -> Finding {
    let right = &session.s3_endpoint;
    if given == right {
        Finding::passed(
            "endpoint",
            format!("`{}` is the endpoint of this account", given.authority()),
        )
    } else {
        Finding::failed(
            "endpoint",
            format!(
                "`{}` is not the endpoint of this account",
                given.authority()
            ),
            format!("use the endpoint `{}`", right.authority()),
        )
    }
}

fn s3_option(bucket: &super::Bucket) -> Finding {
    if bucket.has_s3() {
        Finding::passed("s3", "the bucket is available at the S3 endpoint")
    } else {
        Finding::failed(
            "s3",
            "the bucket was created before 4 May 2020 and is not available at the S3 endpoint",
            "create a new bucket: `medialift provision --bucket NEW-NAME`",
        )
    }
}

fn visibility(bucket: &super::Bucket, meant: Option<Visibility>) -> Finding {
    let check = "visibility";
    match (bucket.visibility(), meant) {
        (Some(is), Some(meant)) if is != meant => Finding::failed(
            check,
            format!("the bucket is {is}, and should be {meant}"),
            format!(
                "change it in Backblaze's console, or with `b2 bucket update {} {}`",
                bucket.bucket_name,
                bucket_type(meant)
            ),
        ),
        (Some(is), _) => Finding::passed(check, format!("the bucket is {is}")),
        (None, _) => Finding::failed(
            check,
            format!(
                "the bucket has the type `{}`, which is neither `allPublic` nor `allPrivate`",
                bucket.bucket_type
            ),
            "create a new bucket: `medialift provision --bucket NEW-NAME`",
        ),
    }
}

fn lifecycle(bucket: &super::Bucket) -> Finding {
    let removes_old = bucket.lifecycle_rules.iter().any(|rule| {
        rule.file_name_prefix.is_empty() && rule.days_from_hiding_to_deleting.is_some()
    });
    if removes_old {
        Finding::passed(
            "lifecycle",
            "old versions of replaced and deleted files are removed",
        )
    } else {
        Finding::warned(
            "lifecycle",
            "replaced and deleted files stay in the bucket, hidden and billed",
            format!(
                "`medialift provision --bucket {} --update` adds the rule that removes them",
                bucket.bucket_name
            ),
        )
    }
}

fn no_bucket(name: &str) -> Finding {
    Finding::failed(
        "bucket",
        format!("there is no bucket `{name}` in this account"),
        format!("check the name, or create the bucket: `medialift provision --bucket {name}`"),
    )
}
