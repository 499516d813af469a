//! The server of a bridge (`lxbox net`) with real clients, in namespaces of its own. Needs root, iproute2, python3, busybox-static.

mod bridge;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use bridge::{Bridge, Resolver, alone, client, ip, mac, until};
use lxbox::runtime::network::serving::{self, Running};
use lxbox::runtime::spec::net::{Host, NetPlan, V6Mode};
use serde_json::json;

async fn ensure(bridge: &Bridge, plan: &NetPlan) -> Running {
    serving::ensure(plan, &bridge.dirs()).await.unwrap()
}

fn host(number: u8, name: &str) -> Host {
    Host { mac: mac(number), name: name.into(), v4: None, v6: None }
}

const UDHCPC: &str = "busybox udhcpc -i eth0 -n -q -t 5 -T 1 -O search -O mtu -s /bin/true";

#[test]
fn a_guest_has_addresses_and_a_name_in_time() {
    alone("a_guest_has_addresses_and_a_name_in_time", async |bridge| {
        let begin = Instant::now();
        let plan = NetPlan { hosts: vec![host(1, "c1")], ..bridge.plan() };
        let running = ensure(bridge, &plan).await;
        println!("started in {:?}", begin.elapsed());
        assert!(begin.elapsed() < Duration::from_secs(1));
        assert_eq!(running.lacking().await.unwrap(), Vec::<String>::new());
        let guest = bridge.guest(1);
        let begin = Instant::now();
        guest.run(UDHCPC);
        println!("address after {:?}", begin.elapsed());
        assert!(begin.elapsed() < Duration::from_secs(1));
        let leases = running.leases().await.unwrap();
        let [lease] = &leases[..] else { panic!("{leases:?}") };
        assert_eq!((lease.hostname.as_str(), lease.mac, lease.fixed), ("c1", Some(mac(1)), false));
        let took = until("a global IPv6 address", || {
            guest.run("ip -6 addr show dev eth0").contains("fd42:77::216:3eff:fe77:101/64")
        });
        println!("IPv6 address after {took:?}");
        assert!(begin.elapsed() < Duration::from_secs(4));
        let routes = guest.run("ip -6 route show default");
        assert!(routes.contains("fe80::216:3eff:fe77:1"), "{routes}");
        // As dnsmasq writes it: udhcpc sends its hardware address as the identifier.
        let text = bridge.leases();
        let line = format!(" 00:16:3e:77:01:01 {} c1 01:00:16:3e:77:01:01\nduid 00:01:00:01:", lease.address);
        assert!(text.contains(&line), "{text}");
        names(bridge, &guest, lease.address);
        running.stop().await.unwrap();
        assert!(!bridge.dirs().run.exists() && bridge.leases().contains("c1"));
    });
}

fn names(bridge: &Bridge, guest: &bridge::Guest, address: IpAddr) {
    guest.run(&format!("ip addr add {address}/24 dev eth0"));
    let told = |text: &str| json!({"code": 0, "cut": false, "answers": [text]});
    let four = address.to_string();
    for way in ["", " tcp"] {
        assert_eq!(guest.client(&format!("dns 10.77.0.1 c1.lxd A{way}")), told(&four));
    }
    assert_eq!(guest.client("dns 10.77.0.1 c1 A"), told(&four));
    assert_eq!(guest.client("dns fd42:77::1 C1.LXD A"), told(&four));
    until("the address that the guest gave itself is known", || {
        guest.client("dns 10.77.0.1 c1.lxd AAAA") == told("fd42:77::216:3eff:fe77:101")
    });
    let reverse: Vec<&str> = four.rsplit('.').collect();
    assert_eq!(guest.client(&format!("dns 10.77.0.1 {}.in-addr.arpa PTR", reverse.join("."))), told("c1.lxd"));
    assert_eq!(guest.client("dns 10.77.0.1 _gateway.lxd A"), told("10.77.0.1"));
    assert_eq!(guest.client("dns 10.77.0.1 nobody.lxd A")["code"], 3);
    // The host itself, whose packets to its own address don't come by the bridge.
    assert_eq!(client("dns 10.77.0.1 c1.lxd A"), told(&four));
    assert_eq!(client("dns fd42:77::1 c1.lxd A tcp"), told(&four));
    let _ = bridge;
}

