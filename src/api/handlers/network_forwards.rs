//! `/1.0/networks/{network}/forwards`.

use super::{list as render_list, overlay, url};
use crate::Result;
use crate::api::request::{Request, owned};
use crate::api::response::{Reply, check_etag};
use crate::api::types::{NetworkForward, NetworkForwardPut, NetworkForwardsPost};

/// What `If-Match` protects.
fn protected(f: &NetworkForward) -> impl serde::Serialize {
    (f.listen_address.clone(), f.description.clone(), f.config.clone(), f.ports.clone())
}

/// LXD leaves the colons of IPv6 as they are.
fn place(network: &str, address: &str) -> String {
    format!("/1.0/networks/{}/forwards/{address}", url::encode(network))
}

/// `GET`.
pub async fn list(request: Request) -> Result<Reply> {
    let network = request.param(0).to_owned();
    let forwards = request.services.networks.forwards(&request.project()?, &network)?;
    render_list(&request, &forwards, |f| place(&network, &f.listen_address))
}

/// `POST`: a new forward.
pub async fn create(mut request: Request) -> Result<Reply> {
    let (project, network) = (request.project()?, request.param(0).to_owned());
    let post: NetworkForwardsPost = request.json().await?;
    let (networks, by) = (request.services.networks.clone(), request.caller.requestor());
    let url = owned(async move {
        let address = networks.create_forward(&project, &network, post, by).await?;
        Ok(place(&network, &address))
    });
    Ok(Reply::Created(url.await?))
}

/// `GET {address}`.
pub async fn get(request: Request) -> Result<Reply> {
    let project = request.project()?;
    let forward = request.services.networks.forward(&project, request.param(0), request.param(1))?;
    Reply::with_etag(&forward, &protected(&forward))
}

/// `PUT {address}`: replaces it.
pub async fn put(mut request: Request) -> Result<Reply> {
    let put: NetworkForwardPut = request.json().await?;
    change(request, move |_| Ok(put.clone())).await
}

/// `PATCH {address}`: changes what is named.
pub async fn patch(mut request: Request) -> Result<Reply> {
    let patch = request.patch::<NetworkForwardPut>().await?;
    change(request, move |f| {
        let present =
            NetworkForwardPut { description: f.description.clone(), config: f.config.clone(), ports: f.ports.clone() };
        overlay(&present, patch.clone())
    })
    .await
}

async fn change(
    request: Request,
    new: impl Fn(&NetworkForward) -> Result<NetworkForwardPut> + Send + Sync + 'static,
) -> Result<Reply> {
    let (project, network, address) = (request.project()?, request.param(0).to_owned(), request.param(1).to_owned());
    let (networks, by, headers) =
        (request.services.networks.clone(), request.caller.requestor(), request.headers.clone());
    let decide = move |present: &NetworkForward| {
        check_etag(&headers, &protected(present))?;
        new(present)
    };
    owned(async move { networks.update_forward(&project, (&network, &address), decide, by).await }).await?;
    Ok(Reply::empty())
}

/// `DELETE {address}`.
pub async fn delete(request: Request) -> Result<Reply> {
    let (project, network, address) = (request.project()?, request.param(0).to_owned(), request.param(1).to_owned());
    let (networks, by) = (request.services.networks.clone(), request.caller.requestor());
    owned(async move { networks.delete_forward(&project, &network, &address, by).await }).await?;
    Ok(Reply::empty())
}
