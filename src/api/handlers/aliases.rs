//! `/1.0/images/aliases`.

use super::images::visible;
use super::{list as render_list, overlay, url};
use crate::api::request::{Request, owned};
use crate::api::response::{Reply, check_etag};
use crate::api::types::{ImageAliasesEntry, ImageAliasesEntryPut, RenamePost};
use crate::{Error, Result};

fn protected(alias: &ImageAliasesEntry) -> impl serde::Serialize {
    (alias.name.clone(), alias.target.clone(), alias.description.clone())
}

/// `GET`.
pub async fn list(request: Request) -> Result<Reply> {
    let project = request.project()?;
    let aliases = request.services.images.aliases(&project)?;
    render_list(&request, &aliases, |a| url::of("images/aliases", &a.name, &project))
}

/// `POST`: a new alias.
pub async fn create(mut request: Request) -> Result<Reply> {
    let project = request.project()?;
    let post: ImageAliasesEntry = request.json().await?;
    let url = url::of("images/aliases", &post.name, &project);
    let (images, by) = (request.services.images.clone(), request.caller.requestor());
    owned(async move { images.create_alias(&project, post, by).await }).await?;
    Ok(Reply::Created(url))
}

/// `GET {name}`.
pub async fn get(request: Request) -> Result<Reply> {
    let alias = request.services.images.alias(&request.project_name(), request.param(0))?;
    let image = || request.services.images.get(&request.project_name(), &alias.target);
    if !request.caller.trusted && visible(&request, image()).is_err() {
        return Err(Error::not_found("Image alias not found"));
    }
    Reply::with_etag(&alias, &protected(&alias))
}

/// `PUT {name}`: replaces it.
pub async fn put(mut request: Request) -> Result<Reply> {
    let put: ImageAliasesEntryPut = request.json().await?;
    change(request, move |_| Ok(put.clone())).await
}

/// `PATCH {name}`: changes what is named.
pub async fn patch(mut request: Request) -> Result<Reply> {
    let patch = request.patch::<ImageAliasesEntryPut>().await?;
    change(request, move |alias| {
        let present = ImageAliasesEntryPut { description: alias.description.clone(), target: alias.target.clone() };
        overlay(&present, patch.clone())
    })
    .await
}

async fn change(
    request: Request,
    new: impl Fn(&ImageAliasesEntry) -> Result<ImageAliasesEntryPut> + Send + Sync + 'static,
) -> Result<Reply> {
    let (project, name) = (request.project()?, request.param(0).to_owned());
    let (images, by, headers) = (request.services.images.clone(), request.caller.requestor(), request.headers.clone());
    let decide = move |present: &ImageAliasesEntry| {
        check_etag(&headers, &protected(present))?;
        new(present)
    };
    owned(async move { images.update_alias(&project, &name, decide, by).await }).await?;
    Ok(Reply::empty())
}

/// `POST {name}`: renames it.
pub async fn rename(mut request: Request) -> Result<Reply> {
    let (project, name) = (request.project()?, request.param(0).to_owned());
    let post: RenamePost = request.json().await?;
    let url = url::of("images/aliases", &post.name, &project);
    let (images, by) = (request.services.images.clone(), request.caller.requestor());
    owned(async move { images.rename_alias(&project, &name, &post.name, by).await }).await?;
    Ok(Reply::Created(url))
}

/// `DELETE {name}`.
pub async fn delete(request: Request) -> Result<Reply> {
    let (project, name) = (request.project()?, request.param(0).to_owned());
    let (images, by) = (request.services.images.clone(), request.caller.requestor());
    owned(async move { images.delete_alias(&project, &name, by).await }).await?;
    Ok(Reply::empty())
}
