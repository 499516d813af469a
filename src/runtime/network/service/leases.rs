//! Who has which address on a network.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{Networks, nics};
use crate::Result;
use crate::api::types::NetworkLease;
use crate::order::Gather;
use crate::runtime::network::bridge::{Bridge, Family};
use crate::runtime::network::plan::Nic;
use crate::runtime::network::serving::Lease;
use crate::runtime::network::subnet::Subnet;
use crate::runtime::spec::net::Mac;
use crate::store::records::NetworkRecord;

impl Networks {
    /// The addresses of the network itself, those kept for instances, and those given out.
    ///
    /// # Errors
    /// [`crate::Kind::NotFound`], also for the host's own interfaces; [`crate::Kind::Unsupported`] for types without
    /// leases.
    pub async fn leases(&self, project: &str, name: &str) -> Result<Vec<NetworkLease>> {
        let record = self.load(project, name)?;
        if record.kind != "bridge" {
            return Err(crate::Error::new(crate::Kind::Unsupported, "not implemented"));
        }
        let bridge = Bridge(&record.config);
        let own = |f| bridge.subnet(f).map(|s| lease(&format!("{name}.gw"), "", &s.address.to_string(), "gateway"));
        let mut leases: Vec<NetworkLease> = Family::BOTH.into_iter().filter_map(own).collect();
        let nics = self.db.view(|v| nics::on(v, name))?;
        let (nics, others): (Vec<&Nic>, Vec<&Nic>) = nics.iter().partition(|nic| nic.project == project);
        leases.extend(nics.iter().flat_map(|nic| kept(nic, bridge)));
        let known: BTreeSet<String> = leases.iter().map(|l| l.address.clone()).gather();
        let given = self.given(&record).await;
        // What no project's instance has is seen in the network's own project.
        let of = |nics: &[&Nic], l: &NetworkLease| nics.iter().any(|n| n.hwaddr.as_deref() == Some(l.hwaddr.as_str()));
        let visible = |l: &NetworkLease| of(&nics, l) || record.project == project && !of(&others, l);
        leases.extend(given.into_iter().filter(|l| !known.contains(&l.address) && visible(l)));
        Ok(leases)
    }

    /// What the helper has given out; nothing while it is started again.
    pub(super) async fn given(&self, record: &NetworkRecord) -> Vec<NetworkLease> {
        let running = self.serving().get(&record.id).cloned();
        let Some(running) = running else { return Vec::new() };
        let given = running.leases().await.unwrap_or_else(|e| {
            tracing::warn!(network = %record.name, "Failed asking for leases: {}", e.chain());
            Vec::new()
        });
        given.iter().map(show).collect()
    }
}

fn show(l: &Lease) -> NetworkLease {
    let mac = l.mac.map(|m| m.to_string()).unwrap_or_default();
    lease(&l.hostname, &mac, &l.address.to_string(), if l.fixed { "static" } else { "dynamic" })
}

/// The addresses that are kept for a device, and the one it makes of its hardware address.
fn kept(nic: &Nic, bridge: Bridge<'_>) -> Vec<NetworkLease> {
    let mac = nic.hwaddr.as_deref().unwrap_or_default();
    let fixed = [&nic.ipv4, &nic.ipv6].into_iter().flatten();
    let mut kept: Vec<NetworkLease> = fixed.map(|address| lease(&nic.instance, mac, address, "static")).collect();
    let own = bridge.subnet(Family::V6).filter(|_| nic.ipv6.is_none() && !bridge.on("ipv6.dhcp.stateful", false));
    if let (Some(subnet), Ok(parsed)) = (own, mac.to_ascii_lowercase().parse::<Mac>())
        && let Some(address) = by_itself(subnet, parsed)
    {
        kept.push(lease(&nic.instance, mac, &address.to_string(), "dynamic"));
    }
    kept
}

/// The address that a device gives itself (RFC 4862).
pub(super) fn by_itself(subnet: Subnet, mac: Mac) -> Option<IpAddr> {
    match subnet.first() {
        IpAddr::V6(first) if subnet.prefix == 64 => {
            Some(IpAddr::V6((u128::from(first) | u128::from(mac.interface_id())).into()))
        }
        _ => None,
    }
}

fn lease(hostname: &str, hwaddr: &str, address: &str, kind: &str) -> NetworkLease {
    NetworkLease {
        hostname: hostname.into(),
        hwaddr: hwaddr.into(),
        address: address.into(),
        kind: kind.into(),
        location: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_what_is_kept_for_it_and_what_it_makes() {
        let config = [("ipv6.address".to_owned(), "fd42:7::1/64".to_owned())].into();
        let nic = Nic {
            instance: "c1".into(),
            hwaddr: Some("00:16:3e:ec:0a:9e".into()),
            ipv4: Some("10.1.2.9".into()),
            ..Nic::default()
        };
        let kept: Vec<String> =
            kept(&nic, Bridge(&config)).into_iter().map(|l| format!("{} {}", l.address, l.kind)).collect();
        assert_eq!(kept, ["10.1.2.9 static", "fd42:7::216:3eff:feec:a9e dynamic"]);
    }
}
