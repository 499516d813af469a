//! A command in a running container.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::runtime::helper::init::seccomp_and_capabilities;
use crate::runtime::helper::label::{self, Label};
use crate::runtime::helper::{Fail, What, say};
use crate::runtime::spec::attach::{AttachAnswer, AttachPlan, Command};
use crate::runtime::spec::cgroup::Group;
use crate::runtime::spec::shim::{Policy, SOCKET, ToShim};
use crate::runtime::sys::pty::{self, Pty};
use crate::runtime::sys::{capset, cgroup, channel, fork, process, rlimit, spawn};

/// The descriptors of a command's start.
pub(super) struct Streams<'a> {
    /// To the daemon.
    pub(super) socket: &'a OwnedFd,
    /// Process 1 of the container.
    pub(super) init: OwnedFd,
    /// Standard input, output, error; none when there is a terminal.
    pub(super) streams: Vec<OwnedFd>,
}

/// Joins the container, runs the command and reports its end.
pub(super) fn run(plan: &AttachPlan, command: &Command, given: Streams<'_>) -> Result<(), Fail> {
    let Streams { socket, init, streams } = given;
    let shim = if plan.policy.listens { Some(visit_shim(&plan.run)?) } else { None };
    let group = join_groups(&plan.groups)?;
    let label = label::prepare(&plan.policy.apparmor)?;
    // While we have the host's rights.
    plan.policy.rlimits.iter().try_for_each(rlimit::make_room).what(|| "raising resource limits")?;
    fork::join(init.as_fd(), !plan.policy.privileged).what(|| "entering the container's namespaces")?;
    // Again: joining a user namespace counts as a change of ids.
    process::hide_memory().what(|| "hiding memory")?;
    // Closed by the execution; a byte in it means that there was none.
    let (executed, failed) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).what(|| "making a pipe")?;
    let options = fork::Options { cgroup: group.as_ref().map(AsFd::as_fd), ..Default::default() };
    match fork::fork(&options).what(|| "forking the command")? {
        fork::Forked::Child => {
            drop((executed, group));
            if let Err(e) = fork::join_cgroup(init.as_fd()).what(|| "entering the container's cgroup namespace") {
                let _ = say(socket, &AttachAnswer::Failed { errno: e.errno, what: e.what, exec: false }, &[]);
                fork::exit(127)
            }
            drop(init);
            let (errno, what, exec) = become_command(plan, command, (socket, &failed, shim.as_ref()), (streams, label));
            let _ = say(socket, &AttachAnswer::Failed { errno, what, exec }, &[]);
            let _ = rustix::io::write(&failed, b"x");
            fork::exit(127)
        }
        fork::Forked::Parent { pid, pidfd } => {
            drop((failed, streams, init, group, label, shim));
            // A daemon that is gone changes nothing: the command must be waited for.
            let _ = say(socket, &AttachAnswer::Spawned { pid }, &[pidfd.as_fd()]);
            if matches!(rustix::io::retry_on_intr(|| rustix::io::read(&executed, &mut [0u8; 1])), Ok(0)) {
                let _ = say(socket, &AttachAnswer::Done, &[]);
            }
            let (code, signal) = match process::reap(&pidfd, true).what(|| "waiting for the command")? {
                Some(process::Ended::Code(code)) => (Some(code), None),
                Some(process::Ended::Signal(number)) => (None, Some(number)),
                None => (None, None),
            };
            let _ = say(socket, &AttachAnswer::Ended { code, signal }, &[]);
            Ok(())
        }
    }
}

/// Tells the shim that the listener of a command will come. Its answers outlive the daemon, which therefore isn't asked.
fn visit_shim(run: &Path) -> Result<OwnedFd, Fail> {
    let what = || "connecting to the container's shim";
    let directory = std::fs::File::open(run).what(what)?;
    let socket = channel::connect(directory.as_fd(), SOCKET).what(what)?;
    say(&socket, &ToShim::Visit, &[]).what(what)?;
    Ok(socket)
}

