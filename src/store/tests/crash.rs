//! What is left after a power cut, a full disk, a lost answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::faulty::{Fault, FaultyDisk};
use super::wait;
use crate::store::records::{ServerConfigRecord, WarningRecord};
use crate::store::repo::server;
use crate::store::{Commit, Db, Key, Op, Outcome, Prefix, Read, RedbStore, Rev, Store, Table, TxnId};
use crate::{Kind, Result};

/// Transaction `n` of the workload: two rows that must stay together; every third one need not be durable.
fn commit(n: u64) -> Commit {
    let table = if n.is_multiple_of(3) { Table::Warnings } else { Table::Instances };
    let put = |half: u64| Op::Put {
        key: Key::new(table, &(n, half)),
        version: 1,
        json: Arc::from(vec![b'x'; usize::try_from(n % 7 * 500).unwrap()]),
    };
    let mut ops = vec![put(0), put(1)];
    // Deleting keeps the file from only growing.
    if n > 4 && table == Table::Instances {
        ops.extend([0u64, 1].map(|half| Op::Delete(Key::new(table, &(n - 3, half)))));
    }
    Commit { txn: TxnId::fresh(), cmps: vec![], ops }
}

/// Runs the workload; returns how many of its transactions were answered, and how many durable ones among them, when
/// the power went.
fn run(disk: &FaultyDisk, transactions: u64) -> (u64, u64) {
    let store = RedbStore::on(disk.clone()).unwrap();
    let (mut answered, mut durable) = (0, 0);
    for n in 1..=transactions {
        if disk.left().is_none() {
            (answered, durable) = (n - 1, if (n - 1).is_multiple_of(3) { (n - 1).saturating_sub(1) } else { n - 1 });
        }
        assert_eq!(wait(store.commit(commit(n)).wait()).unwrap(), Outcome::Committed(Rev(n)));
    }
    if disk.left().is_none() { (transactions, transactions - 1) } else { (answered, durable) }
}

#[test]
fn a_power_cut_at_any_write_loses_nothing_durable_and_splits_nothing() {
    // A new database is made beside its place, whole or not at all.
    let fresh = FaultyDisk::default();
    drop(RedbStore::on(fresh.clone()).unwrap());
    let new = fresh.durable();
    let whole = FaultyDisk::with(new.clone());
    run(&whole, 9);
    let steps = whole.steps();
    assert!(steps > 60, "{steps}");
    for step in 0..steps {
        let disk = FaultyDisk::with(new.clone());
        disk.cut_power_at(step, step);
        let (answered, durable) = run(&disk, 9);
        let store = RedbStore::on(FaultyDisk::with(disk.left().expect("the power went"))).unwrap();
        check(&store, answered, durable, step);
    }
}

/// The rows have to be those of some prefix of the workload, at least as long as what was durable.
fn check(store: &RedbStore, answered: u64, durable: u64, step: u64) {
    let rev = store.snapshot().unwrap().rev();
    assert!((durable..=answered + 1).contains(&rev.0), "cut at {step}: {rev} of {durable}..{answered}");
    let model = crate::store::MemStore::default();
    (1..=rev.0).for_each(|n| assert!(wait(model.commit(commit(n)).wait()).is_ok()));
    assert_eq!(store.range(&Prefix::all()).unwrap(), model.range(&Prefix::all()).unwrap(), "cut at {step}");
    assert_eq!(wait(store.commit(commit(rev.0 + 1)).wait()).unwrap(), Outcome::Committed(rev.next()));
}

fn db(disk: &FaultyDisk) -> Db {
    Db::start(Arc::new(RedbStore::on(disk.clone()).unwrap())).unwrap()
}

fn set(db: &Db, value: &str) -> Result<Rev> {
    db.transact_blocking(|tx| server::set(tx, "user.x", Some(value))).map(|done| done.1)
}

fn get(db: &Db) -> Option<String> {
    db.view(|v| server::get(v, "user.x")).unwrap()
}

#[test]
fn a_full_disk_fails_the_write_and_nothing_else() {
    let disk = FaultyDisk::default();
    let db = db(&disk);
    set(&db, "before").unwrap();
    let mut watch = db.watch(Prefix::all(), db.view(|v| Ok(v.rev().next())).unwrap());
    disk.set_fault(Some(Fault::Full));
    for _ in 0..3 {
        assert_eq!(set(&db, "while full").unwrap_err().kind(), Kind::Unavailable);
        assert_eq!(get(&db).as_deref(), Some("before"));
    }
    disk.set_fault(None);
    let rev = set(&db, "after").unwrap();
    assert_eq!(get(&db).as_deref(), Some("after"));
    assert_eq!(wait(watch.next()).unwrap().rev, rev);
    drop(db);
    assert_eq!(get(&self::db(&disk)).as_deref(), Some("after"));
}

