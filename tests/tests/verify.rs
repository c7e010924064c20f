//! `verify` against the edge worker, against nginx as instances have it, and against broken set-ups; and its
//! page in a real browser.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use e2e::browser::{Browser, DESKTOP, PHONE};
use e2e::medialift::{self, Ran};
use serde_json::{Value, json};
use testkit::process::scratch_directory;
use testkit::stack::{Edge, Nginx, Origin, OriginOptions};
use testkit::tools::Tools;

const PURGE_HEADER: &str = "x-purge-secret";
const PURGE_SECRET: &str = "a-secret-of-the-tests";

/// An origin whose bucket holds the sample tree, and that tree.
struct Bucket {
    origin: Origin,
    directory: tempfile::TempDir,
}

impl Bucket {
    fn with_samples() -> Result<Bucket> {
        let bucket = Bucket::empty()?;
        testkit::sample::create(&bucket.media())?;
        let mut command = bucket.command()?;
        command.args(["sync", "--not-mastodon"]).arg(bucket.media());
        medialift::run(&mut command)?.expect(0);
        Ok(bucket)
    }

    fn empty() -> Result<Bucket> {
        Ok(Bucket {
            origin: Origin::start(OriginOptions::default())?,
            directory: tempfile::tempdir()?,
        })
    }

    fn media(&self) -> std::path::PathBuf {
        self.directory.path().join("system")
    }

    fn command(&self) -> Result<Command> {
        let mut command = medialift::command(self.directory.path())?;
        command
            .env("B2_BUCKET", "media")
            .env("B2_ENDPOINT", &self.origin.s3_url)
            .env("B2_REGION", "us-west-004")
            .env("B2_APPLICATION_KEY_ID", OriginOptions::KEY_ID)
            .env("B2_APPLICATION_KEY", OriginOptions::KEY);
        Ok(command)
    }

    fn verify(&self, files_url: &str, arguments: &[&str]) -> Result<Ran> {
        let mut command = self.command()?;
        command
            .args(["verify", "--json", "--files-url", files_url])
            .args(arguments)
            .env("PURGE_SECRET_HEADER", PURGE_HEADER)
            .env("PURGE_SECRET", PURGE_SECRET);
        let ran = medialift::run(&mut command)?;
        assert!(!ran.stdout.contains(PURGE_SECRET) && !ran.stderr.contains(PURGE_SECRET));
        assert_eq!(self.probes_left()?, 0, "probes are left in the bucket");
        Ok(ran)
    }

    /// Probes that were put into the bucket, less those that were removed.
    fn probes_left(&self) -> Result<u64> {
        let requests = self.origin.requests()?;
        let probes = requests
            .by_key
            .iter()
            .filter(|(key, _)| key.contains("medialift-probe"));
        Ok(probes
            .filter(|(key, _)| requests.of_key(key, "PutObject") > 0)
            .filter(|(key, _)| requests.of_key(key, "DeleteObject") == 0)
            .count() as u64)
    }

    fn edge(&self) -> Result<Edge> {
        Edge::start(
            &Tools::load()?,
            &[
                ("ORIGIN_URL", &self.origin.bucket_url("media")),
                ("PURGE_SECRET_HEADER", PURGE_HEADER),
                ("PURGE_SECRET", PURGE_SECRET),
            ],
        )
    }
}

