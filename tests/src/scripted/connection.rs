//! One connection to the scripted origin: the head of its request is read, the answer written, or its fault
//! carried out.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::answer::{Answer, Fault, Framing};
use super::request::Request;
use super::{Shared, Side};

/// The longest head that is read, in bytes.
const LONGEST_HEAD: usize = 64 * 1024;

/// Answers the one request of a connection. Every connection is closed after its answer: on one
/// that is kept, a fault looks like an idle connection closing, and workerd then asks again on
/// others, as often as it has any, so that no count could be known beforehand.
pub(super) async fn serve(
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
    // The client must have read the answer before the socket is closed.
    stream.shutdown().await?;
    linger(&mut stream).await
}

/// The head of the request, or `None` where the connection ends without one. A body is not read: neither
/// side passes a reader's on, and one that came with the head would get no answer.
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

/// Sends the answer, or carries out its fault.
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

/// Sends the body: whole, or up to the answer's fault.
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
