//! One HTTP/1.1 request on the wire, spelled byte by byte, and the answer to it.
//!
//! Paths with raw spaces, methods that do not exist and headers that no client library sends are
//! the point of many a scenario, so the request is written to the socket as it stands. Heads are
//! parsed by `httparse`. What the answer means is left to [`super::outcome`].

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// How long one answer may take, last byte included: nginx itself gives up on an origin after 60 s.
const PATIENCE: Duration = Duration::from_secs(90);

/// How long the connection may stay open after an answer to `Connection: close`.
const CLOSED_WITHIN: Duration = Duration::from_secs(10);

/// A request.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// The method.
    pub method: String,
    /// The target, as it is sent.
    pub target: String,
    /// `Name: value` lines.
    pub headers: Vec<String>,
    /// The body; `Content-Length` is sent with one that is not empty.
    pub body: String,
    /// The reader goes away after so many bytes of the answer's body.
    pub leave_after: Option<usize>,
}

impl Question {
    /// A GET with these headers.
    #[must_use]
    pub fn get(target: &str, headers: &[&str]) -> Self {
        Self {
            method: "GET".to_owned(),
            target: target.to_owned(),
            headers: headers.iter().map(|line| (*line).to_owned()).collect(),
            ..Self::default()
        }
    }
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The header lines in their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, chunk framing taken off.
    pub body: Vec<u8>,
    /// How it ended.
    pub end: BodyEnd,
    /// How many bytes came after it, before the connection's end.
    pub extra: usize,
}

impl Reply {
    /// The value of the first header line of that name (in lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        value(&self.headers, name)
    }
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

/// Sends one request on a connection of its own and reads the answer, to the connection's end: what comes
/// after it, as the body of an answer that may have none, shows.
///
/// # Errors
/// No connection, no whole head of an answer, no end within [`PATIENCE`], or a connection that stays
/// open.
pub async fn exchange(address: SocketAddr, question: &Question) -> Result<Reply> {
    let mut request = format!(
        "{} {} HTTP/1.1\r\nHost: files.example.com\r\nConnection: close\r\n",
        question.method, question.target
    );
    for line in &question.headers {
        request.push_str(line);
        request.push_str("\r\n");
    }
    if !question.body.is_empty() {
        request.push_str(&format!("Content-Length: {}\r\n", question.body.len()));
    }
    request.push_str("\r\n");
    request.push_str(&question.body);
    let talk = async {
        let mut stream = TcpStream::connect(address).await.context("connect")?;
        stream.set_nodelay(true)?;
        stream
            .write_all(request.as_bytes())
            .await
            .context("send the request")?;
        let mut reader = BufReader::with_capacity(64 * 1024, stream);
        let (status, headers) = read_head(&mut reader).await?;
        let (body, end) = match may_have_body(&question.method, status) {
            true => read_body(&mut reader, &headers, question.leave_after).await?,
            false => (Vec::new(), BodyEnd::Whole),
        };
        let extra = match end {
            BodyEnd::Whole => count_rest(&mut reader).await?,
            BodyEnd::CutShort | BodyEnd::Left => 0,
        };
        Ok(Reply {
            status,
            headers,
            body,
            end,
            extra,
        })
    };
    tokio::time::timeout(PATIENCE, talk)
        .await
        .context("no end of the answer")?
}

/// How many bytes come until the connection ends.
async fn count_rest(reader: &mut BufReader<TcpStream>) -> Result<usize> {
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(CLOSED_WITHIN, reader.read_to_end(&mut rest)).await;
    // A reset is an end as well.
    _ = ended.context("the connection stays open after the answer")?;
    Ok(rest.len())
}

fn value<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(found, _)| found == name)
        .map(|(_, value)| value.as_str())
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
) -> Result<(Vec<u8>, BodyEnd)> {
    let mut sink = Sink {
        body: Vec::new(),
        leave_after,
        broken: false,
    };
    let is_chunked = value(headers, "transfer-encoding")
        .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
    let end = if is_chunked {
        read_chunks(reader, &mut sink).await
    } else if let Some(length) = value(headers, "content-length") {
        sink.take(reader, length.parse().context("Content-Length")?)
            .await
    } else {
        // Such a body ends with the connection, so a clean end is all that can be asked of it.
        match sink.take(reader, u64::MAX).await {
            BodyEnd::CutShort if !sink.broken => BodyEnd::Whole,
            end => end,
        }
    };
    Ok((sink.body, end))
}

async fn read_chunks(reader: &mut BufReader<TcpStream>, sink: &mut Sink) -> BodyEnd {
    loop {
        let mut line = Vec::new();
        if !matches!(reader.read_until(b'\n', &mut line).await, Ok(read) if read > 0) {
            return BodyEnd::CutShort;
        }
        let Ok(httparse::Status::Complete((_, size))) = httparse::parse_chunk_size(&line) else {
            // Half a line is what is left of a connection that was cut there.
            return BodyEnd::CutShort;
        };
        let end = sink.take(reader, size).await;
        if end != BodyEnd::Whole {
            return end;
        }
        line.clear();
        if !matches!(reader.read_until(b'\n', &mut line).await, Ok(read) if read > 0) {
            return BodyEnd::CutShort;
        }
        if size == 0 {
            return BodyEnd::Whole;
        }
    }
}

struct Sink {
    body: Vec<u8>,
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
            self.body.extend_from_slice(&buffer[..read]);
            wanted -= read as u64;
            if self
                .leave_after
                .is_some_and(|leave| self.body.len() >= leave)
            {
                return BodyEnd::Left;
            }
        }
        BodyEnd::Whole
    }
}
