//! Who has which address on a network.

use super::{Networks, nics};
use crate::Result;
use crate::api::types::NetworkLease;
use crate::runtime::network::bridge::{Bridge, Family};

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
        for nic in self.db.view(|v| nics::on(v, name))?.iter().filter(|nic| nic.project == project) {
            let mac = nic.hwaddr.as_deref().unwrap_or_default();
            for address in [&nic.ipv4, &nic.ipv6].into_iter().flatten() {
                leases.push(lease(&nic.instance, mac, address, "static"));
            }
        }
        Ok(leases)
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
