//! Transactions against each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::faulty::FaultyDisk;
use crate::store::mem::Lost;
use crate::store::records::{InstanceRecord, PoolRecord, ProfileRecord, ProjectRecord, VolumeRecord};
use crate::store::repo::{DEFAULT, instances, pools, profiles, projects, server, volumes};
use crate::store::{Db, MemStore, Prefix, Read, RedbStore, Rev, Store, Table, Tx};
use crate::{Error, Kind, Result};

fn databases() -> [Db; 2] {
    let stores: [Arc<dyn Store>; 2] =
        [Arc::new(RedbStore::on(FaultyDisk::default()).unwrap()), Arc::new(MemStore::default())];
    stores.map(|store| Db::start(store).unwrap())
}

fn count(tx: &mut Tx) -> Result<u32> {
    let now = server::get(tx, "user.count")?.map_or(0, |text| text.parse().unwrap()) + 1;
    server::set(tx, "user.count", Some(&now.to_string()))?;
    Ok(now)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_increment_is_lost_among_many() {
    for db in databases() {
        let tasks: Vec<_> = (0..16)
            .map(|n| {
                let db = db.clone();
                tokio::spawn(async move {
                    for _ in 0..25 {
                        if n % 4 == 0 {
                            let db = db.clone();
                            tokio::task::spawn_blocking(move || db.transact_blocking(count)).await.unwrap().unwrap();
                        } else {
                            db.transact(count).await.unwrap();
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(db.view(|v| server::get(v, "user.count")).unwrap().as_deref(), Some("400"));
    }
}

#[tokio::test]
async fn a_reply_leaves_after_the_view_has_its_revision() {
    for db in databases() {
        for _ in 0..50 {
            let (value, rev) = db.transact(count).await.unwrap();
            db.view(|v| {
                assert!(v.rev() >= rev);
                assert_eq!(server::get(v, "user.count")?, Some(value.to_string()));
                Ok(())
            })
            .unwrap();
        }
    }
}

#[test]
fn an_endless_conflict_ends() {
    let db = Db::memory().unwrap();
    let error = db
        .transact_blocking(|tx| {
            count(tx)?;
            db.transact_blocking(count)
        })
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Busy);
}

#[test]
fn an_error_of_the_closure_writes_nothing() {
    for db in databases() {
        let before = db.view(|v| Ok(v.rev())).unwrap();
        let failed = db.transact_blocking(|tx| count(tx).and_then(|_| Err::<(), _>(Error::invalid("no"))));
        assert_eq!(failed.unwrap_err().message(), "no");
        assert_eq!(db.view(|v| Ok((v.rev(), server::config(v)?.len()))).unwrap(), (before, 0));
    }
}

#[test]
fn a_transaction_sees_its_own_writes() {
    for db in databases() {
        let seen = db.transact_blocking(|tx| {
            server::set(tx, "user.a", Some("1"))?;
            server::set(tx, "user.b", Some("2"))?;
            server::set(tx, "user.a", None)?;
            server::config(tx)
        });
        assert_eq!(seen.unwrap().0.into_iter().collect::<Vec<_>>(), [("user.b".to_owned(), "2".to_owned())]);
    }
}

#[test]
fn a_lost_answer_does_not_apply_twice_nor_claim_success() {
    let store = Arc::new(MemStore::default());
    let db = Db::start(Arc::<MemStore>::clone(&store)).unwrap();
    store.lose_next(Lost::Applied);
    assert_eq!(db.transact_blocking(count).unwrap().0, 1);
    store.lose_next(Lost::Dropped);
    assert_eq!(db.transact_blocking(count).unwrap_err().kind(), Kind::Unavailable);
    assert_eq!(db.transact_blocking(count).unwrap().0, 2);
}

/// Runs `first`, with `second` slipping in before its first attempt is committed; says how often `first` ran.
fn race<T: Send>(
    db: &Db,
    mut first: impl FnMut(&mut Tx) -> Result<T> + Send,
    second: impl Fn(&mut Tx) -> Result<()> + Sync,
) -> (Result<T>, u32) {
    let runs = AtomicU32::new(0);
    let result = db.transact_blocking(|tx| {
        let value = first(tx)?;
        if runs.fetch_add(1, Ordering::Relaxed) == 0 {
            db.transact_blocking(&second).unwrap();
        }
        Ok(value)
    });
    (result.map(|done| done.0), runs.into_inner())
}

fn profile(db: &Db, name: &str) -> ProfileRecord {
    let profile = ProfileRecord { project: DEFAULT.into(), name: name.into(), ..Default::default() };
    db.transact_blocking(|tx| profiles::insert(tx, profile.clone())).unwrap().0
}

fn instance(name: &str, profile: u64) -> InstanceRecord {
    let profiles = vec![profile];
    InstanceRecord { project: DEFAULT.into(), name: name.into(), profiles, ..Default::default() }
}

#[test]
fn a_profile_that_gets_its_first_user_meanwhile_is_not_removed() {
    for db in databases() {
        let id = profile(&db, "p").id;
        let insert = |tx: &mut Tx| instances::insert(tx, instance("c1", id)).map(drop);
        let (removed, _) = race(&db, |tx| profiles::remove(tx, DEFAULT, "p"), insert);
        assert_eq!(removed.unwrap_err().message(), "Profile is currently in use");
        assert_eq!(db.view(|v| profiles::used_by(v, id)).unwrap().len(), 1);
    }
}

#[test]
fn an_instance_does_not_get_a_profile_that_is_removed_meanwhile() {
    for db in databases() {
        let id = profile(&db, "p").id;
        let (inserted, _) =
            race(&db, |tx| instances::insert(tx, instance("c1", id)), |tx| profiles::remove(tx, DEFAULT, "p"));
        assert_eq!(inserted.unwrap_err().message(), "Profile not found");
        assert!(db.view(|v| instances::list(v, None)).unwrap().is_empty());
    }
}

#[test]
fn a_project_does_not_go_while_something_is_put_into_it() {
    for db in databases() {
        db.transact_blocking(|tx| projects::insert(tx, ProjectRecord { name: "x".into(), ..Default::default() }))
            .unwrap();
        let insert = |tx: &mut Tx| {
            let profile = ProfileRecord { project: "x".into(), name: "p".into(), ..Default::default() };
            profiles::insert(tx, profile).map(drop)
        };
        let (removed, _) = race(&db, |tx| projects::remove(tx, "x"), insert);
        assert_eq!(removed.unwrap_err().message(), "Only empty projects can be removed");
        db.transact_blocking(|tx| profiles::remove(tx, "x", "p")).unwrap();
        let (inserted, _) = race(&db, insert, |tx| projects::remove(tx, "x"));
        assert_eq!(inserted.unwrap_err().message(), "Project not found");
    }
}

#[test]
fn a_pool_does_not_go_while_a_volume_is_put_into_it() {
    for db in databases() {
        let pool = PoolRecord { name: "p".into(), driver: "dir".into(), ..Default::default() };
        let id = db.transact_blocking(|tx| pools::insert(tx, pool.clone())).unwrap().0.id;
        let volume = VolumeRecord { pool: id, project: DEFAULT.into(), name: "v".into(), ..Default::default() };
        let insert = |tx: &mut Tx| volumes::insert(tx, volume.clone()).map(drop);
        let (removed, _) = race(&db, |tx| pools::remove(tx, id), insert);
        assert_eq!(removed.unwrap_err().message(), "The storage pool is currently in use");
    }
}

#[test]
fn creations_and_edits_beside_each_other_do_not_conflict() {
    for db in databases() {
        let profile = profile(&db, "p");
        let edit = ProfileRecord { description: "edited".into(), ..profile.clone() };
        let first = |tx: &mut Tx| instances::insert(tx, instance("c1", profile.id));
        let (inserted, runs) = race(&db, first, |tx| {
            instances::insert(tx, instance("c2", profile.id))?;
            profiles::update(tx, &edit)
        });
        assert_eq!((inserted.unwrap().name.as_str(), runs), ("c1", 1));
    }
}

#[test]
fn edits_of_one_record_add_up() {
    for db in databases() {
        let id = profile(&db, "p").id;
        let id = db.transact_blocking(|tx| instances::insert(tx, instance("c1", id))).unwrap().0.id;
        let edit = |key: &'static str| {
            move |tx: &mut Tx| {
                instances::modify(tx, id, |i| {
                    i.config.insert(key.into(), "x".into());
                    Ok(())
                })
                .map(drop)
            }
        };
        let (edited, runs) = race(&db, edit("user.a"), edit("user.b"));
        edited.unwrap();
        assert_eq!(runs, 2);
        let config = db.view(|v| instances::by_id(v, id)).unwrap().config;
        assert_eq!(config.into_keys().collect::<Vec<_>>(), ["user.a", "user.b"]);
        let moved = db.transact_blocking(|tx| {
            instances::modify(tx, id, |i| {
                i.name = "c2".into();
                Ok(())
            })
        });
        assert_eq!(moved.unwrap_err().kind(), Kind::Internal);
    }
}

#[test]
fn a_name_is_taken_once() {
    for db in databases() {
        let id = profile(&db, "p").id;
        let insert = |tx: &mut Tx| instances::insert(tx, instance("c1", id)).map(drop);
        let (second, runs) = race(&db, insert, insert);
        assert_eq!((second.unwrap_err().kind(), runs), (Kind::Exists, 1));
    }
}

#[test]
fn ids_are_never_used_twice() {
    for db in databases() {
        let ids: Vec<u64> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| (0..40).map(|_| take_id(&db)).collect::<Vec<u64>>())).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let unique: std::collections::BTreeSet<u64> = ids.iter().copied().collect();
        assert_eq!(unique.len(), 320);
        assert!(*unique.first().unwrap() > 2, "those of the default project and profile");
    }
}

fn take_id(db: &Db) -> u64 {
    let (id, _) = db.transact_blocking(|tx| tx.next_id()).unwrap();
    id
}

#[test]
fn a_scan_wider_than_its_guard_is_refused_inside_transactions() {
    let db = Db::memory().unwrap();
    let wide = [Prefix::all(), Prefix::table(Table::InstanceNames), Prefix::table(Table::Instances)];
    for prefix in wide {
        assert_eq!(db.transact_blocking(|tx| tx.rows(&prefix)).unwrap_err().kind(), Kind::Internal);
        db.view(|v| v.rows(&prefix)).unwrap();
    }
    db.transact_blocking(|tx| tx.rows(&Prefix::of(Table::InstanceNames, &DEFAULT))).unwrap();
}

#[tokio::test]
async fn a_watch_follows_from_a_view_without_a_gap() {
    for db in databases() {
        let from = db.view(|v| Ok(v.rev().next())).unwrap();
        let mut watch = db.watch(Prefix::table(Table::ServerConfig), from);
        let mut revs = Vec::new();
        for _ in 0..5 {
            revs.push(db.transact(count).await.unwrap().1);
            db.transact(|tx| tx.next_id()).await.unwrap();
        }
        let mut seen: Vec<Rev> = Vec::new();
        for _ in 0..5 {
            seen.push(watch.next().await.unwrap().rev);
        }
        assert_eq!(seen, revs);
    }
}
