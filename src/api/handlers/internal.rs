//! `/internal`: what `lxd waitready`, `lxd shutdown`, `lxd recover` and `lxd sql` ask. Only on the unix socket.

use crate::api::request::{Request, owned};
use crate::api::response::Reply;
use crate::api::types::{RecoverPost, SqlBatch, SqlDump, SqlQuery};
use crate::runtime::server::Shutdown;
use crate::runtime::sql::Which;
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

/// `POST recover/validate`: what is lost on the pools, and what is missing to bring it back.
pub async fn recover_validate(mut request: Request) -> Result<Reply> {
    let post: RecoverPost = request.json().await?;
    Reply::sync(&request.services.instances.validate_recovery(post.pools.unwrap_or_default()).await?)
}

/// `POST recover/import`: brings it back.
pub async fn recover_import(mut request: Request) -> Result<Reply> {
    let post: RecoverPost = request.json().await?;
    let instances = request.services.instances.clone();
    Reply::sync(&owned(async move { instances.recover(post.pools.unwrap_or_default()).await }).await?)
}

/// `GET sql?database=&schema=`: a database as SQL.
pub async fn sql_dump(request: Request) -> Result<Reply> {
    let which = Which::parse(request.query.get("database").unwrap_or_default())?;
    let schema = request.query.get("schema") == Some("1");
    Reply::sync(&SqlDump { text: request.services.sql.dump(which, schema).await? })
}

/// `POST sql`: runs statements.
pub async fn sql_query(mut request: Request) -> Result<Reply> {
    let SqlQuery { database, query } = request.json().await?;
    let which = Which::parse(&database)?;
    if query.is_empty() {
        return Err(Error::invalid("No query provided"));
    }
    let sql = request.services.sql.clone();
    Reply::sync(&SqlBatch { results: owned(async move { sql.query(which, query).await }).await? })
}
