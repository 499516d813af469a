//! One of the two databases as tables in memory, made for one request: statements are run on it, within limits.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::mpsc;
use std::time::Duration;

use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::limits::Limit;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Batch, Connection, Statement, params_from_iter};
use serde_json::Value as Json;

use super::fill::{Row, Rows};
use super::repair::{self, Fix};
use super::tables::{self, Table};
use crate::api::types::SqlResult;
use crate::order::Gather;
use crate::{Error, Result};

/// How long the statements of one request may take.
const TIME: Duration = Duration::from_secs(10);
/// Bytes that SQLite may have, of all requests together.
const MEMORY: u32 = 128 << 20;
/// Bytes of a text, and of all that is answered.
const LENGTH: i32 = 16 << 20;
/// Rows of one answer.
const ROWS: usize = 100_000;

/// Rows by their number, by table.
pub(super) type Content = BTreeMap<&'static str, BTreeMap<i64, Row>>;

/// How the tables were.
pub(super) struct Before {
    /// What there is beside rows: tables and the like.
    names: Vec<String>,
    rows: Content,
}

/// The tables, and what is in them.
pub(super) struct Database {
    connection: Connection,
    tables: &'static [Table],
}

impl Database {
    /// The tables, with these rows.
    pub(super) fn new(tables: &'static [Table], rows: Rows) -> Result<Database> {
        let made = make(tables, rows);
        let connection = made.map_err(|e| Error::internal(format!("Failed filling the tables: {e}")))?;
        Ok(Database { connection, tables })
    }

    /// Runs statements one after the other, until one fails. Blocks.
    ///
    /// With the results comes what was there before the first statement that may have changed something.
    pub(super) fn run(&self, query: &str) -> Result<(Vec<SqlResult>, Option<Before>)> {
        // What would stay behind for other requests: the limit is the process's.
        if query.to_ascii_lowercase().contains("heap_limit") {
            return Err(Error::unsupported("Changing the limits of memory"));
        }
        let interrupt = self.connection.get_interrupt_handle();
        let (done, ended) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut time = TIME;
                while ended.recv_timeout(time) == Err(mpsc::RecvTimeoutError::Timeout) {
                    // Again, for it may have been between two statements.
                    interrupt.interrupt();
                    time = Duration::from_millis(100);
                }
            });
            let results = self.run_all(query);
            drop(done);
            results
        })
    }

    fn run_all(&self, query: &str) -> Result<(Vec<SqlResult>, Option<Before>)> {
        let mut batch = Batch::new(&self.connection, query);
        let (mut results, mut size, mut before) = (Vec::new(), 0, None);
        while let Some(mut statement) = batch.next().map_err(failed)? {
            if before.is_none() && !statement.readonly() {
                before = Some(self.content()?);
            }
            results.push(match statement.column_count() {
                0 => execute(&mut statement)?,
                _ => select(&mut statement, &mut size)?,
            });
        }
        Ok((results, before))
    }

    /// What to do to the store so that it is as the tables are now.
    ///
    /// # Errors
    /// [`crate::Kind::Unsupported`] for what can't be changed.
    pub(super) fn fixes(&self, before: &Before) -> Result<Vec<Fix>> {
        if self.names()? != before.names {
            return Err(Error::unsupported("Changing the tables themselves"));
        }
        repair::plan(self.tables, &before.rows, &self.content()?.rows)
    }

    fn names(&self) -> Result<Vec<String>> {
        let names = self.connection.prepare("SELECT name || sql FROM sqlite_schema WHERE sql IS NOT NULL");
        names.and_then(|mut s| s.query_map([], |row| row.get(0))?.collect()).map_err(failed)
    }

    fn content(&self) -> Result<Before> {
        let rows = self.tables.iter().map(|table| Ok((table.name, self.rows(table).map_err(failed)?)));
        Ok(Before { names: self.names()?, rows: rows.try_gather()? })
    }

    fn rows(&self, table: &Table) -> rusqlite::Result<BTreeMap<i64, Row>> {
        let mut statement = self.connection.prepare(&format!("SELECT rowid, * FROM {}", table.name))?;
        let width = statement.column_count();
        let rows = statement.query_map([], |row| {
            let cells = (1..width).map(|i| row.get(i)).collect::<rusqlite::Result<Row>>()?;
            Ok((row.get(0)?, cells))
        })?;
        rows.try_gather()
    }

    /// All of it as SQL; only the tables themselves when `schema`.
    pub(super) fn dump(&self, schema: bool) -> Result<String> {
        let mut text = String::from("PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n");
        for table in self.tables {
            writeln!(text, "{};", table.sql()).ok();
            let rows = if schema { BTreeMap::new() } else { self.rows(table).map_err(failed)? };
            for row in rows.values() {
                let cells: Vec<String> = row.iter().map(literal).collect();
                writeln!(text, "INSERT INTO {} VALUES({});", table.name, cells.join(",")).ok();
            }
        }
        if std::ptr::eq(self.tables, tables::GLOBAL) {
            writeln!(text, "{};", tables::VIEW).ok();
        }
        Ok(text + "COMMIT;\n")
    }
}

