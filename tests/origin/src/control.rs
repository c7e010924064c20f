//! The control endpoint: sets faults, reports counts, registers objects without bytes. HTTP and JSON.
//!
//! | request | meaning |
//! |---|---|
//! | `GET /faults` | the faults that are set |
//! | `POST /faults` | adds one, or an array of them: see [`Fault`] |
//! | `DELETE /faults` | removes all |
//! | `GET /requests` | [`super::counts::Counts`] since the start or the last reset |
//! | `DELETE /requests` | starts counting anew |
//! | `GET /buckets` | objects and bytes in each bucket |
//! | `POST /objects/BUCKET` | registers objects, one JSON object a line: `key`, `size`, `etag` |
//!
//! Leaves to others: what a fault does ([`super::front`]).

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpListener;

use super::faults::Fault;
use super::front::Front;
use super::records::EntityTag;
use super::store::{self, Store};

/// What the control endpoint works on.
pub struct Control {
    /// Faults and counts.
    pub front: Arc<Front>,
    /// The buckets.
    pub store: Arc<Store>,
}

/// An object to register.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Registered {
    key: Arc<str>,
    size: u64,
    etag: EntityTag,
}

/// Takes connections for as long as the process lives.
///
/// # Errors
/// When the listening socket fails.
pub async fn serve(control: Arc<Control>, listener: TcpListener) -> io::Result<()> {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // As at the front: a client that went away at once does not end the origin.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Err(error),
            Err(_) => {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                continue;
            }
        };
        let control = control.clone();
        tokio::spawn(async move {
            let service = hyper::service::service_fn(|request| {
                let control = control.clone();
                async move { Ok::<_, std::convert::Infallible>(control.answer(request).await) }
            });
            drop(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await,
            );
        });
    }
}

impl Control {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()),
        };
        match (&parts.method, parts.uri.path()) {
            (&Method::GET, "/faults") => reply(&self.front.faults.list()),
            (&Method::POST, "/faults") => match read_faults(&body) {
                Ok(faults) => {
                    self.front.faults.add(faults);
                    reply(&self.front.faults.list())
                }
                Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
            },
            (&Method::DELETE, "/faults") => {
                self.front.faults.clear();
                reply(&self.front.faults.list())
            }
            (&Method::GET, "/requests") => reply(&self.front.counter.snapshot()),
            (&Method::DELETE, "/requests") => {
                self.front.counter.reset();
                reply(&json!({}))
            }
            (&Method::GET, "/buckets") => {
                let totals = store::totals(&self.store).into_iter();
                let bucket = |(name, (objects, bytes))| {
                    (name, json!({ "objects": objects, "bytes": bytes }))
                };
                reply(&totals.map(bucket).collect::<serde_json::Map<_, _>>())
            }
            (&Method::POST, path) if path.starts_with("/objects/") => {
                self.register(path.trim_start_matches("/objects/"), &body)
            }
            _ => refuse(
                StatusCode::NOT_FOUND,
                "there is no such control; see `origin/control.rs`",
            ),
        }
    }

    fn register(&self, bucket: &str, lines: &[u8]) -> Response<Full<Bytes>> {
        let Some(bucket) = self.store.bucket(bucket) else {
            return refuse(StatusCode::NOT_FOUND, "there is no such bucket");
        };
        let objects: Result<Vec<Registered>, _> = serde_json::Deserializer::from_slice(lines)
            .into_iter::<Registered>()
            .collect();
        match objects {
            Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
            Ok(objects) => {
                let objects = objects
                    .into_iter()
                    .map(|object| (object.key, object.size, object.etag));
                match bucket.register(objects) {
                    Ok(count) => reply(&json!({ "registered": count })),
                    Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
                }
            }
        }
    }
}

/// Tries the array first by its first byte, so that a fault's own error message is shown.
fn read_faults(body: &[u8]) -> serde_json::Result<Vec<Fault>> {
    match body.trim_ascii_start().first() {
        Some(b'[') => serde_json::from_slice(body),
        _ => serde_json::from_slice(body).map(|fault| vec![fault]),
    }
}

fn reply(value: &impl Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_vec(value) {
        Ok(text) => json_response(StatusCode::OK, text),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn refuse(status: StatusCode, error: &str) -> Response<Full<Bytes>> {
    json_response(status, json!({ "error": error }).to_string().into_bytes())
}

fn json_response(status: StatusCode, text: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    response
}
