//! Invitations, which servers keep as operations until somebody uses them: to new clients, and to new members of a cluster.

use data_encoding::BASE64;
use serde_json::{Map, Value, json};

use super::operation::flattened;
use crate::api::client::path;
use crate::api::types::{Operation, StatusCode, Timestamp, from_tree};
use crate::cli::context::Target;
use crate::cli::output::{Rows, local_date, render, sort_rows};
use crate::cli::wait::{Read, Wait};
use crate::error::{Error, Result};

/// Who is invited.
#[derive(Clone, Copy, PartialEq)]
pub enum Guest {
    /// A client, to the trust store.
    Client,
    /// A server, to the cluster.
    Member,
}

impl Guest {
    /// The guest's name in an operation's metadata.
    fn name(self, metadata: &Map<String, Value>) -> Option<&str> {
        match self {
            Guest::Client => metadata.get("request")?.get("name")?.as_str(),
            Guest::Member => metadata.get("serverName")?.as_str(),
        }
    }

    /// What the invitation itself calls the name.
    fn key(self) -> &'static str {
        match self {
            Guest::Client => "client_name",
            Guest::Member => "server_name",
        }
    }
}

/// An invitation.
pub struct Token {
    operation: String,
    /// The guest's name.
    pub name: String,
    /// What the guest has to show.
    pub text: String,
    expires: Option<Timestamp>,
}

impl Token {
    /// What an operation says, when it is such an invitation.
    pub fn read(operation: &Operation, guest: Guest) -> Option<Token> {
        if operation.class != "token" || operation.status_code != StatusCode::Running {
            return None;
        }
        let metadata = operation.metadata.as_ref()?;
        let value = |key: &str| metadata.get(key).cloned().unwrap_or(Value::Null);
        let name = guest.name(metadata)?.to_owned();
        let expires = metadata.get("expiresAt").and_then(Value::as_str).and_then(Timestamp::parse);
        let text = json!({
            guest.key(): name, "fingerprint": value("fingerprint"), "addresses": value("addresses"),
            "secret": value("secret"), "expires_at": expires.unwrap_or_default(),
        });
        Some(Token { operation: operation.id.clone(), name, text: BASE64.encode(text.to_string().as_bytes()), expires })
    }
}

fn all(target: &Target, guest: Guest) -> Result<Vec<Token>> {
    let all: Value = target.client.read("/1.0/operations?recursion=1")?;
    let operations = flattened(&all).filter_map(|one| from_tree::<Operation>(one).ok());
    Ok(operations.filter_map(|one| Token::read(&one, guest)).collect())
}

/// Prints those that are open.
pub fn list(target: &Target, guest: Guest, format: &str) -> Result<()> {
    let found = all(target, guest)?;
    let expires = |one: &Token| one.expires.map_or(String::new(), local_date);
    let mut cells: Vec<_> = found.iter().map(|one| vec![one.name.clone(), one.text.clone(), expires(one)]).collect();
    sort_rows(&mut cells);
    let names = match (guest, format) {
        (Guest::Client, "yaml") => ["clientname", "token", "expiresat"],
        (Guest::Client, _) => ["ClientName", "Token", "ExpiresAt"],
        (Guest::Member, "yaml") => ["servername", "token", "expiresat"],
        (Guest::Member, _) => ["ServerName", "Token", "ExpiresAt"],
    };
    let row = |one: &Token| json!({ names[0]: one.name, names[1]: one.text, names[2]: expires(one) });
    let raw = || Value::Array(found.iter().map(row).collect());
    let head = ["NAME", "TOKEN", "EXPIRES AT"].map(String::from).to_vec();
    render(format, &Rows { head, cells, raw: &raw })
}

/// Takes back the one for the guest that the target names. An error when there is none.
pub fn revoke(target: &Target, guest: Guest) -> Result<()> {
    let Some(one) = all(target, guest)?.into_iter().find(|one| one.name == target.name) else {
        let what = if guest == Guest::Client { "certificate add" } else { "cluster join" };
        let text = format!("No {what} token for member {} on remote: {}", target.name, target.remote);
        return Err(Error::not_found(text));
    };
    target.client.delete(&path(&["operations", &one.operation])).wait()?;
    Ok(())
}
