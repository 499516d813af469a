//! Images from other servers: from a URL that says its fingerprint in a header, and from another LXD server.
//!
//! Nothing a server says is believed but by the fingerprint of what comes.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use serde::Serialize;

use super::{Images, NewImage};
use crate::api::client::{Answer, Proxies, Query, Web, path, with_query};
use crate::api::config::server::Config;
use crate::api::tls::Certificate;
use crate::api::tree::readable;
use crate::api::types::{
    self, EventRequestor, Image, ImageAliasesEntry, ImagePut, ImagesPost, ImagesPostSource, Operation,
};
use crate::runtime::host::environment;
use crate::runtime::images::import::Received;
use crate::runtime::operations::{Handle, NewOperation, Progress, Stage};
use crate::runtime::server::LXD_VERSION;
use crate::store::repo;
use crate::{Error, Kind, Result};

/// The longest JSON answer of another server that is read, in bytes.
const ANSWER: usize = 1 << 20;

/// Where an image is to come from.
struct Found {
    /// The only image that is taken.
    fingerprint: String,
    url: String,
    /// Properties it has there.
    image: Image,
    web: Web,
    /// Whether a body of two parts is an image of two files.
    split: bool,
}

impl Images {
    /// Makes an image of what another server has, in the background; its operation tells `fingerprint` and `size`.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] for servers of other kinds, and for pushing.
    pub fn fetch(&self, project: &str, post: ImagesPost, by: EventRequestor) -> Result<Operation> {
        let source = post.source.clone().unwrap_or_default();
        refuse(&post, &source)?;
        let (this, project) = (self.clone(), project.to_owned());
        let new =
            NewOperation { cancellable: true, ..NewOperation::task("Downloading image", &project).by(by.clone()) };
        Ok(self.operations.start(new, move |handle| async move {
            let found = tokio::select! {
                found = this.look(&source) => found?,
                () = handle.cancel().cancelled() => return handle.cancel().check(),
            };
            let fingerprint = found.fingerprint.clone();
            this.take(&project, found, &post, &handle).await?;
            this.announce_created(&project, &handle, &by);
            for alias in &post.aliases {
                this.alias_new_image(&project, alias, &fingerprint).await?;
            }
            Ok(())
        }))
    }

    async fn take(&self, project: &str, found: Found, post: &ImagesPost, handle: &Handle) -> Result<()> {
        let fingerprint = found.fingerprint.clone();
        let mut wanted = NewImage {
            filename: post.filename.clone(),
            public: post.public,
            properties: found.image.properties.clone(),
            profiles: post.profiles.clone(),
            expires_at: post.expires_at,
            ..NewImage::default()
        };
        wanted.properties.extend(post.properties.clone());
        let known = || self.db.view(|v| repo::images::by_fingerprint(v, project, &fingerprint));
        if known().is_err() {
            let received = tokio::select! {
                received = self.download(found, handle) => received?,
                () = handle.cancel().cancelled() => return handle.cancel().check(),
            };
            match self.keep(project, received, wanted.clone(), handle).await {
                // Somebody else has brought it meanwhile.
                Err(e) if e.kind() == Kind::Exists => {}
                kept => return kept,
            }
        }
        // As LXD has it: an image that is public already stays so unless something else is said of it.
        let said = post.public || !post.filename.is_empty() || !post.properties.is_empty();
        wanted.public = if said { post.public } else { known()?.public };
        self.adopt(project, &fingerprint, wanted).await?;
        handle.set("fingerprint", fingerprint.clone());
        handle.set("size", known()?.size.to_string());
        Ok(())
    }

    /// The image is here already: what is said of it now is added.
    async fn adopt(&self, project: &str, fingerprint: &str, wanted: NewImage) -> Result<()> {
        self.change(project, fingerprint, |image| {
            let mut properties = image.properties.clone();
            properties.extend(wanted.properties.clone());
            let expires_at = if wanted.expires_at.is_set() { wanted.expires_at } else { image.expires_at };
            let profiles = (!wanted.profiles.is_empty()).then(|| wanted.profiles.clone());
            Ok(ImagePut { auto_update: image.auto_update, properties, public: wanted.public, expires_at, profiles })
        })
        .await
        .map(drop)
    }

    async fn look(&self, source: &ImagesPostSource) -> Result<Found> {
        let pin = match source.certificate.as_str() {
            "" => None,
            pem => Some(Certificate::from_pem(pem).map_err(|_| Error::invalid("Invalid remote certificate"))?),
        };
        let agent = format!("LXD {LXD_VERSION} (Linux; {})", std::env::consts::ARCH);
        let web = Web::new(agent, pin, self.proxies()?);
        if source.kind == "url" { behind(web, &source.url).await } else { of_server(web, source).await }
    }

    /// The proxies to use: of the server's configuration, else of the environment.
    fn proxies(&self) -> Result<Proxies> {
        let config = self.db.view(repo::server::config)?;
        let of = |key| Config(&config).get(key).unwrap_or_default().to_owned();
        let (http, https) = (of("core.proxy_http"), of("core.proxy_https"));
        Ok(Proxies { http, https, ignore: of("core.proxy_ignore_hosts") }.or_environment())
    }

