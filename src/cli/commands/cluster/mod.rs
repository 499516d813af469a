//! `lxc cluster …`.

use serde::Serialize;

use crate::api::client::path;
use crate::api::tree::readable;
use crate::api::types::ConfigMap;
use crate::cli::commands::thing::Thing;
use crate::cli::context::{Context, Target};
use crate::cli::wait::Wait;
use crate::error::Result;

pub mod group;
mod join;
mod member;
mod state;

pub use join::{Add, add, enable, list_tokens, revoke_token, update_certificate};
pub use member::{edit, get, list, rename, role_add, role_remove, set, show, unset};
pub use state::{Force, Remove, evacuate, remove, restore};

readable! {
    /// A member of a cluster.
    #[derive(Default, Serialize)]
    #[serde(default)]
    struct Member {
        roles: Vec<String>,
        failure_domain: String,
        description: String,
        config: ConfigMap,
        groups: Vec<String>,
        server_name: String,
        url: String,
        database: bool,
        status: String,
        message: String,
        architecture: String,
    }

    /// What of a member can be changed.
    #[derive(Default, Serialize)]
    #[serde(default)]
    struct MemberPut {
        roles: Vec<String>,
        failure_domain: String,
        description: String,
        config: ConfigMap,
        groups: Vec<String>,
    }
}

/// A member named on the command line, of a server that has what is asked for.
fn member(cx: &Context, word: &str, extension: &str) -> Result<(Thing, String)> {
    let target = cx.named(word, "cluster member name")?;
    target.client.require(extension).wait()?;
    Ok((Thing { address: path(&["cluster", "members", &target.name]), client: target.client }, target.name))
}

/// Refuses servers that stand alone.
fn clustered(target: &Target) -> Result<()> {
    target.client.require("clustering").wait()?;
    target.clustered("LXD server isn't part of a cluster")
}
