//! `raw.lxc`: the LXC configuration keys that are understood, in a table of their own.
//!
//! Those that aren't applied are refused by name; LXD's own refusals come first, with its texts.

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

const fn done(name: &'static str, short: &'static str) -> RawKey {
    RawKey { name, short, support: Support::Applied }
}

/// The keys of LXC 4.0 and 5.0 that can stand in `raw.lxc`.
pub const RAW_LXC: &[RawKey] = &[
    done("lxc.apparmor.allow_incomplete", "whether to start on kernels whose AppArmor lacks something: as it is"),
    done("lxc.apparmor.profile", "the AppArmor profile: one that the host has loaded, or `unconfined`"),
    raw("lxc.apparmor.*", "what a generated AppArmor profile allows"),
    raw("lxc.arch", "the architecture it is told"),
    raw("lxc.autodev*", "the tmpfs on /dev"),
    done("lxc.cap.drop", "capabilities taken from the guest"),
    done("lxc.cap.keep", "the only capabilities it has"),
    done("lxc.cgroup.*", "a value of a cgroup v1 controller"),
    done("lxc.cgroup2.*", "a value of a cgroup v2 controller"),
    raw("lxc.console.*", "the console's log and buffer"),
    done("lxc.environment", "a variable of the guest's init"),
    raw("lxc.environment.*", "variables of the guest's init alone"),
    raw("lxc.execute.cmd", "the program of lxc-execute"),
    done("lxc.group", "a group for lxc-autostart, which knows nothing of these guests"),
    raw("lxc.hook.*", "programs run at points of the guest's life"),
    raw("lxc.idmap", "a range of the id map"),
    done("lxc.init.cmd", "the program started first"),
    raw("lxc.include", "a file with more keys"),
    raw("lxc.init.*", "its user, group and directory"),
    raw("lxc.keyring.session", "whether there is a session keyring of its own"),
    raw("lxc.log.*", "the log of LXC"),
    raw("lxc.monitor.*", "the process that watches the guest"),
    done("lxc.mount.auto", "how /proc, /sys and the control groups are mounted: as they are"),
    done("lxc.mount.entry", "a further bind mount, as in fstab(5)"),
    raw("lxc.mount.*", "further mounts"),
    raw("lxc.namespace.*", "namespaces shared, kept or cloned"),
    raw("lxc.net.*", "addresses of a network interface"),
    done("lxc.no_new_privs", "whether programs can gain privileges"),
    raw("lxc.proc.*", "a value below /proc/PID"),
    raw("lxc.pty.max", "the number of terminals"),
    raw("lxc.rootfs.*", "options of the root file system"),
    raw("lxc.seccomp.*", "the system call filter"),
    raw("lxc.selinux.*", "the SELinux context"),
    raw("lxc.signal.*", "signals to halt, reboot and stop"),
    done("lxc.start.*", "whether and when lxc-autostart starts it, which knows nothing of these guests"),
    done("lxc.sysctl.*", "a kernel parameter"),
    raw("lxc.time.offset.*", "offsets of the guest's clocks"),
    raw("lxc.tty.*", "the number of consoles"),
    done("lxc.uts.name", "the host name"),
];

/// Bytes of a host name, at most (sethostname(2)).
const MAX_HOSTNAME: usize = 64;

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
        require(!key.starts_with("lxc.prlimit."), || {
            let (ours, theirs) = ("limits.kernel.[limit name]", "lxc.prlimit.[limit name]");
            format!("Process limits should be set via \"{ours}\" and not directly via \"{theirs}\"")
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
    read(text).map(drop)
}

/// What such lines ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawLxc {
    /// `lxc.sysctl.*`.
    pub sysctls: Vec<(String, String)>,
    /// `lxc.environment`.
    pub environment: Vec<(String, String)>,
    /// `lxc.cap.drop`, in small letters without `cap_`.
    pub drop: Vec<String>,
    /// `lxc.cap.keep`.
    pub keep: Option<Vec<String>>,
    /// `lxc.apparmor.profile`.
    pub apparmor: Option<String>,
    /// `lxc.no_new_privs`.
    pub no_new_privs: bool,
    /// `lxc.uts.name`.
    pub hostname: Option<String>,
    /// `lxc.init.cmd`: program and arguments.
    pub init: Option<Vec<String>>,
    /// `lxc.cgroup.*` and `lxc.cgroup2.*`: whether it is of cgroup v2, the file, the value.
    pub groups: Vec<(bool, String, String)>,
    /// `lxc.mount.entry`.
    pub mounts: Vec<RawMount>,
}

/// A bind mount of `lxc.mount.entry`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawMount {
    /// On the host.
    pub source: String,
    /// In the guest.
    pub target: String,
    /// `ro`.
    pub readonly: bool,
    /// `rbind`.
    pub recursive: bool,
    /// `optional`.
    pub optional: bool,
}

/// Reads `raw.lxc`.
///
/// # Errors
/// [`crate::error::Kind::Invalid`] naming the key that is wrong, or that isn't supported yet.
pub fn read(text: &str) -> Result<RawLxc> {
    let mut read = RawLxc::default();
    for (name, value) in lines(text).map_err(Error::invalid)? {
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
        if !read.take(name, value) {
            return Err(Error::unsupported(format_args!("{name:?} with value {value:?} in raw.lxc")));
        }
    }
    Ok(read)
}

