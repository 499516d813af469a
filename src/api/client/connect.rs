//! Connections: one kept alive for requests, new ones for websockets.

use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Response, http};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

use super::{Body, Client, Place, with_query};
use crate::error::{Ctx, Error, Kind, Result};
use crate::task::spawn;

/// Bytes read at once: below what musl's allocator asks the kernel for anew each time.
const BUFFER: usize = 64 << 10;

/// Bytes in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection, of whatever kind.
pub type Wire = Box<dyn Duplex>;

impl Client {
    /// A request with what every one of ours carries: the host and the project.
    pub(super) fn request(&self, method: Method, path: &str) -> Result<http::request::Builder> {
        if !path.starts_with('/') || path.bytes().any(|b| b.is_ascii_control() || b == b' ') {
            return Err(Error::invalid(format!("Invalid API path {path:?}")));
        }
        let builder = http::Request::builder().method(method).uri(self.in_own_project(path));
        Ok(builder.header("Host", self.host()).header("User-Agent", concat!("lxbox/", env!("CARGO_PKG_VERSION"))))
    }

    /// The path with `project=`, unless it names one itself or the default project is meant.
    pub(super) fn in_own_project(&self, path: &str) -> String {
        let named = path.split_once('?').is_some_and(|(_, query)| {
            query.split('&').any(|pair| pair.starts_with("project=") || pair == "all-projects=true")
        });
        match self.project.as_str() {
            "" | "default" => path.to_string(),
            _ if named => path.to_string(),
            project => with_query(path, &[("project", project)]),
        }
    }

    /// Sends a request over the kept connection and returns the head of the answer.
    pub(super) async fn exchange(&self, builder: http::request::Builder, body: Body) -> Result<Response<Incoming>> {
        let request = builder.body(body).ctx(Kind::Invalid, || "Failed making the request")?;
        // While another request is under way (a wait, usually) this one gets a connection of its own.
        let mut kept = self.connection.try_lock().ok();
        let mut sender = match kept.as_mut().and_then(|kept| kept.take()) {
            Some(mut sender) => match sender.ready().await {
                Ok(()) => sender,
                Err(_) => self.handshake().await?,
            },
            None => self.handshake().await?,
        };
        let response = sender.send_request(request).await;
        let response = response.ctx(Kind::Unavailable, || format!("Failed asking the server at {}", self.address()))?;
        if let Some(kept) = &mut kept {
            **kept = Some(sender);
        }
        Ok(response)
    }

    /// A new connection to the server.
    pub(super) async fn stream(&self) -> Result<Wire> {
        let socket = match &self.place {
            Place::Unix(socket) => socket,
            Place::Far(far) => return far.connect().await,
        };
        tracing::debug!(?socket, "Connecting to a local LXD over a Unix socket");
        let stream = UnixStream::connect(socket).await;
        let stream = stream.map_err(|error| {
            let hint = match error.kind() {
                std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => ", is the daemon running?",
                std::io::ErrorKind::PermissionDenied => ", are you in the daemon's group?",
                _ => "",
            };
            let text = format!("Failed connecting to the LXD socket {socket:?}{hint}");
            Err::<(), _>(error).ctx(Kind::Unavailable, || text).unwrap_err()
        })?;
        Ok(Box::new(stream))
    }

    async fn handshake(&self) -> Result<SendRequest<Body>> {
        let stream = self.stream().await?;
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(BUFFER)
            .handshake(TokioIo::new(stream))
            .await
            .ctx(Kind::Unavailable, || format!("Failed speaking HTTP with the server at {}", self.address()))?;
        // The task ends by itself when the sender is dropped; what goes wrong in it shows up in the request.
        spawn(async move { connection.await.ok() });
        Ok(sender)
    }
}
