//! LXD's envelope around every JSON answer, read into a value or an error.

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::Response;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::MAX_REPLY;
use crate::api::tree::FromTree;
use crate::api::types::{self, Operation};
use crate::error::{Ctx, Error, Kind, Result};

/// An answer that is not an error.
pub struct Reply {
    /// The object, or the operation of an asynchronous answer, as JSON text.
    metadata: Option<Box<RawValue>>,
    /// Whether it is an operation.
    background: bool,
    /// `ETag` as sent, or empty.
    pub etag: String,
    /// `Location`, or empty.
    pub location: String,
}

/// What a change led to.
pub enum Started {
    /// It is done; the answer's metadata as JSON text.
    Done(String),
    /// It goes on in the background.
    Operation(Box<Operation>),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Envelope {
    #[serde(rename = "type")]
    kind: String,
    error_code: u16,
    error: String,
    metadata: Option<Box<RawValue>>,
}

impl Reply {
    /// The metadata as JSON text.
    pub fn metadata(&self) -> &str {
        self.metadata.as_ref().map_or("null", |m| m.get())
    }

    /// The metadata as an object; `path` is what was asked for.
    pub fn object<T: FromTree>(&self, path: &str) -> Result<T> {
        types::from_json(self.metadata().as_bytes()).ctx(Kind::Internal, || unread(path))
    }

    /// Tells a finished change from a background operation.
    pub fn started(self) -> Result<Started> {
        if !self.background {
            return Ok(Started::Done(self.metadata().to_string()));
        }
        let operation = types::from_json(self.metadata().as_bytes());
        Ok(Started::Operation(Box::new(operation.ctx(Kind::Internal, || "Failed reading the server's operation")?)))
    }
}

fn unread(path: &str) -> String {
    format!("Failed reading the server's answer to {path:?}")
}

impl Started {
    /// The operation; an error when the server did it at once.
    pub fn operation(self) -> Result<Operation> {
        match self {
            Started::Operation(operation) => Ok(*operation),
            Started::Done(_) => Err(Error::internal("The server answered without an operation")),
        }
    }
}

/// Reads an answer that should be an envelope.
pub(super) async fn read(response: Response<Incoming>, path: &str) -> Result<Reply> {
    let header = |name| response.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or("").to_string();
    let (etag, location, status) = (header("etag"), header("location"), response.status().as_u16());
    let text = collect(response.into_body(), MAX_REPLY, path).await?;
    tracing::debug!(status, "Got response from LXD");
    tracing::debug!("{}", String::from_utf8_lossy(&text));
    let envelope: Envelope = serde_json::from_slice(&text)
        .ctx(kind_of(status), || format!("The server answered {path:?} with status {status} and no JSON"))?;
    if envelope.kind == "error" || status >= 400 {
        let code = if envelope.error_code == 0 { status } else { envelope.error_code };
        return Err(Error::new(kind_of(code), envelope.error));
    }
    Ok(Reply { background: envelope.kind == "async", metadata: envelope.metadata, etag, location })
}

/// Reads an answer that is plain bytes; one that failed has an envelope all the same.
pub(super) async fn text(response: Response<Incoming>, path: &str) -> Result<Bytes> {
    if response.status().is_success() {
        return collect(response.into_body(), MAX_REPLY, path).await;
    }
    read(response, path).await?;
    Err(Error::internal(format!("The server answered {path:?} neither with text nor with an error")))
}

/// Reads a body of at most `limit` bytes.
pub(super) async fn collect(body: Incoming, limit: usize, path: &str) -> Result<Bytes> {
    let body = Limited::new(body, limit).collect().await;
    let body = body.map_err(|e| Error::internal(format!("Failed reading the server's answer to {path:?}: {e}")))?;
    Ok(body.to_bytes())
}

/// The kind of an HTTP status.
pub(super) fn kind_of(status: u16) -> Kind {
    match status {
        404 => Kind::NotFound,
        400 | 413 => Kind::Invalid,
        401 | 403 => Kind::Forbidden,
        409 => Kind::Exists,
        412 => Kind::Precondition,
        501 => Kind::Unsupported,
        503 => Kind::Unavailable,
        _ => Kind::Internal,
    }
}
