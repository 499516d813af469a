//! Devices on USB, from `/sys/bus/usb/devices`.

use super::Host;
use super::device::driver;
use crate::api::types::{ResourcesUsb, ResourcesUsbDevice, ResourcesUsbDeviceInterface};

const DEVICES: &str = "sys/bus/usb/devices";
const HUB: u64 = 9;

/// All devices but hubs.
pub(super) fn usb(host: &Host) -> ResourcesUsb {
    // `1-2:1.0` is an interface of the device `1-2`.
    let names = host.tree.list(DEVICES).into_iter().filter(|name| !name.contains(':'));
    let devices: Vec<_> = names.filter_map(|name| device(host, &name)).collect();
    ResourcesUsb { total: devices.len() as u64, devices }
}

fn device(host: &Host, name: &str) -> Option<ResourcesUsbDevice> {
    let dir = format!("{DEVICES}/{name}");
    let text = |file: &str| host.tree.text(format!("{dir}/{file}"));
    if hex(&text("bDeviceClass")?) == HUB {
        return None;
    }
    let vendor_id = text("idVendor").unwrap_or_default();
    let product_id = text("idProduct").unwrap_or_default();
    let or_told = |name: String, file: &str| if name.is_empty() { text(file).unwrap_or_default() } else { name };
    let prefix = format!("{name}:");
    let interfaces = host.tree.list(&dir).into_iter().filter(|entry| entry.starts_with(&prefix));
    Some(ResourcesUsbDevice {
        bus_address: text("busnum")?.parse().ok()?,
        device_address: text("devnum")?.parse().ok()?,
        interfaces: interfaces.filter_map(|entry| interface(host, &format!("{dir}/{entry}"))).collect(),
        vendor: or_told(host.usb.vendor(&vendor_id), "manufacturer"),
        product: or_told(host.usb.product(&vendor_id, &product_id), "product"),
        vendor_id,
        product_id,
        speed: text("speed").and_then(|speed| speed.parse().ok()).unwrap_or(0.0),
    })
}

fn interface(host: &Host, dir: &str) -> Option<ResourcesUsbDeviceInterface> {
    let number = |file: &str| host.tree.text(format!("{dir}/{file}")).map(|text| hex(&text));
    let class_id = number("bInterfaceClass")?;
    let subclass_id = number("bInterfaceSubClass").unwrap_or(0);
    let driver = driver(host.tree, dir, &host.release);
    Some(ResourcesUsbDeviceInterface {
        class: host.usb.class(class_id),
        class_id,
        driver: driver.name,
        driver_version: driver.version,
        number: number("bInterfaceNumber").unwrap_or(0),
        subclass: host.usb.subclass(class_id, subclass_id),
        subclass_id,
    })
}

fn hex(text: &str) -> u64 {
    u64::from_str_radix(text, 16).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::Fixture;
    use super::super::names::Names;
    use super::*;

    #[test]
    fn devices_with_their_interfaces() {
        let host = Fixture::new();
        let files =
            [("bDeviceClass", "00"), ("idVendor", "1050"), ("idProduct", "0407"), ("busnum", "1"), ("devnum", "7")];
        for (file, text) in files {
            host.write(&format!("{DEVICES}/1-2/{file}"), text);
            host.write(&format!("{DEVICES}/usb1/{file}"), if file == "bDeviceClass" { "09" } else { text });
        }
        host.write(&format!("{DEVICES}/1-2/speed"), "1.5\n")
            .write(&format!("{DEVICES}/1-2/manufacturer"), "Yubico\n")
            .write(&format!("{DEVICES}/1-2/1-2:1.0/bInterfaceClass"), "0b\n")
            .write(&format!("{DEVICES}/1-2:1.0/bInterfaceClass"), "0b\n")
            .link(&format!("{DEVICES}/1-2/1-2:1.0/driver"), "sys/bus/usb/drivers/usbhid");
        let tree = host.tree();
        let usb = usb(&Host {
            tree: &tree,
            release: "6.1".to_string(),
            pci: Names::default(),
            usb: Names::default(),
            ethtool: |_| Default::default(),
        });
        assert_eq!(usb.total, 1);
        let device = &usb.devices[0];
        assert_eq!((device.vendor.as_str(), device.product.as_str(), device.speed), ("Yubico", "", 1.5));
        let interface = &device.interfaces[0];
        assert_eq!(
            (interface.class_id, interface.driver.as_str(), interface.driver_version.as_str()),
            (11, "usbhid", "6.1")
        );
    }
}
