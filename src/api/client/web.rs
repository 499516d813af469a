//! Servers of the web: files by `http://` and `https://`, from whoever has them.
//!
//! Each request has a connection of its own. Everything that comes is a stranger's: heads of answers are bounded, each
//! step has a time, redirections are few and never lead from https to http. How long a body may be is its reader's
//! affair.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_LENGTH, HOST, LOCATION, PROXY_AUTHORIZATION, USER_AGENT};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Proxies;
use super::connect::Wire;
use crate::api::tls::{self, Certificate, Pinned, Seen};
use crate::error::{Ctx, Error, Kind, Result};
use crate::task::spawn;

/// How long a server may take for the handshake of TLS.
const HANDSHAKE: Duration = Duration::from_secs(15);
/// How long it may take for the head of its answer.
const HEAD_TIME: Duration = Duration::from_secs(60);
/// How long no byte of a body may come.
const STALL: Duration = Duration::from_secs(60);
/// The longest head of an answer, in bytes.
const HEAD: usize = 64 << 10;
/// Redirections that are followed.
const REDIRECTIONS: usize = 5;

/// What asks.
pub struct Web {
    agent: String,
    pin: Option<Certificate>,
    proxies: Proxies,
}

/// What a server has answered.
#[derive(Debug)]
pub struct Answer {
    /// Where it came from, after redirections.
    pub url: Uri,
    /// How it went.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    body: Incoming,
}

impl Web {
    /// Calls itself `agent`. Servers of https are known by the host's authorities, or by this certificate alone.
    pub fn new(agent: impl Into<String>, pin: Option<Certificate>, proxies: Proxies) -> Web {
        Web { agent: agent.into(), pin, proxies }
    }

    /// Asks and follows redirections.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for what is no URL of the web; [`Kind::Unavailable`] when there is no answer.
    pub async fn ask(&self, method: Method, url: &str, headers: &HeaderMap) -> Result<Answer> {
        let mut url = checked(url)?;
        for _ in 0..=REDIRECTIONS {
            let response = self.once(&method, &url, headers).await?;
            let status = response.status();
            let to = response.headers().get(LOCATION).filter(|_| is_redirection(status));
            let Some(to) = to else {
                let (head, body) = response.into_parts();
                return Ok(Answer { url, status, headers: head.headers, body });
            };
            let next = to.to_str().ok().and_then(|to| joined(&url, to));
            let next = next.ok_or_else(|| Error::invalid(format!("The server at \"{url}\" redirects to no URL")))?;
            if url.scheme_str() == Some("https") && next.scheme_str() != Some("https") {
                return Err(Error::invalid(format!("The server at \"{url}\" redirects from https to \"{next}\"")));
            }
            url = next;
        }
        Err(Error::new(Kind::Unavailable, format!("Too many redirections, the last one to \"{url}\"")))
    }

    async fn once(&self, method: &Method, url: &Uri, headers: &HeaderMap) -> Result<Response<Incoming>> {
        let failed = || format!("Failed asking for \"{url}\"");
        let (stream, proxy) = self.connect(url).await?;
        let path = url.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.method_mut() = method.clone();
        // A proxy is told where it goes.
        *request.uri_mut() = if proxy.is_some() { url.clone() } else { path.parse().ctx(Kind::Invalid, failed)? };
        *request.headers_mut() = headers.clone();
        if let Some(Some(authorization)) = proxy {
            let value = authorization.parse().ctx(Kind::Invalid, failed)?;
            request.headers_mut().insert(PROXY_AUTHORIZATION, value);
        }
        for (name, value) in [(HOST, url.authority().map_or("", |a| a.as_str())), (USER_AGENT, &self.agent)] {
            request.headers_mut().insert(name, value.parse().ctx(Kind::Invalid, failed)?);
        }
        let mut builder = http1::Builder::new();
        let (mut sender, connection) =
            builder.max_buf_size(HEAD).handshake(TokioIo::new(stream)).await.ctx(Kind::Unavailable, failed)?;
        // The task ends with the answer's body; what goes wrong in it shows up there.
        spawn(async move { connection.await.ok() });
        let answer = timeout(HEAD_TIME, sender.send_request(request)).await;
        answer.ctx(Kind::Unavailable, failed)?.ctx(Kind::Unavailable, failed)
    }

    /// A connection, and the proxy at its end, if it is one (see [`super::proxy::Reached`]).
    async fn connect(&self, url: &Uri) -> Result<(Wire, Option<Option<String>>)> {
        let failed = || format!("Failed connecting to the server of \"{url}\"");
        let secure = url.scheme_str() == Some("https");
        let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let port = url.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let reached = self.proxies.reach(secure, host, port).await.ctx(Kind::Unavailable, failed)?;
        if !secure {
            return Ok((Box::new(reached.stream), reached.proxy));
        }
        let name = ServerName::try_from(host.to_owned()).ctx(Kind::Invalid, failed)?;
        let connector = TlsConnector::from(Arc::new(self.security().await?));
        let stream = timeout(HANDSHAKE, connector.connect(name, reached.stream)).await;
        Ok((Box::new(stream.ctx(Kind::Unavailable, failed)?.ctx(Kind::Unavailable, failed)?), None))
    }

