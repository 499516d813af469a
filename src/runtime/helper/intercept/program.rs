//! mount(2) by a FUSE program of the guest: it is run as the caller, where the caller is, and confined as it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::OFlags;

use super::Verdict;
use super::caller::Caller;
use super::mount::Wanted;
use crate::runtime::helper::Fail;
use crate::runtime::helper::attach::join_groups;
use crate::runtime::helper::init::seccomp_and_capabilities;
use crate::runtime::helper::label::{self, Label};
use crate::runtime::sys::{channel, fork, process, spawn};

/// Where it is looked for, and what it finds as its PATH.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Words of mount(8) for flags of mount(2).
const FLAGS: [(u64, &str); 7] = [
    (libc::MS_RDONLY, "ro"),
    (libc::MS_NOSUID, "nosuid"),
    (libc::MS_NODEV, "nodev"),
    (libc::MS_NOEXEC, "noexec"),
    (libc::MS_SYNCHRONOUS, "sync"),
    (libc::MS_DIRSYNC, "dirsync"),
    (libc::MS_NOATIME, "noatime"),
];

/// The command: what LXD 5.0.2 runs (observed).
fn command(wanted: &Wanted, program: &str) -> Vec<String> {
    let mut options: Vec<&str> = wanted.options.split(',').filter(|option| !option.is_empty()).collect();
    options.extend(FLAGS.iter().filter(|(bit, _)| wanted.flags & bit != 0).map(|(_, word)| *word));
    let mut command = vec!["mount.fuse".to_owned(), format!("{program}#{}", wanted.source), wanted.target.clone()];
    if !options.is_empty() {
        command.extend(["-o".to_owned(), options.join(",")]);
    }
    command
}

/// Runs it, until it has gone to the background.
pub(super) fn run(caller: &Caller<'_>, wanted: &Wanted, program: &str) -> io::Result<Verdict> {
    let command = command(wanted, program);
    let places = [caller.open("root", OFlags::PATH)?, caller.open("cwd", OFlags::PATH)?];
    let leader = caller.leader()?;
    let group = join_groups(caller.guest.groups).map_err(number)?;
    let label = label::prepare(&caller.guest.spec.apparmor).map_err(number)?;
    fork::join(leader.as_fd(), true)?;
    process::hide_memory()?;
    process::die_with_parent()?;
    let options = fork::Options { cgroup: group.as_ref().map(AsFd::as_fd), ..Default::default() };
    match fork::fork(&options)? {
        fork::Forked::Child => {
            let failed = become_program(caller, (&places, &leader), label);
            let failed = failed.map_or_else(|e| e, |()| spawn::execute(&command, &environment(), PATH));
            fork::exit(failed.raw_os_error().filter(|number| (1..126).contains(number)).unwrap_or(libc::EIO))
        }
        fork::Forked::Parent { pidfd, .. } => match process::reap(&pidfd, true)? {
            Some(process::Ended::Code(0)) => Ok(Verdict::Done),
            _ => Err(io::Error::from_raw_os_error(libc::EINVAL)),
        },
    }
}

fn environment() -> Vec<(String, String)> {
    [("PATH", PATH), ("container", "lxc")].map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// The number of a failure.
pub(super) fn number(failed: Fail) -> io::Error {
    io::Error::from_raw_os_error(if failed.errno == 0 { libc::EIO } else { failed.errno })
}

fn become_program(
    caller: &Caller<'_>,
    ([root, here], leader): (&[OwnedFd; 2], &OwnedFd),
    label: Option<Label<'_>>,
) -> io::Result<()> {
    fork::join_cgroup(leader.as_fd())?;
    process::die_with_parent()?;
    rustix::process::setsid()?;
    rustix::process::fchdir(root)?;
    rustix::process::chroot(".")?;
    rustix::process::fchdir(here)?;
    label.map_or(Ok(()), Label::take_on_exec).map_err(number)?;
    let spec = caller.guest.spec;
    if spec.linux32 {
        process::be_32_bit()?;
    }
    let loaded = seccomp_and_capabilities(spec.no_new_privs, (&spec.seccomp, true), spec.drop_capabilities);
    let listener = loaded.map_err(number)?;
    if let Some(listener) = listener {
        channel::send(caller.guest.shim, b"l", &[listener.as_fd()])?;
    }
    caller.become_like()?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(caller.rights.umask));
    process::close_from(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_lxds() {
        let wanted = |flags, options: &str| Wanted {
            kind: "ext4".into(),
            source: "/dev/x".into(),
            target: "/mnt".into(),
            flags,
            options: options.into(),
        };
        let text = |wanted: &Wanted| command(wanted, "fuse2fs").join(" ");
        assert_eq!(text(&wanted(0x401, "a,b=3")), "mount.fuse fuse2fs#/dev/x /mnt -o a,b=3,ro,noatime");
        assert_eq!(text(&wanted(0, "")), "mount.fuse fuse2fs#/dev/x /mnt");
    }
}
