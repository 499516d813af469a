//! Takes everything from a helper that stays what its work doesn't need, before it looks at the first packet.

use rustix::process::{DumpableBehavior, Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, Gid, Uid};

use crate::runtime::helper::{Fail, What};
use crate::runtime::sys::seccomp;

/// What a helper becomes.
pub(super) struct Confinement<'a> {
    /// Its user and group; as it is without.
    pub(super) user: Option<(u32, u32)>,
    /// Capabilities that it keeps, as bits, if it stays root.
    pub(super) keep: u64,
    /// Its system calls.
    pub(super) filter: &'a str,
}

/// Limits what it can use.
pub(super) fn limit(limits: &[(Resource, u64)]) -> Result<(), Fail> {
    limits.iter().try_for_each(|(resource, most)| {
        let limit = Rlimit { current: Some(*most), maximum: Some(*most) };
        rustix::process::setrlimit(*resource, limit).what(|| "limiting resources")
    })
}

/// Gives privileges up. The process must have one thread.
pub(super) fn confine(becomes: &Confinement<'_>) -> Result<(), Fail> {
    let failed = || "giving up privileges";
    rustix::thread::set_no_new_privs(true).what(failed)?;
    if let Some((uid, gid)) = becomes.user {
        let (gid, uid) = (Gid::from_raw(gid), Uid::from_raw(uid));
        rustix::thread::set_thread_groups(&[]).what(failed)?;
        rustix::thread::set_thread_res_gid(gid, gid, gid).what(failed)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid).what(failed)?;
    }
    let kept = CapabilitySet::from_bits_retain(becomes.keep);
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).what(failed)?;
    // After the change of ids, which sets it anew.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).what(failed)?;
    seccomp::load(becomes.filter).what(|| "loading the seccomp filter")
}
