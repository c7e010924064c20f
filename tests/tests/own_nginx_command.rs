//! `medialift nginx` on the real binary, and what it prints in a real nginx: over TLS on both sides,
//! under `medialift verify`, and the block for the instance's own server.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::client::Client;
use e2e::medialift;
use e2e::own_nginx::{self, Site};
use e2e::tls::TlsFront;
use serde_json::Value;
use testkit::process::scratch_directory;
use testkit::stack::{Nginx, Origin, OriginOptions};

const BUCKET: [&str; 4] = [
    "--bucket",
    "example-social-media",
    "--endpoint",
    "s3.us-west-004.backblazeb2.com",
];
const FILES: [&str; 2] = ["--files-url", "https://files.example.com"];

/// A public bucket with the sample tree in it.
struct Bucket {
    origin: Origin,
    directory: tempfile::TempDir,
}

impl Bucket {
    fn with_samples(prefix: &str) -> Result<Bucket> {
        let bucket = Bucket {
            origin: Origin::start(OriginOptions::default())?,
            directory: tempfile::tempdir()?,
        };
        let media = bucket.directory.path().join("system");
        testkit::sample::create(&media)?;
        let mut command = bucket.command()?;
        command
            .env("KEY_PREFIX", prefix)
            .args(["sync", "--not-mastodon"])
            .arg(&media);
        medialift::run(&mut command)?.expect(0);
        Ok(bucket)
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

    fn put(&self, key: &str, body: &[u8]) -> Result<()> {
        let writer = Client::signing(
            &self.origin.s3_url,
            OriginOptions::KEY_ID,
            OriginOptions::KEY,
        );
        assert_eq!(writer.put("media", key, &[], body)?.status, 200);
        Ok(())
    }
}

/// Every check that did not pass: its name and how it came out.
fn not_passed(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().expect("findings");
    findings
        .iter()
        .filter(|finding| finding["outcome"] != "passed")
        .map(|finding| {
            let text = |name: &str| finding[name].as_str().expect("text").to_owned();
            format!("{} {}", text("check"), text("outcome"))
        })
        .collect()
}

#[test]
fn it_passes_every_check_of_verify() -> Result<()> {
    let bucket = Bucket::with_samples("")?;
    let nginx = own_nginx::start(&bucket.origin.bucket_url("media"), &[])?;
    let url = format!("http://{}", nginx.address);
    let mut command = bucket.command()?;
    command.args(["verify", "--json", "--files-url", &url, "--samples", "30"]);
    let report = medialift::run(&mut command)?.expect(0).json()?;
    assert_eq!(
        not_passed(&report),
        [
            "encryption skipped",
            "health skipped",
            "purge skipped",
            "old-addresses skipped"
        ]
    );
    assert_eq!(report["samples"].as_array().expect("samples").len(), 30);
    Ok(())
}

/// The printed configuration as it is for a domain, but for the ports and addresses of the machine on
/// which it runs here.
#[test]
fn over_tls_the_bucket_is_checked_and_http_leads_to_https() -> Result<()> {
    let bucket = Bucket::with_samples("")?;
    let front = TlsFront::start(&bucket.origin.s3_url)?;
    let origin = front.url.replace("127.0.0.1", "localhost") + "/media";
    let site = Site::new()?;
    let plain = testkit::stack::free_address()?;
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    fs::write(site.folder().join("fullchain.pem"), own.cert.pem())?;
    let key = own.signing_key.serialize_pem();
    fs::write(site.folder().join("privkey.pem"), key)?;
    let trusted = site.folder().join("trusted.pem");
    let both = fs::read_to_string(&front.certificate)? + &own.cert.pem();
    fs::write(&trusted, both)?;

    let text = |path: &std::path::Path| path.to_str().expect("a name in UTF-8").to_owned();
    let folder = text(site.folder());
    let with_ca = |ca: &str| {
        let arguments = ["--certificates", folder.as_str(), "--ca-file", ca];
        let printed = site.print("https://localhost", &origin, &arguments)?;
        let lines = printed.lines().filter(|line| !line.contains("[::]"));
        let here = lines.collect::<Vec<_>>().join("\n");
        anyhow::ensure!(here.contains("listen 80;") && here.contains("listen 443 ssl http2;"));
        anyhow::Ok(
            here.replace("listen 80;", &format!("listen {plain};"))
                .replace("listen 443 ", &format!("listen {} ", site.address)),
        )
    };
    let right = with_ca(&text(&trusted))?;
    let wrong = with_ca(&text(&site.folder().join("fullchain.pem")))?;
    site.test(&wrong)?;
    let url = format!("https://localhost:{}", site.address.port());
    let nginx = site.start(&right)?;

    let mut command = bucket.command()?;
    command
        .env("SSL_CERT_FILE", &trusted)
        .args(["verify", "--json", "--files-url", &url]);
    let report = medialift::run(&mut command)?.expect(0).json()?;
    assert_eq!(
        not_passed(&report),
        ["health skipped", "purge skipped", "old-addresses skipped"]
    );
    let answer = Client::anonymous(&format!("http://{plain}")).send("GET", "/a%20b?c", &[], &[])?;
    assert_eq!(
        (answer.status, answer.header("location")),
        (301, "https://localhost/a%20b?c")
    );
    drop(nginx);
    Ok(())
}

#[test]
fn a_bucket_with_another_certificate_is_not_trusted() -> Result<()> {
    let bucket = Bucket::with_samples("")?;
    let front = TlsFront::start(&bucket.origin.s3_url)?;
    let origin = front.url.replace("127.0.0.1", "localhost") + "/media";
    let stranger = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let site = Site::new()?;
    let ca = site.folder().join("stranger.pem");
    fs::write(&ca, stranger.cert.pem())?;
    bucket.put("a.png", b"calm")?;
    for (ca, status) in [(&ca, 502), (&front.certificate, 200)] {
        let ca = ca.to_str().context("a name in UTF-8")?;
        let nginx = own_nginx::start(&origin, &["--ca-file", ca])?;
        let reader = Client::anonymous(&format!("http://{}", nginx.address));
        assert_eq!(reader.send("GET", "/a.png", &[], &[])?.status, status);
    }
    Ok(())
}

#[test]
fn a_key_prefix_is_put_before_a_path_once_and_hides_no_archive() -> Result<()> {
    let bucket = Bucket::with_samples("mastodon")?;
    bucket.put("mastodon/a b.png", b"calm")?;
    bucket.put("mastodon/backups/a.zip", b"everything")?;
    let nginx = own_nginx::start(
        &bucket.origin.bucket_url("media"),
        &["--key-prefix", "mastodon"],
    )?;
    let reader = Client::anonymous(&format!("http://{}", nginx.address));
    for (path, status, cache) in [
        ("/a%20b.png", 200, "MISS"),
        ("/mastodon/a%20b.png", 200, "HIT"),
        ("/mastodon/mastodon/a%20b.png", 404, ""),
        ("/backups/a.zip", 403, ""),
        ("/mastodon/backups/a.zip", 403, ""),
        ("//mastodon//%62ackups/a.zip", 403, ""),
    ] {
        let answer = reader.send("GET", path, &[], &[])?;
        let seen = (answer.status, answer.header("x-cache-status"));
        assert_eq!(seen, (status, cache), "{path}");
    }
    let longest = "a".repeat(1_024 - "mastodon/".len());
    bucket.put(&format!("mastodon/{longest}"), b"long")?;
    for (path, status) in [
        (format!("/{longest}"), 200),
        (format!("/mastodon/{longest}"), 200),
        (format!("/{longest}a"), 414),
        (format!("/mastodon/{longest}a"), 414),
    ] {
        assert_eq!(reader.send("GET", &path, &[], &[])?.status, status);
    }
    Ok(())
}

#[test]
fn what_is_on_the_disk_only_is_given_from_there() -> Result<()> {
    let bucket = Bucket::with_samples("mastodon")?;
    bucket.put("mastodon/both.png", b"in the bucket")?;
    bucket.put("mastodon/there.png", b"in the bucket")?;
    let disk = bucket.directory.path().join("disk");
    fs::create_dir_all(disk.join("a b/backups"))?;
    fs::create_dir_all(disk.join("backups"))?;
    for name in [
        "both.png",
        "a b/ä+%.png",
        "a b/backups/a.zip",
        "backups/a.zip",
    ] {
        fs::write(disk.join(name), "on the disk")?;
    }
    let folder = disk.to_str().context("a name in UTF-8")?;
    let origin = bucket.origin.bucket_url("media");
    let arguments = ["--key-prefix", "mastodon", "--fallback-dir", folder];
    let nginx = own_nginx::start(&origin, &arguments)?;
    let reader = Client::anonymous(&format!("http://{}", nginx.address));
    for (path, status, text) in [
        ("/both.png", 200, "on the disk"),
        ("/mastodon/both.png?1", 200, "on the disk"),
        ("/a%20b/%C3%A4+%25.png", 200, "on the disk"),
        ("/there.png", 200, "in the bucket"),
        ("/nowhere.png", 404, "404 Not Found\n"),
        ("/a%20b/", 404, "404 Not Found\n"),
        ("/backups/a.zip", 403, "403 Forbidden\n"),
        ("/mastodon/backups/a.zip", 403, "403 Forbidden\n"),
        ("/a%20b/../backups/a.zip", 403, "403 Forbidden\n"),
    ] {
        let answer = reader.send("GET", path, &[], &[])?;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (status, text),
            "{path}"
        );
        if status == 200 {
            assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        }
    }
    Ok(())
}

