//! The HTTP front of the origin: counts each request, lets the faults happen to it, hands it to the
//! protocol crate, and gives the answer the headers that B2 gives.
//!
//! Leaves to others: S3 itself ([`super::service`]), which faults are set ([`super::faults`]).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::{Body as _, Incoming};
use hyper_util::rt::TokioIo;
use s3s::dto::{ETagCondition, Range, Timestamp, TimestampFormat};
use s3s::service::S3Service;
use s3s::{Body, S3Error, S3ErrorCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::bodies::{self, Tapped};
use super::conditions::NO_CACHE;
use super::counts::Counter;
use super::faults::{Fault, FaultKind, Faults};
use super::refusals;
use super::target::Target;

/// What every connection shares.
pub struct Front {
    /// The protocol crate with our operations in it.
    pub s3: S3Service,
    /// The faults that are set.
    pub faults: Faults,
    /// The counts.
    pub counter: Counter,
    /// How long every request waits, whatever else happens to it.
    pub latency: Duration,
}

/// What a connection is to the requests that come over it.
struct Connection {
    /// A second handle: hyper has the first.
    socket: OwnedFd,
    encrypted: bool,
}

/// The connection is to be dropped without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection was dropped on purpose")]
struct Dropped;

/// Takes connections for as long as the process lives.
///
/// # Errors
/// When the listening socket itself fails.
pub async fn serve(
    front: Arc<Front>,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
) -> io::Result<()> {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (front, tls) = (front.clone(), tls.clone());
                tokio::spawn(async move { connection(front, stream, tls).await });
            }
            // A client that went away at once, or too many open files: neither ends the origin.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

async fn connection(front: Arc<Front>, stream: TcpStream, tls: Option<TlsAcceptor>) {
    // Without a second handle there is no way to reset the connection once hyper has it.
    let (Ok(()), Ok(socket)) = (
        stream.set_nodelay(true),
        stream.as_fd().try_clone_to_owned(),
    ) else {
        return;
    };
    let connection = Connection {
        socket,
        encrypted: tls.is_some(),
    };
    match tls {
        None => exchange(front, connection, stream).await,
        // A client that does not trust the certificate has gone away.
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                exchange(front, connection, stream).await;
            }
        }
    }
}

async fn exchange(
    front: Arc<Front>,
    connection: Connection,
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
) {
    let connection = Arc::new(connection);
    let service = hyper::service::service_fn(|request| {
        let (front, connection) = (front.clone(), connection.clone());
        async move { front.answer(request, &connection).await }
    });
    // An error here is a connection that broke or was broken on purpose; the client sees it, nobody else must.
    drop(
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await,
    );
}

impl Front {
    async fn answer(
        &self,
        request: Request<Incoming>,
        connection: &Connection,
    ) -> Result<Response<Body>, Dropped> {
        let (mut parts, body) = request.into_parts();
        let target = Target::of(&parts);
        self.counter.received(&target);
        let mut ending = Ending {
            counter: &self.counter,
            target: &target,
            status: None,
            refused: false,
        };

        let verdict = self.faults.judge(parts.method.as_str(), &target);
        let delay = self.latency + verdict.delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let fault = verdict.fault.as_ref();
        if let Some(error) = fault.and_then(|fault| refusal(fault, &target, &parts)) {
            ending.refused = true;
            if !parts.headers.contains_key(header::EXPECT) {
                bodies::drain(body).await;
            }
            return Ok(ending.with(decorate(error_response(error))));
        }
        match fault.map(|fault| fault.kind) {
            Some(FaultKind::Reset) => {
                ending.refused = true;
                let passes = fault.and_then(|fault| fault.after_bytes);
                bodies::read_some(body, passes).await;
                // Closing with this set sends RST; an error only means that it is closed already.
                let _ = rustix::net::sockopt::set_socket_linger(
                    &connection.socket,
                    Some(Duration::ZERO),
                );
                return Err(Dropped);
            }
            Some(FaultKind::Hang) => {
                ending.refused = true;
                std::future::pending::<()>().await;
            }
            Some(FaultKind::Portal) => {
                ending.refused = true;
                bodies::drain(body).await;
                return Ok(ending.with(portal()));
            }
            _ => {}
        }

        drop_unreadable_conditions(&mut parts.headers);
        let expects = parts.headers.contains_key(header::EXPECT);
        if expects && body.is_end_stream() && !connection.encrypted {
            // hyper leaves the interim answer out when the body is empty. The server before B2 sends it,
            // and Amazon's SDK for Python loses its place in the connection without it. Over TLS it cannot be
            // written beside hyper.
            let _ = rustix::io::write(&connection.socket, b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let (tapped, rest) = Tapped::new(body);
        let request = Request::from_parts(parts, Body::http_body_unsync(tapped));
        let response = match self.s3.call(request).await {
            Ok(response) => response,
            Err(_) => error_response(refusals::internal_error()),
        };
        if !response.status().is_success()
            && !expects
            && let Some(unread) = rest.take()
        {
            // A client that is still sending would see a broken pipe in place of the answer.
            bodies::drain(unread).await;
        }
        let response = ending.with(decorate(response));
        Ok(match fault.map(|fault| (fault.kind, fault.after_bytes)) {
            Some((FaultKind::Truncate, after)) => {
                let half = response.body().size_hint().exact().unwrap_or(0) / 2;
                response.map(|body| bodies::cut_short(body, after.unwrap_or(half)))
            }
            Some((FaultKind::Corrupt, _)) => response.map(bodies::corrupt),
            Some((FaultKind::LostAnswer, _)) => portal(),
            _ => response,
        })
    }
}

/// Counts the end of a request also when the client goes away in the middle of it.
struct Ending<'a> {
    counter: &'a Counter,
    target: &'a Target,
    status: Option<StatusCode>,
    refused: bool,
}

impl Ending<'_> {
    fn with(&mut self, response: Response<Body>) -> Response<Body> {
        self.status = Some(response.status());
        response
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.counter.ended(self.target, self.status, self.refused);
    }
}

