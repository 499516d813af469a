//! Answers: the envelope, the status of each kind of error, ETag and `Location`.
//!
//! The only place that knows how an [`Error`] becomes an HTTP status.

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION, X_CONTENT_TYPE_OPTIONS};
use hyper::{HeaderMap, StatusCode};
use ring::digest::{SHA256, digest};
use serde::Serialize;

use crate::api::types::Operation;
use crate::{Ctx, Error, Kind, Result};

/// The body of every HTTP answer.
pub type Body = BoxBody<Bytes, std::io::Error>;

/// What a handler answers; [`Reply::into_http`] puts it on the wire.
#[derive(Debug)]
pub enum Reply {
    /// 200 with an object, and its ETag when it can be edited.
    Sync {
        /// The object as JSON.
        metadata: String,
        /// Quoted hash of what `If-Match` protects.
        etag: Option<String>,
    },
    /// 201: a new object at this URL.
    Created(String),
    /// 202: a background operation.
    Async(Box<Operation>),
    /// Bytes without an envelope.
    Raw {
        /// Headers beside the usual ones.
        headers: HeaderMap,
        /// The bytes.
        body: Body,
    },
    /// A status of its own, and bytes without an envelope.
    Partial {
        /// The status.
        status: StatusCode,
        /// Headers beside the usual ones.
        headers: HeaderMap,
        /// The bytes.
        body: Body,
    },
    /// 400 in plain text: a request for a websocket that is no websocket handshake.
    Refused {
        /// Headers beside the usual ones.
        headers: HeaderMap,
        /// The text.
        text: &'static str,
    },
    /// 101: the connection becomes a websocket; the task that serves it runs already.
    Upgrade(HeaderMap),
}

impl Reply {
    /// 200 with an object.
    pub fn sync(metadata: &impl Serialize) -> Result<Reply> {
        Ok(Reply::Sync { metadata: render(metadata)?, etag: None })
    }

    /// 200 with an object that can be edited; `protected` is what `If-Match` covers.
    pub fn with_etag(metadata: &impl Serialize, protected: &impl Serialize) -> Result<Reply> {
        Ok(Reply::Sync { metadata: render(metadata)?, etag: Some(etag(protected)?) })
    }

    /// 200 without an object.
    pub fn empty() -> Reply {
        Reply::Sync { metadata: "{}".into(), etag: None }
    }

    /// 202 with the operation.
    pub fn operation(operation: Operation) -> Reply {
        Reply::Async(Box::new(operation))
    }

    /// 200 with bytes of this content type.
    pub fn bytes(content_type: &'static str, bytes: impl Into<Bytes>) -> Reply {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Reply::Raw { headers, body: full(bytes) }
    }

    /// The HTTP answer.
    pub fn into_http(self) -> hyper::Response<Body> {
        match self {
            Reply::Sync { metadata, etag } => {
                let mut http = json(StatusCode::OK, envelope_sync(&metadata));
                if let Some(value) = etag.and_then(|e| HeaderValue::from_str(&format!("\"{e}\"")).ok()) {
                    http.headers_mut().insert(ETAG, value);
                }
                http
            }
            Reply::Created(url) => located(json(StatusCode::CREATED, envelope_sync("null")), &url),
            Reply::Async(operation) => {
                let url = format!("/1.0/operations/{}", operation.id);
                let metadata = render(&operation).unwrap_or_else(|_| "null".into());
                located(json(StatusCode::ACCEPTED, envelope_async(&url, &metadata)), &url)
            }
            Reply::Raw { headers, body } => {
                let mut http = hyper::Response::new(body);
                *http.headers_mut() = headers;
                http
            }
            Reply::Partial { status, headers, body } => {
                let mut http = hyper::Response::new(body);
                *http.status_mut() = status;
                *http.headers_mut() = headers;
                http
            }
            Reply::Refused { headers, text } => {
                let mut http = hyper::Response::new(full(text));
                *http.status_mut() = StatusCode::BAD_REQUEST;
                *http.headers_mut() = headers;
                http
            }
            Reply::Upgrade(headers) => {
                let mut http = hyper::Response::new(full(Bytes::new()));
                *http.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                *http.headers_mut() = headers;
                http
            }
        }
    }
}

/// The HTTP answer for an error.
pub fn error_to_http(error: &Error) -> hyper::Response<Body> {
    let status = status_of(error.kind());
    let text = serde_json::Value::from(error.message());
    let body = format!(
        "{{\"type\":\"error\",\"status\":\"\",\"status_code\":0,\"operation\":\"\",\"error_code\":{},\"error\":{text},\"metadata\":null}}\n",
        status.as_u16()
    );
    let mut http = json(status, body);
    http.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    http
}

/// The status LXD 5.0.2 uses for each kind of error.
pub fn status_of(kind: Kind) -> StatusCode {
    match kind {
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Exists | Kind::Conflict => StatusCode::CONFLICT,
        Kind::Invalid | Kind::Busy => StatusCode::BAD_REQUEST,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::Precondition => StatusCode::PRECONDITION_FAILED,
        Kind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// SHA-256 in hex of the JSON of what an `If-Match` protects.
pub fn etag(protected: &impl Serialize) -> Result<String> {
    let hash = digest(&SHA256, render(protected)?.as_bytes());
    Ok(hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Refuses with [`Kind::Precondition`] when the request's `If-Match` names another state than `protected`.
pub fn check_etag(headers: &HeaderMap, protected: &impl Serialize) -> Result<()> {
    let Some(wanted) = headers.get(hyper::header::IF_MATCH) else { return Ok(()) };
    let wanted = String::from_utf8_lossy(wanted.as_bytes()).trim_matches('"').to_owned();
    let current = etag(protected)?;
    if wanted.is_empty() || wanted == current {
        return Ok(());
    }
    Err(Error::new(Kind::Precondition, format!("ETag doesn't match: {current} vs {wanted}")))
}

/// A body that is all there.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

/// A header value made of arbitrary text; characters a header can't carry are dropped.
pub fn header_value(text: &str) -> HeaderValue {
    let clean: Vec<u8> = text.bytes().filter(|byte| *byte >= b' ' && *byte != 0x7f).collect();
    HeaderValue::from_bytes(&clean).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// A header name known at compile time.
pub fn header_name(name: &'static str) -> HeaderName {
    HeaderName::from_static(name)
}

fn render(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).ctx(Kind::Internal, || "Failed rendering JSON")
}

fn json(status: StatusCode, body: String) -> hyper::Response<Body> {
    let mut http = hyper::Response::new(full(body));
    *http.status_mut() = status;
    http.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    http
}

fn located(mut http: hyper::Response<Body>, url: &str) -> hyper::Response<Body> {
    http.headers_mut().insert(LOCATION, header_value(url));
    http
}

fn envelope_sync(metadata: &str) -> String {
    format!(
        "{{\"type\":\"sync\",\"status\":\"Success\",\"status_code\":200,\"operation\":\"\",\"error_code\":0,\"error\":\"\",\"metadata\":{metadata}}}\n"
    )
}

fn envelope_async(url: &str, metadata: &str) -> String {
    format!(
        "{{\"type\":\"async\",\"status\":\"Operation created\",\"status_code\":100,\"operation\":\"{url}\",\"error_code\":0,\"error\":\"\",\"metadata\":{metadata}}}\n"
    )
}