#[test]
fn two_hundred_leases_at_once_without_loss() {
    alone("two_hundred_leases_at_once_without_loss", async |bridge| {
        let running = ensure(bridge, &bridge.plan()).await;
        let guest = bridge.guest(1);
        let told = guest.client("dhcp4 eth0 200");
        println!("200 leases in {} s", told["seconds"]);
        assert_eq!(told["leases"].as_object().unwrap().len(), 200, "{told}");
        assert_eq!(told["packets"], 400, "each packet answered once");
        assert!(told["seconds"].as_f64().unwrap() < 2.0);
        let leases = running.leases().await.unwrap();
        assert_eq!(leases.len(), 200);
        assert_eq!(bridge.leases().lines().count(), 201);
        running.stop().await.unwrap();
    });
}

#[test]
fn leases_survive_the_helper_and_the_helper_the_daemon() {
    alone("leases_survive_the_helper_and_the_helper_the_daemon", async |bridge| {
        let plan = bridge.plan();
        let running = ensure(bridge, &plan).await;
        let guest = bridge.guest(1);
        let first = guest.client("dhcp4 eth0 50")["leases"].clone();
        let pid = running.pid().await.unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL)
            .unwrap();
        // It is started again by itself, and gives the same addresses.
        let again = guest.client("dhcp4 eth0 50 2");
        let again = if again["leases"].as_object().unwrap().len() < 50 { guest.client("dhcp4 eth0 50") } else { again };
        assert_eq!(again["leases"], first);
        let pid = running.pid().await.unwrap();
        drop(running);
        assert_eq!(guest.client("dhcp4 eth0 50")["leases"], first, "without a daemon");
        let running = ensure(bridge, &plan).await;
        assert_eq!(running.pid().await, Some(pid), "adopted");
        assert_eq!(running.leases().await.unwrap().len(), 50);
        running.release("00:16:3e:01:00:00".parse().unwrap()).await.unwrap();
        assert_eq!(running.leases().await.unwrap().len(), 49);
        running.stop().await.unwrap();
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    });
}

#[test]
fn a_changed_plan_is_served_at_once() {
    alone("a_changed_plan_is_served_at_once", async |bridge| {
        let running = ensure(bridge, &bridge.plan()).await;
        let guest = bridge.guest(1);
        let pid = running.pid().await;
        let fixed = Host { v4: Some("10.77.0.99".parse().unwrap()), ..host(1, "c1") };
        let plan = NetPlan { hosts: vec![fixed], ..bridge.plan() };
        running.update(&plan).await.unwrap();
        assert_eq!(running.pid().await, pid);
        guest.run(UDHCPC);
        let leases = running.leases().await.unwrap();
        assert_eq!((leases[0].address.to_string().as_str(), leases[0].fixed), ("10.77.0.99", true));
        // Another address needs other sockets, so another helper.
        ip("addr add 10.77.0.254/24 dev nsbr0");
        let mut moved = plan.clone();
        moved.addresses.push("10.77.0.254".parse().unwrap());
        running.update(&moved).await.unwrap();
        assert_ne!(running.pid().await, pid);
        guest.run("ip addr add 10.77.0.99/24 dev eth0");
        assert_eq!(guest.client("dns 10.77.0.254 c1.lxd A")["answers"], json!(["10.77.0.99"]));
        running.stop().await.unwrap();
    });
}

