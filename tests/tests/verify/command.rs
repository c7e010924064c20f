//! What the command prints, which settings it refuses, and that no signal leaves probes in the bucket.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::bucket::probes_left;
use anyhow::Result;
use e2e::medialift;
use e2e::samples::SampleBucket;
use serde_json::json;
use testkit::stack::Nginx;

#[test]
fn its_output_is_the_snapshot() -> Result<()> {
    let bucket = SampleBucket::empty()?;
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

#[test]
fn ctrl_c_and_sigterm_remove_the_probes() -> Result<()> {
    for signal in ["-INT", "-TERM"] {
        let bucket = SampleBucket::empty()?;
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
        assert!(probes_left(&bucket)? > 0);
        // The shell's own: not every system has the program.
        Command::new("sh")
            .args(["-c", "kill \"$@\"", "sh", signal, &child.id().to_string()])
            .status()?;
        let output = child.wait_with_output()?;
        assert_eq!(output.status.code(), Some(130), "{output:?}");
        assert_eq!(probes_left(&bucket)?, 0);
    }
    Ok(())
}