/// Joins the groups of v1 before anything of the guest can see this process, and gives that of v2 in which the command is born.
///
/// In cgroup v2 a directory with processes can't give its children controllers, which the guest's systemd wants to do with its
/// root; so commands go one below, into `.lxc` (LXC's name for that).
pub(in crate::runtime::helper) fn join_groups(groups: &[Group]) -> Result<Option<OwnedFd>, Fail> {
    let entrance = cgroup::Entrance::open(groups);
    entrance.and_then(|entrance| entrance.enter()).what(|| "joining the container's control groups")?;
    let Some(group) = groups.iter().find(|g| g.unified) else { return Ok(None) };
    let below = group.path.join(".lxc");
    match rustix::fs::mkdir(&below, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(e) => return Err(e).what(|| format!("making {below:?}")),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(Some(rustix::fs::open(&below, flags, Mode::empty()).what(|| format!("opening {below:?}"))?))
}

/// Runs in the container. Comes back only with the failure, and whether the execution itself was what failed.
///
/// `socket` goes to the daemon, `helper` is a pipe to attach, `shim` takes the listener of the command's filter.
fn become_command(
    plan: &AttachPlan,
    command: &Command,
    (socket, helper, shim): (&OwnedFd, &OwnedFd, Option<&OwnedFd>),
    given: (Vec<OwnedFd>, Option<Label<'_>>),
) -> (i32, String, bool) {
    if let Err(e) = prepare(plan, command, (socket, shim), given) {
        return (e.errno, e.what, false);
    }
    // It may have been killed before that took hold; its end of the pipe is closed then.
    if process::has_lost_reader(helper) {
        fork::exit(127);
    }
    let mut environment = command.environment.clone();
    let path = match environment.iter_mut().find(|(k, _)| k == "PATH") {
        Some((_, path)) => {
            if command.path_extras {
                extend(path);
            }
            path.clone()
        }
        None => "/bin:/usr/bin".to_owned(),
    };
    let error = spawn::execute(&command.command, &environment, &path);
    let name = command.command.first().map_or("", String::as_str);
    (error.raw_os_error().unwrap_or(0), format!("executing {name:?}"), true)
}

/// Adds the directories of programs that some guests keep elsewhere.
fn extend(path: &mut String) {
    for (sign, directory) in [("/snap", ":/snap/bin"), ("/etc/NIXOS", ":/run/current-system/sw/bin")] {
        if rustix::fs::access(sign, rustix::fs::Access::EXISTS).is_ok() {
            path.push_str(directory);
        }
    }
}

fn prepare(
    plan: &AttachPlan,
    command: &Command,
    (socket, shim): (&OwnedFd, Option<&OwnedFd>),
    (streams, label): (Vec<OwnedFd>, Option<Label<'_>>),
) -> Result<(), Fail> {
    // Joining has left us with the host's ids, which mean nobody here; a change from them wouldn't even drop capabilities.
    capset::become_user(0, 0).what(|| "becoming the guest's root")?;
    process::hide_memory().what(|| "hiding memory")?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    if let Some((columns, rows)) = command.terminal {
        rustix::process::setsid().what(|| "making a session")?;
        open_terminal(command, (columns, rows), socket)?;
    } else {
        // A group of its own, but no session: the leader of one would take a console it opens for its terminal.
        rustix::process::setpgid(None, None).what(|| "making a process group")?;
        let [input, output, error] = <[OwnedFd; 3]>::try_from(streams).map_err(|_| Fail::new("taking the streams"))?;
        rustix::stdio::dup2_stdin(&input).what(|| "opening standard input")?;
        rustix::stdio::dup2_stdout(&output).what(|| "opening standard output")?;
        rustix::stdio::dup2_stderr(&error).what(|| "opening standard error")?;
    }
    if rustix::process::chdir(&*command.cwd).is_err() {
        rustix::process::chdir("/").what(|| "entering \"/\"")?;
    }
    label.map_or(Ok(()), Label::take_on_exec)?;
    if plan.policy.linux32 {
        process::be_32_bit().what(|| "choosing the personality")?;
    }
    let Policy { no_new_privs, seccomp, drop_capabilities, .. } = &plan.policy;
    let listener = seccomp_and_capabilities(*no_new_privs, (seccomp, shim.is_some()), *drop_capabilities)?;
    if let (Some(shim), Some(listener)) = (shim, listener) {
        channel::send(shim, b"listener", &[listener.as_fd()]).what(|| "handing system calls to the shim")?;
    }
    plan.policy.rlimits.iter().try_for_each(|limit| rlimit::set(None, limit)).what(|| "setting resource limits")?;
    capset::become_user(command.uid, command.gid)
        .what(|| format!("becoming user {} and group {}", command.uid, command.gid))?;
    // So a request that is given up takes its command along, by killing attach.
    process::die_with_parent().what(|| "binding the command's life to its helper's")
}

/// A terminal of the guest's own devpts, so that `tty` works there; our end goes to the daemon.
fn open_terminal(command: &Command, (columns, rows): (u16, u16), socket: &OwnedFd) -> Result<(), Fail> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(Path::new("/"), flags, Mode::empty()).what(|| "opening the root")?;
    let Pty { master, slave } = pty::open_guest(root.as_fd()).what(|| "opening a terminal in the container")?;
    if columns > 0 && rows > 0 {
        pty::resize(&master, columns, rows).what(|| "setting the terminal's size")?;
    }
    if command.uid != 0 {
        let _ = rustix::fs::fchown(&slave, Some(rustix::fs::Uid::from_raw(command.uid)), None);
    }
    rustix::process::ioctl_tiocsctty(&slave).what(|| "taking the terminal")?;
    pty::become_stdio(&slave).what(|| "opening the terminal")?;
    say(socket, &AttachAnswer::Terminal, &[master.as_fd()]).what(|| "answering")
}
