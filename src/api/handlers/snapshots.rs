//! `/1.0/instances/{name}/snapshots`.

use super::{list as render_list, url};
use crate::api::request::Request;
use crate::api::response::{Reply, check_etag};
use crate::api::types::{InstanceSnapshot, InstanceSnapshotPost, InstanceSnapshotPut, InstanceSnapshotsPost};
use crate::{Error, Result};

/// What `If-Match` protects.
fn protected(s: &InstanceSnapshot) -> impl serde::Serialize {
    s.expires_at
}

/// `GET`: URLs, objects with `recursion=1`.
pub async fn list(request: Request) -> Result<Reply> {
    let (project, instance) = (request.project()?, request.param(0).to_owned());
    let snapshots = request.services.instances.snapshots(&project, &instance)?;
    render_list(&request, &snapshots, |s| url::snapshot(&project, &instance, &s.name))
}

/// `POST`: a new one, in the background.
pub async fn create(mut request: Request) -> Result<Reply> {
    let (project, instance) = (request.project()?, request.param(0).to_owned());
    let instances = request.services.instances.clone();
    instances.kind_of(&project, &instance)?;
    let post: InstanceSnapshotsPost = request.json().await?;
    Ok(Reply::operation(instances.create_snapshot(&project, &instance, post, request.caller.requestor())?))
}

/// `GET {snapshot}`.
pub async fn get(request: Request) -> Result<Reply> {
    let project = request.project()?;
    let snapshot = request.services.instances.snapshot(&project, request.param(0), request.param(1))?;
    Reply::with_etag(&snapshot, &protected(&snapshot))
}

/// `PUT` and `PATCH {snapshot}`: changes when it may go, in the background.
pub async fn put(mut request: Request) -> Result<Reply> {
    let (project, instance, name) = names(&request)?;
    let instances = request.services.instances.clone();
    let present = instances.snapshot(&project, &instance, &name)?;
    check_etag(&request.headers, &protected(&present))?;
    let put: InstanceSnapshotPut = request.json().await?;
    let by = request.caller.requestor();
    Ok(Reply::operation(instances.update_snapshot((&project, &instance, &name), put.expires_at, by)?))
}

/// `POST {snapshot}`: renames it, in the background.
pub async fn rename(mut request: Request) -> Result<Reply> {
    let (project, instance, name) = names(&request)?;
    let instances = request.services.instances.clone();
    instances.snapshot(&project, &instance, &name)?;
    let post: InstanceSnapshotPost = request.json().await?;
    if post.migration {
        return Err(Error::unsupported("Migrating a snapshot"));
    }
    let by = request.caller.requestor();
    Ok(Reply::operation(instances.rename_snapshot((&project, &instance, &name), &post.name, by)?))
}

/// `DELETE {snapshot}`, in the background.
pub async fn delete(request: Request) -> Result<Reply> {
    let (project, instance, name) = names(&request)?;
    let by = request.caller.requestor();
    Ok(Reply::operation(request.services.instances.delete_snapshot((&project, &instance, &name), by)?))
}

fn names(request: &Request) -> Result<(String, String, String)> {
    Ok((request.project()?, request.param(0).to_owned(), request.param(1).to_owned()))
}
