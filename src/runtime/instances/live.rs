//! What of a change a running guest takes at once. Pure.

use std::path::{Path, PathBuf};

use super::expand::Expanded;
use crate::Result;
use crate::api::config::{device, instance};
use crate::runtime::devices;
use crate::runtime::spec::Mount;

/// What is to be done to a running guest.
#[derive(Debug, Default, PartialEq)]
pub struct Difference {
    /// Whether its limits changed.
    pub limits: bool,
    /// Mounts to take away, by their place in the guest.
    pub detach: Vec<PathBuf>,
    /// Mounts to add.
    pub attach: Vec<Mount>,
}

/// Compares two expanded configurations; `lxd_dir` guards pools against being mounted.
pub fn difference(was: &Expanded, becomes: &Expanded, lxd_dir: &Path) -> Result<Difference> {
    let limits = instance::changed(&was.config, &becomes.config).iter().any(|key| key.starts_with("limits."));
    let mut difference = Difference { limits, ..Difference::default() };
    let disks = |e: &Expanded| {
        let plain = e.devices.iter().filter(|(_, d)| d.get("type").is_some_and(|t| t == "disk") && !device::is_root(d));
        plain.map(|(name, d)| (name.clone(), d.clone())).collect::<crate::api::types::Devices>()
    };
    let (old, new) = (disks(was), disks(becomes));
    for (name, disk) in old.iter().rev().filter(|(name, disk)| new.get(*name) != Some(disk)) {
        difference.detach.push(devices::disk::mount(name, disk, lxd_dir)?.target);
    }
    for (name, disk) in new.iter().filter(|(name, disk)| old.get(*name) != Some(disk)) {
        difference.attach.push(devices::disk::mount(name, disk, lxd_dir)?);
    }
    Ok(difference)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::{ConfigMap, Devices};

    fn map(pairs: &[(&str, &str)]) -> ConfigMap {
        pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    #[test]
    fn a_changed_disk_is_taken_away_and_added_again() {
        let disk = |source: &str| map(&[("type", "disk"), ("source", source), ("path", "/mnt")]);
        let with = |devices: Devices| Expanded { devices, ..Expanded::default() };
        let (was, becomes) = (with([("d".into(), disk("/a"))].into()), with([("d".into(), disk("/b"))].into()));
        let found = difference(&was, &becomes, Path::new("/var/lib/lxd")).unwrap();
        assert_eq!(found.detach, [PathBuf::from("/mnt")]);
        assert_eq!(found.attach[0].source, PathBuf::from("/b"));
        assert!(!found.limits);
        assert_eq!(difference(&was, &was, Path::new("/var/lib/lxd")).unwrap(), Difference::default());
    }
}
