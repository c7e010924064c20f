//! One HTTP/1.1 request on the wire, spelled byte by byte as told, and the answer to it.
//!
//! Paths with raw spaces, methods that do not exist and headers that no client library sends are
//! the point of many a scenario, so the request is written to the socket as it stands. Heads are
//! parsed by `httparse`. What the answer means is left to [`super::outcome`].

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use flate2::write::GzDecoder;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// How long one answer may take, last byte included: nginx itself gives up on an origin after 60 s.
const PATIENCE: Duration = Duration::from_secs(90);

/// How much of a body is kept to be shown; all of it is digested.
pub const BODY_KEPT: usize = 96;

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The header lines in their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Body,
}

/// A body, digested as it came.
#[derive(Debug, Clone, Default)]
pub struct Body {
    /// Its length in bytes, chunk framing not counted.
    pub length: u64,
    /// SHA-256 of it.
    pub digest: [u8; 32],
    /// Its first [`BODY_KEPT`] bytes.
    pub beginning: Vec<u8>,
    /// What it says, where it came compressed with gzip: length and SHA-256; `None` where what came
    /// is no gzip.
    pub decoded: Option<(u64, [u8; 32])>,
    /// How it ended.
    pub end: BodyEnd,
}

/// How a body ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BodyEnd {
    /// As its framing promised.
    #[default]
    Whole,
    /// Before its framing allowed.
    CutShort,
    /// The reader went away, as the scenario wanted.
    Left,
}

/// Sends one request on a connection of its own and reads the answer. `leave_after` makes the
/// reader go away after that many bytes of the body.
///
/// # Errors
/// No connection, no whole head of an answer, or no end within [`PATIENCE`].
pub async fn exchange(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[String],
    leave_after: Option<usize>,
) -> Result<Reply> {
    let mut request =
        format!("{method} {target} HTTP/1.1\r\nHost: files.example.com\r\nConnection: close\r\n");
    for line in headers {
        request.push_str(line);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    let talk = async {
        let mut stream = TcpStream::connect(address).await.context("connect")?;
        stream.set_nodelay(true)?;
        stream
            .write_all(request.as_bytes())
            .await
            .context("send the request")?;
        let mut reader = BufReader::with_capacity(64 * 1024, stream);
        let (status, headers) = read_head(&mut reader).await?;
        let body = match may_have_body(method, status) {
            true => read_body(&mut reader, &headers, leave_after).await?,
            false => Body::default(),
        };
        Ok(Reply {
            status,
            headers,
            body,
        })
    };
    tokio::time::timeout(PATIENCE, talk)
        .await
        .context("no end of the answer")?
}

fn may_have_body(method: &str, status: u16) -> bool {
    method != "HEAD" && status >= 200 && status != 204 && status != 304
}

type Head = (u16, Vec<(String, String)>);

async fn read_head(reader: &mut BufReader<TcpStream>) -> Result<Head> {
    let mut head = Vec::new();
    loop {
        let before = head.len();
        if reader
            .read_until(b'\n', &mut head)
            .await
            .context("read the head")?
            == 0
        {
            bail!(
                "the connection ended after {} bytes of the head",
                head.len()
            );
        }
        if head[before..] == *b"\r\n" {
            break;
        }
    }
    let mut headers = [httparse::EMPTY_HEADER; 128];
    let mut parsed = httparse::Response::new(&mut headers);
    parsed.parse(&head).context("parse the head")?;
    let lines = parsed.headers.iter();
    let lines = lines.map(|line| {
        (
            line.name.to_ascii_lowercase(),
            String::from_utf8_lossy(line.value).into_owned(),
        )
    });
    Ok((parsed.code.context("no status")?, lines.collect()))
}

async fn read_body(
    reader: &mut BufReader<TcpStream>,
    headers: &[(String, String)],
    leave_after: Option<usize>,
) -> Result<Body> {
    let value = |name: &str| {
        headers
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    };
    let gzip = value("content-encoding") == Some("gzip");
    let mut sink = Sink {
        decoder: gzip.then(|| GzDecoder::new(Digested::default())),
        hash: Sha256::new(),
        body: Body::default(),
        leave_after,
        broken: false,
    };
    let end = if value("transfer-encoding")
        .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
    {
        read_chunks(reader, &mut sink).await?
    } else if let Some(length) = value("content-length") {
        sink.take(reader, length.parse().context("Content-Length")?)
            .await
    } else {
        // Such a body ends with the connection, so a clean end is all that can be asked of it.
        match sink.take(reader, u64::MAX).await {
            BodyEnd::CutShort if !sink.broken => BodyEnd::Whole,
            end => end,
        }
    };
    sink.body.end = end;
    sink.body.digest = sink.hash.finalize().into();
    sink.body.decoded = sink
        .decoder
        .and_then(|decoder| decoder.finish().ok())
        .map(|text| (text.length, text.hash.finalize().into()));
    Ok(sink.body)
}

async fn read_chunks(reader: &mut BufReader<TcpStream>, sink: &mut Sink) -> Result<BodyEnd> {
    loop {
        let mut line = Vec::new();
        if !matches!(reader.read_until(b'\n', &mut line).await, Ok(read) if read > 0) {
            return Ok(BodyEnd::CutShort);
        }
        let Ok(httparse::Status::Complete((_, size))) = httparse::parse_chunk_size(&line) else {
            // Half a line is what is left of a connection that was cut there.
            return Ok(BodyEnd::CutShort);
        };
        let end = sink.take(reader, size).await;
        if end != BodyEnd::Whole {
            return Ok(end);
        }
        line.clear();
        if !matches!(reader.read_until(b'\n', &mut line).await, Ok(read) if read > 0) {
            return Ok(BodyEnd::CutShort);
        }
        if size == 0 {
            return Ok(BodyEnd::Whole);
        }
    }
}

/// Digests what is written.
#[derive(Default)]
struct Digested {
    hash: Sha256,
    length: u64,
}

impl std::io::Write for Digested {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.hash.update(bytes);
        self.length += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Sink {
    decoder: Option<GzDecoder<Digested>>,
    hash: Sha256,
    body: Body,
    leave_after: Option<usize>,
    broken: bool,
}

impl Sink {
    /// Takes that many bytes, or as many as come.
    async fn take(&mut self, reader: &mut BufReader<TcpStream>, mut wanted: u64) -> BodyEnd {
        let mut buffer = vec![0_u8; 64 * 1024];
        while wanted > 0 {
            let most = usize::try_from(wanted)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let read = match reader.read(&mut buffer[..most]).await {
                Ok(0) => return BodyEnd::CutShort,
                Ok(read) => read,
                Err(_) => {
                    self.broken = true;
                    return BodyEnd::CutShort;
                }
            };
            let bytes = &buffer[..read];
            self.hash.update(bytes);
            if let Some(decoder) = &mut self.decoder
                && decoder.write_all(bytes).is_err()
            {
                self.decoder = None;
            }
            self.body.length += read as u64;
            let room = BODY_KEPT.saturating_sub(self.body.beginning.len());
            self.body
                .beginning
                .extend_from_slice(&bytes[..room.min(read)]);
            wanted -= read as u64;
            if self
                .leave_after
                .is_some_and(|leave| self.body.length >= leave as u64)
            {
                return BodyEnd::Left;
            }
        }
        BodyEnd::Whole
    }
}