    async fn download(&self, found: Found, handle: &Handle) -> Result<Received> {
        let mut answer = found.web.ask(Method::GET, &found.url, &HeaderMap::new()).await?;
        if answer.status != StatusCode::OK {
            let text = format!("Unable to fetch {:?}: {}", found.url, answer.status);
            return Err(Error::new(Kind::Unavailable, text));
        }
        let kind = if found.split { answer.header("content-type").to_owned() } else { String::new() };
        let mut upload = self.upload(&kind)?;
        let mut progress = Progress::new(handle, Stage::Download, answer.length());
        while let Some(bytes) = answer.chunk().await? {
            progress.more(bytes.len() as u64);
            upload = upload.write(bytes).await?;
        }
        upload.finish(found.fingerprint).await
    }
}

/// What a URL's headers say of the image behind it.
async fn behind(web: Web, url: &str) -> Result<Found> {
    if url.is_empty() {
        return Err(Error::invalid("Missing URL"));
    }
    let architectures = environment::architectures(std::env::consts::ARCH).join(", ");
    let mut headers = HeaderMap::new();
    headers.insert("lxd-server-version", HeaderValue::from_static(LXD_VERSION));
    headers
        .extend(architectures.parse().ok().map(|value| (HeaderName::from_static("lxd-server-architectures"), value)));
    let answer = web.ask(Method::HEAD, url, &headers).await?;
    // LXD's texts.
    let header = |name: &str| match answer.header(name) {
        "" => Err(Error::invalid(format!("Missing {name} header"))),
        value => Ok(value.to_owned()),
    };
    let (fingerprint, url) = (header("LXD-Image-Hash")?, header("LXD-Image-URL")?);
    Ok(Found { fingerprint: digits(fingerprint)?, url, image: Image::default(), web, split: false })
}

/// What can't be done.
fn refuse(post: &ImagesPost, source: &ImagesPostSource) -> Result<()> {
    if !matches!(source.mode.as_str(), "" | "pull") {
        return Err(Error::unsupported("Pushing an image to another server"));
    }
    if post.auto_update {
        return Err(Error::unsupported("Following the source of an image"));
    }
    if !post.compression_algorithm.is_empty() {
        return Err(Error::unsupported("Compressing an image of another server anew"));
    }
    if source.kind == "url" {
        return Ok(());
    }
    if source.server.is_empty() {
        return Err(Error::unsupported("Copying an image between projects"));
    }
    match source.protocol.as_str() {
        "lxd" | "" => Ok(()),
        other => Err(Error::unsupported(format!("An image server of the protocol {other:?}"))),
    }
}

/// The image that an LXD server has under an alias or fingerprint.
async fn of_server(web: Web, source: &ImagesPostSource) -> Result<Found> {
    let server = source.server.trim_end_matches('/');
    if !server.starts_with("https://") {
        return Err(Error::invalid(format!("Invalid URL {server:?} of an LXD server")));
    }
    let mut query: Vec<(&str, &str)> = Vec::new();
    query.extend((!source.project.is_empty()).then_some(("project", source.project.as_str())));
    let mut name = source.fingerprint.clone();
    if name.is_empty() {
        if source.alias.is_empty() {
            // LXD's text.
            return Err(Error::invalid("must specify one of alias or fingerprint for init from image"));
        }
        let alias: ImageAliasesEntry = asked(&web, server, &["images", "aliases", &source.alias], &query).await?;
        name = alias.target;
    }
    query.extend((!source.secret.is_empty()).then_some(("secret", source.secret.as_str())));
    let image: Image = asked(&web, server, &["images", &name], &query).await?;
    let fingerprint = digits(image.fingerprint.clone())?;
    if !fingerprint.starts_with(&name) {
        return Err(Error::invalid(format!("The server at {server:?} has another image than {name:?}")));
    }
    let url = format!("{server}{}", with_query(&path(&["images", &fingerprint, "export"]), &query));
    Ok(Found { fingerprint, url, image, web, split: true })
}

/// The object at a path of an LXD server.
async fn asked<T: crate::api::tree::FromTree>(web: &Web, server: &str, to: &[&str], query: &Query<'_>) -> Result<T> {
    readable! {
        #[derive(Serialize)]
        struct Envelope<T> {
            #[serde(default)]
            error: String,
            metadata: Option<T>,
        }
    }
    let url = format!("{server}{}", with_query(&path(to), query));
    let answer: Answer = web.ask(Method::GET, &url, &HeaderMap::new()).await?;
    let status = answer.status;
    let unreadable = |e: String| Error::invalid(format!("Failed reading the answer of {server:?}: {e}"));
    let text = answer.all(ANSWER).await?;
    if status != StatusCode::OK {
        let said = types::from_json::<Envelope<serde_json::Value>>(&text).map(|e| e.error).unwrap_or_default();
        return Err(Error::not_found(format!("Failed getting remote image info: {status}: {said:?}")));
    }
    let envelope: Envelope<T> = types::from_json(&text).map_err(|e| unreadable(e.to_string()))?;
    envelope.metadata.ok_or_else(|| unreadable("it is empty".into()))
}

/// A whole fingerprint.
fn digits(text: String) -> Result<String> {
    let whole = text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if whole { Ok(text) } else { Err(Error::invalid(format!("Invalid fingerprint {text:?} of an image"))) }
}
