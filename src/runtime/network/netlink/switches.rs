//! Switches of a namespace's network: files below `/proc/sys/net`.

use std::fs;
use std::os::fd::BorrowedFd;

use super::check_name;
use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::sys::netlink::in_network;

/// The family of a switch of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `/proc/sys/net/ipv4/conf/…`
    V4,
    /// `/proc/sys/net/ipv6/conf/…`
    V6,
}

/// The file of a switch of a link (`all` and `default` are links here); the name may have dots, as it is never split.
fn path(family: Family, link: &str, name: &str) -> Result<String> {
    check_name(link)?;
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(Error::invalid(format!("Invalid network switch name {name:?}")));
    }
    let family = match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    };
    Ok(format!("/proc/sys/net/{family}/conf/{link}/{name}"))
}

/// Sets a switch of a link in the namespace of the calling thread, when it has another value.
///
/// # Errors
/// ENOENT when there is no such link, or the kernel has no IPv6, as [`Error::errno`] tells.
pub fn switch(family: Family, link: &str, name: &str, value: &str) -> Result<()> {
    let path = path(family, link, name)?;
    // Reading is allowed where /proc/sys is read-only, and writing what is there already wakes up the kernel for nothing.
    if fs::read_to_string(&path).is_ok_and(|now| now.trim_end() == value) {
        return Ok(());
    }
    fs::write(&path, value).ctx(Kind::Internal, || format!("Failed writing {value:?} to {path:?}"))
}

/// The same in another network namespace.
pub fn switch_in(netns: BorrowedFd<'_>, family: Family, link: &str, name: &str, value: &str) -> Result<()> {
    let done = in_network(netns, || switch(family, link, name, value));
    done.ctx(Kind::Internal, || "Failed entering a network namespace")?
}

/// The value of a switch of a link.
pub fn read_switch(family: Family, link: &str, name: &str) -> Result<String> {
    let path = path(family, link, name)?;
    let text = fs::read_to_string(&path).ctx(Kind::Internal, || format!("Failed reading {path:?}"))?;
    Ok(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_are_files_of_their_link_and_never_others() {
        assert_eq!(path(Family::V4, "br.10", "forwarding").unwrap(), "/proc/sys/net/ipv4/conf/br.10/forwarding");
        assert_eq!(path(Family::V6, "all", "accept_ra").unwrap(), "/proc/sys/net/ipv6/conf/all/accept_ra");
        for (link, name) in [("..", "x"), ("a/b", "x"), ("lo", ".."), ("lo", "a/b"), ("lo", ""), ("", "x")] {
            assert!(path(Family::V4, link, name).is_err(), "{link} {name}");
        }
        assert!(read_switch(Family::V4, "lo", "forwarding").unwrap().parse::<u8>().is_ok());
    }
}
