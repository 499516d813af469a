//! Websockets.

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message, client::IntoClientRequest};

use super::connect::Wire;
use super::{Client, envelope};
use crate::error::{Ctx, Error, Kind, Result};

type Inner = WebSocketStream<Wire>;

/// A websocket of the server.
pub struct Socket {
    inner: Inner,
}

/// The reading half.
pub struct SocketReader {
    inner: SplitStream<Inner>,
}

/// The writing half.
pub struct SocketWriter {
    inner: SplitSink<Inner, Message>,
}

impl Client {
    /// Opens a websocket on a connection of its own.
    pub async fn websocket(&self, path: &str) -> Result<Socket> {
        let address = format!("ws://{}{}", self.host(), self.in_own_project(path));
        let request = address.into_client_request().ctx(Kind::Invalid, || format!("Invalid API path {path:?}"))?;
        let stream = self.stream().await?;
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((inner, _)) => Ok(Socket { inner }),
            Err(tungstenite::Error::Http(refused)) => {
                let status = refused.status().as_u16();
                Err(Error::new(envelope::kind_of(status), format!("The server refused the websocket with {status}")))
            }
            Err(error) => Err(error).ctx(Kind::Unavailable, || "Failed opening a websocket"),
        }
    }
}

impl Socket {
    /// Reading and writing half, for use by two tasks.
    pub fn split(self) -> (SocketReader, SocketWriter) {
        let (writer, reader) = self.inner.split();
        (SocketReader { inner: reader }, SocketWriter { inner: writer })
    }

    /// The next text message; none at the end.
    pub async fn text(&mut self) -> Result<Option<String>> {
        while let Some(message) = self.inner.next().await {
            match message {
                Ok(Message::Text(text)) => return Ok(Some(text.to_string())),
                Ok(Message::Close(_)) => return Ok(None),
                Ok(_) => {}
                Err(error) => return ended(error),
            }
        }
        Ok(None)
    }
}

impl SocketReader {
    /// The next bytes; none at the end of the stream, which LXD marks by an empty text message.
    pub async fn bytes(&mut self) -> Result<Option<Bytes>> {
        while let Some(message) = self.inner.next().await {
            match message {
                Ok(Message::Binary(bytes)) if bytes.is_empty() => {}
                Ok(Message::Binary(bytes)) => return Ok(Some(bytes)),
                Ok(Message::Text(text)) if text.is_empty() => return Ok(None),
                Ok(Message::Text(text)) => return Ok(Some(Bytes::from(text))),
                Ok(Message::Close(_)) => return Ok(None),
                Ok(_) => {}
                Err(error) => return ended(error),
            }
        }
        Ok(None)
    }
}

impl SocketWriter {
    /// Sends bytes.
    pub async fn bytes(&mut self, bytes: Bytes) -> Result<()> {
        self.send(Message::Binary(bytes)).await
    }

    /// Sends text.
    pub async fn text(&mut self, text: String) -> Result<()> {
        self.send(Message::text(text)).await
    }

    /// Marks the end of the stream as LXD wants it: an empty text message. The socket stays open.
    pub async fn end(&mut self) -> Result<()> {
        self.send(Message::text("")).await
    }

    /// Says goodbye; errors no longer matter.
    pub async fn close(&mut self) {
        self.inner.send(Message::Close(None)).await.ok();
    }

    async fn send(&mut self, message: Message) -> Result<()> {
        self.inner.send(message).await.ctx(Kind::Unavailable, || "Failed writing to a websocket")
    }
}

/// A peer that just goes away ended the stream; anything else is an error.
fn ended<T>(error: tungstenite::Error) -> Result<Option<T>> {
    use tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
    match error {
        tungstenite::Error::ConnectionClosed
        | tungstenite::Error::AlreadyClosed
        | tungstenite::Error::Protocol(ResetWithoutClosingHandshake)
        | tungstenite::Error::Io(_) => Ok(None),
        error => Err(error).ctx(Kind::Unavailable, || "Failed reading from a websocket"),
    }
}
