//! `/1.0/instances/{name}/metadata`: an instance's `metadata.yaml` and its templates.

use hyper::StatusCode;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use serde_json::Value;

use super::overlay;
use super::part::{self, Part};
use crate::api::request::{Request, owned};
use crate::api::response::{Reply, check_etag, full, header_value};
use crate::api::types::ImageMetadata;
use crate::{Error, Result};

/// `GET`.
pub async fn get(request: Request) -> Result<Reply> {
    let (project, name) = (request.project_name(), request.param(0));
    match request.services.instances.metadata(&project, name, request.caller.requestor()).await? {
        Some(metadata) => Reply::with_etag(&metadata, &metadata),
        None => Reply::sync(&ImageMetadata::default()),
    }
}

/// `PUT`: replaces it.
pub async fn put(mut request: Request) -> Result<Reply> {
    let put: ImageMetadata = read(&mut request).await?;
    // Also over one that can't be read.
    change(request, move |_| Ok(put)).await
}

/// `PATCH`: changes what is named.
pub async fn patch(mut request: Request) -> Result<Reply> {
    let patch: Value = read(&mut request).await?;
    change(request, move |present| overlay(&present?, patch)).await
}

/// The body, of a request about an instance that exists.
async fn read<T: crate::api::tree::FromTree>(request: &mut Request) -> Result<T> {
    request.services.instances.kind_of(&request.project_name(), request.param(0))?;
    request.json().await
}

async fn change(
    request: Request,
    change: impl FnOnce(Result<ImageMetadata>) -> Result<ImageMetadata> + Send + 'static,
) -> Result<Reply> {
    let (project, name) = (request.project_name(), request.param(0).to_owned());
    let (instances, by, headers) = (request.services.instances.clone(), request.caller.requestor(), request.headers);
    let decide = move |present: Result<Option<ImageMetadata>>| {
        if let Ok(Some(present)) = &present {
            check_etag(&headers, present)?;
        }
        change(present.map(Option::unwrap_or_default))
    };
    owned(async move { instances.set_metadata((&project, &name), decide, by).await }).await?;
    Ok(Reply::empty())
}

/// `GET …/templates`: their names; with `path` the text of one.
pub async fn templates(request: Request) -> Result<Reply> {
    let (project, name) = (request.project_name(), request.param(0));
    let Ok(path) = path(&request) else {
        return Reply::sync(&request.services.instances.templates(&project, name).await?);
    };
    let by = request.caller.requestor();
    let text = request.services.instances.template((&project, name), &path, by).await?;
    let Part { status, mut headers, from, count } = part::asked(&request, text.bytes.len() as u64, text.modified);
    headers.insert(CONTENT_DISPOSITION, header_value(&format!("inline;filename={path}")));
    if status != StatusCode::NOT_MODIFIED {
        headers.insert(CONTENT_TYPE, header_value("application/octet-stream"));
    }
    let bytes = text.bytes[from as usize..(from + count) as usize].to_vec();
    Ok(Reply::Partial { status, headers, body: full(bytes) })
}

/// `POST …/templates`: makes one, or replaces its text.
pub async fn write(mut request: Request) -> Result<Reply> {
    let (project, name) = (request.project_name(), request.param(0).to_owned());
    request.services.instances.kind_of(&project, &name)?;
    let path = path(&request)?;
    let text = request.bytes().await?;
    let (instances, by) = (request.services.instances.clone(), request.caller.requestor());
    owned(async move { instances.write_template((&project, &name), (&path, text), by).await }).await?;
    Ok(Reply::empty())
}

/// `DELETE …/templates`.
pub async fn remove(request: Request) -> Result<Reply> {
    let (project, name) = (request.project_name(), request.param(0).to_owned());
    request.services.instances.kind_of(&project, &name)?;
    let path = path(&request)?;
    let (instances, by) = (request.services.instances.clone(), request.caller.requestor());
    owned(async move { instances.remove_template((&project, &name), &path, by).await }).await?;
    Ok(Reply::empty())
}

fn path(request: &Request) -> Result<String> {
    let path = request.query.get("path").filter(|p| !p.is_empty());
    path.map(str::to_owned).ok_or_else(|| Error::invalid("missing path argument"))
}
