//! The files of images: `POST /1.0/images` and `/1.0/images/{fingerprint}/export`.

use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use hyper::{HeaderMap, StatusCode};

use super::images::opened;
use super::part::{self, Part};
use crate::api::request::{Payload, Query, Request};
use crate::api::response::{Reply, header_value};
use crate::api::types::{ImagesPost, Timestamp};
use crate::runtime::images::service::{Export, NewImage, Upload};
use crate::{Error, Result};

/// `POST`: a new image of an uploaded file, in the background once the upload is complete.
pub async fn upload(mut request: Request) -> Result<Reply> {
    let project = request.project()?;
    let content_type = request.header("content-type").unwrap_or_default();
    let is_file = content_type.starts_with("multipart/form-data") || content_type == "application/octet-stream";
    if !is_file {
        return from_json(&mut request).await;
    }
    let wanted = wanted(&request)?;
    let upload = request.services.images.upload(&content_type);
    match receive(&mut request.body, upload).await {
        Ok(upload) => {
            Ok(Reply::operation(request.services.images.import(&project, upload, wanted, request.caller.requestor())))
        }
        Err(e) => {
            request.drain().await;
            Err(e)
        }
    }
}

async fn receive(body: &mut Payload, upload: Result<Upload>) -> Result<Upload> {
    let mut upload = upload?;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Error::invalid(format!("Failed reading the request body: {e}")))?;
        if let Ok(bytes) = frame.into_data() {
            upload = upload.write(bytes).await?;
        }
    }
    Ok(upload)
}

/// What the `X-LXD-*` headers say about the image.
fn wanted(request: &Request) -> Result<NewImage> {
    let properties = Query::parse(&request.header("x-lxd-properties").unwrap_or_default());
    let profiles = Query::parse(&request.header("x-lxd-profiles").unwrap_or_default());
    let profiles = profiles.pairs().iter().filter(|(name, _)| name == "profile").map(|(_, value)| value.clone());
    Ok(NewImage {
        filename: request.header("x-lxd-filename").unwrap_or_default(),
        public: matches!(request.header("x-lxd-public").as_deref(), Some("1" | "true" | "yes" | "on")),
        fingerprint: request.header("x-lxd-fingerprint").unwrap_or_default(),
        properties: properties.pairs().iter().cloned().collect(),
        profiles: profiles.collect(),
        expires_at: Timestamp::EPOCH,
        made_at: None,
    })
}

async fn from_json(request: &mut Request) -> Result<Reply> {
    let post: ImagesPost = request.json().await?;
    let (project, by) = (request.project()?, request.caller.requestor());
    match post.source.as_ref().map_or("", |source| source.kind.as_str()) {
        "instance" | "container" | "virtual-machine" | "snapshot" => {
            Ok(Reply::operation(request.services.instances.publish(&project, post, by)?))
        }
        "image" | "url" => Ok(Reply::operation(request.services.images.fetch(&project, post, by)?)),
        "" => Err(Error::invalid("The image's source is missing")),
        // LXD's text.
        _ => Err(Error::internal("Invalid images JSON")),
    }
}

/// `GET`: the image's file, or both as multipart.
pub async fn export(request: Request) -> Result<Reply> {
    let (project, fingerprint) = (request.project_name(), request.param(0).to_owned());
    opened(&request, true)?;
    let by = request.caller.requestor();
    let export: Export = request.services.images.export(&project, &fingerprint, by).await?;
    answer(&request, export).await
}

/// Files as an answer, or the part of one that is asked for.
pub(super) async fn answer(request: &Request, mut export: Export) -> Result<Reply> {
    let (status, mut headers) = match export.file.take() {
        None => (StatusCode::OK, HeaderMap::from_iter([(CONTENT_LENGTH, export.length.into())])),
        Some((name, modified)) => {
            let Part { status, headers: mut about, from, count } = part::asked(request, export.length, modified);
            about.insert(CONTENT_DISPOSITION, header_value(&format!("inline;filename={name}")));
            export.narrow(from, count).await?;
            (status, about)
        }
    };
    if status != StatusCode::NOT_MODIFIED {
        headers.insert(CONTENT_TYPE, header_value(&export.content_type));
    }
    let stream = futures_util::StreamExt::map(export.into_stream(), |chunk| chunk.map(Frame::data));
    Ok(Reply::Partial { status, headers, body: BodyExt::boxed(StreamBody::new(stream)) })
}

/// An image's files, whole, as an answer.
pub fn sent(mut export: Export) -> Reply {
    let mut headers = HeaderMap::from_iter([(CONTENT_LENGTH, export.length.into())]);
    headers.insert(CONTENT_TYPE, header_value(&export.content_type));
    if let Some((name, _)) = export.file.take() {
        headers.insert(CONTENT_DISPOSITION, header_value(&format!("inline;filename={name}")));
    }
    let stream = futures_util::StreamExt::map(export.into_stream(), |chunk| chunk.map(Frame::data));
    Reply::Raw { headers, body: BodyExt::boxed(StreamBody::new(stream)) }
}
