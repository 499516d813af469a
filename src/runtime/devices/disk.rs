//! `disk` devices that mount a path of the host.

use std::path::{Component, Path, PathBuf};

use crate::api::types::DeviceMap;
use crate::runtime::spec::Mount;
use crate::{Error, Result};

/// The mount that a disk device with a `source` stands for. Pure.
///
/// # Errors
/// [`crate::Kind::Invalid`] when it would reach into the daemon's own directory: what lies there may hold setuid files
/// of other guests, owned by the host's root.
pub fn mount(name: &str, device: &DeviceMap, lxd_dir: &Path) -> Result<Mount> {
    let value = |key: &str| device.get(key).map_or("", String::as_str);
    let flag = |key: &str| matches!(value(key), "1" | "true" | "yes" | "on");
    let source = plain(Path::new(value("source")));
    if source.starts_with(lxd_dir) || lxd_dir.starts_with(&source) && flag("recursive") {
        return Err(Error::invalid(format!("Disk {name:?} would reach into {lxd_dir:?}")));
    }
    let optional = match value("required") {
        "" => flag("optional"),
        _ => !flag("required"),
    };
    Ok(Mount {
        source,
        target: Path::new("/").join(value("path").trim_start_matches('/')),
        readonly: flag("readonly"),
        recursive: flag("recursive"),
        optional,
        ..Mount::default()
    })
}

/// Refuses a disk whose `source` isn't there, unless it isn't required. Looks at the host.
///
/// # Errors
/// [`crate::Kind::Invalid`] with LXD's text.
pub fn check_source(name: &str, device: &DeviceMap) -> Result<()> {
    let source = device.get("source").map_or("", String::as_str);
    let off = |key: &str| device.get(key).is_some_and(|v| matches!(v.as_str(), "0" | "false" | "no" | "off"));
    let optional =
        off("required") || device.get("optional").is_some_and(|v| matches!(v.as_str(), "1" | "true" | "yes" | "on"));
    if !source.starts_with('/') || optional || Path::new(source).symlink_metadata().is_ok() {
        return Ok(());
    }
    Err(Error::invalid(format!("Missing source path {source:?} for disk {name:?}")))
}

/// The path without `.` and `..`, without asking the file system.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut so_far, part| {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(so_far.pop()),
            part => so_far.push(part),
        }
        so_far
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(pairs: &[(&str, &str)]) -> DeviceMap {
        pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    #[test]
    fn a_disk_becomes_a_mount() {
        let lxd = Path::new("/var/lib/lxd");
        let m = mount("d", &disk(&[("source", "/srv/./a"), ("path", "mnt"), ("readonly", "true")]), lxd).unwrap();
        assert_eq!((m.source, m.target), ("/srv/a".into(), "/mnt".into()));
        assert!(m.readonly && !m.optional);
        assert!(mount("d", &disk(&[("source", "/x"), ("path", "/y"), ("required", "false")]), lxd).unwrap().optional);
    }

    #[test]
    fn no_disk_reaches_into_the_pools() {
        let lxd = Path::new("/var/lib/lxd");
        for source in ["/var/lib/lxd", "/var/lib/lxd/storage-pools/p", "/srv/../var/lib/lxd/x"] {
            assert!(mount("d", &disk(&[("source", source), ("path", "/mnt")]), lxd).is_err(), "{source}");
        }
        assert!(mount("d", &disk(&[("source", "/var"), ("path", "/mnt"), ("recursive", "true")]), lxd).is_err());
    }
}
