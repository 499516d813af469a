//! The HTTP transport: connections and their dispatch to the route table.
//!
//! ```text
//! accept -> connection (hyper, HTTP/1.1) -> route (404, 403, 501) -> handler -> Reply -> envelope
//!           tls (and HTTP/2)
//! ```
//!
//! A handler runs inside the connection's future and is dropped when the client goes away; whatever changes
//! something is handed to an operation or to [`owned()`](crate::api::request::owned), which finish without the client.

mod devlxd;
pub mod tls;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::api::request::{Line, Payload, Query, Request};
use crate::api::response::{Body, Reply, error_to_http, full, header_name, header_value};
use crate::api::tls::Certificate;
use crate::api::{handlers, routes};
use crate::runtime::auth::Caller;
use crate::runtime::daemon::Services;
use crate::runtime::server::Cors;
use crate::task::spawn;
use crate::{Error, Kind, Result};

/// Connections served at once; more wait in the socket's backlog.
const CONNECTIONS: usize = 4096;
/// How long a client may take to send its headers.
const HEADER_TIME: Duration = Duration::from_secs(30);

/// Serves the unix socket until the task is dropped.
pub async fn serve(listener: UnixListener, services: Arc<Services>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    spawn(devlxd::serve(services.clone()));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let services = services.clone();
                spawn(async move {
                    connection(stream, services).await;
                    drop(slot);
                });
            }
            Err(e) => {
                // EMFILE and the like: pause instead of spinning until descriptors are free again.
                tracing::warn!("Failed accepting a connection: {e}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(stream: UnixStream, services: Arc<Services>) {
    let Ok(peer) = stream.peer_cred() else { return };
    let caller = Caller::unix(peer.uid());
    let line = Line::new(stream);
    let io = TokioIo::new(line.clone());
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(line.clone());
        let (services, caller, line) = (services.clone(), caller.clone(), line.clone());
        async move {
            let mut response = answer(request, services, Who { caller, shown: None }).await;
            if line.ends() {
                response.headers_mut().insert(hyper::header::CONNECTION, header_value("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_headers(128)
        .serve_connection(io, service)
        .with_upgrades()
        .await;
    if let Err(e) = served {
        tracing::debug!("Connection ended: {e}");
    }
}

/// Who asks, and the certificate that was shown.
struct Who {
    caller: Caller,
    shown: Option<Arc<Certificate>>,
}

async fn answer(request: hyper::Request<Incoming>, services: Arc<Services>, who: Who) -> hyper::Response<Body> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    services.rest.disturb();
    tracing::debug!(%method, url = %request.uri(), username = %who.caller.username, "Handling API request");
    let (cors, asks_origin) = (services.server.cors(), request.headers().contains_key(hyper::header::ORIGIN));
    let mut response = if method == hyper::Method::OPTIONS {
        // What browsers ask before a request of a page of another server; the headers are the answer.
        hyper::Response::new(full(""))
    } else {
        match routed(request, services, who).await {
            Ok(reply) => reply.into_http(),
            Err(e) => {
                tracing::trace!(%method, %path, error = %e.chain(), "Refused");
                if e.kind() == Kind::Internal {
                    tracing::warn!(%method, %path, "Request failed: {}", e.chain());
                }
                error_to_http(&e)
            }
        }
    };
    tracing::trace!(%method, %path, status = response.status().as_u16(), "Answered");
    if !path.starts_with("/internal/") {
        allow_origins(&mut response, &cors, asks_origin);
    }
    response
}

async fn routed(request: hyper::Request<Incoming>, services: Arc<Services>, who: Who) -> Result<Reply> {
    let found = routes::find(request.method(), request.uri().path());
    let closed = !who.caller.trusted && {
        // A client that takes itself for trusted wants to hear that it isn't, not what strangers see.
        match &found {
            Ok((route, _)) => !route.is_open() || request.headers().contains_key("x-lxd-authenticated"),
            Err(e) => e.kind() != Kind::NotFound,
        }
    };
    let request = split(request, services, who);
    if closed {
        return Err(Error::new(Kind::Forbidden, "not authorized"));
    }
    let (route, params) = found?;
    route.check_target(request.query.get("target"))?;
    let request = Request { params, ..request };
    handlers::instances::fits_its_path(&request)?;
    (route.handler)(request).await
}

fn allow_origins(response: &mut hyper::Response<Body>, cors: &Cors, asks_origin: bool) {
    let headers = response.headers_mut();
    if cors.credentials {
        headers.insert(header_name("access-control-allow-credentials"), header_value("true"));
    }
    if asks_origin {
        for (name, value) in &cors.headers {
            headers.insert(header_name(name), header_value(value));
        }
    }
}

/// The request without what its route says of it.
fn split(mut request: hyper::Request<Incoming>, services: Arc<Services>, who: Who) -> Request {
    let version = request.version();
    // HTTP/2 has no upgrade (RFC 9113 section 8.6).
    let upgrades = version <= hyper::Version::HTTP_11 && request.headers().contains_key(hyper::header::UPGRADE);
    let upgrade = upgrades.then(|| hyper::upgrade::on(&mut request));
    let (mut head, body) = request.into_parts();
    let line = head.extensions.remove::<Line>();
    let query = Query::parse(head.uri.query().unwrap_or(""));
    let (path, body) = (head.uri.path().to_owned(), Payload::new(body));
    let Who { caller, shown } = who;
    Request { services, caller, shown, path, params: Vec::new(), query, headers: head.headers, body, upgrade, line }
}
