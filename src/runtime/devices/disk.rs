//! `disk` devices: paths of the host, file systems on its block devices, and what may be read and written a second.

use std::fs;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use super::Fitting;
use crate::api::config::device::is_root;
use crate::api::config::{is_true, units};
use crate::api::types::DeviceMap;
use crate::runtime::spec::throttle::{Rate, Throttle};
use crate::runtime::spec::{Filesystem, Mount};
use crate::{Ctx, Error, Kind, Result};

/// What a disk is on this host now. Looks at the host.
///
/// # Errors
/// Those of [`mount`]; [`crate::Kind::Invalid`] when its source has no file system, or no block device to limit.
pub fn fit(name: &str, device: &DeviceMap, lxd_dir: &Path) -> Result<Fitting> {
    let value = |key: &str| device.get(key).map_or("", String::as_str);
    let mut fitting = Fitting::default();
    let mut place = lxd_dir.join("storage-pools").join(value("pool"));
    if !is_root(device) {
        let mut mount = mount(name, device, lxd_dir)?;
        // By a link, too.
        if let (Ok(source), Ok(own)) = (fs::canonicalize(&mount.source), fs::canonicalize(lxd_dir))
            && source.starts_with(own)
        {
            return Err(reaches(name, lxd_dir));
        }
        let own = options(value("raw.mount.options"), &mut mount);
        if fs::metadata(&mount.source).is_ok_and(|status| status.file_type().is_block_device()) {
            mount.filesystem = Some(filesystem(&mount.source, own)?);
        } else if let Some(option) = own.first() {
            let text = format!("Only a file system on a block device can have the mount option {option:?}");
            return Err(Error::invalid(text));
        }
        place = mount.source.clone();
        fitting.mounts.push(mount);
    }
    let (read, write) = limits(device)?;
    if (read, write) != (Rate::default(), Rate::default()) {
        let device = block_device(&place).ok_or_else(|| {
            Error::invalid(format!("No block device is known that holds {place:?}, so it can't be limited"))
        })?;
        fitting.throttles.push(Throttle { device, read, write });
    }
    Ok(fitting)
}

/// What may be read and written a second; `limits.max` stands for both.
fn limits(device: &DeviceMap) -> Result<(Rate, Rate)> {
    let rate = |key: &str| -> Result<Rate> {
        let Some(text) = device.get(key).filter(|text| !text.is_empty()) else { return Ok(Rate::default()) };
        let wrong = || Error::invalid(format!("Invalid value: {text}"));
        match text.strip_suffix("iops") {
            Some(number) => Ok(Rate { operations: Some(number.parse().map_err(|_| wrong())?), bytes: None }),
            None => Ok(Rate { bytes: Some(units::bytes(text).map_err(|_| wrong())?), operations: None }),
        }
    };
    let both = rate("limits.max")?;
    let one = |key: &str| if device.contains_key("limits.max") { Ok(both) } else { rate(key) };
    Ok((one("limits.read")?, one("limits.write")?))
}