    /// TLS 1.3 alone, as LXD has it.
    async fn security(&self) -> Result<ClientConfig> {
        let failed = || "Failed preparing TLS";
        let builder = ClientConfig::builder_with_provider(tls::provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .ctx(Kind::Internal, failed)?;
        if let Some(pin) = &self.pin {
            let pinned = Arc::new(Pinned::new(Some(pin.clone()), Seen::default()));
            return Ok(builder.dangerous().with_custom_certificate_verifier(pinned).with_no_client_auth());
        }
        let roots = tokio::task::spawn_blocking(tls::authorities).await.ctx(Kind::Internal, failed)??;
        Ok(builder.with_root_certificates(roots).with_no_client_auth())
    }
}

impl Answer {
    /// A header's text; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// How long the body is, when the server says so.
    pub fn length(&self) -> Option<u64> {
        self.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    /// The next bytes of the body; `None` at its end.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when it ends too early, or nothing has come for a minute.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        loop {
            let failed = || format!("Failed reading \"{}\"", self.url);
            let frame = timeout(STALL, self.body.frame()).await.ctx(Kind::Unavailable, failed)?;
            match frame.transpose().ctx(Kind::Unavailable, failed)?.map(|frame| frame.into_data()) {
                None => return Ok(None),
                Some(Ok(bytes)) => return Ok(Some(bytes)),
                Some(Err(_trailers)) => {}
            }
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when it is longer than `limit` bytes.
    pub async fn all(mut self, limit: usize) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(bytes) = self.chunk().await? {
            if all.len() + bytes.len() > limit {
                return Err(Error::invalid(format!("The answer of \"{}\" is larger than {limit} bytes", self.url)));
            }
            all.extend_from_slice(&bytes);
        }
        Ok(all)
    }
}

fn is_redirection(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// A URL that can be asked for.
fn checked(url: &str) -> Result<Uri> {
    let bad = |why: &str| Error::invalid(format!("Invalid URL {url:?}: {why}"));
    let parsed: Uri = url.parse().map_err(|e| bad(&format!("{e}")))?;
    match parsed.scheme_str() {
        Some("http" | "https") => {}
        other => return Err(bad(&format!("unsupported protocol scheme {:?}", other.unwrap_or_default()))),
    }
    if parsed.authority().is_some_and(|a| a.as_str().contains('@')) {
        return Err(Error::unsupported("A URL with a user's name"));
    }
    if parsed.host().is_none_or(str::is_empty) { Err(bad("it names no server")) } else { Ok(parsed) }
}

/// What a redirection from `base` leads to (RFC 3986 section 5.2, without the dots).
fn joined(base: &Uri, to: &str) -> Option<Uri> {
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    let directory = base.path().rsplit_once('/').map_or("", |(directory, _)| directory);
    let first = to.split(['/', '?', '#']).next().unwrap_or_default();
    let url = match to {
        _ if first.contains(':') => to.to_owned(),
        _ if to.starts_with("//") => format!("{scheme}:{to}"),
        _ if to.starts_with('/') => format!("{scheme}://{authority}{to}"),
        _ => format!("{scheme}://{authority}{directory}/{to}"),
    };
    checked(&url).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_urls_of_the_web_are_taken() {
        for good in ["http://h/x", "https://[::1]:8443/x?y=z", "https://h"] {
            assert!(checked(good).is_ok(), "{good}");
        }
        for bad in ["", "/x", "h", "ftp://h/x", "http://", "http://u:p@h/x", "file:///etc/passwd", "http://h/a b"] {
            assert!(checked(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn redirections_are_relative_to_where_they_come_from() {
        let base: Uri = "https://h:1/a/b?c".parse().unwrap();
        let to = |to: &str| joined(&base, to).map(|uri| uri.to_string());
        assert_eq!(to("x").as_deref(), Some("https://h:1/a/x"));
        assert_eq!(to("/x?y").as_deref(), Some("https://h:1/x?y"));
        assert_eq!(to("//o/x").as_deref(), Some("https://o/x"));
        assert_eq!(to("http://o/").as_deref(), Some("http://o/"));
        assert_eq!(to("/x?y=http://o/").as_deref(), Some("https://h:1/x?y=http://o/"));
        assert_eq!((to("ftp://o/"), to("javascript:x")), (None, None));
    }
}
