//! How a cluster begins and grows: the first member, join tokens, the certificate.

use argh::{ArgsInfo, FromArgs};
use data_encoding::BASE64;
use hyper::Method;
use serde_json::{Value, json};

use super::clustered;
use crate::api::client::path;
use crate::api::types::{Cluster, Operation, Timestamp};
use crate::cli::commands::args::{Format, Words};
use crate::cli::context::{Context, Target};
use crate::cli::input::answer;
use crate::cli::output::{Rows, local_date, render, say, sort_rows};
use crate::cli::waiting::run;
use crate::error::{Error, Kind, Result};

/// `lxc cluster add`.
#[derive(FromArgs, ArgsInfo)]
pub struct Add {
    /// the member's name
    #[argh(option)]
    name: Option<String>,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// `lxc cluster add`.
pub async fn add(cx: &Context, args: Add) -> Result<i32> {
    if args.words.is_empty() && args.name.is_none() {
        return cx.wrong_count(0);
    }
    let target = cx.server(&args.words)?;
    let name = match (args.name, target.name.is_empty()) {
        (Some(name), _) => name,
        (None, false) => target.name.clone(),
        (None, true) => answer("Please provide cluster member name: ")?,
    };
    target.client.require("clustering_join_token").await?;
    let made = target.client.begin(Method::POST, "/1.0/cluster/members", &json!({ "server_name": name })).await?;
    let token = token(&made).ok_or_else(|| Error::internal("The server sent no token"))?;
    if !cx.quiet {
        say!("Member {name} join token:");
    }
    say!("{token}");
    Ok(0)
}

/// The token of an operation, as members that join take it; none when it is no such operation.
fn token(operation: &Operation) -> Option<String> {
    let metadata = operation.metadata.as_ref()?;
    let value = |key: &str| metadata.get(key).cloned().unwrap_or(Value::Null);
    metadata.get("serverName").or(metadata.get("server_name"))?;
    let text = json!({
        "server_name": value("serverName"), "fingerprint": value("fingerprint"), "addresses": value("addresses"),
        "secret": value("secret"), "expires_at": value("expiresAt"),
    });
    Some(BASE64.encode(text.to_string().as_bytes()))
}

/// The operations that are join tokens, with the member's name.
async fn tokens(target: &Target) -> Result<Vec<(String, Operation)>> {
    let all: Value = target.client.get("/1.0/operations?recursion=1").await?;
    let lists = all.as_object().into_iter().flatten().filter_map(|(_, list)| list.as_array()).flatten();
    let all = lists.filter_map(|one| serde_json::from_value::<Operation>(one.clone()).ok());
    let named = all.filter(|one| one.class == "token").filter_map(|one| {
        let name = one.metadata.as_ref()?.get("serverName")?.as_str()?.to_string();
        Some((name, one))
    });
    Ok(named.collect())
}

/// `lxc cluster list-tokens`.
pub async fn list_tokens(cx: &Context, args: Format) -> Result<i32> {
    let target = cx.server(&args.words)?;
    clustered(&target).await?;
    let found = tokens(&target).await?;
    let expiry =
        |one: &Operation| one.metadata.as_ref().and_then(|m| m.get("expiresAt")?.as_str().and_then(Timestamp::parse));
    let rows = found.iter().filter_map(|(name, one)| {
        let expires = expiry(one).map_or(String::new(), local_date);
        Some(vec![name.clone(), token(one)?, expires])
    });
    let mut cells: Vec<Vec<String>> = rows.collect();
    sort_rows(&mut cells);
    let raw = || {
        let row = |(name, one): &(String, Operation)| json!({ "ServerName": name, "Token": token(one), "ExpiresAt": expiry(one) });
        Value::Array(found.iter().map(row).collect())
    };
    let head = ["NAME", "TOKEN", "EXPIRES AT"].map(String::from).to_vec();
    render(&args.format, &Rows { head, cells, raw: &raw })?;
    Ok(0)
}

/// `lxc cluster revoke-token`.
pub async fn revoke_token(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], "cluster member name")?;
    clustered(&target).await?;
    let found = tokens(&target).await?.into_iter().find(|(name, _)| *name == target.name);
    let Some((name, operation)) = found else {
        let text = format!("No cluster join token for member {} on remote: {}", target.name, target.remote);
        return Err(Error::not_found(text));
    };
    target.client.delete(&path(&["operations", &operation.id])).await?;
    if !cx.quiet {
        say!("Cluster join token for {}:{name} deleted", target.remote);
    }
    Ok(0)
}

/// `lxc cluster enable`.
pub async fn enable(cx: &Context, args: Words) -> Result<i32> {
    let (target, name) = match &args.words[..] {
        [remote, name, ..] => (cx.target(remote)?, name),
        [name] => (cx.target("")?, name),
        [] => return cx.wrong_count(0),
    };
    let failed = |e: Error| Error::new(e.kind(), format!("Failed to retrieve current cluster config: {}", e.message()));
    target.client.require("clustering").await.map_err(failed)?;
    let cluster: Cluster = target.client.get("/1.0/cluster").await.map_err(failed)?;
    if cluster.enabled {
        return Err(Error::new(Kind::Conflict, "This LXD server is already clustered"));
    }
    let put = json!({ "server_name": name, "enabled": true });
    let done = run(cx, &target.client, (Method::PUT, "/1.0/cluster", &put), "").await;
    done.map_err(|e| Error::new(e.kind(), format!("Failed to configure cluster: {}", e.message())))?;
    say!("Clustering enabled");
    Ok(0)
}

/// `lxc cluster update-certificate`.
pub async fn update_certificate(cx: &Context, args: Words) -> Result<i32> {
    let (target, files) = match &args.words[..] {
        [remote, files @ ..] if files.len() == 2 => (cx.target(remote)?, files),
        files => (cx.target("")?, files),
    };
    clustered(&target).await?;
    let read =
        |file: &str| std::fs::read_to_string(file).map_err(|e| crate::cli::commands::file::local("open", file, &e));
    let put = json!({ "cluster_certificate": read(&files[0])?, "cluster_certificate_key": read(&files[1])? });
    target.client.put("/1.0/cluster/certificate", &put, "").await?;
    if !cx.quiet {
        say!("Successfully updated cluster certificates for remote {}", target.remote);
    }
    Ok(0)
}