#[test]
fn the_old_copy_is_shown_once_more_only_where_that_is_wanted() -> Result<()> {
    let bucket = Bucket::with_samples("")?;
    bucket.put("a.png", b"calm")?;
    let origin = bucket.origin.bucket_url("media");
    let fresh = ["--fresh-seconds", "1"];
    let both = [fresh[0], fresh[1], "--background-update"];
    for (arguments, expected) in [(&fresh[..], "REVALIDATED"), (&both[..], "STALE")] {
        let nginx = own_nginx::start(&origin, arguments)?;
        let reader = Client::anonymous(&format!("http://{}", nginx.address));
        let state = || -> Result<String> {
            let answer = reader.send("GET", "/a.png", &[], &[])?;
            assert_eq!(answer.text(), "calm");
            Ok(answer.header("x-cache-status").to_owned())
        };
        assert_eq!(state()?, "MISS");
        // nginx counts whole seconds.
        std::thread::sleep(Duration::from_millis(2_300));
        assert_eq!(state()?, expected);
    }
    Ok(())
}

#[test]
fn old_addresses_lead_to_the_files_domain_and_nothing_is_lost_on_the_way() -> Result<()> {
    let bucket = Bucket::with_samples("")?;
    let media = bucket.directory.path().join("public/system");
    fs::create_dir_all(&media)?;
    fs::write(media.join("here.png"), "on the disk")?;
    let nginx = own_nginx::start(&bucket.origin.bucket_url("media"), &[])?;
    let files_url = format!("http://{}", nginx.address);
    let site = Site::new()?;
    let origin = bucket.origin.bucket_url("media");
    let block = site.print(&files_url, &origin, &["--old-addresses"])?;
    let folder = scratch_directory("instance")?;
    fs::write(folder.path().join("media.conf"), block)?;
    let public = bucket.directory.path().join("public");
    let public = public.to_str().context("a name in UTF-8")?;
    let configuration = include_str!("../nginx/instance.conf").replace("PUBLIC", public);
    let instance = Nginx::start_in(folder, &configuration, "http://127.0.0.1:9")?;
    let url = format!("http://{}", instance.address);

    let mut command = bucket.command()?;
    command.args(["verify", "--json", "--files-url", &files_url]);
    command.args(["--site-url", &url]);
    let report = medialift::run(&mut command)?.expect(0).json()?;
    assert!(!not_passed(&report).contains(&"old-addresses skipped".to_owned()));

    let reader = Client::anonymous(&url);
    let here = reader.send("GET", "/system/here.png", &[], &[])?;
    assert_eq!((here.status, here.text().as_str()), (200, "on the disk"));
    // An upload must not act on the domain that has the session's cookies.
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        (
            "content-security-policy",
            "default-src 'none'; form-action 'none'",
        ),
    ] {
        assert_eq!(here.header(name), value, "{name}");
    }
    for (path, expected) in [
        ("/system/a%20b%2Bc.png?1712", "/a%20b%2Bc.png"),
        ("/system/caf%C3%A9.png", "/caf%C3%A9.png"),
        (
            "/system/accounts/avatars/1/a.png",
            "/accounts/avatars/1/a.png",
        ),
    ] {
        let answer = reader.send("GET", path, &[], &[])?;
        let expected = format!("{files_url}{expected}");
        assert_eq!(
            (answer.status, answer.header("location")),
            (302, expected.as_str())
        );
    }
    Ok(())
}

