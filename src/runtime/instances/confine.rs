//! How a container is confined by its configuration: system calls, resource limits, kernel parameters, kernel modules.

use std::path::Path;
use std::process::Command;

use super::container;
use crate::api::config::instance::Config;
use crate::api::config::read_raw_lxc;
use crate::order::Gather;
use crate::runtime::blocking;
use crate::runtime::spec::intercept::{Intercept, Mounts};
use crate::runtime::spec::syscalls::{Action, Policy};
use crate::runtime::spec::{ContainerSpec, Mount, Rlimit, capability};
use crate::runtime::sys::process;
use crate::{Ctx, Error, Kind, Result};

/// The system calls that a container may make; `native` says whether it is of the host's own architecture.
///
/// # Errors
/// [`Kind::Invalid`] naming the key and the line.
fn syscalls(config: Config<'_>, native: bool) -> Result<Policy> {
    let wrong = |key: &'static str| move |e: String| Error::invalid(format!("Invalid value for {key:?}: {e}"));
    if let Some(text) = config.get("raw.seccomp") {
        return Policy::parse(text).map_err(wrong("raw.seccomp"));
    }
    if let Some(text) = config.get("security.syscalls.allow") {
        let mut policy = Policy::allowing();
        policy.add(text.lines(), Action::Allow).map_err(wrong("security.syscalls.allow"))?;
        return Ok(policy);
    }
    let usual = config.bool("security.syscalls.deny_default");
    let mut policy = if usual { Policy::usual() } else { Policy::denying() };
    policy.deny_compat = native && config.bool("security.syscalls.deny_compat");
    let more = config.get("security.syscalls.deny").unwrap_or_default();
    policy.add(more.lines(), Action::Kill).map_err(wrong("security.syscalls.deny"))?;
    Ok(policy)
}

/// Adds to a plan which system calls the container may make, and which are done outside of it.
///
/// # Errors
/// As of [`syscalls`] and [`intercepted_mounts`].
pub(super) fn add_syscalls(spec: &mut ContainerSpec, config: Config<'_>, native: bool) -> Result<()> {
    let mut policy = syscalls(config, native)?;
    if !spec.privileged() {
        spec.intercept = intercept(config);
        spec.intercepted_mounts = intercepted_mounts(config)?;
        spec.intercept.add_to(&mut policy);
    }
    spec.seccomp = container::plan::filter(&policy)?;
    Ok(())
}

/// The system calls that are done outside of a container.
fn intercept(config: Config<'_>) -> Intercept {
    let on = |name: &str| config.bool(&format!("security.syscalls.intercept.{name}"));
    Intercept {
        mknod: on("mknod"),
        setxattr: on("setxattr"),
        sched_setscheduler: on("sched_setscheduler"),
        sysinfo: on("sysinfo"),
        mount: on("mount"),
        bpf: on("bpf") && on("bpf.devices"),
    }
}

/// What a container may mount that way.
///
/// # Errors
/// [`Kind::Invalid`] naming the key; of file systems without a device only `hugetlbfs` is there for guests.
pub(super) fn intercepted_mounts(config: Config<'_>) -> Result<Mounts> {
    let words =
        |key| config.get(key).unwrap_or_default().split(',').map(str::trim).filter(|word: &&str| !word.is_empty());
    let pair = |word: &str| match word.split_once('=') {
        Some((kind, program)) if !program.contains('#') => Ok((kind.to_owned(), program.to_owned())),
        _ => Err(Error::invalid(format!("Invalid value for \"{MOUNT_FUSE}\": {word:?} is no pair"))),
    };
    let allowed: Vec<String> = words(MOUNT_ALLOWED).map(str::to_owned).collect();
    let known = match allowed.is_empty() {
        true => String::new(),
        false => std::fs::read_to_string("/proc/filesystems").unwrap_or_default(),
    };
    let bare =
        |kind: &&String| known.lines().any(|line| line.strip_prefix("nodev\t") == Some(kind)) && *kind != "hugetlbfs";
    if let Some(kind) = allowed.iter().find(bare) {
        return Err(Error::unsupported(format!("{kind:?} in \"{MOUNT_ALLOWED}\"")));
    }
    let fuse = words(MOUNT_FUSE).map(pair).try_gather()?;
    Ok(Mounts { allowed, fuse, shift: config.bool(MOUNT_SHIFT) })
}

const MOUNT_ALLOWED: &str = "security.syscalls.intercept.mount.allowed";
const MOUNT_FUSE: &str = "security.syscalls.intercept.mount.fuse";
const MOUNT_SHIFT: &str = "security.syscalls.intercept.mount.shift";

/// `limits.kernel.*`.
pub(super) fn rlimits(config: Config<'_>) -> Vec<Rlimit> {
    config.below("limits.kernel.").filter_map(|(name, value)| Rlimit::parse(name, value)).collect()
}

