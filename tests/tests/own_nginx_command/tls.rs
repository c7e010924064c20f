//! TLS on both sides: to readers, and to the bucket, whose certificate is checked.

use std::fs;

use anyhow::{Context as _, Result};
use e2e::client::Client;
use e2e::medialift;
use e2e::own_nginx::{self, Site};
use e2e::samples::{SampleBucket, not_passed};
use e2e::tls::TlsFront;

/// The printed configuration as it is for a domain, but for the ports and addresses of the machine on
/// which it runs here.
#[test]
fn over_tls_the_bucket_is_checked_and_http_leads_to_https() -> Result<()> {
    let bucket = SampleBucket::with_samples("")?;
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
        [
            ("health", "skipped"),
            ("purge", "skipped"),
            ("old-addresses", "skipped")
        ]
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
    let bucket = SampleBucket::with_samples("")?;
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
