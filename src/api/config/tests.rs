//! Walks the tables, and pins what LXD 5.0.2 answered when it was asked.

use super::device::Type;
use super::instance::{Config, Target};
use super::*;
use crate::api::types::{DeviceMap, Devices};
use crate::error::Kind as ErrorKind;

fn map(pairs: &[(&str, &str)]) -> ConfigMap {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn text(result: Result<()>) -> String {
    result.err().map(|e| e.message().to_owned()).unwrap_or_default()
}

/// A value of each kind, and one that is none where there is such a thing.
fn examples(kind: Kind) -> (String, Option<&'static str>) {
    kind.examples()
}

#[test]
fn each_row_is_documented_and_takes_what_its_kind_takes() {
    let mut rows = 0;
    for entity in entities() {
        for key in &entity.keys {
            let at = format!("{} {}", entity.name, key.name);
            rows += 1;
            assert!(!key.short.is_empty() && !key.short.ends_with('.'), "{at}: short text");
            assert!(!key.group.is_empty(), "{at}: no group");
            assert_ne!(key.support, Support::Later(""), "{at}: neither applied nor waiting for anything");
            let (good, bad) = examples(key.kind);
            assert_eq!(key.kind.check(&good), Ok(()), "{at}");
            assert_eq!(key.kind.check(""), Ok(()), "{at}");
            if let Some(bad) = bad {
                assert!(key.kind.check(bad).is_err(), "{at} takes {bad:?}");
            }
            let number = matches!(key.kind, Kind::Integer | Kind::Uint32 | Kind::Bool);
            assert!(!number || key.kind.check(key.default).is_ok() || key.default.contains(' '), "{at}: default");
        }
    }
    assert!(rows > 500, "{rows} rows only");
}

#[test]
fn no_key_stands_twice_in_an_entity() {
    for entity in entities() {
        let mut seen = std::collections::BTreeSet::new();
        for key in entity.keys {
            assert!(seen.insert(key.name), "{} {}", entity.name, key.name);
        }
    }
}

#[test]
fn what_waits_is_refused_by_name_and_what_is_applied_is_taken() {
    for key in instance::TABLES.iter().flat_map(|t| t.iter()) {
        let name =
            key.name.replace("limits.kernel.*", "limits.kernel.nofile").replace("NAME", "eth0").replace('*', "x");
        let target = if key.on == On::Vm { Target::Vm } else { Target::Container };
        let config = map(&[(&name, &examples(key.kind).0)]);
        let result = instance::validate(&config, target);
        match key.support {
            Support::Applied => assert!(result.is_ok(), "{name}: {result:?}"),
            Support::Later(_) | Support::Off(_) => {
                let error = result.expect_err(&name);
                assert_eq!(error.kind(), ErrorKind::Unsupported, "{name}");
                assert!(error.message().ends_with(" is not supported yet"), "{error}");
                assert!(error.message().contains(&name), "{error}");
            }
        }
        assert_eq!(text(instance::validate(&map(&[(&name, "")]), target)), "", "{name} unset");
    }
}

#[test]
fn what_asks_for_nothing_is_taken() {
    let check = |k: &str, v: &str| text(instance::validate(&map(&[(k, v)]), Target::Container));
    assert_eq!(check("migration.incremental.memory", "no"), "");
    assert_eq!(text(server::validate(&map(&[("images.auto_update_interval", "0")]))), "");
    let hours = text(server::validate(&map(&[("images.auto_update_interval", "6")])));
    assert_eq!(hours, "Configuration key \"images.auto_update_interval\" is not supported yet");
}

#[test]
fn wrong_instance_configuration_has_lxds_texts() {
    let check = |k: &str, v: &str| text(instance::validate(&map(&[(k, v)]), Target::Container));
    for (key, value, want) in [
        ("foo", "bar", "Unknown configuration key: foo"),
        ("user", "x", "Unknown configuration key: user"),
        ("limits.kernel.", "x", "Unknown configuration key: limits.kernel."),
        ("limits.hugepages.3MB", "1", "Unknown configuration key: limits.hugepages.3MB"),
        ("volatile.foo", "x", "Unknown configuration key: volatile.foo"),
        ("volatile.eth0.foo", "x", "Unknown configuration key: volatile.eth0.foo"),
        ("security.secureboot", "true", "Unknown configuration key: security.secureboot"),
        ("volatile.uuid", "x", "Invalid UUID"),
        ("limits.memory", "abc", "Invalid value: abc"),
        ("limits.memory", "-1", "Invalid value: -1"),
        ("limits.memory", "0", "Memory limit can't be 0"),
        ("security.privileged", "maybe", "Invalid value for a boolean \"maybe\""),
        ("limits.cpu", "x", "Invalid CPU limit syntax"),
        ("limits.cpu.allowance", "x", "Invalid allowance: x"),
        ("limits.cpu.priority", "11", "Invalid value for a limit \"11\". Must be between 0 and 10"),
        ("limits.memory.enforce", "x", "Invalid value \"x\" (not one of [soft hard])"),
        ("limits.processes", "1.5", "Invalid value for an integer \"1.5\""),
        ("environment.X", "a\nb", "Environment variables cannot contain line breaks"),
        ("cluster.evacuate", "x", "Invalid value \"x\" (not one of [auto migrate live-migrate stop])"),
        (
            "security.idmap.size",
            "+5",
            "Invalid value for uint32 \"+5\": strconv.ParseUint: parsing \"+5\": invalid syntax",
        ),
        (
            "security.idmap.size",
            "99999999999",
            "Invalid value for uint32 \"99999999999\": strconv.ParseUint: parsing \"99999999999\": value out of range",
        ),
        ("security.syscalls.blacklist_default", "x", "Invalid value for a boolean \"x\""),
        ("raw.lxc", "lxc.log.file=x", "Setting lxc.logfile is not allowed"),
        ("limits.memory", "10%", ""),
        ("user.", "x", ""),
        ("security.privileged", "on", ""),
        ("boot.autostart.delay", "+5", ""),
    ] {
        assert_eq!(check(key, value), want, "{key}={value}");
    }
    let profile = |k: &str, v: &str| text(instance::validate(&map(&[(k, v)]), Target::Profile));
    assert_eq!(profile("volatile.base_image", "x"), "Volatile keys can only be set on instances");
    assert_eq!(profile("image.os", "x"), "Image keys can only be set on instances");
    assert_eq!(
        profile("security.secureboot", "true"),
        "Configuration key \"security.secureboot\" is not supported yet"
    );
    assert_eq!(profile("limits.processes", "5"), "");
}

#[test]
fn keys_that_exclude_each_other() {
    let check = |pairs: &[(&str, &str)]| text(instance::check(&map(pairs), Target::Container));
    let syscalls = "security.syscalls.allow is mutually exclusive with security.syscalls.deny*";
    assert_eq!(check(&[("security.syscalls.allow", "x"), ("security.syscalls.deny", "y")]), syscalls);
    assert_eq!(check(&[("security.syscalls.whitelist", "x"), ("security.syscalls.blacklist", "y")]), syscalls);
    assert_eq!(check(&[("security.syscalls.allow", "x"), ("security.syscalls.deny_default", "false")]), "");
    assert_eq!(
        check(&[("raw.seccomp", "x"), ("security.syscalls.deny", "y")]),
        "raw.seccomp is mutually exclusive with security.syscalls*"
    );
    let mount = |allowed, fuse| {
        check(&[
            ("security.syscalls.intercept.mount.allowed", allowed),
            ("security.syscalls.intercept.mount.fuse", fuse),
        ])
    };
    assert!(mount("xfs,ext4", "btrfs=x, ext4=fuse2fs").contains("Filesystem ext4 cannot appear in"));
}

#[test]
fn sites_add_what_lxd_adds() {
    let wrong = || instance::validate(&map(&[("foo", "bar")]), Target::Container).expect_err("unknown key");
    let at = |site: Site| {
        let error = site.config(wrong());
        (error.kind(), error.message().to_owned())
    };
    let key = "Unknown configuration key: foo";
    assert_eq!(at(Site::InstanceCreate), (ErrorKind::Invalid, format!("Failed creating instance record: {key}")));
    assert_eq!(at(Site::InstanceUpdate), (ErrorKind::Internal, format!("Invalid config: {key}")));
    assert_eq!(at(Site::ProfileCreate), (ErrorKind::Invalid, key.into()));
    assert_eq!(at(Site::ProfileUpdate), (ErrorKind::Internal, key.into()));
    let later =
        instance::validate(&map(&[("migration.incremental.memory", "true")]), Target::Container).expect_err("waits");
    assert_eq!(Site::InstanceUpdate.config(later).kind(), ErrorKind::Unsupported);
}

fn device(pairs: &[(&str, &str)]) -> String {
    let mut devices = Devices::new();
    devices.insert("d".into(), map(pairs));
    let error = text(device::validate(&devices, Target::Container));
    error.trim_start_matches("Device validation failed for \"d\": ").to_owned()
}

#[test]
fn wrong_devices_have_lxds_texts() {
    let disk = [("type", "disk"), ("source", "/tmp"), ("path", "/mnt")];
    let with = |k: &'static str, v: &'static str| device(&[&disk[..], &[(k, v)]].concat());
    assert_eq!(device(&[]), "Failed loading device \"d\": Missing device type in config");
    assert_eq!(device(&[("type", "foo")]), "Failed loading device \"d\": Unsupported device type");
    assert_eq!(device(&[("type", "nic")]), "Failed loading device \"d\": Unsupported device type");
    assert_eq!(device(&[("type", "none")]), "");
    assert_eq!(device(&[("type", "none"), ("x", "y")]), "Invalid device option \"x\"");
    assert_eq!(device(&[("type", "none"), ("user.x", "y")]), "");
    assert_eq!(device(&disk), "");
    let source = "Disk entry is missing the required \"source\" or \"path\" property";
    assert_eq!(device(&[("type", "disk")]), source);
    assert_eq!(device(&[("type", "disk"), ("path", "/mnt")]), source);
    assert_eq!(device(&[("type", "disk"), ("path", "/")]), "Root disk entry must have a \"pool\" property set");
    assert_eq!(
        device(&[("type", "disk"), ("path", "/"), ("pool", "p"), ("source", "x")]),
        "Root disk entry may not have a \"source\" property set"
    );
    assert_eq!(with("foo", "x"), "Invalid device option \"foo\"");
    assert_eq!(
        with("readonly", "x"),
        "Invalid value for device option \"readonly\": Invalid value for a boolean \"x\""
    );
    assert_eq!(with("size", "1GB"), "Only the root disk may have a size quota");
    assert_eq!(with("size", "x"), "Invalid value for device option \"size\": Invalid value: x");
    assert_eq!(with("pool", "p"), "Storage volumes cannot be specified as absolute paths");
    assert_eq!(
        device(&[("type", "disk"), ("source", "rel"), ("path", "/mnt")]),
        "Source path must be absolute for local sources"
    );
    assert_eq!(with("shift", "true"), "");
    assert_eq!(with("propagation", "shared"), "");
    assert_eq!(with("ceph.user_name", "x"), "Invalid options ceph.cluster_name/ceph.user_name for source \"/tmp\"");
    let bridged = [("type", "nic"), ("nictype", "bridged")];
    assert_eq!(device(&bridged), "Invalid value for device option \"parent\": Required value");
    assert_eq!(
        device(&[&bridged[..], &[("parent", "lo"), ("mtu", "5")]].concat()),
        "Invalid value for device option \"mtu\": Out of MTU range (1280-16384) \"5\""
    );
    assert_eq!(device(&[&bridged[..], &[("parent", "lo")]].concat()), "");
    let routed = [("type", "nic"), ("nictype", "routed")];
    assert_eq!(device(&routed), "");
    let ovn = [("type", "nic"), ("nictype", "ovn"), ("network", "o")];
    assert_eq!(device(&ovn), "Device type \"nic with nictype=ovn\" is not supported yet");
    assert_eq!(device(&[("type", "pci"), ("address", "0000:00:00.0")]), "Unsupported device type");
    assert_eq!(device(&[("type", "nic"), ("nictype", "sriov"), ("parent", "p0")]), "");
    let gpu = |more: &[(&str, &str)]| device(&[&[("type", "gpu")], more].concat());
    assert_eq!(gpu(&[("gputype", "sriov")]), "Unsupported device type");
    assert_eq!(gpu(&[("id", "1"), ("vendorid", "10de")]), "Cannot use \"vendorid\" when when \"id\" is set");
    let mig = |more: &[(&str, &str)]| gpu(&[&[("gputype", "mig")], more].concat());
    let uuid = ("mig.uuid", "MIG-c904725f-0d7d-4afd-9ad7-e12ee4b853e1");
    assert_eq!(mig(&[("mig.gi", "1"), ("mig.ci", "0")]), "");
    assert_eq!(mig(&[("mig.gi", "1")]), "Either \"mig.uuid\" or both \"mig.gi\" and \"mig.ci\" must be set");
    assert_eq!(mig(&[("mig.uuid", "MIG-1")]), "Invalid value for device option \"mig.uuid\": Invalid UUID");
    assert_eq!(mig(&[uuid, ("mig.ci", "0")]), "Cannot use \"mig.ci\" when \"mig.uuid\" is set");
    assert_eq!(mig(&[uuid]), "");
    assert_eq!(device(&[("type", "proxy")]), "Invalid value for device option \"connect\": Unknown protocol type \"\"");
}

#[test]
fn devices_are_checked_together() {
    let root = || -> DeviceMap { map(&[("type", "disk"), ("path", "/"), ("pool", "p")]) };
    let two: Devices = [("a".to_owned(), root()), ("b".to_owned(), root())].into();
    assert_eq!(
        text(device::check(&two, Target::Profile)),
        "Device validation failed for \"a\": More than one disk device uses the same path \"/\""
    );
    let why = |devices: &Devices| device::check_root(devices).err().map(|e| e.message().to_owned());
    assert_eq!(why(&two).as_deref(), Some("Failed detecting root disk device: More than one root device found"));
    assert_eq!(why(&Devices::new()).as_deref(), Some("No root device could be found"));
    assert!(device::check_roots(&Devices::new()).is_ok() && device::check_roots(&two).is_err());
    assert_eq!(device::check_root(&[("r".to_owned(), root())].into()).ok(), Some("r"));
    let named = |name: &str| text(device::check(&[(name.to_owned(), root())].into(), Target::Profile));
    assert_eq!(named(&"x".repeat(65)), "The maximum device name length is 64 characters");
    assert_eq!(named(".."), "Device validation failed for \"..\": Name must not start with \".\" character");
}

#[test]
fn each_device_type_takes_good_keys_and_refuses_bad_ones() {
    for kind in device::types() {
        for row in kind.keys {
            let (_, Some(bad)) = examples(row.kind) else { continue };
            let error = device(&[&says(&kind)[..], &[(row.name, bad)]].concat());
            let wrong = error.starts_with(&format!("Invalid value for device option {:?}: ", row.name));
            assert!(wrong || error == "Unsupported device type", "{} {}: {error}", kind.name, row.name);
        }
    }
}

fn says(kind: &Type) -> Vec<(&'static str, &'static str)> {
    let sub = if kind.name == "gpu" { "gputype" } else { "nictype" };
    let mut pairs = vec![("type", kind.name)];
    if !kind.sub.is_empty() {
        pairs.push((sub, kind.sub));
    }
    pairs
}

#[test]
fn wrong_pools_have_lxds_texts() {
    let check = |driver: &str, pairs: &[(&str, &str)]| text(pool::validate(driver, &map(pairs)));
    assert_eq!(check("", &[]), "No driver provided");
    assert_eq!(check("foo", &[]), "Unknown driver");
    assert_eq!(check("zfs", &[]), "Storage driver \"zfs\" is not supported yet");
    assert_eq!(check("dir", &[("foo", "x")]), "Invalid option \"foo\"");
    assert_eq!(check("dir", &[("size", "1GB")]), "Invalid option \"size\"");
    assert_eq!(check("dir", &[("volume.foo", "x")]), "Invalid option \"volume.foo\"");
    assert_eq!(check("dir", &[("volume.user.foo", "x")]), "Invalid option \"volume.user.foo\"");
    assert_eq!(check("dir", &[("volume.size", "x")]), "Invalid value for option \"volume.size\": Invalid value: x");
    assert_eq!(
        check("dir", &[("rsync.compression", "x")]),
        "Invalid value for option \"rsync.compression\": Invalid value for a boolean \"x\""
    );
    assert_eq!(check("dir", &[("volume.size", "1GiB")]), "Configuration key \"volume.size\" is not supported yet");
    for driver in ["dir", "overlay"] {
        assert_eq!(check(driver, &[("source", "/srv"), ("user.x", "y"), ("volatile.initial_source", "/srv")]), "");
    }
    let change = pool::check_change("dir", &map(&[("source", "/a")]), &ConfigMap::new());
    assert_eq!(text(change), "Pool source cannot be changed when not in pending state");
}

#[test]
fn wrong_volumes_and_projects_have_lxds_texts() {
    let volume = |k: &str, v: &str| text(volume::validate("dir", "default_v", &map(&[(k, v)])));
    assert_eq!(volume("foo", "x"), "Invalid option for volume \"default_v\" option \"foo\"");
    assert_eq!(volume("size", "x"), "Invalid value for volume \"default_v\" option \"size\": Invalid value: x");
    assert_eq!(volume("volatile.idmap.last", "[]"), "");
    let project = |k: &str, v: &str| text(project::validate(&map(&[(k, v)])));
    assert_eq!(project("foo", "x"), "Invalid project configuration key \"foo\"");
    let value = "Invalid project configuration key \"restricted.idmap.uid\" value: Item \"x\": Invalid number \"x\"";
    assert_eq!(project("restricted.idmap.uid", "x"), value);
    assert_eq!(project("restricted", "true"), "Configuration key \"restricted\" is not supported yet");
}

#[test]
fn wrong_server_configuration_has_lxds_texts() {
    let check = |k: &str, v: &str| text(server::validate(&map(&[(k, v)])));
    assert_eq!(check("core.bgp_asn", "x"), "cannot set 'core.bgp_asn' to 'x': invalid integer");
    assert_eq!(
        check("core.https_allowed_credentials", "5"),
        "cannot set 'core.https_allowed_credentials' to '5': invalid boolean"
    );
    assert_eq!(check("core.bgp_address", "x"), "cannot set 'core.bgp_address' to 'x': Couldn't resolve \"x\"");
    assert_eq!(check("core.bgp_routerid", "5"), "cannot set 'core.bgp_routerid' to '5': Not an IPv4 address \"5\"");
    assert_eq!(
        check("core.remote_token_expiry", "x"),
        "cannot set 'core.remote_token_expiry' to 'x': Invalid expiry expression"
    );
    assert_eq!(check("core.https_address", ":8443"), "");
    assert_eq!(check("core.metrics_address", ":1"), "Configuration key \"core.metrics_address\" is not supported yet");
    assert_eq!(check("core.shutdown_timeout", "5"), "");
    assert_eq!(check("user.x", "y"), "");
    assert_eq!(server::Config(&ConfigMap::new()).integer("core.shutdown_timeout"), Some(5));
}

#[test]
fn wrong_networks_have_lxds_texts() {
    let check = |kind: &str, pairs: &[(&str, &str)]| text(network::validate("n0", kind, &map(pairs)));
    assert_eq!(check("foo", &[]), "Unknown driver");
    assert_eq!(check("bridge", &[("foo", "x")]), "Invalid option for network \"n0\" option \"foo\"");
    assert_eq!(check("macvlan", &[]), "Invalid value for network \"n0\" option \"parent\": Required value");
    for (key, value, why) in [
        ("bridge.mode", "?x", "Invalid value \"?x\" (not one of [standard fan])"),
        ("bgp.peers.xx.address", "?x", "Not an IP address \"?x\""),
        ("ipv4.address", "?x", "invalid CIDR address: ?x"),
        ("ipv4.dhcp.ranges", "?x", "Item \"?x\": IP range must contain start and end IP addresses"),
        ("tunnel.xx.ttl", "?x", "Invalid value for an integer \"?x\". Must be between 0 and 255"),
    ] {
        assert_eq!(check("bridge", &[(key, value)]), format!("Invalid value for network \"n0\" option {key:?}: {why}"));
    }
    let fan = [("fan.overlay_subnet", "240.0.0.0/8")];
    assert_eq!(check("bridge", &fan), "Configuration key \"fan.overlay_subnet\" is not supported yet");
    assert_eq!(check("bridge", &[("ipv4.address", "none")]), "");
}

#[test]
fn getters_read_by_type_and_know_defaults_and_older_spellings() {
    let config = map(&[
        ("limits.memory", "25%"),
        ("limits.cpu", "0-1"),
        ("limits.processes", ""),
        ("security.nesting", "ON"),
        ("security.syscalls.blacklist_default", "false"),
        ("environment.PATH", "/bin"),
        ("boot.autostart.delay", "5"),
    ]);
    let config = Config(&config);
    assert_eq!(config.memory(1000), Some(250));
    assert_eq!(config.cpu().map(|c| matches!(c, Cpu::Set(s) if s.numbers() == [0, 1])), Some(true));
    assert_eq!(config.integer("limits.processes"), None);
    assert!(config.bool("security.nesting") && !config.bool("security.privileged"));
    assert!(!config.bool("security.syscalls.deny_default"));
    assert!(Config(&ConfigMap::new()).bool("security.syscalls.deny_default"));
    assert_eq!(config.bool_set("boot.autostart"), None);
    assert_eq!(config.integer("boot.autostart.delay"), Some(5));
    assert_eq!(config.integer("boot.host_shutdown_timeout"), Some(30));
    assert_eq!(config.below("environment.").collect::<Vec<_>>(), [("PATH", "/bin")]);
    assert_eq!(instance::live("limits.memory"), Some(Live::Now));
    assert_eq!(instance::live("security.privileged"), Some(Live::Restart));
}

#[test]
fn the_document_has_every_key_under_its_entity_and_group() {
    let document = describe();
    let keys = &document["configs"]["instance"]["boot"]["keys"];
    assert_eq!(keys[0]["boot.autostart"]["type"], "bool");
    assert_eq!(document["configs"]["storage-dir"]["pool-conf"]["keys"][0]["source"]["scope"], "local");
    assert!(document["configs"]["device-nic-bridged"]["device-conf"]["keys"].as_array().is_some_and(|k| k.len() > 20));
    let total: usize = entities().iter().map(|e| e.keys.len()).sum();
    let groups = document["configs"].as_object().into_iter().flat_map(|c| c.values()).filter_map(|e| e.as_object());
    let listed = groups.flat_map(|e| e.values()).filter_map(|g| g["keys"].as_array()).map(Vec::len).sum::<usize>();
    assert_eq!(listed, total);
}

#[test]
fn completions_offer_what_is_acted_on() {
    let target = Subject::Instance(Target::Container);
    assert!(completions(target, "limits.m").contains(&"limits.memory".to_owned()));
    assert!(completions(target, "env").contains(&"environment.".to_owned()));
    assert!(!completions(target, "migr").contains(&"migration.incremental.memory".to_owned()));
    assert_eq!(value_completions(target, "limits.memory.enforce", ""), ["soft", "hard"]);
    assert_eq!(value_completions(Subject::Device("disk", ""), "readonly", "t"), ["true"]);
    assert!(completions(Subject::Pool("dir"), "").contains(&"source".to_owned()));
}

#[test]
fn objects_out_of_proportion_are_refused() {
    let many: ConfigMap = (0..5000).map(|n| (format!("user.{n}"), String::new())).collect();
    assert_eq!(text(instance::validate(&many, Target::Container)), "More than 4096 configuration keys");
    let long = map(&[("user.x", &"x".repeat(2 << 20))]);
    assert_eq!(text(server::validate(&long)), "The value of \"user.x\" is longer than 1048576 bytes");
}
