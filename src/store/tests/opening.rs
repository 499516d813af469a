//! Opening, closing, refusing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Scratch;
use crate::store::records::InstanceRecord;
use crate::store::repo::{DEFAULT, instances, profiles, projects};
use crate::store::txn::{Commit, Op, TxnId};
use crate::store::{Db, Key, RedbStore, Rev, Store, Table};
use crate::{Error, Kind};

fn instance(name: &str) -> InstanceRecord {
    InstanceRecord { project: DEFAULT.into(), name: name.into(), ..Default::default() }
}

/// The state as a killed daemon leaves it: a copy of the file while it is open.
fn killed_copy(of: &Path, scratch: &Scratch) -> PathBuf {
    let copy = scratch.path("killed.redb");
    fs::copy(of, &copy).unwrap();
    copy
}

#[test]
fn a_new_database_has_the_default_project_and_profile() {
    let scratch = Scratch::new();
    let path = scratch.path("lxbox.redb");
    let db = Db::open(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    db.view(|v| {
        let project = projects::by_name(v, DEFAULT)?;
        assert_eq!(project.description, "Default LXD project");
        let features = ["features.images", "features.networks", "features.profiles", "features.storage.volumes"];
        assert_eq!(project.config.keys().collect::<Vec<_>>(), features);
        assert!(project.config.values().all(|value| value == "true"));
        assert_eq!(projects::list(v)?, [project]);
        let profile = profiles::by_name(v, DEFAULT, DEFAULT)?;
        assert_eq!(profile.description, "Default LXD profile");
        assert_eq!(profiles::list(v, None)?, [profile]);
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_was_answered_is_there_after_closing_and_after_a_kill() {
    let scratch = Scratch::new();
    let path = scratch.path("lxbox.redb");
    let db = Db::open(&path).unwrap();
    for n in 0..50 {
        db.transact_blocking(|tx| instances::insert(tx, instance(&format!("c{n}")))).unwrap();
    }
    let before = db.view(|v| Ok((v.rev(), instances::list(v, None)?))).unwrap();
    let killed = killed_copy(&path, &scratch);
    drop(db);
    for path in [path, killed] {
        let db = Db::open(&path).unwrap();
        assert_eq!(db.view(|v| Ok((v.rev(), instances::list(v, None)?))).unwrap(), before);
        let (new, _) = db.transact_blocking(|tx| instances::insert(tx, instance("new"))).unwrap();
        assert!(before.1.iter().all(|old| old.id < new.id), "an id was used twice");
    }
}

#[test]
fn only_one_daemon_opens_it() {
    let scratch = Scratch::new();
    let path = scratch.path("lxbox.redb");
    let first = Db::open(&path).unwrap();
    let error = Db::open(&path).map(drop).unwrap_err();
    assert!(error.message().ends_with("another daemon is using it"), "{error}");
    drop(first);
    Db::open(&path).unwrap();
}

/// Writes a schema row behind the program's back.
fn stamp(path: &Path, schema: &str) -> RedbStore {
    let store = RedbStore::open(path).unwrap();
    let key = Key::new(Table::Schema, &());
    let op = Op::Put { key, version: 1, json: Arc::from(schema.as_bytes()) };
    let commit = Commit { txn: TxnId::fresh(), cmps: vec![], ops: vec![op] };
    super::wait(store.commit(commit).wait()).unwrap();
    store
}

fn refused(path: &Path) -> Error {
    let before = (fs::read(path).unwrap(), fs::metadata(path).unwrap().modified().unwrap());
    let error = Db::open(path).map(drop).unwrap_err();
    let after = (fs::read(path).unwrap(), fs::metadata(path).unwrap().modified().unwrap());
    assert!(before == after, "the database was touched");
    assert_eq!(error.kind(), Kind::Unsupported);
    error
}

#[test]
fn a_newer_schema_is_refused_and_the_file_stays_as_it_is() {
    let newer = [
        (r#"{"schema":2,"records":{}}"#, "schema 2, this one knows 1"),
        (r#"{"schema":1,"records":{"instances":9}}"#, "version 9 of \"instances\", this one knows 1"),
        (r#"{"schema":1,"records":{"clusters":1}}"#, "\"clusters\", which this one does not know"),
    ];
    for (schema, text) in newer {
        let scratch = Scratch::new();
        let path = scratch.path("lxbox.redb");
        drop(Db::open(&path).unwrap());
        let store = stamp(&path, schema);
        let killed = killed_copy(&path, &scratch);
        drop(store);
        for path in [path, killed] {
            let error = refused(&path);
            assert!(error.message().contains(text), "{error}");
            assert!(error.message().contains(path.to_str().unwrap()), "{error}");
        }
    }
}

#[test]
fn an_older_schema_is_opened_and_stamped() {
    let scratch = Scratch::new();
    let path = scratch.path("lxbox.redb");
    drop(Db::open(&path).unwrap());
    drop(stamp(&path, r#"{"schema":1,"records":{"instances":1}}"#));
    let db = Db::open(&path).unwrap();
    let schema = db.view(|v| crate::store::Read::row(v, &Key::new(Table::Schema, &()))).unwrap().unwrap();
    assert!(String::from_utf8_lossy(&schema.json).contains("\"warnings\":1"));
    let stamped = db.view(|v| Ok(v.rev())).unwrap();
    drop(db);
    assert_eq!(Db::open(&path).unwrap().view(|v| Ok(v.rev())).unwrap(), stamped, "stamped once is enough");
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let scratch = Scratch::new();
    for (name, bytes) in [("empty", vec![]), ("text", b"hello".to_vec()), ("zeros", vec![0; 1 << 16])] {
        let path = scratch.path(name);
        fs::write(&path, &bytes).unwrap();
        assert!(Db::open(&path).is_err(), "{name}");
        assert_eq!(fs::read(&path).unwrap(), bytes, "{name}");
    }
}

#[test]
fn a_damaged_database_is_refused_or_read_but_never_a_panic() {
    let scratch = Scratch::new();
    let path = scratch.path("lxbox.redb");
    drop(Db::open(&path).unwrap());
    let whole = fs::read(&path).unwrap();
    let mut random = super::Random::new(1);
    let mut refused = 0;
    for round in 0..60u64 {
        let mut bytes = whole.clone();
        match round % 3 {
            0 => bytes.truncate(usize::try_from(random.below(whole.len() as u64)).unwrap()),
            // The header: magic, state, layout, the two commit slots.
            1 => bytes[usize::try_from(random.below(320)).unwrap()] ^= 1 << random.below(8),
            _ => (0..50).for_each(|_| bytes[usize::try_from(random.below(whole.len() as u64)).unwrap()] ^= 0x55),
        }
        let damaged = scratch.path("damaged.redb");
        fs::write(&damaged, bytes).unwrap();
        refused += u32::from(Db::open(&damaged).is_err());
    }
    assert!(refused > 20, "only {refused}");
}

#[test]
fn half_a_creation_is_started_over() {
    let scratch = Scratch::new();
    let path = scratch.path("lxbox.redb");
    fs::write(path.with_extension("new"), b"left by a crash").unwrap();
    assert!(Db::open(&path).unwrap().view(|v| Ok(v.rev())).unwrap() > Rev(0));
    assert!(!path.with_extension("new").exists());
}
