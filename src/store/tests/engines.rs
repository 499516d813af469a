//! The disk engine against the model in memory.

use std::sync::Arc;

use super::faulty::FaultyDisk;
use super::{Random, wait};
use crate::Kind;
use crate::store::{
    Batch, Cmp, Commit, Key, MemStore, Op, Outcome, Prefix, RedbStore, Rev, Store, Table, TxnId, Value, Watch,
};

const TABLES: [Table; 3] = [Table::Instances, Table::Aliases, Table::Warnings];

fn key(random: &mut Random) -> Key {
    Key::new(TABLES[usize::try_from(random.below(3)).unwrap()], &random.below(8))
}

/// A comparison that holds three times out of four.
fn cmp(random: &mut Random, model: &MemStore) -> Cmp {
    let key = key(random);
    let row = model.get(&key).unwrap();
    let off = u64::from(random.below(8) == 0);
    match (row, random.below(8)) {
        (_, 0) => Cmp::Absent(key),
        (None, _) => Cmp::Absent(key),
        (Some(row), n) if n < 5 => Cmp::ModEq(key, Rev(row.modified.0 - off)),
        (Some(row), _) => Cmp::CreateEq(key, Rev(row.create.0 - off)),
    }
}

fn commit(random: &mut Random, model: &MemStore) -> Commit {
    let cmps = (0..random.below(3)).map(|_| cmp(random, model)).collect();
    let mut ops: Vec<Op> = Vec::new();
    for _ in 0..random.below(5) {
        let key = key(random);
        if ops.iter().any(|op| *op.key() == key) {
            continue;
        }
        ops.push(match random.below(3) {
            0 => Op::Delete(key),
            _ => Op::Put { key, version: 1, json: Arc::from(random.below(1 << 30).to_string().into_bytes()) },
        });
    }
    Commit { txn: TxnId::fresh(), cmps, ops }
}

fn everything(store: &dyn Store) -> (Rev, Vec<(Key, Value)>) {
    let snapshot = store.snapshot().unwrap();
    (snapshot.rev(), snapshot.range(&Prefix::all()).unwrap())
}

fn drain(watch: &mut Watch) -> Vec<Batch> {
    std::iter::from_fn(|| watch.take().unwrap()).collect()
}

#[test]
fn engines_agree_on_random_transactions() {
    for seed in 0..3 {
        let mut random = Random::new(seed);
        let (disk, model) = (FaultyDisk::default(), MemStore::default());
        let mut store = RedbStore::on(disk.clone()).unwrap();
        let mut from = Rev(1);
        for _ in 0..4 {
            let mut watches = [store.watch(Prefix::all(), from), model.watch(Prefix::all(), from)];
            let held = [store.snapshot().unwrap(), model.snapshot().unwrap()];
            let seen = held.each_ref().map(|s| s.range(&Prefix::all()).unwrap());
            for _ in 0..100 {
                let commit = commit(&mut random, &model);
                let expected = wait(model.commit(commit.clone()).wait()).unwrap();
                assert_eq!(wait(store.commit(commit.clone()).wait()).unwrap(), expected, "{commit:?}");
                let applied = [wait(store.resolve(commit.txn).wait()), wait(model.resolve(commit.txn).wait())];
                let rev = if let Outcome::Committed(rev) = expected { Some(rev) } else { None };
                assert_eq!(applied.map(Result::unwrap), [rev; 2]);
                let prefix = Prefix::table(TABLES[usize::try_from(random.below(3)).unwrap()]);
                assert_eq!(store.range(&prefix).unwrap(), model.range(&prefix).unwrap());
            }
            assert_eq!(everything(&store), everything(&model));
            let [a, b] = watches.each_mut().map(drain);
            assert!(a == b && a.len() > 40, "{} batches", a.len());
            assert_eq!(held.map(|s| s.range(&Prefix::all()).unwrap()), seen, "a view changed");
            drop(store);
            store = RedbStore::on(disk.clone()).unwrap();
            assert_eq!(everything(&store), everything(&model));
            from = everything(&model).0.next();
        }
    }
}

