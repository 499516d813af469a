//! `/1.0/projects`: the default one, until projects come.

use super::{list as render_list, url};
use crate::Result;
use crate::api::request::Request;
use crate::api::response::Reply;

/// `GET`.
pub async fn list(request: Request) -> Result<Reply> {
    render_list(&request, &request.services.projects.list()?, |p| url::of("projects", &p.name, ""))
}

/// `GET {name}`.
pub async fn get(request: Request) -> Result<Reply> {
    let project = request.services.projects.get(request.param(0))?;
    Reply::with_etag(&project, &(&project.description, &project.config))
}
