//! Carries out a [`Preseed`]; when a step fails, the steps before are undone, last first.

use serde_json::{Map, Value, json};

use super::preseed::{Preseed, PreseedNetwork, PreseedPool, PreseedProfile, PreseedProject};
use crate::api::types::{ConfigMap, Devices, from_tree};
use crate::cli::lxd::api::{Api, segment};
use crate::error::{Error, Result};
use crate::order::Gather;

/// One step back.
enum Undo {
    Put { path: String, body: Value },
    Delete { path: String },
}

/// Sets up all that `preseed` says.
///
/// # Errors
/// Refuses before any change what can't be done; else the first failure, after undoing what was done. An undo that
/// fails too is told in the same text.
pub(super) fn apply(preseed: &Preseed, api: &impl Api) -> Result<()> {
    refuse(preseed, api)?;
    let mut done = Vec::new();
    let Err(error) = carry_out(preseed, api, &mut done) else { return Ok(()) };
    let failures: Vec<String> =
        done.iter().rev().filter_map(|undo| take_back(undo, api).err()).map(|e| e.to_string()).collect();
    if failures.is_empty() {
        return Err(error);
    }
    Err(Error::new(error.kind(), format!("{error} (and failed undoing: {})", failures.join(", "))))
}

/// Refuses what this version can't do, before anything is changed.
fn refuse(preseed: &Preseed, api: &impl Api) -> Result<()> {
    if preseed.cluster.as_ref().is_some_and(|cluster| !cluster.is_null()) {
        return Err(Error::unsupported("Clustering"));
    }
    preseed.projects.iter().try_for_each(|project| refuse_project(project, api))
}

/// The default project may stand in a preseed as `--dump` prints it; anything else can't be done yet.
fn refuse_project(project: &PreseedProject, api: &impl Api) -> Result<()> {
    if project.name != "default" {
        return Err(Error::unsupported(format!("Creating project {:?}", project.name)));
    }
    let now = api.get("/1.0/projects/default")?.metadata;
    let config = strings(now.get("config"));
    let same = project.config.iter().all(|(key, value)| config.get(key) == Some(value));
    let named = project.description.is_empty() || now["description"] == json!(project.description);
    if same && named { Ok(()) } else { Err(Error::unsupported("Changing project \"default\"")) }
}

fn carry_out(preseed: &Preseed, api: &impl Api, done: &mut Vec<Undo>) -> Result<()> {
    if !preseed.config.is_empty() {
        server(&preseed.config, api, done)?;
    }
    for network in &preseed.networks {
        self::network(network, api, done)?;
    }
    for pool in &preseed.storage_pools {
        self::pool(pool, api, done)?;
    }
    for profile in &preseed.profiles {
        self::profile(profile, api, done)?;
    }
    Ok(())
}

fn take_back(undo: &Undo, api: &impl Api) -> Result<()> {
    match undo {
        Undo::Put { path, body } => api.put(path, body, None),
        Undo::Delete { path } => api.delete(path),
    }
}

fn server(config: &ConfigMap, api: &impl Api, done: &mut Vec<Undo>) -> Result<()> {
    let before = api.get("/1.0").map_err(|e| failed("retrieve current server configuration", &e))?;
    let mut new = match before.metadata.get("config") {
        Some(Value::Object(map)) => map.clone(),
        _ => Map::new(),
    };
    // LXD 5.0 keeps `user.*` keys that a PUT does not name: what was not there is taken back by an empty value.
    let mut back = new.clone();
    config.keys().filter(|key| !new.contains_key(*key)).for_each(|key| drop(back.insert(key.clone(), json!(""))));
    new.extend(config.iter().map(|(key, value)| (key.clone(), json!(value))));
    // LXD takes the undo step before it tries: a change of several keys may have come half through.
    done.push(Undo::Put { path: "/1.0".to_string(), body: json!({ "config": back }) });
    api.put("/1.0", &json!({ "config": new }), before.etag.as_deref())
        .map_err(|e| failed("update server configuration", &e))
}

