//! The body of a request, which isn't lost with the request.

use crate::task::spawn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};

/// What is still read of a body that nobody wanted, in bytes.
const REST: usize = 1 << 20;
/// For how long it is.
const TIME: Duration = Duration::from_secs(5);

/// A body.
///
/// To drop the body of an HTTP/2 request before its end cancels the request, answer and all (RFC 9113 section 8.1), and with
/// HTTP/1.1 the connection is closed while the client still writes: it would learn of a broken stream or pipe instead of the
/// answer. (Ansible sends `null` with every GET.) So the rest is read a little longer then.
pub struct Payload {
    /// None only while it is being dropped.
    body: Option<Incoming>,
}

impl Payload {
    /// The body of a request.
    pub fn new(body: Incoming) -> Payload {
        Payload { body: Some(body) }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) else { return };
        spawn(async move {
            // Whatever comes of it, the request is over.
            let _ = tokio::time::timeout(TIME, Limited::new(body, REST).collect()).await;
        });
    }
}
