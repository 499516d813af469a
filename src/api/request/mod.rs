//! A request as a handler sees it: who asks, path parameters, query, and the body read within limits.

use std::sync::Arc;

use http_body_util::{BodyExt, Limited};
use hyper::HeaderMap;

use crate::api::tls::Certificate;
use crate::api::tree::FromTree;
use crate::runtime::auth::Caller;
use crate::runtime::daemon::Services;
use crate::{Error, Kind, Result};

pub mod filter;
pub mod json;
mod line;
mod payload;
mod websocket;

pub use crate::runtime::owned;
pub use line::{LARGE, Line};
pub use payload::Payload;
pub use websocket::{MESSAGE, upgrade, upgrade_of, websocket_config};

/// The largest JSON document that is read, in bytes.
pub const JSON_LIMIT: usize = 16 << 20;

/// The same for callers who aren't trusted.
const STRANGERS_LIMIT: usize = 256 << 10;

/// How long a caller who isn't trusted may take to send a body.
const STRANGERS_TIME: std::time::Duration = std::time::Duration::from_secs(10);

/// How long a client whose body is refused may take to send the rest of it.
const DRAIN_TIME: std::time::Duration = std::time::Duration::from_secs(60);

/// A request on its way to its handler.
pub struct Request {
    /// What the handler may call.
    pub services: Arc<Services>,
    /// Who asks.
    pub caller: Caller,
    /// The certificate the caller has shown over TLS, whether it is trusted or not.
    pub shown: Option<Arc<Certificate>>,
    /// The path as it was asked for, without the query.
    pub path: String,
    /// Values of the `{…}` segments of the route, decoded.
    pub params: Vec<String>,
    /// The query.
    pub query: Query,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, to be read once.
    pub body: Payload,
    /// The connection, for an upgrade to a websocket.
    pub upgrade: Option<hyper::upgrade::OnUpgrade>,
    /// The connection, where content can be taken from it and given to it past HTTP.
    pub line: Option<Line>,
}

impl Request {
    /// The `n`-th `{…}` segment of the route.
    pub fn param(&self, n: usize) -> &str {
        self.params.get(n).map_or("", String::as_str)
    }

    /// The project the request names, `default` when it names none. It may not exist: LXD's lists are empty then.
    pub fn project_name(&self) -> String {
        self.query.get("project").filter(|p| !p.is_empty()).unwrap_or("default").to_owned()
    }

    /// The project the request is about, which exists.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is no such project.
    pub fn project(&self) -> Result<String> {
        let name = self.project_name();
        self.services.projects.get(&name)?;
        Ok(name)
    }

    /// Reads the body as a JSON object, at most [`JSON_LIMIT`] bytes.
    pub async fn json<T: FromTree>(&mut self) -> Result<T> {
        json::parse(&self.bytes().await?)
    }

    /// The same of a PATCH: only the members that are named, which would do in a `T`.
    pub async fn patch<T: FromTree>(&mut self) -> Result<serde_json::Value> {
        json::parse_patch::<T>(&self.bytes().await?)
    }

    /// Reads the body, at most [`JSON_LIMIT`] bytes; less, and not for long, of callers who aren't trusted.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when it is longer or the client goes away.
    pub async fn bytes(&mut self) -> Result<bytes::Bytes> {
        if !self.caller.trusted {
            let limited = Limited::new(&mut self.body, STRANGERS_LIMIT).collect();
            let read = tokio::time::timeout(STRANGERS_TIME, limited).await;
            let read = read.map_err(|_| Error::invalid("Failed reading the request body: it comes too slowly"))?;
            let refused = |e| Error::invalid(format!("Failed reading the request body: {e}"));
            return read.map(|all| all.to_bytes()).map_err(refused);
        }
        let limited = Limited::new(&mut self.body, JSON_LIMIT);
        match limited.collect().await {
            Ok(all) => Ok(all.to_bytes()),
            Err(e) if e.is::<http_body_util::LengthLimitError>() => {
                self.drain().await;
                Err(Error::invalid(format!("Request body is larger than {} MiB", JSON_LIMIT >> 20)))
            }
            Err(e) => Err(Error::new(Kind::Invalid, format!("Failed reading the request body: {e}"))),
        }
    }

    /// Reads what is still on its way: clients send all of a body before they look for an answer, and would be told of a
    /// broken pipe instead of what is wrong.
    pub async fn drain(&mut self) {
        drain(async { while let Some(Ok(_)) = self.body.frame().await {} }).await;
    }

    /// How deep the answer goes: `recursion=0|1|2`.
    pub fn recursion(&self) -> u8 {
        match self.query.get("recursion") {
            Some("1") => 1,
            Some("2") => 2,
            _ => 0,
        }
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned())
    }
}

/// Gives reading what is still on its way the time that it may take; a client that takes longer has to do without.
async fn drain(rest: impl Future<Output = ()>) {
    let _ = tokio::time::timeout(DRAIN_TIME, rest).await;
}

/// The decoded query of a URL; of a name given twice the first counts.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads `a=b&c=d`, with `+` and `%XX` decoded.
    pub fn parse(text: &str) -> Query {
        let pairs = text.split('&').filter(|p| !p.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name, true), decode(value, true))
        });
        Query(pairs.collect())
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|pair| pair.0 == name).map(|pair| pair.1.as_str())
    }

    /// Whether a name says yes (`1`, `true`, `yes`, `on`).
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some("1" | "true" | "yes" | "on"))
    }

    /// All pairs, in order.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }
}

/// Decodes `%XX`, and `+` as a space in queries; broken escapes stay as they are.
pub fn decode(text: &str, plus_is_space: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = (bytes[i] == b'%').then(|| text.get(i + 1..i + 3)).flatten();
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                i += 3;
            }
            None => {
                out.push(if plus_is_space && bytes[i] == b'+' { b' ' } else { bytes[i] });
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded() {
        let q = Query::parse("a=b+c&d=%2Fx%zz&e");
        assert_eq!((q.get("a"), q.get("d"), q.get("e")), (Some("b c"), Some("/x%zz"), Some("")));
        assert_eq!(decode("a+b%20c", false), "a+b c");
    }
}
