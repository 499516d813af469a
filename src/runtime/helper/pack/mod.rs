//! Writes an archive of a guest's tree: for images that are made of instances, and for backups.
//!
//! ```text
//! daemon ─ pack   opens or mounts the trees, gives up all but reading them, then: walk ─ tar ─ compress ─> pipe or file
//! ```
//!
//! The tree is a guest's, who may change it while it is read: entries are opened by their directory's descriptor and never through
//! a link, sizes are those of the open file, and what gets shorter meanwhile is filled with zeros. Ids in the archive are the guest's.

mod compress;
mod content;
mod gzip;
mod member;
mod place;
mod walk;

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use self::compress::Counted;
use super::{Fail, PLAN_FD, What, read_plan, say};
use crate::runtime::helper::unpack::confine;
use crate::runtime::spec::pack::{PackAnswer, PackPlan, Part};
use crate::runtime::sys::{process, signal};

/// The word by which the executable becomes this.
pub const MODE: &str = "pack";

/// The entry of the hidden mode: plan, socket, process 1's pidfd and the output are open descriptors
/// from [`PLAN_FD`] on.
pub fn main(_args: &[String]) -> i32 {
    signal::reset_all();
    // A daemon that hangs up is an error to answer, or nobody is there to hear it.
    let _ = signal::ignore(libc::SIGPIPE);
    let _ = process::hide_memory();
    let _ = process::die_with_parent();
    let Some([plan, socket, init, output]) = process::inherited_row(PLAN_FD) else { return 2 };
    let Ok(told) = socket.try_clone() else { return 2 };
    let answer = match pack(&plan, told, init, output) {
        Ok(()) => PackAnswer::Done,
        Err(e) => PackAnswer::Failed { errno: e.errno, what: e.what },
    };
    i32::from(say(&socket, &answer, &[]).is_err())
}

fn pack(plan: &OwnedFd, socket: OwnedFd, init: OwnedFd, output: OwnedFd) -> Result<(), Fail> {
    let plan: PackPlan = read_plan(plan.as_fd())?;
    // Ours: the guest's may be anything.
    let own = rustix::fs::open("/proc/self/fd", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .what(|| "opening \"/proc\"")?;
    let trees = place::open(&plan.parts, (&init, &own))?;
    drop(init);
    confine::to_reading(trees.iter().find_map(Option::as_ref).map(|tree| tree.root.as_fd()))
        .map_err(|e| Fail::new(format!("confining the packing process: {}", e.chain())))?;
    let target = output.try_clone().what(|| "duplicating a descriptor")?;
    let packed = compress::start(plan.compression, File::from(output)).what(|| "starting to compress")?;
    // Nobody has to hear it.
    let counted = Counted::new(packed, move |bytes| drop(say(&socket, &PackAnswer::Packed { bytes }, &[])));
    let paths = plan.parts.iter().filter_map(|part| match part {
        Part::Tree { path, .. } => Some(path.clone().into_bytes()),
        Part::File { .. } => None,
    });
    let mut archive = walk::Archive::new(Box::new(counted), own, paths.collect());
    for (part, tree) in plan.parts.iter().zip(trees) {
        match (part, tree) {
            (Part::File { path, content, modified }, _) => archive.file(path, content, *modified)?,
            (Part::Tree { path, .. }, Some(tree)) => archive.tree(path, &tree)?,
            (Part::Tree { path, .. }, None) => return Err(Fail::new(format!("opening the tree of {path:?}"))),
        }
    }
    archive.finish()?;
    let mut target = File::from(target);
    target.flush().what(|| "writing the archive")?;
    if plan.sync {
        target.sync_all().what(|| "writing the archive")?;
    }
    Ok(())
}
