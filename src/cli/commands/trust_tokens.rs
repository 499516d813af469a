//! `lxc config trust list-tokens|revoke-token`: invitations to new clients, which servers keep as operations.

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::args::{Format, Words};
use crate::api::client::path;
use crate::api::types::{Operation, StatusCode, Timestamp, from_tree};
use crate::cli::context::{Context, Target};
use crate::cli::output::{Rows, local_date, render, sort_rows};
use crate::cli::say;
use crate::error::{Error, Result};

/// An invitation.
struct Token {
    operation: String,
    client: String,
    text: String,
    expires: Option<Timestamp>,
}

/// What an operation says, when it is an invitation.
fn token(operation: Operation) -> Option<Token> {
    if operation.class != "token" || operation.status_code != StatusCode::Running {
        return None;
    }
    let metadata = operation.metadata?;
    let value = |key: &str| metadata.get(key).cloned().unwrap_or(Value::Null);
    let client = metadata.get("request")?.get("name")?.as_str()?.to_owned();
    let expires = metadata.get("expiresAt").and_then(Value::as_str).and_then(Timestamp::parse);
    let text = json!({
        "client_name": client, "fingerprint": value("fingerprint"), "addresses": value("addresses"),
        "secret": value("secret"), "expires_at": expires.unwrap_or_default(),
    });
    Some(Token { operation: operation.id, client, text: BASE64.encode(text.to_string().as_bytes()), expires })
}

async fn tokens(target: &Target) -> Result<Vec<Token>> {
    let all: Value = target.client.get("/1.0/operations?recursion=1").await?;
    let lists = all.as_object().into_iter().flatten().filter_map(|(_, list)| list.as_array()).flatten();
    Ok(lists.filter_map(|one| from_tree(one).ok()).filter_map(token).collect())
}

/// `lxc config trust list-tokens`.
pub async fn list(cx: &Context, args: Format) -> Result<i32> {
    let found = tokens(&cx.server(&args.words)?).await?;
    let expires = |one: &Token| one.expires.map_or(String::new(), local_date);
    let mut cells: Vec<_> = found.iter().map(|one| vec![one.client.clone(), one.text.clone(), expires(one)]).collect();
    sort_rows(&mut cells);
    let names = match args.format.as_str() {
        "yaml" => ["clientname", "token", "expiresat"],
        _ => ["ClientName", "Token", "ExpiresAt"],
    };
    let row = |one: &Token| json!({ names[0]: one.client, names[1]: one.text, names[2]: expires(one) });
    let raw = || Value::Array(found.iter().map(row).collect());
    let head = ["NAME", "TOKEN", "EXPIRES AT"].map(String::from).to_vec();
    render(&args.format, &Rows { head, cells, raw: &raw })?;
    Ok(0)
}

/// `lxc config trust revoke-token`.
pub async fn revoke(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.target(&args.words[0])?;
    let found = tokens(&target).await?.into_iter().find(|one| one.client == target.name);
    let Some(one) = found else {
        let text = format!("No certificate add token for member {} on remote: {}", target.name, target.remote);
        return Err(Error::not_found(text));
    };
    target.client.delete(&path(&["operations", &one.operation])).await?;
    if !cx.quiet {
        say!("Certificate add token for {} deleted", one.client);
    }
    Ok(0)
}
