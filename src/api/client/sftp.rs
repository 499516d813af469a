//! SFTP with an instance's files: a connection of its own that leaves HTTP behind.

use bytes::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;

use super::connect::Wire;
use super::{Client, envelope, path, small};
use crate::error::{Ctx, Error, Kind, Result};
use crate::task::spawn;

impl Client {
    /// A connection over which SFTP (version 3) is spoken with an instance's tree.
    pub async fn sftp(&self, instance: &str) -> Result<Wire> {
        const FAILED: &str = "Failed connecting to instance SFTP";
        let address = path(&["instances", instance, "sftp"]);
        let request = self.request(Method::GET, &address)?.header("Connection", "Upgrade").header("Upgrade", "sftp");
        let request = request.body(small(Bytes::new())).ctx(Kind::Invalid, || FAILED)?;
        let stream = self.stream().await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.ctx(Kind::Unavailable, || FAILED)?;
        spawn(async move { connection.with_upgrades().await.ok() });
        let mut response = sender.send_request(request).await.ctx(Kind::Unavailable, || FAILED)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let refused = envelope::read(response, &address).await.err();
            let refused = refused.unwrap_or_else(|| Error::internal("the server knows no SFTP"));
            return Err(Error::new(refused.kind(), format!("{FAILED}: {}", refused.message())));
        }
        let upgraded = hyper::upgrade::on(&mut response).await.ctx(Kind::Unavailable, || FAILED)?;
        Ok(Box::new(TokioIo::new(upgraded)))
    }
}
