//! The scripted origin: an HTTP server that says, key by key and request by request, exactly what
//! a scenario wants said, right or wrong.
//!
//! It listens on two ports, one for nginx and one for the worker, and keeps their counts and their
//! places in the script apart, so that both can be asked the same questions at the same time. It
//! writes its answers to the socket itself: a resetting, lying, half-answering server is what it
//! is for, and no server library offers one. Heads of requests are parsed by `httparse`.

mod answer;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use answer::{Answer, Fault, Framing, pattern};

/// Which of the two proxies a connection comes from, told by the port it came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// Debian's nginx.
    Nginx,
    /// The edge worker.
    Worker,
}

/// The answers of every key, in the order they are given; the last is given for ever. Keys have no
/// leading slash and are not percent-encoded.
pub type Script = BTreeMap<String, Vec<Answer>>;

/// One request as the origin saw it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The request line as it stood on the wire.
    pub line: String,
    /// The key it asks for, decoded; `None` for a request that is not HTTP.
    pub key: Option<String>,
    /// The header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// When it came.
    pub at: Instant,
    /// Whether the answer began with the object's head, or said that it has not changed.
    pub is_good: bool,
    /// Whether that answer came to its end, so that it may take the place of a stored copy.
    pub is_whole: bool,
}

impl Asked {
    /// The value of the first header line of that name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The path under which both proxies see the keys, as a bucket in path style.
pub const BUCKET_PATH: &str = "/media";

/// How much of a head is read before the client is given up.
const LONGEST_HEAD: usize = 64 * 1024;

#[derive(Default)]
struct Ledger {
    given: HashMap<(Side, String), usize>,
    asked: Vec<(Side, Asked)>,
}

struct Shared {
    script: Script,
    ledger: Mutex<Ledger>,
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the request and picks its answer.
    fn answer(&self, side: Side, mut asked: Asked) -> Answer {
        let mut ledger = self.ledger();
        let answer = match &asked.key {
            None => Answer::bad_request(),
            Some(key) => {
                let place = ledger.given.entry((side, key.clone())).or_default();
                let answers = self.script.get(key);
                let answer = answers.and_then(|answers| answers.get(*place).or(answers.last()));
                *place += 1;
                answer.cloned().unwrap_or_else(Answer::no_such_key)
            }
        };
        let is_whole_head = !matches!(
            answer.fault,
            Some(Fault::Reset | Fault::Close | Fault::Hang | Fault::Garbage)
        );
        asked.is_good = answer.status == 200 && is_whole_head;
        asked.is_whole = answer.status == 200 && answer.fault.is_none();
        ledger.asked.push((side, asked));
        answer
    }
}

/// A running scripted origin. Dropping it stops it.
pub struct ScriptedOrigin {
    nginx: SocketAddr,
    worker: SocketAddr,
    shared: Arc<Shared>,
    running: watch::Sender<bool>,
    listeners: Mutex<Vec<JoinHandle<()>>>,
}

impl ScriptedOrigin {
    /// Listens on two free loopback ports.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(script: Script) -> Result<Self> {
        let script = script
            .into_iter()
            .map(|(key, answers)| {
                let prepared = answers
                    .into_iter()
                    .zip(1..)
                    .map(|(answer, place)| answer.prepared(place));
                (key, prepared.collect())
            })
            .collect();
        let shared = Arc::new(Shared {
            script,
            ledger: Mutex::default(),
        });
        let (running, _) = watch::channel(true);
        let (mut addresses, mut listeners) = (Vec::new(), Vec::new());
        for side in [Side::Nginx, Side::Worker] {
            let listener = TcpListener::bind(("127.0.0.1", 0))
                .await
                .context("scripted origin: no free port")?;
            addresses.push(listener.local_addr()?);
            let task = accept(listener, side, Arc::clone(&shared), running.subscribe());
            listeners.push(tokio::spawn(task));
        }
        Ok(Self {
            nginx: addresses[0],
            worker: addresses[1],
            shared,
            running,
            listeners: Mutex::new(listeners),
        })
    }

    /// Where that side finds the bucket, without a slash at the end.
    pub fn url(&self, side: Side) -> String {
        let address = match side {
            Side::Nginx => self.nginx,
            Side::Worker => self.worker,
        };
        format!("http://{address}{BUCKET_PATH}")
    }