#[test]
fn a_private_bucket_is_refused_with_what_to_do() -> Result<()> {
    let directory = tempfile::tempdir()?;
    fs::write(
        directory.path().join("medialift.toml"),
        "visibility = \"private\"\n",
    )?;
    let mut command = medialift::command(directory.path())?;
    command.arg("nginx").args(FILES).args(BUCKET);
    let ran = medialift::run(&mut command)?.expect(2);
    assert_eq!(ran.stdout, "");
    for part in ["cannot sign", "make the bucket public", "the worker"] {
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
    // The redirect of old addresses requests nothing of it.
    let ran = medialift::run(command.arg("--old-addresses"))?.expect(0);
    assert!(ran.stdout.contains("return 302 https://files.example.com/"));
    Ok(())
}

#[test]
fn every_fault_of_the_settings_is_named_at_once() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut command = medialift::command(directory.path())?;
    command.args(["nginx", "--files-url", "http://files.example.com"]);
    command.args(["--cache-size", "many", "--fresh-seconds", "0"]);
    let ran = medialift::run(&mut command)?.expect(2);
    for part in [
        "http://files.example.com",
        "no bucket is named",
        "no endpoint is named",
        "`many` is not a cache size",
        "`--fresh-seconds` is 0",
    ] {
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
    Ok(())
}

#[test]
fn a_file_that_is_there_stays_as_it_is() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("files.conf");
    let write = || -> Result<medialift::Ran> {
        let mut command = medialift::command(directory.path())?;
        command.arg("nginx").args(FILES).args(BUCKET);
        command.args(["--output", "files.conf"]);
        medialift::run(&mut command)
    };
    assert_eq!(write()?.expect(0).stdout, "wrote `files.conf`\n");
    let text = fs::read_to_string(&path)?;
    assert!(text.contains("server_name files.example.com;"), "{text}");
    fs::write(&path, "mine")?;
    let ran = write()?.expect(1);
    assert!(ran.stderr.contains("it exists"), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(&path)?, "mine");
    Ok(())
}

#[test]
fn the_settings_file_has_a_table_of_its_own_and_flags_outrank_it() -> Result<()> {
    let directory = tempfile::tempdir()?;
    fs::write(
        directory.path().join("medialift.toml"),
        "bucket = \"media\"\nendpoint = \"s3.us-west-004.backblazeb2.com\"\n\
         files_url = \"https://files.example.com\"\nvisibility = \"public\"\n\
         [nginx]\ncache_dir = \"/srv/cache\"\ncache_size = \"20g\"\nfresh_seconds = 60\ndeny_prefixes = \"none\"\n",
    )?;
    let mut command = medialift::command(directory.path())?;
    command.args(["nginx", "--cache-size", "30g"]);
    let ran = medialift::run(&mut command)?.expect(0);
    assert_eq!(ran.stderr, "");
    for part in [
        "proxy_cache_path /srv/cache ",
        "max_size=30g",
        "proxy_cache_valid 200 60s;",
    ] {
        assert!(ran.stdout.contains(part), "{}", ran.stdout);
    }
    assert!(!ran.stdout.contains("backups/"), "{}", ran.stdout);
    Ok(())
}
