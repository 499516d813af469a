//! Capability sets and ids of a single-threaded helper (capabilities(7)).

use std::io;

use caps::CapSet;
use rustix::process::{Gid, Uid};
use rustix::thread::CapabilitySet;

/// Takes the capabilities of `mask` out of the bounding set and all others, for good.
pub fn drop_bounding(mask: u64) -> io::Result<()> {
    if mask == 0 {
        return Ok(());
    }
    for cap in caps::all().into_iter().filter(|c| c.bitmask() & mask != 0) {
        if caps::has_cap(None, CapSet::Bounding, cap).unwrap_or(false) {
            caps::drop(None, CapSet::Bounding, cap).map_err(|e| io::Error::other(e.to_string()))?;
        }
    }
    let mut sets = rustix::thread::capabilities(None)?;
    let keep = CapabilitySet::from_bits_retain(!mask);
    sets.effective &= keep;
    sets.permitted &= keep;
    sets.inheritable &= keep;
    Ok(rustix::thread::set_capabilities(None, sets)?)
}

/// The capabilities in force, as bits.
pub fn effective() -> io::Result<u64> {
    Ok(rustix::thread::capabilities(None)?.effective.bits())
}

/// Puts exactly these of the permitted capabilities in force.
pub fn set_effective(mask: u64) -> io::Result<()> {
    let mut sets = rustix::thread::capabilities(None)?;
    sets.effective = sets.permitted & CapabilitySet::from_bits_retain(mask);
    Ok(rustix::thread::set_capabilities(None, sets)?)
}

/// Becomes this user and group, with no other groups. Keeps capabilities only as the kernel's rules say.
pub fn become_user(uid: u32, gid: u32) -> io::Result<()> {
    rustix::thread::set_thread_groups(&[])?;
    let gid = Gid::from_raw(gid);
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    let uid = Uid::from_raw(uid);
    Ok(rustix::thread::set_thread_res_uid(uid, uid, uid)?)
}

/// Becomes a process with these ids (real, effective, saved, of the file system), these groups, and these capabilities alone.
pub fn become_like(uids: [u32; 4], gids: [u32; 4], groups: &[u32], capabilities: u64) -> io::Result<()> {
    let groups: Vec<Gid> = groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    rustix::thread::set_thread_groups(&groups)?;
    rustix::thread::set_keep_capabilities(true)?;
    let [gid, uid] = [gids, uids];
    rustix::thread::set_thread_res_gid(Gid::from_raw(gid[0]), Gid::from_raw(gid[1]), Gid::from_raw(gid[2]))?;
    rustix::thread::set_thread_res_uid(Uid::from_raw(uid[0]), Uid::from_raw(uid[1]), Uid::from_raw(uid[2]))?;
    // Of the effective ones a change from 0 has left none, and without them only an id that is there already can be taken.
    let sets = rustix::thread::capabilities(None)?;
    rustix::thread::set_capabilities(None, rustix::thread::CapabilitySets { effective: sets.permitted, ..sets })?;
    if (uid[1], gid[1]) != (uid[3], gid[3]) {
        become_fs_user(uid[3], gid[3])?;
    }
    let only = sets.permitted & CapabilitySet::from_bits_retain(capabilities);
    let sets = rustix::thread::CapabilitySets { effective: only, permitted: only, inheritable: CapabilitySet::empty() };
    Ok(rustix::thread::set_capabilities(None, sets)?)
}

/// Makes files be accessed as this user and group (setfsuid(2)); drops the file capabilities from the effective set when `uid` isn't 0.
pub fn become_fs_user(uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: plain numbers; both calls only change credentials of this (single-threaded) process.
    let now = unsafe {
        libc::setfsgid(gid);
        libc::setfsuid(uid);
        // The calls report no errors; asking again with an impossible id tells what holds.
        (libc::setfsuid(u32::MAX) as u32, libc::setfsgid(u32::MAX) as u32)
    };
    if now == (uid, gid) { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EPERM)) }
}
