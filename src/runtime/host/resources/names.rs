//! Names of vendors and products, from the lists that distributions install (`pci.ids`, `usb.ids`).

use std::collections::HashMap;
use std::io::Read;

use super::super::Tree;

const DIRECTORIES: &[&str] = &["usr/share/hwdata", "usr/share/misc"];
/// The longest list that is read; the real ones have 1.5 MB.
const LONGEST: u64 = 16 << 20;

/// Names by number; empty where no list is installed.
#[derive(Default)]
pub(super) struct Names {
    vendors: HashMap<u32, String>,
    products: HashMap<(u32, u32), String>,
    classes: HashMap<u32, String>,
    subclasses: HashMap<(u32, u32), String>,
}

impl Names {
    /// The names of `pci.ids`.
    pub(super) fn pci(tree: &Tree) -> Names {
        Names::load(tree, "pci.ids")
    }

    /// The names of `usb.ids`.
    pub(super) fn usb(tree: &Tree) -> Names {
        Names::load(tree, "usb.ids")
    }

    fn load(tree: &Tree, file: &str) -> Names {
        let plain = DIRECTORIES.iter().find_map(|dir| tree.bytes(format!("{dir}/{file}")));
        let packed = || DIRECTORIES.iter().find_map(|dir| unpack(&tree.bytes(format!("{dir}/{file}.gz"))?));
        let bytes = plain.or_else(packed).unwrap_or_default();
        Names::parse(&String::from_utf8_lossy(&bytes))
    }

    /// Vendors stand at the start of a line, their products after a tab; classes (`C 03  Name`) likewise.
    fn parse(text: &str) -> Names {
        let mut names = Names::default();
        // What the lines after a tab belong to; `None` within lists of other kinds (`HID`, `VT`, …).
        let mut owner: Option<(bool, u32)> = None;
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#') && !line.starts_with("\t\t"))
        {
            if let Some(rest) = line.strip_prefix('\t') {
                let Some(((class, owner), (id, name))) = owner.zip(entry(rest)) else { continue };
                let map = if class { &mut names.subclasses } else { &mut names.products };
                map.insert((owner, id), name);
            } else if let Some((id, name)) = line.strip_prefix("C ").and_then(entry) {
                owner = Some((true, id));
                names.classes.insert(id, name);
            } else {
                owner = entry(line).filter(|_| line.as_bytes().get(4) == Some(&b' ')).map(|(id, name)| {
                    names.vendors.insert(id, name);
                    (false, id)
                });
            }
        }
        names
    }

    /// A vendor's name, "" when unknown. Ids are four hex digits.
    pub(super) fn vendor(&self, id: &str) -> String {
        hex(id).and_then(|id| self.vendors.get(&id)).cloned().unwrap_or_default()
    }

    /// A product's name, "" when unknown.
    pub(super) fn product(&self, vendor: &str, id: &str) -> String {
        hex(vendor).zip(hex(id)).and_then(|key| self.products.get(&key)).cloned().unwrap_or_default()
    }

    /// A class's name, "" when unknown.
    pub(super) fn class(&self, id: u64) -> String {
        u32::try_from(id).ok().and_then(|id| self.classes.get(&id)).cloned().unwrap_or_default()
    }

    /// A subclass's name, "" when unknown.
    pub(super) fn subclass(&self, class: u64, id: u64) -> String {
        let key = u32::try_from(class).ok().zip(u32::try_from(id).ok());
        key.and_then(|key| self.subclasses.get(&key)).cloned().unwrap_or_default()
    }
}

fn entry(line: &str) -> Option<(u32, String)> {
    let (id, name) = line.split_once(' ')?;
    Some((hex(id)?, name.trim().to_string()))
}

fn hex(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 16).ok()
}

fn unpack(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(bytes).take(LONGEST).read_to_end(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::Fixture;
    use super::*;

    const LIST: &str = "# a list\n1af4  Red Hat, Inc.\n\t1041  Virtio 1.0 network device\n\t\t1af4 1100  QEMU\n\
        8086  Intel\n\t1041  Other\n\nC 09  Hub\n\t00  Unused\nHID 21  HID\n\t01  Not a product\n";

    #[test]
    fn finds_names_by_number() {
        let host = Fixture::new();
        host.write("usr/share/misc/pci.ids", LIST);
        let names = Names::pci(&host.tree());
        assert_eq!(names.vendor("1af4"), "Red Hat, Inc.");
        assert_eq!(names.product("1af4", "1041"), "Virtio 1.0 network device");
        assert_eq!(names.product("8086", "1041"), "Other");
        assert_eq!(
            (names.class(9).as_str(), names.subclass(9, 0).as_str(), names.subclass(9, 1).as_str()),
            ("Hub", "Unused", "")
        );
        assert_eq!((names.vendor("zzzz").as_str(), names.vendors.len()), ("", 2));
        assert_eq!(Names::usb(&host.tree()).vendor("1af4"), "");
    }
}
