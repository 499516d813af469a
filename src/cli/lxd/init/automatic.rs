//! `lxd init --auto` and `--minimal`: what is set up without a question.

use std::net::IpAddr;

use serde_json::Value;

use super::InitFlags;
use super::preseed::{Preseed, PreseedNetwork, PreseedPool};
use crate::api::config::device;
use crate::cli::lxd::api::Api;
use crate::error::{Error, Result};

/// Drivers `lxd init` can be asked for.
const KNOWN: &[&str] = &["btrfs", "dir", "lvm", "overlay", "zfs"];
/// The best first.
const PREFERRED: &[&str] = &["overlay", "dir"];

/// What to set up: a pool named `default` and the default profile's root disk when there is no pool yet, a bridge and the
/// default profile's `eth0` when there is no network yet (on servers that have network devices), the address and
/// password if they are given.
pub(super) fn plan(flags: &InitFlags, api: &impl Api) -> Result<Preseed> {
    let told = api.get("/1.0")?.metadata;
    let drivers = supported_drivers(&told);
    let backend = backend(flags, &drivers)?;
    let mut preseed = Preseed::default();
    server(flags, &mut preseed)?;
    if api.get("/1.0/storage-pools")?.metadata.as_array().is_none_or(Vec::is_empty) {
        let pool = PreseedPool { name: "default".to_string(), driver: backend, ..PreseedPool::default() };
        preseed.storage_pools.push(pool);
        let devices = api.get("/1.0/profiles/default")?.metadata["devices"].clone();
        if !has_root(&devices) {
            preseed.set_default_device("root", device::root("default"));
        }
    }
    if connects(&told) {
        bridge(api, &mut preseed)?;
    }
    Ok(preseed)
}

/// Whether instances of this server can be connected to its networks.
pub(super) fn connects(server: &Value) -> bool {
    let extensions = server["api_extensions"].as_array();
    extensions.is_some_and(|all| all.iter().any(|name| name == "instance_nic_network"))
}

/// A bridge `lxdbr0` (or the next number) where no network is managed.
fn bridge(api: &impl Api, preseed: &mut Preseed) -> Result<()> {
    let networks = api.get("/1.0/networks?recursion=1")?.metadata;
    let networks: Vec<&Value> = networks.as_array().into_iter().flatten().collect();
    if networks.iter().any(|network| network["managed"] == true) {
        return Ok(());
    }
    let free = |name: &String| networks.iter().all(|network| network["name"] != name.as_str());
    let name = (0..=networks.len()).map(|n| format!("lxdbr{n}")).find(free);
    let name = name.ok_or_else(|| Error::internal("Failed finding a name for a bridge"))?;
    preseed.networks.push(PreseedNetwork { name: name.clone(), project: "default".to_string(), ..Default::default() });
    preseed.set_default_device("eth0", Preseed::connection(&name));
    Ok(())
}

/// Whether there is a root disk among a profile's devices, under whatever name.
pub(super) fn has_root(devices: &Value) -> bool {
    let is_root = |device: &Value| device["type"] == "disk" && device["path"] == "/" && device.get("pool").is_some();
    devices.as_object().is_some_and(|map| map.values().any(is_root))
}

/// Storage drivers the server can use, those this command can set up, the best first.
pub(super) fn supported_drivers(server: &Value) -> Vec<String> {
    let told = server.pointer("/environment/storage_supported_drivers").and_then(Value::as_array);
    let names: Vec<&str> = told.into_iter().flatten().filter_map(|driver| driver["Name"].as_str()).collect();
    PREFERRED.iter().filter(|name| names.contains(name)).map(|name| name.to_string()).collect()
}

/// An address and a port as `core.https_address` takes them; `all` is every address.
pub(super) fn https_address(address: &str, port: i64) -> String {
    match address.parse::<IpAddr>() {
        _ if address == "all" => format!(":{port}"),
        Ok(IpAddr::V6(ip)) => format!("[{ip}]:{port}"),
        _ => format!("{address}:{port}"),
    }
}

fn backend(flags: &InitFlags, drivers: &[String]) -> Result<String> {
    let best = drivers.first().ok_or_else(|| Error::invalid("The server has no storage driver that can be set up"))?;
    let backend = flags.storage_backend.as_ref().unwrap_or(best);
    if !KNOWN.contains(&backend.as_str()) {
        return Err(Error::invalid(format!("The requested backend '{backend}' isn't supported by lxd init")));
    }
    if !PREFERRED.contains(&backend.as_str()) {
        return Err(Error::unsupported(format!("The storage backend {backend:?}")));
    }
    if !drivers.contains(backend) {
        let text = format!("The requested backend '{backend}' isn't available on your system (missing tools)");
        return Err(Error::invalid(text));
    }
    if flags.storage_pool.is_some() || flags.storage_create_device.is_some() || flags.storage_create_loop.is_some() {
        return Err(Error::invalid(format!(
            "None of --storage-pool, --storage-create-device or --storage-create-loop may be used with the '{backend}' \
             backend"
        )));
    }
    Ok(backend.clone())
}

