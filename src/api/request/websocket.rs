//! The server's side of a websocket upgrade (RFC 6455 section 4.2).

use std::future::Future;

use hyper::HeaderMap;
use hyper::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::Request;
use crate::Result;
use crate::api::response::{self, Reply};
use crate::runtime::operations::Socket;
use crate::task::spawn;

/// The longest message a client may send, in bytes.
pub const MESSAGE: usize = 4 << 20;

/// How clients' frames are read.
pub fn websocket_config() -> WebSocketConfig {
    WebSocketConfig::default().max_message_size(Some(MESSAGE)).max_frame_size(Some(MESSAGE))
}

/// Answers 101 and hands the connected websocket to `serve`, which runs in a task of its own.
///
/// A request that is no websocket handshake gets the plain 400 that Go's library gives. `Host` and `Origin` are not
/// looked at: the unix socket's mode decides who may speak, and old clients send odd ones.
pub fn upgrade<F>(request: &mut Request, serve: impl FnOnce(Socket) -> F + Send + 'static) -> Result<Reply>
where
    F: Future<Output = ()> + Send + 'static,
{
    Ok(upgrade_of(&request.headers, request.upgrade.take(), websocket_config(), serve))
}

/// The same, given what it takes of a request, and how frames are to be read.
pub fn upgrade_of<F>(
    headers: &HeaderMap,
    upgrade: Option<OnUpgrade>,
    config: WebSocketConfig,
    serve: impl FnOnce(Socket) -> F + Send + 'static,
) -> Reply
where
    F: Future<Output = ()> + Send + 'static,
{
    let (Some(accept), Some(upgrade)) = (accept_key(headers), upgrade) else { return refusal() };
    spawn(async move {
        match upgrade.await {
            Ok(upgraded) => {
                let io = TokioIo::new(upgraded);
                serve(WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await).await;
            }
            Err(e) => tracing::debug!("Websocket upgrade failed: {e}"),
        }
    });
    let mut headers = HeaderMap::new();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, response::header_value(&accept));
    Reply::Upgrade(headers)
}

fn accept_key(headers: &HeaderMap) -> Option<String> {
    let has = |name, token: &str| {
        let text = headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok()).unwrap_or("");
        text.split(',').any(|part| part.trim().eq_ignore_ascii_case(token))
    };
    let key = headers.get(SEC_WEBSOCKET_KEY)?;
    (has(CONNECTION, "upgrade") && has(UPGRADE, "websocket") && has(SEC_WEBSOCKET_VERSION, "13"))
        .then(|| derive_accept_key(key.as_bytes()))
}

fn refusal() -> Reply {
    let mut headers = HeaderMap::new();
    headers.insert(hyper::header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(hyper::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Reply::Refused { headers, text: "Bad Request\n" }
}
