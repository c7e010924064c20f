//! What `verify` shows of a worker on the platform's cache: a purge that is queued and arrives later,
//! and the worker's report of itself.
//!
//! The platform is not here. A front before the real worker takes what only the platform changes:
//! it answers a purge at once and passes it on after a while, and it has the report.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::medialift::{self, Ran};
use serde_json::Value;
use testkit::stack::{Edge, Origin, OriginOptions};
use testkit::tools::Tools;

const SECRET: &str = "a-secret-of-the-tests";
const PLATFORM: &str =
    r#"{"version":"9.9.9","settings":"valid","faults":[],"cache":"platform","bucket":"reachable"}"#;

/// What the front does by itself.
struct Front {
    /// Where all else goes; without it everything else is answered 500.
    edge: Option<String>,
    /// Status and text of the report.
    health: (u16, &'static str),
    /// After how long a purge is passed on; `None`: never.
    arrives_after: Option<Duration>,
}

impl Front {
    /// Listens for as long as the test runs, and returns the address.
    fn start(self) -> Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}", listener.local_addr()?);
        let front = Arc::new(self);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let front = Arc::clone(&front);
                // A client that goes away is no fault of the test's.
                std::thread::spawn(move || front.answer(stream));
            }
        });
        Ok(url)
    }

    fn answer(&self, mut client: TcpStream) -> Result<()> {
        let mut reader = BufReader::new(client.try_clone()?);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head)? > 0 {}
        let has_secret = head.contains(&format!("x-purge-secret: {SECRET}\r\n"));
        if head.starts_with("GET /.well-known/medialift-health ") {
            assert!(
                has_secret,
                "the bucket is asked for who has the secret only"
            );
            let (status, text) = self.health;
            return reply(&mut client, status, text);
        }
        let Some(edge) = self.edge.clone() else {
            return reply(&mut client, 500, "500 Internal Server Error\n");
        };
        if !(head.starts_with("PURGE ") && has_secret) {
            let mut answer = forward(&edge, &head)?;
            std::io::copy(&mut answer, &mut client)?;
            return Ok(client.shutdown(Shutdown::Both)?);
        }
        reply(&mut client, 200, "")?;
        if let Some(wait) = self.arrives_after {
            std::thread::sleep(wait);
            let mut text = String::new();
            forward(&edge, &head)?.read_to_string(&mut text)?;
        }
        Ok(())
    }
}

/// Sends a request without a body, and returns what it is answered until the connection's end.
fn forward(edge: &str, head: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(edge)?;
    let (first, rest) = head.split_once("\r\n").context("a request line")?;
    stream.write_all(format!("{first}\r\nconnection: close\r\n{rest}").as_bytes())?;
    Ok(stream)
}

fn reply(client: &mut TcpStream, status: u16, text: &str) -> Result<()> {
    let length = text.len();
    let head =
        format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    client.write_all((head + text).as_bytes())?;
    Ok(client.shutdown(Shutdown::Write)?)
}

/// A bucket, and the worker with a cache of its own in front of it.
struct World {
    origin: Origin,
    edge: Edge,
    directory: tempfile::TempDir,
}

impl World {
    fn start() -> Result<World> {
        let origin = Origin::start(OriginOptions::default())?;
        let url = origin.bucket_url("media");
        let settings = [("ORIGIN_URL", url.as_str()), ("PURGE_SECRET", SECRET)];
        let edge = Edge::start(&Tools::load()?, &settings)?;
        Ok(World {
            origin,
            edge,
            directory: tempfile::tempdir()?,
        })
    }

    fn edge(&self) -> String {
        let url = self.edge.url.trim_start_matches("http://");
        url.trim_end_matches('/').to_owned()
    }

    fn verify(&self, files_url: &str, arguments: &[&str]) -> Result<Ran> {
        let mut command = medialift::command(self.directory.path())?;
        command
            .args([
                "verify",
                "--json",
                "--samples",
                "0",
                "--files-url",
                files_url,
            ])
            .args(arguments)
            .env("B2_BUCKET", "media")
            .env("B2_ENDPOINT", &self.origin.s3_url)
            .env("B2_REGION", "us-west-004")
            .env("B2_APPLICATION_KEY_ID", OriginOptions::KEY_ID)
            .env("B2_APPLICATION_KEY", OriginOptions::KEY)
            .env("PURGE_SECRET", SECRET);
        medialift::run(&mut command)
    }
}

