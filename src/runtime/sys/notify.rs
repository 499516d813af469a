//! System calls that a filter hands to somebody else to decide (seccomp_unotify(2)): taking them, answering them.
//!
//! A call that was taken and isn't answered hangs its caller for ever. So the kernel writes what it hands out right into a
//! [`Journal`], which is shared with the process that looks after the one that takes calls.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;

/// Calls that are being answered at the same time, at most.
pub const SLOTS: usize = 16;

// linux/seccomp.h: _IOWR('!', 0, struct seccomp_notif) and so on.
const RECV: libc::Ioctl = 0xc050_2100_u32 as libc::Ioctl;
const SEND: libc::Ioctl = 0xc018_2101_u32 as libc::Ioctl;
const ID_VALID: libc::Ioctl = 0x4008_2102_u32 as libc::Ioctl;
const ADDFD: libc::Ioctl = 0x4018_2103_u32 as libc::Ioctl;

/// `SECCOMP_USER_NOTIF_FLAG_CONTINUE`.
const CONTINUE: u32 = 1;

/// A call, as `struct seccomp_notif` has it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notice {
    /// What it is answered by; 0 is none.
    pub id: u64,
    /// The thread that calls, as seen from here.
    pub pid: u32,
    flags: u32,
    /// The call's number.
    pub nr: i32,
    /// Of this architecture (`AUDIT_ARCH_*`).
    pub arch: u32,
    ip: u64,
    /// What is in the registers. Pointers are into the caller's memory, which it may change at any time.
    pub args: [u64; 6],
}

/// What a caller gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This value.
    Value(i64),
    /// This error number.
    Errno(i32),
    /// What the kernel makes of the call itself. It reads the arguments again, so this permits nothing.
    Continue,
}

/// The calls that are being answered, in memory shared with processes forked later.
#[derive(Debug)]
pub struct Journal(NonNull<[Notice; SLOTS]>);

