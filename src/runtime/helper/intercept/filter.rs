//! bpf(2): programs that restrict the devices of a guest's own control groups (cgroup v2), as systemd and others load them.
//!
//! A program is loaded from a copy, with the two capabilities that its kind takes, and can refer to nothing else. It can only take away:
//! each of the programs on the way to a group must allow a device.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::process::PidfdGetfdFlags;

use super::Verdict;
use super::caller::Caller;
use crate::runtime::sys::capset;
use crate::runtime::sys::cgroup::program::{self, Change};
use crate::runtime::sys::notify;

/// `CAP_SYS_ADMIN` in the guest; outside `CAP_BPF` and `CAP_NET_ADMIN`.
const SYS_ADMIN: u32 = 21;
const LOADER: u64 = 1 << 39 | 1 << 12;
/// Commands of bpf(2).
const PROG_LOAD: u64 = 5;
const PROG_ATTACH: u64 = 8;
/// Instructions of a program, at most (BPF_MAXINSNS).
const MOST: u32 = 4096;
/// Bytes of a licence's name.
const LICENCE: usize = 128;
/// `statfs` of cgroup v2.
const CGROUP2: u64 = 0x6367_7270;

/// The attributes of these commands, as far as they count.
struct Attributes([u8; 72]);

impl Attributes {
    fn word(&self, at: usize) -> u32 {
        u32::from_ne_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]])
    }

    fn pointer(&self, at: usize) -> u64 {
        let halves = [u64::from(self.word(at)), u64::from(self.word(at + 4))];
        if cfg!(target_endian = "little") { halves[0] | halves[1] << 32 } else { halves[1] | halves[0] << 32 }
    }
}

/// Loads, attaches or detaches a program.
pub(super) fn control(caller: &Caller<'_>) -> io::Result<Verdict> {
    let [command, at, len, ..] = caller.notice.args;
    let mut attributes = Attributes([0; 72]);
    let len = (len as u32 as usize).min(72);
    caller.read(at, &mut attributes.0[..len])?;
    let kind = attributes.word(if command == PROG_LOAD { 0 } else { 8 });
    let wanted = if command == PROG_LOAD { program::KIND } else { program::PLACE };
    if kind != wanted || !caller.rights.has(SYS_ADMIN) {
        return Ok(Verdict::Pass);
    }
    match command {
        PROG_LOAD => load(caller, &attributes),
        _ => change(caller, &attributes, command == PROG_ATTACH),
    }
}

fn load(caller: &Caller<'_>, attributes: &Attributes) -> io::Result<Verdict> {
    let count = attributes.word(4);
    if count == 0 || count > MOST {
        return Err(io::Error::from_raw_os_error(libc::E2BIG));
    }
    let mut code = vec![0; count as usize * 8];
    caller.read(attributes.pointer(8), &mut code)?;
    if !stands_alone(&code) {
        return Err(io::Error::from_raw_os_error(libc::EPERM));
    }
    let licence = caller.text(attributes.pointer(16), LICENCE)?;
    capset::set_effective(LOADER)?;
    let program = program::load(&code, &licence)?;
    notify::answer_with(caller.listener, caller.notice.id, program.as_fd())?;
    Ok(Verdict::Answered)
}

/// Whether a program names no descriptor (of a map: they would be ours) and calls nothing of the kernel's but its helpers.
fn stands_alone(code: &[u8]) -> bool {
    code.chunks_exact(8).all(|instruction| {
        let source = if cfg!(target_endian = "little") { instruction[1] >> 4 } else { instruction[1] & 15 };
        match instruction[0] {
            0x18 => source == 0,
            0x85 => source < 2,
            _ => true,
        }
    })
}

fn change(caller: &Caller<'_>, attributes: &Attributes, attach: bool) -> io::Result<Verdict> {
    let leader = caller.leader()?;
    let taken = |number: u32| -> io::Result<OwnedFd> {
        Ok(rustix::process::pidfd_getfd(&leader, number as i32, PidfdGetfdFlags::empty())?)
    };
    let (group, given) = (taken(attributes.word(0))?, taken(attributes.word(4))?);
    let flags = if attach { attributes.word(12) } else { 0 };
    let replaced = if flags & program::REPLACE != 0 { Some(taken(attributes.word(16))?) } else { None };
    if rustix::fs::fstatfs(&group)?.f_type as u64 != CGROUP2 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // The group that the guest begins with belongs to the host: what stands there is its restriction.
    let inode = rustix::fs::fstat(&group)?.st_ino;
    if caller.guest.groups.iter().any(|own| own.unified && own.inode == inode) {
        return Err(io::Error::from_raw_os_error(libc::EPERM));
    }
    capset::set_effective(LOADER)?;
    let change = if attach { Change::Attach { flags, replaced } } else { Change::Detach };
    program::change(&given, &group, change)?;
    Ok(Verdict::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_name_nothing_of_ours() {
        assert!(stands_alone(&[0xb7, 0, 0, 0, 1, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]));
        assert!(stands_alone(&[0x18, 0x02, 0, 0, 7, 0, 0, 0]));
        assert!(!stands_alone(&[0x18, 0x12, 0, 0, 3, 0, 0, 0]), "a map's descriptor");
        assert!(!stands_alone(&[0x85, 0x20, 0, 0, 3, 0, 0, 0]), "a function of the kernel");
        assert_eq!(Attributes([1; 72]).pointer(8), 0x0101_0101_0101_0101);
    }
}
