//! The stage: assembles a container's root in a mount namespace that still belongs to the host, then forks process 1.
//!
//! Why not all in the guest's own namespace: what is mounted here by the host's root and then inherited by a less privileged
//! namespace is locked there (mount_namespaces(7)), so a guest can't make a read-only device writable; and an overlay
//! must be mounted in the initial user namespace, where `rm -rf` and renames of lower directories work.
//!
//! The working directory is a small tmpfs over the run directory: `r` is the root, `p` the view of `/proc`, `m0`, `m1`, … the devices, `l0`, …, `u` the layers.
//! Process 1 finds itself in the same directory, since a new mount namespace translates the working directory.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Gid, Mode, OFlags, Uid};
use rustix::mount::{MountAttrFlags, MountPropagationFlags};
use rustix::net::sockopt;
use serde::Serialize;

use super::{Fail, What, hear, init, say};
use crate::api::tree::readable;
use crate::runtime::spec::capability;
use crate::runtime::spec::cgroup::Group;
use crate::runtime::spec::idmap::Ids;
use crate::runtime::spec::procfs::{self, FromProcfs, ToProcfs};
use crate::runtime::spec::shim::{Failure, Step};
use crate::runtime::spec::{ContainerSpec, Filesystem, Idmap, Mount, Node, RootSource};
use crate::runtime::sys::mount::{self, Attributes, Setting};
use crate::runtime::sys::{capset, cgroup, channel, fault, fork, fuse, process, signal};

/// The files of the guest's view of `/proc` on the stage, when it has one.
pub(crate) const VIEW: &str = "p";
/// How long the helper behind it may take to answer.
const VIEW_PATIENCE: Duration = Duration::from_secs(2);

readable! {
    /// What stage and process 1 tell the shim.
    #[derive(Debug, Serialize)]
    #[serde(tag = "say", rename_all = "snake_case")]
    pub(crate) enum Progress {
        /// The root and the devices are mounted.
        Staged,
        /// Process 1 exists; its pidfd comes along.
        Forked {
            /// Its id on the host.
            pid: i32,
        },
        /// Ready to execute: the console's two ends and a route-netlink socket come along. Waits for the word.
        Ready,
        /// Capabilities and seccomp are in force; the execution comes next.
        Secured,
        /// It failed.
        Failed(Failure),
    }
}

/// What stage is given by the shim.
#[derive(Clone, Copy)]
pub(crate) struct Stage<'a> {
    /// The plan.
    pub(crate) spec: &'a ContainerSpec,
    /// The container's control groups.
    pub(crate) groups: &'a [Group],
    /// Its user namespace; `None` when privileged.
    pub(crate) user: Option<BorrowedFd<'a>>,
    /// The same when layers are mounted with its ids; `None` when they carry the right ids on disk.
    pub(crate) shift: Option<BorrowedFd<'a>>,
    /// The socket to the shim.
    pub(crate) shim: BorrowedFd<'a>,
}

/// Runs as the stage, in a forked process with a mount namespace of its own. Never comes back.
pub(crate) fn run(stage: Stage<'_>) -> ! {
    let done = assemble(&stage)
        .map_err(|e| e.at(Step::Rootfs))
        .and_then(|()| become_parent(stage).map_err(|e| e.at(Step::Mapped)));
    if let Err(failure) = done {
        let _ = say(stage.shim, &Progress::Failed(failure), &[]);
        fork::exit(1)
    }
    fork::exit(0)
}

fn assemble(stage: &Stage<'_>) -> Result<(), Fail> {
    process::die_with_parent().what(|| "binding the stage's life to the shim's")?;
    signal::reset_all();
    if !stage.groups.iter().any(|g| g.unified) {
        // Process 1 can't be born in groups of v1, and must never be outside of them: they say whether something is left.
        let entrance = cgroup::Entrance::open(stage.groups);
        entrance.and_then(|entrance| entrance.enter()).what(|| "joining the container's control groups")?;
    }
    fault("stage.born");
    lay_floor()?;
    stage_root(stage)?;
    for (i, device) in stage.spec.mounts.iter().enumerate() {
        stage_device(device, &format!("m{i}"), (stage.user, &stage.spec.idmap))?;
    }
    if let Some(run) = &stage.spec.view {
        // Without it the guest sees the host's numbers, which is no reason not to start.
        let _ = stage_view(run);
    }
    fault("stage.staged");
    say(stage.shim, &Progress::Staged, &[]).what(|| "telling the shim")
}

