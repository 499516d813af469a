//! `lxc operation …`.

use serde_json::{Value, json};

use super::args::{Format, Words};
use crate::api::client::path;
use crate::api::types::{Operation, from_json};
use crate::cli::context::Context;
use crate::cli::output::{Rows, date, emit, fill, render, sort_rows, yaml};
use crate::cli::wait::{Read, Wait};
use crate::error::{Ctx, Error, Kind, Result};

fn document(operation: &Operation) -> Value {
    let mut value = json!(operation);
    fill(&mut value, &["metadata", "resources"], json!({}));
    value
}

/// What is in a list from a server; operations come in lists by their state.
pub fn flattened(list: &Value) -> impl Iterator<Item = &Value> {
    let groups = list.as_object().into_iter().flat_map(|groups| groups.values());
    groups.chain([list]).filter_map(Value::as_array).flatten()
}

/// `lxc operation list`.
pub fn list(cx: &Context, args: Format) -> Result<i32> {
    let target = cx.server(&args.words)?;
    if !target.name.is_empty() {
        return Err(Error::invalid("Filtering isn't supported yet"));
    }
    let all: Value = target.client.read("/1.0/operations?recursion=1")?;
    let raw: Vec<Value> = flattened(&all).cloned().collect();
    let text = serde_json::to_vec(&raw).unwrap_or_default();
    let operations: Vec<Operation> = from_json(&text).ctx(Kind::Internal, || "Failed reading the operations")?;
    let clustered = operations.iter().any(|o| !matches!(o.location.as_str(), "" | "none"));
    let row = |o: &Operation| {
        let cancel = if o.may_cancel { "YES" } else { "NO" }.to_string();
        let mut row = vec![o.id.clone(), o.class.to_uppercase(), o.description.clone(), o.status.to_uppercase()];
        row.extend([cancel, date(o.created_at)]);
        row.extend(clustered.then(|| o.location.clone()));
        row
    };
    let mut cells: Vec<Vec<String>> = operations.iter().map(row).collect();
    sort_rows(&mut cells);
    let head = ["ID", "TYPE", "DESCRIPTION", "STATUS", "CANCELABLE", "CREATED", "LOCATION"];
    let head = head[..if clustered { 7 } else { 6 }].iter().map(|name| name.to_string()).collect();
    let all = || match args.format.as_str() {
        "json" => Value::Array(raw.clone()),
        _ => operations.iter().map(document).collect(),
    };
    render(&args.format, &Rows { head, cells, raw: &all })?;
    Ok(0)
}

/// `lxc operation show`.
pub fn show(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], "operation")?;
    let operation = target.client.operation(&target.name).wait()?;
    emit(yaml(&document(&operation)).as_bytes());
    Ok(0)
}

/// `lxc operation delete`.
pub fn delete(cx: &Context, args: Words) -> Result<i32> {
    let target = cx.named(&args.words[0], "operation")?;
    target.client.delete(&path(&["operations", &target.name])).wait()?;
    cx.tell(&format!("Operation {} deleted", target.name));
    Ok(0)
}
