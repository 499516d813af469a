//! `/dev` of a container: the usual nodes; its own terminals; the console.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode};
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

/// Gives it the usual nodes: its own, or the host's where nobody can make any, as in a user namespace.
///
/// What the host's root does to a node of the host's, as a privileged guest's root can, the host and its neighbours have.
pub(super) fn nodes(guest: BorrowedFd<'_>) -> Result<(), Fail> {
    for (name, optional) in NODES {
        let path = Path::new("/dev").join(name);
        let host = match rustix::fs::stat(&path) {
            Ok(status) => status,
            Err(_) if optional => continue,
            Err(e) => return Err(e).what(|| format!("looking at {path:?} of the host")),
        };
        if !make(guest, &path, host.st_rdev).what(|| format!("making {path:?}"))? {
            let node = mount::clone(&path, false).what(|| format!("opening {path:?} of the host"))?;
            bind(&node, guest, &path)?;
        }
    }
    Ok(())
}

/// Makes a node that everybody may use; false where that isn't permitted.
fn make(guest: BorrowedFd<'_>, path: &Path, number: u64) -> io::Result<bool> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(false) };
    let directory = root::directory(guest, parent)?;
    match rustix::fs::mknodat(&directory, name, FileType::CharacterDevice, Mode::from_raw_mode(0o666), number) {
        // Again, past the mask.
        Ok(()) => {
            Ok(rustix::fs::chmodat(directory, name, Mode::from_raw_mode(0o666), AtFlags::empty()).map(|()| true)?)
        }
        Err(rustix::io::Errno::PERM) => Ok(false),
        Err(e) => Err(e.into()),
    }
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