/// Every check that did not pass: its name and how it came out.
fn not_passed(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    report["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .filter(|finding| finding["outcome"] != "passed")
        .map(|finding| (text(&finding["check"]), text(&finding["outcome"])))
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(check, outcome): &(&str, &str)| ((*check).to_owned(), (*outcome).to_owned());
    expected.iter().map(own).collect()
}

#[test]
fn the_worker_passes_every_check() -> Result<()> {
    let bucket = Bucket::with_samples()?;
    let edge = bucket.edge()?;
    let media = bucket.media();
    let media = media.to_str().expect("a name in UTF-8");
    let report = bucket
        .verify(&edge.url, &["--media-dir", media, "--samples", "30"])?
        .expect(0)
        .json()?;
    assert_eq!(
        not_passed(&report),
        pairs(&[("encryption", "skipped"), ("old-addresses", "skipped")])
    );
    assert_eq!(report["passed"], true);
    assert!(report["purge_method"].is_string(), "{report}");
    let samples = report["samples"].as_array().expect("samples");
    assert_eq!(samples.len(), 30);
    Ok(())
}

#[test]
fn nginx_passes_all_but_what_it_cannot_do() -> Result<()> {
    let bucket = Bucket::with_samples()?;
    let nginx = Nginx::start(&bucket.origin.bucket_url("media"))?;
    let report = bucket
        .verify(&format!("http://{}", nginx.address), &["--samples", "0"])?
        .expect(3)
        .json()?;
    assert_eq!(
        not_passed(&report),
        pairs(&[
            ("encryption", "skipped"),
            // `x-amz-version-id` is not on its list of names.
            ("stripped-headers", "failed"),
            ("hardening", "warned"),
            // It sends decoded names to the bucket.
            ("names", "failed"),
            ("archives", "warned"),
            ("health", "skipped"),
            ("purge", "failed"),
            ("samples", "skipped"),
            ("old-addresses", "skipped"),
        ])
    );
    for finding in report["findings"].as_array().expect("findings") {
        let needs_hint = matches!(finding["outcome"].as_str(), Some("failed" | "warned"));
        assert_eq!(finding["hint"].is_string(), needs_hint, "{finding}");
    }
    Ok(())
}

#[test]
fn a_bucket_without_a_proxy_is_recognised() -> Result<()> {
    let bucket = Bucket::empty()?;
    let report = bucket
        .verify(&bucket.origin.bucket_url("media"), &[])?
        .expect(3)
        .json()?;
    let failed: Vec<String> = not_passed(&report)
        .into_iter()
        .filter(|(_, outcome)| outcome == "failed")
        .map(|(check, _)| check)
        .collect();
    assert_eq!(
        failed,
        [
            "first-read",
            "second-read",
            "query",
            "cors",
            "stripped-headers",
            "refused-methods",
            "purge-secret",
            "purge"
        ]
    );
    Ok(())
}

#[test]
fn another_bucket_behind_the_domain_is_noticed() -> Result<()> {
    let bucket = Bucket::empty()?;
    let other = Bucket::empty()?;
    let nginx = Nginx::start(&other.origin.bucket_url("media"))?;
    let report = bucket
        .verify(&format!("http://{}", nginx.address), &[])?
        .expect(3)
        .json()?;
    let finding = &report["findings"][1];
    assert_eq!(finding["check"], "first-read");
    assert_eq!(finding["outcome"], "failed");
    assert!(
        finding["hint"]
            .as_str()
            .expect("a hint")
            .contains("another bucket or prefix"),
        "{finding}"
    );
    Ok(())
}

#[test]
fn a_file_that_is_missing_from_the_bucket_is_named() -> Result<()> {
    let bucket = Bucket::with_samples()?;
    let nginx = Nginx::start(&bucket.origin.bucket_url("media"))?;
    let lone = tempfile::tempdir()?;
    std::fs::create_dir_all(lone.path().join("accounts/avatars"))?;
    std::fs::write(
        lone.path().join("accounts/avatars/lost.png"),
        "not uploaded",
    )?;
    let directory = lone.path().to_str().expect("a name in UTF-8");
    let report = bucket
        .verify(
            &format!("http://{}", nginx.address),
            &["--media-dir", directory],
        )?
        .expect(3)
        .json()?;
    let samples: Vec<&Value> = report["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .filter(|finding| finding["check"] == "samples")
        .collect();
    assert_eq!(samples.len(), 1);
    assert_eq!(samples[0]["outcome"], "failed");
    let detail = samples[0]["detail"].as_str().expect("a detail");
    assert!(detail.contains("accounts/avatars/lost.png"), "{detail}");
    Ok(())
}

#[test]
fn entries_that_cannot_be_uploaded_are_counted_where_all_files_are_read() -> Result<()> {
    let bucket = Bucket::with_samples()?;
    let edge = bucket.edge()?;
    let media = bucket.media();
    let directory = media.to_str().context("a name in UTF-8")?;
    let samples = || -> Result<Value> {
        let report = bucket
            .verify(&edge.url, &["--media-dir", directory, "--samples", "all"])?
            .expect(0)
            .json()?;
        let findings = report["findings"].as_array().context("findings")?;
        let finding = findings
            .iter()
            .find(|finding| finding["check"] == "samples");
        Ok(finding.context("a finding on the samples")?.clone())
    };
    let without = samples()?;
    let detail = without["detail"].as_str().context("a detail")?.to_owned();
    assert!(!detail.contains("cannot be uploaded"), "{detail}");
    for (name, counted) in [("link.png", "1 entry"), ("other.png", "2 entries")] {
        std::os::unix::fs::symlink("nowhere.png", media.join(name))?;
        let with = samples()?;
        assert_eq!(with["outcome"], "passed", "{with}");
        let expected = format!(
            "{detail}; {counted} cannot be uploaded: `medialift sync --dry-run` names them"
        );
        assert_eq!(with["detail"], Value::from(expected));
    }
    Ok(())
}

/// An instance whose nginx has this for `/system/`; `MEDIA` is a media directory on its disk.
fn instance(bucket: &Bucket, media_conf: &str) -> Result<Nginx> {
    let folder = scratch_directory("instance")?;
    let media = bucket.media();
    let media = media.to_str().context("a name in UTF-8")?;
    std::fs::write(
        folder.path().join("media.conf"),
        media_conf.replace("MEDIA", media),
    )?;
    let configuration = include_str!("../nginx/instance.conf").replace("PUBLIC", media);
    Nginx::start_in(folder, &configuration, "http://127.0.0.1:9")
}

#[test]
fn old_addresses_must_lead_to_the_files_domain_or_be_answered_from_the_disk() -> Result<()> {
    let bucket = Bucket::with_samples()?;
    let edge = bucket.edge()?;
    let files_url = edge.url.trim_end_matches('/');
    let rewrite =
        |to: &str| format!("location ^~ /system/ {{ rewrite ^/system/(.*)$ {to} redirect; }}");
    for (media_conf, outcome) in [
        (rewrite(&format!("{files_url}/$1?")), "passed"),
        (rewrite(&format!("{files_url}/system/$1?")), "failed"),
        (rewrite("https://elsewhere.example.com/$1?"), "failed"),
        (
            "location ^~ /system/ { alias MEDIA/; }".to_owned(),
            "passed",
        ),
        ("location ^~ /system/ { return 404; }".to_owned(), "failed"),
        ("location ^~ /system/ { return 503; }".to_owned(), "failed"),
    ] {
        let nginx = instance(&bucket, &media_conf)?;
        let url = format!("http://{}", nginx.address);
        let code = if outcome == "failed" { 3 } else { 0 };
        let report = bucket
            .verify(files_url, &["--samples", "1", "--site-url", &url])?
            .expect(code)
            .json()?;
        let found = not_passed(&report);
        let found = found.iter().find(|(check, _)| check == "old-addresses");
        let found = found.map_or("passed", |(_, outcome)| outcome.as_str());
        assert_eq!(found, outcome, "{media_conf}: {report}");
    }
    Ok(())
}

#[test]
fn a_domain_that_does_not_answer_is_one_finding_and_leaves_no_probe() -> Result<()> {
    let bucket = Bucket::empty()?;
    let report = bucket.verify("http://127.0.0.1:9", &[])?.expect(3).json()?;
    assert_eq!(
        not_passed(&report),
        pairs(&[("encryption", "skipped"), ("first-read", "failed")])
    );
    Ok(())
}

#[test]
fn ctrl_c_and_sigterm_remove_the_probes() -> Result<()> {
    for signal in ["-INT", "-TERM"] {
        let bucket = Bucket::empty()?;
        let nginx = Nginx::start(&bucket.origin.bucket_url("media"))?;
        // Uploads are done by the time that reads begin, and each read takes a second.
        bucket.origin.set_faults(
            &json!({"kind": "latency", "rate": 1.0, "method": "GET", "latency_ms": 1000}),
        )?;
        let url = format!("http://{}", nginx.address);
        let child = bucket
            .command()?
            .args(["verify", "--files-url", &url])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let begun = Instant::now();
        while bucket.origin.requests()?.of("GetObject") == 0 {
            assert!(begun.elapsed() < Duration::from_secs(60), "nothing is read");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(bucket.probes_left()? > 0);
        // The shell's own: not every system has the program.
        Command::new("sh")
            .args(["-c", "kill \"$@\"", "sh", signal, &child.id().to_string()])
            .status()?;
        let output = child.wait_with_output()?;
        assert_eq!(output.status.code(), Some(130), "{output:?}");
        assert_eq!(bucket.probes_left()?, 0);
    }
    Ok(())
}

#[test]
fn wrong_settings_are_all_named_before_anything_is_sent() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut command = medialift::command(directory.path())?;
    command.args(["verify", "--files-url", "http://files.example.com"]);
    let ran = medialift::run(&mut command)?.expect(2);
    for part in [
        "no bucket is named",
        "no endpoint is named",
        "http://files.example.com",
    ] {
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
    Ok(())
}

/// Pictures of the page are kept under `target/artefacts`.
#[test]
fn the_page_shows_a_browser_images_untainted_and_a_video_that_seeks() -> Result<()> {
    let bucket = Bucket::with_samples()?;
    let edge = bucket.edge()?;
    let page_file = bucket.directory.path().join("verify.html");
    let html = page_file.to_str().expect("a name in UTF-8");
    bucket.verify(&edge.url, &["--html", html])?.expect(0);
    let artefacts = testkit::target_directory().join("artefacts");
    let browser = Browser::start()?;
    for (name, window) in [("phone", PHONE), ("desktop", DESKTOP)] {
        let mut page = browser.page(window)?;
        page.open(
            &format!("file://{html}"),
            "document.documentElement.dataset.state === 'done'",
        )?;
        page.screenshot(&artefacts.join(format!("verify-{name}.png")))?;
        let found = page.evaluate("({...document.documentElement.dataset})")?;
        assert_eq!(found["failed"], "0", "{found} {:?}", page.complaints());
        let count = |name: &str| found[name].as_str().unwrap_or("0").parse::<u32>();
        assert!(count("shown")? >= 5, "{found}");
        assert!(count("videos")? >= 1, "{found}");
        assert_eq!(page.complaints(), [] as [String; 0]);
        let overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")?;
        assert!(
            overflow.as_i64().is_some_and(|pixels| pixels <= 0),
            "{name}: {overflow}"
        );
    }
    Ok(())
}

/// The page must be able to fail: without CORS headers every image is tainted.
#[test]
fn the_page_notices_what_no_script_may_read() -> Result<()> {
    let bucket = Bucket::with_samples()?;
    let edge = bucket.edge()?;
    let page_file = bucket.directory.path().join("verify.html");
    let html = page_file.to_str().expect("a name in UTF-8");
    bucket.verify(&edge.url, &["--html", html])?.expect(0);
    // The same page, loading from the bucket itself, which sends no such header.
    let text = std::fs::read_to_string(&page_file)?
        .replace(&edge.url, &bucket.origin.bucket_url("media"))
        .replace(
            &format!("img-src {}", bucket.origin.bucket_url("media")),
            &format!("img-src {}", bucket.origin.s3_url),
        )
        .replace(
            &format!("media-src {}", bucket.origin.bucket_url("media")),
            &format!("media-src {}", bucket.origin.s3_url),
        );
    std::fs::write(&page_file, text)?;
    let browser = Browser::start()?;
    let mut page = browser.page(DESKTOP)?;
    page.open(
        &format!("file://{html}"),
        "document.documentElement.dataset.state === 'done'",
    )?;
    page.screenshot(&testkit::target_directory().join("artefacts/verify-failing.png"))?;
    let found = page.evaluate("({...document.documentElement.dataset})")?;
    assert_eq!(found["failed"], found["shown"], "{found}");
    assert_ne!(found["shown"], json!("0"));
    assert!(!page.complaints().is_empty(), "the browser says why");
    Ok(())
}

#[test]
fn its_output_is_the_snapshot() -> Result<()> {
    let bucket = Bucket::empty()?;
    let nginx = Nginx::start(&bucket.origin.bucket_url("media"))?;
    let mut command = bucket.command()?;
    let url = format!("http://{}", nginx.address);
    command.args(["verify", "--files-url", &url]);
    let ran = medialift::run(&mut command)?.expect(3);
    insta::assert_snapshot!(settled(&ran.stdout, &url));
    Ok(())
}

/// What differs from run to run, replaced.
fn settled(text: &str, url: &str) -> String {
    let text = text.replace(url, "http://127.0.0.1:PORT");
    let mut settled = String::new();
    for line in text.lines() {
        match line.split_once(" bytes in ") {
            Some((start, _)) => settled.push_str(&format!("{start} bytes in N ms\n")),
            None => settled.push_str(&format!("{line}\n")),
        }
    }
    settled
}

#[test]
fn all_files_need_a_media_directory() -> Result<()> {
    let bucket = Bucket::empty()?;
    let ran = bucket.verify("http://127.0.0.1:9", &["--samples", "all"])?;
    let ran = ran.expect(2);
    assert!(
        ran.stderr.contains("hint: add `--media-dir DIR`"),
        "{}",
        ran.stderr
    );
    Ok(())
}
