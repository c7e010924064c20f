//! One client for one bucket: signs, sends, retries.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use super::body::Body;
use super::error::{ErrorKind, S3Error, S3Result};
use super::retry::{Retry, jittered_pause};
use super::sign::{Signer, encode_key, encode_query};
use super::stall::{STALL_TIMEOUT, StallTimer};
use super::traffic::Traffic;
use super::xml;
use crate::config::{Credentials, Target};
use crate::transport::Transport;

/// The largest response that is read into memory: a page of 1,000 keys of 1,024 bytes, encoded.
const LONGEST_RESPONSE: usize = 8 * 1024 * 1024;

/// Attempts while no request has reached the endpoint yet: a mistyped name is reported within seconds.
const FIRST_CONTACT_ATTEMPTS: u32 = 3;

/// The longest pause between two attempts to connect during an outage.
const OUTAGE_PAUSE: Duration = Duration::from_secs(5);

/// A client of one bucket. Cheap to clone; clones share connections, counters and rate limits.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: Target,
    base: String,
    signer: Signer,
    transport: Transport,
    retry: Retry,
    traffic: Arc<Traffic>,
    /// Some request has been answered.
    reached: AtomicBool,
}

/// One request before it is signed.
#[derive(Clone, Debug)]
pub(super) struct UnsignedRequest<'a> {
    pub(super) method: Method,
    /// The object's key; `None` is the bucket.
    pub(super) key: Option<&'a str>,
    /// Query in the order of its names.
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
}

impl<'a> UnsignedRequest<'a> {
    pub(super) fn new(method: Method, key: Option<&'a str>) -> Self {
        UnsignedRequest {
            method,
            key,
            query: &[],
            headers: HeaderMap::new(),
            body: Body::Empty,
        }
    }
}

impl Client {
    /// A client of `target`'s bucket. Fails where TLS cannot be set up.
    pub fn new(target: Target, credentials: &Credentials) -> S3Result<Self> {
        Client::with_retry(target, credentials, Retry::default())
    }

    /// As [`Client::new`], with other bounds of retries.
    pub fn with_retry(target: Target, credentials: &Credentials, retry: Retry) -> S3Result<Self> {
        let base = format!("{}/{}", target.endpoint, target.bucket);
        let transport = Transport::new().map_err(|failure| S3Error {
            method: Method::GET,
            uri: base.clone(),
            attempts: 0,
            elapsed: Duration::ZERO,
            kind: Box::new(failure.into()),
        })?;
        Ok(Client {
            shared: Arc::new(Shared {
                signer: Signer::new(credentials, &target.region),
                target,
                base,
                transport,
                retry,
                traffic: Arc::new(Traffic::new()),
                reached: AtomicBool::new(false),
            }),
        })
    }

    /// The bucket.
    pub fn target(&self) -> &Target {
        &self.shared.target
    }

    /// Counters and rate limits, shared by all clones.
    pub fn traffic(&self) -> &Traffic {
        &self.shared.traffic
    }

    /// Sends a request and reads its whole response with `read`; retries what may succeed on a retry.
    pub(super) async fn execute<T>(
        &self,
        request: UnsignedRequest<'_>,
        read: impl Fn(WholeResponse) -> Result<T, ErrorKind>,
    ) -> S3Result<T> {
        self.execute_streaming(request, |response| async {
            let headers = response.headers().clone();
            let status = response.status();
            let body = read_body(response).await?;
            read(WholeResponse {
                status,
                headers,
                body,
            })
        })
        .await
    }

    /// As [`Client::execute`], for a response whose body is not read yet.
    pub(super) async fn execute_streaming<T, F: Future<Output = Result<T, ErrorKind>>>(
        &self,
        request: UnsignedRequest<'_>,
        read: impl Fn(Response<Incoming>) -> F,
    ) -> S3Result<T> {
        let shared = &*self.shared;
        let uri = self.uri(&request);
        let begin = Instant::now();
        let mut pauses = shared.retry.pauses();
        let mut attempts = 0;
        // In pauses and failed attempts, without those of an outage.
        let mut spent = Duration::ZERO;
        loop {
            attempts += 1;
            self.wait_for_rate_limits(&request).await;
            let sent = Instant::now();
            let outcome = match self.send_once(&request, &uri, attempts > 1).await {
                Ok(response) => read(response).await,
                Err(kind) => Err(kind),
            };
            let kind = match outcome {
                Ok(value) => return Ok(value),
                Err(kind) => kind,
            };
            if kind.asks_to_slow_down() {
                shared.traffic.count_slow_down();
            }
            let pause = if let ErrorKind::Connect(cause) = &kind
                && shared.reached.load(Relaxed)
            {
                // An outage of the network has a limit of its own.
                let lasted = shared.traffic.record_outage(cause);
                let limit = shared.retry.outage_timeout;
                let again = limit.is_none_or(|limit| lasted < limit);
                again.then(|| jittered_pause(OUTAGE_PAUSE, None))
            } else {
                // Time in the rate limits' queue, and time in which bytes moved, does not count.
                spent += sent.elapsed().min(STALL_TIMEOUT);
                let never_reached =
                    matches!(kind, ErrorKind::Connect(_)) && attempts >= FIRST_CONTACT_ATTEMPTS;
                let next = pauses
                    .next()
                    .map(|longest| jittered_pause(longest, kind.retry_after()));
                let again =
                    kind.may_be_retried() && !never_reached && spent < shared.retry.time_limit;
                spent += next.unwrap_or_default();
                next.filter(|_| again)
            };
            let Some(pause) = pause else {
                return Err(S3Error {
                    method: request.method,
                    uri,
                    attempts,
                    elapsed: begin.elapsed(),
                    kind: Box::new(kind),
                });
            };
            shared.traffic.count_retry();
            tokio::time::sleep(pause).await;
        }
    }

