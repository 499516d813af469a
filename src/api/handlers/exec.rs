//! `/1.0/instances/{name}/exec`.

use crate::Result;
use crate::api::request::Request;
use crate::api::response::Reply;
use crate::api::types::InstanceExecPost;

/// `POST`: runs a command in it, in the background.
pub async fn post(mut request: Request) -> Result<Reply> {
    let (project, name) = (request.project()?, request.param(0).to_owned());
    let post: InstanceExecPost = request.json().await?;
    Ok(Reply::operation(request.services.instances.exec(&project, &name, post, request.caller.requestor())?))
}
