//! What a guest is answered, in LXD 5.0.2's formats: JSON and texts without an envelope.

use hyper::header::{CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::json;

use super::Guest;
use crate::api::handlers::image_files;
use crate::api::request::decode;
use crate::api::response::{Body, Reply, error_to_http, full};
use crate::api::types::EventRequestor;
use crate::runtime::instances::Seen;
use crate::{Error, Kind};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Versions,
    Api,
    Config,
    Key(String),
    MetaData,
    Devices,
    Events,
    Image(String),
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Refusal {
    /// There is no such path.
    NoPath,
    /// The path has no such method.
    Method,
    /// The caller isn't the guest's root.
    Stranger,
    /// The guest may not.
    Forbidden,
    /// There is no such key.
    NoKey,
    /// The answer of the API of images, or of a daemon in trouble.
    Api(Error),
}

impl Refusal {
    pub(super) fn into_http(self) -> hyper::Response<Body> {
        let (status, text) = match self {
            Refusal::NoPath => (StatusCode::NOT_FOUND, "404 page not found"),
            Refusal::Method => (StatusCode::METHOD_NOT_ALLOWED, "method not allowed"),
            Refusal::Stranger => (StatusCode::UNAUTHORIZED, "Access denied for non-root user"),
            Refusal::Forbidden => (StatusCode::FORBIDDEN, "not authorized"),
            Refusal::NoKey => (StatusCode::NOT_FOUND, "not found"),
            Refusal::Api(e) => return error_to_http(&e),
        };
        let mut http = hyper::Response::new(full(format!("{text}\n")));
        *http.status_mut() = status;
        let headers = http.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        http
    }
}

/// What a path asks for.
pub(super) fn find(path: &str) -> Result<What, Refusal> {
    match path {
        "/" => return Ok(What::Versions),
        "/1.0" => return Ok(What::Api),
        "/1.0/config" => return Ok(What::Config),
        "/1.0/meta-data" => return Ok(What::MetaData),
        "/1.0/devices" => return Ok(What::Devices),
        "/1.0/events" => return Ok(What::Events),
        _ => {}
    }
    let segment = |text: &str| (!text.is_empty() && !text.contains('/')).then(|| decode(text, false));
    if let Some(key) = path.strip_prefix("/1.0/config/").and_then(segment) {
        return Ok(What::Key(key));
    }
    let image = path.strip_prefix("/1.0/images/").and_then(|rest| rest.strip_suffix("/export"));
    image.and_then(segment).map(What::Image).ok_or(Refusal::NoPath)
}

/// Answers everything but events.
pub(super) async fn answer(what: What, guest: &Guest) -> Result<Reply, Refusal> {
    let seen = guest.services.instances.seen_by_guest(guest.id).map_err(Refusal::Api)?;
    match what {
        What::Versions => Ok(of_json(&["/1.0"])),
        What::Api => {
            // The state is one that later versions let a guest set.
            Ok(of_json(&json!({"state": "", "api_version": "1.0", "instance_type": seen.kind, "location": "none"})))
        }
        What::Config => Ok(of_json(&seen.config.keys().map(|key| format!("/1.0/config/{key}")).collect::<Vec<_>>())),
        What::Key(key) => of_key(&seen, &key),
        What::MetaData => Ok(of_text(meta_data(&seen))),
        What::Devices => Ok(of_json(&seen.devices)),
        What::Image(fingerprint) => image(&seen, &fingerprint, guest).await,
        What::Events => Err(Refusal::NoPath),
    }
}

fn of_key(seen: &Seen, key: &str) -> Result<Reply, Refusal> {
    if !key.starts_with("user.") && !key.starts_with("cloud-init.") {
        return Err(Refusal::Forbidden);
    }
    seen.config.get(key).map(|value| of_text(value.clone())).ok_or(Refusal::NoKey)
}

/// What cloud-init calls metadata: YAML, with the user's own at its end.
fn meta_data(seen: &Seen) -> String {
    let own = seen.config.get("user.meta-data").map_or("", String::as_str);
    format!("#cloud-config\ninstance-id: {}\nlocal-hostname: {}\n{own}", seen.instance_id, seen.name)
}

/// A file of an image that everybody may have, or that was fetched for a launch.
async fn image(seen: &Seen, fingerprint: &str, guest: &Guest) -> Result<Reply, Refusal> {
    if !seen.images {
        return Err(Refusal::Forbidden);
    }
    let images = &guest.services.images;
    let image = images.get(&seen.project, fingerprint).map_err(Refusal::Api)?;
    if !image.public && !image.cached {
        return Err(Refusal::Api(Error::new(Kind::NotFound, format!("Image {fingerprint:?} not found"))));
    }
    let by = EventRequestor { username: seen.name.clone(), protocol: "devlxd".into(), address: "@devlxd".into() };
    let export = images.export(&seen.project, &image.fingerprint, by).await.map_err(Refusal::Api)?;
    Ok(image_files::sent(export))
}

fn of_json(value: &impl Serialize) -> Reply {
    let text = serde_json::to_string(value).unwrap_or_default();
    raw("application/json", format!("{text}\n"))
}

fn of_text(text: String) -> Reply {
    raw("application/octet-stream", text)
}

fn raw(kind: &'static str, text: String) -> Reply {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Reply::Raw { headers, body: full(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found() {
        let found = |path| find(path).ok();
        assert_eq!((found("/"), found("/1.0"), found("/1.0/")), (Some(What::Versions), Some(What::Api), None));
        assert_eq!(found("/1.0/config/user.a%20b"), Some(What::Key("user.a b".into())));
        assert_eq!(found("/1.0/images/ab/export"), Some(What::Image("ab".into())));
        for path in ["", "/1.0/config/", "/1.0/config/a/b", "/1.0/images//export", "/1.0/images/export", "/2.0", "//"] {
            assert_eq!(found(path), None, "{path}");
        }
    }
}
