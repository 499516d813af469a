//! Configuration of instances and profiles: validation and typed getters.

use crate::api::types::ConfigMap;
use crate::error::{Error, Result};
use crate::order::Gather;

use super::cpu::{Allowance, Cpu};
use super::key::{Key, Live, On, find};
use super::kind::is_true;
use super::table;
use super::units::{self, Memory};
use super::{bounded, supported};

/// What a configuration is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A container.
    Container,
    /// A virtual machine.
    Vm,
    /// A profile, which either kind of instance may use.
    Profile,
}

impl Target {
    /// Whether a row is for this.
    fn takes(self, on: On) -> bool {
        match (self, on) {
            (Target::Container, On::Vm) | (Target::Vm, On::Container) => false,
            (_, On::Any | On::Container | On::Vm | On::Custom | On::Member) => true,
        }
    }
}

/// The rows of instances: those for people, then the volatile ones.
pub(super) const TABLES: &[&[Key]] = &[table::instance::ROWS, table::volatile::ROWS];

/// Whether a row is for this target.
pub(super) fn takes(target: Target, row: &Key) -> bool {
    target.takes(row.on)
}

/// The row for a key of instances.
pub fn key(name: &str) -> Option<&'static Key> {
    find(TABLES, name)
}

/// When a change of this key takes effect; `None` for an unknown key.
pub fn live(name: &str) -> Option<Live> {
    key(name).map(|row| row.live)
}

/// The newer spelling of a key; most have but one.
pub fn modern(name: &str) -> &str {
    match name {
        "security.syscalls.blacklist" => "security.syscalls.deny",
        "security.syscalls.blacklist_compat" => "security.syscalls.deny_compat",
        "security.syscalls.blacklist_default" => "security.syscalls.deny_default",
        "security.syscalls.whitelist" => "security.syscalls.allow",
        _ => name,
    }
}

/// Checks a configuration as LXD does, then refuses by name what isn't acted on yet.
pub fn validate(config: &ConfigMap, target: Target) -> Result<()> {
    check(config, target)?;
    let resources = config.keys().filter_map(|name| name.strip_prefix("limits.kernel."));
    if let Some(unknown) = resources.into_iter().find(|name| !RLIMITS.contains(name)) {
        return Err(Error::invalid(format!("Unknown resource {unknown:?} of \"limits.kernel.*\"")));
    }
    supported(config.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str(), key(name)?))))
}

/// Checks a configuration as LXD does, and nothing more. Pure; errors have LXD's texts.
pub fn check(config: &ConfigMap, target: Target) -> Result<()> {
    bounded(config)?;
    for (name, value) in config {
        if target == Target::Profile {
            refuse_in_profile(name)?;
        }
        row(name, target)?.kind.check(value).map_err(Error::invalid)?;
    }
    check_together(config)
}

/// Whether there are keys of these names, also for those whose values are empty.
///
/// # Errors
/// [`crate::Kind::Invalid`] with LXD's text.
pub fn check_names(config: &ConfigMap, target: Target) -> Result<()> {
    config.keys().try_for_each(|name| row(name, target).map(drop))
}

fn row(name: &str, target: Target) -> Result<&'static Key> {
    let variable = name.strip_prefix("environment.");
    key(name)
        .filter(|row| target.takes(row.on) && variable.is_none_or(|variable| !variable.contains('=')))
        .ok_or_else(|| Error::invalid(format!("Unknown configuration key: {name}")))
}