/// `linux.sysctl.*`.
pub(super) fn sysctls(config: Config<'_>) -> Vec<(String, String)> {
    config.below("linux.sysctl.").map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The device rules that a container has before those of its devices; none at all when it may use every device.
///
/// # Errors
/// [`Kind::Invalid`] naming the key of `raw.lxc`.
pub(super) fn device_rules(config: Config<'_>) -> Result<Vec<String>> {
    // In a user namespace nobody sets any, nor makes device nodes: those of who made it are in force.
    let privileged = config.bool("security.privileged") && process::is_in_first_user_namespace();
    let mut rules = container::plan::device_rules(privileged);
    let raw = read_raw_lxc(config.get("raw.lxc").unwrap_or_default())?;
    for (_, _, value) in raw.groups.into_iter().filter(|(_, file, _)| file == "devices.allow") {
        match value.as_str() {
            "a" => rules.clear(),
            _ if rules.is_empty() => {}
            _ => rules.push(value),
        }
    }
    Ok(rules)
}

/// Adds to a plan what else `raw.lxc` says.
///
/// # Errors
/// [`Kind::Invalid`] naming the key.
pub(super) fn add_raw_lxc(spec: &mut ContainerSpec, text: &str) -> Result<()> {
    let raw = read_raw_lxc(text)?;
    spec.sysctls.extend(raw.sysctls);
    spec.environment.extend(raw.environment);
    spec.no_new_privs |= raw.no_new_privs;
    if let Some(init) = raw.init {
        spec.init = init;
    }
    if let Some(name) = raw.hostname {
        spec.hostname = name;
    }
    let mask = |names: &[String]| {
        let unknown = |name| Error::invalid(format!("Unknown capability {name:?} in raw.lxc"));
        capability::mask(names.iter().map(String::as_str)).map_err(unknown)
    };
    match raw.keep {
        Some(keep) => spec.drop_capabilities = !mask(&keep)?,
        None => spec.drop_capabilities |= mask(&raw.drop)?,
    }
    let ruled = !spec.device_rules.is_empty();
    let is_rule = |file: &str, value: &str| file == "devices.allow" || ruled && (file, value) == ("devices.deny", "a");
    spec.group_files.extend(raw.groups.into_iter().filter(|(_, file, value)| !is_rule(file, value)));
    spec.mounts.extend(raw.mounts.into_iter().map(|mount| Mount {
        source: mount.source.into(),
        target: Path::new("/").join(mount.target.trim_start_matches('/')),
        readonly: mount.readonly,
        recursive: mount.recursive,
        follows: true,
        optional: mount.optional,
        ..Mount::default()
    }));
    Ok(())
}

/// Loads the kernel modules that a container wants on its host (`linux.kernel_modules`). Those that are there already, or built in, cost
/// nothing; for others modprobe(8) is run.
///
/// # Errors
/// With LXD's text, naming the module.
pub(super) async fn load_modules(config: Config<'_>) -> Result<()> {
    let names = config.get("linux.kernel_modules").unwrap_or_default();
    let names: Vec<String> = names.split(',').map(|n| n.trim().to_owned()).filter(|n| !n.is_empty()).collect();
    match names.is_empty() {
        true => Ok(()),
        false => blocking(move || names.iter().try_for_each(|name| load_module(name))).await,
    }
}

/// Loads one, unless the kernel has it. Blocks.
///
/// # Errors
/// With LXD's text, naming it.
pub(super) fn load_module(name: &str) -> Result<()> {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b)) && !name.starts_with(['-', '.']);
    if !plain {
        return Err(Error::invalid(format!("Invalid name of a kernel module: {name:?}")));
    }
    if Path::new("/sys/module").join(name.replace('-', "_")).exists() {
        return Ok(());
    }
    let failed = || format!("Failed to load kernel module '{name}'");
    let run = Command::new("modprobe").args(["-b", "--", name]).output().ctx(Kind::Internal, failed)?;
    if run.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&run.stderr);
    Err(Error::internal(format!("{}: {}", failed(), said.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::config::instance::RLIMITS;
    use crate::api::types::ConfigMap;
    use crate::runtime::sys::rlimit;

    fn config(pairs: &[(&str, &str)]) -> ConfigMap {
        pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    #[test]
    fn system_calls_are_denied_as_lxd_does() {
        let policy = |pairs: &[(&str, &str)]| syscalls(Config(&config(pairs)), true);
        assert_eq!(policy(&[]).unwrap(), Policy::usual());
        assert_eq!(policy(&[("security.syscalls.deny_default", "false")]).unwrap(), Policy::denying());
        let denied = policy(&[("security.syscalls.blacklist", "mkdir errno 1\nchmod")]).unwrap();
        assert_eq!(denied.rules.len(), Policy::usual().rules.len() + 2);
        assert_eq!(denied.rules.last().map(|r| r.action), Some(Action::Kill));
        let allowed = policy(&[("security.syscalls.allow", "read")]).unwrap();
        assert_eq!((allowed.otherwise, allowed.rules.len()), (Action::Kill, 1));
        let wrong = policy(&[("raw.seccomp", "x")]).unwrap_err();
        assert!(wrong.message().contains("raw.seccomp"), "{}", wrong.message());
        assert!(policy(&[("security.syscalls.deny_compat", "true")]).unwrap().deny_compat);
    }

    #[test]
    fn the_kernel_has_every_resource_of_the_table() {
        assert!(RLIMITS.iter().all(|name| rlimit::resource(name).is_ok()));
        let all = config(&[("limits.kernel.nofile", "1:unlimited"), ("limits.kernel.core", "3"), ("x", "y")]);
        let limits = rlimits(Config(&all));
        let told: Vec<_> = limits.iter().map(|l| (&*l.resource, l.soft, l.hard)).collect();
        assert_eq!(told, [("core", Some(3), Some(3)), ("nofile", Some(1), None)]);
    }

    #[test]
    fn names_of_modules_are_no_options() {
        for wrong in ["-r", "../x", "a b", ".x"] {
            assert_eq!(load_module(wrong).unwrap_err().kind(), Kind::Invalid, "{wrong}");
        }
    }
}
