//! `purge`, `completions` and `man` on the real binary.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use anyhow::Result;
use e2e::medialift;

const SECRET: &str = "correct-horse";

/// A files domain with one object, which records the request lines that it gets.
fn files_domain() -> Result<(String, mpsc::Receiver<String>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut secret = false;
            let mut first = String::new();
            for line in BufReader::new(&stream).lines() {
                let Ok(line) = line else { return };
                if line.is_empty() {
                    break;
                }
                secret |= line.eq_ignore_ascii_case(&format!("x-purge-secret: {SECRET}"));
                if first.is_empty() {
                    first = line;
                }
            }
            let status = match (secret, first.contains("/stored")) {
                (false, _) => "403 Forbidden",
                (true, _) if first.contains("/forbidden") => "403 Forbidden",
                (true, _) if first.contains("/broken") => "503 Service Unavailable",
                (true, true) => "200 OK",
                (true, false) => "404 Not Found",
            };
            let _ = sender.send(first);
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
    });
    Ok((url, receiver))
}

fn purge(directory: &std::path::Path, url: &str) -> Result<Command> {
    let mut command = medialift::command(directory)?;
    command
        .args(["purge", "--files-url", url])
        .env("PURGE_SECRET", SECRET);
    Ok(command)
}

#[test]
fn each_key_is_purged_once() -> Result<()> {
    let (url, requests) = files_domain()?;
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("keys"), "absent é.png\n\nstored/2\n")?;
    let mut command = purge(dir.path(), &url)?;
    let ran =
        medialift::run(command.args(["stored/1", &format!("{url}/stored/3"), "--from", "keys"]))?
            .expect(0);
    assert_eq!(ran.stdout, "3 dropped, 1 was not in the cache\n");
    let mut seen: Vec<String> = requests.try_iter().collect();
    seen.sort();
    assert_eq!(
        seen,
        [
            "PURGE /absent%20%C3%A9.png HTTP/1.1",
            "PURGE /stored/1 HTTP/1.1",
            "PURGE /stored/2 HTTP/1.1",
            "PURGE /stored/3 HTTP/1.1",
        ]
    );
    Ok(())
}

#[test]
fn the_list_may_come_by_standard_input_and_the_method_be_post() -> Result<()> {
    let (url, requests) = files_domain()?;
    let dir = tempfile::tempdir()?;
    let mut command = purge(dir.path(), &url)?;
    let mut child = command
        .args(["--from", "-", "--purge-method", "post", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(b"stored/1\r\n")?;
    let output = child.wait_with_output()?;
    let json: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(json["dropped"], 1);
    assert_eq!(requests.recv()?, "POST /stored/1 HTTP/1.1");
    Ok(())
}

#[test]
fn a_wrong_secret_is_an_error_and_never_shown() -> Result<()> {
    let (url, _requests) = files_domain()?;
    let dir = tempfile::tempdir()?;
    let mut command = purge(dir.path(), &url)?;
    let ran =
        medialift::run(command.arg("stored/1").env("PURGE_SECRET", "wrong-secret"))?.expect(1);
    assert!(ran.stderr.contains("refuses the secret"), "{}", ran.stderr);
    let shown = format!("{}{}", ran.stdout, ran.stderr);
    assert!(!shown.contains("wrong-secret"), "{shown}");
    Ok(())
}

/// A files domain may begin to refuse in the middle, as when the secret is changed meanwhile.
#[test]
fn what_was_dropped_before_a_refusal_is_reported() -> Result<()> {
    let (url, requests) = files_domain()?;
    let dir = tempfile::tempdir()?;
    let keys: Vec<String> = (0..20)
        .map(|number| match number {
            0..5 => format!("stored/{number}"),
            _ => format!("forbidden/{number}"),
        })
        .collect();
    let ran = medialift::run(purge(dir.path(), &url)?.arg("--json").args(&keys))?.expect(1);
    assert!(ran.stderr.contains("refuses the secret"), "{}", ran.stderr);
    let report = ran.json()?;
    assert_eq!(report["dropped"], 5);
    let untried = report["untried"].as_u64().expect("a number");
    assert_eq!(requests.try_iter().count() as u64, 20 - untried);
    assert!((1..15).contains(&untried), "{untried}");
    Ok(())
}

#[test]
fn what_fails_is_named_and_the_rest_is_done() -> Result<()> {
    let (url, _requests) = files_domain()?;
    let dir = tempfile::tempdir()?;
    let mut command = purge(dir.path(), &url)?;
    let ran = medialift::run(command.args(["broken", "stored/1"]))?.expect(4);
    assert!(
        ran.stdout
            .contains("1 dropped, 0 were not in the cache, 1 failed:"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("/broken: answered 503"),
        "{}",
        ran.stdout
    );
    Ok(())
}

#[test]
fn the_secret_goes_to_the_files_domain_only_and_never_unencrypted() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut command = purge(dir.path(), "https://files.example.com")?;
    let ran = medialift::run(command.arg("https://elsewhere.example/a"))?.expect(2);
    assert!(
        ran.stderr.contains("is not an address of the files domain"),
        "{}",
        ran.stderr
    );
    let mut command = purge(dir.path(), "http://files.example.com")?;
    medialift::run(command.arg("a"))?.expect(2);
    Ok(())
}

/// A worker with these answers in turn, the last one repeated: status and `Retry-After`.
fn worker(answers: &'static [(u16, &'static str)]) -> Result<(String, mpsc::Receiver<String>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let Ok(mut stream) = stream else { return };
            let mut lines = BufReader::new(&stream).lines();
            let first = lines.next().and_then(Result::ok).unwrap_or_default();
            let mut secret = false;
            for line in lines
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
            {
                secret |= line.eq_ignore_ascii_case(&format!("x-purge-secret: {SECRET}"));
            }
            let (status, after) = match secret {
                true => answers[number.min(answers.len() - 1)],
                false => (403, ""),
            };
            let _ = sender.send(first);
            let _ = write!(
                stream,
                "HTTP/1.1 {status} X\r\nRetry-After: {after}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
    });
    Ok((url, receiver))
}

