//! Indexes say what the records say, whatever was done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Random;
use super::faulty::FaultyDisk;
use crate::api::types::{Devices, Timestamp};
use crate::store::records::{
    AliasRecord, ImageRecord, InstanceRecord, PoolRecord, ProfileRecord, ProjectRecord, VolumeKind, VolumeRecord,
    WarningRecord, WarningStatus,
};
use crate::store::repo::{User, images, instances, pools, profiles, projects, volumes, warnings};
use crate::store::{Db, Prefix, Read, RedbStore, Table, Tx, View};
use crate::{Kind, Result};

const PROJECTS: [&str; 3] = ["default", "p1", "p2"];
const NAMES: [&str; 4] = ["a", "b", "ab", "c"];

fn one<'a>(random: &mut Random, of: &[&'a str]) -> &'a str {
    of[usize::try_from(random.below(of.len() as u64)).unwrap()]
}

fn some<T: Clone>(random: &mut Random, of: &[T]) -> Option<T> {
    let count = of.len() as u64;
    (count > 0).then(|| of[usize::try_from(random.below(count)).unwrap()].clone())
}

fn devices(random: &mut Random) -> Devices {
    let disk = |pool: &str| BTreeMap::from([("type".into(), "disk".into()), ("pool".into(), pool.into())]);
    (0..random.below(3)).map(|n| (format!("d{n}"), disk(one(random, &NAMES)))).collect()
}

/// One random change; most are possible, some are refused.
fn change(random: &mut Random, tx: &mut Tx) -> Result<()> {
    let project = one(random, &PROJECTS);
    let (name, other) = (one(random, &NAMES), one(random, &NAMES));
    match random.below(6) {
        0 => change_project(random, tx, project, other),
        1 => change_profile(random, tx, (project, name), other),
        2 | 3 => change_instance(random, tx, (project, name), other),
        4 => change_image(random, tx, (project, name), other),
        _ => change_volume(random, tx, (project, name), other),
    }
}

fn change_project(random: &mut Random, tx: &mut Tx, name: &str, new_name: &str) -> Result<()> {
    match random.below(5) {
        0 => projects::remove(tx, name),
        1 => projects::rename(tx, name, new_name),
        2 => projects::rename(tx, new_name, name),
        _ => {
            projects::insert(tx, ProjectRecord { name: name.into(), ..Default::default() })?;
            let profile = ProfileRecord { project: name.into(), name: "default".into(), ..Default::default() };
            profiles::insert(tx, profile).map(drop)
        }
    }
}

fn change_profile(random: &mut Random, tx: &mut Tx, (project, name): (&str, &str), other: &str) -> Result<()> {
    let devices = devices(random);
    match random.below(5) {
        0 => profiles::remove(tx, project, name),
        1 => profiles::rename(tx, project, name, other),
        2 => profiles::update(tx, &ProfileRecord { devices, ..profiles::by_name(tx, project, name)? }),
        _ => {
            let profile = ProfileRecord { project: project.into(), name: name.into(), devices, ..Default::default() };
            profiles::insert(tx, profile).map(drop)
        }
    }
}

fn change_instance(random: &mut Random, tx: &mut Tx, (project, name): (&str, &str), other: &str) -> Result<()> {
    let all: Vec<u64> = profiles::list(tx, Some(project))?.iter().map(|p| p.id).collect();
    let profiles = (0..random.below(3)).filter_map(|_| some(random, &all)).collect();
    let devices = devices(random);
    match random.below(5) {
        0 => instances::remove(tx, instances::by_name(tx, project, name)?.id),
        1 => instances::rename(tx, instances::by_name(tx, project, name)?.id, other),
        2 => {
            let old = instances::by_name(tx, project, name)?;
            instances::update(tx, &InstanceRecord { devices, profiles, ..old })
        }
        _ => {
            let (project, name) = (project.into(), name.into());
            instances::insert(tx, InstanceRecord { project, name, devices, profiles, ..Default::default() }).map(drop)
        }
    }
}

fn change_image(random: &mut Random, tx: &mut Tx, (project, name): (&str, &str), other: &str) -> Result<()> {
    let alias = AliasRecord { project: project.into(), name: name.into(), target: other.into(), ..Default::default() };
    match random.below(6) {
        0 => images::remove(tx, project, name).map(drop),
        1 => images::remove_alias(tx, project, name).map(drop),
        2 => images::rename_alias(tx, project, name, other),
        3 => images::update_alias(tx, &alias),
        4 => images::insert_alias(tx, &alias),
        _ => {
            images::insert(tx, &ImageRecord { project: project.into(), fingerprint: name.into(), ..Default::default() })
        }
    }
}

