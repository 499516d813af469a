//! A client's frames: exec, console and events read nothing but these.
#![no_main]

use futures_util::StreamExt;
use libfuzzer_sys::fuzz_target;
use lxbox::api::request::{MESSAGE, websocket_config};
use lxbox::api::tree::from_json;
use lxbox::api::types::ExecControl;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

async fn read(frames: &[u8]) {
    let (ours, mut theirs) = tokio::io::duplex(1 << 20);
    let feed = async move {
        for piece in frames.chunks(7) {
            if theirs.write_all(piece).await.is_err() {
                return;
            }
        }
    };
    let serve = async move {
        let mut socket = WebSocketStream::from_raw_socket(ours, Role::Server, Some(websocket_config())).await;
        while let Some(Ok(message)) = socket.next().await {
            assert!(message.len() <= MESSAGE);
            if let Message::Text(text) = message {
                let _ = from_json::<ExecControl>(text.as_bytes());
            }
        }
    };
    tokio::join!(feed, serve);
}

fuzz_target!(|data: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(read(data));
});
