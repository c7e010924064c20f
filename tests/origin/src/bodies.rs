//! Bodies that go wrong on purpose, and request bodies that nobody read.
//!
//! Leaves to others: when that is wanted ([`super::front`]).

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use s3s::{Body, StdError};

/// How long a client may take to send what is thrown away anyway.
const DRAIN_TIME: Duration = Duration::from_secs(10);
/// How much of it is read at most.
const DRAIN_BYTES: u64 = 256 << 20;

/// A request body that hands back what was not read of it.
pub struct Tapped {
    body: Option<Incoming>,
    rest: Rest,
}

/// Where the unread part of a body ends up.
#[derive(Clone, Default)]
pub struct Rest(Arc<Mutex<Option<Incoming>>>);

impl Rest {
    /// The unread part, if the body was given up before its end.
    pub fn take(&self) -> Option<Incoming> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Tapped {
    /// Wraps `body`.
    pub fn new(body: Incoming) -> (Self, Rest) {
        let rest = Rest::default();
        (
            Self {
                body: Some(body),
                rest: rest.clone(),
            },
            rest,
        )
    }
}

impl Drop for Tapped {
    fn drop(&mut self) {
        let unread = self.body.take().filter(|body| !body.is_end_stream());
        *self.rest.0.lock().unwrap_or_else(PoisonError::into_inner) = unread;
    }
}

impl HttpBody for Tapped {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

/// Reads a body to its end and forgets it, within reason.
pub async fn drain(body: Incoming) {
    read_up_to(body, DRAIN_BYTES).await;
}

/// Reads `bytes` of a body, or half of it.
pub async fn read_some(body: Incoming, bytes: Option<u64>) {
    let half = body.size_hint().exact().unwrap_or(0) / 2;
    read_up_to(body, bytes.unwrap_or(half)).await;
}

async fn read_up_to(mut body: Incoming, limit: u64) {
    let reading = async {
        let mut read = 0;
        while read < limit {
            match body.frame().await {
                Some(Ok(frame)) => read += frame.data_ref().map_or(0, |data| data.len() as u64),
                Some(Err(_)) | None => return,
            }
        }
    };
    // Too slow a client is left to its fate: the answer or the reset comes all the same.
    drop(tokio::time::timeout(DRAIN_TIME, reading).await);
}

/// The same body, ending in an error after `limit` bytes: the connection closes in mid-body.
pub fn cut_short(body: Body, limit: u64) -> Body {
    let mut left = limit as usize;
    let kept = body.into_data_stream().scan((), move |(), chunk| {
        let chunk = chunk.ok().filter(|_| left > 0).map(|chunk| {
            let kept = chunk.slice(..chunk.len().min(left));
            left -= kept.len();
            Ok(kept)
        });
        std::future::ready(chunk)
    });
    // hyper drops what it has not yet written when a body fails: let it write first.
    let failure = stream::once(async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        Err::<Bytes, StdError>("cut short on purpose".into())
    });
    let frames = kept.chain(failure).map(|chunk| chunk.map(Frame::data));
    Body::http_body_unsync(StreamBody::new(frames))
}

/// The same body with its first byte changed.
pub fn corrupt(body: Body) -> Body {
    let mut first = true;
    let frames = body.into_data_stream().map(move |chunk| {
        let mut chunk = BytesMut::from(chunk?.as_ref());
        if std::mem::take(&mut first)
            && let Some(byte) = chunk.first_mut()
        {
            *byte ^= 0x20;
        }
        Ok::<_, StdError>(Frame::data(chunk.freeze()))
    });
    Body::http_body_unsync(StreamBody::new(frames))
}
