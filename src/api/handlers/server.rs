//! `/`, `/1.0` and `/1.0/resources`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::api::config::{Kind, server};
use crate::api::extensions::EXTENSIONS;
use crate::api::request::{Request, owned};
use crate::api::response::{Reply, check_etag};
use crate::api::types::{ConfigMap, Server, ServerPut, ServerUntrusted};
use crate::order::Gather;
use crate::runtime::auth::password;
use crate::runtime::{blocking, host};
use crate::{Error, Result};

/// The key whose value nobody gets to see.
const PASSWORD: &str = "core.trust_password";

/// `GET /`.
pub async fn root(_: Request) -> Result<Reply> {
    Reply::sync(&["/1.0"])
}

/// `GET /1.0`.
pub async fn get(request: Request) -> Result<Reply> {
    let open = ServerUntrusted {
        api_extensions: EXTENSIONS.iter().map(|e| (*e).to_owned()).collect(),
        api_status: "stable".into(),
        api_version: "1.0".into(),
        auth: if request.caller.trusted { "trusted" } else { "untrusted" }.into(),
        public: false,
        auth_methods: vec!["tls".into()],
    };
    if !request.caller.trusted {
        return Reply::sync(&open);
    }
    let services = &request.services;
    let config = services.server.config()?;
    let mut environment = services.server.environment(&config, &services.pools.drivers_in_use()?)?;
    environment.project = request.project_name();
    let server = Server {
        config: shown(&config),
        api_extensions: open.api_extensions,
        api_status: open.api_status,
        api_version: open.api_version,
        auth: open.auth,
        public: open.public,
        auth_methods: open.auth_methods,
        environment,
    };
    Reply::with_etag(&server, &config)
}

/// The configuration as callers see it: that there is a password, but not what is kept of it.
fn shown(config: &ConfigMap) -> BTreeMap<String, Value> {
    let value = |key: &str, value: &String| match key {
        PASSWORD => Value::Bool(true),
        _ => Value::from(value.clone()),
    };
    config.iter().map(|(key, text)| (key.clone(), value(key, text))).gather()
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
    let mut given = put.config;
    // As it is shown it stays: clients send back what they have read.
    let same_password = given.get(PASSWORD) == Some(&Value::Bool(true));
    if same_password {
        given.remove(PASSWORD);
    }
    let new = given.into_iter().map(|(key, value)| Ok((key.clone(), text(&key, value)?)));
    let mut new = new.try_gather::<_, _, ConfigMap>()?;
    if let Some(password) = new.get(PASSWORD).filter(|p| !p.is_empty()).cloned() {
        new.insert(PASSWORD.into(), blocking(move || Ok(password::hash(&password))).await?);
    }
    let (server, by, headers) = (request.services.server.clone(), request.caller.requestor(), request.headers.clone());
    let decide = move |present: &ConfigMap| {
        check_etag(&headers, present)?;
        // LXD's PUT keeps `user.*` keys that it doesn't name.
        let kept = present
            .iter()
            .filter(|(key, _)| keep_others || key.starts_with("user.") || (same_password && *key == PASSWORD));
        let mut all: ConfigMap = kept.map(|(key, value)| (key.clone(), value.clone())).gather();
        all.extend(new.clone());
        Ok(all)
    };
    owned(async move { server.set_config(decide, by).await }).await?;
    Ok(Reply::empty())
}

/// Values of server keys may be strings, and booleans where that is meant; LXD refuses others with these texts.
fn text(key: &str, value: Value) -> Result<String> {
    let boolean = server::key(key).is_some_and(|row| matches!(row.kind, Kind::Bool));
    match value {
        Value::String(text) => Ok(text),
        Value::Null => Ok(String::new()),
        Value::Bool(flag) if boolean => Ok(flag.to_string()),
        Value::Bool(_) => Err(Error::invalid(format!("cannot set '{key}': invalid type bool"))),
        Value::Number(_) => Err(Error::invalid(format!("cannot set '{key}': invalid type float64"))),
        _ => Err(Error::invalid(format!("cannot set '{key}': invalid type"))),
    }
}

/// `GET /1.0/resources`.
pub async fn resources(_: Request) -> Result<Reply> {
    Reply::sync(&blocking(|| Ok(host::resources::gather(&host::Tree::host()))).await?)
}
