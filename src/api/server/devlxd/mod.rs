//! The API of guests at `/dev/lxd/sock`: what a guest may know of itself (LXD's `dev-lxd`).
//!
//! ```text
//! door of a guest ─ accept ─ connection (hyper, HTTP/1.1) ─ answers: plain JSON or text, no envelope
//! ```
//!
//! Guests are hostile: each has a few connections and a rate of requests, whatever it does with them; nothing it sends but heads
//! of requests is read, and those are short. None of it is taken from other guests or the daemon's own clients.

mod answers;
mod events;
mod pace;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch};

use crate::api::response::{Body, Reply};
use crate::runtime::daemon::Services;
use crate::runtime::instances::{Door, News};
use crate::task::spawn;
use answers::Refusal;
use pace::Pace;

/// Connections of one guest; more wait in its socket's backlog.
const CONNECTIONS: usize = 16;
/// How long a guest may take to send the head of a request.
const HEADER_TIME: Duration = Duration::from_secs(10);
/// Bytes that the head of a request may have.
const HEAD: usize = 16 << 10;

/// One guest, as its connections see it.
#[derive(Clone)]
struct Guest {
    id: u64,
    root: u32,
    services: Arc<Services>,
    pace: Arc<Pace>,
    open: watch::Receiver<()>,
    news: broadcast::Sender<Arc<News>>,
}

/// Serves the doors of all guests until the task is dropped.
pub(super) async fn serve(services: Arc<Services>) {
    let Some(mut doors) = services.instances.doors() else { return };
    while let Some(door) = doors.recv().await {
        spawn(serve_guest(door, services.clone()));
    }
}

/// Serves one guest until its door is closed.
async fn serve_guest(door: Door, services: Arc<Services>) {
    let Door { id, root, listener, open, news } = door;
    let guest = Guest { id, root, services, pace: Arc::default(), open: open.clone(), news };
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let accepting = async {
        loop {
            let Ok(slot) = slots.clone().acquire_owned().await else { return };
            guest.pace.wait().await;
            match listener.accept().await {
                Ok((stream, _)) => drop(spawn(connection(stream, guest.clone(), slot))),
                Err(e) => {
                    tracing::warn!(id, "Failed accepting a connection of a guest: {e}");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = closed(open.clone()) => {}
    }
}

/// Waits until the door is closed.
async fn closed(mut open: watch::Receiver<()>) {
    while open.changed().await.is_ok() {}
}

async fn connection(stream: UnixStream, guest: Guest, slot: OwnedSemaphorePermit) {
    let Ok(peer) = stream.peer_cred() else { return };
    let (slot, open, uid) = (Arc::new(slot), guest.open.clone(), peer.uid());
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (guest, slot) = (guest.clone(), slot.clone());
        async move { Ok::<_, Infallible>(answer(request, &guest, uid, slot).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_headers(64)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::select! {
        served = served => if let Err(e) = served {
            tracing::debug!("Connection of a guest ended: {e}");
        },
        () = closed(open) => {}
    }
}

async fn answer(
    mut request: hyper::Request<Incoming>,
    guest: &Guest,
    uid: u32,
    slot: Arc<OwnedSemaphorePermit>,
) -> hyper::Response<Body> {
    guest.pace.wait().await;
    let path = request.uri().path().to_owned();
    let reply = if uid != guest.root {
        Err(Refusal::Stranger)
    } else if ![Method::GET, Method::HEAD].contains(request.method()) {
        Err(answers::find(&path).err().unwrap_or(Refusal::Method))
    } else {
        match answers::find(&path) {
            Ok(answers::What::Events) => Ok(events::stream(&mut request, guest, slot)),
            Ok(what) => answers::answer(what, guest).await,
            Err(refusal) => Err(refusal),
        }
    };
    match reply {
        Ok(reply) => Reply::into_http(reply),
        Err(refusal) => refusal.into_http(),
    }
}
