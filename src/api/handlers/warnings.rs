//! `/1.0/warnings`.

use super::{list as render_list, url};
use crate::Result;
use crate::api::request::{Request, owned};
use crate::api::response::{Reply, check_etag};
use crate::api::types::{Warning, WarningPut};

/// `GET`.
pub async fn list(request: Request) -> Result<Reply> {
    render_list(&request, &request.services.warnings.list()?, |w| url::of("warnings", &w.uuid, ""))
}

/// `GET {uuid}`.
pub async fn get(request: Request) -> Result<Reply> {
    let warning = request.services.warnings.get(request.param(0))?;
    Reply::with_etag(&warning, &warning.status)
}

/// `PUT` and `PATCH {uuid}`: acknowledges, or makes it new again.
pub async fn put(mut request: Request) -> Result<Reply> {
    let put: WarningPut = request.json().await?;
    let action = if put.status == "new" { "warning-reset" } else { "warning-acknowledged" };
    let (warnings, uuid, headers) =
        (request.services.warnings.clone(), request.param(0).to_owned(), request.headers.clone());
    let check = move |present: &Warning| check_etag(&headers, &present.status);
    owned(async move { warnings.set_status(&uuid, &put.status, check).await }).await?;
    announce(&request, action);
    Ok(Reply::empty())
}

/// `DELETE {uuid}`.
pub async fn delete(request: Request) -> Result<Reply> {
    let (warnings, uuid) = (request.services.warnings.clone(), request.param(0).to_owned());
    owned(async move { warnings.delete(&uuid).await }).await?;
    announce(&request, "warning-deleted");
    Ok(Reply::empty())
}

fn announce(request: &Request, action: &str) {
    let source = url::of("warnings", request.param(0), "");
    request.services.events.announce("default", action, source, &request.caller.requestor());
}
