//! `/1.0/network-zones` and the records below them.

use super::{list as render_list, overlay, url};
use crate::Result;
use crate::api::request::{Request, owned};
use crate::api::response::{Reply, check_etag};
use crate::api::types::{
    NetworkZone, NetworkZonePut, NetworkZoneRecord, NetworkZoneRecordPut, NetworkZoneRecordsPost, NetworkZonesPost,
};

/// What `If-Match` protects.
fn protected(z: &NetworkZone) -> impl serde::Serialize {
    (z.name.clone(), z.description.clone(), z.config.clone())
}

fn protected_record(r: &NetworkZoneRecord) -> impl serde::Serialize {
    (r.name.clone(), r.description.clone(), r.config.clone(), r.entries.clone())
}

/// `@` stands as it is, as in LXD.
fn place(zone: &str, name: &str, project: &str) -> String {
    url::of(&format!("network-zones/{}/records", url::encode(zone)), name, project).replace("%40", "@")
}

/// `GET`.
pub async fn list(request: Request) -> Result<Reply> {
    let project = request.project()?;
    let zones = request.services.networks.zones(&project)?;
    render_list(&request, &zones, |z| url::of("network-zones", &z.name, &project))
}

/// `POST`: a new zone.
pub async fn create(mut request: Request) -> Result<Reply> {
    let project = request.project()?;
    let post: NetworkZonesPost = request.json().await?;
    let url = url::of("network-zones", &post.name, &project);
    let (networks, by) = (request.services.networks.clone(), request.caller.requestor());
    owned(async move { networks.create_zone(&project, post, by).await }).await?;
    Ok(Reply::Created(url))
}

/// `GET {zone}`.
pub async fn get(request: Request) -> Result<Reply> {
    let zone = request.services.networks.zone(&request.project()?, request.param(0))?;
    Reply::with_etag(&zone, &protected(&zone))
}

/// `PUT {zone}`: replaces its configuration.
pub async fn put(mut request: Request) -> Result<Reply> {
    let put: NetworkZonePut = request.json().await?;
    change(request, move |_| Ok(put.clone())).await
}

/// `PATCH {zone}`: changes what is named.
pub async fn patch(mut request: Request) -> Result<Reply> {
    let patch = request.patch::<NetworkZonePut>().await?;
    change(request, move |z| {
        overlay(&NetworkZonePut { description: z.description.clone(), config: z.config.clone() }, patch.clone())
    })
    .await
}

async fn change(
    request: Request,
    new: impl Fn(&NetworkZone) -> Result<NetworkZonePut> + Send + Sync + 'static,
) -> Result<Reply> {
    let (project, name) = (request.project()?, request.param(0).to_owned());
    let (networks, by, headers) =
        (request.services.networks.clone(), request.caller.requestor(), request.headers.clone());
    let decide = move |present: &NetworkZone| {
        check_etag(&headers, &protected(present))?;
        new(present)
    };
    owned(async move { networks.update_zone(&project, &name, decide, by).await }).await?;
    Ok(Reply::empty())
}

/// `DELETE {zone}`.
pub async fn delete(request: Request) -> Result<Reply> {
    let (project, name) = (request.project()?, request.param(0).to_owned());
    let (networks, by) = (request.services.networks.clone(), request.caller.requestor());
    owned(async move { networks.delete_zone(&project, &name, by).await }).await?;
    Ok(Reply::empty())
}

/// `GET {zone}/records`.
pub async fn records(request: Request) -> Result<Reply> {
    let (project, zone) = (request.project()?, request.param(0).to_owned());
    let records = request.services.networks.zone_records(&project, &zone)?;
    render_list(&request, &records, |r| place(&zone, &r.name, &project))
}

/// `POST {zone}/records`: a new record.
pub async fn create_record(mut request: Request) -> Result<Reply> {
    let (project, zone) = (request.project()?, request.param(0).to_owned());
    let post: NetworkZoneRecordsPost = request.json().await?;
    let url = place(&zone, &post.name, &project);
    let (networks, by) = (request.services.networks.clone(), request.caller.requestor());
    owned(async move { networks.create_zone_record(&project, &zone, post, by).await }).await?;
    Ok(Reply::Created(url))
}

/// `GET {zone}/records/{name}`.
pub async fn get_record(request: Request) -> Result<Reply> {
    let project = request.project()?;
    let record = request.services.networks.zone_record(&project, request.param(0), request.param(1))?;
    Reply::with_etag(&record, &protected_record(&record))
}

/// `PUT {zone}/records/{name}`: replaces it.
pub async fn put_record(mut request: Request) -> Result<Reply> {
    let put: NetworkZoneRecordPut = request.json().await?;
    change_record(request, move |_| Ok(put.clone())).await
}

/// `PATCH {zone}/records/{name}`: changes what is named.
pub async fn patch_record(mut request: Request) -> Result<Reply> {
    let patch = request.patch::<NetworkZoneRecordPut>().await?;
    change_record(request, move |r| {
        let present = NetworkZoneRecordPut {
            description: r.description.clone(),
            entries: r.entries.clone(),
            config: r.config.clone(),
        };
        overlay(&present, patch.clone())
    })
    .await
}

async fn change_record(
    request: Request,
    new: impl Fn(&NetworkZoneRecord) -> Result<NetworkZoneRecordPut> + Send + Sync + 'static,
) -> Result<Reply> {
    let (project, zone, name) = (request.project()?, request.param(0).to_owned(), request.param(1).to_owned());
    let (networks, by, headers) =
        (request.services.networks.clone(), request.caller.requestor(), request.headers.clone());
    let decide = move |present: &NetworkZoneRecord| {
        check_etag(&headers, &protected_record(present))?;
        new(present)
    };
    owned(async move { networks.update_zone_record(&project, (&zone, &name), decide, by).await }).await?;
    Ok(Reply::empty())
}

/// `DELETE {zone}/records/{name}`.
pub async fn delete_record(request: Request) -> Result<Reply> {
    let (project, zone, name) = (request.project()?, request.param(0).to_owned(), request.param(1).to_owned());
    let (networks, by) = (request.services.networks.clone(), request.caller.requestor());
    owned(async move { networks.delete_zone_record(&project, &zone, &name, by).await }).await?;
    Ok(Reply::empty())
}