#[test]
fn questions_about_the_outside_go_to_the_hosts_resolvers() {
    alone("questions_about_the_outside_go_to_the_hosts_resolvers", async |bridge| {
        let mut plan = bridge.plan();
        let list = bridge.path("resolv.conf");
        // The list is replaced below, and read by a process that is nobody: it needs the way to it.
        std::fs::write(&list, "nameserver 10.77.0.1\nnameserver 127.0.0.7\nnameserver 127.0.0.8\n").unwrap();
        plan.dns.as_mut().unwrap().resolv_conf = Some(list.clone());
        let running = ensure(bridge, &plan).await;
        let guest = bridge.guest(1);
        guest.run("ip addr add 10.77.0.9/24 dev eth0");
        let _resolver = Resolver::start("127.0.0.8", 53, &"t".repeat(3000));
        let begin = Instant::now();
        let outside = json!({"code": 0, "cut": false, "answers": ["192.0.2.99"]});
        assert_eq!(guest.client("dns 10.77.0.1 example.com A"), outside, "nobody listens on the first");
        assert!(begin.elapsed() < Duration::from_secs(2));
        assert_eq!(guest.client("dns 10.77.0.1 example.com A tcp"), outside);
        assert_eq!(guest.client("dns 10.77.0.1 nothing.example.com A")["code"], 3);
        let cut = guest.client("dns 10.77.0.1 example.com TXT");
        assert_eq!((&cut["cut"], &cut["answers"]), (&json!(true), &json!([])));
        assert_eq!(guest.client("dns 10.77.0.1 example.com TXT tcp")["answers"], json!(["3012"]));
        let other = Resolver::start("127.0.0.9", 53, "x");
        std::fs::write(bridge.path("new"), "nameserver 127.0.0.9\n").unwrap();
        std::fs::rename(bridge.path("new"), &list).unwrap();
        until("the list is read again", || guest.client("dns 10.77.0.1 example.com TXT")["answers"] == json!(["2"]));
        drop(other);
        assert_eq!(guest.client("dns 10.77.0.1 example.com A")["code"], 2, "nobody is left");
        running.stop().await.unwrap();
    });
}

#[test]
fn addresses_by_dhcpv6() {
    alone("addresses_by_dhcpv6", async |bridge| {
        let mut plan = bridge.plan();
        let running = ensure(bridge, &plan).await;
        let guest = bridge.guest(1);
        let told = guest.client("dhcp6 eth0");
        assert_eq!((&told["dns"], &told["status"]), (&json!("fd42:77::1"), &json!(2)), "stateless: no addresses");
        assert_eq!(told["search"], "036c786400");
        let ranges = vec![("fd42:77::2".parse().unwrap(), "fd42:77::ffff:ffff:ffff:ffff".parse().unwrap())];
        plan.v6.as_mut().unwrap().mode = V6Mode::Stateful { ranges, expiry: 3600 };
        plan.hosts = vec![Host { v6: Some("fd42:77::77".parse().unwrap()), ..host(1, "c1") }];
        running.update(&plan).await.unwrap();
        let told = guest.client("dhcp6 eth0");
        assert_eq!((&told["address"], &told["valid"]), (&json!("fd42:77::77"), &json!(3600)), "{told}");
        let text = bridge.leases();
        assert!(text.contains(" 7 fd42:77::77 c1 00:02:00:00:a1:b2:00:16:3e:77:01:01\n"), "{text}");
        let dynamic = bridge.guest(2);
        let told = dynamic.client("dhcp6 eth0");
        assert!(told["address"].as_str().unwrap().starts_with("fd42:77::"), "{told}");
        let leases = running.leases().await.unwrap();
        assert_eq!(
            leases.iter().map(|l| (l.mac, l.fixed)).collect::<Vec<_>>(),
            [(Some(mac(1)), true), (Some(mac(2)), false)]
        );
        assert_eq!(client("dns 10.77.0.1 c1.lxd AAAA")["answers"], json!(["fd42:77::77"]));
        running.stop().await.unwrap();
    });
}

