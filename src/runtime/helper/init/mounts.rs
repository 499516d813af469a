//! What LXD 5.0.2 mounts in a container (its lxc.conf and mount table were compared), the devices of the plan after it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::mount::MountAttrFlags;

use super::dev;
use crate::runtime::helper::{Fail, What, stage};
use crate::runtime::spec::{ContainerSpec, procfs};
use crate::runtime::sys::mount::{self, Attributes, Setting};
use crate::runtime::sys::root;

const CAREFUL: MountAttrFlags =
    MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV).union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// Parts of the host's trees that LXC binds over the guest's own: the guest sees them, but they belong to the host's root.
/// systemd finds them mounted and leaves them alone.
const HOST_TREES: [&str; 6] = [
    "proc/sys/fs/binfmt_misc",
    "sys/fs/fuse/connections",
    "sys/fs/pstore",
    "sys/kernel/debug",
    "sys/kernel/security",
    "sys/kernel/tracing",
];

/// Mounts everything below the root `guest`; gives the mount of devpts.
pub(super) fn mount_all(spec: &ContainerSpec, guest: BorrowedFd<'_>, floor: BorrowedFd<'_>) -> Result<OwnedFd, Fail> {
    let dev = new(
        "tmpfs",
        "dev",
        guest,
        &[Setting::Value("mode", "0755"), Setting::Value("size", "492k")],
        MountAttrFlags::empty(),
    )?;
    let proc = new("proc", "proc", guest, &[], CAREFUL)?;
    if spec.privileged() {
        privileged_proc_and_sys(guest, &proc)?;
        new("mqueue", "dev/mqueue", guest, &[], MountAttrFlags::empty())?;
    } else {
        new("sysfs", "sys", guest, &[], MountAttrFlags::empty())?;
    }
    dev::nodes(guest)?;
    for path in HOST_TREES {
        host_tree(path, guest);
    }
    if spec.nesting {
        // A second, whole proc and sysfs: the kernel lets a nested container mount its own only beside an unobstructed one.
        new("proc", "dev/.lxc/proc", guest, &[], MountAttrFlags::empty())?;
        new("sysfs", "dev/.lxc/sys", guest, &[], MountAttrFlags::empty())?;
    }
    let terminals = dev::terminals(guest)?;
    dev::links(dev.as_fd())?;
    boot_id(guest, dev.as_fd())?;
    view(floor, guest)?;
    for (i, device) in spec.mounts.iter().enumerate() {
        bind_device(floor, Path::new(&format!("m{i}")), guest, device)?;
    }
    Ok(terminals)
}

