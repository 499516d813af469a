//! Telling processes apart, waiting for them, killing them: always by pidfd (pidfd_open(2)).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{DumpableBehavior, Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};

use crate::order::Order;
use crate::runtime::spec::shim::Process;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

/// A handle on the process with this id; `NotFound` when there is none.
pub fn open(pid: i32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    rustix::process::pidfd_open(pid, PidfdFlags::empty()).map_err(|e| match e {
        rustix::io::Errno::SRCH | rustix::io::Errno::INVAL => io::Error::from(io::ErrorKind::NotFound),
        e => e.into(),
    })
}

/// A handle on exactly this process; `None` when it is gone.
pub fn find(wanted: Process) -> Option<OwnedFd> {
    let pidfd = open(wanted.pid).ok()?;
    // After the handle is open its number can't be reused, so the comparison holds.
    (start_time(wanted.pid) == Some(wanted.start) && !has_ended(&pidfd)).then_some(pidfd)
}

/// Whether this process is in the first user namespace, and not in a container that has one of its own.
pub fn is_in_first_user_namespace() -> bool {
    // `PROC_USER_INIT_INO` (include/linux/proc_ns.h).
    const FIRST: u64 = 0xEFFF_FFFD;
    std::fs::metadata("/proc/self/ns/user").is_ok_and(|namespace| namespace.ino() == FIRST)
}

/// Has this process and its children told that the machine is of 32 bits, as `uname -m` says it (personality(2)).
pub fn be_32_bit() -> io::Result<()> {
    // `PER_LINUX32` (include/uapi/linux/personality.h).
    const LINUX32: libc::c_ulong = 0x0008;
    // SAFETY: the call takes a number and reads no memory.
    match unsafe { libc::personality(LINUX32) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Sends a signal by its number; a process that is gone already is no error.
pub fn signal(pidfd: impl AsFd, number: i32) -> io::Result<()> {
    // SAFETY: the system call reads no memory of ours (the siginfo pointer is null) and the descriptor is borrowed through it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_fd().as_raw_fd(),
            number,
            std::ptr::null::<libc::c_void>(),
            0,
        )
    };
    match result {
        0 => Ok(()),
        _ => match io::Error::last_os_error() {
            e if e.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            e => Err(e),
        },
    }
}

/// Kills it; one that is gone already is no error.
pub fn kill(pidfd: impl AsFd) -> io::Result<()> {
    signal(pidfd, Signal::KILL.as_raw())
}

/// Whether it has ended (a zombie has). Never waits.
pub fn has_ended(pidfd: impl AsFd) -> bool {
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
    matches!(rustix::event::poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(n) if n > 0)
}

/// Whether nobody reads the pipe of this writing end any more.
pub fn has_lost_reader(pipe: impl AsFd) -> bool {
    let mut fds = [PollFd::new(&pipe, PollFlags::empty())];
    let _ = rustix::event::poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    fds[0].revents().contains(PollFlags::ERR)
}

/// Waits until it has ended; `TimedOut` when it takes too long. For ever with [`std::time::Duration::MAX`].
pub fn wait_end(pidfd: impl AsFd, timeout: std::time::Duration) -> io::Result<()> {
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
    let timeout =
        i64::try_from(timeout.as_secs()).ok().map(|tv_sec| Timespec { tv_sec, tv_nsec: timeout.subsec_nanos().into() });
    match rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, timeout.as_ref()))? {
        0 => Err(io::Error::from(io::ErrorKind::TimedOut)),
        _ => Ok(()),
    }
}

/// Takes the exit status of a child of ours; `None` when it still runs and `wait` is false.
pub fn reap(pidfd: impl AsFd, wait: bool) -> io::Result<Option<Ended>> {
    let options = if wait { WaitIdOptions::EXITED } else { WaitIdOptions::EXITED | WaitIdOptions::NOHANG };
    let status = rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), options))?;
    Ok(status.map(|status| match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ended::Code(code),
        (None, signal) => Ended::Signal(signal.unwrap_or(0)),
    }))
}

/// Makes the kernel kill this process when its parent dies: the thread that made it, for a parent with several.
///
/// A change of ids clears it (prctl(2)), and a parent that died before the call isn't noticed: callers look for that themselves.
pub fn die_with_parent() -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// Keeps other processes from looking into this one through `/proc` or ptrace, until it executes another program.
pub fn hide_memory() -> io::Result<()> {
    Ok(rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// `/proc/sys/kernel/random/boot_id` of the host.
pub fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// Field 22 of `/proc/PID/stat` (clock ticks); `None` when the process is gone.
pub fn start_time(pid: i32) -> Option<u64> {
    // What follows the last parenthesis is plain numbers; the name before it may hold anything.
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let tail = stat.rsplit(|b| *b == b')').next()?;
    std::str::from_utf8(tail).ok()?.split_whitespace().nth(19)?.parse().ok()
}

/// Closes every descriptor from `first` on (close_range(2), Linux 5.9).
pub fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: callers are helpers about to execute another program or at their very start; they own no descriptor objects at or above `first` that are used again.
    match unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Closes every descriptor from 3 on but these.
pub fn close_all_but(keep: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut kept: Vec<u32> = keep.iter().map(|fd| fd.as_raw_fd() as u32).collect();
    kept.order();
    let mut first = 3;
    for number in kept.into_iter().filter(|number| *number >= 3).chain([u32::MAX]) {
        if first < number {
            let last = if number == u32::MAX { number } else { number - 1 };
            // SAFETY: callers are copies of a helper that go on with these descriptors alone and end without dropping any other.
            if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        first = number.saturating_add(1);
    }
    Ok(())
}

/// Takes over a descriptor number that the process which started us has put in place; `None` when it isn't open.
pub fn inherited(number: i32) -> Option<OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: F_GETFD only asks whether the number is open.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return None;
    }
    // SAFETY: the number is open and, by the convention of `spawn`, belongs to whoever takes it first: helpers take each once, at their start.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    let _ = rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC);
    Some(fd)
}

/// The same for `N` descriptors in a row, `first` being the lowest number; `None` when one isn't open.
pub fn inherited_row<const N: usize>(first: i32) -> Option<[OwnedFd; N]> {
    let row: Option<Vec<OwnedFd>> = (first..).take(N).map(inherited).collect();
    row?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_start_time_is_known_and_a_dead_pid_is_not() {
        assert!(start_time(std::process::id() as i32).is_some());
        assert!(start_time(i32::MAX).is_none());
        assert_eq!(open(i32::MAX).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    #[expect(clippy::zombie_processes, reason = "it is reaped by its pidfd")]
    fn a_child_is_signalled_and_reaped_by_pidfd() {
        let child = std::process::Command::new("/bin/sleep").arg("100").spawn().unwrap();
        let pidfd = open(child.id() as i32).unwrap();
        assert!(!has_ended(&pidfd) && reap(&pidfd, false).unwrap().is_none());
        signal(&pidfd, 15).unwrap();
        assert_eq!(reap(&pidfd, true).unwrap(), Some(Ended::Signal(15)));
        signal(&pidfd, 15).unwrap();
    }
}