fn change_volume(random: &mut Random, tx: &mut Tx, (project, name): (&str, &str), other: &str) -> Result<()> {
    let all = pools::list(tx)?;
    let Some(pool) = some(random, &all).filter(|_| random.below(4) != 0) else {
        return match random.below(2) {
            0 => pools::remove(tx, pools::by_name(tx, other)?.id),
            _ => pools::insert(tx, PoolRecord { name: other.into(), ..Default::default() }).map(drop),
        };
    };
    let kind = if random.below(2) == 0 { VolumeKind::Custom } else { VolumeKind::Container };
    let volume = VolumeRecord { pool: pool.id, project: project.into(), kind, name: name.into(), ..Default::default() };
    match random.below(4) {
        0 => volumes::remove(tx, volumes::by_name(tx, volume.path())?.id),
        1 => volumes::rename(tx, volumes::by_name(tx, volume.path())?.id, other),
        _ => volumes::insert(tx, volume).map(drop),
    }
}

/// Compares every index with the records.
fn check(v: &View) -> Result<()> {
    fn names<R: PartialEq + std::fmt::Debug>(listed: Vec<R>, mut all: Vec<R>, order: impl Fn(&R) -> Vec<String>) {
        all.sort_by_key(order);
        assert_eq!(listed, all);
    }
    names(projects::list(v)?, v.scan_all()?, |p: &ProjectRecord| vec![p.name.clone()]);
    names(profiles::list(v, None)?, v.scan_all()?, |p: &ProfileRecord| vec![p.project.clone(), p.name.clone()]);
    names(instances::list(v, None)?, v.scan_all()?, |i: &InstanceRecord| vec![i.project.clone(), i.name.clone()]);
    names(pools::list(v)?, v.scan_all()?, |p: &PoolRecord| vec![p.name.clone()]);
    names(volumes::list(v, None)?, v.scan_all()?, |x: &VolumeRecord| {
        vec![x.project.clone(), format!("{:020}", x.pool), x.kind.as_str().into(), x.name.clone()]
    });
    check_uses(v)?;
    let mut targets = 0;
    for image in images::list(v, None)? {
        for alias in images::aliases_of(v, &image.project, &image.fingerprint)? {
            assert_eq!((&alias.project, &alias.target), (&image.project, &image.fingerprint));
            targets += 1;
        }
    }
    assert_eq!(targets, images::aliases(v, None)?.len(), "an alias without its image");
    assert_eq!(targets, v.rows(&Prefix::table(Table::AliasTargets))?.len());
    for thing in instances::list(v, None)? {
        assert!(projects::by_name(v, &thing.project).is_ok(), "an instance without its project");
    }
    Ok(())
}

fn check_uses(v: &View) -> Result<()> {
    let mut uses: BTreeMap<String, BTreeSet<User>> = BTreeMap::new();
    let mut add = |target: String, user| {
        uses.entry(target).or_default().insert(user);
    };
    let pools_in = |devices: &Devices| devices.values().map(|d| format!("pool/{}", d["pool"])).collect::<Vec<_>>();
    for instance in instances::list(v, None)? {
        pools_in(&instance.devices).into_iter().for_each(|pool| add(pool, User::Instance(instance.id)));
        for id in &instance.profiles {
            profiles::by_id(v, *id)?;
            add(format!("profile/{id}"), User::Instance(instance.id));
        }
    }
    for profile in profiles::list(v, None)? {
        pools_in(&profile.devices).into_iter().for_each(|pool| add(pool, User::Profile(profile.id)));
    }
    for volume in volumes::list(v, None)? {
        add(format!("pool/{}", pools::by_id(v, volume.pool)?.name), User::Volume(volume.id));
    }
    let rows = v.rows(&Prefix::table(Table::UsedBy))?;
    assert_eq!(rows.len(), uses.values().map(BTreeSet::len).sum::<usize>());
    for (target, users) in uses {
        let found = match target.split_once('/') {
            Some(("profile", id)) => profiles::used_by(v, id.parse().unwrap())?,
            Some((_, pool)) => pools::used_by(v, pool)?,
            None => vec![],
        };
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), users, "{target}");
    }
    Ok(())
}

