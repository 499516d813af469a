//! `/1.0/instances/{name}/console`.

use crate::Result;
use crate::api::request::{Request, owned};
use crate::api::response::Reply;
use crate::api::types::InstanceConsolePost;

/// `POST`: attaches to the console, in the background.
pub async fn post(mut request: Request) -> Result<Reply> {
    let (project, name) = (request.project()?, request.param(0).to_owned());
    let post: InstanceConsolePost = request.json().await?;
    Ok(Reply::operation(request.services.instances.console(&project, &name, post, request.caller.requestor())?))
}

/// `GET`: what the console has shown, as far as its ring holds it.
pub async fn log(request: Request) -> Result<Reply> {
    let log = request.services.instances.console_log(&request.project()?, request.param(0)).await?;
    Ok(Reply::bytes("application/octet-stream", log))
}

/// `DELETE`: empties the log.
pub async fn clear(request: Request) -> Result<Reply> {
    let (project, name) = (request.project()?, request.param(0).to_owned());
    let (instances, by) = (request.services.instances.clone(), request.caller.requestor());
    owned(async move { instances.clear_console_log(&project, &name, by).await }).await?;
    Ok(Reply::empty())
}
