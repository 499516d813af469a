//! How a cluster begins and grows: the first member, join tokens, the certificate.

use argh::{ArgsInfo, FromArgs};
use hyper::Method;
use serde_json::json;

use super::clustered;
use crate::api::types::Cluster;
use crate::cli::commands::args::{Format, Words};
use crate::cli::commands::tokens::{self, Guest, Token};
use crate::cli::context::Context;
use crate::cli::input::answer;
use crate::cli::output::say;
use crate::cli::wait::{Read, Wait};
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
pub fn add(cx: &Context, args: Add) -> Result<i32> {
    if args.words.is_empty() && args.name.is_none() {
        return cx.wrong_count(0);
    }
    let target = cx.server(&args.words)?;
    let name = match (args.name, target.name.is_empty()) {
        (Some(name), _) => name,
        (None, false) => target.name.clone(),
        (None, true) => answer("Please provide cluster member name: ")?,
    };
    target.client.require("clustering_join_token").wait()?;
    let made = target.client.begin(Method::POST, "/1.0/cluster/members", &json!({ "server_name": name })).wait()?;
    let token = Token::read(&made, Guest::Member).ok_or_else(|| Error::internal("The server sent no token"))?;
    if !cx.quiet {
        say!("Member {name} join token:");
    }
    say!("{}", token.text);
    Ok(0)
}

/// `lxc cluster list-tokens`.
pub fn list_tokens(cx: &Context, args: Format) -> Result<i32> {
    let target = cx.server(&args.words)?;
    clustered(&target)?;
    tokens::list(&target, Guest::Member, &args.format)?;
    Ok(0)
}

/// `lxc cluster revoke-token`.
pub fn revoke_token(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], "cluster member name")?;
    clustered(&target)?;
    tokens::revoke(&target, Guest::Member)?;
    if !cx.quiet {
        say!("Cluster join token for {}:{} deleted", target.remote, target.name);
    }
    Ok(0)
}

/// `lxc cluster enable`.
pub fn enable(cx: &Context, args: Words) -> Result<i32> {
    let (target, name) = match &args.words[..] {
        [remote, name, ..] => (cx.target(remote)?, name),
        [name] => (cx.target("")?, name),
        [] => return cx.wrong_count(0),
    };
    let failed = |e: Error| Error::new(e.kind(), format!("Failed to retrieve current cluster config: {}", e.message()));
    target.client.require("clustering").wait().map_err(failed)?;
    let cluster: Cluster = target.client.read("/1.0/cluster").map_err(failed)?;
    if cluster.enabled {
        return Err(Error::new(Kind::Conflict, "This LXD server is already clustered"));
    }
    let put = json!({ "server_name": name, "enabled": true });
    let done = run(cx, &target.client, (Method::PUT, "/1.0/cluster", &put), "");
    done.map_err(|e| Error::new(e.kind(), format!("Failed to configure cluster: {}", e.message())))?;
    say!("Clustering enabled");
    Ok(0)
}

/// `lxc cluster update-certificate`.
pub fn update_certificate(cx: &Context, args: Words) -> Result<i32> {
    let (target, files) = match &args.words[..] {
        [remote, files @ ..] if files.len() == 2 => (cx.target(remote)?, files),
        files => (cx.target("")?, files),
    };
    clustered(&target)?;
    let read =
        |file: &str| std::fs::read_to_string(file).map_err(|e| crate::cli::commands::file::local("open", file, &e));
    let put = json!({ "cluster_certificate": read(&files[0])?, "cluster_certificate_key": read(&files[1])? });
    target.client.put("/1.0/cluster/certificate", &put, "").wait()?;
    if !cx.quiet {
        say!("Successfully updated cluster certificates for remote {}", target.remote);
    }
    Ok(0)
}
