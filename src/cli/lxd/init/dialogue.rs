//! The dialogue of `lxd init`: LXD 5.0's questions, in its order, with its defaults. Servers without network
//! devices are not asked to make a bridge.

use std::io::{BufRead, Write};

use super::automatic::{connects, https_address, supported_drivers};
use super::preseed::{Preseed, PreseedNetwork, PreseedPool, yaml};
use crate::api::config::{self, device};
use crate::api::types::DeviceMap;
use crate::cli::lxd::api::{Api, Reply, segment};
use crate::cli::lxd::ask::Ask;
use crate::error::{Error, Result};
use crate::order::{Gather, Order};

/// Asks what to set up. Nothing is changed.
///
/// # Errors
/// When an answer asks for what can't be done yet, and when the answers end early.
pub(super) fn plan<I: BufRead, O: Write>(ask: &mut Ask<I, O>, api: &impl Api) -> Result<Preseed> {
    let server = api.get("/1.0")?;
    let mut preseed = Preseed::default();
    if ask.yes("Would you like to use LXD clustering?", false)? {
        return Err(Error::unsupported("Clustering"));
    }
    storage(ask, api, &server, &mut preseed)?;
    if ask.yes("Would you like to connect to a MAAS server?", false)? {
        return Err(Error::unsupported("Connecting to a MAAS server"));
    }
    networking(ask, api, &server, &mut preseed)?;
    daemon(ask, &mut preseed)?;
    if ask.yes("Would you like a YAML \"lxd init\" preseed to be printed?", false)? {
        ask.say(&yaml(&preseed)?)?;
    }
    Ok(preseed)
}

fn storage<I: BufRead, O: Write>(
    ask: &mut Ask<I, O>,
    api: &impl Api,
    server: &Reply,
    preseed: &mut Preseed,
) -> Result<()> {
    if !ask.yes("Do you want to configure a new storage pool?", true)? {
        return Ok(());
    }
    let name = loop {
        let name = ask.text("Name of the new storage pool", Some("default"), |_| Ok(()))?;
        if api.find(&format!("/1.0/storage-pools/{}", segment(&name)))?.is_none() {
            break name;
        }
        ask.say(&format!("The requested storage pool {name:?} already exists. Please choose another name."))?;
    };
    let mut drivers = supported_drivers(&server.metadata);
    let best = drivers.first().cloned();
    let best = best.ok_or_else(|| Error::invalid("The server has no storage driver that can be set up"))?;
    drivers.order();
    let driver = match drivers.len() {
        1 => best,
        _ => ask.choice("Name of the storage backend to use", &drivers, &best)?,
    };
    preseed.set_default_device("root", device::root(&name));
    preseed.storage_pools.push(PreseedPool { name, driver, ..PreseedPool::default() });
    Ok(())
}

fn networking<I: BufRead, O: Write>(
    ask: &mut Ask<I, O>,
    api: &impl Api,
    server: &Reply,
    preseed: &mut Preseed,
) -> Result<()> {
    let connects = connects(&server.metadata);
    if ask.yes("Would you like to create a new local network bridge?", connects)? {
        if !connects {
            return Err(Error::unsupported("Connecting instances to a bridge"));
        }
        return bridge(ask, api, preseed);
    }
    if !ask.yes("Would you like to configure LXD to use an existing bridge or host interface?", false)? {
        return Ok(());
    }
    loop {
        let name = ask.text("Name of the existing bridge or host interface", None, |_| Ok(()))?;
        if let Some(network) = api.find(&format!("/1.0/networks/{}", segment(&name)))? {
            preseed.set_default_device("eth0", nic(&name, &network));
            return Ok(());
        }
        ask.say("The requested interface doesn't exist. Please choose another one.")?;
    }
}

