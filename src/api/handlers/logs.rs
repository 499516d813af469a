//! `/1.0/instances/{name}/logs`.

use hyper::HeaderMap;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_TYPE};

use super::url;
use crate::Result;
use crate::api::request::Request;
use crate::api::response::{Reply, full, header_value};
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
    let project = request.project()?;
    let logs = request.services.instances.logs(&project, request.param(0))?;
    let file = request.param(1).to_owned();
    let bytes = blocking(move || logs.read(&file)).await?;
    let source = url::of(&format!("instances/{}/logs", url::encode(request.param(0))), request.param(1), &project);
    request.services.events.announce(&project, "instance-log-retrieved", source, &request.caller.requestor());
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, header_value("application/octet-stream"));
    headers.insert(CONTENT_DISPOSITION, header_value(&format!("inline;filename={}", request.param(1))));
    Ok(Reply::Raw { headers, body: full(bytes) })
}

/// `DELETE {file}`.
pub async fn delete(request: Request) -> Result<Reply> {
    let logs = request.services.instances.logs(&request.project()?, request.param(0))?;
    let file = request.param(1).to_owned();
    blocking(move || logs.delete(&file)).await?;
    Ok(Reply::empty())
}
