//! `/1.0/images` but for their files and aliases.

use super::{list as render_list, overlay, url};
use crate::api::request::{Request, owned};
use crate::api::response::{Reply, check_etag};
use crate::api::types::{Image, ImagePut};
use crate::{Error, Result};

fn protected(image: &Image) -> impl serde::Serialize {
    (image.public, image.auto_update, image.properties.clone())
}

/// `GET`.
pub async fn list(request: Request) -> Result<Reply> {
    let project = request.project()?;
    let mut images = request.services.images.list(&project)?;
    images.retain(|image| image.public || request.caller.trusted);
    render_list(&request, &images, |i| url::of("images", &i.fingerprint, &project))
}

/// The image if the caller may see it: of one that isn't public a stranger isn't even told that it is there.
pub fn visible(request: &Request, found: Result<Image>) -> Result<Image> {
    match request.caller.trusted {
        true => found,
        false => found.ok().filter(|image| image.public).ok_or_else(|| Error::not_found("Image not found")),
    }
}

/// The image of the path if the caller may see it, maybe because he knows a secret for it, which is then `used`.
pub fn opened(request: &Request, used: bool) -> Result<Image> {
    let project = request.project_name();
    let found = request.services.images.get(&project, request.param(0));
    let secret = request.query.get("secret").filter(|secret| !secret.is_empty());
    match (&found, secret) {
        (Ok(image), Some(secret)) if request.services.images.is_opened(&project, image, secret, used) => found,
        _ => visible(request, found),
    }
}

/// `GET {fingerprint}`, which may be cut short as long as it names one image.
pub async fn get(request: Request) -> Result<Reply> {
    let image = opened(&request, false)?;
    Reply::with_etag(&image, &protected(&image))
}

/// `PUT {fingerprint}`: replaces what can be edited.
pub async fn put(mut request: Request) -> Result<Reply> {
    let put: ImagePut = request.json().await?;
    change(request, move |_| Ok(put.clone())).await
}

/// `PATCH {fingerprint}`: changes what is named.
pub async fn patch(mut request: Request) -> Result<Reply> {
    let patch = request.patch::<ImagePut>().await?;
    change(request, move |image| {
        let present = ImagePut {
            auto_update: image.auto_update,
            properties: image.properties.clone(),
            public: image.public,
            expires_at: image.expires_at,
            profiles: Some(image.profiles.clone()),
        };
        overlay(&present, patch.clone())
    })
    .await
}

async fn change(request: Request, new: impl Fn(&Image) -> Result<ImagePut> + Send + Sync + 'static) -> Result<Reply> {
    let (project, fingerprint) = (request.project()?, request.param(0).to_owned());
    let (images, by, headers) = (request.services.images.clone(), request.caller.requestor(), request.headers.clone());
    let decide = move |present: &Image| {
        check_etag(&headers, &protected(present))?;
        new(present)
    };
    owned(async move { images.update(&project, &fingerprint, decide, by).await }).await?;
    Ok(Reply::empty())
}

/// `DELETE {fingerprint}`, in the background.
pub async fn delete(request: Request) -> Result<Reply> {
    let project = request.project()?;
    let images = &request.services.images;
    Ok(Reply::operation(images.delete(&project, request.param(0), request.caller.requestor())?))
}

/// `POST {fingerprint}/refresh`: refused until image servers come.
pub async fn refresh(request: Request) -> Result<Reply> {
    request.services.images.get(&request.project()?, request.param(0))?;
    Err(Error::unsupported("Refreshing an image from its server"))
}

/// `POST {fingerprint}/secret`: a secret by which a stranger may fetch the image once.
pub async fn secret(request: Request) -> Result<Reply> {
    let project = request.project()?;
    let images = &request.services.images;
    Ok(Reply::operation(images.secret(&project, request.param(0), request.caller.requestor())?))
}
