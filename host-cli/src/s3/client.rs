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
use super::patience::{Life, PATIENCE};
use super::retry::{Retry, wait};
use super::sign::{Signer, encode_key, encode_query};
use super::traffic::Traffic;
use super::xml;
use crate::config::{Credentials, Target};
use crate::transport::Transport;

/// The largest answer that is read into memory: a page of 1,000 keys of 1,024 bytes, encoded.
const LONGEST_ANSWER: usize = 8 * 1024 * 1024;

/// Attempts while no request has ever reached the endpoint: a mistyped name is told at once.
const FIRST_CONTACT_ATTEMPTS: u32 = 3;

/// The longest pause between two looks whether the network is back.
const AWAY_PAUSE: Duration = Duration::from_secs(5);

/// A client of one bucket. Cheap to clone; clones share connections and pace.
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
    reached: AtomicBool,
}

/// One request before it is signed.
#[derive(Clone, Debug)]
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// The object's key; `None` is the bucket.
    pub(super) key: Option<&'a str>,
    /// Query in the order of its names.
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
}

impl<'a> Call<'a> {
    pub(super) fn new(method: Method, key: Option<&'a str>) -> Self {
        Call {
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

    /// As [`Client::new`], with other patience.
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

    /// Counters and pace, shared by all clones.
    pub fn traffic(&self) -> &Traffic {
        &self.shared.traffic
    }

    /// Whether the bucket is there and the key may use it.
    pub async fn head_bucket(&self) -> S3Result<()> {
        self.call(Call::new(Method::HEAD, None), |_| Ok(())).await
    }

    /// The bucket's region.
    pub async fn location(&self) -> S3Result<String> {
        let call = Call {
            query: &[("location", "")],
            ..Call::new(Method::GET, None)
        };
        self.call(call, |answer| {
            Ok(xml::read::<xml::LocationConstraint>(&answer.body)?.region)
        })
        .await
    }

    /// Sends `call` until `read` is content with the whole answer, or the retries are used up.
    pub(super) async fn call<T>(
        &self,
        call: Call<'_>,
        read: impl Fn(Answer) -> Result<T, ErrorKind>,
    ) -> S3Result<T> {
        self.send(call, |response| async {
            let headers = response.headers().clone();
            let status = response.status();
            let body = drain(response).await?;
            read(Answer {
                status,
                headers,
                body,
            })
        })
        .await
    }

    /// Sends `call` until `read` is content with the answer, whose body is still to come.
    pub(super) async fn send<T, F: Future<Output = Result<T, ErrorKind>>>(
        &self,
        call: Call<'_>,
        read: impl Fn(Response<Incoming>) -> F,
    ) -> S3Result<T> {
        let shared = &*self.shared;
        let uri = self.uri(&call);
        let begin = Instant::now();
        let mut waits = shared.retry.waits();
        let mut attempts = 0;
        let mut given = Duration::ZERO;
        loop {
            attempts += 1;
            self.queue(&call).await;
            let sent = Instant::now();
            let outcome = match self.attempt(&call, &uri, attempts > 1).await {
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
                // The network is away: waited for, and nothing is held against the request.
                let away = shared.traffic.is_away(cause);
                let waits = shared.retry.outage.is_none_or(|longest| away < longest);
                waits.then(|| wait(AWAY_PAUSE, None))
            } else {
                // Neither our own queue nor the time in which bytes moved says anything against
                // trying again.
                given += sent.elapsed().min(PATIENCE);
                let hopeless =
                    matches!(kind, ErrorKind::Connect(_)) && attempts >= FIRST_CONTACT_ATTEMPTS;
                let pause = waits
                    .next()
                    .map(|ceiling| wait(ceiling, kind.retry_after()));
                let again =
                    kind.may_be_retried() && !hopeless && given < shared.retry.give_up_after;
                given += pause.unwrap_or_default();
                pause.filter(|_| again)
            };
            let Some(pause) = pause else {
                return Err(S3Error {
                    method: call.method,
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

    /// Waits until the pace of requests and bytes allows for one more.
    async fn queue(&self, call: &Call<'_>) {
        let traffic = &self.shared.traffic;
        traffic.requests.pass(1.0).await;
        if call.body.is_in_memory() {
            traffic.bytes.pass(call.body.length() as f64).await;
        }
    }

    async fn attempt(
        &self,
        call: &Call<'_>,
        uri: &str,
        fresh: bool,
    ) -> Result<Response<Incoming>, ErrorKind> {
        let shared = &*self.shared;
        let traffic = &shared.traffic;
        let length = call.body.length();
        let mut headers = call.headers.clone();
        if call.method == Method::PUT || call.method == Method::POST {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        shared
            .signer
            .sign(call.method.as_str(), uri, &mut headers, SystemTime::now())?;
        let life = Arc::new(Life::new());
        let mut request = Request::new(call.body.to_request(traffic, &life));
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = uri
            .parse()
            .map_err(|e| ErrorKind::Request(format!("`{uri}`: {e}")))?;
        *request.headers_mut() = headers;
        traffic.count_request();
        let response = life.watch(shared.transport.send(request, fresh)).await??;
        shared.reached.store(true, Relaxed);
        traffic.is_back();
        if response.status().is_success() {
            return Ok(response);
        }
        Err(refusal(response).await)
    }

    fn uri(&self, call: &Call<'_>) -> String {
        let mut uri = self.shared.base.clone();
        if let Some(key) = call.key {
            uri.push('/');
            uri.push_str(&encode_key(key));
        }
        uri.push_str(&encode_query(call.query));
        uri
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Reads the rest of an answer, which also lets the connection be used again.
async fn drain(response: Response<Incoming>) -> Result<Bytes, ErrorKind> {
    let body = Limited::new(response.into_body(), LONGEST_ANSWER);
    match tokio::time::timeout(PATIENCE, body.collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(e)) => Err(ErrorKind::Broken(e.to_string())),
        Err(_) => Err(ErrorKind::Timeout),
    }
}

/// The error that an answer other than 2xx is.
async fn refusal(response: Response<Incoming>) -> ErrorKind {
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
    // An error's body that does not arrive, or is not XML, changes nothing about the status.
    let body = drain(response).await.unwrap_or_default();
    let xml::ErrorBody { code, message } = xml::read(&body).unwrap_or_default();
    ErrorKind::Service {
        status,
        code,
        message,
        retry_after,
        clock_difference,
    }
}