fn bridge<I: BufRead, O: Write>(ask: &mut Ask<I, O>, api: &impl Api, preseed: &mut Preseed) -> Result<()> {
    let name = loop {
        let check = |name: &str| config::network::check_name(name).map_err(|e| format!("Invalid input: {e}\n"));
        let name = ask.text("What should the new bridge be called?", Some("lxdbr0"), check)?;
        if api.find(&format!("/1.0/networks/{}", segment(&name)))?.is_none() {
            break name;
        }
        ask.say(&format!("The requested network bridge {name:?} already exists. Please choose another name."))?;
    };
    let mut network = PreseedNetwork { name: name.clone(), project: "default".to_string(), ..Default::default() };
    for (family, kind) in [("4", config::Kind::Cidr4), ("6", config::Kind::Cidr6)] {
        let question = format!("What IPv{family} address should be used? (CIDR subnet notation, “auto” or “none”)");
        let check = |answer: &str| match answer {
            "auto" | "none" => Ok(()),
            answer => kind.check(answer).map_err(|e| format!("Invalid input: {e}\n")),
        };
        let address = ask.text(&question, Some("auto"), check)?;
        if address != "auto" && address != "none" {
            let question = format!("Would you like LXD to NAT IPv{family} traffic on your bridge?");
            let nat = ask.plain_yes(&question, true)?.to_string();
            network.config.insert(format!("ipv{family}.nat"), nat);
        }
        network.config.insert(format!("ipv{family}.address"), address);
    }
    preseed.networks.push(network);
    preseed.set_default_device("eth0", Preseed::connection(&name));
    Ok(())
}

/// The device that connects instances to an interface of the host.
fn nic(name: &str, network: &Reply) -> DeviceMap {
    let rows: &[(&str, &str)] = match network.metadata["type"].as_str() {
        _ if network.metadata["managed"] == true => &[("network", name)],
        Some("bridge") => &[("nictype", "bridged"), ("parent", name)],
        _ => &[("nictype", "macvlan"), ("parent", name)],
    };
    let rows = rows.iter().chain(&[("name", "eth0"), ("type", "nic")]);
    rows.map(|(key, value)| (key.to_string(), value.to_string())).gather()
}

