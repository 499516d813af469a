//! An LXD server as its callers see it: HTTP/1.1 over the unix socket or TLS, operations, websockets, uploads.
//!
//! Used by `cli`, by `lxd init` and later by members of a cluster. It prints nothing and knows no terminal. One
//! [`Client`] keeps one connection alive and asks one thing at a time over it; websockets and long downloads get
//! connections of their own. Everything is async and may be used on a current-thread runtime.

use std::path::PathBuf;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hyper::Method;
use hyper::client::conn::http1::SendRequest;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::api::tls::{Certificate, Made};
use crate::api::tree::FromTree;
use crate::api::types::{Operation, Server};
use crate::error::{Ctx, Error, Kind, Result};

mod body;
mod connect;
mod download;
mod envelope;
mod exec;
mod image;
mod operation;
mod path;
mod proxy;
mod sftp;
mod socket;
#[cfg(test)]
mod tests;
mod tls;
mod transfer;
mod web;

use body::small;
pub use body::{Body, Piece, Progress};
pub use download::ExportTarget;
pub use envelope::{Reply, Started};
pub use exec::{Console, Control, Exec, Stream};
pub use image::ImageUpload;
pub use operation::Events;
pub use path::{Query, escape, path, with_query};
pub use proxy::Proxies;
pub use socket::{Socket, SocketReader, SocketWriter};
pub use tls::certificate_of;
pub use transfer::{Download, FileContent, InstanceFile, Upload, file_address};
pub use web::{Answer, Web};

/// The largest JSON answer that is taken, in bytes: far above what 10,000 instances need.
const MAX_REPLY: usize = 512 << 20;

/// A server to talk to, with the project that requests are for.
pub struct Client {
    place: Place,
    project: String,
    connection: Mutex<Option<SendRequest<Body>>>,
}

/// Where a server is.
enum Place {
    /// Behind a unix socket of this host.
    Unix(PathBuf),
    /// On another machine.
    Far(Box<tls::Far>),
}

/// Where the daemon of this host listens: `LXD_SOCKET`, else `unix.socket` in `LXD_DIR`, else in `/var/lib/lxd`.
pub fn local_socket() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    set("LXD_SOCKET")
        .unwrap_or_else(|| set("LXD_DIR").unwrap_or_else(|| PathBuf::from("/var/lib/lxd")).join("unix.socket"))
}

impl Client {
    /// A server behind a unix socket. Nothing is connected before the first request.
    pub fn unix(socket: impl Into<PathBuf>) -> Client {
        Client::at(Place::Unix(socket.into()))
    }

    /// The server at `https://HOST[:PORT]`, which has this certificate; `pair` is what it is shown. Nothing is connected
    /// before the first request.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for another kind of URL, and for a key that is none.
    pub fn tls(url: &str, pin: Certificate, pair: Option<Made>) -> Result<Client> {
        Ok(Client::at(Place::Far(Box::new(tls::Far::new(url, Some(pin), pair)?))))
    }

    fn at(place: Place) -> Client {
        Client { place, project: String::new(), connection: Mutex::new(None) }
    }

    /// The server of this host, found as [`local_socket`] says.
    pub fn local() -> Client {
        Client::unix(local_socket())
    }

    /// The same server, seen from within a project; an empty name is the default project.
    pub fn in_project(mut self, project: &str) -> Client {
        self.project = project.to_string();
        self
    }

    /// The project of this client's requests, empty for the default one.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// Where the server is, for messages.
    fn address(&self) -> String {
        match &self.place {
            Place::Unix(socket) => format!("{socket:?}"),
            Place::Far(far) => format!("{:?}", far.url),
        }
    }

    /// What the server is called in requests. On its socket LXD expects this name.
    fn host(&self) -> &str {
        match &self.place {
            Place::Unix(_) => "unix.socket",
            Place::Far(far) => &far.authority,
        }
    }

    /// `GET`s an object.
    pub async fn get<T: FromTree>(&self, path: &str) -> Result<T> {
        Ok(self.get_with_etag(path).await?.0)
    }

    /// `GET`s an object and its ETag (as sent, in quotes; empty when there is none), for a later [`Client::put`].
    pub async fn get_with_etag<T: FromTree>(&self, path: &str) -> Result<(T, String)> {
        let reply = self.asked(path).await?;
        Ok((reply.object(path)?, reply.etag))
    }

    /// The future is the same for all types, so that no one's holds another copy of it.
    fn asked<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Reply>> {
        Box::pin(self.call(Method::GET, path, Bytes::new(), ""))
    }

