//! Connections of other machines: TLS, HTTP/2 or 1.1, and what somebody may do before we know him.
//!
//! ```text
//! arrived --handshake--> stranger --a request with a trusted certificate--> trusted
//!    |                      |
//!    +-- 10 s --> closed <--+-- 15 s without a request or a byte, or room is needed for newer ones
//! ```
//!
//! A stranger has small buffers, few requests at a time and little time for each. Once trusted, a connection is
//! served like one of the unix socket. Trust is looked up for each request.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustix::net::sockopt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use super::{HEADER_TIME, Who, answer};
use crate::api::response::Body;
use crate::api::tls::Certificate;
use crate::runtime::auth::Caller;
use crate::runtime::daemon::Services;
use crate::runtime::https::{Arrived, Stranger};

/// How long the handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a stranger's connection may be without a request and without a byte of an answer.
const IDLE: Duration = Duration::from_secs(15);
/// How long a stranger may take to send the head of a request.
const STRANGERS_HEAD: Duration = Duration::from_secs(5);
/// The longest head of a request, in bytes.
const HEAD: u32 = 64 << 10;
/// Requests at once on an HTTP/2 connection: of a stranger, of anybody else.
const STREAMS: (u32, u32) = (4, 128);
/// After how long a silent peer is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Serves one connection to its end.
pub async fn serve(arrived: Arrived, services: Arc<Services>) {
    let Arrived { stream, from, tls, stranger } = arrived;
    let gone = stranger.sent_out();
    let served = async {
        prepare(&stream);
        let shaken = timeout(HANDSHAKE, shake(stream, tls)).await.ok().flatten();
        let Some(stream) = shaken else { return };
        let connection = Connection::new(&stream, from, stranger);
        // What goes wrong on a connection is its other end's affair.
        connection.serve(stream, services).await;
    };
    let mut served = std::pin::pin!(served);
    // A place that is given back, because its owner is trusted, sends nobody out.
    tokio::select! {
        () = &mut served => {}
        () = gone => {}
    }
}

/// Small answers leave at once, and a peer that has gone without a word is noticed. Failing is no harm.
fn prepare(stream: &TcpStream) {
    let _ = sockopt::set_tcp_nodelay(stream, true);
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, KEEPALIVE);
    let _ = sockopt::set_tcp_keepintvl(stream, KEEPALIVE);
}

/// The handshake; none when it fails.
async fn shake(mut stream: TcpStream, tls: Arc<rustls::ServerConfig>) -> Option<TlsStream<TcpStream>> {
    let mut first = [0];
    stream.peek(&mut first).await.ok()?;
    // A handshake record begins with 22 (RFC 8446 section 5.1), a method of HTTP with a letter.
    if first[0].is_ascii_uppercase() {
        let text = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
        stream.write_all(text).await.ok()?;
        return None;
    }
    match tokio_rustls::TlsAcceptor::from(tls).accept(stream).await {
        Ok(stream) => Some(stream),
        Err(e) => {
            tracing::debug!("TLS handshake failed: {e}");
            None
        }
    }
}

/// One connection and who is at its other end.
struct Connection {
    from: SocketAddr,
    /// The certificate that was shown, and its fingerprint.
    shown: Option<(Arc<Certificate>, String)>,
    /// Its place among the strangers, until it is trusted.
    stranger: Mutex<Option<Stranger>>,
    /// Requests that are being answered.
    asking: AtomicUsize,
    /// Milliseconds from `begun` to the last sign of life.
    last: AtomicU64,
    begun: Instant,
}

impl Connection {
    fn new(stream: &TlsStream<TcpStream>, from: SocketAddr, stranger: Stranger) -> Arc<Connection> {
        let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let shown = certificates.first().and_then(|der| Certificate::from_der(der).ok());
        let shown = shown.map(|certificate| {
            let fingerprint = certificate.fingerprint();
            (Arc::new(certificate), fingerprint)
        });
        Arc::new(Connection {
            from,
            shown,
            stranger: Mutex::new(Some(stranger)),
            asking: AtomicUsize::new(0),
            last: AtomicU64::new(0),
            begun: Instant::now(),
        })
    }

    async fn serve(self: Arc<Self>, stream: TlsStream<TcpStream>, services: Arc<Services>) {
        let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let trusted = self.who(&services).caller.trusted;
        let (watched, connection) = (self.clone(), self);
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let (connection, services) = (connection.clone(), services.clone());
            async move { Ok::<_, Infallible>(connection.answer(request, services).await) }
        });
        let io = TokioIo::new(stream);
        let served = async {
            if h2 {
                let streams = if trusted { STREAMS.1 } else { STREAMS.0 };
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder.timer(TokioTimer::new()).max_concurrent_streams(streams).max_header_list_size(HEAD);
                builder.keep_alive_interval(KEEPALIVE).keep_alive_timeout(KEEPALIVE);
                return builder.serve_connection(io, service).await;
            }
            let head = if trusted { HEADER_TIME } else { STRANGERS_HEAD };
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(head).max_headers(128);
            if !trusted {
                builder.max_buf_size(HEAD as usize);
            }
            builder.serve_connection(io, service).with_upgrades().await
        };
        tokio::select! {
            ended = served => if let Err(e) = ended {
                tracing::debug!("Connection ended: {e}");
            },
            () = watched.idle() => tracing::debug!("A stranger's connection was idle"),
        }
    }

    /// Who asks, as the trust store has it now.
    fn who(&self, services: &Services) -> Who {
        let Some((certificate, fingerprint)) = &self.shown else {
            return Who { caller: Caller::stranger(self.from), shown: None };
        };
        let caller = match services.certificates.trusts(certificate, fingerprint) {
            true => {
                // No stranger any more.
                *self.stranger.lock().unwrap_or_else(PoisonError::into_inner) = None;
                Caller::tls(fingerprint, self.from)
            }
            false => Caller::stranger(self.from),
        };
        Who { caller, shown: Some(certificate.clone()) }
    }

    async fn answer(
        self: Arc<Self>,
        request: hyper::Request<Incoming>,
        services: Arc<Services>,
    ) -> hyper::Response<Body> {
        let who = self.who(&services);
        self.alive();
        self.asking.fetch_add(1, Ordering::Relaxed);
        let asking = Asking(self.clone());
        let response = answer(request, services, who).await;
        drop(asking);
        let connection = self;
        response.map(|body| {
            let noticed = body.map_frame(move |frame| {
                connection.alive();
                frame
            });
            noticed.boxed()
        })
    }

    fn alive(&self) {
        let since = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(since, Ordering::Relaxed);
    }

    /// Resolves when a stranger's connection has been idle for too long.
    async fn idle(&self) {
        loop {
            tokio::time::sleep(IDLE / 3).await;
            let stranger = self.stranger.lock().unwrap_or_else(PoisonError::into_inner).is_some();
            let silent = self.begun.elapsed().saturating_sub(Duration::from_millis(self.last.load(Ordering::Relaxed)));
            if stranger && self.asking.load(Ordering::Relaxed) == 0 && silent > IDLE {
                return;
            }
        }
    }
}

/// A request being answered, also when its connection ends meanwhile.
struct Asking(Arc<Connection>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.alive();
        self.0.asking.fetch_sub(1, Ordering::Relaxed);
    }
}
