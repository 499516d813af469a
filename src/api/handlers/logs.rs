//! `/1.0/instances/{name}/logs`.

use super::url;
use crate::Result;
use crate::api::request::Request;
use crate::api::response::Reply;
use crate::runtime::blocking;

/// `GET`: URLs of the log files.
pub async fn list(request: Request) -> Result<Reply> {
    let (project, name) = (request.project()?, request.param(0).to_owned());
    let logs = request.services.instances.logs(&project, &name)?;
    let files = blocking(move || logs.list()).await?;
    let base = url::of("instances", &name, "");
    Reply::sync(&files.iter().map(|file| format!("{base}/logs/{file}")).collect::<Vec<_>>())
}

/// `GET {file}`: its bytes.
pub async fn get(request: Request) -> Result<Reply> {
    let logs = request.services.instances.logs(&request.project()?, request.param(0))?;
    let file = request.param(1).to_owned();
    Ok(Reply::bytes("application/octet-stream", blocking(move || logs.read(&file)).await?))
}

/// `DELETE {file}`.
pub async fn delete(request: Request) -> Result<Reply> {
    let logs = request.services.instances.logs(&request.project()?, request.param(0))?;
    let file = request.param(1).to_owned();
    blocking(move || logs.delete(&file)).await?;
    Ok(Reply::empty())
}