fn daemon<I: BufRead, O: Write>(ask: &mut Ask<I, O>, preseed: &mut Preseed) -> Result<()> {
    let mut set = |key: &str, value: String| preseed.config.insert(key.to_string(), value);
    if ask.yes("Would you like the LXD server to be available over the network?", false)? {
        let address = ask.text("Address to bind LXD to (not including port)", Some("all"), |answer| {
            let valid = answer == "all" || answer.parse::<std::net::IpAddr>().is_ok();
            if valid { Ok(()) } else { Err(format!("Invalid input: Not an IP address {answer:?}\n")) }
        })?;
        let port = ask.number("Port to bind LXD to", 1..=65535, 8443)?;
        set("core.https_address", https_address(&address, port));
        let password = ask.password("Trust password for new clients")?;
        if !password.is_empty() {
            set("core.trust_password", password);
        }
    }
    if !ask.yes("Would you like stale cached images to be updated automatically?", true)? {
        set("images.auto_update_interval", "0".to_string());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fake::Fake;
    use super::*;

    fn talk(fake: &Fake, answers: &str) -> (Result<Preseed>, String) {
        let mut out = Vec::new();
        let plan = plan(&mut Ask::script(answers.as_bytes(), &mut out), fake);
        (plan, String::from_utf8(out).unwrap())
    }

    #[test]
    fn asks_in_the_order_of_lxd() {
        let (preseed, shown) = talk(&Fake::new(), "\n\n\n\n\n\n\n\n\n\n");
        let questions: Vec<&str> =
            shown.split("]: ").filter_map(|q| q.split(" [default=").next()).filter(|q| !q.is_empty()).collect();
        let want = [
            "Would you like to use LXD clustering? (yes/no)",
            "Do you want to configure a new storage pool? (yes/no)",
            "Name of the new storage pool",
            "Name of the storage backend to use (dir, overlay)",
            "Would you like to connect to a MAAS server? (yes/no)",
            "Would you like to create a new local network bridge? (yes/no)",
            "Would you like to configure LXD to use an existing bridge or host interface? (yes/no)",
            "Would you like the LXD server to be available over the network? (yes/no)",
            "Would you like stale cached images to be updated automatically? (yes/no)",
            "Would you like a YAML \"lxd init\" preseed to be printed? (yes/no)",
        ];
        assert_eq!(questions, want);
        let preseed = preseed.unwrap();
        assert_eq!(
            (preseed.storage_pools[0].name.as_str(), preseed.storage_pools[0].driver.as_str()),
            ("default", "overlay")
        );
        assert_eq!(preseed.profiles[0].devices["root"], device::root("default"));
        assert!(preseed.config.is_empty());
    }

    #[test]
    fn answers_become_configuration() {
        let mut fake = Fake::new();
        fake.add("/1.0/storage-pools/default", json!({}))
            .add("/1.0/networks/br0", json!({"type": "bridge", "managed": false}));
        let answers = "no\nyes\ndefault\nother\nzfs\ndir\nno\nno\nyes\nnope\nbr0\nyes\nnot-an-ip\n127.0.0.1\n0\n7443\ns\ns\nno\nyes\n";
        let (preseed, shown) = talk(&fake, answers);
        let preseed = preseed.unwrap();
        assert!(shown.contains("The requested storage pool \"default\" already exists. Please choose another name.\n"));
        assert!(shown.contains("The requested interface doesn't exist. Please choose another one.\n"));
        assert_eq!(
            (preseed.storage_pools[0].name.as_str(), preseed.storage_pools[0].driver.as_str()),
            ("other", "dir")
        );
        assert_eq!(preseed.profiles[0].devices["eth0"]["nictype"], "bridged");
        assert_eq!(preseed.config["core.https_address"], "127.0.0.1:7443");
        assert_eq!(preseed.config["core.trust_password"], "s");
        assert_eq!(preseed.config["images.auto_update_interval"], "0");
        let printed = shown.split("[default=no]: ").last().unwrap();
        assert_eq!(Preseed::parse(printed).unwrap(), preseed);
    }

    #[test]
    fn a_bridge_is_asked_for() {
        let mut fake = Fake::new();
        fake.add("/1.0", json!({"api_extensions": ["instance_nic_network"]})).add("/1.0/networks/lo", json!({}));
        let answers = "no\nno\nno\n\nlo\nlxdbr7\n10.7.7.1/24\nx\nyes\nfd42:7::/64\nfd42:7::1/64\nno\nno\nno\nno\n";
        let (preseed, shown) = talk(&fake, answers);
        let preseed = preseed.unwrap();
        assert!(shown.contains("The requested network bridge \"lo\" already exists. Please choose another name.\n"));
        assert!(shown.contains("Would you like LXD to NAT IPv4 traffic on your bridge? [default=yes]: Invalid input"));
        let config: Vec<_> = preseed.networks[0].config.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let want = [
            ("ipv4.address", "10.7.7.1/24"),
            ("ipv4.nat", "true"),
            ("ipv6.address", "fd42:7::1/64"),
            ("ipv6.nat", "false"),
        ];
        assert_eq!(config, want);
        assert_eq!(preseed.profiles[0].devices["eth0"]["network"], "lxdbr7");
    }

    #[test]
    fn what_can_not_be_done_is_said_at_once() {
        let text = |answers| talk(&Fake::new(), answers).0.unwrap_err().message().to_string();
        assert_eq!(text("yes\n"), "Clustering is not supported yet");
        assert_eq!(text("no\nno\nyes\n"), "Connecting to a MAAS server is not supported yet");
        assert_eq!(text("no\nno\nno\nyes\n"), "Connecting instances to a bridge is not supported yet");
        assert_eq!(text("no\n"), "EOF");
    }
}