/// Mounts the root on the stage, as `r`.
pub(crate) fn stage_root(stage: &Stage<'_>) -> Result<(), Fail> {
    let root = match &stage.spec.root {
        RootSource::Dir { path } => shifted(path, false, stage.shift)?,
        RootSource::Overlay { lowers, upper, work } => overlay(stage, lowers, (upper, work))?,
        RootSource::Layers { lowers } => layers(stage, lowers)?,
    };
    place(root.as_fd(), "r", true)
}

/// Forks process 1 into the container's namespaces; it becomes a child of the shim.
fn become_parent(stage: Stage<'_>) -> Result<(), Fail> {
    let group = match stage.groups.iter().find(|g| g.unified) {
        Some(group) => Some(fs::File::open(&group.path).what(|| format!("opening {:?}", group.path))?),
        None => None,
    };
    let entrance = cgroup::Entrance::open(stage.groups).what(|| "opening the container's control groups")?;
    if let Some(user) = stage.user {
        fork::join_user(user).what(|| "entering the user namespace")?;
    }
    let options = fork::Options {
        namespaces: fork::Namespaces::container(),
        cgroup: group.as_ref().map(AsFd::as_fd),
        sibling: true,
    };
    // Process 1 says nothing before it is announced, however late the announcement comes.
    let (announced, announcement) = channel::pair().what(|| "making a socket pair")?;
    match fork::fork(&options).what(|| "creating the namespaces")? {
        fork::Forked::Child => {
            drop(announcement);
            // Ends when the parent does.
            let _ = channel::receive(&announced, 1);
            drop(announced);
            // It was born in the v2 group, and leaves its cgroup namespace for one with this root later.
            if let Err(e) = entrance.enter().what(|| "joining the container's control groups") {
                let _ = say(stage.shim, &Progress::Failed(e.at(Step::Mapped)), &[]);
                fork::exit(1)
            }
            drop(entrance);
            init::run(stage.spec, stage.shim)
        }
        fork::Forked::Parent { pid, pidfd } => {
            say(stage.shim, &Progress::Forked { pid }, &[pidfd.as_fd()]).what(|| "telling the shim")
        }
    }
}

/// Has this mount namespace change nothing of the host's any more, puts a small tmpfs over the working directory and goes there.
pub(crate) fn lay_floor() -> Result<(), Fail> {
    // Not cut off altogether: devices follow the host.
    let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags).what(|| "leaving the host's mount propagation")?;
    let settings = [Setting::Value("mode", "0755"), Setting::Value("size", "1m"), Setting::Value("nr_inodes", "4k")];
    let floor = mount::create("tmpfs", &settings, MountAttrFlags::empty()).what(|| "mounting the stage")?;
    mount::attach_at(floor.as_fd(), Path::new(".")).what(|| "placing the stage")?;
    rustix::process::fchdir(&floor).what(|| "entering the stage")
}

/// Locks the container's volume for the life of this process. `EWOULDBLOCK` while something else uses it.
pub(crate) fn lock(spec: &ContainerSpec) -> Result<Option<fs::File>, Fail> {
    let Some(path) = &spec.lock else { return Ok(None) };
    let file = fs::File::open(path).what(|| format!("opening {path:?}"))?;
    let how = match spec.root {
        // Of a snapshot, which several may read.
        RootSource::Layers { .. } => rustix::fs::FlockOperation::NonBlockingLockShared,
        _ => rustix::fs::FlockOperation::NonBlockingLockExclusive,
    };
    rustix::fs::flock(&file, how).what(|| format!("locking {path:?}, which is in use"))?;
    Ok(Some(file))
}

/// A detached copy of the mount at `path`, its ids shifted by the user namespace.
fn shifted(path: &Path, recursive: bool, user: Option<BorrowedFd<'_>>) -> Result<OwnedFd, Fail> {
    let tree = mount::clone(path, recursive).what(|| format!("opening {path:?}"))?;
    let attributes = Attributes { private: true, recursive, idmap: user, ..Default::default() };
    mount::set_attributes(tree.as_fd(), &attributes).what(|| format!("shifting ids of {path:?}"))?;
    Ok(tree)
}