    /// `GET /1.0`: what the server is and can do.
    pub async fn server(&self) -> Result<Server> {
        self.get("/1.0").await
    }

    /// An error unless the server has an API extension, in the words LXD's client has for that.
    pub async fn require(&self, extension: &str) -> Result<()> {
        match self.server().await?.api_extensions.iter().any(|there| there == extension) {
            true => Ok(()),
            false => {
                let text = format!("The server is missing the required \"{extension}\" API extension");
                Err(Error::new(Kind::Unsupported, text))
            }
        }
    }

    /// Sends a change that is done when the answer arrives; an operation is waited for.
    pub fn send(&self, method: Method, path: &str, body: &impl Serialize) -> impl Future<Output = Result<()>> {
        self.send_text(method, path, text_of(path, body), "")
    }

    /// As [`Client::send`], refused with [`Kind::Precondition`] when the object no longer has this ETag.
    pub fn send_matching(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
        etag: &str,
    ) -> impl Future<Output = Result<()>> {
        self.send_text(method, path, text_of(path, body), etag)
    }

    async fn send_text(&self, method: Method, path: &str, body: Result<Bytes>, etag: &str) -> Result<()> {
        match self.start_text(method, path, body, etag).await? {
            Started::Done(_) => Ok(()),
            Started::Operation(operation) => self.wait(&operation.id).await.map(drop),
        }
    }

    /// `POST`s and waits, as [`Client::send`].
    pub fn post(&self, path: &str, body: &impl Serialize) -> impl Future<Output = Result<()>> {
        self.send(Method::POST, path, body)
    }

    /// `PUT`s and waits; `etag` may be empty.
    pub fn put(&self, path: &str, body: &impl Serialize, etag: &str) -> impl Future<Output = Result<()>> {
        self.send_matching(Method::PUT, path, body, etag)
    }

    /// `DELETE`s and waits.
    pub async fn delete(&self, path: &str) -> Result<()> {
        self.send(Method::DELETE, path, &()).await
    }

    /// Sends a change and returns without waiting for its operation.
    pub fn start(&self, method: Method, path: &str, body: &impl Serialize) -> impl Future<Output = Result<Started>> {
        self.start_text(method, path, text_of(path, body), "")
    }

    /// Sends a change that has to begin an operation, and returns it.
    pub fn begin(&self, method: Method, path: &str, body: &impl Serialize) -> impl Future<Output = Result<Operation>> {
        self.begin_text(method, path, text_of(path, body))
    }

    async fn begin_text(&self, method: Method, path: &str, body: Result<Bytes>) -> Result<Operation> {
        self.start_text(method, path, body, "").await?.operation()
    }

    async fn start_text(&self, method: Method, path: &str, body: Result<Bytes>, etag: &str) -> Result<Started> {
        self.call(method, path, body?, etag).await?.started()
    }

    /// Sends any request and returns the envelope that came back, errors of the server as errors.
    pub async fn call(&self, method: Method, path: &str, body: Bytes, etag: &str) -> Result<Reply> {
        tracing::debug!(etag, %method, url = path, "Sending request to LXD");
        if !body.is_empty() {
            tracing::debug!("{}", String::from_utf8_lossy(&body));
        }
        let mut request = self.request(method, path)?;
        if !etag.is_empty() {
            request = request.header("If-Match", etag);
        }
        if !body.is_empty() {
            request = request.header("Content-Type", "application/json");
        }
        let response = self.exchange(request, small(body)).await?;
        envelope::read(response, path).await
    }

    /// Sends any request and returns status and body as they come, up to the limit of a JSON answer.
    pub async fn raw(&self, method: Method, path: &str, body: Bytes) -> Result<(u16, Bytes)> {
        tracing::debug!(%method, url = path, "Sending request to LXD");
        let request = self.request(method, path)?.header("Content-Type", "application/json");
        let response = self.exchange(request, small(body)).await?;
        let status = response.status().as_u16();
        Ok((status, envelope::collect(response.into_body(), MAX_REPLY, path).await?))
    }

    /// `GET`s text that has no envelope, such as a log.
    pub async fn text(&self, path: &str) -> Result<Bytes> {
        let response = self.exchange(self.request(Method::GET, path)?, small(Bytes::new())).await?;
        envelope::text(response, path).await
    }
}

fn text_of(path: &str, body: &impl Serialize) -> Result<Bytes> {
    let text = serde_json::to_vec(body).ctx(Kind::Internal, || format!("Failed writing the request {path:?}"))?;
    // `()` is how a caller says "no body"; LXD takes an empty body where it takes `null`.
    Ok(if text == b"null" { Bytes::new() } else { Bytes::from(text) })
}
