//! `lxc query`.

use argh::{ArgsInfo, FromArgs};
use bytes::Bytes;
use hyper::Method;
use serde_json::Value;

use crate::api::client::Started;
use crate::cli::context::Context;
use crate::cli::output::{emit, json_indented, say, sorted};
use crate::error::{Error, Result};

/// `lxc query`.
#[derive(FromArgs, ArgsInfo)]
pub struct Query {
    /// JSON
    #[argh(option)]
    data: Option<String>,
    /// as it came
    #[argh(switch)]
    raw: bool,
    /// HTTP method
    #[argh(option)]
    request: String,
    /// wait for the operation
    #[argh(switch)]
    wait: bool,
    /// the words
    #[argh(positional)]
    words: Vec<String>,
}

/// `lxc query`.
pub async fn query(cx: &Context, args: Query) -> Result<i32> {
    if cx.project.is_some() {
        return Err(Error::invalid("--project cannot be used with the query command"));
    }
    let word = &args.words[0];
    // A colon may also stand in the path itself.
    let target = match word.starts_with('/') {
        true => cx.target("")?,
        false => cx.target(word)?,
    };
    let address = if word.starts_with('/') { word.as_str() } else { &target.name };
    if !address.starts_with('/') {
        return Err(Error::invalid("Query path must start with /"));
    }
    let method = Method::from_bytes(args.request.as_bytes())
        .map_err(|_| Error::invalid(format!("Invalid HTTP method {:?}", args.request)))?;
    let data = args.data.clone().unwrap_or_default();
    let client = target.client.in_project("");
    if args.raw {
        let (_, body) = client.raw(method, address, Bytes::from(data)).await?;
        match serde_json::from_slice::<Value>(&body) {
            Ok(value) if value["type"] == "error" => {
                return Err(Error::invalid(value["error"].as_str().unwrap_or_default()));
            }
            Ok(value) => say!("{}", json_indented(&value)),
            Err(_) => emit(&body),
        }
        return Ok(0);
    }
    let reply = client.call(method, address, Bytes::from(data), "").await?;
    let value = match reply.started()? {
        Started::Operation(operation) if args.wait => {
            serde_json::to_value(client.wait(&operation.id).await?).unwrap_or_default()
        }
        Started::Operation(operation) => serde_json::to_value(operation).unwrap_or_default(),
        Started::Done(text) => serde_json::from_str(&text).unwrap_or_default(),
    };
    match &value {
        Value::Null => {}
        Value::Object(map) if map.is_empty() => {}
        value => say!("{}\n", json_indented(&sorted(value))),
    }
    Ok(0)
}