    /// Every body that it has to send for these keys.
    pub fn bodies<'a>(&self, keys: impl Iterator<Item = &'a String>) -> Vec<Bytes> {
        keys.filter_map(|key| self.shared.script.get(key))
            .flatten()
            .map(|answer| answer.body.clone())
            .collect()
    }

    /// Closes both ports: from now on connecting is refused. Idle connections are closed with them;
    /// one on which an answer is due is closed after it.
    ///
    /// # Errors
    /// When a listener had failed before.
    pub async fn stop(&self) -> Result<()> {
        self.running.send_replace(false);
        let listeners = std::mem::take(
            &mut *self
                .listeners
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        for listener in listeners {
            listener
                .await
                .context("scripted origin: a listener failed")?;
        }
        Ok(())
    }

    /// The requests of that side whose line contains `part`, in the order they came.
    pub fn asked(&self, side: Side, part: &str) -> Vec<Asked> {
        let ledger = self.shared.ledger();
        let of_side = ledger
            .asked
            .iter()
            .filter(|(of, asked)| *of == side && asked.line.contains(part));
        of_side.map(|(_, asked)| asked.clone()).collect()
    }
}

impl Drop for ScriptedOrigin {
    fn drop(&mut self) {
        self.running.send_replace(false);
    }
}

async fn accept(
    listener: TcpListener,
    side: Side,
    shared: Arc<Shared>,
    mut running: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = running.wait_for(|running| !running) => return,
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors, say: others may be given back soon.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let (shared, running) = (Arc::clone(&shared), running.clone());
        tokio::spawn(async move {
            // A client that goes away ends its own connection and nothing else.
            converse(stream, side, &shared, running).await.ok();
        });
    }
}

/// Answers the one request of a connection. Every connection is closed after its answer: on one
/// that is kept, a fault looks like an idle connection closing, and workerd then asks again on
/// others, as often as it has any, so that no count could be known beforehand.
async fn converse(
    mut stream: TcpStream,
    side: Side,
    shared: &Shared,
    mut running: watch::Receiver<bool>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let head = tokio::select! {
        head = read_head(&mut stream) => head?,
        _ = running.wait_for(|running| !running) => return Ok(()),
    };
    let Some(head) = head else { return Ok(()) };
    let request = Request::parse(&head);
    let answer = shared.answer(side, request.asked.clone());
    tokio::time::sleep(answer.delay()).await;
    respond(&mut stream, &answer, &request).await?;
    // Let the other end read what it was sent before the socket goes.
    stream.shutdown().await?;
    linger(&mut stream).await
}

/// The head of the request, or `None` where the connection ends without one. Bodies of requests
/// are never read: no reader sends one.
async fn read_head(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        if read.len() > LONGEST_HEAD || stream.read_buf(&mut read).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(read))
}

/// Waits until the client closes, so that nothing that was sent is lost to a reset.
async fn linger(stream: &mut TcpStream) -> io::Result<()> {
    let mut scrap = [0_u8; 1024];
    while stream.read(&mut scrap).await? > 0 {}
    Ok(())
}

/// Whether a byte may stand in a path or query as it is (RFC 3986, sections 3.3 and 3.4). What may
/// not is refused, as strict servers do: a proxy that decodes a path and sends it on shows.
fn may_stand_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:@/?".contains(&byte)
}

struct Request {
    asked: Asked,
    head_only: bool,
    http_1_1: bool,
}

impl Request {
    fn parse(head: &[u8]) -> Self {
        let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line).into_owned();
        let mut headers = [httparse::EMPTY_HEADER; 128];
        let mut parsed = httparse::Request::new(&mut headers);
        let complete = matches!(parsed.parse(head), Ok(httparse::Status::Complete(_)));
        if !complete || !parsed.path.unwrap_or_default().bytes().all(may_stand_bare) {
            let asked = Asked {
                line,
                key: None,
                headers: Vec::new(),
                at: Instant::now(),
                is_good: false,
                is_whole: false,
            };
            return Self {
                asked,
                head_only: false,
                http_1_1: false,
            };
        }
        let target = parsed.path.unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        let key = percent_decode_str(path).decode_utf8().ok().map(|path| {
            let path = path.strip_prefix(BUCKET_PATH).unwrap_or(&path);
            path.strip_prefix('/').unwrap_or(path).to_owned()
        });
        let headers = parsed.headers.iter();
        let headers: Vec<_> = headers
            .map(|header| {
                (
                    header.name.to_ascii_lowercase(),
                    String::from_utf8_lossy(header.value).into_owned(),
                )
            })
            .collect();
        let asked = Asked {
            line,
            key,
            headers,
            at: Instant::now(),
            is_good: false,
            is_whole: false,
        };
        let http_1_1 = parsed.version == Some(1);
        Self {
            head_only: parsed.method == Some("HEAD"),
            http_1_1,
            asked,
        }
    }

    /// Whether the request's condition lets the answer be 304 (RFC 9110, section 13.2.2).
    fn not_modified(&self, answer: &Answer) -> bool {
        if !answer.conditional || answer.status != 200 {
            return false;
        }
        match (
            self.asked.header("if-none-match"),
            self.asked.header("if-modified-since"),
        ) {
            (Some(tags), _) => {
                let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
                let own = answer.header("ETag").map(|tag| bare(&tag));
                own.is_some_and(|own| tags.split(',').any(|tag| bare(tag) == own))
            }
            (None, Some(since)) => answer.header("Last-Modified").as_deref() == Some(since),
            (None, None) => false,
        }
    }
}

