//! The instance over HTTP: `/api/v2/instance`, from which its version and the address of its media
//! can be read. Media themselves are nginx's.
//!
//! `POST /restart` and `POST /recreate` are for the programs that stand in for the host's service
//! manager and for Docker.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::{DOMAIN, Shared};

/// The picture that the instance shows of itself.
const THUMBNAIL: &str = "site_uploads/files/000/000/001/@1x/9d0a1c8b5b6f3d2e.png";
const PATIENCE: Duration = Duration::from_secs(10);

/// A listener on loopback. Dropping it closes it.
#[derive(Debug)]
pub(super) struct Instance {
    /// `http://127.0.0.1:PORT`.
    pub(super) url: String,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Instance {
    pub(super) fn start(shared: Arc<Shared>) -> Result<Instance> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port")?;
        let url = format!("http://{}", listener.local_addr()?);
        let ended = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                // Who hangs up early has no answer to miss.
                let _ = stream.and_then(|stream| answer(&stream, &shared));
            }
        });
        Ok(Instance {
            url,
            ended,
            thread: Some(thread),
        })
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let address = self.url.trim_start_matches("http://");
        if TcpStream::connect(address).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

fn answer(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let (status, body) = if request.starts_with("GET /api/v2/instance ") {
        ("200 OK", description(shared))
    } else if request.starts_with("POST /restart ") {
        done(shared.restart())
    } else if request.starts_with("POST /recreate ") {
        done(shared.recreate())
    } else {
        ("404 Not Found", json!({ "error": "Not Found" }).to_string())
    };
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    stream.shutdown(Shutdown::Write)
}

fn done(result: Result<()>) -> (&'static str, String) {
    match result {
        Ok(()) => ("200 OK", String::new()),
        Err(error) => ("500 Internal Server Error", format!("{error:#}\n")),
    }
}

fn description(shared: &Shared) -> String {
    let state = shared.lock();
    let avatar = state
        .pictures
        .keys()
        .find(|key| key.starts_with("accounts/avatars/"));
    json!({
        "domain": DOMAIN,
        "title": "An instance of the tests",
        "version": "4.4.3",
        "source_url": "https://github.com/mastodon/mastodon",
        "thumbnail": { "url": state.address(THUMBNAIL) },
        "contact": { "email": "", "account": { "avatar": avatar.and_then(|key| state.address(key)) } },
    })
    .to_string()
}
