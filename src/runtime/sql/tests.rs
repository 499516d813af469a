//! Statements over a store in memory, and what their changes make of it.

use std::collections::HashMap;

use serde_json::{Value as Json, json};

use super::database::Database;
use super::fill::{self, Hot};
use super::repair;
use super::tables::{GLOBAL, LOCAL};
use crate::api::types::ConfigMap;
use crate::store::records::{ImageRecord, InstanceRecord, PoolRecord, SnapshotRecord};
use crate::store::{Db, repo};
use crate::{Kind, Result};

fn store() -> Db {
    let db = Db::memory().unwrap();
    let config = |key: &str, value: &str| ConfigMap::from([(key.to_string(), value.to_string())]);
    db.transact_blocking(|tx| {
        repo::pools::insert(tx, PoolRecord { name: "p".into(), driver: "dir".into(), ..Default::default() })?;
        let devices = [("eth0".to_string(), config("type", "nic"))].into();
        let instance = InstanceRecord {
            project: "default".into(),
            name: "c1".into(),
            architecture: "x86_64".into(),
            config: config("user.a", "it's"),
            devices,
            profiles: vec![repo::profiles::by_name(tx, "default", "default")?.id],
            ..Default::default()
        };
        let instance = repo::instances::insert(tx, instance)?;
        let snapshot = SnapshotRecord { instance: instance.id, name: "s".into(), ..Default::default() };
        repo::snapshots::insert(tx, snapshot)?;
        let image = ImageRecord { project: "default".into(), fingerprint: "ab".into(), size: 7, ..Default::default() };
        repo::images::insert(tx, &image)?;
        repo::server::set(tx, "core.https_address", Some(":8443"))?;
        repo::server::set(tx, "user.x", Some("1"))
    })
    .unwrap();
    db
}

fn global(db: &Db) -> Database {
    let hot = Hot { operations: Vec::new(), backups: HashMap::new() };
    Database::new(GLOBAL, db.view(|v| fill::global(v, &hot)).unwrap()).unwrap()
}

/// Runs a query and brings its changes into the store; gives the rows of each statement.
fn run(db: &Db, query: &str) -> Result<Vec<Json>> {
    let tables = global(db);
    let (results, before) = tables.run(query)?;
    if let Some(before) = before {
        let fixes = tables.fixes(&before)?;
        db.transact_blocking(|tx| fixes.iter().try_for_each(|fix| repair::apply(tx, fix)))?;
    }
    Ok(results.into_iter().map(|r| r.rows.map_or(json!(r.rows_affected), |rows| json!(rows))).collect())
}

#[test]
fn records_become_rows() {
    let db = store();
    let joined = "SELECT i.name, i.architecture, c.key, c.value, p.name FROM instances i JOIN instances_config c ON \
        c.instance_id = i.id JOIN instances_profiles ip ON ip.instance_id = i.id JOIN profiles p ON p.id = ip.profile_id";
    assert_eq!(run(&db, joined).unwrap(), [json!([["c1", 2, "user.a", "it's", "default"]])]);
    let devices = "SELECT d.name, d.type, key, value FROM instances_devices d JOIN instances_devices_config ON \
        instance_device_id = d.id; SELECT name FROM instances_snapshots; SELECT key FROM config;";
    assert_eq!(run(&db, devices).unwrap(), [json!([["eth0", 1, "type", "nic"]]), json!([["s"]]), json!([["user.x"]])]);
    let local = Database::new(LOCAL, db.view(fill::local).unwrap()).unwrap();
    let (results, _) = local.run("select key from config").unwrap();
    assert_eq!(json!(results[0].rows), json!([["core.https_address"]]));
}

#[test]
fn a_dump_is_sql() {
    let tables = global(&store());
    let dump = tables.dump(false).unwrap();
    assert!(dump.contains("'user.a','it''s');\n"), "{dump}");
    let again = rusqlite::Connection::open_in_memory().unwrap();
    again.execute_batch(&dump).unwrap();
    let key: String = again.query_row("SELECT key FROM instances_config", [], |row| row.get(0)).unwrap();
    assert_eq!(key, "user.a");
    assert!(!tables.dump(true).unwrap().contains("INSERT"));
}

#[test]
fn values_are_set_and_rows_taken_away() {
    let db = store();
    run(&db, "UPDATE instances_config SET value = 'b' WHERE key = 'user.a'; INSERT INTO config(key, value) VALUES ('user.y', 2)")
        .unwrap();
    run(&db, "INSERT OR REPLACE INTO config(key, value) VALUES ('user.x', 'new'); DELETE FROM instances_devices")
        .unwrap();
    let (instance, config) =
        db.view(|v| Ok((repo::instances::by_name(v, "default", "c1")?, repo::server::config(v)?))).unwrap();
    assert_eq!((instance.config["user.a"].as_str(), instance.devices.len()), ("b", 0));
    assert_eq!((config["user.x"].as_str(), config["user.y"].as_str()), ("new", "2"));
    run(&db, "DELETE FROM images WHERE fingerprint = 'ab'; DELETE FROM instances WHERE name = 'c1'").unwrap();
    db.view(|v| {
        assert!(repo::images::list(v, None)?.is_empty() && repo::instances::list(v, None)?.is_empty());
        assert!(repo::snapshots::all(v)?.is_empty());
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_cant_be_translated_is_refused_as_a_whole() {
    let db = store();
    for query in [
        "UPDATE instances SET name = 'c2'",
        "DELETE FROM nodes",
        "INSERT INTO profiles(name, description, project_id) SELECT 'p', '', id FROM projects",
        "CREATE TABLE t (a INT)",
        "DROP TABLE config",
        "PRAGMA hard_heap_limit = 1",
    ] {
        let error = run(&db, &format!("DELETE FROM config; {query}")).unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported, "{query}: {error}");
    }
    assert_eq!(run(&db, "SELECT key FROM config").unwrap(), [json!([["user.x"]])]);
    // What others changed meanwhile stays.
    let tables = global(&db);
    let (_, before) = tables.run("UPDATE config SET value = 3").unwrap();
    db.transact_blocking(|tx| repo::server::set(tx, "user.x", Some("2"))).unwrap();
    let fixes = tables.fixes(&before.unwrap()).unwrap();
    let applied = db.transact_blocking(|tx| fixes.iter().try_for_each(|fix| repair::apply(tx, fix)));
    assert_eq!(applied.unwrap_err().kind(), Kind::Conflict);
}

#[test]
fn statements_have_limits() {
    let db = store();
    let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)";
    let many = run(&db, &format!("{numbers} SELECT i FROM n")).unwrap_err();
    assert!(many.to_string().starts_with("Too much is found"), "{many}");
    let big = run(&db, &format!("{numbers} SELECT i FROM n ORDER BY randomblob(100000)")).unwrap_err();
    assert!(big.to_string().contains("memory"), "{big}");
    assert!(run(&db, "ATTACH '/etc/passwd' AS x").is_err());
    assert_eq!(run(&db, "selec").unwrap_err().to_string(), "Failed to exec query: near \"selec\": syntax error");
}
