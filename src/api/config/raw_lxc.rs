//! `raw.lxc`: the LXC configuration keys that are understood, in a table of their own.
//!
//! None is applied yet, so each is refused by name; LXD's own refusals come first, with its texts.

use crate::error::{Error, Result};

use super::key::Support;
use super::kind::require;

/// An LXC key and whether it is acted on; a trailing `*` stands for any end.
pub struct RawKey {
    /// The name, as lxc.container.conf(5) has it.
    pub name: &'static str,
    /// What it sets.
    pub short: &'static str,
    /// Whether this server acts on it.
    pub support: Support,
}

const fn raw(name: &'static str, short: &'static str) -> RawKey {
    RawKey { name, short, support: Support::Later("raw.lxc") }
}

/// The keys of LXC 4.0 and 5.0 that can stand in `raw.lxc`.
pub const RAW_LXC: &[RawKey] = &[
    raw("lxc.apparmor.*", "the AppArmor profile and what it allows"),
    raw("lxc.autodev*", "the tmpfs on /dev"),
    raw("lxc.cap.*", "capabilities kept or dropped"),
    raw("lxc.cgroup.*", "a value of a cgroup v1 controller"),
    raw("lxc.cgroup2.*", "a value of a cgroup v2 controller"),
    raw("lxc.console.*", "the console's log and buffer"),
    raw("lxc.environment*", "variables of the guest's init"),
    raw("lxc.hook.*", "programs run at points of the guest's life"),
    raw("lxc.idmap", "a range of the id map"),
    raw("lxc.init.*", "the program started first"),
    raw("lxc.keyring.session", "whether there is a session keyring of its own"),
    raw("lxc.mount.*", "further mounts"),
    raw("lxc.namespace.*", "namespaces shared, kept or cloned"),
    raw("lxc.net.*", "addresses of a network interface"),
    raw("lxc.no_new_privs", "whether programs can gain privileges"),
    raw("lxc.prlimit.*", "a resource limit"),
    raw("lxc.proc.*", "a value below /proc/PID"),
    raw("lxc.pty.max", "the number of terminals"),
    raw("lxc.rootfs.*", "options of the root file system"),
    raw("lxc.seccomp.*", "the system call filter"),
    raw("lxc.selinux.*", "the SELinux context"),
    raw("lxc.signal.*", "signals to halt, reboot and stop"),
    raw("lxc.sysctl.*", "a kernel parameter"),
    raw("lxc.time.offset.*", "offsets of the guest's clocks"),
    raw("lxc.tty.*", "the number of consoles"),
];

/// Key and value of each line that is neither empty nor a comment; the error is LXD's text.
fn lines(text: &str) -> Result<Vec<(&str, &str)>, String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| match line.split_once('=') {
            Some((key, value)) => Ok((key.trim(), value.trim())),
            None => Err(format!("Invalid raw.lxc line: {line}")),
        })
        .collect()
}

/// What LXD looks at when the value is set.
pub(super) fn check(text: &str) -> Result<(), String> {
    for (key, _) in lines(text)? {
        let key = key.to_ascii_lowercase();
        require(!matches!(key.as_str(), "lxc.logfile" | "lxc.log.file"), || {
            "Setting lxc.logfile is not allowed".into()
        })?;
        require(!matches!(key.as_str(), "lxc.syslog" | "lxc.log.syslog"), || {
            "Setting lxc.log.syslog is not allowed".into()
        })?;
        require(key != "lxc.ephemeral", || "Setting lxc.ephemeral is not allowed".into())?;
        let address = key.strip_prefix("lxc.net.").map(|rest| {
            let parts: Vec<&str> = rest.split('.').collect();
            parts.len() >= 3 && matches!(parts[1], "ipv4" | "ipv6") && matches!(parts[2], "address" | "gateway")
        });
        require(address != Some(false), || "Only interface-specific ipv4/ipv6 lxc.net. keys are allowed".into())?;
    }
    Ok(())
}

/// Refuses by name what isn't acted on: keys of the table that wait, and keys LXC does not have.
pub(super) fn supported(text: &str) -> Result<()> {
    for (name, _) in lines(text).map_err(Error::invalid)? {
        let row = RAW_LXC.iter().find(|row| match row.name.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == row.name,
        });
        match row.map(|row| row.support) {
            Some(Support::Applied) => {}
            Some(Support::Later(_) | Support::Off(_)) => {
                return Err(Error::unsupported(format_args!("{name:?} in raw.lxc")));
            }
            None => return Err(Error::invalid(format!("Unknown LXC key {name:?} in raw.lxc"))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lxds_refusals_come_with_its_texts() {
        assert_eq!(check("x"), Err("Invalid raw.lxc line: x".into()));
        assert_eq!(check("lxc.log.file=x"), Err("Setting lxc.logfile is not allowed".into()));
        assert_eq!(check("lxc.ephemeral = 1"), Err("Setting lxc.ephemeral is not allowed".into()));
        let net = "Only interface-specific ipv4/ipv6 lxc.net. keys are allowed";
        assert_eq!(check("lxc.net.0.type=veth"), Err(net.into()));
        assert_eq!(check("lxc.net.0.ipv4.address=1.2.3.4"), Ok(()));
        assert_eq!(check("# a comment\n\nlxc.mount.auto = proc"), Ok(()));
    }

    #[test]
    fn what_is_not_acted_on_is_refused_by_name() {
        let text = |raw: &str| supported(raw).err().map(|e| e.message().to_owned());
        assert_eq!(text("lxc.cap.drop = mknod").as_deref(), Some("\"lxc.cap.drop\" in raw.lxc is not supported yet"));
        assert_eq!(text("lxc.foo = 1").as_deref(), Some("Unknown LXC key \"lxc.foo\" in raw.lxc"));
        assert_eq!(text("# nothing"), None);
    }
}
