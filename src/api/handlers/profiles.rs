//! `/1.0/profiles`.

use super::{list as render_list, overlay, url};
use crate::api::request::{Request, owned};
use crate::api::response::{Reply, check_etag};
use crate::api::types::{Profile, ProfilePut, ProfilesPost, RenamePost};
use crate::{Kind, Result};

/// What `If-Match` protects.
fn protected(p: &Profile) -> impl serde::Serialize {
    (p.config.clone(), p.description.clone(), p.devices.clone())
}

/// `GET`.
pub async fn list(request: Request) -> Result<Reply> {
    let project = request.project()?;
    let profiles = request.services.profiles.list(&project)?;
    render_list(&request, &profiles, |p| url::of("profiles", &p.name, &project))
}

/// `POST`: a new profile.
pub async fn create(mut request: Request) -> Result<Reply> {
    let project = request.project()?;
    let post: ProfilesPost = request.json().await?;
    let url = url::of("profiles", &post.name, &project);
    let (profiles, by) = (request.services.profiles.clone(), request.caller.requestor());
    owned(async move { profiles.create(&project, post, by).await }).await?;
    Ok(Reply::Created(url))
}

/// `GET {name}`.
pub async fn get(request: Request) -> Result<Reply> {
    let profile = request.services.profiles.get(&request.project_name(), request.param(0));
    // LXD puts this before the store's text here, and only here.
    let profile = profile.map_err(|e| match e.kind() {
        Kind::NotFound => crate::Error::not_found(format!("Fetch profile: {e}")),
        _ => e,
    })?;
    Reply::with_etag(&profile, &protected(&profile))
}

/// `PUT {name}`: replaces it.
pub async fn put(mut request: Request) -> Result<Reply> {
    let put: ProfilePut = request.json().await?;
    change(request, move |_| Ok(put.clone())).await
}

/// `PATCH {name}`: changes what is named.
pub async fn patch(mut request: Request) -> Result<Reply> {
    let patch = request.patch::<ProfilePut>().await?;
    change(request, move |p| {
        let present =
            ProfilePut { config: p.config.clone(), description: p.description.clone(), devices: p.devices.clone() };
        overlay(&present, patch.clone())
    })
    .await
}

async fn change(
    request: Request,
    new: impl Fn(&Profile) -> Result<ProfilePut> + Send + Sync + 'static,
) -> Result<Reply> {
    let (project, name) = (request.project()?, request.param(0).to_owned());
    let (profiles, by, headers) =
        (request.services.profiles.clone(), request.caller.requestor(), request.headers.clone());
    let decide = move |present: &Profile| {
        check_etag(&headers, &protected(present))?;
        new(present)
    };
    owned(async move { profiles.update(&project, &name, decide, by).await }).await?;
    Ok(Reply::empty())
}

/// `POST {name}`: renames it.
pub async fn rename(mut request: Request) -> Result<Reply> {
    let (project, name) = (request.project()?, request.param(0).to_owned());
    let post: RenamePost = request.json().await?;
    let url = url::of("profiles", &post.name, &project);
    let (profiles, by) = (request.services.profiles.clone(), request.caller.requestor());
    owned(async move { profiles.rename(&project, &name, &post.name, by).await }).await?;
    Ok(Reply::Created(url))
}

/// `DELETE {name}`.
pub async fn delete(request: Request) -> Result<Reply> {
    let (project, name) = (request.project()?, request.param(0).to_owned());
    let (profiles, by) = (request.services.profiles.clone(), request.caller.requestor());
    owned(async move { profiles.delete(&project, &name, by).await }).await?;
    Ok(Reply::empty())
}
