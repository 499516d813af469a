//! What a cable to a bridge may send (`security.*_filtering`): rules in the firewall's table `bridge lxd`.

use std::net::IpAddr;

use super::{Keys, Plan};
use crate::Result;
use crate::runtime::network::netlink::MacAddr;
use crate::runtime::network::nft::{Chain, Family, Nft, Span};
use crate::runtime::network::rules::{self, Nic, NicFilter};

/// What a device may send. Without any of the three keys that is everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    mac: Option<MacAddr>,
    v4: Option<Vec<Span<IpAddr>>>,
    v6: Option<Vec<Span<IpAddr>>>,
}

impl Filter {
    /// Reads the keys; `routes` are the networks that are behind the device. Its addresses stand in `ipv4.address` and
    /// `ipv6.address`, also those the network has chosen. One without an address may send nothing of the family.
    pub(super) fn read(keys: &Keys<'_>, routes: &[(IpAddr, u8)]) -> Result<Filter> {
        let of = |family: &str, four: bool| -> Result<Option<Vec<Span<IpAddr>>>> {
            if !keys.on(&format!("security.{family}_filtering")) {
                return Ok(None);
            }
            let key = format!("{family}.address");
            let Some(text) = keys.text(&key).filter(|a| *a != "none") else { return Ok(Some(Vec::new())) };
            let address = text.parse().map_err(|_| keys.wrong(&key))?;
            let behind = routes.iter().filter(|(net, _)| net.is_ipv4() == four);
            let behind = behind.map(|(net, prefix)| Span::prefix(*net, *prefix));
            Ok(Some([Span::one(address)].into_iter().chain(behind).collect()))
        };
        let (v4, v6) = (of("ipv4", true)?, of("ipv6", false)?);
        let any = keys.on("security.mac_filtering") || v4.is_some() || v6.is_some();
        if !any {
            return Ok(Filter::default());
        }
        let mac = keys.remembered("hwaddr").map(|a| a.to_ascii_lowercase().parse()).transpose();
        Ok(Filter { mac: mac.map_err(|_| keys.wrong("hwaddr"))?, v4, v6 })
    }

    fn chains(&self, nic: Nic<'_>, host_name: &str) -> Vec<Chain> {
        let Some(mac) = self.mac else { return Vec::new() };
        rules::filter(nic, &NicFilter { host_name, mac, v4: self.v4.clone(), v6: self.v6.clone() })
    }
}

/// Makes the rules of a cable hold, whose end on the host has this name, in place of those that `was` has made.
pub(super) fn hold(plan: &Plan, was: &Filter, host_name: &str) -> Result<()> {
    if *was == Filter::default() && plan.filter == *was {
        return Ok(());
    }
    let chains = plan.filter.chains(plan.nic(), host_name);
    let mut gone = plan.nic().bridge_chains();
    gone.retain(|name| chains.iter().all(|chain| chain.name != *name));
    Nft::with(|nft| nft.ensure(Family::Bridge, rules::TABLE, &chains, &gone).map(drop))
}

/// Takes the rules of a cable away.
pub(super) fn forget(plan: &Plan) -> Result<()> {
    if plan.filter == Filter::default() {
        return Ok(());
    }
    Nft::with(|nft| nft.ensure(Family::Bridge, rules::TABLE, &[], &plan.nic().bridge_chains()).map(drop))
}

#[cfg(test)]
mod tests {
    use super::super::{Owner, plan};
    use super::*;
    use crate::api::types::ConfigMap;

    const NIC: Nic<'_> = Nic { project: "default", instance: "c1", device: "eth0" };

    fn filter(pairs: &[(&str, &str)]) -> Filter {
        let mut map: ConfigMap = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        map.insert("nictype".into(), "bridged".into());
        let config = [("volatile.eth0.hwaddr".to_owned(), "00:16:3e:00:00:01".to_owned())].into();
        plan(Owner { project: "default", instance: "c1" }, "eth0", &map, &config).unwrap().filter
    }

    #[test]
    fn a_device_without_filters_has_no_rules() {
        assert_eq!(filter(&[("security.mac_filtering", "false")]), Filter::default());
        assert!(Filter::default().chains(NIC, "veth1").is_empty());
    }

    #[test]
    fn addresses_and_what_is_behind_them_may_send() {
        let found = filter(&[
            ("security.ipv4_filtering", "true"),
            ("ipv4.address", "10.0.0.9"),
            ("ipv4.routes", "10.7.0.0/24"),
            ("ipv6.routes", "fd00::/64"),
        ]);
        assert_eq!(found.v4.as_ref().map(Vec::len), Some(2));
        assert_eq!(found.v6, None);
        let names: Vec<String> = found.chains(NIC, "veth1").into_iter().map(|c| c.name).collect();
        assert_eq!(names, ["in.c1.eth0", "fwd.c1.eth0"]);
    }

    #[test]
    fn without_an_address_nothing_may_be_sent() {
        let none = [("security.ipv6_filtering", "true"), ("ipv6.address", "none"), ("ipv6.routes", "fd00::/64")];
        assert_eq!(filter(&none).v6, Some(Vec::new()));
        assert_eq!(filter(&none[..1]).v6, Some(Vec::new()));
    }
}
