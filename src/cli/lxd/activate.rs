//! `lxd activateifneeded`: whether a daemon that is down has something to do, decided from what is on disk.

use std::fmt;

use crate::api::types::ConfigMap;

/// Why the daemon should be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivateReason {
    /// `core.https_address` is set.
    Address,
    /// An instance starts with the daemon.
    AutoStart,
    /// Snapshots of an instance are due at times.
    InstanceSnapshots,
    /// Snapshots of a volume are due at times.
    VolumeSnapshots,
}

impl fmt::Display for ActivateReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ActivateReason::Address => "Daemon has core.https_address set, activating...",
            ActivateReason::AutoStart => "Daemon has auto-started instances, activating...",
            ActivateReason::InstanceSnapshots => "Daemon has scheduled instance snapshots, activating...",
            ActivateReason::VolumeSnapshots => "Daemon has scheduled volume snapshots, activating...",
        })
    }
}

/// Whether an instance starts with the daemon: `boot.autostart` if it is set, else whether it ran when the daemon went.
///
/// The one rule for `activateifneeded` and for the daemon's own start. `config` is the instance's, profiles applied,
/// with its `volatile.*` keys.
pub fn starts_with_daemon(config: &ConfigMap) -> bool {
    match config.get("boot.autostart").map(String::as_str) {
        Some(value) if !value.is_empty() => truth(value),
        _ => config.get("volatile.last_state.power").is_some_and(|state| state == "RUNNING"),
    }
}

/// The first reason to start the daemon, if there is one.
///
/// `server` is the server's configuration; `instances` and `volumes` are the configurations of all of them, profiles
/// applied.
pub fn activate_reason<'a>(
    server: &ConfigMap,
    instances: impl IntoIterator<Item = &'a ConfigMap>,
    volumes: impl IntoIterator<Item = &'a ConfigMap>,
) -> Option<ActivateReason> {
    let set = |config: &ConfigMap, key: &str| config.get(key).is_some_and(|value| !value.is_empty());
    if set(server, "core.https_address") {
        return Some(ActivateReason::Address);
    }
    for config in instances {
        if starts_with_daemon(config) {
            return Some(ActivateReason::AutoStart);
        }
        if set(config, "snapshots.schedule") {
            return Some(ActivateReason::InstanceSnapshots);
        }
    }
    volumes.into_iter().any(|config| set(config, "snapshots.schedule")).then_some(ActivateReason::VolumeSnapshots)
}

/// What LXD takes as true in a configuration value.
fn truth(value: &str) -> bool {
    ["true", "1", "yes", "on"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> ConfigMap {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    #[test]
    fn each_reason_is_found() {
        let none = config(&[]);
        let reason =
            |server, instances: &[ConfigMap], volumes: &[ConfigMap]| activate_reason(server, instances, volumes);
        assert_eq!(reason(&none, std::slice::from_ref(&none), std::slice::from_ref(&none)), None);
        let address = config(&[("core.https_address", ":8443")]);
        assert_eq!(reason(&address, &[], &[]), Some(ActivateReason::Address));
        let running = config(&[("volatile.last_state.power", "RUNNING")]);
        assert_eq!(reason(&none, &[none.clone(), running], &[]), Some(ActivateReason::AutoStart));
        let never = config(&[("volatile.last_state.power", "RUNNING"), ("boot.autostart", "false")]);
        assert_eq!(reason(&none, &[never], &[]), None);
        let always = config(&[("volatile.last_state.power", "STOPPED"), ("boot.autostart", "1")]);
        assert_eq!(reason(&none, &[always], &[]), Some(ActivateReason::AutoStart));
        let snapshots = config(&[("snapshots.schedule", "@daily")]);
        assert_eq!(reason(&none, std::slice::from_ref(&snapshots), &[]), Some(ActivateReason::InstanceSnapshots));
        let found = reason(&none, &[], &[snapshots]);
        let text = found.map(|reason| reason.to_string());
        assert_eq!(text.as_deref(), Some("Daemon has scheduled volume snapshots, activating..."));
    }
}
