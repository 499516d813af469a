//! Devices on PCI, from `/sys/bus/pci/devices`.

use super::Host;
use super::device::{driver, hex_id};
use crate::api::types::{ResourcesPci, ResourcesPciDevice, ResourcesPciVpd};

/// Where PCI devices are.
pub(super) const DEVICES: &str = "sys/bus/pci/devices";

const VPD_NAME: u8 = 0x82;
const VPD_READ: u8 = 0x90;
const VPD_WRITE: u8 = 0x91;

/// All devices, in order of address.
pub(super) fn pci(host: &Host) -> ResourcesPci {
    let devices: Vec<_> = host.tree.list(DEVICES).iter().map(|address| device(host, address)).collect();
    ResourcesPci { total: devices.len() as u64, devices }
}

fn device(host: &Host, address: &str) -> ResourcesPciDevice {
    let (tree, dir) = (host.tree, format!("{DEVICES}/{address}"));
    let driver = driver(tree, &dir, &host.release);
    let vendor_id = hex_id(tree, &format!("{dir}/vendor"));
    let product_id = hex_id(tree, &format!("{dir}/device"));
    ResourcesPciDevice {
        driver: driver.name,
        driver_version: driver.version,
        numa_node: tree.count(format!("{dir}/numa_node")),
        pci_address: address.to_string(),
        vendor: host.pci.vendor(&vendor_id),
        product: host.pci.product(&vendor_id, &product_id),
        vendor_id,
        product_id,
        iommu_group: tree.target_name(format!("{dir}/iommu_group")).and_then(|name| name.parse().ok()).unwrap_or(0),
        vpd: vpd(&tree.bytes(format!("{dir}/vpd")).unwrap_or_default()),
    }
}

/// Vital product data (PCI Local Bus Specification 3.0, appendix I): resources with lengths, keys of two letters in
/// them. What the device says is not trusted: the first thing that is wrong ends it.
fn vpd(mut data: &[u8]) -> ResourcesPciVpd {
    let mut found = ResourcesPciVpd::default();
    while let Some((&[tag, low, high], rest)) = data.split_first_chunk::<3>() {
        let Some((body, rest)) = rest.split_at_checked(usize::from(u16::from_le_bytes([low, high]))) else { break };
        match tag {
            VPD_NAME => found.product_name = text(body),
            VPD_READ | VPD_WRITE => entries(body, &mut found),
            _ => break,
        }
        data = rest;
    }
    found
}

fn entries(mut data: &[u8], found: &mut ResourcesPciVpd) {
    while let Some((&[a, b, length], rest)) = data.split_first_chunk::<3>() {
        let Some((value, rest)) = rest.split_at_checked(usize::from(length)) else { break };
        let key = text(&[a, b]);
        // Checksum and free space.
        if key != "RV" && key != "RW" {
            found.entries.insert(key, text(value));
        }
        data = rest;
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_matches(|c: char| c == '\0' || c.is_whitespace()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vital_product_data_is_read_as_far_as_it_is_right() {
        let good = b"\x82\x04\x00Card\x90\x0a\x00SN\x03abcRV\x01\x00\x78";
        let vpd = super::vpd(good);
        assert_eq!(vpd.product_name, "Card");
        assert_eq!(vpd.entries.into_iter().collect::<Vec<_>>(), [("SN".to_string(), "abc".to_string())]);
        assert_eq!(super::vpd(b"\x82\xff\xffCard"), ResourcesPciVpd::default());
        assert_eq!(super::vpd(b"\x90\x04\x00SN\xffa"), ResourcesPciVpd::default());
        assert_eq!(super::vpd(&[0xff; 32]), ResourcesPciVpd::default());
    }
}
