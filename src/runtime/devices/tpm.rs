//! `tpm`: a TPM that a program of the host plays (`swtpm`), behind the kernel's `/dev/vtpmx`; its nodes in the guest.

use std::path::{Path, PathBuf};

use super::sysfs::numbers;
use super::{Fitting, is, unix};
use crate::api::types::{DeviceMap, Devices};
use crate::runtime::sys::executable;
use crate::{Error, Result};

/// The program.
pub const PROGRAM: &str = "swtpm";
/// The kernel's module that has `/dev/vtpmx`.
pub const MODULE: &str = "tpm_vtpm_proxy";

/// The devices of this type among these.
pub fn all(expanded: &Devices) -> impl Iterator<Item = (&String, &DeviceMap)> {
    expanded.iter().filter(|(_, device)| is(device, "tpm"))
}

/// Where the program is.
///
/// # Errors
/// [`crate::Kind::Invalid`] with LXD's text when there is none.
pub fn program() -> Result<PathBuf> {
    executable::find(PROGRAM, &[])
        .ok_or_else(|| Error::invalid(format!("Failed to validate environment: Required tool '{PROGRAM}' is missing")))
}

/// Whether both paths are said, as a container needs them.
///
/// # Errors
/// [`crate::Kind::Invalid`] with LXD's text.
pub fn check(name: &str, device: &DeviceMap) -> Result<()> {
    match ["path", "pathrm"].into_iter().find(|key| device.get(*key).is_none_or(String::is_empty)) {
        None => Ok(()),
        Some(key) => Err(Error::invalid(format!(
            "Device validation failed for {name:?}: Failed to validate config: Invalid value for device option {key:?}: Required value"
        ))),
    }
}

/// The nodes of the chip with this number: itself, and its resource manager. `root` has `/sys` below it.
///
/// # Errors
/// [`crate::Kind::Internal`] when the kernel doesn't show it.
pub fn fit(device: &DeviceMap, chip: u32, root: &Path) -> Result<Fitting> {
    let node = |(key, class): (&str, &str)| {
        let name = format!("{class}{chip}");
        let place = root.join("sys/class").join(class).join(&name);
        let unknown = || Error::internal(format!("Failed to get TPM device information: {place:?}"));
        let numbers = numbers(&place).ok_or_else(unknown)?;
        let target = Path::new("/").join(device.get(key).map_or("", |path| path.trim_start_matches('/')));
        Ok(Fitting::of_node(unix::own_node(device, false, numbers), Path::new("/dev").join(name), target))
    };
    [("path", "tpm"), ("pathrm", "tpmrm")].into_iter().map(node).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    #[test]
    fn a_chip_has_two_nodes() {
        let tree = Tree::new();
        let pairs = [("path", "/dev/tpm0"), ("pathrm", "dev/tpmrm0")];
        let device = pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        tree.put("sys/class/tpm/tpm3", &[("dev", "253:3")]);
        assert!(fit(&device, 3, tree.path()).is_err());
        tree.put("sys/class/tpmrm/tpmrm3", &[("dev", "253:65539")]);
        let fitted = fit(&device, 3, tree.path()).unwrap();
        assert_eq!(fitted.rules, ["c 253:3 rwm", "c 253:65539 rwm"]);
        let targets: Vec<_> = fitted.mounts.iter().map(|mount| mount.target.display().to_string()).collect();
        assert_eq!(targets, ["/dev/tpm0", "/dev/tpmrm0"]);
    }

    #[test]
    fn a_container_needs_both_paths() {
        let device: DeviceMap = [("path".to_owned(), "/dev/tpm0".to_owned())].into();
        let said = check("t", &device).unwrap_err();
        assert!(said.message().ends_with("Invalid value for device option \"pathrm\": Required value"), "{said}");
    }
}
