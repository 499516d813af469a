//! What a shim leaves on disk: its record, its exit, the lock on its volume.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{Mode, OFlags};
use serde::Serialize;

use super::identify;
use crate::runtime::helper::{Fail, What};
use crate::runtime::spec::ContainerSpec;
use crate::runtime::spec::VERSION;
use crate::runtime::spec::shim::{EXIT, ExitRecord, Phase, Policy, RECORD, RunRecord};
use crate::runtime::sys::process;

/// The record of a container that is being started.
pub(super) fn new(spec: &ContainerSpec) -> Result<RunRecord, Fail> {
    Ok(RunRecord {
        version: VERSION,
        boot_id: process::boot_id().what(|| "reading the boot id")?,
        id: spec.id,
        name: spec.name.clone(),
        project: spec.project.clone(),
        phase: Phase::Starting,
        shim: identify(std::process::id() as i32)?,
        init: None,
        groups: Vec::new(),
        claimed: false,
        lock: spec.lock.clone(),
        started_ms: 0,
        reboots: 0,
        stale: false,
        policy: policy(spec),
    })
}

/// What executed commands share with process 1.
pub(super) fn policy(spec: &ContainerSpec) -> Policy {
    Policy {
        privileged: spec.privileged(),
        drop_capabilities: spec.drop_capabilities,
        seccomp: spec.seccomp.clone(),
        listens: spec.intercept.any(),
        apparmor: spec.apparmor.clone(),
        no_new_privs: spec.no_new_privs,
        linux32: spec.linux32,
        environment: spec.environment.clone(),
        rlimits: spec.rlimits.clone(),
    }
}

/// Writes the record; readers see the old one or the new one.
pub(super) fn write(dir: BorrowedFd<'_>, record: &RunRecord) -> io::Result<()> {
    replace(dir, RECORD, record)
}

/// Writes how the container ended.
pub(super) fn write_exit(dir: BorrowedFd<'_>, exit: &ExitRecord) -> io::Result<()> {
    replace(dir, EXIT, exit)
}

fn replace(dir: BorrowedFd<'_>, name: &str, value: &impl Serialize) -> io::Result<()> {
    let new = format!("{name}.new");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mut file = File::from(rustix::fs::openat(dir.as_fd(), &new, flags, Mode::from_raw_mode(0o600))?);
    file.write_all(&serde_json::to_vec(value)?)?;
    Ok(rustix::fs::renameat(dir, &new, dir, name)?)
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}
