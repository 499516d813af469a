//! What a guest is told while it listens: as a websocket, or line by line.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::HeaderMap;
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue, UPGRADE, X_CONTENT_TYPE_OPTIONS};
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::{Guest, closed};
use crate::api::request::{Query, upgrade_of};
use crate::api::response::Reply;
use crate::runtime::instances::News;
use crate::runtime::operations::Socket;

/// How often a listener is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// Messages that a guest may send between two of these; none is of any use.
const CHATTER: u32 = 20;
/// Bytes of such a message.
const MESSAGE: usize = 4 << 10;

/// Those that are asked for, of one guest.
struct Listener {
    news: broadcast::Receiver<Arc<News>>,
    kinds: Vec<String>,
}

impl Listener {
    /// The next; none when the listener is too slow, or the door is closed.
    async fn next(&mut self) -> Option<Arc<News>> {
        loop {
            let news = self.news.recv().await.ok()?;
            if self.kinds.is_empty() || self.kinds.iter().any(|kind| kind == news.kind) {
                return Some(news);
            }
        }
    }
}

/// `GET /1.0/events`: `type` may be `config`, `device` or both with a comma; others never happen.
pub(super) fn stream(request: &mut hyper::Request<Incoming>, guest: &Guest, slot: Arc<OwnedSemaphorePermit>) -> Reply {
    let query = Query::parse(request.uri().query().unwrap_or(""));
    let kinds = query.get("type").unwrap_or("").split(',').filter(|kind| !kind.is_empty()).take(8).map(str::to_owned);
    let listener = Listener { news: guest.news.subscribe(), kinds: kinds.collect() };
    let open = guest.open.clone();
    if !request.headers().contains_key(UPGRADE) {
        return lines(listener, slot);
    }
    let upgrade = hyper::upgrade::on(&mut *request);
    let config = WebSocketConfig::default().max_message_size(Some(MESSAGE)).max_frame_size(Some(MESSAGE));
    upgrade_of(request.headers(), Some(upgrade), config, move |socket| async move {
        tokio::select! {
            () = talk(socket, listener) => {}
            () = closed(open) => {}
        }
        drop(slot);
    })
}

/// One event a line, for as long as the connection lives.
fn lines(listener: Listener, slot: Arc<OwnedSemaphorePermit>) -> Reply {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let lines = futures_util::stream::unfold((listener, slot), |(mut listener, slot)| async move {
        let news = listener.next().await?;
        let line = Frame::data(Bytes::from(news.text.clone()));
        Some((Ok::<_, std::io::Error>(line), (listener, slot)))
    });
    Reply::Raw { headers, body: BodyExt::boxed(StreamBody::new(lines)) }
}

async fn talk(mut socket: Socket, mut listener: Listener) {
    let mut ticks = tokio::time::interval(KEEPALIVE);
    let mut chatter = 0;
    loop {
        tokio::select! {
            news = listener.next() => {
                let Some(news) = news else { break };
                if socket.send(Message::text(news.text.clone())).await.is_err() {
                    return;
                }
            }
            _ = ticks.tick() => {
                chatter = 0;
                if socket.send(Message::Ping(Bytes::from_static(b"keepalive"))).await.is_err() {
                    return;
                }
            }
            message = socket.next() => match message {
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) if chatter >= CHATTER => break,
                Some(Ok(_)) => chatter += 1,
            },
        }
    }
    // The guest may be gone already.
    let _ = socket.close(None).await;
}