/// Attaches a mount to a new directory or file of the stage.
fn place(tree: BorrowedFd<'_>, name: &str, directory: bool) -> Result<(), Fail> {
    let made = if directory { fs::create_dir(name) } else { fs::write(name, "") };
    made.what(|| format!("making room for {name:?} on the stage"))?;
    mount::attach_at(tree, Path::new(name)).what(|| format!("placing {name:?} on the stage"))
}

/// Mounts a device of the plan on the stage; one that is optional and missing isn't there. `user` and `map` are those of the guest.
pub(crate) fn stage_device(
    device: &Mount,
    name: &str,
    (user, map): (Option<BorrowedFd<'_>>, &Idmap),
) -> Result<(), Fail> {
    let source = &device.source;
    if let Some(node) = &device.node {
        match make_node(node, name, map) {
            // In a user namespace nobody makes nodes: then it is the host's own.
            Err(e) if e.errno == libc::EPERM && source.exists() => {}
            other => return other,
        }
    }
    let opened = match &device.filesystem {
        Some(filesystem) => mount_block(source, filesystem, device.readonly),
        None => mount::clone(source, device.recursive),
    };
    let tree = match opened {
        Err(e) if device.optional && e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other.what(|| format!("opening {source:?}"))?,
    };
    let attributes = Attributes {
        readonly: device.readonly,
        nosuid: device.flags.nosuid,
        nodev: device.flags.nodev,
        noexec: device.flags.noexec,
        noatime: device.flags.noatime,
        nodiratime: device.flags.nodiratime,
        private: !device.follows,
        recursive: device.recursive,
        idmap: user.filter(|_| device.shift),
    };
    mount::set_attributes(tree.as_fd(), &attributes).what(|| format!("preparing {source:?}"))?;
    let kind = rustix::fs::fstat(&tree).what(|| format!("reading {source:?}"))?.st_mode;
    place(tree.as_fd(), name, FileType::from_raw_mode(kind).is_dir())
}

/// Mounts the file system on a block device of the host.
fn mount_block(source: &Path, filesystem: &Filesystem, readonly: bool) -> std::io::Result<OwnedFd> {
    let source = source.to_str().ok_or(std::io::ErrorKind::InvalidInput)?;
    let mut settings = vec![Setting::Value("source", source)];
    if readonly {
        settings.push(Setting::Flag("ro"));
    }
    let option = |option: &'_ String| match option.split_once('=') {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => (option.clone(), None),
    };
    let options: Vec<(String, Option<String>)> = filesystem.options.iter().map(option).collect();
    settings.extend(options.iter().map(|(key, value)| match value {
        Some(value) => Setting::Value(key, value),
        None => Setting::Flag(key),
    }));
    mount::create(&filesystem.kind, &settings, MountAttrFlags::empty())
}

/// Makes a device node on the stage, which is a file system of the host's root: those of a guest's own can't be opened.
fn make_node(node: &Node, name: &str, map: &Idmap) -> Result<(), Fail> {
    let what = || format!("making the device node {}:{}", node.major, node.minor);
    let own = |ids, id| if map.0.is_empty() { Some(id) } else { map.to_host(ids, id) };
    let (Some(uid), Some(gid)) = (own(Ids::Uid, node.uid), own(Ids::Gid, node.gid)) else {
        return Err(Fail::new(format!(
            "giving a device to {}:{}, which the container doesn't have",
            node.uid, node.gid
        )));
    };
    let kind = if node.block { FileType::BlockDevice } else { FileType::CharacterDevice };
    let mode = Mode::from_raw_mode(node.mode & 0o777);
    rustix::fs::mknodat(CWD, name, kind, mode, rustix::fs::makedev(node.major, node.minor)).what(what)?;
    rustix::fs::chown(name, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).what(what)?;
    // Again, past the mask.
    rustix::fs::chmod(name, mode).what(what)
}

/// Mounts the files of the guest's view of `/proc` on the stage, as [`VIEW`].
fn stage_view(run: &Path) -> Result<(), Fail> {
    let directory = fs::File::open(run).what(|| format!("opening {run:?}"))?;
    let socket = channel::connect(directory.as_fd(), procfs::SOCKET).what(|| "connecting to the server of /proc")?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(VIEW_PATIENCE)).what(|| "preparing a socket")?;
    say(&socket, &ToProcfs::Hello, &[]).what(|| "asking the server of /proc")?;
    let device = match hear::<FromProcfs>(&socket).what(|| "hearing from the server of /proc")? {
        Some((FromProcfs::Ready { .. }, mut fds)) => fds.pop(),
        _ => None,
    };
    let device = device.ok_or_else(|| Fail::new("hearing from the server of /proc"))?;
    place(fuse::mount(device.as_fd()).what(|| "mounting the view of /proc")?.as_fd(), VIEW, true)
}

