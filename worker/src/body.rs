//! Bodies that pass through the worker: streams of the runtime.
//!
//! Their bytes do not enter WebAssembly's memory, except where a part is cut out of them.

use crate::engine::Body;
use crate::policy::range::ByteRange;
use crate::sdk;
use futures_util::stream::{self, Stream, StreamExt};
use worker::web_sys::{AbortController, ReadableStream};
use worker::{ByteStream, FixedLengthStream, Response, ResponseBody, worker_sys};

/// A stream of the runtime. Dropped before [`BodyStream::take`], it is cancelled.
#[derive(Debug)]
pub struct BodyStream {
    stream: Option<ReadableStream>,
    /// Ends the transfer from the origin, for both branches of a `tee`.
    transfer: Option<AbortController>,
}

impl BodyStream {
    /// A stream to which no transfer from the origin belongs.
    pub const fn new(stream: ReadableStream) -> Self {
        Self {
            stream: Some(stream),
            transfer: None,
        }
    }

    /// The body of a response, if it has one.
    pub fn of(response: &Response) -> Option<Self> {
        match response.body() {
            ResponseBody::Stream(stream) => Some(Self::new(stream.clone())),
            ResponseBody::Empty | ResponseBody::Body(_) => None,
        }
    }

    /// The same stream, with the controller that ends its transfer from the origin.
    pub fn with_transfer(mut self, controller: AbortController) -> Self {
        self.transfer = Some(controller);
        self
    }

    /// The controller that ends its transfer from the origin, if it has one.
    pub fn take_transfer(&mut self) -> Option<AbortController> {
        self.transfer.take()
    }

    /// The stream itself, to be read.
    pub fn take(mut self) -> Option<ReadableStream> {
        self.stream.take()
    }
}

impl Drop for BodyStream {
    fn drop(&mut self) {
        if let Some(stream) = &self.stream {
            sdk::cancel(stream);
        }
    }
}

impl Body for BodyStream {
    fn tee(mut self) -> Option<(Self, Self)> {
        let (one, other) = sdk::tee(&self.stream.take()?).ok()?;
        let branch = |stream| Self {
            stream: Some(stream),
            transfer: self.transfer.clone(),
        };
        Some((branch(one), branch(other)))
    }

    fn slice(self, range: ByteRange) -> Self {
        let transfer = self.transfer.clone();
        let stream = self.take().map(|stream| {
            let bytes = sliced(ByteStream::from(stream), range);
            let fixed: worker_sys::FixedLengthStream =
                FixedLengthStream::wrap(bytes, range.len()).into();
            fixed.readable()
        });
        Self { stream, transfer }
    }
}

/// The bytes of `range`. Those after it are not read.
fn sliced(bytes: ByteStream, range: ByteRange) -> impl Stream<Item = worker::Result<Vec<u8>>> {
    let start = (bytes, range.first(), range.len());
    stream::unfold(start, |(mut bytes, mut skip, mut left)| async move {
        while left > 0 {
            let mut chunk = match bytes.next().await? {
                Ok(chunk) => chunk,
                Err(error) => return Some((Err(error), (bytes, 0, 0))),
            };
            let length = chunk.len() as u64;
            if skip >= length {
                skip -= length;
                continue;
            }
            // `skip` is less than the chunk's length, and a `left` that is too large cuts nothing.
            chunk.drain(..usize::try_from(skip).unwrap_or_default());
            chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            left -= chunk.len() as u64;
            return Some((Ok(chunk), (bytes, 0, left)));
        }
        None
    })
}
