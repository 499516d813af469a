//! What a bridge does with the host's end of a cable: isolation, VLANs.

use std::fs;
use std::path::Path;

use super::{Keys, Kind};
use crate::runtime::network::netlink::{Netlink, PortChange, PortVlan};
use crate::{Ctx, Error, Kind as ErrorKind, Result};

/// Where the kernel shows its links.
const LINKS: &str = "/sys/class/net";

/// The VLAN of packets without a tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Untagged {
    /// The bridge's default.
    #[default]
    Default,
    /// None: they are thrown away.
    Nowhere,
    /// This one.
    Id(u16),
}

/// What a bridge does with a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Port {
    /// Whether it can't reach other isolated devices.
    pub isolated: bool,
    /// Where its packets without a tag are.
    pub untagged: Untagged,
    /// The VLANs it reaches by tags.
    pub tagged: Vec<u16>,
}

impl Port {
    pub(super) fn read(kind: Kind, keys: &Keys<'_>) -> Result<Port> {
        if kind != Kind::Bridged {
            return Ok(Port::default());
        }
        let untagged = match keys.text("vlan") {
            None => Untagged::Default,
            Some("none") => Untagged::Nowhere,
            Some(id) => Untagged::Id(id.parse().map_err(|_| keys.wrong("vlan"))?),
        };
        let mut tagged = Vec::new();
        for range in keys.list("vlan.tagged") {
            let (from, to) = range.split_once('-').unwrap_or((range, range));
            let id = |text: &str| text.trim().parse::<u16>().map_err(|_| keys.wrong("vlan.tagged"));
            tagged.extend(id(from)?..=id(to)?);
        }
        Ok(Port { isolated: keys.on("security.port_isolation"), untagged, tagged })
    }

    fn has_vlans(&self) -> bool {
        self.untagged != Untagged::Default || !self.tagged.is_empty()
    }

    /// Sets what the bridge does with the port of this number, which is one of its ports already.
    pub(super) fn hold(&self, host: &mut Netlink, bridge: &str, index: u32) -> Result<()> {
        if self.isolated {
            host.set_port(index, &PortChange { isolated: Some(true), ..PortChange::default() })?;
        }
        if !self.has_vlans() {
            return Ok(());
        }
        let (leaves, enters) = self.changes(default_vlan(Path::new(LINKS), bridge)?)?;
        if let Some(vlan) = leaves {
            host.delete_port_vlan(index, vlan)?;
        }
        enters.into_iter().try_for_each(|vlan| host.add_port_vlan(index, vlan))
    }

    /// The VLANs that a port leaves and enters, when the bridge has put it into `default`.
    fn changes(&self, default: u16) -> Result<(Option<PortVlan>, Vec<PortVlan>)> {
        let untagged = |id| PortVlan { id, default: true, untagged: true, of_bridge: false };
        let wanted = match self.untagged {
            Untagged::Id(0) => return Err(Error::invalid("VLAN ID 0 is not allowed for native Linux bridges")),
            Untagged::Id(id) => Some(id),
            Untagged::Default => Some(default),
            Untagged::Nowhere => None,
        };
        let leaves = (default != 0 && wanted != Some(default)).then(|| untagged(default));
        let enters = (self.untagged != Untagged::Default).then_some(wanted).flatten().map(untagged);
        let tagged =
            self.tagged.iter().map(|id| PortVlan { id: *id, default: false, untagged: false, of_bridge: false });
        Ok((leaves, enters.into_iter().chain(tagged).collect()))
    }
}

/// The VLAN that a bridge puts new ports into; 0 for none.
///
/// # Errors
/// That the bridge does not tell VLANs apart, or the kernel can't.
fn default_vlan(links: &Path, bridge: &str) -> Result<u16> {
    let read = |file: &str, what: &str| -> Result<String> {
        let path = links.join(bridge).join("bridge").join(file);
        let text = fs::read_to_string(&path).ctx(ErrorKind::Internal, || {
            format!("Failed getting bridge {what} for {bridge:?}: Failed reading {path:?}")
        })?;
        Ok(text.trim().to_owned())
    };
    if read("vlan_filtering", "VLAN status")? == "0" {
        return Err(Error::invalid(format!("VLAN filtering is not enabled in bridge {bridge:?}")));
    }
    let default = read("default_pvid", "VLAN default PVID")?;
    default.parse().map_err(|_| Error::internal(format!("Bridge {bridge:?} has the default VLAN {default:?}")))
}

#[cfg(test)]
mod tests {
    use super::super::scratch::Scratch;
    use super::*;

    fn ids(port: &Port, default: u16) -> (Option<u16>, Vec<(u16, bool)>) {
        let (leaves, enters) = port.changes(default).unwrap();
        (leaves.map(|v| v.id), enters.into_iter().map(|v| (v.id, v.untagged)).collect())
    }

    #[test]
    fn a_port_leaves_the_default_vlan_for_its_own() {
        let own = Port { untagged: Untagged::Id(5), tagged: vec![7, 8], isolated: false };
        assert_eq!(ids(&own, 1), (Some(1), vec![(5, true), (7, false), (8, false)]));
        assert_eq!(ids(&own, 5), (None, vec![(5, true), (7, false), (8, false)]));
        assert_eq!(ids(&own, 0), (None, vec![(5, true), (7, false), (8, false)]));
        let nowhere = Port { untagged: Untagged::Nowhere, ..Port::default() };
        assert_eq!(ids(&nowhere, 1), (Some(1), vec![]));
        let tagged = Port { tagged: vec![9], ..Port::default() };
        assert_eq!(ids(&tagged, 1), (None, vec![(9, false)]));
        assert!(Port { untagged: Untagged::Id(0), ..Port::default() }.changes(1).is_err());
    }

    #[test]
    fn a_bridge_says_whether_it_tells_vlans_apart() {
        let links = Scratch::new();
        let bridge = links.path().join("br0/bridge");
        fs::create_dir_all(&bridge).unwrap();
        assert!(default_vlan(links.path(), "br0").unwrap_err().message().contains("Failed getting bridge VLAN status"));
        fs::write(bridge.join("vlan_filtering"), "0\n").unwrap();
        assert!(default_vlan(links.path(), "br0").unwrap_err().message().contains("not enabled"));
        fs::write(bridge.join("vlan_filtering"), "1\n").unwrap();
        fs::write(bridge.join("default_pvid"), "3\n").unwrap();
        assert_eq!(default_vlan(links.path(), "br0").unwrap(), 3);
    }
}
