//! `lxd sql`: runs statements, shows what they give.

use std::io::Read;

use serde_json::{Value, json};

use super::api::Api;
use crate::api::types::{self, SqlBatch, SqlDump, SqlResult};
use crate::cli::output;
use crate::error::{Ctx, Error, Kind, Result};

/// Carries out `lxd sql DATABASE QUERY`; gives what is to be printed. A query of `-` is read from standard input.
///
/// # Errors
/// What the daemon refuses.
pub(super) fn run(api: &impl Api, database: &str, query: &str) -> Result<String> {
    if let ".dump" | ".schema" = query {
        let schema = i32::from(query == ".schema");
        let reply = api.get(&format!("/internal/sql?database={database}&schema={schema}"));
        let dump: SqlDump = read(reply.map_err(|e| failed("request dump", &e))?.metadata)?;
        return Ok(dump.text);
    }
    let mut given = String::new();
    if query == "-" {
        std::io::stdin().read_to_string(&mut given).ctx(Kind::Invalid, || "Failed reading from standard input")?;
    } else {
        given.push_str(query);
    }
    let reply = api.call("POST", "/internal/sql", Some(&json!({"database": database, "query": given})), None)?;
    Ok(shown(&read::<SqlBatch>(reply.metadata)?))
}

fn failed(what: &str, error: &Error) -> Error {
    Error::new(error.kind(), format!("Failed to {what}: {error}"))
}

fn read<T: crate::api::tree::FromTree>(value: Value) -> Result<T> {
    types::from_tree(&value).map_err(|e| Error::internal(format!("Failed reading the server's answer: {e}")))
}

fn shown(batch: &SqlBatch) -> String {
    let several = batch.results.len() > 1;
    let one = |(number, result): (usize, &SqlResult)| match several {
        true => format!("=> Query {number}:\n\n{}\n", one_shown(result)),
        false => one_shown(result),
    };
    batch.results.iter().enumerate().map(one).collect()
}

fn one_shown(result: &SqlResult) -> String {
    if result.kind != "select" {
        return format!("Rows affected: {}\n", result.rows_affected);
    }
    let rows = result.rows.iter().flatten().map(|row| row.iter().map(cell).collect());
    output::plain(result.columns.as_deref().unwrap_or_default(), &rows.collect::<Vec<_>>())
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_results_are_numbered() {
        let rows = Some(vec![vec![json!(1), json!(null)], vec![json!("a"), json!(1.5)]]);
        let columns = Some(vec!["id".into(), "x_y".into()]);
        let select = SqlResult { kind: "select".into(), columns, rows, rows_affected: 0 };
        let exec = SqlResult { kind: "exec".into(), rows_affected: 2, ..SqlResult::default() };
        let table = "+----+-------+\n| id |  x_y  |\n+----+-------+\n| 1  | <nil> |\n| a  | 1.5   |\n+----+-------+\n";
        assert_eq!(shown(&SqlBatch { results: vec![select.clone()] }), table);
        let both = shown(&SqlBatch { results: vec![select, exec] });
        assert_eq!(both, format!("=> Query 0:\n\n{table}\n=> Query 1:\n\nRows affected: 2\n\n"));
        assert_eq!(shown(&SqlBatch::default()), "");
    }
}
