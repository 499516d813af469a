//! The body of a request, which isn't lost with the request.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::Version;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};

/// What is still read of a body that nobody wanted, in bytes.
const REST: usize = 1 << 20;
/// For how long it is.
const TIME: Duration = Duration::from_secs(5);

/// A body.
///
/// To drop the body of an HTTP/2 request before its end cancels the request, answer and all (RFC 9113 section 8.1): the
/// client would learn of a broken stream instead of what is wrong. So the rest is read a little longer then.
pub struct Payload {
    /// None only while it is being dropped.
    body: Option<Incoming>,
    /// Whether its end is waited for.
    kept: bool,
}

impl Payload {
    /// The body of a request of this version.
    pub fn new(body: Incoming, version: Version) -> Payload {
        Payload { body: Some(body), kept: version == Version::HTTP_2 }
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
        let Some(body) = self.body.take().filter(|body| self.kept && !body.is_end_stream()) else { return };
        tokio::spawn(async move {
            // Whatever comes of it, the request is over.
            let _ = tokio::time::timeout(TIME, Limited::new(body, REST).collect()).await;
        });
    }
}
