//! What helpers share that outlive the daemon (`net`, `procfs`, `proxy`, `shim`, `tpm`): they end only with what they are for, say on
//! disk who they are, and confine themselves.

use std::fs::File;
use std::io::Write;
use std::os::fd::BorrowedFd;

use rustix::fs::{Mode, OFlags};
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, Gid, Uid};
use serde::Serialize;

use super::{Fail, What};
use crate::runtime::spec::VERSION;
use crate::runtime::spec::resident::{DeviceRecord, Record, file_name};
use crate::runtime::spec::shim::Process;
use crate::runtime::sys::{process, seccomp, signal};

/// From here on neither a terminal nor a service stop ends us. The first call of such a helper.
pub(super) fn outlive() {
    signal::reset_all();
    for number in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGPIPE] {
        let _ = signal::ignore(number);
    }
}

/// Writes who we are into the run directory `dir`, by atomic rename.
pub(super) fn record(dir: BorrowedFd<'_>, name: &str) -> Result<(), Fail> {
    let (process, boot_id) = ourselves()?;
    write(dir, name, &Record { version: VERSION, boot_id, process })
}

/// Who we are, and in which boot of the host.
pub(super) fn ourselves() -> Result<(Process, String), Fail> {
    let pid = std::process::id() as i32;
    let start = process::start_time(pid).ok_or_else(|| Fail::new("reading our own start time"))?;
    let boot_id = process::boot_id().what(|| "reading the boot id")?;
    Ok((Process { pid, start }, boot_id))
}

/// Writes who we are, and what we do for this device, into the directory `dir` of a guest's.
pub(super) fn record_device<P: Serialize>(dir: BorrowedFd<'_>, device: &str, plan: P) -> Result<(), Fail> {
    let (process, boot_id) = ourselves()?;
    write(dir, &format!("{}.json", file_name(device)), &DeviceRecord { process, boot_id, plan })
}

/// Writes a record by atomic rename.
fn write(dir: BorrowedFd<'_>, name: &str, record: &impl Serialize) -> Result<(), Fail> {
    let failed = || "writing the helper's record";
    let text = serde_json::to_vec(record).map_err(|e| Fail::new(format!("{}: {e}", failed())))?;
    let new = format!("{name}.new");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::openat(dir, &new, flags, Mode::from_raw_mode(0o600)).what(failed)?;
    File::from(file).write_all(&text).what(failed)?;
    rustix::fs::renameat(dir, &new, dir, name).what(failed)
}

/// Becomes `user`, without capabilities, within these bounds, behind the filter. The process must have one thread.
pub(super) fn confine(user: Option<u32>, bounds: &[(Resource, u64)], filter: &str) -> Result<(), Fail> {
    limit(bounds)?;
    confine_as(user.map(|user| (user, user)), CapabilitySet::empty(), filter)
}

/// Sets bounds to what it can use.
pub(super) fn limit(bounds: &[(Resource, u64)]) -> Result<(), Fail> {
    for (resource, most) in bounds.iter().copied().chain([(Resource::Core, 0)]) {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        rustix::process::setrlimit(resource, limit).what(|| "limiting resources")?;
    }
    Ok(())
}

/// Becomes this user and group, with no capabilities but, as root, these, behind the filter. The process must have one thread.
pub(super) fn confine_as(user: Option<(u32, u32)>, kept: CapabilitySet, filter: &str) -> Result<(), Fail> {
    let failed = || "giving up privileges";
    rustix::thread::set_no_new_privs(true).what(failed)?;
    if let Some((uid, gid)) = user {
        let (gid, uid) = (Gid::from_raw(gid), Uid::from_raw(uid));
        rustix::thread::set_thread_groups(&[]).what(failed)?;
        rustix::thread::set_thread_res_gid(gid, gid, gid).what(failed)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid).what(failed)?;
    }
    keep_capabilities(kept)?;
    // After the change of ids, which sets it anew.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).what(failed)?;
    seccomp::load(filter).what(|| "loading the seccomp filter")
}

/// Gives up all capabilities but these.
pub(super) fn keep_capabilities(kept: CapabilitySet) -> Result<(), Fail> {
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).what(|| "giving up capabilities")
}