/// The finding of that name.
fn finding<'a>(report: &'a Value, check: &str) -> &'a Value {
    let findings = report["findings"].as_array().expect("findings");
    let found = findings.iter().find(|finding| finding["check"] == check);
    found.unwrap_or_else(|| panic!("no `{check}`: {report}"))
}

#[test]
fn a_queued_purge_is_waited_for_and_reported_with_its_time() -> Result<()> {
    let world = World::start()?;
    let front = Front {
        edge: Some(world.edge()),
        health: (200, PLATFORM),
        arrives_after: Some(Duration::from_secs(7)),
    };
    let ran = world.verify(&front.start()?, &[])?.expect(0);
    assert!(
        ran.stderr.contains("waiting for the purge, at most 120 s"),
        "{}",
        ran.stderr
    );
    let report = ran.json()?;
    assert_eq!(report["purge_method"], "PURGE");
    let detail = finding(&report, "purge")["detail"].as_str().expect("text");
    let seconds = detail
        .split_once("after ")
        .and_then(|(_, rest)| rest.split_once(" s: set `CACHE_BUSTER"))
        .with_context(|| detail.to_owned())?;
    assert!(seconds.0.parse::<u64>()? >= 7, "{detail}");
    assert_eq!(
        finding(&report, "health")["detail"],
        "version 9.9.9, Cloudflare's Workers Cache, settings valid, bucket reachable"
    );
    assert_eq!(
        finding(&report, "range")["detail"],
        "206 with the requested 1000 bytes, HIT"
    );
    assert_eq!(
        finding(&report, "conditional")["detail"],
        "304 for an unchanged copy, HIT"
    );
    Ok(())
}

#[test]
fn a_purge_that_never_arrives_fails_with_where_to_look() -> Result<()> {
    let world = World::start()?;
    let front = Front {
        edge: Some(world.edge()),
        health: (200, PLATFORM),
        arrives_after: None,
    };
    // POST and DELETE go to the worker itself, which drops the object at once.
    let report = world
        .verify(&front.start()?, &["--purge-wait", "3"])?
        .expect(0)
        .json()?;
    assert_eq!(report["purge_method"], "POST");

    // A domain that takes every method, and drops nothing.
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    let edge = world.edge();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let edge = edge.clone();
            std::thread::spawn(move || -> Result<()> {
                let mut reader = BufReader::new(client.try_clone()?);
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head)? > 0 {}
                if head.contains(SECRET) && !head.starts_with("GET ") {
                    return reply(&mut client, 200, "");
                }
                std::io::copy(&mut forward(&edge, &head)?, &mut client)?;
                Ok(client.shutdown(Shutdown::Both)?)
            });
        }
    });
    let report = world
        .verify(&url, &["--purge-wait", "1"])?
        .expect(3)
        .json()?;
    let purge = finding(&report, "purge");
    let detail = purge["detail"].as_str().expect("text");
    assert_eq!(
        detail.matches("the object is still HIT").count(),
        3,
        "{detail}"
    );
    assert!(
        purge["hint"]
            .as_str()
            .expect("text")
            .contains("purge_failed"),
        "{purge}"
    );
    Ok(())
}

#[test]
fn faulty_settings_are_named_though_nothing_else_answers() -> Result<()> {
    let world = World::start()?;
    let front = Front {
        edge: None,
        health: (
            503,
            r#"{"version":"9.9.9","settings":"faulty","faults":["B2_BUCKET","FRESH_SECONDS"],"cache":"engine","bucket":"unknown"}"#,
        ),
        arrives_after: None,
    };
    let report = world.verify(&front.start()?, &[])?.expect(3).json()?;
    assert_eq!(finding(&report, "first-read")["outcome"], "failed");
    let health = finding(&report, "health");
    assert_eq!(health["outcome"], "failed");
    let detail = health["detail"].as_str().expect("text");
    assert!(
        detail.ends_with("faulty settings: `B2_BUCKET`, `FRESH_SECONDS`"),
        "{detail}"
    );
    Ok(())
}
