//! `/dev` of a container: the usual nodes, bound from the host; its own terminals; the console.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::Mode;
use rustix::mount::MountAttrFlags;

use super::mounts;
use crate::runtime::helper::{Fail, What};
use crate::runtime::sys::mount::{self, Setting};
use crate::runtime::sys::pty::{self, Pty};
use crate::runtime::sys::root;

/// Nodes every container has, and whether the host may lack them.
const NODES: [(&str, bool); 8] = [
    ("fuse", true),
    ("net/tun", true),
    ("full", false),
    ("null", false),
    ("random", false),
    ("tty", false),
    ("urandom", false),
    ("zero", false),
];

const LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// Binds the host's nodes: nobody can make device nodes in a user namespace.
pub(super) fn bind_files(guest: BorrowedFd<'_>) -> Result<(), Fail> {
    for (name, optional) in NODES {
        let path = Path::new("/dev").join(name);
        match mount::clone(&path, false) {
            Ok(node) => bind(&node, guest, &path)?,
            Err(_) if optional => {}
            Err(e) => return Err(e).what(|| format!("opening {path:?} of the host")),
        }
    }
    Ok(())
}

fn bind(node: &OwnedFd, guest: BorrowedFd<'_>, path: &Path) -> Result<(), Fail> {
    let target = root::file(guest, path).what(|| format!("making {path:?}"))?;
    mount::attach(node.as_fd(), target.as_fd()).what(|| format!("mounting {path:?}"))
}

/// A devpts of its own, with `/dev/ptmx` from it.
pub(super) fn terminals(guest: BorrowedFd<'_>) -> Result<OwnedFd, Fail> {
    let settings = [
        Setting::Flag("newinstance"),
        Setting::Value("gid", "5"),
        Setting::Value("mode", "0620"),
        Setting::Value("ptmxmode", "0666"),
        Setting::Value("max", "1024"),
    ];
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let terminals = mounts::new("devpts", "dev/pts", guest, &settings, attributes)?;
    let ptmx = mount::clone_at(&terminals, Path::new("ptmx"), false).what(|| "opening \"/dev/pts/ptmx\"")?;
    bind(&ptmx, guest, Path::new("/dev/ptmx"))?;
    Ok(terminals)
}

/// Symbolic links, and the directory that LXD keeps for mounts added later.
pub(super) fn links(dev: BorrowedFd<'_>) -> Result<(), Fail> {
    for (name, target) in LINKS {
        root::symlink(dev, name, target).what(|| format!("making \"/dev/{name}\""))?;
    }
    rustix::fs::mkdirat(dev, ".lxd-mounts", Mode::from_raw_mode(0o711)).what(|| "making \"/dev/.lxd-mounts\"")
}

/// The first terminal of the guest's devpts, bound as its console.
pub(super) fn console(guest: BorrowedFd<'_>, terminals: BorrowedFd<'_>) -> Result<Pty, Fail> {
    let console = pty::open_in(terminals).what(|| "opening the console's terminal")?;
    let node = mount::clone_at(terminals, Path::new("0"), false).what(|| "opening the console")?;
    bind(&node, guest, Path::new("/dev/console"))?;
    Ok(console)
}
