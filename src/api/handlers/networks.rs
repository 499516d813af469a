//! `/1.0/networks`: the host's own interfaces, until managed networks come.

use super::{list as render_list, url};
use crate::Result;
use crate::api::request::Request;
use crate::api::response::Reply;
use crate::runtime::{blocking, host};

/// `GET`.
pub async fn list(request: Request) -> Result<Reply> {
    let networks = blocking(|| Ok(host::networks::list(&host::Tree::host()))).await?;
    render_list(&request, &networks, |n| url::of("networks", &n.name, ""))
}

/// `GET {name}`.
pub async fn get(request: Request) -> Result<Reply> {
    let name = request.param(0).to_owned();
    let network = blocking(move || host::networks::get(&host::Tree::host(), &name)).await?;
    let protected = (&network.name, network.managed, &network.kind, &network.description, &network.config);
    Reply::with_etag(&network, &protected)
}

/// `GET {name}/state`.
pub async fn state(request: Request) -> Result<Reply> {
    let name = request.param(0).to_owned();
    Reply::sync(&blocking(move || host::networks::state(&host::Tree::host(), &name)).await?)
}
