//! Process 1 until it executes the guest's own: forked by the stage into the container's namespaces.
//!
//! Everything below the root is the guest's and hostile: it is reached only by lookups that can't leave it.

mod dev;
mod mounter;
mod mounts;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountPropagationFlags, UnmountFlags};

use super::label::{self, Label};
use super::stage::{self, Progress};
use super::{Fail, What, say};
use crate::runtime::spec::ContainerSpec;
use crate::runtime::spec::shim::Step;
use crate::runtime::sys::{capset, channel, fault, fork, mount, netlink, process, pty, root, seccomp, signal, spawn};

/// Runs as process 1. Never comes back: executes the guest's init or ends.
pub(crate) fn run(spec: &ContainerSpec, shim: BorrowedFd<'_>) -> ! {
    // While `/proc` is the host's.
    let prepared = label::prepare(&spec.apparmor).and_then(|label| set_up(spec, shim).map(|()| label));
    let failure = match prepared {
        Ok(label) => secure_and_execute(spec, shim, label),
        Err(e) => e.at(Step::Mounts),
    };
    let _ = say(shim, &Progress::Failed(failure), &[]);
    fork::exit(1)
}

fn set_up(spec: &ContainerSpec, shim: BorrowedFd<'_>) -> Result<(), Fail> {
    fault("init.born");
    let netlink = netlink::route_socket().what(|| "opening a netlink socket")?;
    if !spec.privileged() {
        capset::become_user(0, 0).what(|| "becoming the guest's root")?;
    }
    // After the ids: changing them clears it. A shim that died before is noticed by the socket's end.
    process::die_with_parent().what(|| "binding process 1's life to the shim's")?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    rustix::system::sethostname(spec.hostname.as_bytes())
        .what(|| format!("setting the host name {:?}", spec.hostname))?;
    let floor = stage::floor()?;
    let guest = place_root(&floor, spec.mounter.as_ref().map(|mounter| mounter.place.as_path()))?;
    let terminals = mounts::mount_all(spec, guest.as_fd(), floor.as_fd())?;
    if let Some(mounter) = &spec.mounter {
        mounter::run(mounter)?;
        mount::attach_at(guest.as_fd(), Path::new("/")).what(|| "placing the root")?;
    }
    write_files(spec, guest.as_fd())?;
    let console = dev::console(guest.as_fd(), terminals.as_fd())?;
    pivot(&guest)?;
    loopback_up();
    pty::become_stdio(&console.slave).what(|| "opening the console")?;
    fault("init.ready");
    let fds = [console.master.as_fd(), console.slave.as_fd(), netlink.as_fd()];
    say(shim, &Progress::Ready, &fds).what(|| "telling the shim")
}

/// Puts the guest's root over `place`, or over `/`. Host paths still work there: a lookup begins below what is mounted on `/`.
fn place_root(floor: &OwnedFd, place: Option<&Path>) -> Result<OwnedFd, Fail> {
    // A copy, since what was inherited from the stage is locked in place and no root can be pivoted to it.
    let guest = mount::clone_at(floor, Path::new("r"), false).what(|| "opening the root")?;
    mount::attach_at(guest.as_fd(), place.unwrap_or(Path::new("/"))).what(|| "placing the root")?;
    Ok(guest)
}

/// Makes the guest's root the root and takes the host's tree away.
fn pivot(guest: &OwnedFd) -> Result<(), Fail> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let host = rustix::fs::open("/", flags, Mode::empty()).what(|| "opening the host's root")?;
    rustix::process::fchdir(guest).what(|| "entering the root")?;
    rustix::process::pivot_root(".", ".").what(|| "pivoting to the root")?;
    // The host's tree is now mounted over ours; it goes away as a whole. (Nothing else may be mounted on its root: an
    // unmount goes for the topmost. That is why the stage isn't there.)
    rustix::process::fchdir(&host).what(|| "entering the host's mounts")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).what(|| "leaving the host's mounts")?;
    rustix::process::chdir("/").what(|| "entering the root")?;
    let shared = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", shared).what(|| "sharing the mounts")
}

