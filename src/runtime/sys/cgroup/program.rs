//! Programs of the kernel's BPF that decide on devices of a group of cgroup v2 (bpf(2), BPF_PROG_TYPE_CGROUP_DEVICE).

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// BPF_PROG_TYPE_CGROUP_DEVICE.
pub const KIND: u32 = 15;
/// BPF_CGROUP_DEVICE.
pub const PLACE: u32 = 6;
/// BPF_F_ALLOW_MULTI: groups below may have programs too.
pub const ALLOW_MULTI: u32 = 2;
/// BPF_F_REPLACE: in one step with another's removal.
pub const REPLACE: u32 = 4;

/// What becomes of a group's programs.
#[derive(Debug)]
pub enum Change {
    /// It gets this one.
    Attach {
        /// [`ALLOW_MULTI`], [`REPLACE`].
        flags: u32,
        /// The one in whose place it comes.
        replaced: Option<OwnedFd>,
    },
    /// It loses this one.
    Detach,
}

#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct ProgAttach {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

#[repr(C)]
#[derive(Default)]
struct ProgQuery {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    padding: u32,
}

/// BPF_PROG_GET_FD_BY_ID.
#[repr(C)]
struct ProgId {
    id: u32,
    next: u32,
    flags: u32,
}

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_ATTACH: libc::c_long = 8;
const BPF_PROG_DETACH: libc::c_long = 9;
const BPF_PROG_GET_FD_BY_ID: libc::c_long = 13;
const BPF_PROG_QUERY: libc::c_long = 16;

/// Loads a program: instructions of eight bytes, and the name of its licence.
pub fn load(code: &[u8], licence: &[u8]) -> io::Result<OwnedFd> {
    let licence = CString::new(licence).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let mut order = ProgLoad {
        prog_type: KIND,
        insn_cnt: (code.len() / 8) as u32,
        insns: code.as_ptr() as u64,
        license: licence.as_ptr() as u64,
        ..ProgLoad::default()
    };
    // SAFETY: what the attributes point to lives through the call; the kernel verifies the program.
    let fd = unsafe { bpf(BPF_PROG_LOAD, &mut order)? };
    // SAFETY: a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The program that this group has, if any.
pub(super) fn attached(directory: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    let Some(id) = programs(directory)?.first().copied() else { return Ok(None) };
    // SAFETY: the attributes of this command point nowhere.
    let fd = unsafe { bpf(BPF_PROG_GET_FD_BY_ID, &mut ProgId { id, next: 0, flags: 0 })? };
    // SAFETY: a new descriptor that nobody else has.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// The numbers of the programs of a group's own, eight at most.
pub(super) fn programs(directory: &OwnedFd) -> io::Result<Vec<u32>> {
    let mut ids = [0u32; 8];
    let mut order = ProgQuery {
        target_fd: directory.as_raw_fd() as u32,
        attach_type: PLACE,
        prog_ids: ids.as_mut_ptr() as u64,
        prog_cnt: ids.len() as u32,
        ..ProgQuery::default()
    };
    // SAFETY: the kernel writes as many numbers as it is told that there is room for, and `ids` lives through the call.
    unsafe { bpf(BPF_PROG_QUERY, &mut order)? };
    Ok(ids.into_iter().take(order.prog_cnt as usize).collect())
}

/// Attaches a program to a group, or detaches it.
pub fn change(program: &OwnedFd, directory: &OwnedFd, change: Change) -> io::Result<()> {
    let number = |fd: &OwnedFd| fd.as_raw_fd() as u32;
    let mut order = ProgAttach {
        target_fd: number(directory),
        attach_bpf_fd: number(program),
        attach_type: PLACE,
        ..ProgAttach::default()
    };
    let command = match &change {
        Change::Detach => BPF_PROG_DETACH,
        Change::Attach { flags, replaced } => {
            (order.attach_flags, order.replace_bpf_fd) = (*flags, replaced.as_ref().map_or(0, number));
            BPF_PROG_ATTACH
        }
    };
    // SAFETY: the attributes of these commands point nowhere.
    unsafe { bpf(command, &mut order).map(drop) }
}

/// bpf(2).
///
/// # Safety
/// `order` must be the kernel's attributes of this command (those it lacks at the end are zero by the given size), and what it
/// points to must live through the call.
unsafe fn bpf<T>(command: libc::c_long, order: &mut T) -> io::Result<i32> {
    // SAFETY: by the caller; the size is that of `order`.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(order), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}