fn network(network: &PreseedNetwork, api: &impl Api, done: &mut Vec<Undo>) -> Result<()> {
    let project = if network.project.is_empty() { "default" } else { &network.project };
    let query = if project == "default" { String::new() } else { format!("?project={}", segment(project)) };
    let path = format!("/1.0/networks/{}{query}", segment(&network.name));
    let what = |verb: &str| format!("{verb} local member network {:?} in project {project:?}", network.name);
    let found = api.find(&path).map_err(|e| failed(&what("retrieve"), &e))?;
    let Some(before) = found.filter(|reply| reply.metadata["managed"] == true) else {
        let body = json!({
            "config": network.config, "description": network.description, "name": network.name, "type": network.kind,
        });
        api.post(&format!("/1.0/networks{query}"), &body).map_err(|e| failed(&what("create"), &e))?;
        done.push(Undo::Delete { path });
        return Ok(());
    };
    let mut config = strings(before.metadata.get("config"));
    let old = json!({ "config": config, "description": before.metadata["description"] });
    config.extend(network.config.clone());
    let description = described(&network.description, &before.metadata);
    api.put(&path, &json!({ "config": config, "description": description }), before.etag.as_deref())
        .map_err(|e| failed(&what("update"), &e))?;
    done.push(Undo::Put { path, body: old });
    Ok(())
}

fn pool(pool: &PreseedPool, api: &impl Api, done: &mut Vec<Undo>) -> Result<()> {
    let path = format!("/1.0/storage-pools/{}", segment(&pool.name));
    let Some(before) = api.find(&path).map_err(|e| failed(&format!("retrieve storage pool {:?}", pool.name), &e))?
    else {
        api.post("/1.0/storage-pools", &json!(pool))
            .map_err(|e| failed(&format!("create storage pool {:?}", pool.name), &e))?;
        done.push(Undo::Delete { path });
        return Ok(());
    };
    let driver = before.metadata["driver"].as_str().unwrap_or_default();
    if driver != pool.driver {
        let text = format!("Storage pool {:?} is of type {driver:?} instead of {:?}", pool.name, pool.driver);
        return Err(Error::invalid(text));
    }
    let mut config = strings(before.metadata.get("config"));
    let old = json!({ "config": config, "description": before.metadata["description"] });
    config.extend(pool.config.clone());
    let description = described(&pool.description, &before.metadata);
    api.put(&path, &json!({ "config": config, "description": description }), before.etag.as_deref())
        .map_err(|e| failed(&format!("update storage pool {:?}", pool.name), &e))?;
    done.push(Undo::Put { path, body: old });
    Ok(())
}

fn profile(profile: &PreseedProfile, api: &impl Api, done: &mut Vec<Undo>) -> Result<()> {
    let path = format!("/1.0/profiles/{}", segment(&profile.name));
    let Some(before) = api.find(&path).map_err(|e| failed(&format!("retrieve profile {:?}", profile.name), &e))? else {
        api.post("/1.0/profiles", &json!(profile))
            .map_err(|e| failed(&format!("create profile {:?}", profile.name), &e))?;
        done.push(Undo::Delete { path });
        return Ok(());
    };
    let mut config = strings(before.metadata.get("config"));
    let devices = before.metadata.get("devices");
    let mut devices: Devices = devices.and_then(|devices| from_tree(devices).ok()).unwrap_or_default();
    let old = json!({ "config": config, "description": before.metadata["description"], "devices": devices });
    config.extend(profile.config.clone());
    // Devices are merged key by key: a preseed may change one value of one device.
    for (name, device) in &profile.devices {
        devices.entry(name.clone()).or_default().extend(device.clone());
    }
    let description = described(&profile.description, &before.metadata);
    let new = json!({ "config": config, "description": description, "devices": devices });
    api.put(&path, &new, before.etag.as_deref())
        .map_err(|e| failed(&format!("update profile {:?}", profile.name), &e))?;
    done.push(Undo::Put { path, body: old });
    Ok(())
}

/// The new description, or the present one when none is given.
fn described(new: &str, before: &Value) -> String {
    let old = before["description"].as_str().unwrap_or_default();
    if new.is_empty() { old.to_string() } else { new.to_string() }
}

fn strings(config: Option<&Value>) -> ConfigMap {
    let Some(Value::Object(map)) = config else { return ConfigMap::new() };
    map.iter().map(|(key, value)| (key.clone(), value.as_str().map_or(value.to_string(), str::to_string))).gather()
}

