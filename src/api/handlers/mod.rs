//! One file per resource. A handler reads the request into types, calls one service and renders the answer.

pub mod aliases;
pub mod backups;
pub mod certificates;
pub mod cluster;
pub mod console;
pub mod events;
pub mod exec;
pub mod files;
pub mod image_files;
pub mod images;
pub mod instance_metadata;
pub mod instances;
pub mod internal;
pub mod logs;
pub mod metadata;
pub mod network_acls;
pub mod network_forwards;
pub mod network_zones;
pub mod networks;
pub mod operations;
mod part;
pub mod pools;
pub mod profiles;
pub mod projects;
pub mod server;
pub mod snapshots;
pub mod state;
pub mod warnings;

use serde::Serialize;
use serde_json::Value;

use crate::api::request::Request;
use crate::api::request::filter::Filter;
use crate::api::response::Reply;
use crate::api::tree::FromTree;
use crate::{Ctx, Kind, Result};

/// Answers a list: URLs, or the objects themselves with `recursion=1`; `filter=` is applied to the objects.
fn list<T: Serialize>(request: &Request, objects: &[T], url: impl Fn(&T) -> String) -> Result<Reply> {
    let filter = Filter::parse(request.query.get("filter").unwrap_or(""))?;
    let passing = objects
        .iter()
        .filter(|object| filter.is_empty() || filter.matches(&serde_json::to_value(object).unwrap_or(Value::Null)));
    if request.recursion() > 0 {
        return Reply::sync(&passing.collect::<Vec<_>>());
    }
    Reply::sync(&passing.map(url).collect::<Vec<_>>())
}

/// Lays the members that a PATCH body names over the object's present ones.
///
/// Objects below the top (`config`, `devices`) are merged one level deep, as LXD does; the case of members' letters doesn't
/// matter, and what is `null` stays as it is.
fn overlay<T: Serialize + FromTree>(present: &T, patch: Value) -> Result<T> {
    let mut merged = serde_json::to_value(present).ctx(Kind::Internal, || "Failed rendering JSON")?;
    if let (Value::Object(merged), Value::Object(patch)) = (&mut merged, patch) {
        for (name, value) in patch.into_iter().filter(|(_, value)| !value.is_null()) {
            let name = merged.keys().find(|own| own.eq_ignore_ascii_case(&name)).cloned().unwrap_or(name);
            match (merged.get_mut(&name), value) {
                (Some(Value::Object(old)), Value::Object(new)) => old.extend(new),
                (_, value) => drop(merged.insert(name, value)),
            }
        }
    }
    crate::api::types::from_request(&merged).ctx(Kind::Invalid, || "Failed reading the changed object")
}

/// `/1.0/KIND/NAME`, with the project when it isn't the default one.
pub(crate) use crate::runtime::url;
