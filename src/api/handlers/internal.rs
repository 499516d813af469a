//! `/internal`: what `lxd waitready` and `lxd shutdown` ask. Only on the unix socket.

use crate::api::request::Request;
use crate::api::response::Reply;
use crate::runtime::server::Shutdown;
use crate::{Error, Kind, Result};

/// `GET ready`: succeeds once the daemon is usable.
pub async fn ready(request: Request) -> Result<Reply> {
    match request.services.server.is_ready() {
        true => Ok(Reply::empty()),
        false => Err(Error::new(Kind::Unavailable, "Daemon not ready yet")),
    }
}

/// `PUT shutdown?force=&timeout=`: stops the instances, then the daemon; answers when the instances are down.
pub async fn shutdown(request: Request) -> Result<Reply> {
    let timeout = request.query.get("timeout").and_then(|t| t.parse().ok());
    let how = Shutdown { force: request.query.flag("force"), timeout };
    request.services.server.shut_down(how).await;
    Ok(Reply::empty())
}
