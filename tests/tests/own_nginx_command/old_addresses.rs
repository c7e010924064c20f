//! The block for the instance's own server: where the addresses that media had before lead to.

use std::fs;

use anyhow::{Context as _, Result};
use e2e::client::Client;
use e2e::medialift;
use e2e::own_nginx::{self, Site};
use e2e::samples::{SampleBucket, not_passed};
use testkit::process::scratch_directory;
use testkit::stack::Nginx;

#[test]
fn old_addresses_lead_to_the_files_domain_and_nothing_is_lost_on_the_way() -> Result<()> {
    let bucket = SampleBucket::with_samples("")?;
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
    let configuration = include_str!("../../nginx/instance.conf").replace("PUBLIC", public);
    let instance = Nginx::start_in(folder, &configuration, "http://127.0.0.1:9")?;
    let url = format!("http://{}", instance.address);

    let mut command = bucket.command()?;
    command.args(["verify", "--json", "--files-url", &files_url]);
    command.args(["--site-url", &url]);
    let report = medialift::run(&mut command)?.expect(0).json()?;
    assert!(!not_passed(&report).contains(&("old-addresses", "skipped")));

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