/// Places shifted layers on the stage; gives their names as overlayfs wants them: short, since a value has 255 bytes at most.
fn lay(lowers: &[std::path::PathBuf], shift: Option<BorrowedFd<'_>>) -> Result<String, Fail> {
    let mut layers = Vec::new();
    for (i, lower) in lowers.iter().enumerate() {
        let layer = format!("l{i}");
        place(shifted(lower, false, shift)?.as_fd(), &layer, true)?;
        layers.push(layer);
    }
    Ok(layers.join(":"))
}

/// Mounts layers for reading only.
fn layers(stage: &Stage<'_>, lowers: &[std::path::PathBuf]) -> Result<OwnedFd, Fail> {
    if let [only] = lowers {
        let root = shifted(only, false, stage.shift)?;
        let readonly = Attributes { readonly: true, ..Default::default() };
        mount::set_attributes(root.as_fd(), &readonly).what(|| format!("protecting {only:?}"))?;
        return Ok(root);
    }
    let lower = lay(lowers, stage.shift)?;
    let settings = [
        Setting::Value("source", "lxbox"),
        Setting::Value("lowerdir", &lower),
        Setting::Value("redirect_dir", "follow"),
        Setting::Value("metacopy", "off"),
        Setting::Value("index", "off"),
    ];
    as_mounter(stage.spec.idmap.root(), || mount::create("overlay", &settings, MountAttrFlags::MOUNT_ATTR_RDONLY))
}

/// Mounts an overlay over shifted layers, as the guest's root for the file system and with few capabilities.
///
/// overlayfs keeps the credentials of its mounter and writes the upper with them. Done with more, a guest could fill the file
/// system's reserve and pass quotas; done inside the user namespace, removing and renaming lower directories fails.
fn overlay(stage: &Stage<'_>, lowers: &[std::path::PathBuf], (upper, work): (&Path, &Path)) -> Result<OwnedFd, Fail> {
    let wrong = || Fail::new("an overlay needs layers, and its upper and work directories in one place");
    let parent = upper.parent().filter(|p| work.parent() == Some(p)).ok_or_else(wrong)?;
    let name = |path: &Path| path.file_name().and_then(|n| n.to_str()).map(str::to_owned).ok_or_else(wrong);
    let (upper, work) = (format!("u/{}", name(upper)?), format!("u/{}", name(work)?));
    if lowers.is_empty() {
        return Err(wrong());
    }
    let lower = lay(lowers, stage.shift)?;
    place(shifted(parent, false, stage.shift)?.as_fd(), "u", true)?;
    let settings = [
        Setting::Value("source", "lxbox"),
        Setting::Value("lowerdir", &lower),
        Setting::Value("upperdir", &upper),
        Setting::Value("workdir", &work),
        Setting::Value("redirect_dir", "on"),
        Setting::Value("metacopy", "off"),
        Setting::Value("index", "off"),
    ];
    as_mounter(stage.spec.idmap.root(), || mount::create("overlay", &settings, MountAttrFlags::empty()))
}

/// Runs `make` with the file-system ids given and the mounter's few capabilities in force, then takes ours back.
fn as_mounter((uid, gid): (u32, u32), make: impl FnOnce() -> std::io::Result<OwnedFd>) -> Result<OwnedFd, Fail> {
    let mask =
        capability::mask(capability::OVERLAY_MOUNTER).map_err(|name| Fail::new(format!("no capability {name:?}")))?;
    let full = capset::effective().what(|| "reading capabilities")?;
    capset::become_fs_user(uid, gid).what(|| "becoming the guest's root for files")?;
    let made = capset::set_effective(full & mask).and_then(|()| make());
    capset::set_effective(full).what(|| "taking capabilities back")?;
    capset::become_fs_user(0, 0).what(|| "becoming root for files again")?;
    capset::set_effective(full).what(|| "taking capabilities back")?;
    made.what(|| "mounting the overlay")
}

/// The stage as process 1 finds it: its working directory.
pub(crate) fn floor() -> Result<OwnedFd, Fail> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, ".", flags, Mode::empty()).what(|| "opening the stage")
}
