//! User namespaces of containers.

use std::fs;
use std::os::fd::OwnedFd;

use super::{Fail, What};
use crate::runtime::spec::Idmap;
use crate::runtime::spec::idmap::Ids;
use crate::runtime::sys::{channel, fork, process};

/// A user namespace with this map. The process it is made with ends at once; the descriptor keeps it.
pub(crate) fn user_namespace(map: &Idmap) -> Result<OwnedFd, Fail> {
    let (ours, theirs) = channel::pair().what(|| "making a socket pair")?;
    let options = fork::Options { namespaces: fork::Namespaces::USER, ..Default::default() };
    let (pid, pidfd) = match fork::fork(&options).what(|| "creating the user namespace")? {
        fork::Forked::Child => {
            drop(ours);
            // Waits for the shim to close its end, which also happens when it dies.
            let _ = channel::receive(&theirs, 1);
            fork::exit(0)
        }
        fork::Forked::Parent { pid, pidfd } => (pid, pidfd),
    };
    drop(theirs);
    let made = (|| {
        for (ids, file) in [(Ids::Uid, "uid_map"), (Ids::Gid, "gid_map")] {
            let path = format!("/proc/{pid}/{file}");
            // In one write, as the kernel demands.
            let opened = fs::File::options().write(true).open(&path).what(|| format!("opening {path:?}"))?;
            rustix::io::write(&opened, map.proc_text(ids).as_bytes()).what(|| format!("writing {path:?}"))?;
        }
        let path = format!("/proc/{pid}/ns/user");
        Ok(OwnedFd::from(fs::File::open(&path).what(|| format!("opening {path:?}"))?))
    })();
    drop(ours);
    let _ = process::reap(&pidfd, true);
    made
}