#[test]
fn a_lost_answer_is_settled_by_looking() {
    let disk = FaultyDisk::default();
    let db = db(&disk);
    set(&db, "before").unwrap();
    let from = |db: &Db| db.view(|v| Ok(v.rev().next())).unwrap();
    let mut watch = db.watch(Prefix::all(), from(&db));
    disk.set_fault(Some(Fault::SyncAnswer));
    // The commit reached the disk before its sync failed, so it counts.
    let rev = set(&db, "after").unwrap();
    assert_eq!(disk.fault(), None, "the sync did not fail");
    assert_eq!((get(&db).as_deref(), from(&db)), (Some("after"), rev.next()));
    assert_eq!(wait(watch.next()).unwrap_err().kind(), Kind::Conflict, "the watcher missed it");
    let mut anew = db.watch(Prefix::all(), from(&db));
    let again = set(&db, "again").unwrap();
    assert_eq!(wait(anew.next()).unwrap().rev, again);
    drop(db);
    assert_eq!(get(&self::db(&disk)).as_deref(), Some("again"));
}

#[test]
fn reads_do_not_wait_for_the_disk_and_commits_share_a_sync() {
    let disk = FaultyDisk::default();
    let db = db(&disk);
    set(&db, "before").unwrap();
    disk.hold_syncs(true);
    let writers: Vec<_> = (0..20u64)
        .map(|n| {
            let db = db.clone();
            std::thread::spawn(move || {
                let row = ServerConfigRecord { key: format!("user.{n}"), value: "y".into() };
                db.transact_blocking(|tx| tx.put(&row)).unwrap().1
            })
        })
        .collect();
    let before = disk.syncs();
    for _ in 0..100 {
        assert_eq!(db.view(server::config).unwrap().len(), 1, "seen before it was answered");
    }
    assert_eq!(disk.syncs(), before);
    assert!(writers.iter().all(|writer| !writer.is_finished()));
    disk.hold_syncs(false);
    let mut revs: Vec<Rev> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
    revs.sort();
    assert!(revs.windows(2).all(|pair| pair[1] == pair[0].next()));
    assert_eq!(db.view(server::config).unwrap().len(), 21);
    assert!(disk.syncs() - before < 20, "{} syncs for 20 commits", disk.syncs() - before);
}

#[test]
fn durability_is_that_of_the_record() {
    let disk = FaultyDisk::default();
    let db = db(&disk);
    set(&db, "x").unwrap();
    let before = disk.syncs();
    let warning = WarningRecord { uuid: "u".into(), kind: "k".into(), ..Default::default() };
    db.transact_blocking(|tx| tx.put(&warning)).unwrap();
    set(&db, "x").unwrap();
    assert_eq!(disk.syncs(), before, "a warning, or a change that changes nothing, was synced");
    set(&db, "y").unwrap();
    assert!(disk.syncs() > before);
    drop(db);
    assert_eq!(self::db(&disk).view(|v| v.get::<WarningRecord>(&"u".into())).unwrap(), Some(warning));
}

#[test]
fn a_watcher_learns_that_what_was_only_in_memory_is_lost() {
    let disk = FaultyDisk::default();
    let db = db(&disk);
    set(&db, "before").unwrap();
    let durable = db.view(|v| Ok(v.rev())).unwrap();
    let mut watch = db.watch(Prefix::all(), durable.next());
    let warning = WarningRecord { uuid: "u".into(), kind: "k".into(), ..Default::default() };
    db.transact_blocking(|tx| tx.put(&warning)).unwrap();
    assert_eq!(wait(watch.next()).unwrap().rev, durable.next());
    disk.set_fault(Some(Fault::Full));
    set(&db, "while full").unwrap_err();
    disk.set_fault(None);
    assert_eq!(db.view(|v| v.get::<WarningRecord>(&"u".into())).unwrap(), None);
    assert_eq!(wait(watch.next()).unwrap_err().kind(), Kind::Conflict);
    let mut watch = db.watch(Prefix::all(), db.view(|v| Ok(v.rev().next())).unwrap());
    let rev = set(&db, "after").unwrap();
    assert_eq!(wait(watch.next()).unwrap().rev, rev);
}

#[test]
fn what_need_not_be_durable_gets_to_the_disk_all_the_same() {
    let disk = FaultyDisk::default();
    let db = db(&disk);
    let warning = WarningRecord { uuid: "u".into(), kind: "k".into(), ..Default::default() };
    set(&db, "x").unwrap();
    let before = disk.syncs();
    db.transact_blocking(|tx| tx.put(&warning)).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    // Two syncs: the settling commit is there with the second.
    while disk.syncs() < before + 2 {
        assert!(Instant::now() < deadline, "nothing was written");
        std::thread::sleep(Duration::from_millis(20));
    }
    let after_power_cut = self::db(&FaultyDisk::with(disk.durable()));
    assert_eq!(after_power_cut.view(|v| v.get::<WarningRecord>(&"u".into())).unwrap(), Some(warning));
}