/// The whole block device below a path; `None` when its file system has none, or several.
fn block_device(path: &Path) -> Option<(u32, u32)> {
    let status = fs::metadata(path).ok()?;
    let number = if status.file_type().is_block_device() { status.rdev() } else { status.dev() };
    let numbers = (rustix::fs::major(number), rustix::fs::minor(number));
    let place = fs::canonicalize(format!("/sys/dev/block/{}:{}", numbers.0, numbers.1)).ok()?;
    if !place.join("partition").exists() {
        return Some(numbers);
    }
    let whole = fs::read_to_string(place.parent()?.join("dev")).ok()?;
    let (major, minor) = whole.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Where file systems have their marks: offset, mark, name.
const MARKS: &[(u64, &[u8], &str)] = &[
    (0, b"XFSB", "xfs"),
    (0, b"hsqs", "squashfs"),
    (1080, &[0x53, 0xef], "ext4"),
    (1024, &[0x10, 0x20, 0xf5, 0xf2], "f2fs"),
    (1024, &[0xe2, 0xe1, 0xf5, 0xe0], "erofs"),
    (65_600, b"_BHRfS_M", "btrfs"),
    (32_769, b"CD001", "iso9660"),
    (82, b"FAT32", "vfat"),
    (54, b"FAT1", "vfat"),
    (3, b"NTFS    ", "ntfs3"),
];

/// Gives a mount the options that any can have; says which are the file system's own.
fn options(text: &str, mount: &mut Mount) -> Vec<String> {
    let mut own = Vec::new();
    for option in text.split(',').map(str::trim).filter(|option| !option.is_empty()) {
        match option {
            "ro" => mount.readonly = true,
            "nosuid" => mount.flags.nosuid = true,
            "nodev" => mount.flags.nodev = true,
            "noexec" => mount.flags.noexec = true,
            "noatime" => mount.flags.noatime = true,
            "nodiratime" => mount.flags.nodiratime = true,
            // As the source has it.
            "suid" => mount.flags.nosuid = false,
            "dev" => mount.flags.nodev = false,
            "exec" => mount.flags.noexec = false,
            "atime" | "relatime" => mount.flags.noatime = false,
            "diratime" => mount.flags.nodiratime = false,
            "defaults" | "rw" => {}
            _ => own.push(option.to_owned()),
        }
    }
    own
}

/// The file system on a block device.
fn filesystem(source: &Path, options: Vec<String>) -> Result<Filesystem> {
    let failed = || format!("Failed reading {source:?}");
    let file = fs::File::open(source).ctx(Kind::Invalid, failed)?;
    let has = |offset: u64, mark: &[u8]| {
        let mut found = vec![0; mark.len()];
        file.read_exact_at(&mut found, offset).is_ok() && found == mark
    };
    let kind = MARKS.iter().find(|(offset, mark, _)| has(*offset, mark)).map(|(.., name)| (*name).to_owned());
    let kind = kind.ok_or_else(|| Error::invalid(format!("No known file system is on {source:?}")))?;
    Ok(Filesystem { kind, options })
}

/// The mount that a disk device with a `source` stands for. Pure.
///
/// # Errors
/// [`crate::Kind::Invalid`] when it would reach into the daemon's own directory: what lies there may hold setuid files
/// of other guests, owned by the host's root.
pub fn mount(name: &str, device: &DeviceMap, lxd_dir: &Path) -> Result<Mount> {
    let value = |key: &str| device.get(key).map_or("", String::as_str);
    let flag = |key: &str| is_true(value(key));
    let source = plain(Path::new(value("source")));
    if source.starts_with(lxd_dir) || lxd_dir.starts_with(&source) && flag("recursive") {
        return Err(reaches(name, lxd_dir));
    }
    let target = plain(&Path::new("/").join(value("path").trim_start_matches('/')));
    if target == Path::new("/") {
        return Err(Error::invalid(format!("Device {name:?} would cover the root disk")));
    }
    let optional = match value("required") {
        "" => flag("optional"),
        _ => !flag("required"),
    };
    Ok(Mount {
        target,
        readonly: flag("readonly"),
        recursive: flag("recursive"),
        follows: follows(value("propagation")) && !lxd_dir.starts_with(&source),
        shift: flag("shift"),
        optional,
        source,
        ..Mount::default()
    })
}

/// Whether mounts of the host's travel into the guest. With `shared` as well they do in this direction only, as with LXD.
fn follows(propagation: &str) -> bool {
    !matches!(propagation, "private" | "rprivate" | "unbindable" | "runbindable")
}

fn reaches(name: &str, lxd_dir: &Path) -> Error {
    Error::invalid(format!("Disk {name:?} would reach into {lxd_dir:?}"))
}

/// Refuses a disk whose `source` isn't there, unless it isn't required. Looks at the host.
///
/// # Errors
/// [`crate::Kind::Invalid`] with LXD's text.
pub fn check_source(name: &str, device: &DeviceMap) -> Result<()> {
    let source = device.get("source").map_or("", String::as_str);
    let off = |key: &str| device.get(key).is_some_and(|v| matches!(v.as_str(), "0" | "false" | "no" | "off"));
    let optional = off("required") || device.get("optional").is_some_and(|v| is_true(v));
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
    fn what_any_mount_can_have_is_told_from_what_file_systems_have() {
        let mut mount = Mount::default();
        assert_eq!(options("ro, nosuid,,noatime,data=journal,nodev,dev", &mut mount), ["data=journal"]);
        assert!(mount.readonly && mount.flags.nosuid && mount.flags.noatime && !mount.flags.nodev);
    }

    #[test]
    fn limits_are_bytes_or_operations() {
        let found = limits(&disk(&[("limits.read", "10MB"), ("limits.write", "20iops")])).unwrap();
        assert_eq!((found.0.bytes, found.1.operations), (Some(10_000_000), Some(20)));
        let found = limits(&disk(&[("limits.max", "30iops"), ("limits.read", "1")])).unwrap();
        assert_eq!(found, (found.1, found.0));
        assert!(limits(&disk(&[("limits.read", "xiops")])).is_err());
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