fn engines() -> [Box<dyn Store>; 2] {
    [Box::new(RedbStore::on(FaultyDisk::default()).unwrap()), Box::new(MemStore::default())]
}

fn put(n: u64, bytes: usize) -> Op {
    Op::Put { key: Key::new(Table::Instances, &n), version: 1, json: vec![b'x'; bytes].into() }
}

fn send(store: &dyn Store, cmps: Vec<Cmp>, ops: Vec<Op>) -> crate::Result<Outcome> {
    wait(store.commit(Commit { txn: TxnId::fresh(), cmps, ops }).wait())
}

#[test]
fn transactions_beyond_the_caps_are_refused_by_both() {
    for store in engines() {
        let store = &*store;
        let absent = |n: u64| Cmp::Absent(Key::new(Table::Aliases, &n));
        let fits = send(store, (0..120).map(absent).collect(), (0..120).map(|n| put(n, 8000)).collect());
        assert_eq!(fits.unwrap(), Outcome::Committed(Rev(1)));
        let too_big = [
            (vec![], (0..121).map(|n| put(n, 1)).collect()),
            ((0..121).map(absent).collect(), vec![put(0, 1)]),
            (vec![], vec![put(0, (1 << 20) - 7)]),
            (vec![], vec![put(0, 1 << 19), put(1, 1 << 19)]),
        ];
        for (cmps, ops) in too_big {
            assert_eq!(send(store, cmps, ops).unwrap_err().kind(), Kind::Invalid);
        }
        assert!(send(store, vec![], vec![put(0, 1), put(0, 2)]).is_err(), "two changes of one row");
        assert_eq!(send(store, vec![], vec![put(0, (1 << 20) - 8)]).unwrap(), Outcome::Committed(Rev(2)));
    }
}

#[test]
fn watches_give_each_revision_once_and_in_order() {
    for store in engines() {
        let store = &*store;
        let mut all = store.watch(Prefix::all(), Rev(0));
        let mut one = store.watch(Prefix::of(Table::Instances, &3u64), Rev(1));
        std::thread::scope(|scope| {
            for n in 0..4 {
                scope.spawn(move || (0..50).for_each(|_| assert!(send(store, vec![], vec![put(n, 10)]).is_ok())));
            }
            for rev in 1..=200 {
                assert_eq!(wait(all.next()).unwrap().rev, Rev(rev));
            }
        });
        assert_eq!(all.take().unwrap(), None);
        let own = drain(&mut one);
        assert_eq!(own.len(), 50);
        assert!(own.iter().all(|b| b.events.len() == 1 && b.events[0].key == Key::new(Table::Instances, &3u64)));
        assert!(own.windows(2).all(|pair| pair[0].rev < pair[1].rev));
        assert_eq!(drain(&mut store.watch(Prefix::all(), Rev(200))).len(), 1);
    }
}

#[test]
fn a_watcher_that_falls_behind_is_told() {
    for store in engines() {
        let store = &*store;
        let mut late = store.watch(Prefix::all(), Rev(1));
        // More bytes than are kept.
        (0..5).for_each(|n| assert!(send(store, vec![], vec![put(n, 900_000)]).is_ok()));
        assert_eq!(late.take().unwrap_err().kind(), Kind::Conflict);
        assert_eq!(wait(late.next()).unwrap_err().kind(), Kind::Conflict);
        assert_eq!(drain(&mut store.watch(Prefix::all(), Rev(5))).len(), 1);
    }
}

#[test]
fn a_watcher_learns_that_the_database_is_closed() {
    for store in engines() {
        let mut watch = store.watch(Prefix::all(), Rev(1));
        let waiting = std::thread::spawn(move || wait(watch.next()).unwrap_err().kind());
        drop(store);
        assert_eq!(waiting.join().unwrap(), Kind::Unavailable);
    }
}