/// Sends the answer, or does what its fault says.
async fn respond(stream: &mut TcpStream, answer: &Answer, request: &Request) -> io::Result<()> {
    match answer.fault {
        Some(Fault::Reset) => {
            stream.set_zero_linger()?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Some(Fault::Close) => return Ok(()),
        Some(Fault::Hang) => return linger(stream).await,
        Some(Fault::Garbage) => {
            let nonsense = b"\x15\x03\x01\x00\x02\x02\x16 this is not HTTP\r\n\r\n";
            return stream.write_all(nonsense).await;
        }
        Some(Fault::Cut | Fault::CutReset | Fault::Stall) | None => {}
    }
    let not_modified = request.not_modified(answer);
    let framing = match answer.framing {
        Framing::Chunked if !request.http_1_1 => Framing::Close,
        framing => framing,
    };
    let mut head = match not_modified {
        true => "HTTP/1.1 304 Not Modified\r\n".to_owned(),
        false => format!("HTTP/1.1 {} {}\r\n", answer.status, answer.reason()),
    };
    for line in answer.header_lines() {
        let _ = write!(head, "{line}\r\n");
    }
    let has_body = answer.may_have_body() && !not_modified;
    if has_body {
        match framing {
            Framing::Length => {
                let _ = write!(head, "Content-Length: {}\r\n", answer.body.len());
            }
            Framing::Chunked => head.push_str("Transfer-Encoding: chunked\r\n"),
            Framing::Close => {}
        }
    }
    head.push_str("Connection: close\r\n\r\n");
    stream.write_all(&octets(&head)).await?;
    if !has_body || request.head_only {
        return Ok(());
    }
    send_body(stream, answer, framing).await?;
    if answer.fault == Some(Fault::Stall) {
        return linger(stream).await;
    }
    if answer.fault == Some(Fault::CutReset) {
        // The bytes must be on their way before the reset overtakes them.
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.set_zero_linger()?;
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    Ok(())
}

/// The bytes of a text of characters up to U+00FF; another becomes `?`.
fn octets(text: &str) -> Vec<u8> {
    text.chars()
        .map(|character| u8::try_from(character).unwrap_or(b'?'))
        .collect()
}

/// The body as far as the answer's fault lets it come.
async fn send_body(stream: &mut TcpStream, answer: &Answer, framing: Framing) -> io::Result<()> {
    let after = answer.after.min(answer.body.len());
    let end = match answer.fault {
        Some(_) => after,
        None => answer.body.len(),
    };
    let (first, rest) = match answer.pause > 0.0 {
        true => answer.body[..end].split_at(after),
        false => (&answer.body[..end], &[][..]),
    };
    send_bytes(stream, first, framing).await?;
    tokio::time::sleep(Duration::from_secs_f64(answer.pause)).await;
    send_bytes(stream, rest, framing).await?;
    if framing == Framing::Chunked && answer.fault.is_none() {
        stream.write_all(b"0\r\n\r\n").await?;
    }
    Ok(())
}

async fn send_bytes(stream: &mut TcpStream, bytes: &[u8], framing: Framing) -> io::Result<()> {
    if framing != Framing::Chunked {
        return stream.write_all(bytes).await;
    }
    for chunk in bytes.chunks(16 * 1024) {
        stream
            .write_all(format!("{:x}\r\n", chunk.len()).as_bytes())
            .await?;
        stream.write_all(chunk).await?;
        stream.write_all(b"\r\n").await?;
    }
    Ok(())
}
