//! `proxy`: connections that are passed on between host and guest. Pure.

use super::is;
use crate::api::config::is_true;
use crate::api::types::{DeviceMap, Devices};
use crate::runtime::spec::VERSION;
use crate::runtime::spec::proxy::{Place, ProxyPlan};
use crate::runtime::spec::shim::Process;
use crate::{Error, Result};

/// The plans of an instance's proxies, for a guest with this process 1; of those that need one.
///
/// # Errors
/// [`crate::Kind::Invalid`] naming the device.
pub fn plans(expanded: &Devices, init: Process, privileged: bool) -> Result<Vec<ProxyPlan>> {
    let proxies = expanded.iter().filter(|(_, device)| is(device, "proxy") && !by_nat(device));
    let plan = |(name, device): (&String, &DeviceMap)| {
        plan(name, device, init, privileged)
            .map_err(|why| Error::invalid(format!("Failed to start device {name:?}: {why}")))
    };
    proxies.map(plan).collect()
}

/// Whether it has no process in between ([`super::nat`]).
pub(super) fn by_nat(device: &DeviceMap) -> bool {
    device.get("nat").is_some_and(|nat| is_true(nat))
}

fn plan(name: &str, device: &DeviceMap, init: Process, privileged: bool) -> Result<ProxyPlan, String> {
    let value = |key: &str| device.get(key).map_or("", String::as_str);
    let id = |key: &str| value(key).parse().unwrap_or(0);
    let (listen, connect) = places(device)?;
    if listen.iter().any(Place::is_udp) && !connect.iter().all(Place::is_udp) {
        return Err("Proxying from udp to non-udp protocol is not supported".into());
    }
    Ok(ProxyPlan {
        version: VERSION,
        device: name.to_owned(),
        init,
        unprivileged: !privileged,
        in_guest: matches!(value("bind"), "instance" | "guest" | "container"),
        listen,
        connect,
        owner: (id("uid"), id("gid")),
        mode: u32::from_str_radix(value("mode"), 8).unwrap_or(0o644),
        user: (id("security.uid"), id("security.gid")),
        header: is_true(value("proxy_protocol")),
    })
}

/// Where it listens, and where it connects: one for each, or one for all.
pub(super) fn places(device: &DeviceMap) -> Result<(Vec<Place>, Vec<Place>), String> {
    let all = |key: &str| Place::all(device.get(key).map_or("", String::as_str));
    let (listen, connect) = (all("listen")?, all("connect")?);
    if connect.len() > 1 && connect.len() != listen.len() {
        return Err("Invalid port range".into());
    }
    Ok((listen, connect))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_mapped_one_by_one_or_to_one() {
        let plan = |listen: &str, connect: &str| {
            let pairs = [("listen", listen), ("connect", connect), ("bind", "guest"), ("mode", "0600")];
            let device = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
            super::plan("p", &device, Process { pid: 1, start: 1 }, false)
        };
        let made = plan("tcp:127.0.0.1:80-81", "tcp:127.0.0.1:90-91").unwrap();
        assert_eq!((made.listen.len(), made.connect.len(), made.mode, made.in_guest), (2, 2, 0o600, true));
        assert_eq!(plan("tcp:127.0.0.1:80-81", "unix:/x").unwrap().connect.len(), 1);
        assert!(plan("tcp:127.0.0.1:80-82", "tcp:127.0.0.1:90-91").is_err());
        assert!(plan("udp:127.0.0.1:80", "tcp:127.0.0.1:90").is_err());
    }
}