    async fn wait_for_rate_limits(&self, request: &UnsignedRequest<'_>) {
        let traffic = &self.shared.traffic;
        traffic.requests.acquire(1.0).await;
        // A body that is read from a file waits for each of its chunks.
        if request.body.is_in_memory() {
            traffic.bytes.acquire(request.body.length() as f64).await;
        }
    }

    /// Signs and sends a request once, on a connection of its own where `fresh`.
    async fn send_once(
        &self,
        request: &UnsignedRequest<'_>,
        uri: &str,
        fresh: bool,
    ) -> Result<Response<Incoming>, ErrorKind> {
        let shared = &*self.shared;
        let traffic = &shared.traffic;
        let length = request.body.length();
        let mut headers = request.headers.clone();
        if request.method == Method::PUT || request.method == Method::POST {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        shared.signer.sign(
            request.method.as_str(),
            uri,
            &mut headers,
            SystemTime::now(),
        )?;
        let stall_timer = Arc::new(StallTimer::new());
        let mut signed = Request::new(request.body.to_request(traffic, &stall_timer));
        *signed.method_mut() = request.method.clone();
        *signed.uri_mut() = uri
            .parse()
            .map_err(|e| ErrorKind::Request(format!("`{uri}`: {e}")))?;
        *signed.headers_mut() = headers;
        traffic.count_request();
        let response = stall_timer
            .run(shared.transport.send(signed, fresh))
            .await??;
        shared.reached.store(true, Relaxed);
        traffic.clear_outage();
        if response.status().is_success() {
            return Ok(response);
        }
        Err(service_error(response).await)
    }

    fn uri(&self, request: &UnsignedRequest<'_>) -> String {
        let mut uri = self.shared.base.clone();
        if let Some(key) = request.key {
            uri.push('/');
            uri.push_str(&encode_key(key));
        }
        uri.push_str(&encode_query(request.query));
        uri
    }
}

/// A response that was read to its end.
#[derive(Debug)]
pub(super) struct WholeResponse {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Reads the body, after which the connection can be used again.
async fn read_body(response: Response<Incoming>) -> Result<Bytes, ErrorKind> {
    let body = Limited::new(response.into_body(), LONGEST_RESPONSE);
    match tokio::time::timeout(STALL_TIMEOUT, body.collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(e)) => Err(ErrorKind::Broken(e.to_string())),
        Err(_) => Err(ErrorKind::Timeout),
    }
}

/// The error of a response that is not 2xx.
async fn service_error(response: Response<Incoming>) -> ErrorKind {
    let status = response.status();
    let header = |name| {
        response
            .headers()
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let now = SystemTime::now();
    let retry_after = header(RETRY_AFTER).and_then(|text| {
        text.trim()
            .parse()
            .map(Duration::from_secs)
            .ok()
            .or_else(|| {
                httpdate::parse_http_date(text)
                    .ok()?
                    .duration_since(now)
                    .ok()
            })
    });
    let clock_difference = header(DATE)
        .and_then(|text| httpdate::parse_http_date(text).ok())
        .map(|theirs| match theirs.duration_since(now) {
            Ok(ahead) => i64::try_from(ahead.as_secs()).unwrap_or(i64::MAX),
            Err(e) => i64::try_from(e.duration().as_secs()).map_or(i64::MIN, |s| -s),
        });
    // Where the body does not arrive or is not XML, the status is the error.
    let body = read_body(response).await.unwrap_or_default();
    let xml::ErrorBody { code, message } = xml::read(&body).unwrap_or_default();
    ErrorKind::Service {
        status,
        code,
        message,
        retry_after,
        clock_difference,
    }
}