/// One request, whatever is stored.
const EVERYTHING: &str = "PURGE /.well-known/medialift-cache HTTP/1.1";

#[test]
fn everything_is_dropped_by_one_request() -> Result<()> {
    let (url, requests) = worker(&[(200, "")])?;
    let dir = tempfile::tempdir()?;
    let ran = medialift::run(purge(dir.path(), &url)?.arg("--everything"))?.expect(0);
    assert_eq!(ran.stdout, "the whole cache was dropped\n");
    assert_eq!(requests.try_iter().collect::<Vec<_>>(), [EVERYTHING]);
    let mut command = purge(dir.path(), &url)?;
    command.args(["--everything", "--purge-method", "delete", "--json"]);
    assert_eq!(
        medialift::run(&mut command)?.expect(0).json()?["attempts"],
        1
    );
    assert!(requests.recv()?.starts_with("DELETE /.well-known/"));
    Ok(())
}

#[test]
fn everything_is_tried_again_where_the_platform_refuses_for_now() -> Result<()> {
    let (url, requests) = worker(&[(503, "1"), (503, "0"), (200, "")])?;
    let dir = tempfile::tempdir()?;
    let ran = medialift::run(purge(dir.path(), &url)?.arg("--everything"))?.expect(0);
    assert_eq!(requests.try_iter().count(), 3);
    assert_eq!(
        ran.stderr,
        "the purge is refused temporarily (503): attempt 2 of 5 in 1 s\n\
         the purge is refused temporarily (503): attempt 3 of 5 in 0 s\n"
    );
    let (url, requests) = worker(&[(503, "0")])?;
    let ran = medialift::run(purge(dir.path(), &url)?.arg("--everything"))?.expect(1);
    assert_eq!(requests.try_iter().count(), 5);
    assert!(ran.stderr.contains("refused 5 times"), "{}", ran.stderr);
    Ok(())
}

#[test]
fn purging_everything_reports_what_prevents_it() -> Result<()> {
    let dir = tempfile::tempdir()?;
    for (answer, parts) in [
        (
            501,
            [
                "which expire by themselves",
                "`FRESH_SECONDS` by one second",
            ],
        ),
        (404, ["answered 404", "older than this command"]),
        (403, ["refuses the secret", "PURGE_SECRET_HEADER"]),
    ] {
        let answers: &'static [(u16, &str)] = match answer {
            501 => &[(501, "")],
            404 => &[(404, "")],
            _ => &[(403, "")],
        };
        let (url, requests) = worker(answers)?;
        let ran = medialift::run(purge(dir.path(), &url)?.arg("--everything"))?.expect(1);
        assert_eq!(requests.try_iter().count(), 1);
        for part in parts {
            assert!(ran.stderr.contains(part), "{}", ran.stderr);
        }
    }
    Ok(())
}

#[test]
fn everything_goes_with_no_key_and_may_be_a_dry_run() -> Result<()> {
    let (url, requests) = worker(&[(200, "")])?;
    let dir = tempfile::tempdir()?;
    let mut command = purge(dir.path(), &url)?;
    medialift::run(command.args(["--everything", "a.png"]))?.expect(2);
    let mut command = purge(dir.path(), &url)?;
    medialift::run(command.args(["--everything", "--from", "-"]))?.expect(2);
    let mut command = purge(dir.path(), &url)?;
    let ran = medialift::run(command.args(["--everything", "--dry-run"]))?.expect(0);
    assert_eq!(
        ran.stdout,
        format!("would send `PURGE {url}/.well-known/medialift-cache`\n")
    );
    assert_eq!(requests.try_iter().count(), 0);
    Ok(())
}

#[test]
fn completions_are_printed_for_every_shell() -> Result<()> {
    let dir = tempfile::tempdir()?;
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let mut command = medialift::command(dir.path())?;
        let ran = medialift::run(command.args(["completions", shell]))?.expect(0);
        assert!(ran.stdout.contains("cutover"), "{shell}");
    }
    Ok(())
}

#[test]
fn there_is_a_man_page_for_every_command() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut command = medialift::command(dir.path())?;
    medialift::run(command.args(["man", "."]))?.expect(0);
    for name in [
        "",
        "-plan",
        "-env",
        "-cutover",
        "-rollback",
        "-prune",
        "-purge",
    ] {
        let page = std::fs::read_to_string(dir.path().join(format!("medialift{name}.1")))?;
        assert!(page.contains(".SH"), "{name}");
    }
    Ok(())
}