#[test]
fn indexes_follow_random_changes() {
    for seed in 0..2 {
        let mut random = Random::new(seed);
        let store = RedbStore::on(FaultyDisk::default()).unwrap();
        for db in [Db::start(Arc::new(store)).unwrap(), Db::memory().unwrap()] {
            let mut done = 0;
            for round in 0..400 {
                match db.transact_blocking(|tx| change(&mut random, tx)) {
                    Ok(_) => done += 1,
                    Err(e) => assert!(
                        matches!(e.kind(), Kind::NotFound | Kind::Exists | Kind::Conflict | Kind::Forbidden),
                        "{e:?}"
                    ),
                }
                if round % 4 == 3 {
                    db.view(check).unwrap();
                }
            }
            assert!(done > 100, "only {done} changes were possible");
        }
    }
}

#[test]
fn an_image_with_very_many_aliases_goes_in_steps() {
    let db = Db::memory().unwrap();
    let image = ImageRecord { project: "default".into(), fingerprint: "f00".into(), ..Default::default() };
    db.transact_blocking(|tx| images::insert(tx, &image)).unwrap();
    for n in 0..100 {
        let alias = AliasRecord {
            project: "default".into(),
            name: format!("a/{n}"),
            target: "f00".into(),
            ..Default::default()
        };
        db.transact_blocking(|tx| images::insert_alias(tx, &alias)).unwrap();
    }
    let mut steps = 1;
    while !db.transact_blocking(|tx| images::remove(tx, "default", "f00")).unwrap().0 {
        steps += 1;
    }
    assert_eq!((steps, db.view(|v| images::aliases(v, None)).unwrap().len()), (4, 0));
    assert!(db.view(|v| images::list(v, None)).unwrap().is_empty());
}

#[test]
fn images_are_found_by_the_beginning_of_their_fingerprint() {
    let db = Db::memory().unwrap();
    for fingerprint in ["abc1", "abd2", "b333"] {
        let image = ImageRecord { project: "default".into(), fingerprint: fingerprint.into(), ..Default::default() };
        db.transact_blocking(|tx| images::insert(tx, &image)).unwrap();
    }
    let found = |prefix: &str| db.view(|v| images::by_prefix(v, "default", prefix)).map(|image| image.fingerprint);
    assert_eq!(found("b").unwrap(), "b333");
    assert_eq!(found("abd2").unwrap(), "abd2");
    assert_eq!(found("ab").unwrap_err().message(), "More than one image matches");
    for nothing in ["", "abc12", "c", "\0"] {
        assert_eq!(found(nothing).unwrap_err().message(), "Image not found", "{nothing:?}");
    }
}

#[test]
fn a_warning_is_counted_not_repeated() {
    let db = Db::memory().unwrap();
    let warning = |uuid: &str| WarningRecord { uuid: uuid.into(), kind: "k".into(), ..Default::default() };
    let raise = |uuid: &str, at: i64| {
        db.transact_blocking(|tx| warnings::raise(tx, warning(uuid), Timestamp::from_unix(at))).unwrap().0
    };
    raise("u1", 1);
    let again = raise("u2", 2);
    assert_eq!(
        (again.uuid.as_str(), again.count, again.first_seen_at.unix(), again.last_seen_at.unix()),
        ("u1", 2, 1, 2)
    );
    let status = |status| db.transact_blocking(|tx| warnings::set_status(tx, "u1", status, Timestamp::EPOCH)).unwrap();
    status(WarningStatus::Acknowledged);
    assert_eq!(raise("u3", 3).status, WarningStatus::Acknowledged);
    db.transact_blocking(|tx| warnings::resolve(tx, &warning("x"), Timestamp::EPOCH)).unwrap();
    assert_eq!(db.view(|v| warnings::by_uuid(v, "u1")).unwrap().status, WarningStatus::Resolved);
    assert_eq!(raise("u4", 4).status, WarningStatus::New);
    db.transact_blocking(|tx| warnings::remove(tx, "u1")).unwrap();
    assert_eq!(raise("u5", 5).uuid, "u5");
    assert_eq!(db.view(|v| warnings::by_uuid(v, "u1")).unwrap_err().message(), "Warning not found");
}
