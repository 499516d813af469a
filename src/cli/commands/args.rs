//! The typed arguments that several commands share. The flags' meaning stands in the table.

use argh::{ArgsInfo, FromArgs};
use serde::Serialize;
use serde_json::Value;

use crate::api::client::{Client, Reply};
use crate::api::tree::FromTree;
use crate::cli::wait::asked;
use crate::error::{Ctx, Error, Kind, Result};

/// Words alone.
#[derive(FromArgs, ArgsInfo)]
pub struct Words {
    /// the words
    #[argh(positional)]
    pub words: Vec<String>,
}

/// Lists.
#[derive(FromArgs, ArgsInfo)]
pub struct Format {
    /// output format
    #[argh(option)]
    pub format: String,
    /// the words
    #[argh(positional)]
    pub words: Vec<String>,
}

/// What can be asked of one member of a cluster.
#[derive(FromArgs, ArgsInfo)]
pub struct OnMember {
    /// cluster member
    #[argh(option)]
    pub target: Option<String>,
    /// the words
    #[argh(positional)]
    pub words: Vec<String>,
}

/// Lists with columns to choose.
#[derive(FromArgs, ArgsInfo)]
pub struct Columns {
    /// columns
    #[argh(option)]
    pub columns: String,
    /// output format
    #[argh(option)]
    pub format: String,
    /// the words
    #[argh(positional)]
    pub words: Vec<String>,
}

/// Things of virtual machines or containers.
#[derive(FromArgs, ArgsInfo)]
pub struct Vm {
    /// virtual machines
    #[argh(switch)]
    pub vm: bool,
    /// the words
    #[argh(positional)]
    pub words: Vec<String>,
}

/// Checks how data is to travel between servers.
pub fn transfer_mode(mode: &str) -> Result<()> {
    match mode {
        "pull" | "push" | "relay" => Ok(()),
        other => Err(Error::invalid(format!("Invalid transfer mode {other:?}"))),
    }
}

/// `GET`s a list, both as it came, for JSON output, and as typed objects.
pub fn fetch<T: FromTree>(client: &Client, address: &str) -> Result<(Vec<Value>, Vec<T>)> {
    let reply = asked(client, address)?;
    let typed = reply.object(address)?;
    Ok((untyped(&reply, address)?, typed))
}

fn untyped(reply: &Reply, address: &str) -> Result<Vec<Value>> {
    let failed = || format!("Failed reading the server's answer to {address:?}");
    let raw: Option<Vec<Value>> = serde_json::from_str(reply.metadata()).ctx(Kind::Internal, failed)?;
    Ok(raw.unwrap_or_default())
}

/// What a list prints as objects: as they came for JSON, with nothing missing for YAML.
pub fn objects<T: Serialize>(format: &str, raw: &[Value], typed: &[T]) -> Value {
    match format {
        "json" => Value::Array(raw.to_vec()),
        _ => serde_json::to_value(typed).unwrap_or_default(),
    }
}
