//! `lxd init --dump`: the present configuration, as a preseed that makes it again.

use serde::Serialize;
use serde_json::Value;

use super::preseed::{PreseedNetwork, PreseedPool, PreseedProfile, PreseedProject, yaml};
use crate::api::types::{drop_nulls, from_tree};
use crate::cli::lxd::api::Api;
use crate::error::{Ctx, Kind, Result};

/// What is printed: a preseed whose server configuration may hold booleans (a trust password is only told to be set).
#[derive(Serialize)]
struct Dump {
    config: Value,
    networks: Vec<PreseedNetwork>,
    storage_pools: Vec<PreseedPool>,
    profiles: Vec<PreseedProfile>,
    projects: Vec<PreseedProject>,
}

/// The present configuration in YAML, with an empty line at the end.
pub(super) fn dump(api: &impl Api) -> Result<String> {
    let server = api.get("/1.0")?.metadata;
    let networks = objects(api, "/1.0/networks?recursion=1", &["config", "description", "name", "type", "managed"])?;
    let dump = Dump {
        config: server.get("config").cloned().unwrap_or_default(),
        networks: networks.into_iter().filter_map(managed).map(network).collect::<Result<_>>()?,
        storage_pools: read(objects(
            api,
            "/1.0/storage-pools?recursion=1",
            &["config", "description", "name", "driver"],
        )?)?,
        profiles: read(objects(api, "/1.0/profiles?recursion=1", &["config", "description", "devices", "name"])?)?,
        projects: read(objects(api, "/1.0/projects?recursion=1", &["config", "description", "name"])?)?,
    };
    Ok(format!("{}\n", yaml(&dump)?))
}

/// Objects of a list, with only the members named.
fn objects(api: &impl Api, path: &str, members: &[&str]) -> Result<Vec<Value>> {
    let Value::Array(mut list) = api.get(path)?.metadata else { return Ok(Vec::new()) };
    for object in &mut list {
        drop_nulls(object);
        if let Value::Object(map) = object {
            map.retain(|name, _| members.contains(&name.as_str()));
        }
    }
    Ok(list)
}

fn managed(mut network: Value) -> Option<Value> {
    let managed = network.as_object_mut()?.remove("managed")?;
    managed.as_bool()?.then_some(network)
}

fn network(value: Value) -> Result<PreseedNetwork> {
    let network: PreseedNetwork = from_tree(&value).ctx(Kind::Internal, || "Failed to read a network")?;
    Ok(PreseedNetwork { project: "default".to_string(), ..network })
}

fn read<T: crate::api::tree::FromTree>(list: Vec<Value>) -> Result<Vec<T>> {
    list.into_iter().map(|value| from_tree(&value).ctx(Kind::Internal, || "Failed to read a list")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fake::Fake;
    use super::*;

    #[test]
    fn prints_managed_things_alone() {
        let mut fake = Fake::new();
        let profile = json!({"config": {"limits.cpu": "2"}, "description": "d", "devices": null, "name": "default", "used_by": []});
        fake.add("/1.0", json!({"config": {"core.trust_password": true}, "environment": {}}))
            .add("/1.0/networks?recursion=1", json!([{"name": "lo", "type": "loopback", "managed": false}]))
            .add("/1.0/storage-pools?recursion=1", json!([]))
            .add("/1.0/profiles?recursion=1", json!([profile]))
            .add("/1.0/projects?recursion=1", json!([]));
        let want = "config:\n  core.trust_password: true\nnetworks: []\nstorage_pools: []\nprofiles:\n- config:\n    \
            limits.cpu: \"2\"\n  description: d\n  devices: {}\n  name: default\nprojects: []\n\n";
        assert_eq!(dump(&fake).unwrap(), want);
    }
}