impl Journal {
    /// An empty one.
    pub fn new() -> io::Result<Journal> {
        let (len, rights) = (size_of::<[Notice; SLOTS]>(), libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: a new anonymous mapping, for which the kernel picks a place where nothing is. It is zero: empty slots.
        let at =
            unsafe { libc::mmap(std::ptr::null_mut(), len, rights, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1, 0) };
        match NonNull::new(at.cast::<[Notice; SLOTS]>()) {
            Some(place) if at != libc::MAP_FAILED => Ok(Journal(place)),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn at(&self, slot: usize) -> *mut Notice {
        // The remainder keeps it within the mapping whoever asks.
        self.0.as_ptr().cast::<Notice>().wrapping_add(slot % SLOTS)
    }

    /// The call in a slot.
    pub fn get(&self, slot: usize) -> Option<Notice> {
        // SAFETY: within the mapping, which lives as long as we do; every bit pattern is a notice; volatile, since another process
        // may have written it.
        let notice = unsafe { self.at(slot).read_volatile() };
        (notice.id != 0).then_some(notice)
    }

    /// Empties a slot.
    pub fn clear(&self, slot: usize) {
        // SAFETY: as for reading.
        unsafe { self.at(slot).write_volatile(Notice::default()) };
    }

    /// Takes the next call of a listener that has one, into a slot that is empty. `None`: it is gone again.
    pub fn take(&self, listener: BorrowedFd<'_>, slot: usize) -> io::Result<Option<Notice>> {
        self.clear(slot);
        // SAFETY: the kernel writes a notice into the slot, which is zero as it demands.
        let result = unsafe { libc::ioctl(listener.as_raw_fd(), RECV, self.at(slot)) };
        if result == 0 {
            return Ok(self.get(slot));
        }
        self.clear(slot);
        match io::Error::last_os_error() {
            e if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => Ok(None),
            e => Err(e),
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // SAFETY: our own mapping of this size; nothing borrowed from it is left.
        unsafe { libc::munmap(self.0.as_ptr().cast(), size_of::<[Notice; SLOTS]>()) };
    }
}

/// Whether the caller still waits for its answer: then its id and all that was opened by that before mean this very thread.
pub fn is_waiting(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the kernel reads a number that lives through the call.
    unsafe { libc::ioctl(listener.as_raw_fd(), ID_VALID, &raw const id) == 0 }
}

/// Answers. `NotFound`: nobody waits for that, or it is another listener's.
pub fn answer(listener: BorrowedFd<'_>, id: u64, answer: Answer) -> io::Result<()> {
    #[repr(C)]
    struct Response {
        id: u64,
        value: i64,
        error: i32,
        flags: u32,
    }
    let response = match answer {
        Answer::Value(value) => Response { id, value, error: 0, flags: 0 },
        Answer::Errno(number) => Response { id, value: 0, error: -number, flags: 0 },
        Answer::Continue => Response { id, value: 0, error: 0, flags: CONTINUE },
    };
    // SAFETY: the kernel reads a structure of its layout that lives through the call.
    match unsafe { libc::ioctl(listener.as_raw_fd(), SEND, &raw const response) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Answers with a descriptor: the caller has got a copy, closed on exec, and its number. Blocks until it has.
///
/// In two steps, and not by `SECCOMP_ADDFD_FLAG_SEND`: with that [`is_waiting`] says no before the descriptor is there, and whoever is killed
/// then leaves the caller with a number and no descriptor. On the other hand a caller that gets a signal in between keeps a
/// descriptor it doesn't know of, where the kernel lets it (before Linux 5.19, see [`listen`]).
pub fn answer_with(listener: BorrowedFd<'_>, id: u64, fd: BorrowedFd<'_>) -> io::Result<()> {
    #[repr(C)]
    struct Add {
        id: u64,
        flags: u32,
        source: u32,
        target: u32,
        target_flags: u32,
    }
    let source = fd.as_raw_fd() as u32;
    let add = Add { id, flags: 0, source, target: 0, target_flags: libc::O_CLOEXEC as u32 };
    // SAFETY: the kernel reads a structure of its layout that lives through the call; the descriptor is borrowed.
    match unsafe { libc::ioctl(listener.as_raw_fd(), ADDFD, &raw const add) } {
        -1 => Err(io::Error::last_os_error()),
        number => answer(listener, id, Answer::Value(number.into())),
    }
}

/// Puts a program in force for this process and gives the listener of what it hands on.
///
/// Calls that were taken aren't interrupted by signals that don't kill, where the kernel can that (Linux 5.19).
pub(super) fn listen(program: &libc::sock_fprog) -> io::Result<OwnedFd> {
    const WAIT_KILLABLE: libc::c_ulong = 1 << 5;
    const NEW_LISTENER: libc::c_ulong = 1 << 3;
    let load = |flags: libc::c_ulong| {
        // SAFETY: the program's instructions live through the call; the kernel checks the program itself.
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, std::ptr::from_ref(program)) }
    };
    let mut fd = load(NEW_LISTENER | WAIT_KILLABLE);
    if fd < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL) {
        fd = load(NEW_LISTENER);
    }
    match fd {
        // SAFETY: a new descriptor that is ours alone.
        0.. => Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// sched_setscheduler(2) of the kernel's own kind: `policy` may have SCHED_RESET_ON_FORK, `pid` names a thread.
pub fn schedule(pid: i32, policy: i32, priority: i32) -> io::Result<()> {
    let mut param = MaybeUninit::<libc::sched_param>::zeroed();
    // SAFETY: the C library's structure begins with the priority and is plain numbers; some C libraries' functions of this name do nothing, so
    // the kernel is called, which reads the priority alone.
    let result = unsafe {
        (*param.as_mut_ptr()).sched_priority = priority;
        libc::syscall(libc::SYS_sched_setscheduler, pid, policy, param.as_ptr())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_empty_keep_calls_and_know_their_bounds() {
        let journal = Journal::new().unwrap();
        assert!((0..SLOTS).all(|slot| journal.get(slot).is_none()));
        let notice = Notice { id: 7, pid: 1, ..Notice::default() };
        // SAFETY: within the mapping.
        unsafe { journal.at(3).write_volatile(notice) };
        assert_eq!((journal.get(3), journal.get(3 + SLOTS)), (Some(notice), Some(notice)));
        journal.clear(3);
        assert_eq!(journal.get(3), None);
        assert_eq!(size_of::<Notice>(), 80);
    }
}
