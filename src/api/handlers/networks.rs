//! `/1.0/networks`.

use super::{list as render_list, overlay, url};
use crate::api::request::{Request, owned};
use crate::api::response::{Reply, check_etag};
use crate::api::types::{Network, NetworkPut, NetworksPost, RenamePost};
use crate::runtime::{blocking, host};
use crate::{Error, Result};

/// What `If-Match` protects.
fn protected(n: &Network) -> impl serde::Serialize {
    (n.name.clone(), n.managed, n.kind.clone(), n.description.clone(), n.config.clone())
}

/// `GET`.
pub async fn list(request: Request) -> Result<Reply> {
    let project = request.project()?;
    let networks = request.services.networks.list(&project).await?;
    render_list(&request, &networks, |n| url::of("networks", &n.name, &project))
}

/// `POST`: a new network.
pub async fn create(mut request: Request) -> Result<Reply> {
    let project = request.project()?;
    let post: NetworksPost = request.json().await?;
    let url = url::of("networks", &post.name, &project);
    let (networks, by) = (request.services.networks.clone(), request.caller.requestor());
    owned(async move { networks.create(&project, post, by).await }).await?;
    Ok(Reply::Created(url))
}

/// `GET {name}`.
pub async fn get(request: Request) -> Result<Reply> {
    let network = request.services.networks.get(&request.project()?, request.param(0)).await?;
    Reply::with_etag(&network, &protected(&network))
}

/// `PUT {name}`: replaces its configuration.
pub async fn put(mut request: Request) -> Result<Reply> {
    let put: NetworkPut = request.json().await?;
    change(request, move |_| Ok(put.clone())).await
}

/// `PATCH {name}`: changes what is named.
pub async fn patch(mut request: Request) -> Result<Reply> {
    let patch = request.patch::<NetworkPut>().await?;
    change(request, move |n| {
        let present = NetworkPut { config: n.config.clone(), description: n.description.clone() };
        overlay(&present, patch.clone())
    })
    .await
}

async fn change(
    request: Request,
    new: impl Fn(&Network) -> Result<NetworkPut> + Send + Sync + 'static,
) -> Result<Reply> {
    let (project, name) = (request.project()?, request.param(0).to_owned());
    let (networks, by, headers) =
        (request.services.networks.clone(), request.caller.requestor(), request.headers.clone());
    let decide = move |present: &Network| {
        check_etag(&headers, &protected(present))?;
        new(present)
    };
    owned(async move { networks.update(&project, &name, decide, by).await }).await?;
    Ok(Reply::empty())
}

/// `POST {name}`: renames it.
pub async fn rename(mut request: Request) -> Result<Reply> {
    let (project, name) = (request.project()?, request.param(0).to_owned());
    let post: RenamePost = request.json().await?;
    let url = url::of("networks", &post.name, &project);
    let (networks, by) = (request.services.networks.clone(), request.caller.requestor());
    owned(async move { networks.rename(&project, &name, &post.name, by).await }).await?;
    Ok(Reply::Created(url))
}

/// `DELETE {name}`.
pub async fn delete(request: Request) -> Result<Reply> {
    let (project, name) = (request.project()?, request.param(0).to_owned());
    let (networks, by) = (request.services.networks.clone(), request.caller.requestor());
    owned(async move { networks.delete(&project, &name, by).await }).await?;
    Ok(Reply::empty())
}

/// `GET {name}/state`.
pub async fn state(request: Request) -> Result<Reply> {
    let name = request.param(0).to_owned();
    Reply::sync(&blocking(move || host::networks::state(&host::Tree::host(), &name)).await?)
}

/// `GET {name}/leases`.
pub async fn leases(request: Request) -> Result<Reply> {
    Reply::sync(&request.services.networks.leases(&request.project()?, request.param(0)).await?)
}

/// All of `{name}/peers`: only OVN networks have peers.
pub async fn peers(request: Request) -> Result<Reply> {
    let kind = request.services.networks.kind(&request.project()?, request.param(0))?;
    Err(Error::invalid(format!("Network driver {kind:?} does not support peering")))
}
