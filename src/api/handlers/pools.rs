//! `/1.0/storage-pools`.

use super::{list as render_list, overlay, url};
use crate::Result;
use crate::api::request::{Request, owned};
use crate::api::response::{Reply, check_etag};
use crate::api::types::{StoragePool, StoragePoolPut, StoragePoolsPost};

fn protected(pool: &StoragePool) -> impl serde::Serialize {
    (pool.name.clone(), pool.driver.clone(), pool.description.clone(), pool.config.clone())
}

/// `GET`.
pub async fn list(request: Request) -> Result<Reply> {
    render_list(&request, &request.services.pools.list()?, |p| url::of("storage-pools", &p.name, ""))
}

/// `POST`: a new pool.
pub async fn create(mut request: Request) -> Result<Reply> {
    let post: StoragePoolsPost = request.json().await?;
    let url = url::of("storage-pools", &post.name, "");
    let (pools, by) = (request.services.pools.clone(), request.caller.requestor());
    owned(async move { pools.create(post, by).await }).await?;
    Ok(Reply::Created(url))
}

/// `GET {pool}`. LXD sends no ETag here.
pub async fn get(request: Request) -> Result<Reply> {
    Reply::sync(&request.services.pools.get(request.param(0))?)
}

/// `PUT {pool}`: replaces its configuration.
pub async fn put(mut request: Request) -> Result<Reply> {
    let put: StoragePoolPut = request.json().await?;
    change(request, move |_| Ok(put.clone())).await
}

/// `PATCH {pool}`: changes what is named.
pub async fn patch(mut request: Request) -> Result<Reply> {
    let patch = request.patch::<StoragePoolPut>().await?;
    change(request, move |pool| {
        let present = StoragePoolPut { config: pool.config.clone(), description: pool.description.clone() };
        overlay(&present, patch.clone())
    })
    .await
}

async fn change(
    request: Request,
    new: impl Fn(&StoragePool) -> Result<StoragePoolPut> + Send + Sync + 'static,
) -> Result<Reply> {
    let (pools, name) = (request.services.pools.clone(), request.param(0).to_owned());
    let (by, headers) = (request.caller.requestor(), request.headers.clone());
    let decide = move |present: &StoragePool| {
        check_etag(&headers, &protected(present))?;
        new(present)
    };
    owned(async move { pools.update(&name, decide, by).await }).await?;
    Ok(Reply::empty())
}

/// `DELETE {pool}`.
pub async fn delete(request: Request) -> Result<Reply> {
    let (pools, name) = (request.services.pools.clone(), request.param(0).to_owned());
    let by = request.caller.requestor();
    owned(async move { pools.delete(&name, by).await }).await?;
    Ok(Reply::empty())
}

/// `GET {pool}/resources`: used and total space.
pub async fn resources(request: Request) -> Result<Reply> {
    Reply::sync(&request.services.pools.resources(request.param(0)).await?)
}