fn write_files(spec: &ContainerSpec, guest: BorrowedFd<'_>) -> Result<(), Fail> {
    for file in &spec.files {
        root::write(guest, Path::new(&file.path), file.content.as_bytes(), (file.mode, file.create_only))
            .what(|| format!("writing {:?} in the container", file.path))?;
    }
    Ok(())
}

/// LXC brings the loopback interface up before process 1; a guest without one is fine.
fn loopback_up() {
    let _ = netlink::loopback_up();
}

/// Waits for the word, confines itself and executes. Comes back only with the failure.
fn secure_and_execute(
    spec: &ContainerSpec,
    shim: BorrowedFd<'_>,
    label: Option<Label<'_>>,
) -> crate::runtime::spec::shim::Failure {
    match channel::receive(shim, 64) {
        Ok(Some(_)) => {}
        // The shim is gone, or gives up.
        _ => fork::exit(1),
    }
    match secure(spec, label) {
        Err(e) => return e.at(Step::Security),
        Ok(listener) => {
            let fds: Vec<BorrowedFd<'_>> = listener.iter().map(AsFd::as_fd).collect();
            let _ = say(shim, &Progress::Secured, &fds);
        }
    }
    fault("init.exec");
    let mut env = spec.environment.clone();
    env.push(("container".into(), "lxc".into()));
    let error = spawn::execute(&spec.init, &env, "/sbin:/bin:/usr/sbin:/usr/bin");
    let program = spec.init.first().map_or("", String::as_str);
    let failed: Result<(), Fail> = Err(error).what(|| format!("executing {program:?}"));
    failed.err().unwrap_or_else(|| Fail::new("executing")).at(Step::Exec)
}

/// Gives the listener of calls that are handed on.
fn secure(spec: &ContainerSpec, label: Option<Label<'_>>) -> Result<Option<OwnedFd>, Fail> {
    spec.sysctls.iter().try_for_each(|(name, value)| {
        sysctl(name, value).what(|| format!("setting the kernel parameter {name:?} to {value:?}"))
    })?;
    // By now the shim has moved us to the container's groups.
    fork::unshare_cgroup().what(|| "making the cgroup namespace")?;
    signal::reset_all();
    // A new session without a controlling terminal, as LXC starts it; fails only for a leader of one, which is the same.
    let _ = rustix::process::setsid();
    label.map_or(Ok(()), Label::take_on_exec)?;
    if spec.linux32 {
        process::be_32_bit().what(|| "choosing the personality")?;
    }
    seccomp_and_capabilities(spec.no_new_privs, (&spec.seccomp, spec.intercept.any()), spec.drop_capabilities)
}

/// Sets a kernel parameter; a `/` in its name stands for a dot in a name of its path (sysctl(8)).
fn sysctl(name: &str, value: &str) -> io::Result<()> {
    let swapped = |c: char| {
        if c == '.' {
            '/'
        } else if c == '/' {
            '.'
        } else {
            c
        }
    };
    let path: String = name.chars().map(swapped).collect();
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parameters = rustix::fs::open("/proc/sys", flags, Mode::empty())?;
    let file = root::beneath(parameters.as_fd(), Path::new(&path), OFlags::WRONLY, 0)?;
    rustix::io::write(&file, value.as_bytes())?;
    Ok(())
}

/// The confinement that process 1 and every command of `exec` share. With a filter that hands calls on (`listens`) comes its listener.
pub(crate) fn seccomp_and_capabilities(
    no_new_privs: bool,
    (filter, listens): (&str, bool),
    drop: u64,
) -> Result<Option<OwnedFd>, Fail> {
    if no_new_privs {
        rustix::thread::set_no_new_privs(true).what(|| "setting no_new_privs")?;
    }
    // The filter first: loading it may need CAP_SYS_ADMIN, which may be among those dropped.
    let loaded = if listens { seccomp::load_listening(filter).map(Some) } else { seccomp::load(filter).map(|()| None) };
    let listener = loaded.what(|| "loading the seccomp filter")?;
    capset::drop_bounding(drop).what(|| "dropping capabilities")?;
    Ok(listener)
}
