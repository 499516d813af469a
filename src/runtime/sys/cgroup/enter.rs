//! Ways into control groups that nobody has to wait for.
//!
//! Moving a process (`cgroup.procs`) waits until all processors have passed through the scheduler: 8 to 14 ms at 250 Hz, measured,
//! with the kernel's lock of all control groups held. Two ways don't: a thread that moves itself (v1, `0` into `tasks`, since
//! Linux 5.4), and birth in the group (v2, CLONE_INTO_CGROUP, since Linux 5.7).

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use crate::runtime::spec::cgroup::{Group, Hierarchy};

/// The one group of all helpers that outlive the daemon, in the hierarchies by which a service manager tells whose a process is.
const HELPERS: &str = "lxc.monitor";

/// The doors of groups of v1, open: whoever has them may go through, whatever it has become since.
#[derive(Debug)]
pub struct Entrance(Vec<File>);

impl Entrance {
    /// Opens the doors of those of the groups that are of v1.
    pub fn open(groups: &[Group]) -> io::Result<Entrance> {
        let doors =
            groups.iter().filter(|g| !g.unified).map(|g| File::options().write(true).open(g.path.join("tasks")));
        Ok(Entrance(doors.collect::<io::Result<_>>()?))
    }

    /// Moves the calling thread, which should be the only one of its process.
    pub fn enter(&self) -> io::Result<()> {
        self.0.iter().try_for_each(|door| rustix::io::retry_on_intr(|| rustix::io::write(door, b"0")).map(|_| ()))?;
        Ok(())
    }
}

/// Makes the helpers' groups where they are missing. Gives that of v2, for helpers to be born in; `None` on a host without v2.
pub fn helpers(hierarchies: &[Hierarchy]) -> io::Result<Option<OwnedFd>> {
    let mut unified = None;
    for (hierarchy, path) in theirs(hierarchies) {
        match fs::create_dir(&path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ if hierarchy.unified => unified = Some(OwnedFd::from(File::open(path)?)),
            _ => {}
        }
    }
    Ok(unified)
}

/// Moves the calling helper into the helpers' group of v1.
pub fn enter_helpers(hierarchies: &[Hierarchy]) -> io::Result<()> {
    let groups: Vec<Group> = theirs(hierarchies)
        .filter(|(hierarchy, _)| !hierarchy.unified)
        .map(|(hierarchy, path)| Group { unified: false, controllers: hierarchy.controllers.clone(), path, inode: 0 })
        .collect();
    Entrance::open(&groups)?.enter()
}

/// Removes the helpers' groups where no helper is left.
pub fn remove_helpers(hierarchies: &[Hierarchy]) {
    for (_, path) in theirs(hierarchies) {
        let _ = fs::remove_dir(path);
    }
}

fn theirs(hierarchies: &[Hierarchy]) -> impl Iterator<Item = (&Hierarchy, PathBuf)> {
    let tells = |h: &&Hierarchy| h.unified || h.controllers.iter().any(|c| c == "name=systemd");
    hierarchies.iter().filter(tells).map(|h| (h, h.base.join(HELPERS)))
}