fn make(tables: &'static [Table], mut rows: Rows) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open_in_memory()?;
    connection.execute_batch(&format!(
        "PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = OFF; PRAGMA hard_heap_limit = {MEMORY}"
    ))?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, LENGTH)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    let transaction = connection.transaction()?;
    for table in tables {
        transaction.execute_batch(&table.sql())?;
        let places = vec!["?"; table.columns().count()].join(",");
        // What is kept twice in a list of ids counts once.
        let insert = format!("INSERT OR IGNORE INTO {} VALUES ({places})", table.name);
        let mut insert = transaction.prepare(&insert)?;
        for row in rows.0.remove(table.name).into_iter().flatten() {
            insert.execute(params_from_iter(row))?;
        }
    }
    if std::ptr::eq(tables, tables::GLOBAL) {
        transaction.execute_batch(tables::VIEW)?;
    }
    transaction.commit()?;
    connection.execute_batch("PRAGMA foreign_keys = ON")?;
    Ok(connection)
}

fn execute(statement: &mut Statement<'_>) -> Result<SqlResult> {
    let affected = statement.raw_execute().map_err(failed)?;
    let rows_affected = if statement.readonly() { 0 } else { affected as u64 };
    Ok(SqlResult { kind: "exec".into(), rows_affected, ..SqlResult::default() })
}

fn select(statement: &mut Statement<'_>, size: &mut usize) -> Result<SqlResult> {
    let columns: Vec<String> = statement.column_names().map(String::from).collect();
    let mut rows = Vec::new();
    let mut found = statement.raw_query();
    while let Some(row) = found.next().map_err(failed)? {
        let cells = (0..columns.len()).map(|i| row.get_ref(i).map(json)).collect::<rusqlite::Result<Vec<Json>>>();
        let cells = cells.map_err(failed)?;
        *size += cells.iter().map(|cell| 16 + cell.as_str().map_or(0, str::len)).sum::<usize>();
        if rows.len() == ROWS || *size > LENGTH as usize {
            return Err(Error::invalid(format!(
                "Too much is found: at most {ROWS} rows and {LENGTH} bytes are answered"
            )));
        }
        rows.push(cells);
    }
    // None at all is `null`, as Go has it.
    let rows = Some(rows).filter(|rows| !rows.is_empty());
    Ok(SqlResult { kind: "select".into(), columns: Some(columns), rows, rows_affected: 0 })
}

/// As LXD words it.
fn failed(error: rusqlite::Error) -> Error {
    let text = match &error {
        rusqlite::Error::SqliteFailure(code, _) if code.code == rusqlite::ErrorCode::OperationInterrupted => {
            format!("it takes longer than {} seconds", TIME.as_secs())
        }
        rusqlite::Error::SqliteFailure(_, Some(text)) => text.clone(),
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    };
    Error::internal(format!("Failed to exec query: {text}"))
}

fn json(value: ValueRef<'_>) -> Json {
    match value {
        ValueRef::Null => Json::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into(),
    }
}

fn literal(value: &Value) -> String {
    match value {
        Value::Null => "NULL".into(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Value::Blob(bytes) => format!("x'{}'", data_encoding::HEXLOWER.encode(bytes)),
    }
}