fn server(flags: &InitFlags, preseed: &mut Preseed) -> Result<()> {
    let Some(address) = &flags.network_address else {
        return match (flags.network_port, &flags.trust_password) {
            (Some(_), _) => Err(Error::invalid("--network-port can't be used without --network-address")),
            (_, Some(_)) => Err(Error::invalid("--trust-password can't be used without --network-address")),
            _ => Ok(()),
        };
    };
    let address = https_address(address, flags.network_port.unwrap_or(8443));
    preseed.config.insert("core.https_address".to_string(), address);
    if let Some(password) = &flags.trust_password {
        preseed.config.insert("core.trust_password".to_string(), password.clone());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::apply::apply;
    use super::super::fake::Fake;
    use super::*;

    fn error(flags: InitFlags) -> String {
        plan(&flags, &Fake::new()).unwrap_err().message().to_string()
    }

    #[test]
    fn a_fresh_server_gets_the_best_pool_and_a_root_disk() {
        let fake = Fake::new();
        apply(&plan(&InitFlags::default(), &fake).unwrap(), &fake).unwrap();
        let want = [
            r#"POST /1.0/storage-pools {"config":{},"description":"","name":"default","driver":"overlay"}"#,
            r#"PUT /1.0/profiles/default {"config":{},"description":"Default LXD profile","devices":{"root":{"path":"/","pool":"default","type":"disk"}}}"#,
        ];
        assert_eq!(fake.changes(), want);
    }

    #[test]
    fn a_server_with_a_pool_is_left_alone() {
        let mut fake = Fake::new();
        fake.add("/1.0/storage-pools", json!(["/1.0/storage-pools/x"]));
        assert_eq!(plan(&InitFlags::default(), &fake).unwrap(), Preseed::default());
    }

    #[test]
    fn a_server_with_network_devices_gets_a_bridge() {
        let mut fake = Fake::new();
        fake.add("/1.0", json!({"api_extensions": ["instance_nic_network"], "environment": {"storage_supported_drivers": [{"Name": "dir"}]}}))
            .add("/1.0/storage-pools", json!(["/1.0/storage-pools/x"]))
            .add("/1.0/networks?recursion=1", json!([{"name": "lo", "managed": false}, {"name": "lxdbr0", "managed": false}]));
        let preseed = plan(&InitFlags::default(), &fake).unwrap();
        assert_eq!(preseed.networks[0].name, "lxdbr1");
        assert_eq!(preseed.profiles[0].devices["eth0"], Preseed::connection("lxdbr1"));
        fake.add("/1.0/networks?recursion=1", json!([{"name": "x", "managed": true}]));
        assert_eq!(plan(&InitFlags::default(), &fake).unwrap(), Preseed::default());
    }

    #[test]
    fn flags_decide() {
        let some = |text: &str| Some(text.to_string());
        let base = InitFlags::default;
        let flags = InitFlags {
            storage_backend: some("dir"),
            network_address: some("::1"),
            trust_password: some("p"),
            ..base()
        };
        let preseed = plan(&flags, &Fake::new()).unwrap();
        assert_eq!(preseed.storage_pools[0].driver, "dir");
        assert_eq!(preseed.config["core.https_address"], "[::1]:8443");
        assert_eq!(preseed.config["core.trust_password"], "p");
        let text = error(InitFlags { storage_backend: some("nope"), ..base() });
        assert_eq!(text, "The requested backend 'nope' isn't supported by lxd init");
        let text = error(InitFlags { storage_backend: some("zfs"), ..base() });
        assert_eq!(text, "The storage backend \"zfs\" is not supported yet");
        let text = error(InitFlags { storage_create_loop: Some(5), ..base() });
        assert!(text.ends_with("may be used with the 'overlay' backend"), "{text}");
        let text = error(InitFlags { network_port: Some(7), ..base() });
        assert_eq!(text, "--network-port can't be used without --network-address");
    }

    #[test]
    fn addresses_get_their_port() {
        assert_eq!(https_address("all", 1), ":1");
        assert_eq!(https_address("127.0.0.1", 8443), "127.0.0.1:8443");
        assert_eq!(https_address("fd00::1", 8443), "[fd00::1]:8443");
    }
}