#[test]
fn servers_beside_it_do_not_disturb_it() {
    alone("servers_beside_it_do_not_disturb_it", async |bridge| {
        ip("link add other type bridge");
        ip("addr add 10.88.0.1/24 dev other");
        ip("link set other up");
        let beside = [Resolver::start("127.0.0.1", 53, "x"), Resolver::start("10.88.0.1", 53, "x")];
        let running = ensure(bridge, &bridge.plan()).await;
        assert_eq!(running.lacking().await.unwrap(), Vec::<String>::new());
        running.stop().await.unwrap();
        drop(beside);
        // One on all addresses takes the port from us: that is said, and the rest is served.
        let everywhere = Resolver::start("0.0.0.0", 53, "x");
        let running = ensure(bridge, &bridge.plan()).await;
        let pid = running.pid().await;
        let lacking = running.lacking().await.unwrap();
        assert!(lacking.iter().any(|l| l.contains("10.77.0.1:53")), "{lacking:?}");
        bridge.guest(1).run(UDHCPC);
        drop(running);
        drop(everywhere);
        let running = ensure(bridge, &bridge.plan()).await;
        assert_ne!(running.pid().await, pid);
        assert_eq!(running.lacking().await.unwrap(), Vec::<String>::new(), "the next daemon tries again");
        running.stop().await.unwrap();
    });
}

#[test]
fn nonsense_and_floods_are_survived() {
    alone("nonsense_and_floods_are_survived", async |bridge| {
        let plan = NetPlan { hosts: vec![host(1, "c1"), host(2, "c2")], ..bridge.plan() };
        let running = ensure(bridge, &plan).await;
        let pid = running.pid().await;
        let (good, bad) = (bridge.guest(1), bridge.guest(2));
        good.run(UDHCPC);
        let address = running.leases().await.unwrap()[0].address;
        bad.run(&format!("{} nonsense eth0 00:16:3e:77:00:01 3000", bridge::script()));
        assert_eq!(running.pid().await, pid, "it is the same process");
        good.run(&format!("ip addr add {address}/24 dev eth0"));
        assert_eq!(good.client("dns 10.77.0.1 c1.lxd A")["answers"], json!([address.to_string()]));
        good.run(UDHCPC);
        let pid = pid.unwrap();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        println!(
            "{}",
            status.lines().filter(|l| l.starts_with("VmRSS") || l.starts_with("RssAnon")).collect::<Vec<_>>().join(" ")
        );
        running.stop().await.unwrap();
    });
}

#[test]
fn the_helper_is_nobody_and_can_do_nothing_else() {
    alone("the_helper_is_nobody_and_can_do_nothing_else", async |bridge| {
        let running = ensure(bridge, &bridge.plan()).await;
        let pid = running.pid().await.unwrap();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|l| l.starts_with(name)).unwrap();
            line[name.len() + 1..].split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(field("Uid"), "65534 65534 65534 65534");
        assert_eq!((field("Groups"), field("Seccomp"), field("NoNewPrivs")), (String::new(), "2".into(), "1".into()));
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(field(set), "0000000000000000", "{set}");
        }
        assert_eq!(field("Threads"), "1");
        running.stop().await.unwrap();
    });
}

/// Of its own: pages of the executable are shared with the daemon and all other helpers. With the static file alone, since
/// a debug build is several times as big.
#[test]
fn a_hundred_leases_cost_little_memory() {
    alone("a_hundred_leases_cost_little_memory", async |bridge| {
        let running = ensure(bridge, &bridge.plan()).await;
        let guest = bridge.guest(1);
        assert_eq!(guest.client("dhcp4 eth0 100")["leases"].as_object().unwrap().len(), 100);
        let pid = running.pid().await.unwrap();
        let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        println!("{rollup}");
        let amount = |field: &str| -> u64 {
            let text = rollup.lines().find_map(|l| l.strip_prefix(field)).unwrap();
            text.trim().trim_end_matches(" kB").parse().unwrap()
        };
        let kib = amount("Pss:") - amount("Pss_File:");
        if std::env::var_os("LXBOX_BIN").is_some() {
            assert!(kib <= 2048, "{kib} KiB");
        }
        running.stop().await.unwrap();
    });
}
