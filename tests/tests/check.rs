//! `check` against Backblaze's model of the native API and the B2-like origin: a good key passes,
//! and every way in which a key, a bucket or a setting can be wrong is reported, with a hint.

use anyhow::Result;
use e2e::b2sim::{ACCOUNT_ID, B2Sim, B2SimOptions, MASTER_KEY};
use e2e::medialift::{self, Ran};
use serde_json::Value;
use testkit::stack::{Origin, OriginOptions};

const BUCKET: &str = "example-social-media";
const ENOUGH: &str =
    "listBuckets,listAllBucketNames,readBuckets,listFiles,readFiles,writeFiles,deleteFiles";

/// One account: the model has the bucket, the origin serves its objects.
struct Account {
    b2: B2Sim,
    origin: Origin,
    directory: tempfile::TempDir,
}

impl Account {
    /// An account with a bucket of that kind, and a lifecycle rule in it.
    fn with_bucket(kind: &str) -> Result<Account> {
        let rule = r#"{"daysFromHidingToDeleting":1,"daysFromUploadingToHiding":null,"fileNamePrefix":""}"#;
        Account::with(&["--lifecycle-rule", rule, kind])
    }

    /// An account with a bucket made by `b2 bucket create` with these options; its kind is the last.
    fn with(options: &[&str]) -> Result<Account> {
        let (kind, options) = options.split_last().expect("the bucket's kind");
        let visibility = if *kind == "allPublic" {
            "public"
        } else {
            "private"
        };
        let origin = Origin::start(OriginOptions {
            buckets: vec![format!("{BUCKET}={visibility}")],
            ..OriginOptions::default()
        })?;
        let b2 = B2Sim::start(&B2SimOptions {
            created_keys: vec![format!("{}={}", OriginOptions::KEY_ID, OriginOptions::KEY)],
            s3_url: Some(origin.s3_url.clone()),
            ..B2SimOptions::default()
        })?;
        let mut arguments = vec!["bucket", "create"];
        arguments.extend(options);
        arguments.extend([BUCKET, kind]);
        b2.b2(&arguments)?;
        Ok(Account {
            b2,
            origin,
            directory: tempfile::tempdir()?,
        })
    }

    /// Makes the origin's key, with the `b2` command.
    fn make_key(&self, capabilities: &str, bucket: Option<&str>) -> Result<()> {
        let mut arguments = vec!["key", "create"];
        if let Some(bucket) = bucket {
            arguments.extend(["--bucket", bucket]);
        }
        arguments.extend(["mastodon", capabilities]);
        self.b2.b2(&arguments)?;
        Ok(())
    }

    fn check_as(&self, id: &str, key: &str, arguments: &[&str]) -> Result<Ran> {
        let mut command = medialift::command(self.directory.path())?;
        command
            .args(["check", "--json", "--bucket", BUCKET])
            .args(arguments)
            .env("B2_ENVIRONMENT", &self.b2.url)
            .env("B2_REGION", "us-west-004")
            .env("B2_APPLICATION_KEY_ID", id)
            .env("B2_APPLICATION_KEY", key);
        if !arguments.contains(&"--endpoint") {
            command.env("B2_ENDPOINT", &self.origin.s3_url);
        }
        let ran = medialift::run(&mut command)?;
        assert!(
            !ran.stdout.contains(key) && !ran.stderr.contains(key),
            "a secret is shown"
        );
        assert_eq!(self.probes_left()?, 0, "a probe is left in the bucket");
        Ok(ran)
    }

    fn check(&self, arguments: &[&str]) -> Result<Ran> {
        self.check_as(OriginOptions::KEY_ID, OriginOptions::KEY, arguments)
    }

    fn probes_left(&self) -> Result<u64> {
        let requests = self.origin.requests()?;
        Ok(requests.of("PutObject") - requests.of("DeleteObject"))
    }
}