impl RawLxc {
    /// Whether a line of a key that is applied is understood.
    fn take(&mut self, name: &str, value: &str) -> bool {
        let owned = |text: &str| text.to_owned();
        let words = || value.split_whitespace();
        if let Some(parameter) = name.strip_prefix("lxc.sysctl.") {
            self.sysctls.push((owned(parameter), owned(value)));
            return !parameter.is_empty();
        }
        let group = name.strip_prefix("lxc.cgroup2.").map(|file| (true, file));
        if let Some((unified, file)) = group.or_else(|| Some((false, name.strip_prefix("lxc.cgroup.")?))) {
            self.groups.push((unified, owned(file), owned(value)));
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
            return file.contains('.') && !file.starts_with('.') && file.chars().all(plain);
        }
        match name {
            "lxc.environment" => match value.split_once('=') {
                Some((name, value)) => self.environment.push((owned(name), owned(value))),
                None => return false,
            },
            "lxc.cap.drop" if value.is_empty() => self.drop.clear(),
            "lxc.cap.drop" => self.drop.extend(words().map(str::to_ascii_lowercase)),
            "lxc.cap.keep" => {
                self.keep.get_or_insert_default().extend(words().map(str::to_ascii_lowercase).filter(|w| w != "none"));
            }
            "lxc.no_new_privs" => self.no_new_privs = value == "1",
            "lxc.init.cmd" => {
                self.init = Some(words().map(owned).collect());
                return value.starts_with('/') && !value.contains(['"', '\'', '\\']);
            }
            "lxc.apparmor.allow_incomplete" => return matches!(value, "0" | "1"),
            "lxc.apparmor.profile" => {
                self.apparmor = Some(owned(value));
                return !value.is_empty() && value != "generated";
            }
            "lxc.group" | "lxc.start.auto" | "lxc.start.delay" | "lxc.start.order" => return !value.is_empty(),
            "lxc.uts.name" => {
                self.hostname = Some(owned(value));
                return !value.is_empty() && value.len() <= MAX_HOSTNAME;
            }
            "lxc.mount.auto" => return words().all(as_it_is),
            "lxc.mount.entry" => match entry(value) {
                Some(mount) => self.mounts.push(mount),
                None => return false,
            },
            _ => return false,
        }
        true
    }
}

/// Whether a word of `lxc.mount.auto` says what is the case anyway.
fn as_it_is(word: &str) -> bool {
    let word = word.strip_suffix(":force").unwrap_or(word);
    matches!(word, "proc:rw" | "sys:rw" | "cgroup" | "cgroup:mixed" | "cgroup:rw")
}

/// A line of fstab(5), relative to the guest's root: only bind mounts.
fn entry(line: &str) -> Option<RawMount> {
    let mut words = line.split_whitespace();
    let (source, target, kind) = (words.next()?, words.next()?, words.next()?);
    let mut mount = RawMount { source: source.into(), target: target.into(), ..RawMount::default() };
    let mut bound = false;
    for option in words.next()?.split(',') {
        match option {
            "bind" => bound = true,
            "rbind" => (bound, mount.recursive) = (true, true),
            "ro" => mount.readonly = true,
            "optional" => mount.optional = true,
            // Missing places are made of the kind that is mounted.
            "rw" | "defaults" | "create=dir" | "create=file" => {}
            _ => return None,
        }
    }
    let plain = source.starts_with('/') && matches!(kind, "none" | "bind") && words.all(|word| word == "0");
    (bound && plain).then_some(mount)
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
        assert_eq!(text("lxc.idmap = u 0 1 2").as_deref(), Some("\"lxc.idmap\" in raw.lxc is not supported yet"));
        let value = "\"lxc.mount.auto\" with value \"proc:mixed\" in raw.lxc is not supported yet";
        assert_eq!(text("lxc.mount.auto = proc:mixed").as_deref(), Some(value));
        assert_eq!(text("lxc.foo = 1").as_deref(), Some("Unknown LXC key \"lxc.foo\" in raw.lxc"));
        assert_eq!(text("# nothing"), None);
        for wrong in ["lxc.cgroup.../x = 1", "lxc.environment = x", "lxc.mount.entry = none x tmpfs rw 0 0"] {
            assert!(text(wrong).is_some(), "{wrong}");
        }
    }

    #[test]
    fn what_is_acted_on_is_read() {
        let text = "lxc.cap.drop = MKNOD sys_time\nlxc.cap.drop=\nlxc.cap.drop=sys_boot\nlxc.no_new_privs = 1\n\
            lxc.cgroup2.memory.high = 5\nlxc.init.cmd = /bin/sh -i\nlxc.environment = A=b=c\nlxc.sysctl.a.b = 1 2\n\
            lxc.mount.auto = proc:rw cgroup:mixed:force\nlxc.apparmor.profile = unconfined\nlxc.mount.entry = /a b none rbind,ro,create=dir 0 0";
        let read = read(text).unwrap();
        assert_eq!((read.drop, read.keep, read.no_new_privs), (vec!["sys_boot".to_owned()], None, true));
        assert_eq!(read.groups, [(true, "memory.high".to_owned(), "5".to_owned())]);
        assert_eq!((read.init.unwrap().join("|"), &*read.environment[0].1), ("/bin/sh|-i".into(), "b=c"));
        assert_eq!(read.sysctls[0].1, "1 2");
        let mount = &read.mounts[0];
        assert!(mount.readonly && mount.recursive && mount.source == "/a" && mount.target == "b");
    }
}
