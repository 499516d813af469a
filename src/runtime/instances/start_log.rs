//! What is left of the last start of an instance for who looks into it: `lxc.conf`, its plan in LXC's words, and `lxc.log`, what went wrong.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::logs;
use crate::api::types::Timestamp;
use crate::runtime::spec::{ContainerSpec, Mount, RootSource};
use crate::{Ctx, Error, Kind, Result};

/// Writes the plan of a start, and an empty log, into the instance's log directory, which is there. Blocks.
pub(super) fn write_plan(directory: &Path, spec: &ContainerSpec) -> Result<()> {
    write(directory, "lxc.conf", &in_words_of_lxc(spec))?;
    write(directory, "lxc.log", "")
}

/// Writes why a start failed. Blocks.
pub(super) fn write_failure(directory: &Path, name: &str, error: &Error) -> Result<()> {
    logs::make_directory(directory)?;
    let line = format!("lxc {name} {} ERROR    start - {}\n", Timestamp::now(), error.chain());
    write(directory, "lxc.log", &line)
}

fn write(directory: &Path, name: &str, text: &str) -> Result<()> {
    let path = directory.join(name);
    fs::write(&path, text).ctx(Kind::Internal, || format!("Failed writing {path:?}"))
}

/// As lxc.container.conf(5) has them, as far as there are words for it.
fn in_words_of_lxc(spec: &ContainerSpec) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(text, "lxc.{key} = {}", value.replace('\n', " "));
    };
    line("uts.name", &spec.hostname);
    let root = match &spec.root {
        RootSource::Dir { path } => format!("dir:{}", path.display()),
        RootSource::Overlay { lowers, upper, .. } => format!("overlay:{}:{}", joined(lowers), upper.display()),
        RootSource::Layers { lowers } => format!("overlay:{}", joined(lowers)),
    };
    line("rootfs.path", &root);
    for entry in &spec.idmap.0 {
        let of = |kind| format!("{kind} {} {} {}", entry.ns_id, entry.host_id, entry.range);
        [("u", entry.is_uid), ("g", entry.is_gid)]
            .iter()
            .filter(|(_, is)| *is)
            .for_each(|(k, _)| line("idmap", &of(k)));
    }
    line("init.cmd", &spec.init.join(" "));
    spec.environment.iter().for_each(|(name, value)| line("environment", &format!("{name}={value}")));
    spec.sysctls.iter().for_each(|(name, value)| line(&format!("sysctl.{name}"), value));
    spec.mounts.iter().for_each(|mount| line("mount.entry", &entry(mount)));
    spec.device_rules.iter().for_each(|rule| line("cgroup.devices.allow", rule));
    if !spec.apparmor.is_empty() {
        line("apparmor.profile", &spec.apparmor);
    }
    line("console.logfile", &spec.console_log.display().to_string());
    text
}

fn joined(paths: &[std::path::PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(":")
}

/// A mount as a line of fstab(5), whose spaces are written as there.
fn entry(mount: &Mount) -> String {
    let path = |path: &Path| path.display().to_string().replace(' ', "\\040");
    let mut options = vec![if mount.recursive { "rbind" } else { "bind" }];
    options.extend(mount.readonly.then_some("ro"));
    options.extend(mount.optional.then_some("optional"));
    let target = path(&mount.target);
    format!("{} {} none {} 0 0", path(&mount.source), target.trim_start_matches('/'), options.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_lines_of_fstab() {
        let mount = Mount { source: "/a b".into(), target: "/mnt/x".into(), readonly: true, ..Mount::default() };
        assert_eq!(entry(&mount), "/a\\040b mnt/x none bind,ro 0 0");
    }
}
