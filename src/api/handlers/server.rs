//! `/`, `/1.0` and `/1.0/resources`.

use serde_json::Value;

use crate::api::extensions::EXTENSIONS;
use crate::api::request::{Request, owned};
use crate::api::response::{Reply, check_etag};
use crate::api::types::{ConfigMap, Server, ServerPut};
use crate::runtime::{blocking, host};
use crate::{Error, Result};

/// `GET /`.
pub async fn root(_: Request) -> Result<Reply> {
    Reply::sync(&["/1.0"])
}

/// `GET /1.0`.
pub async fn get(request: Request) -> Result<Reply> {
    let services = &request.services;
    let config = services.server.config()?;
    let mut environment = services.server.environment(&services.pools.drivers_in_use()?);
    environment.project = request.project_name();
    let server = Server {
        config: config.clone(),
        api_extensions: EXTENSIONS.iter().map(|e| (*e).to_owned()).collect(),
        api_status: "stable".into(),
        api_version: "1.0".into(),
        auth: if request.caller.trusted { "trusted" } else { "untrusted" }.into(),
        public: false,
        auth_methods: vec!["tls".into()],
        environment,
    };
    Reply::with_etag(&server, &config)
}

/// `PUT /1.0`: replaces the server's configuration.
pub async fn put(request: Request) -> Result<Reply> {
    change(request, false).await
}

/// `PATCH /1.0`: changes the keys that are named; an empty value removes one.
pub async fn patch(request: Request) -> Result<Reply> {
    change(request, true).await
}

async fn change(mut request: Request, keep_others: bool) -> Result<Reply> {
    let put: ServerPut = request.json().await?;
    let new = put.config.into_iter().map(|(key, value)| Ok((key.clone(), text(&key, value)?)));
    let new = new.collect::<Result<ConfigMap>>()?;
    let (server, by, headers) = (request.services.server.clone(), request.caller.requestor(), request.headers.clone());
    let decide = move |present: &ConfigMap| {
        check_etag(&headers, present)?;
        // LXD's PUT keeps `user.*` keys that it doesn't name.
        let kept = present.iter().filter(|(key, _)| keep_others || key.starts_with("user."));
        let mut all: ConfigMap = kept.map(|(key, value)| (key.clone(), value.clone())).collect();
        all.extend(new.clone());
        all.retain(|_, value| !value.is_empty());
        Ok(all)
    };
    owned(async move { server.set_config(decide, by).await }).await?;
    Ok(Reply::empty())
}

/// Server keys may come as strings or booleans; LXD refuses numbers with this text.
fn text(key: &str, value: Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Number(_) => Err(Error::invalid(format!("cannot set '{key}': invalid type float64"))),
        _ => Err(Error::invalid(format!("cannot set '{key}': invalid type"))),
    }
}

/// `GET /1.0/resources`.
pub async fn resources(_: Request) -> Result<Reply> {
    Reply::sync(&blocking(|| Ok(host::resources::gather(&host::Tree::host()))).await?)
}
