//! `/1.0/instances`, also as `/1.0/containers` and `/1.0/virtual-machines`.

use serde::Serialize;
use serde_json::Value;

use super::{list as render_list, overlay, url};
use crate::api::request::{Request, owned};
use crate::api::response::{Reply, check_etag};
use crate::api::types::{Instance, InstancePost, InstancePut, InstancesPost};
use crate::runtime::instances::{Depth, Scope};
use crate::{Error, Kind, Result};

/// What `If-Match` protects.
fn protected(i: &Instance) -> impl Serialize {
    (i.architecture.clone(), i.config.clone(), i.devices.clone(), i.ephemeral, i.profiles.clone())
}

/// The kind of instance an old spelling of the path asks for.
pub(super) fn kind_of_path(path: &str) -> Option<&'static str> {
    match path.split('/').nth(2) {
        Some("containers") => Some("container"),
        Some("virtual-machines") => Some("virtual-machine"),
        _ => None,
    }
}

/// Refuses an instance under the old spelling of the other kind: a container isn't found below `/virtual-machines`. And a
/// snapshot in the place of an instance.
///
/// # Errors
/// [`Kind::NotFound`]; [`Kind::Invalid`] with LXD's text.
pub fn fits_its_path(request: &Request) -> Result<()> {
    let instances = matches!(request.path.split('/').nth(2), Some("instances" | "containers" | "virtual-machines"));
    let Some(name) = request.params.first().filter(|_| instances) else { return Ok(()) };
    if name.contains('/') {
        return Err(Error::invalid("Invalid instance name"));
    }
    let Some(kind) = kind_of_path(&request.path) else { return Ok(()) };
    match request.services.instances.kind_of(&request.project_name(), name) {
        Ok(found) if found != kind => Err(Error::not_found("Instance not found")),
        _ => Ok(()),
    }
}

/// `GET`: URLs, objects with `recursion=1`, objects with state and snapshots with `recursion=2`.
pub async fn list(request: Request) -> Result<Reply> {
    let all = request.query.flag("all-projects");
    if all && request.query.get("project").is_some_and(|p| !p.is_empty()) {
        return Err(Error::invalid("Cannot specify a project when requesting all projects"));
    }
    let kind = kind_of_path(&request.path).or_else(|| request.query.get("instance-type").filter(|k| !k.is_empty()));
    let scope = Scope { project: (!all).then(|| request.project_name()), kind: kind.map(str::to_owned) };
    let instances = request.services.instances.clone();
    if request.recursion() < 2 {
        let list = instances.list(&scope)?;
        let kind = request.path.split('/').nth(2).unwrap_or("instances").to_owned();
        return render_list(&request, &list, |i| url::of(&kind, &i.name, &i.project));
    }
    let full = instances.list_full(&scope).await?;
    render_list(&request, &full, |i| url::of("instances", &i.instance.name, &i.instance.project))
}

/// `POST`: a new instance, in the background.
pub async fn create(mut request: Request) -> Result<Reply> {
    let project = request.project()?;
    if request.headers.get("content-type").is_some_and(|t| t == "application/octet-stream") {
        return super::backups::import(request).await;
    }
    let mut post: InstancesPost = request.json().await?;
    if let (true, Some(kind)) = (post.kind.is_empty(), kind_of_path(&request.path)) {
        post.kind = kind.into();
    }
    let operation = request.services.instances.create(&project, post, request.caller.requestor())?;
    Ok(Reply::operation(operation))
}

/// `GET {name}`; with `recursion=1` also its state and snapshots.
pub async fn get(request: Request) -> Result<Reply> {
    let (project, name) = (request.project_name(), request.param(0));
    let depth = if request.recursion() > 0 { Depth::Full } else { Depth::Plain };
    let full = request.services.instances.get(&project, name, depth).await?;
    match depth {
        Depth::Full => Reply::with_etag(&full, &protected(&full.instance)),
        Depth::Plain => Reply::with_etag(&full.instance, &protected(&full.instance)),
    }
}

/// `PUT {name}`: replaces its configuration, in the background.
pub async fn put(mut request: Request) -> Result<Reply> {
    let (project, name) = (request.project()?, request.param(0).to_owned());
    let put: InstancePut = request.json().await?;
    let instances = request.services.instances.clone();
    if !put.restore.is_empty() {
        let by = request.caller.requestor();
        return Ok(Reply::operation(instances.restore(&project, &name, (&put.restore, put.stateful), by)?));
    }
    let present = instances.get(&project, &name, Depth::Plain).await?.instance;
    check_etag(&request.headers, &protected(&present))?;
    instances.require_profiles(&project, &put.profiles)?;
    let headers = request.headers.clone();
    let decide = move |present: &Instance| {
        check_etag(&headers, &protected(present))?;
        Ok(put.clone())
    };
    Ok(Reply::operation(instances.update_operation(&project, &name, decide, request.caller.requestor())?))
}

/// `PATCH {name}`: changes what is named, at once.
pub async fn patch(mut request: Request) -> Result<Reply> {
    let (project, name) = (request.project()?, request.param(0).to_owned());
    let patch = request.patch::<InstancePut>().await?;
    if patch.get("restore").and_then(Value::as_str).is_some_and(|snapshot| !snapshot.is_empty()) {
        return Err(Error::invalid("Can't call PATCH in restore mode."));
    }
    let (instances, by, headers) =
        (request.services.instances.clone(), request.caller.requestor(), request.headers.clone());
    let decide = move |present: &Instance| {
        check_etag(&headers, &protected(present))?;
        overlay(&editable(present), patch.clone())
    };
    let changed = owned(async move { instances.update(&project, &name, decide, by).await }).await;
    // LXD answers 500 to wrong values here, and 400 elsewhere.
    changed.map_err(|e| if e.kind() == Kind::Invalid { e.with_kind(Kind::Internal) } else { e })?;
    Ok(Reply::empty())
}

fn editable(i: &Instance) -> InstancePut {
    InstancePut {
        architecture: i.architecture.clone(),
        config: i.config.clone(),
        devices: i.devices.clone(),
        ephemeral: i.ephemeral,
        profiles: i.profiles.clone(),
        restore: String::new(),
        stateful: i.stateful,
        description: i.description.clone(),
    }
}

/// `POST {name}`: renames it, in the background.
pub async fn rename(mut request: Request) -> Result<Reply> {
    let (project, name) = (request.project()?, request.param(0).to_owned());
    let post: InstancePost = request.json().await?;
    let instances = &request.services.instances;
    instances.get(&project, &name, Depth::Plain).await?;
    if !post.project.is_empty() && post.project != project {
        return Err(Error::unsupported("Moving an instance to another project"));
    }
    if post.migration && !post.pool.is_empty() {
        return Ok(Reply::operation(instances.relocate(&project, &name, post, request.caller.requestor())?));
    }
    if post.migration {
        return Err(Error::unsupported("Migrating an instance"));
    }
    Ok(Reply::operation(instances.rename(&project, &name, &post.name, request.caller.requestor())?))
}

/// `DELETE {name}`, in the background.
pub async fn delete(request: Request) -> Result<Reply> {
    let (project, name) = (request.project()?, request.param(0).to_owned());
    Ok(Reply::operation(request.services.instances.delete(&project, &name, request.caller.requestor())?))
}
