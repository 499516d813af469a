//! `/1.0/operations`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::api::request::{Request, upgrade};
use crate::api::response::Reply;
use crate::api::types::Operation;
use crate::{Error, Result};

/// `GET`: operations by status, as URLs or objects.
pub async fn list(request: Request) -> Result<Reply> {
    let project = request.query.get("project").filter(|p| !p.is_empty()).unwrap_or("default");
    let project = (!request.query.flag("all-projects")).then_some(project);
    let operations = request.services.operations.list(project);
    if request.recursion() > 0 {
        return Reply::sync(&by_status(operations, |op| op));
    }
    Reply::sync(&by_status(operations, |op| format!("/1.0/operations/{}", op.id)))
}

fn by_status<T>(operations: Vec<Operation>, show: impl Fn(Operation) -> T) -> BTreeMap<String, Vec<T>> {
    let mut groups: BTreeMap<String, Vec<T>> = BTreeMap::new();
    for op in operations {
        groups.entry(op.status.to_lowercase()).or_default().push(show(op));
    }
    groups
}

/// `GET {id}`.
pub async fn get(request: Request) -> Result<Reply> {
    Reply::sync(&request.services.operations.get(request.param(0))?)
}

/// `DELETE {id}`: cancels.
pub async fn delete(request: Request) -> Result<Reply> {
    request.services.operations.cancel(request.param(0))?;
    Ok(Reply::empty())
}

/// `GET {id}/wait?timeout=`: answers when the operation has ended or the time, in seconds, is over.
pub async fn wait(request: Request) -> Result<Reply> {
    let limit = match request.query.get("timeout") {
        None | Some("") => None,
        Some(text) => {
            let seconds: i64 = text.parse().map_err(|_| Error::invalid(format!("Invalid timeout {text:?}")))?;
            u64::try_from(seconds).ok().map(Duration::from_secs)
        }
    };
    Reply::sync(&request.services.operations.wait(request.param(0), limit).await?)
}

/// `GET {id}/websocket?secret=`: connects one of the operation's sockets.
pub async fn websocket(mut request: Request) -> Result<Reply> {
    // The secret first: a stranger without one learns nothing about what there is.
    let secret = request.query.get("secret").filter(|s| !s.is_empty());
    let secret = secret.ok_or_else(|| Error::invalid("missing secret"))?;
    let slot = request.services.operations.sockets(request.param(0))?.claim(secret)?;
    upgrade(&mut request, |socket| async move {
        // The operation may have given up waiting.
        drop(slot.send(socket));
    })
}
