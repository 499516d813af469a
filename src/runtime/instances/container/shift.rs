//! Ids on disk, for file systems and kernels without idmapped mounts.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::blocking;
use crate::runtime::helper::shift::MODE;
use crate::runtime::spec::shift::{ShiftAnswer, ShiftPlan};
use crate::runtime::spec::{Idmap, VERSION};
use crate::runtime::sys::link::{Link, Watched};
use crate::runtime::sys::{executable, mount, probe};

/// Whether the file tree at `path` can be mounted with shifted ids. If not, it must be shifted on disk ([`on_disk`]) before a start with
/// [`crate::runtime::spec::Shift::OnDisk`]. `LXD_IDMAPPED_MOUNTS_DISABLE` in the environment says no for all. Blocks shortly; asks the
/// kernel once a file system.
///
/// # Errors
/// When no user namespace can be made at all, as in a chroot(2).
pub fn can_mount(path: &Path) -> Result<bool> {
    static KNOWN: Mutex<BTreeMap<u64, bool>> = Mutex::new(BTreeMap::new());
    let disabled =
        std::env::var("LXD_IDMAPPED_MOUNTS_DISABLE").is_ok_and(|v| matches!(v.as_str(), "1" | "true" | "yes" | "on"));
    let Ok(device) = fs::metadata(path).map(|m| m.dev()) else { return Ok(false) };
    if disabled {
        return Ok(false);
    }
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(can) = known.get(&device) {
        return Ok(*can);
    }
    let without = || "Failed making a user namespace, without which there are no unprivileged containers (in a chroot none can be made)";
    let user = probe::user_namespace().ctx(Kind::Internal, without)?;
    let can = mount::can_shift(path, user.as_fd());
    known.insert(device, can);
    Ok(can)
}

/// Rewrites owners, ACLs and file capabilities of a stopped container's tree from one map to another (an empty one: the
/// guest's own ids), in a helper process. What was shifted before is known from a file beside the tree, so that a shift that was
/// cut short is finished by the next, and one whose end was not recorded is not done twice.
pub async fn on_disk(path: &Path, from: &Idmap, to: &Idmap) -> Result<()> {
    let plan = ShiftPlan { version: VERSION, path: path.to_owned(), from: from.clone(), to: to.clone() };
    let plan = serde_json::to_vec(&plan).ctx(Kind::Internal, || "Failed writing a plan")?;
    let start = move || executable::with_plan(&plan, &[], |fds| executable::start_bound(&["lxbox", MODE], fds));
    let failed = || "Failed starting the shift helper";
    let (socket, spawned) = blocking(move || start().ctx(Kind::Internal, failed)).await?;
    let (link, helper) = (Link::new(socket)?, Watched::new(spawned.pidfd)?);
    let answer = link.receive::<ShiftAnswer>().await?;
    helper.reaped().await?;
    match answer {
        Some((ShiftAnswer::Done, _)) => Ok(()),
        Some((ShiftAnswer::Failed { errno: 0, what }, _)) => {
            Err(Error::internal(format!("Failed shifting {path:?}: {what}")))
        }
        Some((ShiftAnswer::Failed { errno, what }, _)) => {
            Err(io::Error::from_raw_os_error(errno)).ctx(Kind::Internal, || format!("Failed shifting {path:?}: {what}"))
        }
        None => Err(Error::internal(format!("Failed shifting {path:?}: the helper died"))),
    }
}
