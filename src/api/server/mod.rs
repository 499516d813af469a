//! The HTTP transport: connections and their dispatch to the route table.
//!
//! ```text
//! accept -> connection (hyper, HTTP/1.1) -> route (404, 501) -> handler -> Reply -> envelope
//! ```
//!
//! A handler runs inside the connection's future and is dropped when the client goes away; whatever changes
//! something is handed to an operation or to [`owned()`](crate::api::request::owned), which finish without the client.

mod devlxd;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::Kind;
use crate::api::request::{Query, Request};
use crate::api::response::{Body, error_to_http};
use crate::api::{handlers, routes};
use crate::runtime::auth::Caller;
use crate::runtime::daemon::Services;

/// Connections served at once; more wait in the socket's backlog.
const CONNECTIONS: usize = 4096;
/// How long a client may take to send its headers.
const HEADER_TIME: Duration = Duration::from_secs(30);

/// Serves the unix socket until the task is dropped.
pub async fn serve(listener: UnixListener, services: Arc<Services>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    tokio::spawn(devlxd::serve(services.clone()));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let services = services.clone();
                tokio::spawn(async move {
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
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (services, caller) = (services.clone(), caller.clone());
        async move { Ok::<_, Infallible>(answer(request, services, caller).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_headers(128)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(e) = served {
        tracing::debug!("Connection ended: {e}");
    }
}

async fn answer(request: hyper::Request<Incoming>, services: Arc<Services>, caller: Caller) -> hyper::Response<Body> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    tracing::debug!(%method, url = %request.uri(), username = %caller.username, "Handling API request");
    let outcome = match routes::find(&method, &path) {
        Ok((route, params)) => {
            let request = split(request, services, caller, params);
            match handlers::instances::fits_its_path(&request) {
                Ok(()) => (route.handler)(request).await,
                Err(e) => Err(e),
            }
        }
        Err(e) => Err(e),
    };
    match outcome {
        Ok(reply) => {
            let response = reply.into_http();
            tracing::trace!(%method, %path, status = response.status().as_u16(), "Answered");
            response
        }
        Err(e) => {
            tracing::trace!(%method, %path, error = %e.chain(), "Refused");
            if e.kind() == Kind::Internal {
                tracing::warn!(%method, %path, "Request failed: {}", e.chain());
            }
            error_to_http(&e)
        }
    }
}

fn split(
    mut request: hyper::Request<Incoming>,
    services: Arc<Services>,
    caller: Caller,
    params: Vec<String>,
) -> Request {
    let upgrade = request.headers().contains_key(hyper::header::UPGRADE).then(|| hyper::upgrade::on(&mut request));
    let (head, body) = request.into_parts();
    let query = Query::parse(head.uri.query().unwrap_or(""));
    Request { services, caller, path: head.uri.path().to_owned(), params, query, headers: head.headers, body, upgrade }
}
