//! HTTP over the daemon's unix socket, one connection a request (HTTP/1.0: no chunks, the end is the end).
//!
//! The commands of `lxd` make a handful of small requests before any runtime is there; `api::client` is for the rest.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::api::{Api, Reply, server_error};
use crate::error::{Ctx, Error, Kind, Result};

/// The longest answer that is read.
const LONGEST: u64 = 64 << 20;

/// Where the daemon's socket is: `LXD_SOCKET`, else `unix.socket` in `LXD_DIR`, else in `/var/lib/lxd`.
pub fn socket_path(variable: impl Fn(&str) -> Option<String>) -> PathBuf {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    match set("LXD_SOCKET") {
        Some(path) => PathBuf::from(path),
        None => Path::new(&set("LXD_DIR").unwrap_or_else(|| "/var/lib/lxd".to_string())).join("unix.socket"),
    }
}

/// A daemon behind a unix socket.
#[derive(Clone, Debug)]
pub struct SocketApi {
    path: PathBuf,
    /// How long an answer may take; `None` for ever.
    patience: Option<Duration>,
}

impl SocketApi {
    /// The daemon whose socket is at `path`. Nothing is opened yet.
    pub fn new(path: impl Into<PathBuf>) -> SocketApi {
        SocketApi { path: path.into(), patience: None }
    }

    /// The same daemon, with a limit on how long an answer may take.
    pub fn within(&self, patience: Duration) -> SocketApi {
        SocketApi { path: self.path.clone(), patience: Some(patience) }
    }

    /// Opens a connection.
    pub(super) fn connect(&self) -> Result<UnixStream> {
        let path = self.path.display().to_string();
        let stream = UnixStream::connect(&self.path)
            .ctx(Kind::Unavailable, || format!("Failed to connect to local LXD: dial unix {path}"))?;
        stream.set_read_timeout(self.patience).ctx(Kind::Internal, || format!("Failed setting up {path:?}"))?;
        Ok(stream)
    }

    /// Sends one request on an open connection and reads what comes until its end.
    pub(super) fn exchange(&self, stream: &mut UnixStream, request: &Request) -> Result<Answer> {
        let what = || format!("Failed to {} {:?}", request.method, request.path);
        stream.write_all(&request.bytes()).ctx(Kind::Unavailable, what)?;
        let mut bytes = Vec::new();
        stream.take(LONGEST).read_to_end(&mut bytes).ctx(Kind::Unavailable, what)?;
        parse(&bytes).ok_or_else(|| Error::new(Kind::Unavailable, format!("{}: the answer is cut short", what())))
    }

    fn request(&self, request: &Request) -> Result<Answer> {
        self.exchange(&mut self.connect()?, request)
    }
}

impl Api for SocketApi {
    fn call(&self, method: &str, path: &str, body: Option<&Value>, etag: Option<&str>) -> Result<Reply> {
        let body = body.map(Value::to_string);
        let answer = self.request(&Request { method, path, body: body.as_deref(), etag })?;
        let (reply, operation) = answer.reply(method, path)?;
        if operation.is_empty() {
            return Ok(reply);
        }
        let path = format!("{operation}/wait");
        let (reply, _) =
            self.request(&Request { method: "GET", path: &path, body: None, etag: None })?.reply("GET", &path)?;
        match reply.metadata.get("err").and_then(Value::as_str) {
            Some(text) if !text.is_empty() => Err(Error::internal(text)),
            _ => Ok(reply),
        }
    }
}

/// One request.
pub(super) struct Request<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub body: Option<&'a str>,
    pub etag: Option<&'a str>,
}

impl Request<'_> {
    fn bytes(&self) -> Vec<u8> {
        let Request { method, path, .. } = self;
        let mut text =
            format!("{method} {path} HTTP/1.0\r\nHost: unix.socket\r\nUser-Agent: lxd\r\nConnection: close\r\n");
        if let Some(etag) = self.etag {
            text.push_str(&format!("If-Match: {etag}\r\n"));
        }
        let body = self.body.unwrap_or_default();
        if self.body.is_some() {
            text.push_str("Content-Type: application/json\r\n");
        }
        if *method != "GET" {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        text.push_str(body);
        text.into_bytes()
    }
}

/// One answer.
#[derive(Debug)]
pub(super) struct Answer {
    status: u64,
    etag: Option<String>,
    body: Vec<u8>,
}

impl Answer {
    /// The object in the envelope, and the operation's path when there is one; the server's error otherwise.
    pub(super) fn reply(self, method: &str, path: &str) -> Result<(Reply, String)> {
        let Ok(Value::Object(mut envelope)) = serde_json::from_slice(&self.body) else {
            return Err(server_error(self.status, &format!("Failed to {method} {path:?}: status {}", self.status)));
        };
        let text = |name: &str| envelope.get(name).and_then(Value::as_str).unwrap_or_default().to_string();
        if self.status >= 400 || text("type") == "error" {
            let code = envelope.get("error_code").and_then(Value::as_u64).filter(|code| *code != 0);
            return Err(server_error(code.unwrap_or(self.status), &text("error")));
        }
        let operation = if text("type") == "async" { text("operation") } else { String::new() };
        let metadata = envelope.remove("metadata").unwrap_or_default();
        Ok((Reply { metadata, etag: self.etag }, operation))
    }
}

/// Reads a whole HTTP answer; `None` when it is none, or shorter than it says.
fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let mut answer = Answer { status, etag: None, body: bytes[end + 4..].to_vec() };
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        match name.to_ascii_lowercase().as_str() {
            "etag" => answer.etag = Some(value.trim().to_string()),
            "content-length" => {
                let length: usize = value.trim().parse().ok()?;
                if answer.body.len() < length {
                    return None;
                }
                answer.body.truncate(length);
            }
            // Not for a request in HTTP/1.0.
            "transfer-encoding" => return None,
            _ => {}
        }
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_where_the_environment_says() {
        let path = |socket: &str, dir: &str| {
            let (socket, dir) = (socket.to_string(), dir.to_string());
            socket_path(move |name| Some(if name == "LXD_SOCKET" { socket.clone() } else { dir.clone() }))
        };
        assert_eq!(path("/s", "/d"), Path::new("/s"));
        assert_eq!(path("", "/d"), Path::new("/d/unix.socket"));
        assert_eq!(path("", ""), Path::new("/var/lib/lxd/unix.socket"));
    }

    #[test]
    fn answers_are_read_whole_or_not_at_all() {
        let good = b"HTTP/1.1 200 OK\r\nEtag: \"ab\"\r\nContent-Length: 2\r\n\r\n{}";
        let answer = parse(good).unwrap();
        assert_eq!((answer.status, answer.etag.as_deref(), answer.body.as_slice()), (200, Some("\"ab\""), &b"{}"[..]));
        assert!(parse(&good[..good.len() - 1]).is_none());
        assert!(parse(b"HTTP/1.0 200 OK\r\n").is_none());
        assert!(parse(b"SSH-2.0\r\n\r\n").is_none());
        assert!(parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n").is_none());
    }

    #[test]
    fn errors_of_the_server_keep_their_text() {
        let text = br#"{"type":"error","error_code":404,"error":"Network not found","metadata":null}"#;
        let answer = Answer { status: 404, etag: None, body: text.to_vec() };
        let error = answer.reply("GET", "/x").unwrap_err();
        assert_eq!((error.kind(), error.message()), (Kind::NotFound, "Network not found"));
        let answer = Answer { status: 502, etag: None, body: b"<html>".to_vec() };
        assert_eq!(answer.reply("GET", "/x").unwrap_err().message(), "Failed to GET \"/x\": status 502");
    }
}