/// The resources of `limits.kernel.*` (setrlimit(2)).
pub const RLIMITS: &[&str] = &[
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

fn refuse_in_profile(name: &str) -> Result<()> {
    for (prefix, what) in [("volatile.", "Volatile"), ("image.", "Image")] {
        if name.starts_with(prefix) {
            return Err(Error::invalid(format!("{what} keys can only be set on instances")));
        }
    }
    Ok(())
}

/// What holds between keys.
fn check_together(config: &ConfigMap) -> Result<()> {
    let given = |name: &str| config.get(name).is_some_and(|v| !v.is_empty());
    let twice = |old: &&String| modern(old) != old.as_str() && given(old) && given(modern(old));
    if let Some(old) = config.keys().find(twice) {
        let new = modern(old);
        return Err(Error::invalid(format!("Mutually exclusive keys {new} and {old} are set")));
    }
    let set = |old: &str| given(old) || given(modern(old));
    let on = |old: &str| [old, modern(old)].iter().any(|name| config.get(*name).is_some_and(|v| is_true(v)));
    let allow = set("security.syscalls.whitelist");
    let deny = set("security.syscalls.blacklist")
        || on("security.syscalls.blacklist_default")
        || on("security.syscalls.blacklist_compat");
    if set("raw.seccomp") && (allow || deny) {
        return Err(Error::invalid("raw.seccomp is mutually exclusive with security.syscalls*"));
    }
    if allow && deny {
        return Err(Error::invalid("security.syscalls.allow is mutually exclusive with security.syscalls.deny*"));
    }
    mounts_one_way(config)
}

/// A file system is mounted by the kernel or by a program.
fn mounts_one_way(config: &ConfigMap) -> Result<()> {
    const KEYS: [&str; 2] = ["security.syscalls.intercept.mount.allowed", "security.syscalls.intercept.mount.fuse"];
    let words = |key: &str| config.get(key).into_iter().flat_map(|value| value.split(',')).map(str::trim);
    let by_program =
        |kind: &&str| words(KEYS[1]).any(|pair| pair.split_once('=').is_some_and(|(name, _)| name == *kind));
    match words(KEYS[0]).find(by_program) {
        Some(kind) => Err(Error::invalid(format!("Filesystem {kind} cannot appear in {} and {}", KEYS[0], KEYS[1]))),
        None => Ok(()),
    }
}

/// An instance's configuration, read by type. Take the expanded one (with the profiles').
#[derive(Clone, Copy, Debug)]
pub struct Config<'a>(pub &'a ConfigMap);

impl<'a> Config<'a> {
    /// The value as it is written; `None` when it isn't set or empty. Older spellings are looked at too.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        let value = |name: &str| self.0.get(name).map(String::as_str).filter(|v| !v.is_empty());
        value(name).or_else(|| {
            let older = |(old, _): &(&String, &String)| old.as_str() != name && modern(old) == name;
            self.0.iter().filter(older).map(|(_, v)| v.as_str()).find(|v| !v.is_empty())
        })
    }

    /// The value as it is written; what isn't set is as the row's default says.
    pub fn text(&self, name: &str) -> &'a str {
        self.get(name).unwrap_or_else(|| key(name).map_or("", |row| row.default))
    }

    /// Whether it is true; what isn't set is as the row's default says.
    pub fn bool(&self, name: &str) -> bool {
        is_true(self.text(name))
    }

    /// Whether it is true; `None` when it isn't set.
    pub fn bool_set(&self, name: &str) -> Option<bool> {
        self.get(name).map(is_true)
    }

    /// The number; `None` when neither set nor defaulted.
    pub fn integer(&self, name: &str) -> Option<i64> {
        self.get(name).or_else(|| key(name).map(|row| row.default))?.parse().ok()
    }

    /// Bytes of a size; `None` when it isn't set.
    pub fn size(&self, name: &str) -> Option<u64> {
        units::bytes(self.get(name)?).ok()
    }

    /// `limits.memory` in bytes on a host with `total` bytes; `None` when there is no limit.
    pub fn memory(&self, total: u64) -> Option<u64> {
        Memory::parse(self.get("limits.memory")?).ok().map(|m| m.of(total))
    }

    /// `limits.cpu`; `None` when there is no limit.
    pub fn cpu(&self) -> Option<Cpu> {
        Cpu::parse(self.get("limits.cpu")?).ok()
    }

    /// `limits.cpu.allowance`; `None` when there is none.
    pub fn allowance(&self) -> Option<Allowance> {
        Allowance::parse(self.get("limits.cpu.allowance")?).ok()
    }

    /// Keys below `prefix` (which ends in a dot), without it: `environment.` gives the variables.
    pub fn below(&self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.0.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }
}

/// Keys whose values differ, older spellings as they are written.
pub fn changed<'a>(before: &'a ConfigMap, after: &'a ConfigMap) -> Vec<&'a str> {
    let names: std::collections::BTreeSet<&str> = before.keys().chain(after.keys()).map(String::as_str).gather();
    let value = |map: &'a ConfigMap, name: &str| map.get(name).map_or("", String::as_str);
    names.into_iter().filter(|name| value(before, name) != value(after, name)).collect()
}