/// The error that a fault answers with, if it is of that kind.
fn refusal(fault: &Fault, target: &Target, parts: &Parts) -> Option<S3Error> {
    match fault.kind {
        FaultKind::SlowDown => Some(refusals::slow_down(fault.retry_after)),
        FaultKind::TooManyRequests => {
            let mut error = refusals::slow_down(fault.retry_after);
            error.set_code(S3ErrorCode::Custom("TooManyRequests".into()));
            error.set_status_code(StatusCode::TOO_MANY_REQUESTS);
            Some(error)
        }
        FaultKind::InternalError => Some(refusals::internal_error()),
        FaultKind::CapExceeded => Some(refusals::cap_exceeded(target.operation)),
        FaultKind::Revoked => Some(refusals::invalid_key(
            access_key_id(&parts.headers).unwrap_or_default(),
        )),
        FaultKind::SkewedClock => Some(refusals::skewed_clock()),
        FaultKind::Status => {
            let code = fault
                .code
                .clone()
                .unwrap_or_else(|| "InternalError".to_owned());
            let mut error =
                S3Error::with_message(S3ErrorCode::Custom(code.into()), "A fault was asked for");
            let status = fault
                .status
                .and_then(|status| StatusCode::from_u16(status).ok());
            error.set_status_code(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
            Some(error)
        }
        FaultKind::Latency
        | FaultKind::Reset
        | FaultKind::Truncate
        | FaultKind::Corrupt
        | FaultKind::Hang
        | FaultKind::Portal
        | FaultKind::LostAnswer => None,
    }
}

/// A page that no S3 server would send.
fn portal() -> Response<Body> {
    Response::new(Body::from(
        "<html><body>Please log in</body></html>".to_owned(),
    ))
}

fn access_key_id(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once("Credential=")?
        .1
        .split('/')
        .next()
}

fn error_response(error: S3Error) -> Response<Body> {
    error.to_http_response().unwrap_or_else(|_| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

/// A range or condition that cannot be read is ignored (RFC 9110 sections 13.1 and 14.2), several
/// ranges too; the protocol crate would answer 400.
fn drop_unreadable_conditions(headers: &mut HeaderMap) {
    let readable = |name: header::HeaderName, text: &str| match name {
        header::RANGE => Range::parse(text).is_ok(),
        header::IF_NONE_MATCH | header::IF_MATCH => {
            ETagCondition::parse_http_header(text.as_bytes()).is_ok()
        }
        _ => Timestamp::parse(TimestampFormat::HttpDate, text).is_ok(),
    };
    let names = [
        header::RANGE,
        header::IF_NONE_MATCH,
        header::IF_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_UNMODIFIED_SINCE,
    ];
    for name in names {
        let keeps = headers.get(&name).is_none_or(|value| {
            value
                .to_str()
                .is_ok_and(|text| readable(name.clone(), text))
        });
        if !keeps {
            headers.remove(name);
        }
    }
}

/// B2's headers on every answer, as its users report them.
fn decorate(mut response: Response<Body>) -> Response<Body> {
    if response.status() == StatusCode::NOT_MODIFIED {
        *response.body_mut() = Body::empty();
    }
    let headers = response.headers_mut();
    let request_id = format!("{:016x}", fastrand::u64(..));
    let id_2 = format!(
        "a{}",
        BASE64_STANDARD_NO_PAD.encode(fastrand::u128(..).to_le_bytes())
    );
    for (name, value) in [("x-amz-request-id", request_id), ("x-amz-id-2", id_2)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static(NO_CACHE));
    headers.insert(header::SERVER, HeaderValue::from_static("nginx"));
    headers.insert(
        header::STRICT_TRANSPORT_SECURITY,
        HeaderValue::from_static("max-age=63072000"),
    );
    response
}