/// The findings that did not pass: the check, the outcome, and detail and hint in one text.
fn not_passed(report: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    report["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .filter(|finding| finding["outcome"] != "passed")
        .map(|finding| {
            let words = format!("{} {}", text(&finding["detail"]), text(&finding["hint"]));
            (text(&finding["check"]), text(&finding["outcome"]), words)
        })
        .collect()
}

/// Checks that exactly these checks did not pass, and that each has this text.
#[track_caller]
fn expect(report: &Value, expected: &[(&str, &str, &str)]) {
    let found = not_passed(report);
    let names = |(check, outcome, _): &(String, String, String)| format!("{check} {outcome}");
    let found_names: Vec<String> = found.iter().map(names).collect();
    let expected_names: Vec<String> = expected
        .iter()
        .map(|(check, outcome, _)| format!("{check} {outcome}"))
        .collect();
    assert_eq!(found_names, expected_names, "{found:?}");
    for ((_, _, words), (_, _, part)) in found.iter().zip(expected) {
        assert!(words.contains(part), "`{part}` is not in `{words}`");
    }
}

#[test]
fn a_key_made_for_the_bucket_passes_every_check() -> Result<()> {
    for (kind, flag) in [("allPrivate", "--private"), ("allPublic", "--public")] {
        let account = Account::with_bucket(kind)?;
        account.make_key(ENOUGH, Some(BUCKET))?;
        let report = account.check(&[flag])?.expect(0).json()?;
        expect(&report, &[]);
        assert_eq!(report["passed"], true);
        assert_eq!(account.origin.requests()?.of("PutObject"), 1);
    }
    Ok(())
}

#[test]
fn a_master_key_is_recognised_and_nothing_is_uploaded() -> Result<()> {
    let account = Account::with_bucket("allPrivate")?;
    let report = account
        .check_as(ACCOUNT_ID, MASTER_KEY, &[])?
        .expect(3)
        .json()?;
    expect(
        &report,
        &[
            (
                "master-key",
                "failed",
                "medialift provision --bucket example-social-media",
            ),
            ("upload", "skipped", "not checked"),
        ],
    );
    assert_eq!(account.origin.requests()?.total, 0);
    Ok(())
}

#[test]
fn a_master_key_is_recognised_by_its_length_where_there_is_no_native_api() -> Result<()> {
    let origin = Origin::start(OriginOptions::default())?;
    let directory = tempfile::tempdir()?;
    let mut command = medialift::command(directory.path())?;
    command
        .args([
            "check",
            "--json",
            "--bucket",
            "media",
            "--endpoint",
            &origin.s3_url,
        ])
        .env("B2_REGION", "us-west-004")
        .env("B2_APPLICATION_KEY_ID", ACCOUNT_ID)
        .env("B2_APPLICATION_KEY", MASTER_KEY);
    let report = medialift::run(&mut command)?.expect(3).json()?;
    expect(
        &report,
        &[
            ("master-key", "failed", "the form of a Backblaze master key"),
            ("upload", "skipped", "not checked"),
        ],
    );
    assert_eq!(origin.requests()?.total, 0);
    Ok(())
}

#[test]
fn missing_capabilities_are_named() -> Result<()> {
    let account = Account::with_bucket("allPrivate")?;
    account.make_key("listBuckets,listFiles,readFiles,writeFiles", Some(BUCKET))?;
    let report = account.check(&[])?.expect(3).json()?;
    expect(
        &report,
        &[
            (
                "capabilities",
                "failed",
                "lacks listAllBucketNames, readBuckets, deleteFiles",
            ),
            ("upload", "skipped", "not checked"),
        ],
    );
    Ok(())
}

#[test]
fn a_key_of_another_bucket_is_reported() -> Result<()> {
    let account = Account::with_bucket("allPrivate")?;
    account
        .b2
        .b2(&["bucket", "create", "another-bucket", "allPrivate"])?;
    account.make_key(ENOUGH, Some("another-bucket"))?;
    let report = account.check(&[])?.expect(3).json()?;
    expect(
        &report,
        &[
            ("restriction", "failed", "restricted to `another-bucket`"),
            ("bucket", "skipped", "may not access"),
            ("upload", "skipped", "not checked"),
        ],
    );
    Ok(())
}

#[test]
fn a_key_for_every_bucket_is_a_warning() -> Result<()> {
    let account = Account::with_bucket("allPrivate")?;
    account.make_key(ENOUGH, None)?;
    let report = account.check(&[])?.expect(0).json()?;
    expect(
        &report,
        &[("restriction", "warned", "every bucket of the account")],
    );
    Ok(())
}

#[test]
fn every_fault_is_reported_at_once() -> Result<()> {
    let account = Account::with_bucket("allPublic")?;
    account.make_key("listBuckets,listFiles", None)?;
    let wrong = [
        "--private",
        "--endpoint",
        "https://s3.eu-central-003.backblazeb2.com",
    ];
    let mut command_arguments = wrong.to_vec();
    command_arguments.extend(["--region", "eu-central-003"]);
    let report = account.check(&command_arguments)?.expect(3).json()?;
    expect(
        &report,
        &[
            ("capabilities", "failed", "lacks"),
            ("restriction", "warned", "every bucket"),
            ("endpoint", "failed", "use the endpoint"),
            (
                "visibility",
                "failed",
                "the bucket is public, and should be private",
            ),
            ("upload", "skipped", "not checked"),
        ],
    );
    Ok(())
}

#[test]
fn a_missing_bucket_and_a_wrong_key_are_reported() -> Result<()> {
    let account = Account::with_bucket("allPrivate")?;
    account.make_key(ENOUGH, None)?;
    let mut command = medialift::command(account.directory.path())?;
    command
        .args(["check", "--json", "--bucket", "no-such-bucket"])
        .env("B2_ENVIRONMENT", &account.b2.url)
        .env("B2_ENDPOINT", &account.origin.s3_url)
        .env("B2_REGION", "us-west-004")
        .env("B2_APPLICATION_KEY_ID", OriginOptions::KEY_ID)
        .env("B2_APPLICATION_KEY", OriginOptions::KEY);
    let report = medialift::run(&mut command)?.expect(3).json()?;
    expect(
        &report,
        &[
            ("restriction", "warned", "every bucket"),
            ("bucket", "failed", "there is no bucket `no-such-bucket`"),
            ("upload", "skipped", "not checked"),
        ],
    );
    let report = account
        .check_as(OriginOptions::KEY_ID, "K001mistyped", &[])?
        .expect(3)
        .json()?;
    expect(
        &report,
        &[
            ("credentials", "failed", "copy the key and its id again"),
            ("upload", "skipped", "not checked"),
        ],
    );
    Ok(())
}

#[test]
fn a_bucket_without_the_lifecycle_rule_is_a_warning() -> Result<()> {
    let account = Account::with(&["allPrivate"])?;
    account.make_key(ENOUGH, Some(BUCKET))?;
    let report = account.check(&[])?.expect(0).json()?;
    expect(
        &report,
        &[(
            "lifecycle",
            "warned",
            "medialift provision --bucket example-social-media --update",
        )],
    );
    Ok(())
}

#[test]
fn other_services_are_checked_by_requests_alone() -> Result<()> {
    for (visibility, code) in [("--public", 0), ("--private", 3)] {
        let origin = Origin::start(OriginOptions::default())?;
        let directory = tempfile::tempdir()?;
        let mut command = medialift::command(directory.path())?;
        command
            .args([
                "check",
                "--json",
                "--bucket",
                "media",
                "--endpoint",
                &origin.s3_url,
            ])
            .arg(visibility)
            .env("B2_REGION", "us-west-004")
            .env("B2_APPLICATION_KEY_ID", OriginOptions::KEY_ID)
            .env("B2_APPLICATION_KEY", OriginOptions::KEY);
        let report = medialift::run(&mut command)?.expect(code).json()?;
        let mut expected = vec![("native-api", "skipped", "not an endpoint of Backblaze")];
        if code == 3 {
            expected.push(("anonymous-read", "failed", "should be private"));
        }
        expect(&report, &expected);
    }
    Ok(())
}

#[test]
fn its_output_is_the_snapshot() -> Result<()> {
    let account = Account::with_bucket("allPrivate")?;
    let mut command = medialift::command(account.directory.path())?;
    command
        .args(["check", "--bucket", BUCKET])
        .env("B2_ENDPOINT", &account.origin.s3_url)
        .env("B2_REGION", "us-west-004");
    account.b2.as_master(&mut command);
    let ran = medialift::run(&mut command)?.expect(3);
    let address = account.origin.s3_url.trim_start_matches("http://");
    insta::assert_snapshot!(ran.stdout.replace(address, "127.0.0.1:PORT"));
    Ok(())
}