/// Mounts a new file system at `path`, which is made if missing.
pub(super) fn new(
    kind: &str,
    path: &str,
    guest: BorrowedFd<'_>,
    settings: &[Setting<'_>],
    attributes: MountAttrFlags,
) -> Result<OwnedFd, Fail> {
    let target = root::directory(guest, Path::new(path)).what(|| format!("making \"/{path}\""))?;
    let made = mount::create(kind, settings, attributes).what(|| format!("mounting {kind} for \"/{path}\""))?;
    mount::attach(made.as_fd(), target.as_fd()).what(|| format!("mounting \"/{path}\""))?;
    Ok(made)
}

/// "mixed": what could change the host is read-only, the network's part is not.
fn privileged_proc_and_sys(guest: BorrowedFd<'_>, proc: &OwnedFd) -> Result<(), Fail> {
    let readonly = Attributes { readonly: true, ..Attributes::default() };
    let net = mount::clone_at(proc, Path::new("sys/net"), false).what(|| "opening \"/proc/sys/net\"")?;
    let sys = mount::clone_at(proc, Path::new("sys"), false).what(|| "opening \"/proc/sys\"")?;
    mount::set_attributes(sys.as_fd(), &readonly).what(|| "making \"/proc/sys\" read-only")?;
    attach(&sys, guest, "proc/sys")?;
    attach(&net, guest, "proc/sys/net")?;
    let trigger = mount::clone_at(proc, Path::new("sysrq-trigger"), false);
    if let Ok(trigger) = trigger {
        mount::set_attributes(trigger.as_fd(), &readonly).what(|| "making \"/proc/sysrq-trigger\" read-only")?;
        attach(&trigger, guest, "proc/sysrq-trigger")?;
    }
    let sysfs = new("sysfs", "sys", guest, &[], CAREFUL)?;
    let net = mount::clone_at(&sysfs, Path::new("devices/virtual/net"), false)
        .what(|| "opening \"/sys/devices/virtual/net\"")?;
    mount::set_attributes(sysfs.as_fd(), &readonly).what(|| "making \"/sys\" read-only")?;
    attach(&net, guest, "sys/devices/virtual/net")
}

fn attach(mount: &OwnedFd, guest: BorrowedFd<'_>, path: &str) -> Result<(), Fail> {
    let target = root::handle(guest, Path::new(path)).what(|| format!("opening \"/{path}\""))?;
    mount::attach(mount.as_fd(), target.as_fd()).what(|| format!("mounting \"/{path}\""))
}

/// Binds a directory of the host over the guest's own; one that either side lacks is passed over, as LXC does ("optional").
fn host_tree(path: &str, guest: BorrowedFd<'_>) {
    let Ok(target) = root::handle(guest, Path::new(path)) else { return };
    if let Ok(tree) = mount::clone(&Path::new("/").join(path), true) {
        let _ = mount::attach(tree.as_fd(), target.as_fd());
    }
}

/// A boot id of its own: programs tell boots apart by it.
fn boot_id(guest: BorrowedFd<'_>, dev: BorrowedFd<'_>) -> Result<(), Fail> {
    let Ok(target) = root::handle(guest, Path::new("proc/sys/kernel/random/boot_id")) else { return Ok(()) };
    let mut random = [0u8; 16];
    rustix::rand::getrandom(&mut random[..], rustix::rand::GetRandomFlags::empty()).what(|| "making a boot id")?;
    random[6] = random[6] & 0x0f | 0x40;
    random[8] = random[8] & 0x3f | 0x80;
    let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!("{}-{}-{}-{}-{}\n", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
    root::write(dev, Path::new(".lxc-boot-id"), text.as_bytes(), (0o444, false)).what(|| "writing the boot id")?;
    let file = mount::clone_at(dev, Path::new(".lxc-boot-id"), false).what(|| "opening the boot id")?;
    let attributes = Attributes { readonly: true, nosuid: true, nodev: true, noexec: true, ..Attributes::default() };
    mount::set_attributes(file.as_fd(), &attributes).what(|| "making the boot id read-only")?;
    mount::attach(file.as_fd(), target.as_fd()).what(|| "mounting the boot id")
}

/// Lays the guest's own share over the host's numbers in `/proc` and `/sys`, where the stage has it.
fn view(floor: BorrowedFd<'_>, guest: BorrowedFd<'_>) -> Result<(), Fail> {
    for (name, target) in procfs::FILES {
        let Ok(file) = mount::clone_at(floor, &Path::new(stage::VIEW).join(name), false) else { continue };
        let Ok(place) = root::handle(guest, Path::new(target)) else { continue };
        mount::attach(file.as_fd(), place.as_fd()).what(|| format!("mounting \"/{target}\""))?;
    }
    Ok(())
}

/// Puts a device of the stage in its place; one that was optional and missing isn't on the stage.
fn bind_device(
    floor: BorrowedFd<'_>,
    staged: &Path,
    guest: BorrowedFd<'_>,
    device: &crate::runtime::spec::Mount,
) -> Result<(), Fail> {
    let target = &device.target;
    let Ok(status) = rustix::fs::statat(floor, staged, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) else { return Ok(()) };
    let directory = rustix::fs::FileType::from_raw_mode(status.st_mode).is_dir();
    let tree =
        mount::clone_at(floor, staged, device.recursive).what(|| format!("opening the device for {target:?}"))?;
    let place = if directory { root::directory(guest, target) } else { root::file(guest, target) };
    let place = place.what(|| format!("making {target:?} in the container"))?;
    mount::attach(tree.as_fd(), place.as_fd()).what(|| format!("mounting {target:?} in the container"))
}
