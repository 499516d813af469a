//! Signal masks and dispositions of single-threaded helpers.

use std::io;

/// The numbers of the signals a helper or a process of a guest must find at their defaults.
const LAST_SIGNAL: i32 = 64;

/// Gives every signal its default action and an empty mask, as a program started afresh expects.
///
/// Rust's runtime ignores SIGPIPE and our parent blocks signals around a start; both survive exec (signal(7)).
pub fn reset_all() {
    for number in 1..=LAST_SIGNAL {
        // The kernel's own call: libc keeps 32 to 34 to itself and refuses them, and whoever started the daemon may have
        // had them ignored. All zeros is SIG_DFL without flags, whatever the architecture's order of the fields.
        let default = [0u64; 4];
        // SAFETY: `default` is at least as long as a kernel's sigaction and lives through the call, the old action isn't
        // asked for, and a mask has 8 bytes; numbers that can't be changed give an error that is meant to be passed over.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, number, default.as_ptr(), std::ptr::null::<u64>(), 8usize);
        }
    }
    unblock_all();
}

/// Empties the signal mask.
pub fn unblock_all() {
    // SAFETY: an all-zero sigset_t is a valid empty set on Linux, and both pointers live through the call.
    unsafe {
        let mut empty: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut empty);
        libc::sigprocmask(libc::SIG_SETMASK, &empty, std::ptr::null_mut());
    }
}

/// Ignores a signal.
pub fn ignore(number: i32) -> io::Result<()> {
    // SAFETY: SIG_IGN is no function of ours.
    match unsafe { libc::signal(number, libc::SIG_IGN) } {
        libc::SIG_ERR => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// SIGRTMIN+3, by which systemd is asked to halt (the kernel's number 37: libc keeps the first two real-time signals).
pub const RT_HALT: i32 = 37;
