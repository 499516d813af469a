//! The machine, from what its firmware tells in `/sys/class/dmi/id`.

use super::super::Tree;
use crate::api::types::{ResourcesSystem, ResourcesSystemChassis, ResourcesSystemFirmware, ResourcesSystemMotherboard};

const DMI: &str = "sys/class/dmi/id";

/// Names of chassis types (SMBIOS 3.5, 7.4.1), from 1 on.
const CHASSIS: &[&str] = &[
    "Other",
    "Unknown",
    "Desktop",
    "Low Profile Desktop",
    "Pizza Box",
    "Mini Tower",
    "Tower",
    "Portable",
    "Laptop",
    "Notebook",
    "Hand Held",
    "Docking Station",
    "All in One",
    "Sub Notebook",
    "Space-saving",
    "Lunch Box",
    "Main Server Chassis",
    "Expansion Chassis",
    "SubChassis",
    "Bus Expansion Chassis",
    "Peripheral Chassis",
    "RAID Chassis",
    "Rack Mount Chassis",
    "Sealed-case PC",
    "Multi-system chassis",
    "Compact PCI",
    "Advanced TCA",
    "Blade",
    "Blade Enclosure",
    "Tablet",
    "Convertible",
    "Detachable",
    "IoT Gateway",
    "Embedded PC",
    "Mini PC",
    "Stick PC",
];

/// Firmware that describes the machine leaves this; without it LXD calls a host a container (small virtual machines too).
const SMBIOS: &str = "sys/firmware/dmi/tables/smbios_entry_point";

/// The machine.
pub(super) fn system(tree: &Tree) -> ResourcesSystem {
    let known = tree.exists(DMI);
    let text = |file: &str| tree.text(format!("{DMI}/{file}")).unwrap_or_default();
    ResourcesSystem {
        uuid: text("product_uuid"),
        vendor: text("sys_vendor"),
        product: text("product_name"),
        family: text("product_family"),
        version: text("product_version"),
        sku: text("product_sku"),
        serial: text("product_serial"),
        kind: kind(tree).to_string(),
        firmware: known.then(|| ResourcesSystemFirmware {
            vendor: text("bios_vendor"),
            date: text("bios_date"),
            version: text("bios_version"),
        }),
        chassis: known.then(|| ResourcesSystemChassis {
            vendor: text("chassis_vendor"),
            kind: chassis(&text("chassis_type")),
            serial: text("chassis_serial"),
            version: text("chassis_version"),
        }),
        motherboard: known.then(|| ResourcesSystemMotherboard {
            vendor: text("board_vendor"),
            product: text("board_name"),
            serial: text("board_serial"),
            version: text("board_version"),
        }),
    }
}

fn kind(tree: &Tree) -> &'static str {
    let info = tree.text("proc/cpuinfo").unwrap_or_default();
    let flags = info.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    if !tree.exists(SMBIOS) {
        "container"
    } else if flags.split_whitespace().any(|flag| flag == "hypervisor") {
        "virtual-machine"
    } else {
        "physical"
    }
}

fn chassis(number: &str) -> String {
    let index = number.parse::<usize>().unwrap_or(0).wrapping_sub(1);
    CHASSIS.get(index).unwrap_or(&"").to_string()
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::Fixture;
    use super::*;

    #[test]
    fn firmware_tells() {
        let host = Fixture::new();
        host.write(&format!("{DMI}/sys_vendor"), "LENOVO\n").write(&format!("{DMI}/chassis_type"), "10\n");
        host.write(SMBIOS, "_SM3_");
        host.write("proc/cpuinfo", "flags\t\t: fpu hypervisor\n");
        let system = system(&host.tree());
        assert_eq!((system.vendor.as_str(), system.kind.as_str()), ("LENOVO", "virtual-machine"));
        assert_eq!(system.chassis.map(|c| c.kind).as_deref(), Some("Notebook"));
        assert_eq!(chassis("0"), "");
    }

    #[test]
    fn nothing_told_is_a_container() {
        let system = system(&Fixture::new().tree());
        assert_eq!(system.kind, "container");
        assert!(system.firmware.is_none() && system.chassis.is_none() && system.motherboard.is_none());
    }
}
