//! `unix-char` and `unix-block`: a device node of the host, or of numbers, in the guest.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::Fitting;
use crate::api::types::DeviceMap;
use crate::runtime::spec::{Mount, Node};
use crate::{Error, Result};

/// Whether a device is one of these.
pub fn is_unix(device: &DeviceMap) -> bool {
    device.get("type").is_some_and(|t| t == "unix-char" || t == "unix-block")
}

/// What one is on this host now; `None` while it isn't there and needn't be. Looks at the host.
///
/// # Errors
/// [`crate::Kind::Invalid`] with LXD's texts when it is missing, or of the other kind.
pub fn fit(device: &DeviceMap) -> Result<Option<Fitting>> {
    let block = device.get("type").is_some_and(|t| t == "unix-block");
    let source = source(device);
    let numbers = match (number(device, "major"), number(device, "minor")) {
        (Some(major), Some(minor)) => Some((major, minor)),
        (major, minor) => on_host(&source, block)?.map(|(m, n)| (major.unwrap_or(m), minor.unwrap_or(n))),
    };
    match numbers {
        Some(numbers) => Ok(Some(Fitting::of_node(own_node(device, block, numbers), source, target(device)))),
        None if may_be_missing(device) => Ok(None),
        None => Err(Error::invalid(
            "The required device path doesn't exist and the major and minor settings are not specified",
        )),
    }
}

/// The file on the host whose coming and going decides whether a guest has the device.
pub fn awaited(device: &DeviceMap) -> Option<PathBuf> {
    let by_path = number(device, "major").is_none() || number(device, "minor").is_none();
    (is_unix(device) && may_be_missing(device) && by_path).then(|| source(device))
}

/// A node with the owner and mode that the configuration says.
pub(super) fn own_node(device: &DeviceMap, block: bool, (major, minor): (u32, u32)) -> Node {
    let mode = device.get("mode").and_then(|mode| u32::from_str_radix(mode, 8).ok()).unwrap_or(0o660);
    let id = |key: &str| number(device, key).unwrap_or(0);
    Node { block, major, minor, uid: id("uid"), gid: id("gid"), mode }
}

fn may_be_missing(device: &DeviceMap) -> bool {
    device.get("required").is_some_and(|v| matches!(v.as_str(), "0" | "false" | "no" | "off"))
}

fn number(device: &DeviceMap, key: &str) -> Option<u32> {
    device.get(key)?.parse().ok()
}

fn path<'a>(device: &'a DeviceMap, first: &str, second: &str) -> &'a str {
    let value = |key: &str| device.get(key).map(String::as_str).filter(|v| !v.is_empty());
    value(first).or_else(|| value(second)).unwrap_or_default()
}

fn source(device: &DeviceMap) -> PathBuf {
    PathBuf::from(path(device, "source", "path"))
}

fn target(device: &DeviceMap) -> PathBuf {
    Path::new("/").join(path(device, "path", "source").trim_start_matches('/'))
}

/// The numbers of a node; `None` when there is none.
fn on_host(source: &Path, block: bool) -> Result<Option<(u32, u32)>> {
    let Ok(status) = fs::metadata(source) else { return Ok(None) };
    let kind = status.file_type();
    match if block { kind.is_block_device() } else { kind.is_char_device() } {
        true => Ok(Some((rustix::fs::major(status.rdev()), rustix::fs::minor(status.rdev())))),
        false => {
            let kind = if block { "block" } else { "char" };
            Err(Error::invalid(format!("Path specified is not a unix-{kind} device")))
        }
    }
}

impl Fitting {
    /// One node, and the rule by which it can be used.
    pub(super) fn of_node(node: Node, source: PathBuf, target: PathBuf) -> Fitting {
        let rule = format!("{} {}:{} rwm", if node.block { 'b' } else { 'c' }, node.major, node.minor);
        Fitting {
            mounts: vec![Mount { source, target, node: Some(node), ..Mount::default() }],
            rules: vec![rule],
            ..Fitting::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(pairs: &[(&str, &str)]) -> DeviceMap {
        pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    #[test]
    fn a_node_of_the_host_has_lxds_owner_and_mode() {
        let fitted =
            fit(&device(&[("type", "unix-char"), ("source", "/dev/null"), ("path", "dev/x")])).unwrap().unwrap();
        assert_eq!(fitted.rules, ["c 1:3 rwm"]);
        assert_eq!(fitted.mounts[0].target, PathBuf::from("/dev/x"));
        let node = Node { block: false, major: 1, minor: 3, uid: 0, gid: 0, mode: 0o660 };
        assert_eq!(fitted.mounts[0].node, Some(node));
    }

    #[test]
    fn numbers_need_no_node_and_are_taken_one_by_one() {
        let node = |pairs: &[(&str, &str)]| {
            let fitted = fit(&device(&[&[("type", "unix-char")], pairs].concat())).unwrap().unwrap();
            fitted.mounts[0].node.clone().unwrap()
        };
        let made = node(&[("path", "/dev/none"), ("major", "10"), ("minor", "200"), ("mode", "0600"), ("gid", "7")]);
        assert_eq!((made.major, made.minor, made.mode, made.gid), (10, 200, 0o600, 7));
        assert_eq!(node(&[("path", "/dev/null"), ("minor", "5")]).minor, 5);
    }

    #[test]
    fn a_missing_one_is_refused_unless_it_may_be_missing() {
        let missing = device(&[("type", "unix-block"), ("path", "/dev/lxbox-none")]);
        assert!(fit(&missing).unwrap_err().message().contains("doesn't exist"));
        assert_eq!(awaited(&missing), None);
        let optional = device(&[("type", "unix-block"), ("path", "/dev/lxbox-none"), ("required", "false")]);
        assert_eq!(fit(&optional).unwrap(), None);
        assert_eq!(awaited(&optional), Some("/dev/lxbox-none".into()));
        assert!(fit(&device(&[("type", "unix-block"), ("path", "/dev/null")])).is_err(), "of the other kind");
    }
}