fn failed(what: &str, error: &Error) -> Error {
    Error::new(error.kind(), format!("Failed to {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::super::fake::Fake;
    use super::*;

    const PRESEED: &str = "config: {user.a: 1}\nstorage_pools: [{name: p, driver: dir}]\n\
        profiles: [{name: default, devices: {root: {type: disk, path: /, pool: p}}}, {name: q/r}]\n";

    #[test]
    fn creates_changes_and_keeps_the_rest() {
        let fake = Fake::new();
        apply(&Preseed::parse(PRESEED).unwrap(), &fake).unwrap();
        let want = [
            r#"PUT /1.0 {"config":{"user.a":"1"}}"#,
            r#"POST /1.0/storage-pools {"config":{},"description":"","name":"p","driver":"dir"}"#,
            r#"PUT /1.0/profiles/default {"config":{},"description":"Default LXD profile","devices":{"root":{"path":"/","pool":"p","type":"disk"}}}"#,
            r#"POST /1.0/profiles {"config":{},"description":"","devices":{},"name":"q/r"}"#,
        ];
        assert_eq!(fake.changes(), want);
    }

    #[test]
    fn networks_are_made_and_changed() {
        let mut fake = Fake::new();
        let there = json!({"config": {"ipv4.nat": "true"}, "description": "d", "managed": true});
        fake.add("/1.0/networks/br1", there);
        let text =
            "networks: [{name: br0, type: bridge, config: {ipv4.address: none}}, {name: br1, config: {user.a: b}}]";
        apply(&Preseed::parse(text).unwrap(), &fake).unwrap();
        let want = [
            r#"POST /1.0/networks {"config":{"ipv4.address":"none"},"description":"","name":"br0","type":"bridge"}"#,
            r#"PUT /1.0/networks/br1 {"config":{"ipv4.nat":"true","user.a":"b"},"description":"d"}"#,
        ];
        assert_eq!(fake.changes(), want);
    }

    #[test]
    fn a_failure_takes_back_what_was_done() {
        let fake = Fake { fails: Some("POST /1.0/profiles"), ..Fake::new() };
        let error = apply(&Preseed::parse(PRESEED).unwrap(), &fake).unwrap_err();
        assert_eq!(error.message(), "Failed to create profile \"q/r\": no");
        let want = [
            r#"PUT /1.0/profiles/default {"config":{},"description":"Default LXD profile","devices":{}}"#,
            "DELETE /1.0/storage-pools/p",
            r#"PUT /1.0 {"config":{"user.a":""}}"#,
        ];
        assert_eq!(fake.changes()[4..], want);
    }

    #[test]
    fn a_pool_keeps_its_driver() {
        let mut fake = Fake::new();
        fake.add("/1.0/storage-pools/p", json!({"config": {"source": "/x"}, "description": "", "driver": "overlay"}));
        let error = apply(&Preseed::parse(PRESEED).unwrap(), &fake).unwrap_err();
        assert_eq!(error.message(), "Storage pool \"p\" is of type \"overlay\" instead of \"dir\"");
        let text = "storage_pools: [{name: p, driver: overlay, description: d}]\n";
        apply(&Preseed::parse(text).unwrap(), &fake).unwrap();
        let want = r#"PUT /1.0/storage-pools/p {"config":{"source":"/x"},"description":"d"}"#;
        assert_eq!(fake.changes().last().map(String::as_str), Some(want));
    }

    #[test]
    fn what_can_not_be_done_is_refused_before_any_change() {
        let mut fake = Fake::new();
        fake.add("/1.0/projects/default", json!({"config": {"features.images": "true"}, "description": "d"}));
        let refused = |text: &str| {
            let error = apply(&Preseed::parse(&format!("config: {{user.a: b}}\n{text}")).unwrap(), &fake).unwrap_err();
            assert!(fake.changes().is_empty());
            error.message().to_string()
        };
        assert_eq!(refused("cluster: {enabled: true}"), "Clustering is not supported yet");
        assert_eq!(refused("projects: [{name: x}]"), "Creating project \"x\" is not supported yet");
        let text = refused("projects: [{name: default, config: {features.images: false}}]");
        assert_eq!(text, "Changing project \"default\" is not supported yet");
        let same = "projects: [{name: default, description: d, config: {features.images: true}}]";
        apply(&Preseed::parse(same).unwrap(), &fake).unwrap();
    }
}
