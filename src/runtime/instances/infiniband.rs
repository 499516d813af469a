//! Which interface of the host each `infiniband` device has: chosen and put on record before a guest is started or gets one,
//! since its nodes are those of the card's function that the interface belongs to.

use std::path::Path;

use super::Instances;
use super::expand::expand;
use crate::Result;
use crate::api::types::{ConfigMap, DeviceMap, Devices};
use crate::order::Gather;
use crate::runtime::blocking;
use crate::runtime::devices::{infiniband, nic};
use crate::runtime::network::netlink::Netlink;
use crate::store::repo;

impl Instances {
    /// Chooses for all such devices of an instance. Those that the guest has keep what they have.
    ///
    /// # Errors
    /// [`crate::Kind::Invalid`] naming the device for which there is none.
    pub(super) async fn choose_infiniband(&self, id: u64) -> Result<()> {
        let record = self.db.view(|v| repo::instances::by_id(v, id))?;
        let devices: Devices = self.db.view(|v| expand(v, &record))?.devices;
        let devices: Devices = devices.into_iter().filter(|(_, device)| is_infiniband(device)).gather();
        if devices.is_empty() {
            return Ok(());
        }
        // One at a time: what was chosen is seen by the next when it is on record.
        let _alone = self.nics.choosing.lock().await;
        let all = self.db.view(|v| repo::instances::list(v, None))?;
        let others = all.into_iter().filter(|other| other.id != id).flat_map(|other| other.config);
        let taken: Vec<String> = others.filter(|(key, _)| key.ends_with(".host_name")).map(|(_, name)| name).collect();
        let config = record.config;
        let chosen = blocking(move || choose(&devices, &config, taken)).await?;
        let write = self.db.transact(|tx| {
            repo::instances::modify(tx, id, |record| {
                record.config.extend(chosen.clone());
                Ok(())
            })
        });
        write.await.map(drop)
    }
}

fn is_infiniband(device: &DeviceMap) -> bool {
    device.get("type").is_some_and(|t| t == "infiniband")
}

/// The volatile keys of what is chosen and no guest has yet.
fn choose(devices: &Devices, config: &ConfigMap, mut taken: Vec<String>) -> Result<ConfigMap> {
    let mut host = Netlink::open()?;
    let mut keys = ConfigMap::new();
    for (name, device) in devices {
        let lent = match nic::chosen(name, config) {
            Some(chosen) if host.link(chosen.interface.as_str())?.is_none() => Some(chosen),
            _ => None,
        };
        let mut left_alone = |interface: &str| host.link(interface).ok().flatten().is_some_and(|link| !link.up);
        let free = |interface: &str| !taken.iter().any(|other| other == interface) && left_alone(interface);
        let chosen =
            infiniband::choose(device, Path::new("/"), lent, free).map_err(|e| super::nics::started(name, e))?;
        let known = nic::before_infiniband(&chosen)?.unwrap_or_default().into_iter();
        keys.extend(known.map(|(key, value)| (format!("volatile.{name}.{key}"), value)));
        taken.push(chosen.interface);
    }
    Ok(keys)
}
