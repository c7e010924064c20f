//! Requests as bytes on a socket, and their answers.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// A request of one line, one field (which may be empty) and what HTTP wants beside.
pub(crate) fn request(address: SocketAddr, method: &str, target: &[u8], field: &[u8]) -> Vec<u8> {
    let starts = |name: &[u8]| {
        field
            .get(..name.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(name))
    };
    let mut request = [method.as_bytes(), b" ", target, b" HTTP/1.1\r\n"].concat();
    if !starts(b"host:") {
        request.extend(format!("Host: {address}\r\n").bytes());
    }
    if !starts(b"connection:") {
        request.extend(b"Connection: close\r\n");
    }
    if !field.is_empty() {
        request.extend([field, b"\r\n"].concat());
    }
    request.extend(b"\r\n");
    request
}

/// Sends bytes and reads the answer to its end.
pub(crate) fn exchange(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    // The other side may refuse, and close, before it has read everything.
    let _ = stream.write_all(request);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return answer,
            Ok(count) => answer.extend(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("no end of the answer to {:?}", shown(request))
            }
            Err(_) => return answer,
        }
    }
}

/// The status of the last answer, interim ones (`100 Continue`) aside.
pub(crate) fn status_of(answer: &[u8]) -> Option<u16> {
    let text = String::from_utf8_lossy(answer);
    let status = |head: &str| head.strip_prefix("HTTP/1.")?.get(2..5)?.parse::<u16>().ok();
    text.split("\r\n\r\n")
        .map_while(status)
        .find(|status| *status >= 200)
}

/// The start of a request, for messages.
pub(crate) fn shown(request: &[u8]) -> String {
    String::from_utf8_lossy(&request[..request.len().min(300)]).into_owned()
}

/// `text` with `to` in place of every `from`.
pub(crate) fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        replaced.extend(&rest[..at]);
        replaced.extend(to);
        rest = &rest[at + from.len()..];
    }
    replaced.extend(rest);
    replaced
}
