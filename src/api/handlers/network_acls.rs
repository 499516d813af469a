//! `/1.0/network-acls`.

use super::{list as render_list, overlay, url};
use crate::Result;
use crate::api::request::{Request, owned};
use crate::api::response::{Reply, check_etag};
use crate::api::types::{NetworkAcl, NetworkAclPut, NetworkAclsPost, RenamePost};

/// What `If-Match` protects.
fn protected(a: &NetworkAcl) -> impl serde::Serialize {
    (a.name.clone(), a.description.clone(), a.ingress.clone(), a.egress.clone(), a.config.clone())
}

/// `GET`.
pub async fn list(request: Request) -> Result<Reply> {
    let project = request.project()?;
    let acls = request.services.networks.acls(&project)?;
    render_list(&request, &acls, |a| url::of("network-acls", &a.name, &project))
}

/// `POST`: a new access list.
pub async fn create(mut request: Request) -> Result<Reply> {
    let project = request.project()?;
    let post: NetworkAclsPost = request.json().await?;
    let url = url::of("network-acls", &post.name, &project);
    let (networks, by) = (request.services.networks.clone(), request.caller.requestor());
    owned(async move { networks.create_acl(&project, post, by).await }).await?;
    Ok(Reply::Created(url))
}

/// `GET {name}`.
pub async fn get(request: Request) -> Result<Reply> {
    let acl = request.services.networks.acl(&request.project()?, request.param(0))?;
    Reply::with_etag(&acl, &protected(&acl))
}

/// `PUT {name}`: replaces it.
pub async fn put(mut request: Request) -> Result<Reply> {
    let put: NetworkAclPut = request.json().await?;
    change(request, move |_| Ok(put.clone())).await
}

/// `PATCH {name}`: changes what is named.
pub async fn patch(mut request: Request) -> Result<Reply> {
    let patch = request.patch::<NetworkAclPut>().await?;
    change(request, move |a| {
        let present = NetworkAclPut {
            description: a.description.clone(),
            egress: a.egress.clone(),
            ingress: a.ingress.clone(),
            config: a.config.clone(),
        };
        overlay(&present, patch.clone())
    })
    .await
}

async fn change(
    request: Request,
    new: impl Fn(&NetworkAcl) -> Result<NetworkAclPut> + Send + Sync + 'static,
) -> Result<Reply> {
    let (project, name) = (request.project()?, request.param(0).to_owned());
    let (networks, by, headers) =
        (request.services.networks.clone(), request.caller.requestor(), request.headers.clone());
    let decide = move |present: &NetworkAcl| {
        check_etag(&headers, &protected(present))?;
        new(present)
    };
    owned(async move { networks.update_acl(&project, &name, decide, by).await }).await?;
    Ok(Reply::empty())
}

/// `POST {name}`: renames it.
pub async fn rename(mut request: Request) -> Result<Reply> {
    let (project, name) = (request.project()?, request.param(0).to_owned());
    let post: RenamePost = request.json().await?;
    let url = url::of("network-acls", &post.name, &project);
    let (networks, by) = (request.services.networks.clone(), request.caller.requestor());
    owned(async move { networks.rename_acl(&project, &name, &post.name, by).await }).await?;
    Ok(Reply::Created(url))
}

/// `DELETE {name}`.
pub async fn delete(request: Request) -> Result<Reply> {
    let (project, name) = (request.project()?, request.param(0).to_owned());
    let (networks, by) = (request.services.networks.clone(), request.caller.requestor());
    owned(async move { networks.delete_acl(&project, &name, by).await }).await?;
    Ok(Reply::empty())
}

/// `GET {name}/log`.
pub async fn log(request: Request) -> Result<Reply> {
    let text = request.services.networks.acl_log(&request.project()?, request.param(0))?;
    Ok(Reply::bytes("application/octet-stream", text))
}
