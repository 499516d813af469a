//! `/1.0/networks`: the host's own interfaces, until managed networks come.

use super::{list as render_list, url};
use crate::api::response::Reply;
use crate::api::server::Request;
use crate::runtime::{blocking, host};
use crate::{Error, Result};

/// `GET`.
pub async fn list(request: Request) -> Result<Reply> {
    let networks = blocking(host::networks::list).await?;
    render_list(&request, &networks, |n| url::of("networks", &n.name, ""))
}

/// `GET {name}`.
pub async fn get(request: Request) -> Result<Reply> {
    let networks = blocking(host::networks::list).await?;
    let network = networks.into_iter().find(|n| n.name == request.param(0));
    let network = network.ok_or_else(|| Error::not_found("Network not found"))?;
    let protected = (&network.name, network.managed, &network.kind, &network.description, &network.config);
    Reply::with_etag(&network, &protected)
}

/// `GET {name}/state`.
pub async fn state(request: Request) -> Result<Reply> {
    let name = request.param(0).to_owned();
    Reply::sync(&blocking(move || host::networks::state(&name)).await?)
}
